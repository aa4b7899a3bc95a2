/** What every store keeps, whatever its engine. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { sql } from 'kysely';
import { stores, type TestStore, type TestStoreOptions } from '../../test/stores.ts';
import { migrate } from './migrate.ts';
import { type Db, StoreUnavailable } from './store.ts';

interface LedgerTable {
  entry: string;
  amount: number;
  payload: Uint8Array | null;
}
declare module './tables.ts' {
  interface Tables {
    test_ledger: LedgerTable;
  }
}

const insert = (db: Db, entry: string, amount = 1) =>
  db.insertInto('test_ledger').values({ entry, amount, payload: null }).execute();
const entries = async (db: Db): Promise<string[]> =>
  (await db.selectFrom('test_ledger').select('entry').orderBy('entry').execute()).map((row) => row.entry);

for (const [engine, open] of stores) {
  const openLedger = async (t: TestContext, options?: TestStoreOptions): Promise<TestStore> => {
    const store = await open(t, options);
    await migrate(store, [
      {
        name: 'ledger-0001',
        sql: ['create table test_ledger (entry text not null primary key, amount bigint not null, payload bytea)'],
      },
    ]);
    return store;
  };

  test(`${engine}: a unit reads what it has written, others only after its commit`, async (t) => {
    const store = await openLedger(t);
    const seen = await store.write(async (db) => {
      await insert(db, 'a');
      return { inside: await entries(db), outside: await entries(store.db) };
    });
    assert.deepEqual(seen, { inside: ['a'], outside: [] });
    assert.deepEqual(await entries(store.db), ['a']);
  });

  test(`${engine}: a unit that throws leaves nothing behind and rejects with what it threw; its neighbours stay (design 2.4)`, async (t) => {
    const store = await openLedger(t);
    const mistake = new Error('changed my mind');
    const outcomes = await Promise.allSettled([
      store.write((db) => insert(db, 'a')),
      store.write(async (db) => {
        await insert(db, 'b');
        throw mistake;
      }),
      store.write((db) => insert(db, 'c')),
    ]);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
    assert.equal(outcomes[1]?.status === 'rejected' && outcomes[1].reason, mistake);
    assert.deepEqual(await entries(store.db), ['a', 'c']);
  });

  test(`${engine}: a broken constraint undoes its unit only and is no failure of the world`, async (t) => {
    const store = await openLedger(t);
    await store.write((db) => insert(db, 'a'));
    await assert.rejects(
      store.write(async (db) => {
        await insert(db, 'b');
        await insert(db, 'a');
      }),
      { message: /UNIQUE|unique/ },
    );
    assert.deepEqual(await entries(store.db), ['a']);
    assert.equal(store.writable, true);
  });

  test(`${engine}: a unit ends with a statement that fails, also when it catches that`, async (t) => {
    const store = await openLedger(t);
    await assert.rejects(
      store.write(async (db) => {
        await insert(db, 'a');
        await assert.rejects(insert(db, 'a'));
      }),
      { message: /UNIQUE|unique/ },
    );
    assert.deepEqual(await entries(store.db), []);
  });

  test(`${engine}: units run one after another: a read and the write that depends on it are not torn apart`, async (t) => {
    const store = await openLedger(t);
    await store.write((db) => insert(db, 'count', 0));
    const increment = async (db: Db) => {
      const { amount } = await db
        .selectFrom('test_ledger')
        .select('amount')
        .where('entry', '=', 'count')
        .executeTakeFirstOrThrow();
      await db
        .updateTable('test_ledger')
        .set({ amount: amount + 1 })
        .where('entry', '=', 'count')
        .execute();
    };
    await Promise.all(Array.from({ length: 200 }, () => store.write(increment)));
    const { amount } = await store.db.selectFrom('test_ledger').select('amount').executeTakeFirstOrThrow();
    assert.equal(amount, 200);
  });

  test(`${engine}: an append is one unit: all of its statements or none, and its failure is its own`, async (t) => {
    const store = await openLedger(t);
    const statement = (entry: string) =>
      store.db.insertInto('test_ledger').values({ entry, amount: 1, payload: null }).compile();
    const [first, second, third] = await Promise.allSettled([
      store.append([statement('a')]),
      store.append([statement('b'), statement('a')]),
      store.append([statement('c'), statement('d')]),
    ]);
    assert.deepEqual([first?.status, second?.status, third?.status], ['fulfilled', 'rejected', 'fulfilled']);
    assert.deepEqual(await entries(store.db), ['a', 'c', 'd']);
  });

  test(`${engine}: a unit that waits for something else than the store is taken back and the next one runs`, async (t) => {
    const store = await openLedger(t, { unitIdleMs: 50 });
    const { promise: never } = Promise.withResolvers<void>();
    let handle: Db | undefined;
    const stuck = store.write(async (db) => {
      handle = db;
      await insert(db, 'stuck');
      await never;
    });
    const next = store.write((db) => insert(db, 'next'));
    await assert.rejects(stuck, { name: 'AssertionError', message: /something else than the store/ });
    await next;
    assert.deepEqual(await entries(store.db), ['next']);
    assert.ok(handle);
    await assert.rejects(insert(handle, 'late'), { name: 'AssertionError', message: /after its end/ });
  });

  test(`${engine}: a unit that ends before its statements have is refused and undone`, async (t) => {
    const store = await openLedger(t);
    let forgotten: Promise<unknown> | undefined;
    const hasty = store.write(async (db) => {
      forgotten = insert(db, 'a');
      await Promise.resolve();
      // Kysely reaches the connection some microtasks later: one answered statement makes sure that it was sent.
      await entries(db);
      forgotten = Promise.all([forgotten, insert(db, 'b')]);
      for (let turn = 0; turn < 50; turn++) await Promise.resolve();
    });
    await assert.rejects(hasty, { name: 'AssertionError', message: /before its statements/ });
    await forgotten;
    assert.deepEqual(await entries(store.db), []);
  });

  test(`${engine}: transactions of Kysely are refused: a unit is the transaction`, async (t) => {
    const store = await openLedger(t);
    await assert.rejects(
      store.db.transaction().execute((db) => insert(db, 'a')),
      { name: 'AssertionError' },
    );
  });

  test(`${engine}: the reading connection cannot write`, async (t) => {
    const store = await openLedger(t);
    await assert.rejects(insert(store.db, 'a'), StoreUnavailable);
  });

  test(`${engine}: integers up to 2^53 and bytes, also from the middle of a buffer, come back as they went in`, async (t) => {
    const store = await openLedger(t);
    const whole = Buffer.from('xxabcxx');
    const row = { entry: 'a', amount: Number.MAX_SAFE_INTEGER, payload: whole.subarray(2, 5) };
    await store.write((db) => db.insertInto('test_ledger').values(row).execute());
    const found = await store.db.selectFrom('test_ledger').selectAll().executeTakeFirstOrThrow();
    assert.equal(found.amount, Number.MAX_SAFE_INTEGER);
    assert.deepEqual(Buffer.from(found.payload ?? []), Buffer.from('abc'));
  });

  test(`${engine}: on conflict and returning work, and the count of changed rows is told`, async (t) => {
    const store = await openLedger(t);
    const result = await store.write(async (db) => {
      const values = { entry: 'a', amount: 1, payload: null };
      const first = await db
        .insertInto('test_ledger')
        .values(values)
        .onConflict((c) => c.doNothing())
        .executeTakeFirst();
      const second = await db
        .insertInto('test_ledger')
        .values(values)
        .onConflict((c) => c.doNothing())
        .executeTakeFirst();
      const updated = await db.updateTable('test_ledger').set({ amount: 7 }).returning(['entry', 'amount']).execute();
      return [first.numInsertedOrUpdatedRows, second.numInsertedOrUpdatedRows, updated.map((row) => row.amount)];
    });
    assert.deepEqual(result, [1n, 0n, [7]]);
  });

  test(`${engine}: a parameter that cannot be bound is the mistake of its unit`, async (t) => {
    const store = await openLedger(t);
    await assert.rejects(
      store.write((db) => sql`insert into test_ledger values (${{ not: 'bindable' }}, 1, null)`.execute(db)),
      TypeError,
    );
    assert.equal(store.writable, true);
  });

  test(`${engine}: close serves what was accepted, then refuses`, async (t) => {
    const store = await openLedger(t);
    const accepted = store.write((db) => insert(db, 'a'));
    await store.close();
    await accepted;
    await assert.rejects(
      store.write((db) => insert(db, 'b')),
      StoreUnavailable,
    );
    await assert.rejects(entries(store.db), StoreUnavailable);
  });
}
