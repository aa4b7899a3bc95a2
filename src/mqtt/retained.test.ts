/** What is retained, on every engine: one message per topic, durable, bounded, for a time. Source: spec gateway.md 5.9, 12. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { stores, type TestStore } from '../../test/stores.ts';
import type { AccountRegion } from '../aws/arn.ts';
import { migrate } from '../store/migrate.ts';
import { type Store, StoreUnavailable } from '../store/store.ts';
import { Retained } from './retained.ts';
import { type RetainedMessage, retainedMigrations } from './retained-rows.ts';
import { matchesFilter } from './topic.ts';

const account: AccountRegion = { accountId: '000000000000', region: 'us-east-1' };
const other: AccountRegion = { accountId: '111111111111', region: 'us-east-1' };
const elsewhere: AccountRegion = { ...account, region: 'eu-west-1' };
const startMs = 1_700_000_000_000;
const dayMs = 86_400_000;

const message = (topic: string, payload: string, more: Partial<RetainedMessage> = {}): RetainedMessage => ({
  topic,
  payload: Buffer.from(payload),
  qos: 1,
  properties: undefined,
  messageExpiresAtMs: Infinity,
  updatedAtMs: startMs,
  ...more,
});

for (const [engine, open] of stores) {
  const bed = async (t: TestContext, retainedPerAccountMax = 100) => {
    const store = await open(t);
    await migrate(store, retainedMigrations);
    const clock = { nowMs: startMs };
    const over = (by: Pick<Store, 'db' | 'write'>, hashMatchesParent = false) =>
      new Retained({ store: by, retainedPerAccountMax, hashMatchesParent, now: () => clock.nowMs });
    const rows = async () =>
      (await store.db.selectFrom('retained_messages').select('topic').orderBy('topic').execute()).map((r) => r.topic);
    return { store, clock, over, retained: over(store), rows };
  };
  const payloadOf = async (retained: Retained, topic: string, of = account) =>
    (await retained.find(of, topic))?.payload.toString();

  test(`${engine}: a topic keeps its last message with all it had; an empty one deletes it`, async (t) => {
    const { store, retained, over } = await bed(t);
    const kept = message('a/b', 'second', {
      qos: 0,
      properties: Buffer.of(1, 1),
      messageExpiresAtMs: startMs + 1000,
      updatedAtMs: startMs + 1,
    });
    assert.equal(await retained.write(account, message('a/b', 'first')), 'kept');
    assert.equal(await retained.write(account, kept), 'kept');
    assert.deepEqual(await retained.find(account, 'a/b'), kept);
    assert.deepEqual(await over(store).find(account, 'a/b'), kept, 'so does whoever opens the store later');
    assert.equal(await retained.write(account, message('a/b', '')), 'kept');
    assert.equal(await retained.find(account, 'a/b'), undefined);
    assert.equal(await retained.write(account, message('never/there', '')), 'kept', 'nothing to delete is no fault');
  });

  test(`${engine}: accounts and regions do not see each other's`, async (t) => {
    const { retained } = await bed(t);
    await retained.write(account, message('t', 'mine'));
    assert.equal(await payloadOf(retained, 't', other), undefined);
    assert.equal(await payloadOf(retained, 't', elsewhere), undefined);
    assert.deepEqual(await retained.list(other, { after: '', limit: 10 }), []);
    await retained.write(other, message('t', ''));
    assert.equal(await payloadOf(retained, 't'), 'mine');
    assert.deepEqual([retained.mayHave(account), retained.mayHave(other)], [true, false]);
  });

  test(`${engine}: the list is in topic order, page by page, without payloads`, async (t) => {
    const { retained } = await bed(t);
    for (const topic of ['b', 'a/b', 'é', 'a']) {
      await retained.write(account, message(topic, 'four', { updatedAtMs: startMs + 5 }));
    }
    const [first, second] = await retained.list(account, { after: '', limit: 2 });
    assert.deepEqual(first, { topic: 'a', payloadBytes: 4, qos: 1, updatedAtMs: startMs + 5 });
    const rest = await retained.list(account, { after: second?.topic ?? '', limit: 2 });
    assert.deepEqual([second?.topic, ...rest.map(({ topic }) => topic)], ['a/b', 'b', 'é']);
  });

  test(`${engine}: whoever reads waits for what is being written to the topic`, async (t) => {
    const { retained } = await bed(t);
    const written = [retained.write(account, message('a', '1')), retained.write(account, message('a', '2'))];
    assert.equal(await payloadOf(retained, 'a'), '2');
    const listed = retained.write(account, message('b', '1'));
    assert.deepEqual(
      (await retained.list(account, { after: '', limit: 9 })).map(({ topic }) => topic),
      ['a', 'b'],
    );
    assert.deepEqual(await Promise.all([...written, listed]), ['kept', 'kept', 'kept']);
  });

  test(`${engine}: a reader is given what was committed while it was reading`, async (t) => {
    const { store, over } = await bed(t);
    const gate = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    /** Point reads are answered when the gate opens, with what they saw before. */
    const db = new Proxy(store.db, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target);
        if (name !== 'executeQuery') return typeof value === 'function' ? value.bind(target) : value;
        return async (query: Parameters<typeof store.db.executeQuery>[0]) => {
          const seen = await target.executeQuery(query);
          asked.resolve();
          await gate.promise;
          return seen;
        };
      },
    });
    await over(store).write(account, message('a', 'old'));
    await over(store).write(account, message('b', 'old'));
    const retained = over({ db, write: store.write });
    const sent: string[] = [];
    const sending = retained.read(account, 'a', ({ payload }) => sent.push(payload.toString()));
    const replaced = retained.find(account, 'a');
    const deleted = retained.find(account, 'b');
    await asked.promise;
    await retained.write(account, message('a', 'new'));
    await retained.write(account, message('b', ''));
    gate.resolve();
    assert.equal((await replaced)?.payload.toString(), 'new');
    assert.equal(await deleted, undefined);
    await sending;
    assert.deepEqual(sent, [], 'a subscriber gets the newer one live');
  });

  test(`${engine}: one topic more than retainedPerAccountMax is refused, also in one unit, and changes nothing`, async (t) => {
    const { retained, store, over, rows } = await bed(t, 2);
    const outcomes = ['a', 'b', 'c', 'd'].map((topic) => retained.write(account, message(topic, 'x')));
    assert.deepEqual(await Promise.all(outcomes), ['kept', 'kept', 'full', 'full']);
    assert.equal(await retained.write(account, message('a', 'replaced')), 'kept', 'replacing is not one more');
    assert.equal(await retained.write(other, message('c', 'x')), 'kept', 'another account has its own bound');
    const later = over(store);
    assert.equal(await later.write(account, message('c', 'x')), 'full', 'after a restart too');
    assert.equal(await later.write(account, message('c', '')), 'kept', 'deleting is always allowed');
    assert.equal(await later.write(account, message('a', '')), 'kept');
    assert.equal(await later.write(account, message('c', 'x')), 'kept');
    assert.deepEqual(await rows(), ['b', 'c', 'c']);
  });

  test(`${engine}: expired messages count as absent at once, make room at the bound, and are deleted by the task`, async (t) => {
    const { retained, clock, rows } = await bed(t, 2);
    await retained.write(account, message('brief', 'x', { messageExpiresAtMs: startMs + 1000 }));
    await retained.write(account, message('long', 'x'));
    await retained.write(other, message('brief', 'x', { messageExpiresAtMs: startMs + 1000 }));
    clock.nowMs += 999;
    assert.equal(await payloadOf(retained, 'brief'), 'x');
    clock.nowMs += 1;
    assert.equal(await payloadOf(retained, 'brief'), undefined);
    assert.deepEqual(
      (await retained.list(account, { after: '', limit: 9 })).map(({ topic }) => topic),
      ['long'],
    );
    assert.equal(await retained.write(account, message('more', 'x')), 'kept');
    assert.deepEqual(await rows(), ['brief', 'long', 'more']);
    await retained.sweep(clock.nowMs);
    assert.deepEqual(await rows(), ['long', 'more']);
    assert.equal(retained.mayHave(other), false);
    assert.equal(await retained.write(account, message('one more', 'x')), 'full');
  });

  test(`${engine}: a message is forgotten three years after its last update`, async (t) => {
    const { retained, clock } = await bed(t);
    const year = 365 * dayMs;
    await retained.write(account, message('a', 'x'));
    await retained.write(account, message('b', 'x'));
    clock.nowMs += 2 * year;
    await retained.write(account, message('b', 'y', { updatedAtMs: clock.nowMs }));
    clock.nowMs += year;
    assert.deepEqual([await payloadOf(retained, 'a'), await payloadOf(retained, 'b')], [undefined, 'y']);
  });

  test(`${engine}: a store that cannot be written refuses, and the next write goes on`, async (t) => {
    const { store, over } = await bed(t);
    let broken = true;
    const flaky: Pick<TestStore, 'db' | 'write'> = {
      db: store.db,
      write: (unit) => (broken ? Promise.reject(new StoreUnavailable('disk full')) : store.write(unit)),
    };
    const retained = over(flaky);
    await assert.rejects(retained.write(account, message('a', 'x')), StoreUnavailable);
    assert.equal(await payloadOf(retained, 'a'), undefined);
    broken = false;
    assert.equal(await retained.write(account, message('a', 'y')), 'kept');
    assert.equal(await payloadOf(retained, 'a'), 'y');
  });

  test(`${engine}: a filter with wildcards finds its topics over all pages`, async (t) => {
    const { store, retained, over } = await bed(t, 1000);
    const many = Array.from({ length: 300 }, (_, index) => `many/${String(index).padStart(3, '0')}/x`);
    const written = [...many, 'a', 'a/b', 'a/b/c', 'ab', '$x/y'].map((topic) =>
      retained.write(account, message(topic, 'x')),
    );
    await Promise.all(written);
    const found = async (filter: string, by = retained) => {
      const topics: string[] = [];
      for await (const page of by.topics(account, filter)) topics.push(...page);
      return topics;
    };
    assert.deepEqual(await found('many/+/x'), many);
    assert.deepEqual(await found('a/#'), ['a/b', 'a/b/c']);
    assert.deepEqual(await found('a/#', over(store, true)), ['a', 'a/b', 'a/b/c']);
    assert.equal((await found('#')).length, 304);
    assert.deepEqual(await found('$x/+'), ['$x/y']);
    assert.deepEqual(await found('none/+'), []);
  });
}

test('without a store nothing can be retained, and nothing is', async () => {
  const retained = new Retained({
    store: undefined,
    retainedPerAccountMax: 10,
    hashMatchesParent: false,
    now: () => startMs,
  });
  await assert.rejects(retained.write(account, message('a', 'x')), StoreUnavailable);
  assert.equal(retained.mayHave(account), false);
  assert.equal(await retained.find(account, 'a'), undefined);
  await retained.sweep(startMs);
});

const cases: [filter: string, topic: string, expected: boolean, rule: string][] = [
  ['a/b', 'a/b', true, 'equal'],
  ['a/b', 'a/b/c', false, 'the topic is longer'],
  ['a/b/c', 'a/b', false, 'the filter is longer'],
  ['a/+/c', 'a//c', true, 'an empty level is still a level'],
  ['a/+', 'a/', true, 'as the last one too'],
  ['a/+', 'a', false, 'plus needs a level'],
  ['a/#', 'a', false, 'hash needs a level below (gateway.md 5.6)'],
  ['a/#', 'a/', true, 'which may be empty'],
  ['#', 'a/b', true, 'hash matches all'],
  ['#', '$aws/x', false, 'wildcards never reach $ topics [MQTT-4.7.2-1]'],
  ['+/x', '$aws/x', false, 'wildcards never reach $ topics [MQTT-4.7.2-1]'],
  ['$aws/+', '$aws/x', true, 'unless the first level is spelled out'],
];
for (const [filter, topic, expected, rule] of cases) {
  test(`${filter} ${expected ? 'matches' : 'misses'} ${topic}: ${rule}`, () => {
    assert.equal(matchesFilter(filter, topic, false), expected);
  });
}
