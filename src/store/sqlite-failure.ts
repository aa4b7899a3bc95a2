/**
 * What SQLite's result codes mean to Fleetgate. Codes of the world (disk, permissions, damage) become StoreUnavailable with a sentence that
 * names the file and the cure; all others (constraints, bad SQL) are the program's own and rise as they are.
 * Source: https://www.sqlite.org/rescode.html; the low byte of an extended code is its primary code.
 */
import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { StoreUnavailable } from './store.ts';

/** An error of SQLite that can cross a thread: its classes are lost on the way, its code must not be. */
export interface SqliteFailure {
  readonly message: string;
  /** SQLite's extended result code; absent when the error did not come from SQLite. */
  readonly errcode?: number;
}

/** An error that SQLite answered to a statement, e.g. a broken constraint. */
export class SqliteError extends Error {
  override readonly name = 'SqliteError';
  /** SQLite's extended result code. */
  readonly errcode: number;
  constructor(message: string, errcode: number, options?: ErrorOptions) {
    super(message, options);
    this.errcode = errcode;
  }
}

export const failureOf = (error: unknown): SqliteFailure => {
  if (!(error instanceof Error)) return { message: String(error) };
  const errcode = 'errcode' in error && typeof error.errcode === 'number' ? error.errcode : undefined;
  return errcode === undefined ? { message: error.message } : { message: error.message, errcode };
};

const fullSentence = (file: string): string =>
  `The disk that holds ${file} is full: free some space; a running server then resumes by itself.`;

/** Less than this cannot hold what SQLite writes beside the file (its index of the write-ahead log grows by 32 KiB). */
const freeBytesMin = 64 * 1024;
const isDiskFull = (file: string): boolean => {
  try {
    const { bavail, bsize } = statfsSync(dirname(file));
    return bavail * bsize < freeBytesMin;
  } catch {
    return false;
  }
};

const worldly: Readonly<Record<number, (file: string) => string>> = {
  3: (file) => `${file} may not be opened: check the permissions of the data folder.`,
  5: (file) => `${file} is locked by another program: stop that program.`,
  6: (file) => `${file} is locked by another program: stop that program.`,
  7: () => 'The machine is out of memory: the store can not work until some is free.',
  8: (file) => `${file} is read-only: make ${dirname(file)} and its files writable for this user.`,
  // also what SQLite answers when the disk has no room for the index of its write-ahead log
  10: (file) =>
    isDiskFull(file) ? fullSentence(file) : `Reading or writing ${file} failed: check the disk that holds it.`,
  11: (file) => `${file} is damaged: restore it from a backup, or move it away to start anew.`,
  13: fullSentence,
  14: (file) => `${file} can not be opened: check that ${dirname(file)} exists and is writable for this user.`,
  15: (file) => `${file} is locked by another program: stop that program.`,
  26: (file) => `${file} is damaged or no Fleetgate store: restore it from a backup, or move it away to start anew.`,
};

/** Stands for SQLite's codes where the writer thread itself is gone (SQLITE_IOERR: its connection is of no more use). */
export const threadDied = 10;

const full = 13;

/** Whether the connection is of no more use: its file may be repaired or replaced below it. On a full disk the connection is kept. */
export const needsReopening = ({ errcode }: SqliteFailure): boolean =>
  errcode !== undefined && (errcode & 0xff) !== full && (errcode & 0xff) in worldly;

/** The error to throw for a failure of a statement on `file`. */
export const errorFrom = (file: string, failure: SqliteFailure): Error => {
  if (failure.errcode === undefined) return new TypeError(failure.message);
  const cause = new SqliteError(failure.message, failure.errcode);
  const sentence = worldly[failure.errcode & 0xff];
  return sentence ? new StoreUnavailable(sentence(file), { cause }) : cause;
};
