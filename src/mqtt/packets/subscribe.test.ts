/** SUBSCRIBE, UNSUBSCRIBE and shared subscriptions: spec gateway.md 5.6 and 5.10, in v3 and v5. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { IPublishPacket, Packet } from 'mqtt-packet';
import { type Allowed, createBed, type RawClient, type Version } from '../../../test/mqtt-bed.ts';
import { sharedMembersMax } from '../subscriptions.ts';

const versions = [4, 5] as const;
const subscribe = (client: RawClient, ...filters: (string | { topic: string; qos: 0 | 1 | 2; nl?: boolean })[]): void =>
  client.send({
    cmd: 'subscribe',
    messageId: 3,
    subscriptions: filters.map((filter) => (typeof filter === 'string' ? { topic: filter, qos: 0 } : filter)),
  });
const publish = (client: RawClient, topic: string, payload = 'x', qos: 0 | 1 = 0): void =>
  client.send({ cmd: 'publish', topic, payload, qos, messageId: 9, dup: false, retain: false });
const granted = (packet: Packet | undefined): unknown => packet?.cmd === 'suback' && packet.granted;
const told = (packets: readonly Packet[]): unknown[] =>
  packets.map((packet) => (packet.cmd === 'disconnect' ? packet.reasonCode : granted(packet) || packet.cmd));
const payloads = (packets: readonly Packet[]): string[] =>
  packets.filter((packet): packet is IPublishPacket => packet.cmd === 'publish').map(({ payload }) => String(payload));

interface Row {
  readonly rule: string;
  readonly send: (client: RawClient) => void;
  readonly v3?: readonly unknown[];
  readonly v5?: readonly unknown[];
  readonly reason: string;
}
const raw =
  (...bytes: (number | string)[]) =>
  (client: RawClient): void =>
    client.raw(...bytes);
const rows: Row[] = [
  {
    rule: 'QoS 2 requested',
    send: (client) => subscribe(client, { topic: 't', qos: 2 }),
    v3: [],
    v5: [0x9b],
    reason: 'CLIENT_ERROR',
  },
  {
    rule: 'nine filters in one packet (14.29)',
    send: (client) => subscribe(client, ...'abcdefghi'),
    v3: [],
    v5: [0x97],
    reason: 'LIMIT_EXCEEDED',
  },
  {
    rule: 'a thousand and one filters in one UNSUBSCRIBE',
    send: (client) => {
      const unsubscriptions = Array.from({ length: 1001 }, () => 'a');
      client.send({ cmd: 'unsubscribe', messageId: 1, unsubscriptions });
    },
    v3: [],
    v5: [0x97],
    reason: 'LIMIT_EXCEEDED',
  },
  {
    rule: 'malformed filter a#',
    send: (client) => subscribe(client, 'ok', 'a#'),
    v3: [],
    v5: [0x8f],
    reason: 'CLIENT_ERROR',
  },
  {
    rule: 'malformed filter +b',
    send: (client) => subscribe(client, '+b'),
    v3: [],
    v5: [0x8f],
    reason: 'CLIENT_ERROR',
  },
  { rule: 'empty filter', send: raw(0x82, 5, 0, 1, 0, 0, 0), v3: [], reason: 'CLIENT_ERROR' },
  { rule: 'empty filter', send: raw(0x82, 6, 0, 1, 0, 0, 0, 0), v5: [0x8f], reason: 'CLIENT_ERROR' },
  {
    rule: 'forbidden $ filter $SYS/#',
    send: (client) => subscribe(client, '$SYS/#'),
    v3: [],
    v5: [0x8f],
    reason: 'CLIENT_ERROR',
  },
  {
    rule: 'Basic Ingest cannot be subscribed (14.44)',
    send: (client) => subscribe(client, '$aws/rules/r/#'),
    v3: [],
    v5: [0x8f],
    reason: 'CLIENT_ERROR',
  },
  {
    rule: 'a shared filter without a name',
    send: (client) => subscribe(client, '$share//t'),
    v3: [],
    v5: [0x8f],
    reason: 'CLIENT_ERROR',
  },
  {
    rule: 'a shared filter on a forbidden topic',
    send: (client) => subscribe(client, '$share/g/$SYS/#'),
    v3: [],
    v5: [0x8f],
    reason: 'CLIENT_ERROR',
  },
  {
    rule: 'subscription identifier (14.21)',
    send: raw(0x82, 9, 0, 1, 2, 0x0b, 1, 0, 1, 't', 0),
    v5: [0xa1],
    reason: 'NOT_AVAILABLE',
  },
  {
    rule: 'no local on a shared subscription [MQTT-3.8.3-4]',
    send: (client) => subscribe(client, { topic: '$share/g/t', qos: 0, nl: true }),
    v5: [0x82],
    reason: 'CLIENT_ERROR',
  },
  { rule: 'retain handling 3', send: raw(0x82, 7, 0, 1, 0, 0, 1, 't', 0x30), v5: [0x82], reason: 'CLIENT_ERROR' },
  { rule: 'reserved option bits', send: raw(0x82, 7, 0, 1, 0, 0, 1, 't', 0x40), v5: [0x81], reason: 'CLIENT_ERROR' },
  { rule: 'reserved option bits', send: raw(0x82, 6, 0, 1, 0, 1, 't', 4), v3: [], reason: 'CLIENT_ERROR' },
  { rule: 'QoS 3', send: raw(0x82, 6, 0, 1, 0, 1, 't', 3), v3: [], reason: 'CLIENT_ERROR' },
  { rule: 'no filter [MQTT-3.8.3-2]', send: raw(0x82, 2, 0, 1), v3: [], reason: 'CLIENT_ERROR' },
  { rule: 'no filter [MQTT-3.8.3-2]', send: raw(0x82, 3, 0, 1, 0), v5: [0x82], reason: 'CLIENT_ERROR' },
  { rule: 'packet identifier 0', send: raw(0x82, 6, 0, 0, 0, 1, 't', 0), v3: [], reason: 'CLIENT_ERROR' },
  { rule: 'a filter without options', send: raw(0x82, 5, 0, 1, 0, 1, 't'), v3: [], reason: 'CLIENT_ERROR' },
  { rule: 'UNSUBSCRIBE without a filter [MQTT-3.10.3-2]', send: raw(0xa2, 2, 0, 1), v3: [], reason: 'CLIENT_ERROR' },
  {
    rule: 'UNSUBSCRIBE of a malformed filter',
    send: raw(0xa2, 7, 0, 1, 0, 0, 2, 'a#'),
    v5: [0x8f],
    reason: 'CLIENT_ERROR',
  },
];
for (const { rule, send, v3, v5, reason } of rows) {
  for (const [version, expected] of [
    [4, v3],
    [5, v5],
  ] as const) {
    if (expected === undefined) continue;
    test(`v${version} 5.6: ${rule}: ${expected.length ? `DISCONNECT 0x${Number(expected[0]).toString(16)}` : 'close'}`, async () => {
      const bed = createBed();
      const client = await bed.connect(version, 'dev1');
      send(client);
      assert.deepEqual(told(await client.closed()), expected);
      const [record, ...more] = bed.failures();
      assert.deepEqual(more, []);
      assert.deepEqual([record?.eventType, record?.reason], ['Subscribe', reason]);
    });
  }
}

for (const version of versions) {
  const denied = version === 5 ? 0x87 : 0x80;
  const tooMuch = version === 5 ? 0x97 : 0x80;
  const tooLong = version === 5 ? 0x8f : 0x80;

  test(`v${version} 5.6: not authorized for one of two filters: SUBACK [0x${denied.toString(16)}, granted] (14.24)`, async () => {
    const bed = createBed();
    bed.principal('p', [
      ['iot:Connect', '*'],
      ['iot:Subscribe', 'topicfilter/mine/*'],
      ['iot:Receive', '*'],
    ]);
    const client = await bed.connect(version, 'dev1', {}, 'p');
    subscribe(client, 'other', { topic: 'mine/#', qos: 1 });
    assert.deepEqual(granted(await client.next()), [denied, 1]);
    const [record] = bed.failures();
    assert.deepEqual(
      [record?.action, record?.resource],
      ['iot:Subscribe', 'arn:aws:iot:us-east-1:000000000000:topicfilter/other'],
    );
    const other = await bed.connect(version, 'sender');
    publish(other, 'other', 'no');
    publish(other, 'mine/1', 'yes');
    await other.settled();
    assert.deepEqual(payloads(await client.settled()), ['yes']);
  });

  test(`v${version} 5.6: the 51st subscription is refused and the connection closed; a renewed one is not counted`, async () => {
    const bed = createBed();
    const client = await bed.connect(version, 'dev1');
    for (let index = 0; index < 50; index++) subscribe(client, `t/${index}`);
    subscribe(client, 't/0');
    await client.take(51);
    subscribe(client, 't/0', 't/50');
    const packets = await client.closed();
    assert.deepEqual(told(packets), version === 5 ? [[0, tooMuch], 0x97] : [[0, tooMuch]]);
    assert.equal(bed.failures()[0]?.detail, 'subscriptionsPerConnectionMax');
  });

  test(`v${version} 5.6: a filter over 256 bytes or 7 slashes gets 0x${tooLong.toString(16)}, the connection stays`, async () => {
    const bed = createBed();
    const client = await bed.connect(version, 'dev1');
    subscribe(client, 'x'.repeat(257), '/'.repeat(8), `$share/g/${'/'.repeat(7)}`, `$share/${'g'.repeat(129)}/t`);
    assert.deepEqual(granted(await client.next()), [tooLong, tooLong, 0, tooLong]);
    assert.deepEqual(await client.settled(), []);
    assert.deepEqual(
      bed.failures().map(({ detail }) => detail),
      ['topicBytesMax', 'topicSlashesMax', 'shareNameCharsMax'],
    );
  });

  test(`v${version} 5.6: a/# is not delivered a, but a/ (14.25)`, async () => {
    const client = await createBed().connect(version, 'dev1');
    subscribe(client, 'a/#');
    publish(client, 'a', 'no');
    publish(client, 'a/', 'yes');
    assert.deepEqual(payloads(await client.settled()), ['yes']);
  });

  test(`v${version} 5.6: subscribing again replaces the QoS`, async () => {
    const client = await createBed().connect(version, 'dev1');
    subscribe(client, { topic: 't', qos: 1 });
    subscribe(client, { topic: 't', qos: 0 });
    await client.take(2);
    publish(client, 't', 'x', 1);
    const [packet] = (await client.settled()).filter(({ cmd }) => cmd === 'publish');
    assert.ok(packet?.cmd === 'publish' && packet.qos === 0);
  });

  test(`v${version} 5.6: UNSUBSCRIBE ends delivery and is answered for unknown filters alike`, async () => {
    const bed = createBed();
    const client = await bed.connect(version, 'dev1');
    subscribe(client, 't', '$share/g/s');
    await client.next();
    client.send({ cmd: 'unsubscribe', messageId: 4, unsubscriptions: ['t', 'unknown', '$share/g/s'] });
    publish(client, 't');
    publish(client, 's');
    const [unsuback, ...more] = await client.settled();
    assert.ok(unsuback?.cmd === 'unsuback' && unsuback.messageId === 4);
    if (version === 5) assert.deepEqual(unsuback.granted, [0, 0, 0]);
    assert.deepEqual(more, []);
  });

  test(`v${version} 5.10: of a shared group exactly one member gets each message (14.32)`, async () => {
    const bed = createBed();
    const members = [await bed.connect(version, 'm1'), await bed.connect(5, 'm2')];
    for (const member of members) {
      subscribe(member, '$share/g/t');
      await member.next();
    }
    const sender = await bed.connect(version, 'sender');
    for (let index = 0; index < 100; index++) publish(sender, 't', String(index));
    await sender.settled();
    const both = [payloads(await members[0]!.settled()), payloads(await members[1]!.settled())];
    assert.equal(both.flat().length, 100);
    assert.equal(new Set(both.flat()).size, 100);
  });

  test(`v${version} 5.10: a shared subscription is judged by its inner filter; a denied member is passed over`, async () => {
    const bed = createBed();
    const inner: Allowed[] = [
      ['iot:Connect', '*'],
      ['iot:Subscribe', 'topicfilter/t'],
    ];
    bed.principal('deaf', inner);
    bed.principal('hears', [...inner, ['iot:Receive', '*']]);
    const deaf = await bed.connect(version, 'deaf', {}, 'deaf');
    const hears = await bed.connect(version, 'hears', {}, 'hears');
    for (const member of [deaf, hears]) {
      subscribe(member, '$share/g/t');
      assert.deepEqual(granted(await member.next()), [0]);
    }
    const sender = await bed.connect(version, 'sender');
    publish(sender, 't');
    await sender.settled();
    assert.deepEqual(payloads(await deaf.settled()), []);
    assert.deepEqual(payloads(await hears.settled()), ['x']);
  });
}

test('v5 5.6: no local keeps the own messages away, those of others arrive', async () => {
  const bed = createBed();
  const client = await bed.connect(5, 'dev1');
  const other = await bed.connect(5, 'other');
  subscribe(client, { topic: 't', qos: 0, nl: true });
  await client.next();
  publish(client, 't', 'own');
  publish(other, 't', 'theirs');
  await other.settled();
  assert.deepEqual(payloads(await client.settled()), ['theirs']);
});

test('5.10: a member that leaves is not chosen any more', async () => {
  const bed = createBed();
  const stays = await bed.connect(4, 'stays');
  const leaves = await bed.connect(4, 'leaves');
  for (const member of [leaves, stays] as const) {
    subscribe(member, '$share/g/t');
    await member.next();
  }
  leaves.send({ cmd: 'disconnect' });
  await leaves.closed();
  const sender = await bed.connect(4, 'sender');
  publish(sender, 't');
  await sender.settled();
  assert.deepEqual(payloads(await stays.settled()), ['x']);
});

test('5.10: whoever leaves gives up its place in the group', async () => {
  const bed = createBed();
  for (let index = 0; index <= sharedMembersMax; index++) {
    const member = await bed.connect(4, `m${index}`);
    subscribe(member, '$share/g/t');
    assert.deepEqual(granted(await member.next()), [0]);
    member.send({ cmd: 'disconnect' });
    await member.closed();
  }
});

test('5.6: a refused re-subscription leaves the existing subscription as it is', async () => {
  const bed = createBed();
  const rights = bed.principal('p');
  const client = await bed.connect(5 satisfies Version, 'dev1', {}, 'p');
  subscribe(client, 't');
  await client.next();
  rights.become([['iot:Receive', '*']]);
  subscribe(client, 't');
  assert.deepEqual(granted(await client.next()), [0x87]);
  const sender = await bed.connect(5, 'sender');
  publish(sender, 't');
  await sender.settled();
  assert.deepEqual(payloads(await client.settled()), ['x']);
});
