/** A manifest: JSON Lines, or CSV whose first line names the columns. Told apart by the first character; read as a stream, whatever its size. */
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { realpath } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ConfigProblem, didYouMean } from '../../config.ts';
import { printable } from '../terminal.ts';
import { type RowReader, readRow, type Separator, separators, unclosedQuote } from './csv.ts';
import type { Entry, Ledger, Wanted } from './entry.ts';
import { type Line, type Position, readLines } from './lines.ts';

/** Bytes of one line; one that is longer is refused and skipped. */
export const lineBytesMax = 131_072;
/** Characters of a line that cannot be read which its refusal repeats. */
const textShownMax = 200;

type Column = keyof Wanted;
const columns: Readonly<Record<string, Column>> = {
  certificate: 'certificate',
  certificatepem: 'certificate',
  thing: 'thing',
  thingname: 'thing',
  policy: 'policy',
  policyname: 'policy',
  status: 'status',
};
const columnNames = ['certificate', 'thing', 'policy', 'status'];

/** The column a name means; undefined when it is none of ours. Faults: ConfigProblem for what looks like a slip of the pen. */
const columnOf = (name: string): Column | undefined => {
  const key = name.trim().toLowerCase();
  const column = Object.hasOwn(columns, key) ? columns[key] : undefined;
  const meant = column === undefined ? didYouMean(key, columnNames) : '';
  if (meant !== '')
    throw new ConfigProblem(`No column is called ${JSON.stringify(printable(name.slice(0, 40)))}.${meant}`);
  return column;
};

const blank = (text: string): boolean => text.trim() === '';

const wantedOf = (values: Partial<Record<Column, string>>, text: string): Entry['wanted'] => {
  const { certificate, ...rest } = Object.fromEntries(Object.entries(values).filter(([, value]) => !blank(value)));
  return certificate === undefined
    ? { problem: 'It names no certificate', text: text.slice(0, textShownMax) }
    : { certificate, ...rest };
};

/** One line of JSON Lines. Members that are none of ours are passed over; `refused` stands in our own reports. */
const readJsonLine = (text: string): Entry['wanted'] => {
  const refuse = (problem: string) => ({ problem, text: text.slice(0, textShownMax) });
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return refuse('It is not JSON');
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return refuse('It is no JSON object');
  const values: Partial<Record<Column, string>> = {};
  for (const [name, value] of Object.entries(parsed)) {
    try {
      const column = name === 'refused' ? undefined : columnOf(name);
      if (column === undefined || value === null) continue;
      if (typeof value !== 'string') return refuse(`Its member ${JSON.stringify(name)} is no text`);
      values[column] = value;
    } catch (error) {
      if (!(error instanceof ConfigProblem)) throw error;
      return refuse(error.message);
    }
  }
  return wantedOf(values, text);
};

const tooLong = { problem: `A line has more than ${lineBytesMax} bytes` } as const;

async function* jsonEntries(lines: AsyncGenerator<Line>): AsyncGenerator<Entry> {
  for await (const { number: line, end: offset, text } of lines) {
    if (text !== undefined && blank(text)) continue;
    yield {
      line,
      next: { offset, line: line + 1 },
      wanted: text === undefined ? tooLong : readJsonLine(text),
    };
  }
}

interface Header {
  readonly separator: Separator;
  readonly columns: readonly (Column | undefined)[];
}

async function* csvEntries(lines: AsyncGenerator<Line>, header: Header): AsyncGenerator<Entry> {
  const wantedIn = (fields: readonly string[], text: string): Entry['wanted'] => {
    if (fields.length > header.columns.length) {
      return {
        problem: `It has ${fields.length} fields, the first line names ${header.columns.length} columns`,
        text: text.slice(0, textShownMax),
      };
    }
    const values: Partial<Record<Column, string>> = {};
    for (const [index, field] of fields.entries()) {
      const column = header.columns[index];
      if (column !== undefined) values[column] = field;
    }
    return wantedOf(values, text);
  };
  let begun: { readonly row: RowReader; readonly line: number; readonly text: string; end: Position } | undefined;
  const unclosed = (): Entry | undefined => {
    if (!begun) return undefined;
    const { line, end, text } = begun;
    begun = undefined;
    return { line, next: end, wanted: { ...unclosedQuote, text: text.slice(0, textShownMax) } };
  };
  for await (const { number, end, text } of lines) {
    const next = { offset: end, line: number + 1 };
    if (begun && (text === undefined || !begun.row.fits(text))) {
      const left = unclosed();
      if (left) yield left;
    }
    if (text === undefined) {
      yield { line: number, next, wanted: tooLong };
      continue;
    }
    if (!begun && blank(text)) continue;
    const row = begun?.row ?? readRow(header.separator);
    const line = begun?.line ?? number;
    const first = begun?.text ?? text;
    const read = row.take(text);
    if (read === undefined) {
      begun = { row, line, text: first, end: next };
      continue;
    }
    begun = undefined;
    yield {
      line,
      next,
      wanted: 'fields' in read ? wantedIn(read.fields, first) : { ...read, text: first.slice(0, textShownMax) },
    };
  }
  const left = unclosed();
  if (left) yield left;
}

const readHeader = (text: string): Header & { readonly unused: readonly string[] } => {
  const separator = separators.find((each) => text.includes(each)) ?? ',';
  const read = readRow(separator).take(text);
  const names = read && 'fields' in read ? read.fields : [];
  const found = names.map(columnOf);
  if (!found.includes('certificate')) {
    throw new ConfigProblem(
      'The first line of the manifest must name its columns: certificate, and where wanted thing, policy and status.',
    );
  }
  const twice = columnNames.find((name) => found.filter((each) => each === name).length > 1);
  if (twice !== undefined) throw new ConfigProblem(`The manifest has two columns for ${twice}.`);
  return { separator, columns: found, unused: names.filter((_, index) => found[index] === undefined) };
};

/**
 * Reads what kind of manifest it is. Faults: ConfigProblem, a sentence, when it is none.
 * `identity` holds name, size and time of change: a manifest that was edited is another one.
 */
export const openManifest = async (path: string, file: FileHandle): Promise<Ledger> => {
  const { size, mtimeMs } = await file.stat();
  const real = await realpath(path);
  const mark = Buffer.alloc(3);
  await file.read(mark, 0, 3, 0);
  if ((mark[0] === 0xff && mark[1] === 0xfe) || (mark[0] === 0xfe && mark[1] === 0xff)) {
    throw new ConfigProblem('The manifest is UTF-16; save it as UTF-8.');
  }
  const start = { offset: mark.equals(Buffer.of(0xef, 0xbb, 0xbf)) ? 3 : 0, line: 1 };
  let first: Line | undefined;
  for await (const line of readLines(file, start, lineBytesMax)) {
    first = line;
    if (line.text === undefined || !blank(line.text)) break;
  }
  if (!first || (first.text !== undefined && blank(first.text))) throw new ConfigProblem('The manifest is empty.');
  const text = first.text?.trimStart() ?? '';
  if (text.startsWith('[')) {
    throw new ConfigProblem('The manifest is a JSON array; it must be JSON Lines: one object on each line.');
  }
  const header = text.startsWith('{') ? undefined : readHeader(text);
  const body = header ? { offset: first.end, line: first.number + 1 } : start;
  const lines = (from: Position) => readLines(file, from.offset < body.offset ? body : from, lineBytesMax);
  return {
    identity: createHash('sha256').update(`${real}\n${size}\n${mtimeMs}`).digest('hex'),
    folder: dirname(real),
    offsetEnd: size,
    notes:
      header && header.unused.length > 0
        ? [`Columns not used: ${header.unused.slice(0, 20).map(printable).join(', ')}.`]
        : [],
    entries: (from) => (header ? csvEntries(lines(from), header) : jsonEntries(lines(from))),
    close: () => file.close(),
  };
};
