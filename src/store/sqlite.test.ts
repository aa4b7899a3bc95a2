/** What SQLite's writer does beyond what every store keeps (store.test.ts). */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { makeFolder } from '../../test/call.ts';
import { migrate } from './migrate.ts';
import { openStore, type SqliteOptions, type SqliteStore } from './sqlite.ts';
import { unitsPerCommitMax } from './sqlite-writer.ts';
import { type Db, writeQueueMax } from './store.ts';

const openLedger = async (t: TestContext, options: Partial<SqliteOptions> = {}): Promise<SqliteStore> => {
  const folder = await makeFolder(t, () => store.close());
  const store = await openStore({ file: join(folder, 'store.db'), durable: false, ...options });
  await migrate(store, [
    {
      name: 'ledger-0001',
      sql: ['create table test_ledger (entry text not null primary key, amount bigint not null, payload bytea)'],
    },
  ]);
  return store;
};
const insert = (db: Db, entry: string, amount = 1) =>
  db.insertInto('test_ledger').values({ entry, amount, payload: null }).execute();
const entries = async (db: Db): Promise<string[]> =>
  (await db.selectFrom('test_ledger').select('entry').orderBy('entry').execute()).map((row) => row.entry);

test('many writers share few commits, and no commit holds more than unitsPerCommitMax units (group commit, design 2.4)', async (t) => {
  const store = await openLedger(t);
  const before = store.commits;
  const count = unitsPerCommitMax + 500;
  const appends = Array.from({ length: count }, (_, index) =>
    store.append([{ sql: 'insert into test_ledger values (?, ?, null)', parameters: [`e${index}`, index] }]),
  );
  await Promise.all(appends);
  const commits = store.commits - before;
  assert.ok(commits >= 2, 'the bound was respected');
  assert.ok(commits <= 50, `${count} writes took ${commits} commits`);
  assert.equal((await entries(store.db)).length, count);
});

test('a unit within a unit would wait for itself for ever: it is taken back', async (t) => {
  const store = await openLedger(t, { unitIdleMs: 50 });
  const nested = store.write(() => store.write((db) => insert(db, 'inner')));
  await assert.rejects(nested, { name: 'AssertionError' });
});

test('one more than writeQueueMax waiting writes is refused, the others are served', async (t) => {
  const store = await openLedger(t);
  const insertOne = { sql: 'insert into test_ledger values (?, 1, null)', parameters: ['only'] };
  const accepted = Array.from({ length: writeQueueMax }, (_, index) => store.append(index ? [] : [insertOne]));
  await assert.rejects(store.append([]), { name: 'StoreUnavailable', message: /10000 writes wait/ });
  await Promise.all(accepted);
  assert.deepEqual(await entries(store.db), ['only']);
});
