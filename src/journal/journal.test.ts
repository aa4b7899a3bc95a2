import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { otherAccount, testAccount, testStartMs } from '../../test/call.ts';
import { openTestStore, type TestStore } from '../../test/stores.ts';
import { migrate } from '../store/migrate.ts';
import { type Store, StoreUnavailable } from '../store/store.ts';
import { type Journal, type JournalOptions, openJournal } from './journal.ts';
import type { JournalRecord } from './record.ts';
import {
  journalMigrations,
  type Ring,
  ringFailuresPerSourceMax,
  ringProvisionedPerSourceMax,
  ringRecordsMax,
  ringSuccessesPerSourceMax,
} from './ring.ts';
import type { StoredRecord } from './stored-record.ts';

const certificateId = 'ab12cd34'.repeat(8);
const refused = (members: Partial<JournalRecord> = {}): JournalRecord => ({
  account: testAccount,
  eventType: 'Connect',
  status: 'Failure',
  reason: 'AUTHORIZATION_FAILURE',
  sourceIp: '192.0.2.1',
  certificateId,
  clientId: 'dev1',
  ...members,
});

const open = async (t: TestContext, options: Partial<JournalOptions> = {}) => {
  let journal: Journal | undefined;
  t.after(() => journal?.close()); // before its store, which is closed after
  let store: TestStore | undefined;
  let nowMs = testStartMs;
  const reopen = async (): Promise<Journal> => {
    await journal?.close();
    await store?.close();
    store = store ? await store.reopen() : await openTestStore(t);
    await migrate(store, journalMigrations);
    journal = await openJournal({ store, now: () => nowMs, ...options });
    return journal;
  };
  return { journal: await reopen(), reopen, advance: (ms: number) => (nowMs += ms) };
};
const own: readonly Ring[] = [testAccount];
const clientIds = (records: readonly StoredRecord[]) => records.map(({ clientId }) => clientId);

test('a record can be read at once, before it is written', async (t) => {
  const { journal } = await open(t);
  journal.record(refused());
  const [record] = await journal.read({ rings: own, limit: 1 });
  assert.equal(record?.clientId, 'dev1');
  assert.equal(record?.atMs, testStartMs);
});

test('records and the count of their repeats outlive a restart, newest first', async (t) => {
  const { journal, reopen, advance } = await open(t);
  journal.record(refused({ clientId: 'first' }));
  journal.record(refused({ clientId: 'second' }));
  await journal.flush();
  advance(1000);
  journal.record(refused({ clientId: 'first' }));
  const again = await reopen();
  again.record(refused({ clientId: 'third' }));
  const records = await again.read({ rings: own, limit: 10 });
  assert.deepEqual(clientIds(records), ['third', 'first', 'second']);
  assert.deepEqual([records[1]?.repeats, records[1]?.lastAtMs], [1, testStartMs + 1000]);
});

test('what was recorded is written by itself', { timeout: 10_000 }, async (t) => {
  const { promise: logged, resolve } = Promise.withResolvers<StoredRecord>();
  const { journal } = await open(t, { log: resolve });
  journal.record(refused());
  // The timer of the journal does not keep a process alive; this one does until it has fired.
  const alive = setInterval(() => {}, 1000);
  t.after(() => clearInterval(alive));
  assert.equal((await logged).clientId, 'dev1');
});

test('a record is logged once, its repeats are not', async (t) => {
  const logged: StoredRecord[] = [];
  const { journal } = await open(t, { log: (record) => logged.push(record) });
  journal.record(refused());
  await journal.flush();
  journal.record(refused());
  await journal.flush();
  assert.equal(logged.length, 1);
});

test('one account never reads the records of another, of another region, or of the node (design.md 5)', async (t) => {
  const { journal } = await open(t);
  const otherRegion = { ...testAccount, region: 'eu-west-1' };
  const { account: _, ...ofNobody } = refused({ clientId: 'nobody' });
  journal.record(ofNobody);
  journal.record(refused({ clientId: 'own' }));
  journal.record(refused({ account: otherAccount, clientId: 'theirs' }));
  journal.record(refused({ account: otherRegion, clientId: 'elsewhere' }));
  const check = async () => {
    for (const filter of [{}, { certificateId }, { subject: certificateId.slice(0, 8) }]) {
      const read = async (...rings: Ring[]) => clientIds(await journal.read({ rings, limit: 100, ...filter }));
      assert.deepEqual(await read(testAccount), ['own']);
      assert.deepEqual(await read(otherAccount), ['theirs']);
      assert.deepEqual(await read(otherRegion), ['elsewhere']);
      assert.deepEqual(await read('operator'), ['nobody']);
      assert.deepEqual(await read(testAccount, 'operator'), ['own', 'nobody']);
    }
  };
  await check();
  await journal.flush();
  await check();
});

test('records are found by certificate, the beginning of its id, client id, either, and failure', async (t) => {
  const { journal, reopen } = await open(t);
  const other = 'ff'.repeat(32);
  journal.record(refused({ clientId: 'dev1' }));
  journal.record(refused({ clientId: 'dev2', certificateId: other }));
  journal.record({ ...refused({ clientId: 'dev3' }), status: 'Success' });
  journal.record(refused({ clientId: 'esc\u001b' }));
  for (const each of [journal, await reopen()]) {
    const find = async (filter: object) => clientIds(await each.read({ rings: own, limit: 100, ...filter }));
    assert.deepEqual(await find({ certificateId: other }), ['dev2']);
    assert.deepEqual(await find({ subject: other.slice(0, 8) }), ['dev2']);
    assert.deepEqual(await find({ subject: other.slice(0, 7) }), []);
    assert.deepEqual(await find({ subject: 'dev1' }), ['dev1']);
    assert.deepEqual(await find({ clientId: 'dev%' }), []);
    assert.deepEqual(await find({ clientId: 'esc\u001b' }), ['esc\\u001b']);
    assert.deepEqual(await find({ certificateId, failuresOnly: true }), ['esc\\u001b', 'dev1']);
  }
});

test('a flood from one source keeps its share of the ring and pushes out no other (design.md 4)', async (t) => {
  const { journal, reopen } = await open(t);
  journal.record(refused({ clientId: 'victim', sourceIp: '198.51.100.7' }));
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 40; i++) journal.record(refused({ clientId: `flood-${round}-${i}` }));
    await journal.flush();
  }
  const again = await reopen();
  const records = await again.read({ rings: own, limit: 100 });
  assert.equal(records.length, ringFailuresPerSourceMax + 1);
  assert.deepEqual(clientIds(records).slice(0, 2), ['flood-19-39', 'flood-19-38']);
  assert.equal(records.at(-1)?.clientId, 'victim');
});

test('refused calls of the API push out no refused device of the same address, and are not pushed out by any', async (t) => {
  const { journal, reopen } = await open(t);
  const call = (action: string): JournalRecord => ({ ...refused(), eventType: 'ApiCall', protocol: 'HTTP', action });
  journal.record(refused({ clientId: 'device' }));
  for (let i = 0; i < 60; i++) journal.record(call(`iam:Call${i}`));
  await journal.flush();
  for (let i = 0; i < 60; i++) journal.record(refused({ clientId: `device-${i}` }));
  await journal.flush();
  for (let i = 60; i < 120; i++) journal.record(call(`iam:Call${i}`));
  const again = await reopen();
  const records = await again.read({ rings: own, limit: 100 });
  const ofCalls = records.filter(({ eventType }) => eventType === 'ApiCall');
  assert.deepEqual([ofCalls.length, records.length], [ringFailuresPerSourceMax, 2 * ringFailuresPerSourceMax]);
});

test('successes have a smaller share and never push out a failure', async (t) => {
  const { journal, reopen } = await open(t);
  journal.record(refused({ clientId: 'failed' }));
  for (let i = 0; i < 50; i++) journal.record({ ...refused({ clientId: `ok-${i}` }), status: 'Success' });
  const again = await reopen();
  const records = await again.read({ rings: own, limit: 100 });
  assert.equal(records.length, ringSuccessesPerSourceMax + 1);
  assert.equal(records.at(-1)?.clientId, 'failed');
});

test('replies on two topics that nobody heard are two refusals', async (t) => {
  const { journal } = await open(t);
  for (const topic of ['a', 'b', 'a']) journal.record(refused({ reason: 'REPLY_NOT_SUBSCRIBED', facts: { topic } }));
  const records = await journal.read({ rings: own, limit: 10 });
  assert.deepEqual(
    records.map(({ facts, repeats }) => [facts?.['topic'], repeats]),
    [
      ['a', 1],
      ['b', 0],
    ],
  );
});

test('a thing that a device was given outlives the connections that follow, and pushes out no failure', async (t) => {
  const { journal, reopen } = await open(t);
  const success = (clientId: string): JournalRecord => ({ ...refused({ clientId }), status: 'Success' });
  journal.record(refused({ clientId: 'failed' }));
  for (let i = 0; i < ringProvisionedPerSourceMax + 10; i++) {
    const eventType = i % 2 === 0 ? 'GetDeviceCredentials' : 'ProvisionDevice';
    journal.record({ ...success(`thing-${i}`), eventType });
    if (i % 40 === 0) await journal.flush();
  }
  await journal.flush();
  for (let i = 0; i < 50; i++) journal.record(success(`ok-${i}`));
  const again = await reopen();
  const ids = [
    ...clientIds(await again.read({ rings: own, limit: 100 })),
    ...clientIds(await again.read({ rings: own, limit: 100, failuresOnly: true })),
  ];
  const things = ids.filter((id) => id?.startsWith('thing-'));
  // one read answers a hundred: the five connections, and of the hundred things the newest
  assert.deepEqual([things.length, things[0]], [100 - ringSuccessesPerSourceMax, 'thing-109']);
  assert.equal(ids.at(-1), 'failed');
});

test('a full ring gives up the many records of a few sources before the one of another, and successes first', async (t) => {
  const { journal, reopen } = await open(t);
  journal.record(refused({ clientId: 'victim', sourceIp: '198.51.100.7' }));
  journal.record({ ...refused({ clientId: 'admitted', sourceIp: '198.51.100.8' }), status: 'Success' });
  for (let round = 0; round < 16; round++) {
    for (let i = 0; i < 40; i++) journal.record(refused({ clientId: `flood-${i}`, sourceIp: `192.0.2.${round}` }));
    await journal.flush();
  }
  const again = await reopen();
  assert.deepEqual(clientIds(await again.read({ rings: own, clientId: 'victim', limit: 1 })), ['victim']);
  assert.deepEqual(await again.read({ rings: own, clientId: 'admitted', limit: 1 }), []);
});

test('a ring is bounded, whatever the number of sources', async (t) => {
  const { journal, reopen } = await open(t);
  for (let i = 0; i < ringRecordsMax + 200; i++) {
    journal.record(refused({ clientId: `c${i}`, sourceIp: `10.0.${i >> 8}.${i & 255}` }));
  }
  await journal.flush();
  const again = await reopen();
  let total = 0;
  for (let hundred = 0; hundred < 10; hundred++) {
    const records = await Promise.all(
      Array.from({ length: 100 }, (_, i) => again.read({ rings: own, clientId: `c${hundred * 100 + i}`, limit: 1 })),
    );
    total += records.flat().length;
  }
  assert.equal(total, ringRecordsMax);
});

test('a store that is down costs no attempt anything: memory answers, and what is still there is written later', async (t) => {
  const store = await openTestStore(t);
  await migrate(store, journalMigrations);
  let down = true;
  const troubles: unknown[] = [];
  const flaky: Store = {
    ...store,
    write: (unit) => (down ? Promise.reject(new StoreUnavailable('The disk is full.')) : store.write(unit)),
  };
  const journal = await openJournal({ store: flaky, now: () => 0, trouble: (error) => troubles.push(error) });
  journal.record(refused());
  await journal.flush();
  assert.equal(troubles.length, 1);
  assert.equal((await journal.read({ rings: own, limit: 1 })).length, 1);
  down = false;
  await journal.close();
  const again = await openJournal({ store, now: () => 0 });
  assert.equal((await again.read({ rings: own, limit: 1 })).length, 1);
});

test('record never throws, whatever breaks inside', async (t) => {
  const { journal } = await open(t, {
    now: () => {
      throw new Error('no clock');
    },
    trouble: () => {
      throw new Error('no one to tell');
    },
  });
  journal.record(refused());
  await journal.flush();
});
