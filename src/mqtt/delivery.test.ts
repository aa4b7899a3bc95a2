/** Deliveries: rights, inflight window, retries, expiry, wills and the separation of accounts (spec gateway.md 5.7, 5.8, 12). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { IPublishPacket, Packet } from 'mqtt-packet';
import { type Allowed, accountA, accountB, createBed, type RawClient } from '../../test/mqtt-bed.ts';
import { giveUpMs, retryMs } from './inflight.ts';

const versions = [4, 5] as const;
const subscribe = async (client: RawClient, topic: string, qos: 0 | 1 = 0): Promise<void> => {
  client.send({ cmd: 'subscribe', messageId: 3, subscriptions: [{ topic, qos }] });
  const suback = await client.next();
  assert.ok(suback.cmd === 'suback' && suback.granted[0] === qos);
};
const publish = async (client: RawClient, topic: string, more: Partial<IPublishPacket> = {}): Promise<void> => {
  client.send({ cmd: 'publish', topic, payload: 'x', qos: 0, messageId: 9, dup: false, retain: false, ...more });
  await client.settled();
};
const messages = (packets: readonly Packet[]): IPublishPacket[] =>
  packets.filter((packet): packet is IPublishPacket => packet.cmd === 'publish');
const payloads = (packets: readonly Packet[]): string[] => messages(packets).map(({ payload }) => String(payload));
const noReceive: Allowed[] = [
  ['iot:Connect', '*'],
  ['iot:Subscribe', '*'],
];

for (const version of versions) {
  test(`v${version} 5.7: without iot:Receive nothing is delivered, the connection stays, the journal says why once (policy.md 12.9)`, async () => {
    const bed = createBed();
    bed.principal('p', noReceive);
    const client = await bed.connect(version, 'dev1', {}, 'p');
    await subscribe(client, 't', 1);
    const sender = await bed.connect(version, 'sender');
    for (let index = 0; index < 3; index++) await publish(sender, 't', { qos: 1 });
    assert.deepEqual(await client.settled(), []);
    const [record, ...more] = bed.failures();
    assert.deepEqual(more, []);
    assert.deepEqual([record?.eventType, record?.action, record?.clientId], ['Publish-Out', 'iot:Receive', 'dev1']);
    assert.equal(record?.resource, 'arn:aws:iot:us-east-1:000000000000:topic/t');
    assert.equal(bed.broker.metrics['PublishOut.AuthError'], 3);
  });

  test(`v${version} policy.md 12.10: a right taken away acts on the next message of a live subscription`, async () => {
    const bed = createBed();
    const rights = bed.principal('p');
    const client = await bed.connect(version, 'dev1', {}, 'p');
    const sender = await bed.connect(version, 'sender');
    await subscribe(client, 't');
    await publish(sender, 't', { payload: 'before' });
    rights.become(noReceive);
    await publish(sender, 't', { payload: 'after' });
    rights.become([['*', '*']]);
    await publish(sender, 't', { payload: 'again' });
    assert.deepEqual(payloads(await client.settled()), ['before', 'again']);
  });

  test(`v${version} 5.7: QoS is the lower of published and granted`, async () => {
    const bed = createBed();
    const client = await bed.connect(version, 'dev1');
    const sender = await bed.connect(version, 'sender');
    await subscribe(client, 'zero', 0);
    await subscribe(client, 'one', 1);
    await publish(sender, 'zero', { qos: 1 });
    await publish(sender, 'one', { qos: 1 });
    await publish(sender, 'one', { qos: 0 });
    assert.deepEqual(
      messages(await client.settled()).map(({ qos }) => qos),
      [0, 1, 0],
    );
  });

  test(`v${version} 5.6: overlapping subscriptions give one copy at the highest QoS`, async () => {
    const bed = createBed();
    const client = await bed.connect(version, 'dev1');
    await subscribe(client, 'a/#', 0);
    await subscribe(client, 'a/+', 1);
    await publish(await bed.connect(version, 'sender'), 'a/b', { qos: 1 });
    assert.deepEqual(
      messages(await client.settled()).map(({ qos }) => qos),
      [1],
    );
  });

  test(`v${version} 5.7: no more than inflightMax messages are unacknowledged; each PUBACK lets the next go`, async () => {
    const bed = createBed({ limits: { inflightMax: 2 } });
    const client = await bed.connect(version, 'dev1');
    const sender = await bed.connect(version, 'sender');
    await subscribe(client, 't', 1);
    for (const payload of ['1', '2', '3', '4']) await publish(sender, 't', { payload, qos: 1 });
    const first = messages(await client.settled());
    assert.deepEqual(payloads(first), ['1', '2']);
    client.send({ cmd: 'puback', messageId: first[0]?.messageId ?? 0 });
    const second = messages(await client.settled());
    assert.deepEqual(payloads(second), ['3']);
    client.send({ cmd: 'puback', messageId: 4242 });
    assert.deepEqual(await client.settled(), [], 'an unknown identifier acknowledges nothing');
    client.send({ cmd: 'puback', messageId: first[1]?.messageId ?? 0 });
    assert.deepEqual(payloads(await client.settled()), ['4']);
  });

  test(`v${version} 5.7: the unacknowledged is sent again ${version === 4 ? 'every 20 s, same identifier, DUP clear' : 'never while connected'}`, async () => {
    const bed = createBed();
    const client = await bed.connect(version, 'dev1', { keepalive: 1200 });
    await subscribe(client, 't', 1);
    const sender = await bed.connect(version, 'sender', { keepalive: 1200 });
    for (let index = 0; index < 2; index++) await publish(sender, 't', { qos: 1 });
    const ids = messages(await client.settled()).map(({ messageId }) => messageId);
    assert.equal(ids.length, 2);
    bed.advance(retryMs - 1000);
    assert.deepEqual(await client.settled(), []);
    bed.advance(1000);
    const again = messages(await client.settled());
    assert.deepEqual(
      again.map(({ messageId }) => messageId),
      version === 4 ? ids : [],
    );
    assert.ok(again.every(({ dup, qos }) => !dup && qos === 1));
    for (const { messageId } of again) client.send({ cmd: 'puback', messageId: messageId ?? 0 });
    await client.settled();
    bed.advance(retryMs);
    assert.deepEqual(await client.settled(), []);
  });

  test(`v${version} 5.7: after one hour the unacknowledged is given up and frees its place`, async () => {
    const bed = createBed({ limits: { inflightMax: 1 } });
    const client = await bed.connect(version, 'dev1', { keepalive: 1200 });
    const sender = await bed.connect(version, 'sender', { keepalive: 1200 });
    await subscribe(client, 't', 1);
    await publish(sender, 't', { payload: 'old', qos: 1 });
    await publish(sender, 't', { payload: 'new', qos: 1 });
    assert.deepEqual(payloads(await client.settled()), ['old']);
    for (let passed = 0; passed < giveUpMs; passed += 1_200_000) {
      bed.advance(1_200_000);
      const seen = payloads(await client.settled());
      if (passed + 1_200_000 >= giveUpMs) assert.deepEqual(seen, ['new']);
    }
  });

  test(`v${version} 12: accounts do not hear each other, whatever the topic and client id`, async () => {
    const bed = createBed();
    bed.principal('b', [['*', '*']], accountB);
    const a = await bed.connect(version, 'same');
    const b = await bed.connect(version, 'same', {}, 'b');
    const elsewhere = bed.principal('c', [['*', '*']], { ...accountA, region: 'eu-west-1' });
    const c = await bed.connect(version, 'same', {}, elsewhere.certificateId);
    for (const client of [a, b, c]) {
      await subscribe(client, '#');
      client.send({ cmd: 'subscribe', messageId: 3, subscriptions: [{ topic: '$share/g/#', qos: 0 }] });
      await client.next();
    }
    await publish(await bed.connect(version, 'sender'), 't', { payload: 'for a' });
    bed.broker.publish(accountB, { topic: 't', payload: Buffer.from('for b'), qos: 0 });
    assert.deepEqual(payloads(await a.settled()), ['for a', 'for a']);
    assert.deepEqual(payloads(await b.settled()), ['for b', 'for b']);
    assert.deepEqual(await c.settled(), []);
  });

  test(`v${version} 5.8: the will follows a lost connection, not a DISCONNECT`, async () => {
    const bed = createBed();
    const watcher = await bed.connect(version, 'watcher');
    await subscribe(watcher, 'w/#', 1);
    const will = (name: string) => ({
      will: { topic: `w/${name}`, payload: Buffer.from(name), qos: 1 as const, retain: false },
    });
    const polite = await bed.connect(version, 'polite', will('polite'));
    polite.send({ cmd: 'disconnect' });
    await polite.closed();
    const lost = await bed.connect(version, 'lost', will('lost'));
    lost.socket.destroy();
    const rude = await bed.connect(version, 'rude', will('rude'));
    rude.raw(0xf0, 0);
    await rude.closed();
    const packets = messages(await watcher.take(2));
    assert.deepEqual(
      packets.map(({ payload, qos }) => `${payload} ${qos}`),
      ['lost 1', 'rude 1'],
    );
    assert.deepEqual(await watcher.settled(), []);
  });

  test(`v${version}: the service's own messages need no right to publish, receivers need theirs`, async () => {
    const bed = createBed();
    bed.principal('p', noReceive);
    const client = await bed.connect(version, 'dev1');
    const deaf = await bed.connect(version, 'deaf', {}, 'p');
    for (const each of [client, deaf]) await subscribe(each, '$aws/events/job/#', 1);
    bed.broker.publish(accountA, {
      topic: '$aws/events/job/x',
      payload: Buffer.from('hello'),
      qos: 1,
      properties: { contentType: 'text/plain' },
    });
    const [packet] = messages(await client.settled());
    assert.equal(String(packet?.payload), 'hello');
    assert.equal(packet?.properties?.contentType, version === 5 ? 'text/plain' : undefined);
    assert.deepEqual(await deaf.settled(), []);
  });
}

test('v5 5.7: the smaller of Receive Maximum and inflightMax bounds the window', async () => {
  const bed = createBed();
  const client = await bed.connect(5, 'dev1', { properties: { receiveMaximum: 1 } });
  await subscribe(client, 't', 1);
  const sender = await bed.connect(5, 'sender');
  await publish(sender, 't', { qos: 1 });
  await publish(sender, 't', { qos: 1 });
  assert.equal(messages(await client.settled()).length, 1);
});

test('v5 5.7: what exceeds the Maximum Packet Size of the client is not sent', async () => {
  const bed = createBed();
  const client = await bed.connect(5, 'dev1', { properties: { maximumPacketSize: 100 } });
  const sender = await bed.connect(5, 'sender');
  await subscribe(client, 't', 1);
  for (const qos of [0, 1] as const) {
    await publish(sender, 't', { payload: 'y'.repeat(100), qos });
    await publish(sender, 't', { payload: 'fits', qos });
  }
  assert.deepEqual(payloads(await client.settled()), ['fits', 'fits']);
  assert.equal(bed.broker.metrics['PublishOut.ClientError'], 2);
});

test('5.7: properties pass unchanged and in order to v5, not to v3', async () => {
  const bed = createBed();
  const five = await bed.connect(5, 'five');
  const three = await bed.connect(4, 'three');
  const sender = await bed.connect(5, 'sender');
  for (const client of [five, three]) await subscribe(client, 't', 1);
  const properties = {
    payloadFormatIndicator: true,
    responseTopic: 'answer/here',
    correlationData: Buffer.from([1, 2]),
    contentType: 'text/plain',
    userProperties: { b: ['2', '1'], a: '3' },
  };
  for (const qos of [0, 1] as const) await publish(sender, 't', { qos, properties });
  for (const packet of messages(await five.settled()))
    assert.deepEqual(JSON.parse(JSON.stringify(packet.properties)), JSON.parse(JSON.stringify(properties)));
  for (const packet of messages(await three.settled())) assert.equal(packet.properties, undefined);
});

test('5.7: message expiry: bounded, what remains travels on, what is over does not, for v3 receivers either (14.33)', async () => {
  const bed = createBed({ limits: { inflightMax: 1 } });
  const five = await bed.connect(5, 'five', { keepalive: 1200 });
  const three = await bed.connect(4, 'three', { keepalive: 1200 });
  const sender = await bed.connect(5, 'sender', { keepalive: 1200 });
  for (const client of [five, three]) await subscribe(client, 't', 1);
  const expiring = (payload: string, seconds: number, qos: 0 | 1) =>
    publish(sender, 't', { payload, qos, properties: { messageExpiryInterval: seconds } });
  await expiring('first', 999_999_999, 1);
  await expiring('slow', 30, 1);
  await expiring('gone', 10, 1);
  await expiring('now', 0, 0);
  await publish(sender, 't', { payload: 'last', qos: 1 });
  const expiryOf = (packets: readonly Packet[]) =>
    messages(packets).map((packet) => `${packet.payload} ${packet.properties?.messageExpiryInterval ?? '-'}`);
  assert.deepEqual(expiryOf(await five.settled()), ['first 604800', 'now 1']);
  assert.deepEqual(payloads(await three.settled()), ['first', 'now']);
  bed.clock.nowMs += 20_000; // without a tick: no retry
  for (const client of [five, three]) client.send({ cmd: 'puback', messageId: 1 });
  assert.deepEqual(expiryOf(await five.settled()), ['slow 10']);
  assert.deepEqual(payloads(await three.settled()), ['slow']);
  for (const client of [five, three]) client.send({ cmd: 'puback', messageId: 2 });
  assert.deepEqual(expiryOf(await five.settled()), ['last -']);
  assert.deepEqual(payloads(await three.settled()), ['last']);
});

test('v5 5.8: DISCONNECT 0x04 publishes the will; its properties travel, the will delay does not count', async () => {
  const bed = createBed();
  const watcher = await bed.connect(5, 'watcher');
  await subscribe(watcher, 'w');
  const client = await bed.connect(5, 'dev1', {
    will: {
      topic: 'w',
      payload: Buffer.from('bye'),
      qos: 0,
      retain: false,
      properties: { willDelayInterval: 3600, contentType: 'text/plain', messageExpiryInterval: 50 },
    },
  });
  client.send({ cmd: 'disconnect', reasonCode: 4 });
  await client.closed();
  const packet = await watcher.next();
  assert.ok(packet.cmd === 'publish');
  assert.deepEqual({ ...packet.properties }, { contentType: 'text/plain', messageExpiryInterval: 50 });
});

test('5.8: a client does not receive its own will', async () => {
  const bed = createBed();
  const client = await bed.connect(5, 'dev1', {
    will: { topic: 'w', payload: Buffer.from('x'), qos: 0, retain: false },
  });
  await subscribe(client, 'w');
  client.raw(0xf0, 0);
  assert.deepEqual(messages(await client.closed()), []);
});
