import { DatabaseSync } from 'node:sqlite';
import { errorFrom, failureOf } from './sqlite-failure.ts';
import { StoreUnavailable } from './store.ts';

/**
 * One process per store: holds an exclusive lock on `<file>.lock` for the life of the process. The lock is the kernel's, on an empty SQLite
 * file, so it is free again after `kill -9`, and the file that stays behind means nothing. Returns its release.
 * Faults: StoreUnavailable when another process (or this one) has the store open, or the folder is not writable; the sentence names `what`.
 */
export const lockStore = (file: string, what = file): (() => void) => {
  const lockFile = `${file}.lock`;
  let lock: DatabaseSync | undefined;
  try {
    lock = new DatabaseSync(lockFile);
    lock.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    lock?.close();
    const failure = failureOf(error);
    if ((failure.errcode ?? 0) % 256 === busy) {
      throw new StoreUnavailable(
        `${what} is in use by another Fleetgate: stop that one, or start this one with another data folder (--data).`,
        { cause: error },
      );
    }
    throw errorFrom(lockFile, failure);
  }
  return () => lock.close();
};

const busy = 5;
