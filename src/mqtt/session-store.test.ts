/** What is kept of sessions, over both engines: it comes back as it went in, belongs to one account and region, and is read in pages. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createBed, type RawClient } from '../../test/mqtt-bed.ts';
import { type OpenTestStore, stores, type TestStore } from '../../test/stores.ts';
import { allMigrations } from '../features/migrations.ts';
import { migrate } from '../store/migrate.ts';
import { stragglerSpan } from './queue.ts';
import { expiredRows, queuePages, sessionPages, subscriptionPages } from './session-pages.ts';
import { type KeptMessage, type KeptSession, type Owner, SessionStore } from './session-store.ts';
import type { Granted } from './subscriptions.ts';

const account = { accountId: '000000000000', region: 'us-east-1' };
const others = [
  { accountId: '111111111111', region: 'us-east-1' },
  { accountId: '000000000000', region: 'eu-west-1' },
];

const session = (clientId: string, more: Partial<KeptSession> = {}): KeptSession => ({
  clientId,
  sessionIdentifier: `of ${clientId}`,
  epoch: 1,
  protocolVersion: 5,
  cleanStart: true,
  expirySeconds: 60,
  keepAliveSeconds: 30,
  connectedAtMs: 1_700_000_000_000,
  disconnectedAtMs: undefined,
  disconnectReason: undefined,
  ...more,
});

const message = (topic: string, more: Partial<KeptMessage> = {}): KeptMessage => ({
  topic,
  qos: 1,
  retain: false,
  payload: new Uint8Array([0, 1, 255]),
  properties: undefined,
  expiresAtMs: Number.POSITIVE_INFINITY,
  ...more,
});

const opened = async (t: TestContext, open: OpenTestStore): Promise<{ kept: SessionStore; store: TestStore }> => {
  const store = await open(t);
  await migrate(store, allMigrations);
  return { kept: new SessionStore(store), store };
};

const all = async <T>(pages: AsyncIterable<readonly T[]>): Promise<T[]> => {
  const found: T[] = [];
  for await (const page of pages) found.push(...page);
  return found;
};

const write = (kept: SessionStore, owner: Owner, rows: readonly (readonly [number, KeptMessage])[]): Promise<void> =>
  kept.appends.append(rows.map(([position, each]) => kept.row(owner, position, each)));

for (const [engine, open] of stores) {
  test(`${engine}: a session comes back as it was last kept`, async (t) => {
    const { kept } = await opened(t, open);
    const first = session('a');
    await kept.keep(account, first, { isNew: true });
    assert.deepEqual(await all(sessionPages(kept.db)), [{ account, ...first }]);
    const later = session('a', {
      epoch: 2,
      protocolVersion: 4,
      cleanStart: false,
      expirySeconds: 604_800,
      keepAliveSeconds: 1200,
      connectedAtMs: 1_800_000_000_000,
      disconnectedAtMs: 1_800_000_000_001,
      disconnectReason: 'CONNECTION_LOST',
    });
    await kept.keep(account, later, { isNew: false });
    assert.deepEqual(await all(sessionPages(kept.db)), [{ account, ...later }]);
  });

  test(`${engine}: at the start of a node those that were connected count as disconnected`, async (t) => {
    const { kept } = await opened(t, open);
    await kept.keep(account, session('connected'), { isNew: true });
    await kept.keep(account, session('gone', { disconnectedAtMs: 5 }), { isNew: true });
    await kept.disconnectAll(9);
    assert.deepEqual(
      (await all(sessionPages(kept.db))).map(({ clientId, disconnectedAtMs }) => [clientId, disconnectedAtMs]),
      [
        ['connected', 9],
        ['gone', 5],
      ],
    );
  });

  test(`${engine}: more sessions and subscriptions than a page are read to the last, in order`, async (t) => {
    const { kept } = await opened(t, open);
    const ids = Array.from({ length: 1001 }, (_, index) => `c${String(index).padStart(4, '0')}`);
    const done = [...ids]
      .reverse()
      .flatMap((id) => [
        kept.keep(account, session(id), { isNew: true }),
        kept.subscribe(account, id, new Map([['t', { qos: 1, noLocal: false }]])),
      ]);
    await Promise.all(done);
    assert.deepEqual(
      (await all(sessionPages(kept.db))).map(({ clientId }) => clientId),
      ids,
    );
    assert.deepEqual(
      (await all(subscriptionPages(kept.db))).map(({ clientId }) => clientId),
      ids,
    );
  });

  test(`${engine}: subscriptions are replaced by filter, and given up one by one`, async (t) => {
    const { kept } = await opened(t, open);
    const subscribe = (changes: Record<string, Granted | undefined>): Promise<void> =>
      kept.subscribe(account, 'a', new Map(Object.entries(changes)));
    await subscribe({ 'x/#': { qos: 0, noLocal: false }, '$share/g/y': { qos: 1, noLocal: false } });
    await subscribe({ 'x/#': { qos: 2, noLocal: true, retainAsPublished: true, identifier: 7 } });
    await subscribe({ z: { qos: 1, noLocal: false } });
    await subscribe({ z: undefined, 'never subscribed': undefined });
    assert.deepEqual(await all(subscriptionPages(kept.db)), [
      {
        account,
        clientId: 'a',
        filter: '$share/g/y',
        granted: { qos: 1, noLocal: false, retainAsPublished: false, identifier: 0 },
      },
      {
        account,
        clientId: 'a',
        filter: 'x/#',
        granted: { qos: 2, noLocal: true, retainAsPublished: true, identifier: 7 },
      },
    ]);
  });

  test(`${engine}: a message comes back as it went in`, async (t) => {
    const { kept } = await opened(t, open);
    const owner = { account, owner: 'a' };
    const rows: [number, KeptMessage][] = [
      [1, message('plain')],
      [
        2,
        message('ü/whole', {
          qos: 2,
          retain: true,
          properties: new Uint8Array([3, 0, 1, 9]),
          expiresAtMs: 1_700_000_000_001,
        }),
      ],
      [3, message('empty', { payload: new Uint8Array() })],
    ];
    await write(kept, owner, rows);
    const { messages, isWhole } = await kept.read(owner, { after: 0, upTo: 3, bytes: 1e6 });
    assert.ok(isWhole);
    assert.deepEqual(
      messages.map(({ position, message: { payload, properties, ...each } }) => [
        position,
        { ...each, payload: [...payload], properties: properties && [...properties] },
      ]),
      rows.map(([position, { payload, properties, ...each }]) => [
        position,
        { ...each, payload: [...payload], properties: properties && [...properties] },
      ]),
    );
  });

  test(`${engine}: a queue is read in pages of bytes, at least one message each, within its positions`, async (t) => {
    const { kept } = await opened(t, open);
    const owner = { account, owner: 'a' };
    const large = message('t', { payload: new Uint8Array(1000) });
    await write(
      kept,
      owner,
      [1, 2, 4, 5, 9].map((position) => [position, large]),
    );
    const read = async (after: number, upTo: number, bytes: number): Promise<[number[], boolean]> => {
      const { messages, isWhole } = await kept.read(owner, { after, upTo, bytes });
      return [messages.map(({ position }) => position), isWhole];
    };
    assert.deepEqual(await read(0, 9, 1), [[1], false]);
    assert.deepEqual(await read(1, 9, 3000), [[2, 4], false]);
    assert.deepEqual(await read(2, 5, 1e6), [[4, 5], true]);
    assert.deepEqual(await read(9, 20, 1e6), [[], true]);
  });

  test(`${engine}: messages are removed up to a position and one by one`, async (t) => {
    const { kept } = await opened(t, open);
    const owner = { account, owner: 'a' };
    await write(
      kept,
      owner,
      [1, 2, 3, 4, 5, 6].map((position) => [position, message('t')]),
    );
    await kept.appends.append(kept.removal(owner, 2, [4, 6]));
    const { messages } = await kept.read(owner, { after: 0, upTo: 9, bytes: 1e6 });
    assert.deepEqual(
      messages.map(({ position }) => position),
      [3, 5],
    );
  });

  test(`${engine}: what every owner has left is counted, and stragglers are named`, async (t) => {
    const { kept } = await opened(t, open);
    const [a, b] = [
      { account, owner: 'a' },
      { account: others[0]!, owner: '$share/g/t' },
    ];
    await write(
      kept,
      a,
      [1, 5, stragglerSpan + 7].map((position) => [position, message('t')]),
    );
    await write(kept, b, [[3, message('t', { payload: new Uint8Array(10) })]]);
    const queues = await all(queuePages(kept.db));
    const { messages } = await kept.read(b, { after: 0, upTo: 9, bytes: 1e6 });
    assert.deepEqual(queues, [
      { ...a, left: { rows: 3, bytes: 3 * 260, oldest: 1, newest: stragglerSpan + 7, stragglers: [1, 5] } },
      { ...b, left: { rows: 1, bytes: messages[0]!.cost, oldest: 3, newest: 3, stragglers: [] } },
    ]);
  });

  test(`${engine}: expired rows are found, the oldest first and page by page`, async (t) => {
    const { kept } = await opened(t, open);
    const owner = { account, owner: 'a' };
    const rows = Array.from({ length: 1001 }, (_, index): [number, KeptMessage] => [
      index + 1,
      message('t', { expiresAtMs: 2000 - index }),
    ]);
    await write(kept, owner, [...rows, [5000, message('t')], [5001, message('t', { expiresAtMs: 3000 })]]);
    const first = await expiredRows(kept.db, 2000, undefined);
    assert.deepEqual([first.length, first[0]?.position, first[0]?.expiresAtMs], [1000, 1001, 1000]);
    const rest = await expiredRows(kept.db, 2000, first.at(-1));
    assert.deepEqual(
      rest.map(({ position }) => position),
      [1],
    );
    assert.deepEqual(await expiredRows(kept.db, 2000, rest.at(-1)), []);
  });

  test(`${engine}: a session ends with all that it holds, and nothing of others`, async (t) => {
    const { kept } = await opened(t, open);
    for (const each of [account, ...others]) {
      for (const clientId of ['a', 'ab']) {
        await kept.keep(each, session(clientId), { isNew: true });
        await kept.subscribe(each, clientId, new Map([['t', { qos: 1, noLocal: false }]]));
        await write(kept, { account: each, owner: clientId }, [[1, message('t')]]);
      }
    }
    await kept.end(account, 'a');
    assert.equal((await all(sessionPages(kept.db))).length, 5);
    assert.equal((await all(subscriptionPages(kept.db))).length, 5);
    assert.equal((await all(queuePages(kept.db))).length, 5);
    await kept.keep(account, session('ab'), { isNew: true });
    assert.equal((await all(sessionPages(kept.db))).length, 5, 'a new session begins with nothing of the former');
    assert.equal((await all(subscriptionPages(kept.db))).length, 4);
    assert.equal((await all(queuePages(kept.db))).length, 4);
  });

  test(`${engine}: sessions, subscriptions and messages are those of before when a broker starts over the same store`, async (t) => {
    const { store } = await opened(t, open);
    const before = createBed({ store });
    await before.broker.open();
    const expect = async (client: RawClient, cmd: string): Promise<void> => {
      const packet = await client.next();
      assert.equal(packet.cmd, cmd);
    };
    const kept = { clean: false, properties: { sessionExpiryInterval: 3600 } };
    const device = await before.connect(5, 'device', kept);
    device.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a/+', qos: 1 }] });
    await expect(device, 'suback');
    const publisher = await before.connect(4, 'publisher');
    const publish = async (client: RawClient, messageId: number): Promise<void> => {
      client.send({
        cmd: 'publish',
        topic: 'a/b',
        payload: `${messageId}`,
        qos: 1,
        messageId,
        dup: false,
        retain: false,
      });
      await expect(client, 'puback');
    };
    await publish(publisher, 1);
    await expect(device, 'publish');
    device.send({ cmd: 'disconnect' });
    await device.closed();
    for (let id = 2; id <= 30; id++) await publish(publisher, id);
    await before.broker.close(0);
    await store.close();

    const after = createBed({ store: await store.reopen() });
    await after.broker.open();
    await publish(await after.connect(4, 'publisher'), 31);
    const back = after.dial(5);
    back.send({ cmd: 'connect', clientId: 'device', protocolVersion: 5, keepalive: 60, ...kept });
    const connack = await back.next();
    assert.ok(connack.cmd === 'connack' && connack.sessionPresent);
    const got: string[] = [];
    while (got.length < 31) {
      const packet = await back.next();
      assert.ok(packet.cmd === 'publish');
      got.push(String(packet.payload));
      back.send({ cmd: 'puback', messageId: packet.messageId ?? 0 });
    }
    assert.deepEqual(
      got,
      Array.from({ length: 31 }, (_, index) => `${index + 1}`),
    );
    await back.settled();
    await after.broker.close(0);
  });
}
