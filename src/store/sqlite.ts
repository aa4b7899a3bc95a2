/** The embedded store: SQLite in one file, written by one thread, read where it is asked. */
import { closeSync, fsyncSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { openConnection, type SqliteConnection } from './sqlite-connection.ts';
import { dbOver } from './sqlite-dialect.ts';
import { errorFrom, failureOf, needsReopening } from './sqlite-failure.ts';
import { lockStore } from './sqlite-lock.ts';
import { startSoundness } from './sqlite-soundness.ts';
import { startWriterThread } from './sqlite-thread.ts';
import { startWriter } from './sqlite-writer.ts';
import { type Store, StoreUnavailable } from './store.ts';

export interface SqliteOptions {
  /** Its folder is made when it is missing (mode 0700); beside it stand `<file>.lock`, `<file>-wal` and `<file>-shm`. */
  readonly file: string;
  /**
   * Default true: what was acknowledged survives the machine. False: only the process; for what is not worth an fsync (the journal). A loss of power then
   * takes the last of it, and leaves the file sound.
   */
  readonly durable?: boolean;
  /** Tests: false = nothing is ever synced, so that a loss of power may leave anything. */
  readonly synced?: boolean;
  /** Tests: pages of 4 KiB after which the file is full. */
  readonly pageCountMax?: number;
  /** Tests: a shorter `unitIdleMsMax`. */
  readonly unitIdleMs?: number;
}

export interface SqliteStore extends Store {
  /** Groups committed so far: each costs one fsync. */
  readonly commits: number;
  /** Tests: kills the writer thread as a crash would. */
  crashWriter(): Promise<void>;
}

/** How often a store that could not write tries again by itself, so that `writable` recovers without a caller. */
export const probeEveryMs = 1000;
/** Touches one page of the file, so that it needs the disk, and changes nothing. */
const probe = { sql: 'PRAGMA user_version = 0', parameters: [] };

const prepareFolder = (file: string): void => {
  const folder = dirname(file);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new StoreUnavailable(
      `The folder ${folder} can not be made: choose another (--data) or change its permissions.`,
      {
        cause: error,
      },
    );
  }
};

/** The names of new files are durable only after their folder is. */
const syncFolder = (folder: string): void => {
  const descriptor = openSync(folder, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
};

/** Reads on the caller's thread: a point read takes about 10 us. The connection is opened anew after a failure of the world. */
const startReader = (file: string, failed: (error: Error) => void) => {
  let connection: SqliteConnection | undefined;
  let closed = false;
  return {
    db: dbOver((statement) => {
      if (closed) throw new StoreUnavailable('The store is closed');
      try {
        connection ??= openConnection(file, 'read');
        return connection.run(statement);
      } catch (error) {
        const failure = failureOf(error);
        if (needsReopening(failure)) {
          connection?.close();
          connection = undefined;
        }
        const risen = errorFrom(file, failure);
        failed(risen);
        throw risen;
      }
    }),
    close() {
      closed = true;
      connection?.close();
    },
  };
};

/** Opens the store of one process. Faults: StoreUnavailable for a store in use, a read-only folder, a damaged file. */
export const openStore = async (options: SqliteOptions): Promise<SqliteStore> => {
  const { file, durable = true, synced = true } = options;
  prepareFolder(file);
  const unlock = lockStore(file);
  const { pageCountMax, unitIdleMs } = options;
  const { thread, ready } = startWriterThread({
    file,
    mode: 'create',
    synchronous: !synced ? 'OFF' : durable ? 'FULL' : 'NORMAL',
    ...(pageCountMax === undefined ? {} : { pageCountMax }),
  });
  const { failure } = await ready;
  if (failure) {
    await thread.close();
    unlock();
    throw errorFrom(file, failure);
  }
  thread.setBusy(false);
  if (synced) syncFolder(dirname(file));
  const soundness = startSoundness(thread);
  const reader = startReader(file, soundness.noteRead);
  const writer = startWriter({ thread, file, ...(unitIdleMs === undefined ? {} : { unitIdleMs }) });
  /** Refused while the file is unsound. */
  const writing = async <T>(work: () => Promise<T>): Promise<T> => {
    soundness.assertSound();
    try {
      return await work();
    } catch (error) {
      soundness.noteWrite(error);
      throw error;
    }
  };
  const probing = setInterval(() => {
    if (!soundness.sound) void soundness.check();
    else if (!writer.writable) writer.append([probe]).catch(soundness.noteWrite);
  }, probeEveryMs).unref();
  const closeAll = async (): Promise<void> => {
    clearInterval(probing);
    await writer.close();
    reader.close(); // first, so that the writer is the last to close and folds the write-ahead log into the file
    await thread.close();
    unlock();
  };
  let closing: Promise<void> | undefined;
  return {
    db: reader.db,
    write: (unit) => writing(() => writer.write(unit)),
    append: (statements) => writing(() => writer.append(statements)),
    get writable() {
      return writer.writable && soundness.sound;
    },
    get commits() {
      return writer.commits;
    },
    crashWriter: thread.crash,
    close() {
      closing ??= closeAll();
      return closing;
    },
  };
};
