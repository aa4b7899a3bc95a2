/**
 * What was refused, and why: a line of JSON each, in the order of the ledger. Such a line holds what it asked for, too, so that the file is itself a
 * manifest: mend the cause and import it.
 */
import { type FileHandle, open, rm } from 'node:fs/promises';
import { dirname, relative, resolve } from 'node:path';
import { CommandProblem } from '../io.ts';
import { printable } from '../terminal.ts';
import { formOf } from './certificate-text.ts';
import type { Entry } from './entry.ts';
import type { Outcome } from './import-entry.ts';
import { readLines } from './lines.ts';

export type Refusal = Extract<Outcome, { kind: 'refused' }>;

/** Refusals of one cause. */
export interface Cause {
  readonly what: string;
  readonly firstLine: number;
  count: number;
}

export interface Report {
  readonly bytes: number;
  write(entry: Entry, refusal: Refusal): Promise<void>;
  /** On the disk. */
  sync(): Promise<void>;
  /** Refusals by operation and fault, the most frequent first; of more than `causesMax` kinds the later ones are counted together. */
  causes(): Promise<readonly Cause[]>;
  /** An empty one goes. */
  close(): Promise<void>;
}

const begin = '{"refused":';
export const causesMax = 20;
/** A line holds a certificate and little more. */
const reportLineBytesMax = 1_048_576;

/** Faults: CommandProblem for a file of another kind. */
const assertReport = async (path: string, file: FileHandle): Promise<number> => {
  const { size } = await file.stat();
  const { buffer, bytesRead } = await file.read(Buffer.alloc(begin.length), 0, begin.length, 0);
  if (size > 0 && buffer.toString('utf8', 0, bytesRead) !== begin) {
    throw new CommandProblem(`${printable(path)} is no report of an import; name another file with --report.`);
  }
  return size;
};

const lineOf = (entry: Entry, refusal: Refusal, folder: string, ledgerFolder: string): string => {
  const { kind: _, ...why } = refusal;
  const { line, wanted } = entry;
  if ('problem' in wanted) {
    return `${JSON.stringify({ refused: { line, ...why, ...(wanted.text !== undefined && { text: wanted.text }) } })}\n`;
  }
  const isPath = formOf(wanted.certificate) === 'path' && !wanted.certificate.includes('\0');
  const certificate = isPath ? relative(folder, resolve(ledgerFolder, wanted.certificate)) : wanted.certificate;
  return `${JSON.stringify({ refused: { line, ...why }, ...wanted, certificate })}\n`;
};

const readCauses = async (file: FileHandle): Promise<readonly Cause[]> => {
  const causes = new Map<string, Cause>();
  for await (const { text } of readLines(file, { offset: 0, line: 1 }, reportLineBytesMax)) {
    if (text === undefined) continue;
    // lines that this room wrote: what does not parse is a fault of ours
    const { refused } = JSON.parse(text) as {
      refused: { line: number; operation?: string; fault?: string; message: string };
    };
    const { line, operation, fault, message } = refused;
    // the line's own mistakes differ in their first word at most: the message without what it quotes
    const kind =
      operation === undefined ? message.replaceAll(/"[^"]*"|\S*[./\\]\S*|\d+/g, '') : `${operation} ${fault}`;
    const key = causes.has(kind) || causes.size < causesMax ? kind : 'further causes';
    const what = key === kind ? `${operation === undefined ? '' : `${operation} ${fault}: `}${message}` : key;
    const known = causes.get(key) ?? { what, firstLine: line, count: 0 };
    known.count++;
    causes.set(key, known);
  }
  return [...causes.values()].sort((a, b) => b.count - a.count);
};

/** Opens the report and keeps its first `keptBytes`. Faults: CommandProblem for a file of another kind or a shorter one. */
export const openReport = async (path: string, keptBytes: number, ledgerFolder: string): Promise<Report> => {
  const file = await open(path, 'a+', 0o644);
  try {
    const size = await assertReport(path, file);
    if (size < keptBytes) {
      throw new CommandProblem(
        `${printable(path)} has been shortened since the import began; start over with --restart.`,
      );
    }
    await file.truncate(keptBytes);
  } catch (error) {
    await file.close();
    throw error;
  }
  const folder = dirname(resolve(path));
  let bytes = keptBytes;
  let dirty = false;
  return {
    get bytes() {
      return bytes;
    },
    async write(entry, refusal) {
      const line = lineOf(entry, refusal, folder, ledgerFolder);
      await file.appendFile(line);
      bytes += Buffer.byteLength(line);
      dirty = true;
    },
    async sync() {
      if (dirty) await file.datasync();
      dirty = false;
    },
    causes: () => readCauses(file),
    async close() {
      await file.close();
      if (bytes === 0) await rm(path, { force: true });
    },
  };
};
