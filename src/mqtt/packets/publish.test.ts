/** PUBLISH in: one test per row of spec gateway.md 5.5 and 6 that this version has, in v3 and v5. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { IPublishPacket, Packet } from 'mqtt-packet';
import { type Allowed, createBed } from '../../../test/mqtt-bed.ts';
import { publishRightsMax } from './publish.ts';

const publishing = (topic: string, more: Partial<IPublishPacket> = {}): IPublishPacket => ({
  cmd: 'publish',
  topic,
  payload: Buffer.from('x'),
  qos: 0,
  messageId: 7,
  dup: false,
  retain: false,
  ...more,
});
const told = (packets: readonly Packet[]): string[] =>
  packets.map((packet) => {
    if (packet.cmd === 'puback') return `puback ${(packet.reasonCode ?? 0).toString(16)}`;
    return packet.cmd === 'disconnect' ? `disconnect ${(packet.reasonCode ?? 0).toString(16)}` : packet.cmd;
  });
const text = (value: string): (number | string)[] => [0, value.length, value];
const property = (...bytes: (number | string)[]) => bytes;

interface Row {
  readonly rule: string;
  readonly packet: IPublishPacket | readonly (number | string | Uint8Array)[];
  /** What v3 is told before the close; a missing version is not concerned. */
  readonly v3?: readonly string[];
  readonly v5?: readonly string[];
  /** The connection stays open. */
  readonly stays?: boolean;
  readonly reason: string;
  readonly detail?: string;
  readonly allowed?: readonly Allowed[];
}
const connectOnly: readonly Allowed[] = [['iot:Connect', '*']];
const noRetain: readonly Allowed[] = [
  ['iot:Connect', '*'],
  ['iot:Publish', '*'],
];
const eight = '/'.repeat(8);

const rows: Row[] = [
  { rule: 'QoS 2', packet: publishing('t', { qos: 2 }), v3: [], v5: ['disconnect 9b'], reason: 'CLIENT_ERROR' },
  {
    rule: 'not authorized, QoS 0',
    packet: publishing('t'),
    v3: [],
    v5: ['disconnect 87'],
    reason: 'AUTHORIZATION_FAILURE',
    allowed: connectOnly,
  },
  {
    rule: 'not authorized, QoS 1 on v3',
    packet: publishing('t', { qos: 1 }),
    v3: [],
    reason: 'AUTHORIZATION_FAILURE',
    allowed: connectOnly,
  },
  {
    rule: 'not authorized, QoS 1 on v5',
    packet: publishing('t', { qos: 1 }),
    v5: ['puback 87'],
    stays: true,
    reason: 'AUTHORIZATION_FAILURE',
    allowed: connectOnly,
  },
  { rule: 'wildcard in the topic', packet: [0x30, 5, 0, 3, 'a/#'], v3: [], reason: 'CLIENT_ERROR' },
  { rule: 'wildcard in the topic', packet: [0x30, 6, 0, 3, 'a/#', 0], v5: ['disconnect 90'], reason: 'CLIENT_ERROR' },
  { rule: 'empty topic', packet: [0x30, 2, 0, 0], v3: [], reason: 'CLIENT_ERROR' },
  { rule: 'empty topic without alias', packet: [0x30, 3, 0, 0, 0], v5: ['disconnect 90'], reason: 'CLIENT_ERROR' },
  { rule: 'NUL in the topic', packet: [0x30, 3, 0, 1, 0], v3: [], reason: 'CLIENT_ERROR' },
  { rule: 'NUL in the topic', packet: [0x30, 4, 0, 1, 0, 0], v5: ['disconnect 81'], reason: 'CLIENT_ERROR' },
  { rule: 'bad UTF-8 in the topic', packet: [0x30, 4, 0, 2, 0xc3, 0x28], v3: [], reason: 'CLIENT_ERROR' },
  {
    rule: 'bad UTF-8 in the topic',
    packet: [0x30, 5, 0, 2, 0xc3, 0x28, 0],
    v5: ['disconnect 81'],
    reason: 'CLIENT_ERROR',
  },
  {
    rule: 'topic of 257 bytes, QoS 0',
    packet: publishing('x'.repeat(257)),
    v3: [],
    v5: ['disconnect 90'],
    reason: 'LIMIT_EXCEEDED',
    detail: 'topicBytesMax',
  },
  {
    rule: 'topic of 257 bytes, QoS 1',
    packet: publishing('x'.repeat(257), { qos: 1 }),
    v5: ['puback 90'],
    stays: true,
    reason: 'LIMIT_EXCEEDED',
  },
  {
    rule: '8 slashes, QoS 0',
    packet: publishing(eight),
    v3: [],
    v5: ['disconnect 90'],
    reason: 'LIMIT_EXCEEDED',
    detail: 'topicSlashesMax',
  },
  {
    rule: '8 slashes, QoS 1',
    packet: publishing(eight, { qos: 1 }),
    v5: ['puback 90'],
    stays: true,
    reason: 'LIMIT_EXCEEDED',
  },
  {
    rule: '$ topic not open to clients',
    packet: publishing('$SYS/x', { qos: 1 }),
    v3: [],
    v5: ['disconnect 90'],
    reason: 'CLIENT_ERROR',
  },
  {
    rule: 'reply topics belong to the service, whatever the policy',
    packet: publishing('$aws/things/t/shadow/get/accepted'),
    v3: [],
    v5: ['disconnect 87'],
    reason: 'AUTHORIZATION_FAILURE',
  },
  {
    rule: 'event topics belong to the service, QoS 1',
    packet: publishing('$aws/events/presence/connected/x', { qos: 1 }),
    v5: ['puback 87'],
    stays: true,
    reason: 'AUTHORIZATION_FAILURE',
  },
  {
    rule: 'RETAIN on a reserved topic',
    packet: publishing('$aws/things/t/shadow/update', { qos: 1, retain: true }),
    v3: [],
    v5: ['disconnect 90'],
    reason: 'CLIENT_ERROR',
  },
  {
    rule: 'RETAIN without iot:RetainPublish, QoS 0',
    packet: publishing('t', { retain: true }),
    v3: [],
    v5: ['disconnect 87'],
    reason: 'AUTHORIZATION_FAILURE',
    allowed: noRetain,
  },
  {
    rule: 'RETAIN without iot:RetainPublish, QoS 1',
    packet: publishing('t', { retain: true, qos: 1 }),
    v5: ['puback 87'],
    stays: true,
    reason: 'AUTHORIZATION_FAILURE',
    allowed: noRetain,
  },
  {
    rule: 'payload of 131073 bytes (14.31)',
    packet: publishing('t', { payload: Buffer.alloc(131_073) }),
    v3: [],
    v5: ['disconnect 97'],
    reason: 'LIMIT_EXCEEDED',
    detail: 'payloadBytesMax',
  },
  {
    rule: 'payload of 131073 bytes to a reserved topic',
    packet: publishing('$aws/rules/r/x', { payload: Buffer.alloc(131_073) }),
    v3: [],
    v5: ['disconnect 97'],
    reason: 'LIMIT_EXCEEDED',
  },
  {
    rule: 'packet over the maximum',
    packet: [0x30, 0xff, 0xff, 0x7f],
    v3: [],
    v5: ['disconnect 95'],
    reason: 'LIMIT_EXCEEDED',
    detail: 'packetBytesMax',
  },
  {
    rule: 'topic alias 0',
    packet: [0x30, 8, ...text('t'), 3, 0x23, 0, 0, 'x'],
    v5: ['disconnect 94'],
    reason: 'CLIENT_ERROR',
  },
  {
    rule: 'topic alias 9',
    packet: [0x30, 8, ...text('t'), 3, 0x23, 0, 9, 'x'],
    v5: ['disconnect 94'],
    reason: 'CLIENT_ERROR',
  },
  { rule: 'unknown alias', packet: [0x30, 6, 0, 0, 3, 0x23, 0, 1], v5: ['disconnect 94'], reason: 'CLIENT_ERROR' },
  { rule: 'packet identifier 0 [MQTT-2.2.1-3]', packet: [0x32, 5, ...text('t'), 0, 0], v3: [], reason: 'CLIENT_ERROR' },
  {
    rule: 'packet identifier 0 [MQTT-2.2.1-3]',
    packet: [0x32, 6, ...text('t'), 0, 0, 0],
    v5: ['disconnect 82'],
    reason: 'CLIENT_ERROR',
  },
  {
    rule: 'no room for the packet identifier',
    packet: [0x32, 3, ...text('t')],
    v3: [],
    v5: ['disconnect 81'],
    reason: 'CLIENT_ERROR',
  },
  {
    rule: 'topic longer than the packet',
    packet: [0x30, 3, 0, 9, 't'],
    v3: [],
    v5: ['disconnect 81'],
    reason: 'CLIENT_ERROR',
  },
  { rule: 'no property length', packet: [0x30, 3, ...text('t')], v5: ['disconnect 81'], reason: 'CLIENT_ERROR' },
  {
    rule: 'properties longer than the packet',
    packet: [0x30, 5, ...text('t'), 9, 1],
    v5: ['disconnect 81'],
    reason: 'CLIENT_ERROR',
  },
  {
    rule: 'a subscription identifier from a client [MQTT-3.3.4-6]',
    packet: [0x30, 6, ...text('t'), 2, ...property(0x0b, 1)],
    v5: ['disconnect 82'],
    reason: 'CLIENT_ERROR',
  },
  { rule: 'payload format 2', packet: [0x30, 6, ...text('t'), 2, 1, 2], v5: ['disconnect 82'], reason: 'CLIENT_ERROR' },
  {
    rule: 'a response topic with a wildcard [MQTT-3.3.2-14]',
    packet: [0x30, 8, ...text('t'), 4, 8, ...text('#')],
    v5: ['disconnect 82'],
    reason: 'CLIENT_ERROR',
  },
  {
    rule: 'message expiry twice',
    packet: [0x30, 14, ...text('t'), 10, 2, 0, 0, 0, 1, 2, 0, 0, 0, 1],
    v5: ['disconnect 82'],
    reason: 'CLIENT_ERROR',
  },
  {
    rule: 'a user property with NUL',
    packet: [0x30, 10, ...text('t'), 6, 0x26, 0, 1, 0, 0, 0],
    v5: ['disconnect 81'],
    reason: 'CLIENT_ERROR',
  },
];
for (const { rule, packet, v3, v5, stays, reason, detail, allowed } of rows) {
  for (const [version, expected] of [
    [4, v3],
    [5, v5],
  ] as const) {
    if (expected === undefined) continue;
    test(`v${version} 5.5: ${rule}: ${expected.join() || 'close'}${stays ? ' and stay connected' : ''}`, async () => {
      const bed = createBed();
      bed.principal('p', allowed ?? [['*', '*']]);
      const client = await bed.connect(version, 'dev1', {}, 'p');
      if ('cmd' in packet) client.send(packet);
      else client.raw(...packet);
      assert.deepEqual(told(stays ? await client.settled() : await client.closed()), expected);
      const [record, ...more] = bed.failures();
      assert.deepEqual(more, []);
      assert.deepEqual([record?.eventType, record?.reason, record?.clientId], ['Publish-In', reason, 'dev1']);
      if (detail !== undefined) assert.equal(record?.detail, detail);
      if (reason === 'AUTHORIZATION_FAILURE') assert.equal(bed.broker.metrics['PublishIn.AuthError'], 1);
    });
  }
}

for (const version of [4, 5] as const) {
  test(`v${version} 5.5: a denied publish is in the journal with action, ARN and what was weighed`, async () => {
    const bed = createBed();
    bed.principal('p', connectOnly);
    const client = await bed.connect(version, 'dev1', {}, 'p');
    client.send(publishing('a/b'));
    await client.closed();
    const [record] = bed.failures();
    assert.equal(record?.action, 'iot:Publish');
    assert.equal(record?.resource, 'arn:aws:iot:us-east-1:000000000000:topic/a/b');
    assert.equal(record?.decision, 'IMPLICIT_DENY');
    assert.deepEqual(record?.statements, []);
    assert.equal(record?.certificateId, 'p');
    assert.equal(bed.records.at(-1)?.detail, 'AUTH_ERROR');
  });

  test(`v${version} 5.5: QoS 1 is acknowledged; DUP is ignored and never set on outbound`, async () => {
    const bed = createBed();
    const client = await bed.connect(version, 'dev1');
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 't', qos: 1 }] });
    await client.next();
    client.send(publishing('t', { qos: 1, dup: true }));
    const [first, second] = await client.take(2);
    assert.ok(first?.cmd === 'publish' && second?.cmd === 'puback');
    assert.equal(first.dup, false);
    assert.equal(second.messageId, 7);
    client.raw(0x38, version === 5 ? 5 : 4, 0, 1, 't', ...(version === 5 ? [0] : []), 'y'); // QoS 0 with DUP
    const third = await client.next();
    assert.ok(third.cmd === 'publish' && !third.dup && String(third.payload) === 'y');
  });

  test(`v${version} 5.5: a payload of 131072 bytes and a topic of 256 bytes pass`, async () => {
    const bed = createBed();
    const client = await bed.connect(version, 'dev1');
    const topic = 'x'.repeat(256);
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos: 0 }] });
    await client.next();
    client.send(publishing(topic, { payload: Buffer.alloc(131_072, 1) }));
    const packet = await client.next();
    assert.ok(packet.cmd === 'publish');
    assert.equal(packet.payload.length, 131_072);
  });

  test(`v${version} 6: Basic Ingest with 7 slashes behind its prefix is acknowledged though no rule can be found (14.30)`, async () => {
    const bed = createBed();
    const client = await bed.connect(version, 'dev1');
    client.send(publishing(`$aws/rules/r/${'/'.repeat(7)}`, { qos: 1 }));
    assert.deepEqual(told(await client.settled()), ['puback 0']);
    assert.equal(bed.broker.metrics.RuleNotFound, 1);
    assert.deepEqual(bed.failures()[0]?.facts, { ruleName: 'r' });
  });

  test(`v${version} 6: a request to a feature that is not there is refused by its name, and reaches nobody`, async () => {
    const bed = createBed();
    const client = await bed.connect(version, 'dev1');
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '$aws/things/t/shadow/#', qos: 0 }] });
    await client.next();
    client.send(publishing('$aws/things/t/shadow/get', { qos: 1 }));
    client.send(publishing('$aws/certificates/create/json'));
    assert.deepEqual(told(await client.settled()), version === 5 ? ['puback 80'] : []);
    assert.deepEqual(
      bed.failures().map(({ reason, detail }) => `${reason} ${detail}`),
      ['NOT_AVAILABLE shadows', 'NOT_AVAILABLE fleet provisioning'],
    );
  });

  test(`v${version} 6: the policy is asked before a request topic is answered`, async () => {
    const bed = createBed();
    bed.principal('p', connectOnly);
    const client = await bed.connect(version, 'dev1', {}, 'p');
    client.send(publishing('$aws/things/t/shadow/get'));
    await client.closed();
    assert.equal(bed.failures()[0]?.reason, 'AUTHORIZATION_FAILURE');
  });

  test(`v${version}: a decision is asked once per topic and revision, for publishRightsMax topics`, async () => {
    const bed = createBed();
    const rights = bed.principal('p');
    const client = await bed.connect(version, 'dev1', {}, 'p');
    const asking = async (...topics: string[]): Promise<number> => {
      const before = rights.asked;
      for (const topic of topics) client.send(publishing(topic));
      await client.settled();
      return rights.asked - before;
    };
    assert.equal(await asking('t/0', 't/0', 't/1', 't/0'), 2);
    rights.become([['*', '*']]);
    assert.equal(await asking('t/0', 't/1', 't/0'), 2);
    await asking(...Array.from({ length: publishRightsMax }, (_, index) => `other/${index}`));
    assert.equal(await asking('t/0'), 1);
  });

  for (const between of [[], ['u']]) {
    test(`v${version} policy.md 7: a right taken away acts on the next publish${between.length ? ', after another topic too' : ''}`, async () => {
      const bed = createBed();
      const rights = bed.principal('p');
      const client = await bed.connect(version, 'dev1', {}, 'p');
      for (const topic of ['t', ...between]) client.send(publishing(topic));
      await client.settled();
      rights.become([]);
      client.send(publishing('t'));
      assert.deepEqual(told(await client.closed()), version === 5 ? ['disconnect 87'] : []);
    });
  }

  test(`v${version}: the same topic again is recognised, a topic of the same length is not taken for it`, async () => {
    const bed = createBed();
    const client = await bed.connect(version, 'dev1');
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 't/+', qos: 0 }] });
    await client.next();
    for (const topic of ['t/1', 't/1', 't/2', 't/1']) client.send(publishing(topic));
    const topics = (await client.take(4)).map((packet) => packet.cmd === 'publish' && packet.topic);
    assert.deepEqual(topics, ['t/1', 't/1', 't/2', 't/1']);
  });
}

test('v5 5.5: a topic alias stands for its topic, can be set anew, and does not reach receivers', async () => {
  const bed = createBed();
  const client = await bed.connect(5, 'dev1');
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '#', qos: 0 }] });
  await client.next();
  client.send(publishing('a', { properties: { topicAlias: 8 } }));
  client.send(publishing('', { properties: { topicAlias: 8 } }));
  client.send(publishing('b', { properties: { topicAlias: 8, contentType: 'c' } }));
  client.send(publishing('', { properties: { topicAlias: 8 } }));
  const packets = await client.take(4);
  assert.deepEqual(
    packets.map((packet) => packet.cmd === 'publish' && packet.topic),
    ['a', 'a', 'b', 'b'],
  );
  assert.deepEqual(
    packets.map((packet) => packet.cmd === 'publish' && packet.properties?.topicAlias),
    [undefined, undefined, undefined, undefined],
  );
  assert.ok(packets[2]?.cmd === 'publish' && packets[2].properties?.contentType === 'c');
});

test('v3: a remaining length in more bytes than needed is read, but not passed on as it is', async () => {
  const bed = createBed();
  const client = await bed.connect(4, 'dev1');
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 't', qos: 0 }] });
  await client.next();
  const before = client.receivedBytes;
  client.raw(0x30, 0x84, 0x00, 0, 1, 't', 'x');
  const packet = await client.next();
  assert.ok(packet.cmd === 'publish' && String(packet.payload) === 'x');
  assert.equal(client.receivedBytes - before, 6);
});
