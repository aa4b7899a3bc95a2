import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { sql } from 'kysely';
import { makeFolder } from '../../test/call.ts';
import { type Migration, migrate } from './migrate.ts';
import { openStore } from './sqlite.ts';
import { StoreUnavailable } from './store.ts';

const openEmpty = async (t: TestContext) => {
  const folder = await makeFolder(t, () => store.close());
  const store = await openStore({ file: join(folder, 'store.db'), durable: false });
  return store;
};
const cas1: Migration = {
  name: 'cas-0001',
  sql: ['create table cas (id text primary key)', "insert into cas values ('x')"],
};
const cas2: Migration = { name: 'cas-0002', sql: ['alter table cas add column pem text'] };
const things1: Migration = { name: 'things-0001', sql: ['create table things (id text primary key)'] };

test('migrations are applied in order, once, and told', async (t) => {
  const store = await openEmpty(t);
  assert.deepEqual(await migrate(store, [cas1, cas2], 5), ['cas-0001', 'cas-0002']);
  assert.deepEqual(await migrate(store, [cas1, cas2, things1], 6), ['things-0001']);
  assert.deepEqual(await migrate(store, [cas1, cas2, things1], 7), []);
  const rows = await store.db
    .selectFrom('schema_migrations')
    .select(['name', 'applied_at_ms'])
    .orderBy('name')
    .execute();
  assert.deepEqual(
    rows.map((row) => [row.name, row.applied_at_ms]),
    [
      ['cas-0001', 5],
      ['cas-0002', 5],
      ['things-0001', 6],
    ],
  );
});

test('a feature that comes to stand earlier in the list later on is no gap', async (t) => {
  const store = await openEmpty(t);
  await migrate(store, [things1]);
  assert.deepEqual(await migrate(store, [cas1, things1]), ['cas-0001']);
});

const badLists: [name: string, list: Migration[], message: RegExp][] = [
  ['a gap', [cas1, { ...cas2, name: 'cas-0003' }], /cas-0003 stands where cas-0002 is expected/],
  ['a name twice', [cas1, cas1], /cas-0001 stands where cas-0002 is expected/],
  ['the wrong order', [cas2, cas1], /cas-0002 stands where cas-0001 is expected/],
  ['an odd name', [{ ...cas1, name: 'cas-1' }], /not named <feature>-<four digits>/],
  [
    'a table created by two features',
    [cas1, { name: 'pki-0001', sql: ['CREATE TABLE IF NOT EXISTS "cas" (id text)'] }],
    /Table cas is created by cas and by pki/,
  ],
];
for (const [name, list, message] of badLists) {
  test(`${name} is refused before the store is touched (layout 3)`, async (t) => {
    const store = await openEmpty(t);
    await assert.rejects(migrate(store, list), { message });
    assert.equal((await sql`select name from sqlite_master`.execute(store.db)).rows.length, 0);
  });
}

test('a changed text is refused', async (t) => {
  const store = await openEmpty(t);
  await migrate(store, [cas1]);
  await assert.rejects(migrate(store, [{ ...cas1, sql: ['create table cas (id text)'] }]), {
    message: /cas-0001 was changed after/,
  });
});

test('a newer schema is refused with a clear sentence and left alone', async (t) => {
  const store = await openEmpty(t);
  await migrate(store, [cas1, cas2]);
  await assert.rejects(migrate(store, [cas1, things1]), (error: unknown) => {
    assert.ok(error instanceof StoreUnavailable);
    assert.match(error.message, /newer Fleetgate \(it has cas-0002\)/);
    return true;
  });
  assert.deepEqual(await migrate(store, [cas1, cas2, things1]), ['things-0001']);
});

test('a migration that fails leaves nothing of any', async (t) => {
  const store = await openEmpty(t);
  await assert.rejects(migrate(store, [cas1, { name: 'cas-0002', sql: ['create nonsense'] }]), { name: 'SqliteError' });
  assert.deepEqual(await migrate(store, [cas1]), ['cas-0001']);
});
