/** What `--limits open` lets through, packet by packet, and that `aws` refuses the same. Sources: MQTT 5.0 and 3.1.1; spec gateway.md 5. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Packet } from 'mqtt-packet';
import { createBed, openBedStore, type RawClient } from '../../test/mqtt-bed.ts';
import { awsLimits, openLimits } from '../limits.ts';

const open = (limits = {}) => createBed({ limits: { ...openLimits, ...limits } });

type Subscribe = Extract<Packet, { cmd: 'subscribe' }>;
const subscribe = async (
  client: RawClient,
  topic: string,
  options: Partial<Subscribe['subscriptions'][number]> = {},
  properties: Subscribe['properties'] = {},
): Promise<void> => {
  client.send({
    cmd: 'subscribe',
    messageId: 1,
    subscriptions: [{ topic, qos: 2, nl: false, rap: false, rh: 2, ...options }],
    properties,
  });
  const suback = await client.next();
  assert.ok(suback.cmd === 'suback' && Number(suback.granted[0]) < 0x80);
};

const publish = (topic: string, more: object = {}): Packet => ({
  cmd: 'publish',
  topic,
  payload: Buffer.from('p'),
  qos: 0,
  dup: false,
  retain: false,
  ...more,
});
/** What a test compares of a packet. */
const brief = (packets: readonly Packet[]): unknown[] =>
  packets.map((packet) => {
    if (packet.cmd !== 'publish') return [packet.cmd, packet.messageId];
    return [packet.cmd, packet.topic, packet.qos, packet.retain, packet.dup];
  });

for (const version of [4, 5] as const) {
  test(`v${version} QoS 2 in: accepted once, however often it is sent before PUBREL; then its identifier is free [MQTT-4.3.3-10, 4.3.3-12]`, async () => {
    const bed = open();
    const [sender, reader] = [await bed.connect(version, 'sender'), await bed.connect(version, 'reader')];
    await subscribe(reader, 'a', { qos: 0 });
    for (const dup of [false, true, true]) sender.send(publish('a', { qos: 2, messageId: 7, dup }));
    assert.deepEqual(brief(await sender.take(3)), Array(3).fill(['pubrec', 7]));
    sender.send({ cmd: 'pubrel', messageId: 7 });
    assert.deepEqual(brief(await sender.take(1)), [['pubcomp', 7]]);
    assert.equal((await reader.settled()).length, 1);

    sender.send(publish('a', { qos: 2, messageId: 7 }));
    assert.deepEqual(brief(await sender.take(1)), [['pubrec', 7]]);
    assert.equal((await reader.settled()).length, 1);
    await bed.broker.close(0);
  });

  test(`v${version} QoS 2 out: PUBLISH, PUBREC, PUBREL, PUBCOMP; its place in Receive Maximum is kept to the end [MQTT-4.3.3-1 to 4.3.3-5, 4.9.0-1]`, async () => {
    const bed = open({ inflightMax: 1 });
    const [sender, reader] = [await bed.connect(version, 'sender'), await bed.connect(version, 'reader')];
    await subscribe(reader, 'a');
    for (const messageId of [1, 2]) {
      sender.send(publish('a', { qos: 2, messageId }));
      sender.send({ cmd: 'pubrel', messageId });
    }
    await sender.take(4);
    const [first, ...others] = await reader.settled();
    assert.ok(first?.cmd === 'publish' && first.qos === 2);
    assert.deepEqual(others, []);
    const { messageId } = first;
    reader.send({ cmd: 'pubrec', messageId: messageId! });
    assert.deepEqual(brief(await reader.settled()), [['pubrel', messageId]]);
    reader.send({ cmd: 'pubrec', messageId: messageId! });
    assert.deepEqual(brief(await reader.settled()), [['pubrel', messageId]], 'a PUBREC again gets its PUBREL again');
    reader.send({ cmd: 'pubcomp', messageId: messageId! });
    assert.deepEqual(brief(await reader.settled()), [['publish', 'a', 2, false, false]]);
    await bed.broker.close(0);
  });

  test(`v${version} QoS 2: PUBREL and PUBREC for what nobody knows are answered, so that the client can forget it (MQTT 5.0 4.3.3)`, async () => {
    const bed = open();
    const client = await bed.connect(version, 'c');
    client.send({ cmd: 'pubrel', messageId: 9 });
    const pubcomp = await client.next();
    client.send({ cmd: 'pubrec', messageId: 9 });
    const pubrel = await client.next();
    assert.deepEqual(brief([pubcomp, pubrel]), [
      ['pubcomp', 9],
      ['pubrel', 9],
    ]);
    for (const packet of [pubcomp, pubrel]) {
      assert.ok(packet.cmd === 'pubcomp' || packet.cmd === 'pubrel');
      assert.equal(packet.reasonCode ?? 0, version === 5 ? 0x92 : 0);
    }
    client.send({ cmd: 'pubcomp', messageId: 9 });
    assert.deepEqual(await client.settled(), []);
    await bed.broker.close(0);
  });

  test(`v${version}: a message goes out at the lower of its QoS and the granted one, 0 to 2 (MQTT 3.8.4)`, async () => {
    const bed = open();
    const [sender, reader] = [await bed.connect(version, 'sender'), await bed.connect(version, 'reader')];
    for (const qos of [0, 1, 2] as const) await subscribe(reader, `q${qos}`, { qos });
    for (const granted of [0, 1, 2])
      for (const qos of [0, 1, 2]) sender.send(publish(`q${granted}`, { qos, messageId: 10 + 3 * granted + qos }));
    await sender.take(6);
    const received = (await reader.settled()).map((packet) => packet.cmd === 'publish' && [packet.topic, packet.qos]);
    const expected = [0, 1, 2].flatMap((granted) => [0, 1, 2].map((qos) => [`q${granted}`, Math.min(granted, qos)]));
    assert.deepEqual(received, expected);
    await bed.broker.close(0);
  });

  test(`v${version}: Keep Alive 0 switches it off, 1 is granted (MQTT 3.1.2.10)`, async () => {
    const bed = open();
    const silent = await bed.connect(version, 'silent', { keepalive: 0 });
    const short = await bed.connect(version, 'short', { keepalive: 1 });
    bed.advance(24 * 3_600_000);
    await short.closed();
    assert.deepEqual(await silent.settled(), []);
    await bed.broker.close(0);
  });

  test(`v${version}: what is sent again carries DUP, a message that was received only its PUBREL (MQTT 3.3.1.1, 4.4)`, async () => {
    const bed = open();
    const [sender, reader] = [await bed.connect(4, 'sender'), await bed.connect(version, 'reader', { keepalive: 0 })];
    await subscribe(reader, 'a');
    sender.send(publish('a', { qos: 2, messageId: 1 }));
    sender.send(publish('a', { qos: 1, messageId: 2 }));
    await sender.take(2);
    const [first] = await reader.settled();
    assert.ok(first?.cmd === 'publish');
    reader.send({ cmd: 'pubrec', messageId: first.messageId! });
    await reader.settled();
    bed.advance(30_000);
    const again = brief(await reader.settled()).sort();
    const expected = [
      ['publish', 'a', 1, false, true],
      ['pubrel', first.messageId],
    ];
    assert.deepEqual(again, version === 4 ? expected : [], 'v5 sends nothing again on a live connection');
    await bed.broker.close(0);
  });
}

test('v5 CONNACK in open: QoS 2 by absence of Maximum QoS, Subscription Identifiers available; Keep Alive as granted', async () => {
  const bed = open();
  const client = bed.dial(5);
  client.send({ cmd: 'connect', clientId: 'c', protocolVersion: 5, clean: true, keepalive: 5 });
  const connack = await client.next();
  assert.ok(connack.cmd === 'connack');
  const { maximumQoS, subscriptionIdentifiersAvailable, serverKeepAlive, topicAliasMaximum } = connack.properties ?? {};
  assert.deepEqual([maximumQoS, subscriptionIdentifiersAvailable, serverKeepAlive], [undefined, true, 5]);
  assert.equal(topicAliasMaximum, openLimits.topicAliasMax);
  await bed.broker.close(0);
});

test('v5 QoS 2 in: the message after Receive Maximum unreleased ones ends the connection with 0x93 [MQTT-3.3.4-7]', async () => {
  const bed = open({ inflightMax: 3 });
  const client = await bed.connect(5, 'c');
  for (let messageId = 1; messageId <= 4; messageId++) client.send(publish('a', { qos: 2, messageId }));
  const packets = await client.closed();
  const last = packets.pop();
  assert.deepEqual(
    brief(packets),
    [1, 2, 3].map((id) => ['pubrec', id]),
  );
  assert.ok(last?.cmd === 'disconnect' && last.reasonCode === 0x93);
  await bed.broker.close(0);
});

test('v5 QoS 2 in, not allowed: PUBREC 0x87, nothing to release, the connection stays (MQTT 5.0 4.3.3)', async () => {
  const bed = open();
  bed.principal('mute', [['iot:Connect', '*']]);
  const client = await bed.connect(5, 'c', {}, 'mute');
  client.send(publish('a', { qos: 2, messageId: 5 }));
  const [pubrec] = await client.settled();
  assert.ok(pubrec?.cmd === 'pubrec' && pubrec.reasonCode === 0x87);
  client.send({ cmd: 'pubrel', messageId: 5 });
  const [pubcomp] = await client.settled();
  assert.ok(pubcomp?.cmd === 'pubcomp' && pubcomp.reasonCode === 0x92);
  await bed.broker.close(0);
});

test('v5 QoS 2 out, refused by PUBREC 0x80 or more: over, without PUBREL (MQTT 5.0 4.3.3)', async () => {
  const bed = open();
  const client = await bed.connect(5, 'c', { properties: { receiveMaximum: 1 } });
  await subscribe(client, 'a');
  for (const messageId of [1, 2]) client.send(publish('a', { qos: 2, messageId }));
  const [message] = (await client.settled()).filter((packet) => packet.cmd === 'publish');
  assert.ok(message?.cmd === 'publish');
  client.send({ cmd: 'pubrec', messageId: message.messageId!, reasonCode: 0x97 });
  assert.deepEqual(brief(await client.settled()), [['publish', 'a', 2, false, false]]);
  await bed.broker.close(0);
});

test('v5: one copy carries the identifiers of all matching subscriptions, no identifier of others [MQTT-3.3.4-3, 3.3.4-4]', async () => {
  const bed = open();
  const [sender, reader] = [await bed.connect(5, 'sender'), await bed.connect(5, 'reader')];
  await subscribe(reader, 'a/+', { qos: 1 }, { subscriptionIdentifier: 268_435_455 });
  await subscribe(reader, 'a/#', { qos: 0 }, { subscriptionIdentifier: 1 });
  await subscribe(reader, 'b', { qos: 0 }, { subscriptionIdentifier: 2 });
  await subscribe(reader, 'c', { qos: 0 });
  for (const topic of ['a', 'a/b', 'b', 'c']) sender.send(publish(topic, { properties: { contentType: 't' } }));
  await sender.settled();
  const found = (await reader.settled()).map((packet) => {
    assert.ok(packet.cmd === 'publish');
    assert.equal(packet.properties?.contentType, 't');
    return [packet.topic, [packet.properties?.subscriptionIdentifier ?? []].flat().sort()];
  });
  assert.deepEqual(found, [
    ['a', [1]],
    ['a/b', [1, 268_435_455]],
    ['b', [2]],
    ['c', []],
  ]);
  await bed.broker.close(0);
});

test('v5: subscribing again with another identifier, or with none, replaces it [MQTT-3.8.4-3]', async () => {
  const bed = open();
  const client = await bed.connect(5, 'c');
  const identifiers: unknown[] = [];
  for (const properties of [{ subscriptionIdentifier: 3 }, { subscriptionIdentifier: 4 }, {}]) {
    await subscribe(client, 'a', { qos: 0 }, properties);
    client.send(publish('a'));
    const [packet] = await client.settled();
    identifiers.push(packet?.cmd === 'publish' && packet.properties?.subscriptionIdentifier);
  }
  assert.deepEqual(identifiers, [3, 4, undefined]);
  await bed.broker.close(0);
});

test('topics and filters of 1023 slashes are taken and given up again; one more is refused', async () => {
  const bed = open();
  const [sender, reader] = [await bed.connect(5, 'sender'), await bed.connect(5, 'reader')];
  const deepest = '/'.repeat(1023);
  await subscribe(reader, deepest);
  sender.send(publish(deepest, { qos: 1, messageId: 1 }));
  assert.deepEqual(brief(await sender.take(1)), [['puback', 1]]);
  assert.deepEqual(brief(await reader.take(1)), [['publish', deepest, 1, false, false]]);

  reader.send({ cmd: 'subscribe', messageId: 2, subscriptions: [{ topic: `${deepest}/`, qos: 1 }] });
  const suback = await reader.next();
  assert.ok(suback.cmd === 'suback' && suback.granted[0] === 0x8f);
  sender.send(publish(`${deepest}/`, { qos: 1, messageId: 2 }));
  const puback = await sender.next();
  assert.ok(puback.cmd === 'puback' && puback.reasonCode === 0x90);
  reader.send({ cmd: 'disconnect' });
  await reader.closed();
  assert.deepEqual(await sender.settled(), [], 'the end of a deep subscription ends nobody else');
});

test('v5: Subscription Identifier 0 is a protocol error (MQTT 5.0 3.8.2.1.2)', async () => {
  const bed = open();
  const client = await bed.connect(5, 'c');
  client.raw(0x82, 9, 0, 1, 2, 0x0b, 0, 0, 1, 0x61, 0);
  const [disconnect] = await client.closed();
  assert.ok(disconnect?.cmd === 'disconnect' && disconnect.reasonCode === 0x82);
  await bed.broker.close(0);
});

test('topics with $ are ordinary in open, out of reach of wildcards, and closed in aws (MQTT 4.7.2; gateway.md 6)', async () => {
  const bed = open();
  const client = await bed.connect(4, 'c');
  await subscribe(client, '#', { qos: 0 });
  await subscribe(client, '$mine/x', { qos: 0 });
  client.send(publish('$mine/x'));
  client.send(publish('$mine/y'));
  assert.deepEqual(brief(await client.settled()), [['publish', '$mine/x', 0, false, false]]);
  client.send(publish('$SYS/x'));
  await client.closed();

  const aws = createBed();
  const strict = await aws.connect(4, 'c');
  strict.send(publish('$mine/x'));
  await strict.closed();
  await Promise.all([bed.broker.close(0), aws.broker.close(0)]);
});

test('a will of QoS 2 is published at QoS 2 (MQTT 3.1.2.6)', async () => {
  const bed = open();
  const will = { topic: 'gone', payload: Buffer.from('w'), qos: 2 as const, retain: false };
  const [reader, dying] = [await bed.connect(5, 'reader'), await bed.connect(5, 'dying', { will })];
  await subscribe(reader, 'gone');
  dying.socket.destroy();
  assert.deepEqual(brief([await reader.next()]), [['publish', 'gone', 2, false, false]]);
  await bed.broker.close(0);
});

const aliased = (packet: Packet): unknown =>
  packet.cmd === 'publish' && [packet.topic, packet.properties?.topicAlias, packet.qos, packet.payload.toString()];

test('v5 topic aliases out: as many as the client allows, the topic once, at every QoS; others keep their topics [MQTT-3.1.2-26, 3.1.2-27]', async () => {
  const bed = open();
  const client = await bed.connect(5, 'c', { properties: { topicAliasMaximum: 1 } });
  await subscribe(client, 'device/#');
  for (const qos of [0, 1, 2]) client.send(publish('device/1', { qos, messageId: qos + 1 }));
  client.send(publish('device/2'));
  client.send(publish('device/1', { properties: { contentType: 't' } }));
  const got = (await client.settled()).filter((packet) => packet.cmd === 'publish');
  assert.deepEqual(got.map(aliased), [
    ['device/1', 1, 0, 'p'],
    ['', 1, 1, 'p'],
    ['', 1, 2, 'p'],
    ['device/2', undefined, 0, 'p'],
    ['', 1, 0, 'p'],
  ]);
  assert.equal(got.at(-1)?.properties?.contentType, 't');
  await bed.broker.close(0);
});

test('v5 topic aliases out: none in aws, none for a client that allows none, none where the packet would become too large', async () => {
  const beds = [createBed(), open(), open()] as const;
  const properties = [{ topicAliasMaximum: 5 }, {}, { topicAliasMaximum: 5, maximumPacketSize: 40 }];
  for (const [index, bed] of beds.entries()) {
    const client = await bed.connect(5, 'c', { properties: properties[index] });
    await subscribe(client, 'device/1', { qos: 1 });
    client.send(publish('device/1', { payload: Buffer.from('exactly 27 bytes of payload') }));
    assert.deepEqual((await client.settled()).map(aliased), [
      ['device/1', undefined, 0, 'exactly 27 bytes of payload'],
    ]);
    await bed.broker.close(0);
  }
});

test('v5 Retain As Published: RETAIN as the publisher set it, for those who asked; in aws for nobody (MQTT 5.0 3.8.3.1; gateway.md 5.6)', async (t) => {
  const retains: unknown[] = [];
  for (const limits of [awsLimits, openLimits]) {
    const bed = createBed({ limits, store: await openBedStore(t) });
    const [sender, asked, other] = [await bed.connect(5, 's'), await bed.connect(5, 'a'), await bed.connect(5, 'o')];
    await subscribe(asked, 't', { qos: 1, rap: true });
    await subscribe(other, 't', { qos: 1, rap: false });
    for (const [messageId, retain] of [
      [1, true],
      [2, false],
    ] as const) {
      sender.send(publish('t', { qos: 1, messageId, retain }));
      await sender.take(1);
    }
    for (const client of [asked, other]) {
      retains.push((await client.settled()).map((packet) => packet.cmd === 'publish' && packet.retain));
    }
    await bed.broker.close(0);
  }
  assert.deepEqual(retains, [
    [false, false],
    [false, false],
    [true, false],
    [false, false],
  ]);
});

test('a QoS 2 message with RETAIN is stored, delivered and kept once, however often it is sent (MQTT 3.3.1.3)', async (t) => {
  const bed = createBed({ limits: openLimits, store: await openBedStore(t) });
  const [sender, reader] = [await bed.connect(5, 's'), await bed.connect(5, 'r')];
  await subscribe(reader, 't');
  for (const dup of [false, true]) sender.send(publish('t', { qos: 2, messageId: 3, retain: true, dup }));
  assert.deepEqual(brief(await sender.take(2)), Array(2).fill(['pubrec', 3]));
  assert.deepEqual(brief(await reader.settled()), [['publish', 't', 2, false, false]]);
  const late = await bed.connect(5, 'late');
  await subscribe(late, '+', { rh: 0 });
  assert.deepEqual(brief(await late.take(1)), [['publish', 't', 2, true, false]]);
  await bed.broker.close(0);
});

test('a filter that is not allowed gets 0x87, or 0x80 where denials are not named; other refusals keep their code (MQTT 5.0 3.9.3)', async () => {
  const codes: unknown[] = [];
  for (const namesDenials of [true, false]) {
    const bed = open({ topicBytesMax: 3, dialect: { ...openLimits.dialect, namesDenials } });
    bed.principal('some', [
      ['iot:Connect', '*'],
      ['iot:Subscribe', '*/yes'],
    ]);
    const client = await bed.connect(5, 'c', {}, 'some');
    const subscriptions = ['yes', 'no', 'long'].map((topic) => ({ topic, qos: 0 as const }));
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions });
    const suback = await client.next();
    codes.push(suback.cmd === 'suback' && suback.granted);
    await bed.broker.close(0);
  }
  assert.deepEqual(codes, [
    [0, 0x87, 0x8f],
    [0, 0x80, 0x8f],
  ]);
});

test('a PUBREC for a QoS 1 message is for nothing that is known; the message still waits for its PUBACK (MQTT 5.0 4.3.2)', async () => {
  const bed = open();
  const client = await bed.connect(5, 'c', { properties: { receiveMaximum: 1 } });
  await subscribe(client, 'a', { qos: 1 });
  for (const messageId of [1, 2]) client.send(publish('a', { qos: 1, messageId }));
  const message = (await client.settled()).find((packet) => packet.cmd === 'publish');
  client.send({ cmd: 'pubrec', messageId: message!.messageId! });
  const [pubrel, ...rest] = await client.settled();
  assert.ok(pubrel?.cmd === 'pubrel' && pubrel.reasonCode === 0x92);
  assert.deepEqual(rest, []);
  client.send({ cmd: 'puback', messageId: message!.messageId! });
  assert.deepEqual(brief(await client.settled()), [['publish', 'a', 1, false, false]]);
  await bed.broker.close(0);
});

test('v5: the topic alias in a QoS 2 message that is sent again counts (MQTT 5.0 3.3.2.3.4)', async () => {
  const bed = open();
  const client = await bed.connect(5, 'c');
  await subscribe(client, '+', { qos: 0 });
  client.send(publish('a', { qos: 2, messageId: 1 }));
  client.send(publish('a', { qos: 2, messageId: 1, dup: true, properties: { topicAlias: 1 } }));
  client.send(publish('', { properties: { topicAlias: 1 } }));
  const received = (await client.settled()).filter((packet) => packet.cmd === 'publish');
  assert.deepEqual(brief(received), Array(2).fill(['publish', 'a', 0, false, false]));
  await bed.broker.close(0);
});
