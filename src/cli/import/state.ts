/**
 * How far an import has come, kept beside the ledger until it is complete. Lines of JSON, appended: a header that says which import, then marks; the last
 * whole one counts. A mark is written after what it says is true, so whenever the process ends, what is not yet marked is done again, and doing it
 * again changes nothing.
 */
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { CommandProblem } from '../io.ts';
import { printable } from '../terminal.ts';
import type { Position } from './lines.ts';

/** All entries before `next` are settled: counted here, and those refused are in the report's first `reportBytes` bytes. */
export interface Mark {
  readonly next: Position;
  readonly registered: number;
  readonly already: number;
  readonly refused: number;
  readonly reportBytes: number;
}

export const firstMark: Mark = { next: { offset: 0, line: 1 }, registered: 0, already: 0, refused: 0, reportBytes: 0 };

export interface State {
  /** Where an earlier run of the same import ended; `firstMark` when there was none. */
  readonly mark: Mark;
  /** An earlier state was found, of another import or of a ledger that has changed since. */
  readonly changed: boolean;
  save(mark: Mark): Promise<void>;
  /** The import is complete: the file goes. */
  remove(): Promise<void>;
  close(): Promise<void>;
}

/** Bytes at either end of the file that are looked at; a header and a mark are far shorter. */
const endBytes = 4096;
/** A process that has not written for so long is no longer importing, whatever its number stands for today. */
const silentMsMax = 600_000;

const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

const parseObject = (line: string): Record<string, unknown> => {
  try {
    const parsed: unknown = JSON.parse(line);
    return typeof parsed === 'object' && parsed !== null ? { ...parsed } : {};
  } catch {
    return {};
  }
};

const toMark = (line: string): Mark | undefined => {
  const { offset, line: number, registered, already, refused, reportBytes } = parseObject(line);
  if (!isCount(offset) || !isCount(number) || !isCount(registered)) return undefined;
  if (!isCount(already) || !isCount(refused) || !isCount(reportBytes)) return undefined;
  return { next: { offset, line: number }, registered, already, refused, reportBytes };
};

const markLine = ({ next, ...counts }: Mark): string => `${JSON.stringify({ ...next, ...counts })}\n`;

interface Found {
  readonly identity: unknown;
  readonly mark: Mark | undefined;
}

const isRunning = (pid: number): boolean => {
  try {
    return pid !== process.pid && process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
};

/** Faults: CommandProblem for a file of another kind, and while another process imports by it. */
const readState = async (path: string, file: FileHandle): Promise<Found> => {
  const { size, mtimeMs } = await file.stat();
  const textAt = async (offset: number): Promise<string> => {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(endBytes), 0, endBytes, offset);
    return buffer.toString('utf8', 0, bytesRead);
  };
  const header = parseObject((await textAt(0)).split('\n', 1)[0] ?? '');
  if (header['fleetgate'] !== 'import') {
    throw new CommandProblem(`${printable(path)} is no state of an import; name another file with --state.`);
  }
  const { pid, host } = header;
  if (isCount(pid) && host === hostname() && Date.now() - mtimeMs < silentMsMax && isRunning(pid)) {
    throw new CommandProblem(
      `Process ${pid} is importing this ledger just now; if it is not, remove ${printable(path)}.`,
    );
  }
  // what follows the last line end was cut off while it was written
  const whole = (await textAt(Math.max(0, size - endBytes))).split('\n').slice(0, -1);
  return {
    identity: header['identity'],
    mark: whole
      .reverse()
      .map(toMark)
      .find((mark) => mark !== undefined),
  };
};

const findState = async (path: string): Promise<Found | undefined> => {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return await readState(path, file);
  } finally {
    await file.close();
  }
};

/**
 * Opens or begins the state of the import that `identity` names; `restart` forgets an earlier run.
 * Faults: CommandProblem (a foreign file, an import that runs); the file system's own.
 */
export const openState = async (path: string, identity: string, restart: boolean): Promise<State> => {
  const found = await findState(path);
  const same = found !== undefined && found.identity === identity && !restart;
  const mark = (same && found.mark) || firstMark;
  const begun = `${path}.${process.pid}.new`;
  const header = { fleetgate: 'import', identity, pid: process.pid, host: hostname() };
  const file = await open(begun, 'w', 0o644);
  try {
    await file.appendFile(`${JSON.stringify(header)}\n${markLine(mark)}`);
    await file.datasync();
    await rename(begun, path);
  } catch (error) {
    await file.close();
    await rm(begun, { force: true });
    throw error;
  }
  return {
    mark,
    changed: found !== undefined && !same && !restart,
    async save(next) {
      await file.appendFile(markLine(next));
      await file.datasync();
    },
    async remove() {
      await rm(path, { force: true });
    },
    close: () => file.close(),
  };
};
