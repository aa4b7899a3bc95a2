/** Which engine a node's stores have: files in its data folder, or a PostgreSQL that several nodes may share. */
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { openPostgresStore } from './postgres.ts';
import { openStore } from './sqlite.ts';
import { lockStore } from './sqlite-lock.ts';
import type { Store } from './store.ts';

export interface StoresOptions {
  readonly folder: string;
  /** `postgres://...`; without it, SQLite in the folder. */
  readonly url: string | undefined;
  /** Tests: false = what was acknowledged survives the process, not the machine. No setting leads here. */
  readonly durable?: boolean;
}

export interface Stores {
  readonly store: Store;
  /** Not worth an fsync; apart from the rest, so that a flood of refusals does not slow acknowledged writes. */
  readonly journalStore: Store;
}

/** Files in the data folder, where the stores are files. */
export const storeFiles = { store: 'fleetgate.db', journal: 'journal.db' } as const;

/** The journal writes once in a while, for itself. */
const journalConnectionsMax = 2;

const openFiles = async (folder: string, durable: boolean): Promise<Stores> => {
  const store = await openStore({ file: join(folder, storeFiles.store), synced: durable });
  try {
    return { store, journalStore: await openStore({ file: join(folder, storeFiles.journal), durable: false }) };
  } catch (error) {
    await store.close();
    throw error;
  }
};

/** The same store; once it is closed, `release` is called. */
const releasing = (store: Store, release: () => void): Store => {
  let closing: Promise<void> | undefined;
  return {
    db: store.db,
    write: store.write,
    append: store.append,
    get writable() {
      return store.writable;
    },
    close() {
      closing ??= store.close().finally(release);
      return closing;
    },
  };
};

/** SQLite would make the file readable for everybody. A folder that cannot be written is told by the lock, in a sentence. */
const makePrivate = (file: string): void => {
  try {
    closeSync(openSync(file, 'a', 0o600));
  } catch {
    return;
  }
};

/** The database may be shared; the folder, with the keys that renew themselves in it, is one node's: the same lock keeps a node on files out. */
const openDatabase = async (folder: string, url: string, durable: boolean): Promise<Stores> => {
  const file = join(folder, storeFiles.store);
  makePrivate(`${file}.lock`);
  const unlock = lockStore(file, folder);
  let store: Store | undefined;
  try {
    const opened = await openPostgresStore({ url, durable });
    store = opened;
    const rest = { schema: 'fleetgate_journal', durable: false, poolMax: journalConnectionsMax };
    const journalStore = await openPostgresStore({ url, ...rest });
    return { store: releasing(opened, unlock), journalStore };
  } catch (error) {
    await store?.close();
    unlock();
    throw error;
  }
};

/** Opens both, or neither. Faults: StoreUnavailable, also when another node has the folder. */
export const openStores = ({ folder, url, durable = true }: StoresOptions): Promise<Stores> =>
  url === undefined ? openFiles(folder, durable) : openDatabase(folder, url, durable);
