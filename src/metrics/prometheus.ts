/**
 * Prometheus' text exposition format 0.0.4, and the names that AWS's metrics get in it. Source:
 * https://prometheus.io/docs/instrumenting/exposition_formats/.
 */

export interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

/** One metric: all its samples stand together. */
export interface MetricFamily {
  /** `[a-zA-Z_:][a-zA-Z0-9_:]*`; a counter's ends in `_total`. */
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge';
  readonly samples: readonly Sample[];
}

/** What a scrape is answered with. */
export const contentType = 'text/plain; version=0.0.4; charset=utf-8';

const escapeHelp = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
const escapeLabel = (text: string): string => escapeHelp(text).replaceAll('"', '\\"');

const numberText = (value: number): string => {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  return String(value);
};

const sampleLine = (name: string, { labels = {}, value }: Sample): string => {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(text)}"`);
  return `${name}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${numberText(value)}\n`;
};

export const exposition = (families: readonly MetricFamily[]): string =>
  families
    .map(
      ({ name, help, type, samples }) =>
        `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n${samples.map((each) => sampleLine(name, each)).join('')}`,
    )
    .join('');

/**
 * `PublishIn.AuthError` -> `aws_iot_publish_in_auth_error_total`: dots become underscores, each word begins after one, all in lower case, and a
 * counter ends in `_total`. A run of capitals is one word, but for its last letter when a small one follows (`ClientIDThrottle` -> `client_id_throttle`).
 */
export const nameOfAwsMetric = (name: string): string =>
  `aws_iot_${name
    .replaceAll('.', '_')
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replaceAll(/([A-Z])([A-Z][a-z])/g, '$1_$2')
    .toLowerCase()}_total`;

/** One of AWS's counters, by whatever dimensions its samples have. */
export const awsFamily = (name: string, samples: readonly Sample[]): MetricFamily => ({
  name: nameOfAwsMetric(name),
  help: `AWS/IoT ${name}, since the start of this node.`,
  type: 'counter',
  samples,
});

/** AWS's counters, by value of the dimension Protocol. */
export const awsFamilies = (
  counters: Readonly<Record<string, Readonly<Record<string, number>>>>,
): readonly MetricFamily[] => {
  const names = new Set(Object.values(counters).flatMap((each) => Object.keys(each)));
  return [...names].map((name) =>
    awsFamily(
      name,
      Object.entries(counters).map(([protocol, values]) => ({ labels: { protocol }, value: values[name] ?? 0 })),
    ),
  );
};
