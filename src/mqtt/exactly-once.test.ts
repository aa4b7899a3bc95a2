/**
 * QoS 2 where sessions are kept: no message comes twice or is lost, wherever a connection, the store or the node stops. A node is killed by taking the store away
 * from it: what it had not written then is gone. Source: MQTT 5.0 4.3.3, 4.4, MQTT 3.1.1 4.3.3, 4.4.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Packet } from 'mqtt-packet';
import { type MemoryStore, memoryStore } from '../../test/memory-store.ts';
import { accountA, type Bed, createBed, type RawClient, Rights, type Version } from '../../test/mqtt-bed.ts';
import { stores } from '../../test/stores.ts';
import { openLimits } from '../limits.ts';
import { migrate } from '../store/migrate.ts';
import { StoreUnavailable } from '../store/store.ts';
import type { Authority } from './authority.ts';
import { fanOutSliceMs } from './fan-out.ts';
import { migrations as own } from './migrations.ts';
import { unreleasedFactor } from './receipts.ts';
import { retainedMigrations } from './retained-rows.ts';
import { receiptPages } from './session-pages.ts';
import { SessionStore } from './session-store.ts';

const newStore = () => memoryStore([...own, ...retainedMigrations]);
const open = (store: MemoryStore, limits = {}) => createBed({ limits: { ...openLimits, ...limits }, store });

/** A node that starts over what another one left in the store. */
const restarted = async (former: Bed, store: MemoryStore): Promise<Bed> => {
  store.failure = new StoreUnavailable('killed');
  await former.broker.close(0);
  store.failure = undefined;
  const bed = open(store);
  await bed.broker.open();
  return bed;
};

const kept = (version: Version): Record<string, unknown> =>
  version === 5 ? { clean: false, properties: { sessionExpiryInterval: 3600 } } : { clean: false };
const enter = (bed: Bed, version: Version, clientId: string, more = {}): Promise<RawClient> =>
  bed.connect(version, clientId, { ...kept(version), ...more });

const publish = (client: RawClient, payload: string, messageId: number, more = {}): void =>
  client.send({ cmd: 'publish', topic: 'a', payload, qos: 2, messageId, dup: false, retain: false, ...more });
const subscribe = async (client: RawClient, topic = 'a'): Promise<void> => {
  client.send({ cmd: 'subscribe', messageId: 99, subscriptions: [{ topic, qos: 2 }] });
  assert.equal((await client.next()).cmd, 'suback');
};
/** A packet in a line: what it is, its identifier, and of a PUBLISH its payload and DUP. */
const line = (packet: Packet): string => {
  const { cmd, messageId } = packet;
  if (packet.cmd === 'publish') return `${cmd} ${messageId} ${packet.payload}${packet.dup ? ' dup' : ''}`;
  return 'reasonCode' in packet && packet.reasonCode
    ? `${cmd} ${messageId} ${packet.reasonCode}`
    : `${cmd} ${messageId}`;
};
const lines = (packets: readonly Packet[]): string[] => packets.map(line);
const next = async (client: RawClient): Promise<string> => line(await client.next());

for (const version of [4, 5] as const) {
  test(`v${version} in: a message is taken once, across a lost connection and a killed node, until it is released`, async () => {
    const store = newStore();
    const bed = open(store);
    const reader = await enter(bed, version, 'reader');
    await subscribe(reader);
    const sender = await enter(bed, version, 'sender');
    publish(sender, 'once', 7);
    assert.equal(await next(sender), 'pubrec 7');
    sender.socket.destroy();
    const again = await enter(bed, version, 'sender');
    publish(again, 'once', 7, { dup: true });
    assert.equal(await next(again), 'pubrec 7');

    const after = await restarted(bed, store);
    const back = await enter(after, version, 'sender');
    publish(back, 'once', 7, { dup: true });
    assert.equal(await next(back), 'pubrec 7');
    back.send({ cmd: 'pubrel', messageId: 7 });
    assert.equal(await next(back), 'pubcomp 7');

    const third = await restarted(after, store);
    const last = await enter(third, version, 'sender');
    publish(last, 'another', 7);
    assert.equal(await next(last), 'pubrec 7');
    const late = await enter(third, version, 'reader');
    assert.deepEqual(lines(await late.settled()), ['publish 1 once dup', 'publish 2 another']);
  });

  test(`v${version} in: PUBREC waits for the store, also that of the same message on another connection; PUBCOMP does too`, async () => {
    const store = newStore();
    const bed = open(store);
    const reader = await enter(bed, version, 'reader');
    await subscribe(reader);
    const sender = await enter(bed, version, 'sender');
    const hold = () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      store.held = promise;
      return () => {
        store.held = undefined;
        resolve();
      };
    };
    let release = hold();
    publish(sender, 'm', 1);
    assert.deepEqual(await sender.settled(), []);
    const second = bed.dial(version);
    second.send({
      cmd: 'connect',
      clientId: 'sender',
      protocolVersion: version,
      keepalive: 60,
      clean: false,
      ...kept(version),
    });
    publish(second, 'm', 1, { dup: true });
    release();
    assert.equal((await second.next()).cmd, 'connack');
    assert.equal(await next(second), 'pubrec 1');
    release = hold();
    second.send({ cmd: 'pubrel', messageId: 1 });
    assert.deepEqual(await second.settled(), []);
    second.send({ cmd: 'pubrel', messageId: 1 });
    release();
    assert.deepEqual(lines(await second.take(2)), ['pubcomp 1', 'pubcomp 1']);
    assert.deepEqual(lines(await reader.settled()), ['publish 1 m']);
  });

  test(`v${version} in: what follows a message that is sent again does not overtake it while its first sending is being stored [MQTT-4.6.0-1]`, async () => {
    const store = newStore();
    const { write } = store;
    const [asked, held] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    Object.assign(store, {
      async write(unit: Parameters<typeof write>[0]) {
        asked.resolve();
        await held.promise;
        return write(unit);
      },
    });
    const bed = open(store);
    const reader = await enter(bed, version, 'reader');
    await subscribe(reader);
    const sender = await enter(bed, version, 'sender');
    publish(sender, 'first', 1, { retain: true });
    await asked.promise;
    const again = await enter(bed, version, 'sender');
    publish(again, 'first', 1, { retain: true, dup: true });
    publish(again, 'second', 2);
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate); // the second has every chance
    held.resolve();
    assert.deepEqual(lines(await again.take(2)), ['pubrec 1', 'pubrec 2']);
    assert.deepEqual(lines(await reader.settled()), ['publish 1 first', 'publish 2 second']);
  });

  test(`v${version} in: what the store does not take is not taken: the same message sent again is new`, async () => {
    const store = newStore();
    const bed = open(store);
    const reader = await enter(bed, version, 'reader');
    await subscribe(reader);
    const sender = await enter(bed, version, 'sender');
    store.failure = new StoreUnavailable('full');
    publish(sender, 'm', 1);
    if (version === 5) assert.equal(await next(sender), 'pubrec 1 128');
    else assert.deepEqual(await sender.closed(), []);
    store.failure = undefined;
    const again = version === 5 ? sender : await enter(bed, version, 'sender');
    publish(again, 'm', 1);
    assert.equal(await next(again), 'pubrec 1');
    assert.equal((await reader.settled()).length, 1);
  });

  test(`v${version}: what is repeated while the store is slow costs no memory: it is not read on, or answered once`, async () => {
    const store = newStore();
    const bed = open(store);
    const reader = await enter(bed, version, 'reader');
    await subscribe(reader);
    const sender = await enter(bed, version, 'sender');
    publish(sender, 'm', 1);
    assert.equal(await next(sender), 'pubrec 1');
    assert.equal(await next(reader), 'publish 1 m');
    const { promise, resolve } = Promise.withResolvers<void>();
    store.held = promise;
    for (let count = 0; count < 9; count++) reader.send({ cmd: 'pubrec', messageId: 1 });
    assert.deepEqual(await reader.settled(), []);
    for (let count = 0; count < 9; count++) sender.send({ cmd: 'pubrel', messageId: 1 });
    sender.send({ cmd: 'pingreq' });
    const other = await bed.connect(version, 'other');
    for (let count = 0; count < 9; count++) publish(other, 'n', 1);
    other.send({ cmd: 'pingreq' });
    await reader.settled();
    assert.deepEqual([sender.received, other.received], [[], []]);
    store.held = undefined;
    resolve();
    assert.equal(await next(reader), 'pubrel 1');
    await sender.take(10);
    await other.take(10);
    assert.deepEqual(
      lines(await reader.settled()).filter((each) => each.startsWith('pubrel')),
      [],
    );
  });

  test(`v${version} in: a PUBREL that the store does not take ends the connection, and is taken when it comes again`, async () => {
    const store = newStore();
    const bed = open(store);
    const sender = await enter(bed, version, 'sender');
    publish(sender, 'm', 1);
    assert.equal(await next(sender), 'pubrec 1');
    store.failure = new StoreUnavailable('full');
    sender.send({ cmd: 'pubrel', messageId: 1 });
    assert.deepEqual(
      (await sender.closed()).map(({ cmd }) => cmd),
      version === 5 ? ['disconnect'] : [],
    );
    store.failure = undefined;
    const back = await enter(bed, version, 'sender');
    back.send({ cmd: 'pubrel', messageId: 1 });
    assert.equal(await next(back), 'pubcomp 1');
    assert.deepEqual(await store.db.selectFrom('mqtt_receipts').selectAll().execute(), []);
  });

  test(`v${version} in: when it is unknown whether message and receipt were written, neither stays`, async () => {
    const store = newStore();
    const bed = open(store);
    await subscribe(await enter(bed, version, 'reader'));
    const sender = await enter(bed, version, 'sender');
    const { append } = store;
    store.append = async (list) => {
      await append.call(store, list);
      if (list.some(({ sql }) => /into "mqtt_receipts"/.test(sql))) throw new StoreUnavailable('gone in between');
    };
    publish(sender, 'm', 1);
    if (version === 5) assert.equal(await next(sender), 'pubrec 1 128');
    else await sender.closed();
    store.append = append;
    const other = await enter(bed, version, 'other'); // its CONNACK waits for what was asked of the store before
    await other.settled();
    for (const table of ['mqtt_receipts', 'mqtt_queue'] as const) {
      assert.deepEqual(await store.db.selectFrom(table).select('region').execute(), []);
    }
  });

  test(`v${version} in: the receipt is written with the message or not at all`, async () => {
    const store = newStore();
    const bed = open(store);
    await subscribe(await enter(bed, version, 'reader'));
    const sender = await enter(bed, version, 'sender');
    const { append } = store;
    const lists: string[][] = [];
    store.append = (list) => {
      lists.push(list.map(({ sql }) => /into "(\w+)"/.exec(sql)?.[1] ?? 'other'));
      return append.call(store, list);
    };
    publish(sender, 'm', 1);
    assert.equal(await next(sender), 'pubrec 1');
    assert.deepEqual(lists, [['mqtt_receipts', 'mqtt_queue']]);
  });

  test(`v${version} in: a message for nobody is remembered all the same; a clean start forgets it`, async () => {
    const store = newStore();
    const bed = open(store);
    const sender = await enter(bed, version, 'sender');
    publish(sender, 'for nobody', 1);
    assert.equal(await next(sender), 'pubrec 1');
    const after = await restarted(bed, store);
    const reader = await enter(after, version, 'reader');
    await subscribe(reader);
    const back = await enter(after, version, 'sender');
    publish(back, 'for nobody', 1, { dup: true });
    assert.equal(await next(back), 'pubrec 1');
    assert.deepEqual(await reader.settled(), []);
    const clean = await enter(after, version, 'sender', { clean: true });
    publish(clean, 'new', 1);
    assert.equal(await next(clean), 'pubrec 1');
    assert.deepEqual(lines(await reader.settled()), ['publish 1 new']);
    const rows = await store.db.selectFrom('mqtt_receipts').select('packet_id').execute();
    assert.equal(rows.length, version === 5 ? 1 : 0, 'a v3 clean session is not kept');
  });

  test(`v${version} out: after PUBREC a message is never sent again, only its PUBREL, across a lost connection and a killed node`, async () => {
    const store = newStore();
    const bed = open(store);
    const reader = await enter(bed, version, 'reader');
    await subscribe(reader);
    const sender = await bed.connect(version, 'sender');
    for (const messageId of [1, 2, 3]) publish(sender, `m${messageId}`, messageId);
    await sender.take(3);
    assert.deepEqual(lines(await reader.take(3)), ['publish 1 m1', 'publish 2 m2', 'publish 3 m3']);
    for (const messageId of [1, 2]) reader.send({ cmd: 'pubrec', messageId });
    assert.deepEqual(lines(await reader.take(2)), ['pubrel 1', 'pubrel 2']);
    reader.send({ cmd: 'pubcomp', messageId: 1 });
    await reader.settled();
    reader.socket.destroy();
    const again = await enter(bed, version, 'reader');
    assert.deepEqual(lines(await again.take(2)), ['pubrel 2', 'publish 3 m3 dup']);

    const after = await restarted(bed, store);
    const back = await enter(after, version, 'reader');
    assert.deepEqual(lines(await back.take(2)), ['pubrel 2', 'publish 3 m3 dup']);
    back.send({ cmd: 'pubcomp', messageId: 2 });
    back.send({ cmd: 'pubrec', messageId: 3 });
    assert.equal(await next(back), 'pubrel 3');
    back.send({ cmd: 'pubcomp', messageId: 3 });
    const waiting = () => store.db.selectFrom('mqtt_queue').select('position').execute();
    while ((await waiting()).length > 0) assert.deepEqual(await back.settled(), []);
    const third = await restarted(after, store);
    assert.deepEqual(await (await enter(third, version, 'reader')).settled(), []);
  });

  test(`v${version} out: PUBREL waits until the PUBREC is durable; if it never is, the message is sent again`, async () => {
    const store = newStore();
    const bed = open(store);
    const reader = await enter(bed, version, 'reader');
    await subscribe(reader);
    publish(await bed.connect(version, 'sender'), 'm', 1);
    assert.equal(await next(reader), 'publish 1 m');
    const { promise, resolve } = Promise.withResolvers<void>();
    store.held = promise;
    reader.send({ cmd: 'pubrec', messageId: 1 });
    reader.send({ cmd: 'pubrec', messageId: 1 });
    assert.deepEqual(await reader.settled(), []);
    bed.advance(30_000);
    assert.deepEqual(await reader.settled(), [], 'what the client has is not sent again');
    store.failure = new StoreUnavailable('full');
    store.held = undefined;
    resolve();
    assert.deepEqual(
      (await reader.closed()).map(({ cmd }) => cmd),
      version === 5 ? ['disconnect'] : [],
    );
    store.failure = undefined;
    const back = await enter(bed, version, 'reader');
    assert.equal(await next(back), 'publish 1 m dup');
    back.send({ cmd: 'pubrec', messageId: 1 });
    assert.equal(await next(back), 'pubrel 1');
  });

  test(`v${version} out: a message that the client has received does not expire before it is released`, async () => {
    const store = newStore();
    const bed = open(store);
    const reader = await enter(bed, version, 'reader');
    await subscribe(reader);
    const sender = await bed.connect(5, 'sender');
    const properties = { messageExpiryInterval: 10 };
    publish(sender, 'received', 1, { properties });
    publish(sender, 'only sent', 2, { properties });
    await reader.take(2);
    reader.send({ cmd: 'pubrec', messageId: 1 });
    assert.equal(await next(reader), 'pubrel 1');
    reader.socket.destroy();
    while (bed.broker.connections().length > 1) await sender.settled();
    bed.clock.nowMs += 60_000;
    await bed.broker.sweep(bed.clock.nowMs);
    const back = await enter(bed, version, 'reader');
    assert.deepEqual(lines(await back.settled()), ['pubrel 1']);
  });

  test(`v${version} out: QoS 2 is not given up after an hour on a live connection`, async () => {
    const bed = open(newStore());
    const reader = await bed.connect(version, 'reader', { keepalive: 0 });
    await subscribe(reader);
    publish(await bed.connect(version, 'sender'), 'm', 1);
    assert.equal(await next(reader), 'publish 1 m');
    bed.advance(2 * 3_600_000);
    assert.deepEqual(lines(await reader.settled()), version === 4 ? ['publish 1 m dup'] : []);
    reader.send({ cmd: 'pubrec', messageId: 1 });
    assert.equal(await next(reader), 'pubrel 1');
  });
}

test('v3 in: more than unreleasedFactor times inflightMax messages that are not released end the connection', async () => {
  const bed = open(newStore(), { inflightMax: 2 });
  const client = await bed.connect(4, 'c');
  const most = 2 * unreleasedFactor;
  for (let messageId = 1; messageId <= most; messageId++) {
    publish(client, 'm', messageId);
    assert.equal(await next(client), `pubrec ${messageId}`);
  }
  publish(client, 'm', most + 1);
  assert.deepEqual(await client.closed(), []);
  assert.equal(bed.failures().at(-1)?.reason, 'LIMIT_EXCEEDED');
});

test('a shared group: QoS 2 that a clean member was sent goes to nobody else; what was not sent does [MQTT-4.8.2-5]', async () => {
  const bed = open(newStore());
  const member = await enter(bed, 5, 'member');
  await subscribe(member, '$share/g/a');
  member.socket.destroy();
  const sender = await bed.connect(5, 'sender');
  await sender.settled();
  for (const messageId of [1, 2]) publish(sender, `m${messageId}`, messageId);
  await sender.take(2);
  const clean = await bed.connect(5, 'clean', { properties: { receiveMaximum: 1 } });
  await subscribe(clean, '$share/g/a');
  assert.equal(await next(clean), 'publish 1 m1');
  clean.socket.destroy();
  await sender.settled();
  const back = await enter(bed, 5, 'member');
  assert.deepEqual(lines(await back.take(1)), ['publish 1 m2']);
  assert.deepEqual(await back.settled(), []);
});

test('a message that is handed out slice by slice is written at once with its receipt', async () => {
  const store = newStore();
  const dear = new Rights(accountA, 'dear', [['*', '*']]).authority();
  const allows: Authority['allows'] = (action, resource) => {
    const startedAt = performance.now();
    while (action === 'iot:Receive' && performance.now() - startedAt < fanOutSliceMs);
    return dear.allows(action, resource);
  };
  const bed = createBed({ limits: openLimits, store, admit: async () => ({ authority: { ...dear, allows } }) });
  const readers = 6;
  for (let reader = 0; reader < readers; reader++) await subscribe(await enter(bed, 5, `reader${reader}`));
  const sender = await enter(bed, 5, 'sender');
  const { append } = store;
  const counts: number[] = [];
  store.append = (list) => {
    counts.push(list.filter(({ sql }) => /insert into/.test(sql)).length);
    return append.call(store, list);
  };
  publish(sender, 'm', 1);
  assert.equal(await next(sender), 'pubrec 1');
  assert.deepEqual(counts, [readers + 1]);
});

test('sessions that end while a QoS 2 message is being handed out leave nothing of it in the store: its receiver, its sender', async () => {
  const store = newStore();
  const dear = new Rights(accountA, 'dear', [['*', '*']]).authority();
  let handed = 0;
  const allows: Authority['allows'] = (action, resource) => {
    const startedAt = performance.now();
    if (action === 'iot:Receive') handed++;
    while (action === 'iot:Receive' && performance.now() - startedAt < fanOutSliceMs);
    return dear.allows(action, resource);
  };
  const bed = createBed({ limits: openLimits, store, admit: async () => ({ authority: { ...dear, allows } }) });
  for (let reader = 0; reader < 20; reader++) await subscribe(await enter(bed, 5, `reader${reader}`));
  const sender = await enter(bed, 5, 'sender');
  publish(sender, 'm', 1);
  while (handed < 2) await new Promise(setImmediate);
  await bed.connect(5, 'reader0', { clean: true });
  await bed.connect(5, 'sender', { clean: true });
  assert.ok(handed < 20, 'it is still being handed out');
  while (handed < 20) await new Promise(setImmediate);
  await bed.broker.close(0);
  const owners = await store.db.selectFrom('mqtt_queue').select('owner').execute();
  assert.deepEqual([owners.length, owners.some(({ owner }) => owner === 'reader0')], [19, false]);
  assert.deepEqual(await store.db.selectFrom('mqtt_receipts').selectAll().execute(), []);
  assert.deepEqual(bed.troubles, []);
});

for (const [engine, openEngine] of stores) {
  test(`the sweep of what has expired takes neither what a client has received meanwhile nor another row in its place (${engine})`, async (t) => {
    const store = await openEngine(t);
    await migrate(store, own);
    const sessions = new SessionStore(store);
    const owner = { account: accountA, owner: 'reader' };
    const message = { topic: 'a', qos: 2, retain: false, payload: Buffer.from('m'), properties: undefined } as const;
    const rows = [5, 5, 6].map((expiresAtMs, index) => sessions.row(owner, index + 1, { ...message, expiresAtMs }));
    await sessions.appends.append(rows);
    const expired = [1, 2, 3].map((position) => ({ ...owner, position, cost: 1, expiresAtMs: 5 }));
    await Promise.all([
      sessions.release(owner, 1),
      sessions.appends.append(expired.map((row) => sessions.removalOfExpired(row))),
    ]);
    const { messages } = await sessions.read(owner, { after: 0, upTo: 9, bytes: 1000 });
    assert.deepEqual(
      messages.map(({ position, isReleased }) => [position, isReleased]),
      [
        [1, true],
        [3, false],
      ],
    );
  });

  test(`receipts are read back page by page; one written twice is one, and a session that begins anew has none (${engine})`, async (t) => {
    const store = await openEngine(t);
    await migrate(store, own);
    const sessions = new SessionStore(store);
    const count = 1500;
    const [a, b] = [sessions.receiptRows(accountA, 'a'), sessions.receiptRows(accountA, 'b')];
    const ids = Array.from({ length: count }, (_, index) => index + 1);
    await sessions.appends.append([...ids.map(a.write), a.write(1), b.write(65_535), b.write(3)]);
    await b.append([b.remove(3), b.remove(4)]);
    const read = async (): Promise<string[]> => {
      const found: string[] = [];
      for await (const page of receiptPages(sessions.db))
        found.push(...page.map((each) => `${each.clientId} ${each.packetId}`));
      return found;
    };
    assert.deepEqual(await read(), [...ids.map((id) => `a ${id}`), 'b 65535']);
    await sessions.end(accountA, 'a');
    assert.deepEqual(await read(), ['b 65535']);
  });
}
