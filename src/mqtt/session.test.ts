/**
 * Sessions that outlive their connection, over the wire: what is stored, when a client is told so, and what comes back. Sources: spec gateway.md 5.3, 5.4,
 * 5.5, 5.7, 5.10 and its checks 14.15 to 14.19; MQTT 5.0 3.1.2.11, 4.4, 4.6.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Packet } from 'mqtt-packet';
import { memoryStore } from '../../test/memory-store.ts';
import { accountA, type Bed, createBed, type RawClient, type Version } from '../../test/mqtt-bed.ts';
import { openDialect } from '../limits.ts';
import { StoreUnavailable } from '../store/store.ts';
import { migrations as own } from './migrations.ts';
import { retainedMigrations } from './retained-rows.ts';
import { SessionStore } from './session-store.ts';

const migrations = [...own, ...retainedMigrations];

const persistent = (version: Version, expiry = 3600): Record<string, unknown> =>
  version === 5 ? { clean: false, properties: { sessionExpiryInterval: expiry } } : { clean: false };

/** Connects and tells whether an earlier session goes on. */
const enter = async (
  bed: Bed,
  version: Version,
  clientId: string,
  more: Record<string, unknown> = persistent(version),
): Promise<{ client: RawClient; present: boolean; connack: Packet & { cmd: 'connack' } }> => {
  const client = bed.dial(version);
  client.send({ cmd: 'connect', clientId, protocolVersion: version, clean: true, keepalive: 60, ...more });
  const connack = await client.next();
  assert.ok(connack.cmd === 'connack');
  return { client, present: connack.sessionPresent, connack };
};

const subscribe = async (client: RawClient, topic: string, qos: 0 | 1 | 2 = 1): Promise<void> => {
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos }] });
  let packet = await client.next();
  while (packet.cmd !== 'suback') packet = await client.next();
};

const publish = (client: RawClient, topic: string, payload: string, messageId: number, more = {}): void =>
  client.send({ cmd: 'publish', topic, payload, qos: 1, messageId, dup: false, retain: false, ...more });

/** Publishes and waits for each PUBACK. */
const publishAll = async (client: RawClient, topic: string, payloads: readonly string[]): Promise<void> => {
  for (const [index, payload] of payloads.entries()) {
    publish(client, topic, payload, index + 1);
    const puback = await client.next();
    assert.ok(puback.cmd === 'puback' && puback.messageId === index + 1);
  }
};

/** Takes `count` PUBLISH packets and acknowledges them. */
const receive = async (client: RawClient, count: number): Promise<{ payload: string; messageId: number }[]> => {
  const got: { payload: string; messageId: number }[] = [];
  while (got.length < count) {
    const packet = await client.next();
    assert.ok(packet.cmd === 'publish', packet.cmd);
    const { messageId = 0 } = packet;
    got.push({ payload: String(packet.payload), messageId });
    if (packet.qos === 1) client.send({ cmd: 'puback', messageId });
  }
  return got;
};

const leave = async (client: RawClient, more: Record<string, unknown> = {}): Promise<void> => {
  client.send({ cmd: 'disconnect', ...more });
  await client.closed();
};

const numbers = (count: number): string[] => Array.from({ length: count }, (_, index) => `message ${index}`);
const payloads = (got: readonly { payload: string }[]): string[] => got.map(({ payload }) => payload);

for (const version of [4, 5] as const) {
  test(`v${version} 5.3: 25 QoS 1 messages that came while the client was away arrive when it is back, in order (14.15)`, async () => {
    const bed = createBed();
    const away = await enter(bed, version, 'dev');
    assert.equal(away.present, false);
    await subscribe(away.client, 'a/+');
    await leave(away.client);
    const publisher = await bed.connect(4, 'publisher');
    await publishAll(publisher, 'a/b', numbers(25));
    bed.advance(3_000_000);
    const back = await enter(bed, version, 'dev');
    assert.equal(back.present, true);
    assert.deepEqual(payloads(await receive(back.client, 25)), numbers(25));
    assert.deepEqual(await back.client.settled(), []);
    await leave(back.client);
    const again = await enter(bed, version, 'dev');
    assert.equal(again.present, true);
    assert.deepEqual(await again.client.settled(), [], 'what was acknowledged is not sent again');
  });

  test(`v${version} 5.3: QoS 0 messages are never queued (14.16)`, async () => {
    const bed = createBed();
    const { client } = await enter(bed, version, 'dev');
    await subscribe(client, 'a');
    await subscribe(client, 'b', 0);
    await leave(client);
    const publisher = await bed.connect(4, 'publisher');
    publisher.send({ cmd: 'publish', topic: 'a', payload: 'x', qos: 0, dup: false, retain: false });
    await publishAll(publisher, 'b', ['granted QoS 0']);
    const back = await enter(bed, version, 'dev');
    assert.equal(back.present, true);
    assert.deepEqual(await back.client.settled(), []);
    publisher.send({ cmd: 'publish', topic: 'a', payload: 'live', qos: 0, dup: false, retain: false });
    assert.deepEqual(payloads(await receive(back.client, 1)), ['live']);
  });

  test(`v${version} 5.4: a takeover resumes what the former connection had not acknowledged, with its packet identifiers and DUP clear (14.19, 5.5)`, async () => {
    const bed = createBed();
    const first = await enter(bed, version, 'dev');
    await subscribe(first.client, 'a');
    const publisher = await bed.connect(5, 'publisher');
    await publishAll(publisher, 'a', ['one', 'two', 'three']);
    const sent = await first.client.take(3);
    const ids = sent.map((packet) => packet.cmd === 'publish' && packet.messageId);
    first.client.send({ cmd: 'puback', messageId: Number(ids[1]) });
    await first.client.settled();
    const second = await enter(bed, version, 'dev');
    assert.equal(second.present, true);
    const rest = await first.client.closed();
    assert.deepEqual(
      rest.map((packet) => packet.cmd === 'disconnect' && packet.reasonCode),
      version === 5 ? [0x8e] : [],
    );
    const again = await second.client.take(2);
    assert.deepEqual(
      again.map((packet) => packet.cmd === 'publish' && [packet.messageId, packet.dup, String(packet.payload)]),
      [
        [ids[0], false, 'one'],
        [ids[2], false, 'three'],
      ],
    );
  });

  test(`v${version} 5.3: the other version finds no session, and the one that there was is gone (14.18)`, async () => {
    const bed = createBed();
    const other = version === 4 ? 5 : 4;
    const { client } = await enter(bed, version, 'dev');
    await subscribe(client, 'a');
    await leave(client);
    const publisher = await bed.connect(4, 'publisher');
    await publishAll(publisher, 'a', ['lost with its session']);
    const stranger = await enter(bed, other, 'dev');
    assert.equal(stranger.present, false);
    await publishAll(publisher, 'a', ['nobody subscribes']);
    assert.deepEqual(await stranger.client.settled(), []);
    await leave(stranger.client);
    assert.equal((await enter(bed, version, 'dev')).present, false);
  });

  test(`v${version} 5.3: a clean start ends the former session, also in the store`, async () => {
    const store = memoryStore(migrations);
    const bed = createBed({ store });
    const { client } = await enter(bed, version, 'dev');
    await subscribe(client, 'a');
    await leave(client);
    await publishAll(await bed.connect(4, 'publisher'), 'a', ['gone']);
    const clean = await enter(bed, version, 'dev', {});
    assert.equal(clean.present, false);
    assert.deepEqual(await clean.client.settled(), []);
    const after = createBed({ store });
    await after.broker.open();
    assert.equal((await enter(after, version, 'dev')).present, false);
  });

  test(`v${version} 5.3: a session that has expired counts as absent at once, and the sweep removes it from the store`, async () => {
    const store = memoryStore(migrations);
    const bed = createBed({ store });
    const { client } = await enter(bed, version, 'dev', persistent(version, 10));
    await subscribe(client, 'a');
    await leave(client);
    const seconds = version === 5 ? 10 : 3600;
    bed.advance(seconds * 1000 - 1);
    const { client: again, present } = await enter(bed, version, 'dev', persistent(version, 10));
    assert.equal(present, true, 'not shorter');
    await leave(again);
    bed.advance(seconds * 1000);
    assert.equal(bed.broker.control(accountA).findClient('dev'), undefined);
    bed.advance(1000); // the sweep acts on whole seconds
    await bed.broker.sweep(bed.clock.nowMs);
    assert.deepEqual(await store.db.selectFrom('mqtt_sessions').selectAll().execute(), []);
    assert.deepEqual(await store.db.selectFrom('mqtt_subscriptions').selectAll().execute(), []);
    assert.equal((await enter(bed, version, 'dev')).present, false);
  });

  test(`v${version}: sessions, subscriptions and what waits survive the broker`, async () => {
    const store = memoryStore(migrations);
    const bed = createBed({ store });
    const { client } = await enter(bed, version, 'dev');
    await subscribe(client, 'a/#');
    await subscribe(client, 'b');
    client.send({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['b'] });
    assert.equal((await client.next()).cmd, 'unsuback');
    const publisher = await bed.connect(5, 'publisher');
    await publishAll(publisher, 'a/1', ['sent and unacknowledged']);
    const [unacknowledged] = await client.take(1);
    await bed.broker.close(0);

    const after = createBed({ store });
    await after.broker.open();
    const source = await after.connect(4, 'publisher');
    await publishAll(source, 'a/2', ['waited']);
    await publishAll(source, 'b', ['not subscribed']);
    const back = await enter(after, version, 'dev');
    assert.equal(back.present, true);
    const got = await receive(back.client, 2);
    assert.deepEqual(payloads(got), ['sent and unacknowledged', 'waited']);
    assert.ok(unacknowledged?.cmd === 'publish');
    assert.equal(got[0]?.messageId, unacknowledged.messageId, 'the identifier that it had');
    assert.deepEqual(await back.client.settled(), []);
  });

  test(`v${version} 5.5: PUBACK leaves when the message is durable, and in the order of the messages`, async () => {
    const store = memoryStore(migrations);
    const bed = createBed({ store });
    const { client } = await enter(bed, 4, 'dev');
    await subscribe(client, 'kept');
    const publisher = await bed.connect(version, 'publisher');
    const clean = await bed.connect(4, 'clean');
    await subscribe(clean, '#');
    const { promise, resolve } = Promise.withResolvers<void>();
    store.held = promise;
    publish(publisher, 'kept', 'k', 1);
    publish(publisher, 'other', 'o', 2);
    assert.deepEqual(await publisher.settled(), [], 'the second waits for the first');
    assert.deepEqual(payloads(await receive(clean, 2)), ['k', 'o'], 'those who keep nothing are served at once');
    assert.deepEqual(await client.settled(), [], 'nothing is sent before it is durable');
    store.held = undefined;
    resolve();
    const acknowledged = await publisher.take(2);
    assert.deepEqual(
      acknowledged.map((packet) => packet.cmd === 'puback' && packet.messageId),
      [1, 2],
    );
    assert.deepEqual(payloads(await receive(client, 1)), ['k']);
  });

  test(`v${version}: a clean session, and a clean connect where no session is kept, never touch the store`, async () => {
    const store = memoryStore(migrations);
    const bed = createBed({ store });
    await bed.broker.sweepRetained(bed.clock.nowMs); // it knows then that nothing is retained
    const { statements } = store;
    const subscriber = await bed.connect(version, 'subscriber');
    await subscribe(subscriber, 'a');
    const publisher = await bed.connect(version, 'publisher');
    await publishAll(publisher, 'a', ['x']);
    await receive(subscriber, 1);
    await leave(subscriber);
    await publishAll(publisher, 'a', ['y']);
    assert.equal(store.statements, statements);
  });

  test(`v${version}: CONNACK, SUBACK and UNSUBACK of a kept session wait for the store; when it fails the client is sent away`, async () => {
    const store = memoryStore(migrations);
    const bed = createBed({ store });
    store.failure = new StoreUnavailable('full');
    const refused = await enter(bed, version, 'dev');
    assert.equal(refused.connack.reasonCode ?? refused.connack.returnCode, version === 5 ? 0x80 : 3);
    await refused.client.closed();
    store.failure = undefined;
    const { client, present } = await enter(bed, version, 'dev');
    assert.equal(present, false);
    store.failure = new StoreUnavailable('full');
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 1 }] });
    assert.deepEqual(
      (await client.closed()).map((packet) => packet.cmd),
      version === 5 ? ['disconnect'] : [],
    );
    store.failure = undefined;
    assert.equal((await enter(bed, version, 'dev')).present, true);
  });

  test(`v${version}: a message that the store does not take is not acknowledged and does not stay (${version === 5 ? 'PUBACK 0x80' : 'close'})`, async () => {
    const store = memoryStore(migrations);
    const bed = createBed({ store });
    const { client } = await enter(bed, 4, 'dev');
    await subscribe(client, 'a');
    const publisher = await bed.connect(version, 'publisher');
    store.failure = new StoreUnavailable('full');
    publish(publisher, 'a', 'lost', 7);
    if (version === 5) {
      const puback = await publisher.next();
      assert.ok(puback.cmd === 'puback' && puback.reasonCode === 0x80 && puback.messageId === 7);
    } else assert.deepEqual(await publisher.closed(), []);
    store.failure = undefined;
    await publishAll(await bed.connect(4, 'other'), 'a', ['next']);
    assert.deepEqual(payloads(await receive(client, 1)), ['next']);
    assert.deepEqual(await client.settled(), []);
  });

  test(`v${version}: beyond queuedMessagesPerSessionMax new messages are dropped, which the journal is told once`, async () => {
    const bed = createBed({ limits: { queuedMessagesPerSessionMax: 3 } });
    const { client } = await enter(bed, version, 'dev');
    await subscribe(client, 'a');
    await leave(client);
    await publishAll(await bed.connect(4, 'publisher'), 'a', numbers(6));
    assert.equal(bed.broker.metrics['Queued.Throttle'], 3);
    assert.deepEqual(
      bed.failures().map(({ clientId, reason, detail }) => [clientId, reason, detail]),
      [['dev', 'LIMIT_EXCEEDED', 'new messages are dropped: queuedMessagesPerSessionMax']],
    );
    const back = await enter(bed, version, 'dev');
    assert.deepEqual(payloads(await receive(back.client, 3)), numbers(3));
    assert.deepEqual(await back.client.settled(), []);
  });

  test(`v${version}: what is sent again waits for acknowledgements within the client's window`, async () => {
    const bed = createBed({ limits: { inflightMax: 10 } });
    const { client } = await enter(bed, version, 'dev');
    await subscribe(client, 'a');
    await publishAll(await bed.connect(4, 'publisher'), 'a', numbers(30));
    const first = (await client.settled()).map((packet) => packet.cmd === 'publish' && String(packet.payload));
    assert.deepEqual(first, numbers(10));
    const back = await enter(bed, version, 'dev');
    assert.deepEqual(payloads(await receive(back.client, 30)), numbers(30));
  });

  test(`v${version}: a burst larger than memory arrives whole and in order`, async () => {
    const bed = createBed({ limits: { outboundBytesMax: 4096, inflightMax: 10 } });
    const { client } = await enter(bed, version, 'dev');
    await subscribe(client, 'a');
    const publisher = await bed.connect(4, 'publisher');
    const receiving = receive(client, 200);
    await publishAll(publisher, 'a', numbers(200));
    assert.deepEqual(payloads(await receiving), numbers(200));
  });

  test(`v${version} 5.7: iot:Receive is asked when a message is sent, and what may not be received is forgotten`, async () => {
    const bed = createBed();
    const rights = bed.principal('p');
    const more = persistent(version);
    const client = await bed.connect(version, 'dev', more, 'p');
    await subscribe(client, 'a/+');
    await leave(client);
    const publisher = await bed.connect(4, 'publisher');
    await publishAll(publisher, 'a/1', ['secret']);
    await publishAll(publisher, 'a/2', ['open']);
    rights.become([
      ['iot:Connect', '*'],
      ['iot:Subscribe', '*'],
      ['iot:Receive', 'topic/a/2'],
    ]);
    const back = await bed.connect(version, 'dev', more, 'p');
    assert.deepEqual(payloads(await receive(back, 1)), ['open']);
    rights.become([['*', '*']]);
    await leave(back);
    const again = await bed.connect(version, 'dev', more, 'p');
    assert.deepEqual(await again.settled(), []);
  });
}

test('what waits for a session goes on when a direct message that stood before it is given up', async () => {
  const bed = createBed({ limits: { inflightMax: 1 } });
  const { client } = await enter(bed, 5, 'dev');
  await subscribe(client, 'a');
  const publisher = await bed.connect(4, 'publisher');
  await publishAll(publisher, 'a', ['one']);
  const one = await client.next();
  assert.ok(one.cmd === 'publish' && one.messageId);
  const message = { topic: 'd', payload: Buffer.from('direct'), properties: {} };
  const outcome = bed.broker.control(accountA).send('dev', message, 1000);
  await publishAll(publisher, 'a', ['two']);
  bed.advance(5000);
  assert.equal(await outcome, 'unconfirmed');
  client.send({ cmd: 'puback', messageId: one.messageId });
  assert.deepEqual(payloads(await receive(client, 1)), ['two']);
});

test('v5 5.3: Session Expiry is capped, and CONNACK says so only then (14.17)', async () => {
  const bed = createBed();
  const capped = await enter(bed, 5, 'a', persistent(5, 999_999_999));
  assert.equal(capped.connack.properties?.sessionExpiryInterval, 3600);
  const kept = await enter(bed, 5, 'b', persistent(5, 77));
  assert.equal(kept.connack.properties?.sessionExpiryInterval, undefined);
});

test('v5 5.3: a session resumed without expiry goes on, and ends with this connection', async () => {
  const bed = createBed();
  const first = await enter(bed, 5, 'dev');
  await subscribe(first.client, 'a');
  await leave(first.client);
  const second = await enter(bed, 5, 'dev', { clean: false });
  assert.equal(second.present, true);
  await publishAll(await bed.connect(4, 'publisher'), 'a', ['x']);
  assert.deepEqual(payloads(await receive(second.client, 1)), ['x']);
  await leave(second.client);
  assert.equal((await enter(bed, 5, 'dev')).present, false);
});

test('v5 5.3: DISCONNECT may shorten the expiry, also to 0; it may not bring one back that was 0', async () => {
  const bed = createBed();
  const ended = await enter(bed, 5, 'dev');
  await leave(ended.client, { reasonCode: 0, properties: { sessionExpiryInterval: 0 } });
  assert.equal((await enter(bed, 5, 'dev', persistent(5, 3600))).present, false);
  const shortened = await enter(bed, 5, 'dev');
  await leave(shortened.client, { reasonCode: 0, properties: { sessionExpiryInterval: 5 } });
  bed.advance(5000);
  assert.equal((await enter(bed, 5, 'dev')).present, false);
  const clean = await enter(bed, 5, 'clean', {});
  clean.client.send({ cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 9 } });
  const [goodbye] = await clean.client.closed();
  assert.ok(goodbye?.cmd === 'disconnect' && goodbye.reasonCode === 0x82);
});

test('v5 5.5: more unacknowledged messages than Receive Maximum end the connection (0x93); v3 is not read on', async () => {
  for (const version of [4, 5] as const) {
    const store = memoryStore(migrations);
    const bed = createBed({ store, limits: { inflightMax: 3 } });
    const { client } = await enter(bed, 4, 'dev');
    await subscribe(client, 'a');
    const publisher = await bed.connect(version, 'publisher');
    const { promise, resolve } = Promise.withResolvers<void>();
    store.held = promise;
    for (let id = 1; id <= 4; id++) publish(publisher, 'a', `${id}`, id);
    if (version === 5) {
      const [goodbye] = await publisher.closed();
      assert.ok(goodbye?.cmd === 'disconnect' && goodbye.reasonCode === 0x93);
    }
    store.held = undefined;
    resolve();
    if (version === 4) {
      const ids = (await publisher.take(4)).map((packet) => packet.cmd === 'puback' && packet.messageId);
      assert.deepEqual(ids, [1, 2, 3, 4]);
    }
  }
});

test('v5 5.5: a packet identifier that is in use is refused (0x91)', async () => {
  const store = memoryStore(migrations);
  const bed = createBed({ store });
  const { client } = await enter(bed, 4, 'dev');
  await subscribe(client, 'a');
  const publisher = await bed.connect(5, 'publisher');
  const { promise, resolve } = Promise.withResolvers<void>();
  store.held = promise;
  publish(publisher, 'a', 'first', 1);
  publish(publisher, 'a', 'second', 1);
  await client.settled();
  store.held = undefined;
  resolve();
  const answers = (await publisher.take(2)).map((packet) => packet.cmd === 'puback' && packet.reasonCode);
  assert.deepEqual(answers, [0, 0x91]);
  assert.deepEqual(payloads(await receive(client, 1)), ['first']);
  assert.deepEqual(await client.settled(), []);
});

test('5.3: very many sessions that expire at once are ended with other work in between', async () => {
  const store = memoryStore(migrations);
  const kept = new SessionStore(store);
  const bed = createBed({ store });
  const count = 2000;
  await Promise.all(
    numbers(count).map((clientId) =>
      kept.keep(
        accountA,
        {
          clientId,
          sessionIdentifier: clientId,
          epoch: 1,
          protocolVersion: 4,
          cleanStart: false,
          expirySeconds: 60,
          keepAliveSeconds: 60,
          connectedAtMs: bed.clock.nowMs,
          disconnectedAtMs: bed.clock.nowMs,
          disconnectReason: undefined,
        },
        { isNew: true },
      ),
    ),
  );
  await bed.broker.open();
  bed.advance(62_000);
  const left: number[] = [];
  let isSwept = false;
  const swept = bed.broker.sweep(bed.clock.nowMs).then(() => {
    isSwept = true;
  });
  while (!isSwept) {
    left.push(bed.broker.sizes().sessions);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await swept;
  assert.ok(new Set(left).size > 10, `the event loop saw ${[...new Set(left)]}`);
  assert.equal(bed.broker.sizes().sessions, 0);
  assert.deepEqual(await store.db.selectFrom('mqtt_sessions').selectAll().execute(), []);
});

test('sessionsPerAccountMax: one more session is refused before anybody is sent away; clean ones are not counted', async () => {
  const bed = createBed({ limits: { sessionsPerAccountMax: 1 } });
  const { client } = await enter(bed, 5, 'one');
  const refused = await enter(bed, 5, 'two');
  assert.equal(refused.connack.reasonCode, 0x97);
  assert.equal((await enter(bed, 4, 'three')).connack.returnCode, 3);
  assert.equal((await enter(bed, 5, 'four', {})).connack.reasonCode, 0);
  assert.deepEqual(await client.settled(), []);
  assert.equal((await enter(bed, 5, 'one')).present, true);
});

test('5.7: an expired message is not delivered after resume, and the sweep removes its row', async () => {
  const store = memoryStore(migrations);
  const bed = createBed({ store });
  const { client } = await enter(bed, 5, 'dev');
  await subscribe(client, 'a');
  await leave(client);
  const publisher = await bed.connect(5, 'publisher');
  publish(publisher, 'a', 'short', 1, { properties: { messageExpiryInterval: 5 } });
  publish(publisher, 'a', 'long', 2, { properties: { messageExpiryInterval: 50 } });
  publish(publisher, 'a', 'shorter', 3, { properties: { messageExpiryInterval: 1 } });
  await publisher.take(3);
  bed.advance(2000);
  await bed.broker.sweep(bed.clock.nowMs);
  assert.equal((await store.db.selectFrom('mqtt_queue').selectAll().execute()).length, 2);
  bed.advance(8000);
  const back = await enter(bed, 5, 'dev');
  const [packet, ...more] = await back.client.settled();
  assert.ok(packet?.cmd === 'publish' && String(packet.payload) === 'long' && more.length === 0);
  assert.equal(packet.properties?.messageExpiryInterval, 40, 'what is left of 50 s (14.33)');
});

test('open: what is sent again carries DUP, what is sent for the first time does not', async () => {
  const bed = createBed({ limits: { dialect: openDialect } });
  const first = await enter(bed, 5, 'dev');
  await subscribe(first.client, 'a');
  const publisher = await bed.connect(5, 'publisher');
  await publishAll(publisher, 'a', ['one']);
  await first.client.take(1);
  await leave(first.client);
  await publishAll(publisher, 'a', ['two']);
  const back = await enter(bed, 5, 'dev');
  const again = await back.client.take(2);
  assert.deepEqual(
    again.map((packet) => packet.cmd === 'publish' && [String(packet.payload), packet.dup]),
    [
      ['one', true],
      ['two', false],
    ],
  );
});

test('5.10: while nobody of a shared group is connected, its messages wait if a member is kept, and go to whoever comes first', async () => {
  const store = memoryStore(migrations);
  const bed = createBed({ store });
  const first = await enter(bed, 5, 'first');
  await subscribe(first.client, '$share/g/a');
  const second = await enter(bed, 4, 'second');
  await subscribe(second.client, '$share/g/a');
  await leave(first.client);
  await leave(second.client);
  const publisher = await bed.connect(4, 'publisher');
  await publishAll(publisher, 'a', numbers(20));
  const back = await enter(bed, 4, 'second');
  assert.deepEqual(payloads(await receive(back.client, 20)), numbers(20));
  await back.client.settled();
  assert.deepEqual(await (await enter(bed, 5, 'first')).client.settled(), [], 'each message reaches one of them');
  await bed.broker.close(0);
  assert.deepEqual(await store.db.selectFrom('mqtt_queue').selectAll().execute(), []);
});

test('5.10: a clean member that joins gets what waits, and what it leaves unacknowledged goes to the next', async () => {
  const bed = createBed();
  const kept = await enter(bed, 5, 'kept');
  await subscribe(kept.client, '$share/g/a');
  await leave(kept.client);
  const publisher = await bed.connect(4, 'publisher');
  await publishAll(publisher, 'a', ['one', 'two']);
  const clean = await bed.connect(4, 'clean');
  clean.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '$share/g/a', qos: 1 }] });
  const got = (await clean.take(3)).filter((packet) => packet.cmd === 'publish');
  assert.deepEqual(
    got.map((packet) => packet.cmd === 'publish' && String(packet.payload)),
    ['one', 'two'],
  );
  const [one] = got;
  clean.send({ cmd: 'puback', messageId: (one?.cmd === 'publish' && one.messageId) || 0 });
  await clean.settled();
  await leave(clean);
  const back = await enter(bed, 5, 'kept');
  assert.deepEqual(payloads(await receive(back.client, 1)), ['two']);
});

test('5.10: what waits for a group survives the broker, and goes when its last kept member does', async () => {
  const store = memoryStore(migrations);
  const bed = createBed({ store });
  const member = await enter(bed, 5, 'member');
  await subscribe(member.client, '$share/g/a');
  await leave(member.client);
  await publishAll(await bed.connect(4, 'publisher'), 'a', ['waits']);
  await bed.broker.close(0);
  const after = createBed({ store });
  await after.broker.open();
  const gone = await enter(after, 5, 'member', {});
  assert.equal(gone.present, false);
  await after.broker.close(0);
  assert.deepEqual(await store.db.selectFrom('mqtt_queue').selectAll().execute(), []);
});

test('5.10: an online member takes the message at once, whatever is kept of the others', async () => {
  const bed = createBed();
  const offline = await enter(bed, 5, 'offline');
  await subscribe(offline.client, '$share/g/a');
  await leave(offline.client);
  const online = await bed.connect(4, 'online');
  await subscribe(online, '$share/g/a');
  await publishAll(await bed.connect(4, 'publisher'), 'a', ['x', 'y']);
  assert.deepEqual(payloads(await receive(online, 2)), ['x', 'y']);
  assert.deepEqual(await (await enter(bed, 5, 'offline')).client.settled(), []);
});

test('5.10: what a group keeps because its members have too much already is handed out by a later sweep', async () => {
  const bed = createBed({ limits: { queuedMessagesPerSessionMax: 2 } });
  const member = await enter(bed, 5, 'member');
  await subscribe(member.client, '$share/g/a');
  await subscribe(member.client, 'b');
  await leave(member.client);
  const publisher = await bed.connect(4, 'publisher');
  await publishAll(publisher, 'a', ['shared 0', 'shared 1']);
  await publishAll(publisher, 'b', ['own 0', 'own 1']);
  const back = await enter(bed, 5, 'member');
  assert.deepEqual(payloads(await receive(back.client, 2)), ['own 0', 'own 1']);
  assert.deepEqual(await back.client.settled(), [], 'it had no room for more');
  await bed.broker.sweep(bed.clock.nowMs);
  assert.deepEqual(payloads(await receive(back.client, 2)).sort(), ['shared 0', 'shared 1']);
});
