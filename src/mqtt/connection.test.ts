/** The life of a connection: packets that end it, rights read again, certificates lost, slow readers, shutdown (spec gateway.md 5.11, 5.13). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { IPublishPacket, Packet } from 'mqtt-packet';
import { accountA, type Bed, createBed, type RawClient } from '../../test/mqtt-bed.ts';
import { closeGraceMs } from './connection.ts';
import { holdBackMsMax } from './held-back.ts';
import { keptMessageBytes } from './message.ts';

const versions = [4, 5] as const;
const subscribe = async (client: RawClient, topic: string, qos: 0 | 1 = 0): Promise<void> => {
  client.send({ cmd: 'subscribe', messageId: 3, subscriptions: [{ topic, qos }] });
  await client.next();
};
const message = (topic: string, more: Partial<IPublishPacket> = {}): IPublishPacket => ({
  cmd: 'publish',
  topic,
  payload: 'x',
  qos: 0,
  messageId: 9,
  dup: false,
  retain: false,
  ...more,
});
const payloads = (packets: readonly Packet[]): string[] =>
  packets.filter((packet): packet is IPublishPacket => packet.cmd === 'publish').map(({ payload }) => String(payload));
const codes = (packets: readonly Packet[]): unknown[] =>
  packets.map((packet) => (packet.cmd === 'disconnect' ? packet.reasonCode : packet.cmd));
/** A few turns of the event loop: enough for streams in memory to come to rest. */
const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
};

const endings: [rule: string, bytes: readonly (number | string)[], v5: number | undefined, v3?: true][] = [
  ['5.11: PUBREC', [0x50, 2, 0, 1], 0x82, true],
  ['5.11: PUBREL', [0x62, 2, 0, 1], 0x82, true],
  ['5.11: PUBCOMP', [0x70, 2, 0, 1], 0x82, true],
  ['5.11: AUTH', [0xf0, 0], 0x82, true],
  ['PINGREQ with a body', [0xc0, 1, 0], 0x81, true],
  ['PUBACK without identifier', [0x40, 1, 0], 0x81, true],
  ['PUBACK with identifier 0', [0x40, 2, 0, 0], 0x82, true],
  ['PUBACK with an unknown reason code', [0x40, 3, 0, 1, 0x42], 0x81, true],
  ['PUBACK with a property of another packet', [0x40, 6, 0, 1, 0, 2, 0x24, 1], 0x82],
  ['DISCONNECT with an unknown reason code', [0xe0, 1, 0x42], 0x81, true],
  ['5.3: DISCONNECT that makes the session persistent', [0xe0, 7, 0, 5, 0x11, 0, 0, 0, 9], 0x82],
];
for (const [rule, bytes, v5, v3] of endings) {
  for (const version of v3 ? versions : [5 as const]) {
    test(`v${version} ${rule} ends the connection as the client's error`, async () => {
      const bed = createBed();
      const client = await bed.connect(version, 'dev1');
      client.raw(...bytes);
      assert.deepEqual(codes(await client.closed()), version === 5 ? [v5] : []);
      assert.deepEqual(
        bed.failures().map(({ reason }) => reason),
        ['CLIENT_ERROR'],
      );
      assert.deepEqual(
        bed.records.map(({ eventType }) => eventType),
        ['Connect', 'Disconnect'],
      );
    });
  }
}

for (const version of versions) {
  test(`v${version}: DISCONNECT ends quietly, and what follows it is not looked at`, async () => {
    const bed = createBed();
    const watcher = await bed.connect(version, 'watcher');
    await subscribe(watcher, 't');
    const client = await bed.connect(version, 'dev1');
    client.raw(0xe0, 0, 0x30, 4, 0, 1, 't', 'x');
    assert.deepEqual(await client.closed(), []);
    assert.deepEqual(bed.failures(), []);
    assert.equal(bed.records.at(-1)?.detail, 'CLIENT_INITIATED_DISCONNECT');
    assert.deepEqual(await watcher.settled(), []);
  });

  test(`v${version} 5.13: a certificate that is no longer ACTIVE: ${version === 5 ? 'DISCONNECT 0x87' : 'close'}, will published, recorded`, async () => {
    const bed = createBed();
    const rights = bed.principal('p');
    const watcher = await bed.connect(version, 'watcher');
    await subscribe(watcher, 'w');
    const will = { topic: 'w', payload: Buffer.from('bye'), qos: 0 as const, retain: false };
    const client = await bed.connect(version, 'dev1', { will }, 'p');
    rights.lose('CERTIFICATE_NO_LONGER_ACTIVE');
    assert.deepEqual(codes(await client.closed()), version === 5 ? [0x87] : []);
    assert.deepEqual(payloads([await watcher.next()]), ['bye']);
    const [record] = bed.failures();
    assert.deepEqual([record?.eventType, record?.reason], ['Disconnect', 'CERTIFICATE_NO_LONGER_ACTIVE']);
    assert.equal(rights.released, 1);
  });

  test(`v${version} policy.md 7: nothing is decided while the rights are read again; then all goes on in order by the new ones`, async () => {
    const bed = createBed();
    const rights = bed.principal('p');
    const client = await bed.connect(version, 'dev1', {}, 'p');
    await subscribe(client, '#', 1);
    const sender = await bed.connect(version, 'sender');
    const known = rights.becomeSlowly([
      ['iot:Receive', 'topic/open/*'],
      ['iot:Publish', 'topic/open/*'],
    ]);
    for (const [topic, payload] of [
      ['open/1', 'a'],
      ['shut/1', 'b'],
      ['open/2', 'c'],
      ['open/1', 'd'],
    ] as const) {
      sender.send(message(topic, { payload, qos: 1 }));
    }
    await sender.settled();
    client.send(message('open/own', { payload: 'own' }));
    client.send({ cmd: 'pingreq' });
    await turns();
    assert.deepEqual(client.received, []);
    known();
    const packets = await client.take(5);
    assert.deepEqual(payloads(packets), ['a', 'c', 'd', 'own']);
    assert.equal(packets.at(-1)?.cmd, 'pingresp');
    client.send(message('shut/own'));
    assert.deepEqual(codes(await client.closed()), version === 5 ? [0x87] : []);
  });

  test(`v${version}: rights that cannot be read again end the connection as the server's error, not as allowed`, async () => {
    const bed = createBed();
    const rights = bed.principal('p');
    const client = await bed.connect(version, 'dev1', {}, 'p');
    const fail = rights.failToRead();
    client.send(message('t'));
    await turns();
    fail();
    assert.deepEqual(codes(await client.closed()), version === 5 ? [0x80] : []);
    assert.deepEqual(
      bed.failures().map(({ reason, detail }) => `${reason} ${detail}`),
      ['INTERNAL_SERVER_ERROR Error'],
    );
    assert.equal(bed.troubles.length, 1, 'the log is told the whole error');
  });

  test(`v${version}: a receiver whose rights cannot be read again is closed, others go on`, async () => {
    const bed = createBed();
    const rights = bed.principal('p');
    const client = await bed.connect(version, 'dev1', {}, 'p');
    const sender = await bed.connect(version, 'sender');
    await subscribe(client, 't');
    const fail = rights.failToRead();
    sender.send(message('t'));
    assert.deepEqual(await sender.settled(), []);
    fail();
    assert.deepEqual(codes(await client.closed()), version === 5 ? [0x80] : []);
  });

  test(`v${version}: messages that wait for rights are bounded by outboundBytesMax`, async () => {
    const bed = createBed({ limits: { outboundBytesMax: 10 * (keptMessageBytes + 100) } });
    const rights = bed.principal('p');
    const client = await bed.connect(version, 'dev1', {}, 'p');
    const sender = await bed.connect(version, 'sender');
    await subscribe(client, 't');
    const known = rights.becomeSlowly([['*', '*']]);
    for (let index = 0; index < 20; index++) sender.send(message('t', { payload: 'y'.repeat(90) }));
    await sender.settled();
    known();
    await turns();
    const arrived = payloads(await client.settled()).length;
    assert.ok(arrived > 5 && arrived < 12, String(arrived));
    assert.equal(bed.failures()[0]?.reason, 'SLOW_CONSUMER');
  });

  test(`v${version} 5.13: shutdown says goodbye${version === 5 ? ' with 0x8B' : ''} and refuses newcomers`, async () => {
    const bed = createBed();
    const client = await bed.connect(version, 'dev1');
    const closing = bed.broker.close(1000);
    assert.deepEqual(codes(await client.closed()), version === 5 ? [0x8b] : []);
    client.socket.end();
    await closing;
    await bed.dial(version).closed();
    assert.deepEqual(bed.broker.connections(), []);
  });

  test(`v${version}: a peer that does not close after its goodbye is cut after closeGraceMs`, async () => {
    const bed = createBed();
    const client = await bed.connect(version, 'dev1');
    client.raw(0xf0, 0);
    await client.closed();
    assert.equal(client.socket.destroyed, false);
    bed.advance(closeGraceMs + 1000);
    await turns();
    client.socket.write('x');
    await turns();
    assert.equal(client.isClosed, true);
  });
}

/** A subscriber that has stopped reading and a publisher, with small bounds. */
const slow = async (qos: 0 | 1, version: 4 | 5 = 4) => {
  const bed = createBed({ limits: { outboundBytesMax: 10_000 } });
  const reader = await bed.connect(version, 'slow', { keepalive: 1200 });
  await subscribe(reader, 't', qos);
  reader.socket.pause();
  const sender = await bed.connect(version, 'sender', { keepalive: 1200 });
  return { bed, reader, sender };
};
const slowRecords = (bed: Bed) => bed.failures().filter(({ reason }) => reason === 'SLOW_CONSUMER');

for (const version of versions) {
  test(`v${version} back-pressure: QoS 0 beyond outboundBytesMax is dropped for the slow one only, and recorded once with its count`, async () => {
    const { bed, reader, sender } = await slow(0, version);
    const quick = await bed.connect(version, 'quick');
    await subscribe(quick, 't');
    const payload = Buffer.alloc(1000, 'q');
    for (let index = 0; index < 400; index++) {
      sender.send(message('t', { payload }));
      if (index % 10 === 9) await sender.settled();
    }
    assert.equal((await quick.settled()).length, 400);
    assert.deepEqual(
      slowRecords(bed).map(({ clientId }) => clientId),
      ['slow'],
    );
    const dropped = bed.broker.metrics['PublishOut.Throttle'];
    assert.ok(dropped > 200, String(dropped));
    reader.socket.resume();
    await turns();
    const arrived = (await reader.settled()).length;
    assert.equal(arrived + dropped, 400);
    const last = slowRecords(bed).at(-1);
    assert.equal(last?.detail, `${dropped} messages were dropped: outboundBytesMax`);
    sender.send(message('t', { payload: 'live again' }));
    await sender.settled();
    assert.deepEqual(payloads(await reader.settled()), ['live again']);
  });

  test(`v${version} back-pressure: QoS 1 publishers are held back until the slow one has read and acknowledged; nothing is lost`, async () => {
    const { bed, reader, sender } = await slow(1, version);
    const payload = Buffer.alloc(1000, 'q');
    for (let index = 0; index < 50; index++) sender.send(message('t', { payload, qos: 1, messageId: index + 1 }));
    await turns();
    assert.ok(sender.received.length < 20, `${sender.received.length} acknowledged`);
    assert.deepEqual(slowRecords(bed), []);

    const seen = new Set<number>();
    reader.socket.resume();
    while (seen.size < 50) {
      const packet = await reader.next();
      assert.ok(packet.cmd === 'publish');
      seen.add(seen.size);
      reader.send({ cmd: 'puback', messageId: packet.messageId ?? 0 });
    }
    assert.equal((await sender.take(50)).length, 50);
    assert.deepEqual(slowRecords(bed), []);
  });
}

test('back-pressure: a receiver that stays stuck holds publishers back for holdBackMsMax, then loses QoS 1 messages', async () => {
  const { bed, sender } = await slow(1);
  const payload = Buffer.alloc(1000, 'q');
  for (let index = 0; index < 50; index++) sender.send(message('t', { payload, qos: 1, messageId: index + 1 }));
  await turns();
  assert.ok(sender.received.length < 20);
  bed.advance(holdBackMsMax);
  assert.equal((await sender.take(50)).length, 50);
  assert.equal(slowRecords(bed).length, 1);
  assert.ok(bed.broker.metrics['PublishOut.Throttle'] > 30);
});

test('back-pressure: small messages count for what keeping them costs, not for their bytes alone', async () => {
  const kept = 20;
  const bed = createBed({ limits: { outboundBytesMax: kept * keptMessageBytes } });
  const silent = await bed.connect(4, 'silent');
  await subscribe(silent, 't', 1);
  const sender = await bed.connect(4, 'sender');
  for (let index = 0; index < 200; index++) sender.send(message('t', { qos: 1, messageId: index + 1 }));
  await turns();
  assert.ok(sender.received.length <= kept, `${sender.received.length} acknowledged`);
  bed.advance(holdBackMsMax);
  assert.equal((await sender.take(200)).length, 200);
  assert.ok(bed.broker.metrics['PublishOut.Success'] <= kept);
});

test('back-pressure: a publisher that is held back is read again when it goes over its own bound', async () => {
  const { bed, sender } = await slow(1);
  await subscribe(sender, 'to-sender', 1);
  const payload = Buffer.alloc(1000, 'q');
  for (let index = 0; index < 20; index++) sender.send(message('t', { payload, qos: 1, messageId: index + 1 }));
  await turns();
  sender.send({ cmd: 'pingreq' });
  await turns();
  assert.equal(
    sender.received.some(({ cmd }) => cmd === 'pingresp'),
    false,
    'held back',
  );
  bed.broker.publish(accountA, { topic: 'to-sender', payload: Buffer.alloc(9_000), qos: 1 });
  bed.broker.publish(accountA, { topic: 'to-sender', payload: Buffer.alloc(9_000), qos: 1 });
  await turns();
  assert.equal(
    sender.received.some(({ cmd }) => cmd === 'pingresp'),
    true,
  );
});

test('back-pressure: a small QoS 1 message does not overtake a large one that waits for room', async () => {
  const { bed, reader } = await slow(1);
  const send = (name: string, bytes: number, qos: 0 | 1) =>
    bed.broker.publish(accountA, { topic: 't', payload: Buffer.from(name.padEnd(bytes, '.')), qos });
  for (let index = 0; index < 200; index++) {
    send('fill', 1_000, 0);
    if (index % 5 === 4) await turns();
  }
  send('large', 3_000, 1);
  send('small', 10, 1);
  reader.socket.resume();
  await turns();
  assert.deepEqual(
    payloads(await reader.settled())
      .map((payload) => payload.slice(0, 5))
      .filter((name) => name !== 'fill.'),
    ['large', 'small'],
  );
});

test('back-pressure: two that flood each other and acknowledge nothing are never both held back', async () => {
  const bed = createBed({ limits: { outboundBytesMax: 10_000 } });
  const [a, b] = [await bed.connect(4, 'a'), await bed.connect(4, 'b')];
  await subscribe(a, 'to-a', 1);
  await subscribe(b, 'to-b', 1);
  const payload = Buffer.alloc(1000, 'q');
  for (let index = 0; index < 50; index++) {
    a.send(message('to-b', { payload, qos: 1, messageId: index + 1 }));
    b.send(message('to-a', { payload, qos: 1, messageId: index + 1 }));
  }
  await turns();
  for (const client of [a, b]) {
    for (const packet of client.received.splice(0)) {
      if (packet.cmd === 'publish') client.send({ cmd: 'puback', messageId: packet.messageId ?? 0 });
    }
  }
  bed.advance(holdBackMsMax);
  for (const client of [a, b]) {
    client.send({ cmd: 'pingreq' });
    while ((await client.next()).cmd !== 'pingresp');
  }
});

test('back-pressure: a client that does not read its own answers is not read either, and times out', async () => {
  const bed = createBed({ limits: { outboundBytesMax: 1000 } });
  const client = await bed.connect(4, 'dev1', { keepalive: 30 });
  client.socket.pause();
  const pings = Buffer.alloc(2000, Buffer.of(0xc0, 0));
  let refused = false;
  for (let index = 0; index < 500 && !refused; index++) {
    refused = !client.socket.write(pings);
    await turns();
  }
  assert.equal(refused, true, 'the broker stopped reading');
  bed.advance(46_000);
  assert.deepEqual(
    bed.failures().map(({ reason }) => reason),
    ['MQTT_KEEP_ALIVE_TIMEOUT'],
  );
});

test("5.2: a pause of the broker's own making is not the client's silence", async () => {
  const bed = createBed();
  const rights = bed.principal('p');
  const client = await bed.connect(4, 'dev1', { keepalive: 30 }, 'p');
  const known = rights.becomeSlowly([['*', '*']]);
  client.send({ cmd: 'pingreq' });
  await turns();
  bed.advance(100_000);
  assert.equal(client.isClosed, false);
  known();
  assert.equal((await client.next()).cmd, 'pingresp');
});

test('writes: what one turn has for a connection leaves in one write', async () => {
  const bed = createBed();
  const client = await bed.connect(4, 'dev1');
  const sender = await bed.connect(4, 'sender');
  await subscribe(client, 't');
  let chunks = 0;
  client.socket.on('data', () => chunks++);
  const one = Buffer.from([0x30, 4, 0, 1, 0x74, 0x78]);
  sender.raw(Buffer.concat(Array.from({ length: 100 }, () => one)));
  assert.equal((await client.take(100)).length, 100);
  assert.equal(chunks, 1);
});

test('a fault of our own ends one connection with 0x80 and leaves the others alone', async () => {
  const bed = createBed();
  const rights = bed.principal('p');
  const client = await bed.connect(5, 'dev1', {}, 'p');
  const other = await bed.connect(5, 'other');
  Object.defineProperty(rights, 'revision', {
    get: () => {
      throw new TypeError('broken');
    },
  });
  client.send(message('t'));
  assert.deepEqual(codes(await client.closed()), [0x80]);
  assert.deepEqual(await other.settled(), []);
});

test('a fault of our own at one receiver ends that one, not the publisher and not the other receivers', async () => {
  const bed = createBed();
  const rights = bed.principal('p');
  const broken = await bed.connect(5, 'broken', {}, 'p');
  const other = await bed.connect(5, 'other');
  const sender = await bed.connect(5, 'sender');
  for (const client of [broken, other]) await subscribe(client, 't');
  Object.defineProperty(rights, 'revision', {
    get: () => {
      throw new TypeError('broken');
    },
  });
  sender.send(message('t'));
  assert.deepEqual(await sender.settled(), []);
  assert.deepEqual(payloads(await other.settled()), ['x']);
  assert.deepEqual(codes(await broken.closed()), [0x80]);
});

test('a certificate that is lost while its connection is paused still closes it at once', async () => {
  const bed = createBed();
  const rights = bed.principal('p');
  const client = await bed.connect(5, 'dev1', {}, 'p');
  rights.becomeSlowly([]);
  client.send(message('t'));
  await turns();
  rights.lose('CERTIFICATE_NO_LONGER_ACTIVE');
  assert.deepEqual(codes(await client.closed()), [0x87]);
  client.socket.end();
  await turns();
  assert.equal(client.socket.destroyed, true, 'what was unread is discarded, so the end of the peer is seen');
});
