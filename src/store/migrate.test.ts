import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stores } from '../../test/stores.ts';
import { type Migration, migrate } from './migrate.ts';
import { StoreUnavailable } from './store.ts';

const cas1: Migration = {
  name: 'cas-0001',
  sql: ['create table cas (id text primary key)', "insert into cas values ('x')"],
};
const cas2: Migration = { name: 'cas-0002', sql: ['alter table cas add column pem text'] };
const things1: Migration = { name: 'things-0001', sql: ['create table things (id text primary key)'] };

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

for (const [engine, open] of stores) {
  test(`${engine}: migrations are applied in order, once, and told`, async (t) => {
    const store = await open(t);
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

  test(`${engine}: a feature that comes to stand earlier in the list later on is no gap`, async (t) => {
    const store = await open(t);
    await migrate(store, [things1]);
    assert.deepEqual(await migrate(store, [cas1, things1]), ['cas-0001']);
  });

  for (const [name, list, message] of badLists) {
    test(`${engine}: ${name} is refused before the store is touched (layout 3)`, async (t) => {
      const store = await open(t);
      await assert.rejects(migrate(store, list), { message });
      await assert.rejects(store.db.selectFrom('schema_migrations').selectAll().execute(), /schema_migrations/);
    });
  }

  test(`${engine}: a changed text is refused`, async (t) => {
    const store = await open(t);
    await migrate(store, [cas1]);
    await assert.rejects(migrate(store, [{ ...cas1, sql: ['create table cas (id text)'] }]), {
      message: /cas-0001 was changed after/,
    });
  });

  test(`${engine}: a newer schema is refused with a clear sentence and left alone`, async (t) => {
    const store = await open(t);
    await migrate(store, [cas1, cas2]);
    await assert.rejects(migrate(store, [cas1, things1]), (error: unknown) => {
      assert.ok(error instanceof StoreUnavailable);
      assert.match(error.message, /newer Fleetgate \(it has cas-0002\)/);
      return true;
    });
    assert.deepEqual(await migrate(store, [cas1, cas2, things1]), ['things-0001']);
  });

  test(`${engine}: a migration that fails leaves nothing of any`, async (t) => {
    const store = await open(t);
    await assert.rejects(migrate(store, [cas1, { name: 'cas-0002', sql: ['create nonsense'] }]), /nonsense/);
    assert.deepEqual(await migrate(store, [cas1]), ['cas-0001']);
  });

  test(`${engine}: nodes that start at once migrate one after the other: each step is applied once`, async (t) => {
    const store = await open(t);
    const nodes = engine === 'sqlite' ? [store, store] : [store, await store.reopen(), await store.reopen()];
    const applied = await Promise.all(nodes.map((node) => migrate(node, [cas1, cas2, things1])));
    assert.deepEqual(applied.map(({ length }) => length).sort(), [...nodes.slice(1).map(() => 0), 3]);
  });
}
