/** Which engine a node's stores have: files in its data folder, or a PostgreSQL that several nodes may share. */
import { join } from 'node:path';
import { openPostgresStore } from './postgres.ts';
import { openStore } from './sqlite.ts';
import type { Store } from './store.ts';

export interface StoresOptions {
  readonly folder: string;
  /** `postgres://...`; without it, SQLite in the folder. */
  readonly url: string | undefined;
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

/** Opens both, or neither. Faults: StoreUnavailable. */
export const openStores = async ({ folder, url }: StoresOptions): Promise<Stores> => {
  const store =
    url === undefined ? await openStore({ file: join(folder, storeFiles.store) }) : await openPostgresStore({ url });
  try {
    const journalStore =
      url === undefined
        ? await openStore({ file: join(folder, storeFiles.journal), durable: false })
        : await openPostgresStore({ url, schema: 'fleetgate_journal', durable: false, poolMax: journalConnectionsMax });
    return { store, journalStore };
  } catch (error) {
    await store.close();
    throw error;
  }
};
