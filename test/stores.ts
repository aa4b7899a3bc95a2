/** The store's engines, for tests: each opens an empty store that is closed with its test. */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { TestContext } from 'node:test';
import { Client } from 'pg';
import { openPostgresStore } from '../src/store/postgres.ts';
import { openStore } from '../src/store/sqlite.ts';
import type { Store } from '../src/store/store.ts';
import { makeFolder } from './folder.ts';
import { freshDatabase } from './postgres.ts';

export interface TestStoreOptions {
  /** Default false: tests of rules need no fsync. */
  readonly durable?: boolean;
  readonly unitIdleMs?: number;
}

export interface TestStore extends Store {
  /** The same store opened anew, by another node or after `close`. It is closed with the test, too. */
  reopen(): Promise<TestStore>;
}

export type OpenTestStore = (t: TestContext, options?: TestStoreOptions) => Promise<TestStore>;

/** Opens a place as often as asked; all are closed with the test, before `folder` goes. */
const reopenable = async (open: () => Promise<Store>, opened: Store[]): Promise<TestStore> => {
  const store = await open();
  opened.push(store);
  return {
    db: store.db,
    write: store.write,
    append: store.append,
    get writable() {
      return store.writable;
    },
    close: store.close,
    reopen: () => reopenable(open, opened),
  };
};
const closeAll = async (opened: readonly Store[]): Promise<void> => {
  for (const store of opened) await store.close();
};

const openSqlite: OpenTestStore = async (t, { durable = false, ...options } = {}) => {
  const opened: Store[] = [];
  const folder = await makeFolder(t, () => closeAll(opened));
  return reopenable(() => openStore({ file: join(folder, 'store.db'), synced: durable, ...options }), opened);
};

/** One database for all stores of a process, a schema for each. */
let database: Promise<string> | undefined;
let schemas = 0;
const openPostgres: OpenTestStore = async (t, { durable = false, ...options } = {}) => {
  database ??= freshDatabase();
  const url = await database;
  const schema = `t${++schemas}`;
  const opened: Store[] = [];
  t.after(() => closeAll(opened));
  return reopenable(() => openPostgresStore({ url, schema, durable, ...options }), opened);
};

export const stores: readonly (readonly [engine: 'sqlite' | 'postgres', open: OpenTestStore])[] = [
  ['sqlite', openSqlite],
  ['postgres', openPostgres],
];

/** Tests that are not written over `stores` run once per engine: `test/run.ts` runs those that `test/second-pass.ts` names again with FLEETGATE_TEST_STORE=postgres. */
export const testEngine = process.env['FLEETGATE_TEST_STORE'] === 'postgres' ? 'postgres' : 'sqlite';
export const openTestStore: OpenTestStore = testEngine === 'postgres' ? openPostgres : openSqlite;

const databaseOf = new Map<string, Promise<string>>();
/** What a node over this data folder is started with: nothing for SQLite, which lives in the folder; otherwise always the same database. */
export const storeOption = async (dataFolder: string): Promise<{ readonly store?: string }> => {
  if (testEngine === 'sqlite') return {};
  const known = databaseOf.get(dataFolder) ?? freshDatabase();
  databaseOf.set(dataFolder, known);
  return { store: await known };
};

/** Tables in which no account has anything. */
const tablesOfNobody: ReadonlySet<string> = new Set(['schema_migrations', 'store_turn', 'task_leases']);

/** The tables of that store. */
export const storeTables = async (dataFolder: string): Promise<string[]> => {
  const query =
    testEngine === 'sqlite'
      ? "select name from sqlite_master where type = 'table'"
      : "select relname as name from pg_class where relkind = 'r' and relnamespace = 'fleetgate'::regnamespace";
  const known = (await queryStore(dataFolder, query)).map(({ name }) => String(name));
  return known.filter((name) => !tablesOfNobody.has(name));
};

/** What stands in the store of a node over this data folder, seen past the node: the rows of queries that both engines understand. */
export const queryStoreEach = async (
  dataFolder: string,
  texts: readonly string[],
): Promise<Record<string, unknown>[][]> => {
  const { store } = await storeOption(dataFolder);
  if (store === undefined) {
    const database = new DatabaseSync(join(dataFolder, 'fleetgate.db'), { readOnly: true });
    try {
      return texts.map((text) =>
        database
          .prepare(text)
          .all()
          .map((row) => ({ ...row })),
      );
    } finally {
      database.close();
    }
  }
  const client = new Client({ connectionString: store, options: '-c search_path=fleetgate' });
  await client.connect();
  try {
    const found: Record<string, unknown>[][] = [];
    for (const text of texts) found.push((await client.query(text)).rows);
    return found;
  } finally {
    await client.end();
  }
};

/** The same of one query. */
export const queryStore = async (dataFolder: string, text: string): Promise<Record<string, unknown>[]> =>
  (await queryStoreEach(dataFolder, [text]))[0] ?? [];
