/** A strict reader of Prometheus' text exposition format 0.0.4: what it takes, Prometheus takes. Faults: Error for whatever is not well formed. */

export interface ParsedFamily {
  readonly help: string;
  readonly type: string;
  readonly samples: { readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
}

const unescaped = (text: string, quotes: boolean): string =>
  text.replaceAll(/\\(.?)/g, (whole, next: string) => {
    if (next === '\\') return '\\';
    if (next === 'n') return '\n';
    if (next === '"' && quotes) return '"';
    throw new Error(`odd escape ${whole}`);
  });

const numberOf = (text: string): number => {
  if (text === '+Inf') return Infinity;
  if (text === '-Inf') return -Infinity;
  if (text === 'NaN') return Number.NaN;
  if (!/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/.test(text)) throw new Error(`no number: ${text}`);
  return Number(text);
};

const labelPattern = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\.)*)"(,|$)/y;
const labelsOf = (text: string): Record<string, string> => {
  const labels: Record<string, string> = {};
  labelPattern.lastIndex = 0;
  while (labelPattern.lastIndex < text.length) {
    const at = labelPattern.lastIndex;
    const match = labelPattern.exec(text);
    const [, name = '', value = ''] = match ?? [];
    if (!match) throw new Error(`odd labels from ${text.slice(at)}`);
    if (name in labels) throw new Error(`label ${name} is given twice`);
    labels[name] = unescaped(value, true);
  }
  return labels;
};

/** Families by name, in order. Each has HELP, then TYPE, then all its samples, none of them twice. */
export const parseExposition = (text: string): Map<string, ParsedFamily> => {
  if (text !== '' && !text.endsWith('\n')) throw new Error('the last line does not end');
  const families = new Map<string, ParsedFamily>();
  let current: { name: string; help: string } | undefined;
  const seen = new Set<string>();
  for (const line of text.split('\n').slice(0, -1)) {
    const [, keyword, name = '', rest = ''] = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*)(?: (.*))?$/.exec(line) ?? [];
    if (keyword === 'HELP') {
      if (families.has(name)) throw new Error(`${name} comes twice`);
      current = { name, help: unescaped(rest, false) };
    } else if (keyword === 'TYPE') {
      if (current?.name !== name) throw new Error(`TYPE of ${name} without its HELP`);
      if (!/^(counter|gauge|histogram|summary|untyped)$/.test(rest)) throw new Error(`odd type ${rest}`);
      if (rest === 'counter' && !name.endsWith('_total')) throw new Error(`${name} is a counter without _total`);
      families.set(name, { help: current.help, type: rest, samples: [] });
    } else {
      const [, of = '', labels = '', value = ''] = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
      const family = families.get(of);
      if (!family || current?.name !== of) throw new Error(`a sample that belongs to no family: ${line}`);
      const sample = { labels: labelsOf(labels), value: numberOf(value) };
      const key = `${of} ${JSON.stringify(sample.labels)}`;
      if (seen.has(key) && Object.keys(sample.labels).length > 0) throw new Error(`${key} comes twice`);
      seen.add(key);
      family.samples.push(sample);
    }
  }
  return families;
};
