import assert from 'node:assert/strict';
import { test } from 'node:test';
import mqttPacket, { type Packet } from 'mqtt-packet';
import {
  connectPacket,
  disconnectPacket,
  type FromServer,
  inWords,
  NotMqtt,
  PacketReader,
  packetBytesMax,
  pubackPacket,
  publishPacket,
  subscribePacket,
} from './packets.ts';

/** As another implementation reads it. */
const parsed = (bytes: Buffer): Packet => {
  const packets: Packet[] = [];
  const parser = mqttPacket.parser({ protocolVersion: 5 });
  parser.on('packet', (packet) => packets.push(packet));
  parser.on('error', assert.fail);
  assert.equal(parser.parse(bytes), 0);
  assert.equal(packets.length, 1);
  return packets[0] ?? assert.fail();
};

test('what the device writes is MQTT 5 to another implementation', () => {
  const connect = parsed(connectPacket('gerät-1', 300));
  assert(connect.cmd === 'connect');
  const { clientId, protocolVersion, clean, keepalive } = connect;
  assert.deepEqual([clientId, protocolVersion, clean, keepalive], ['gerät-1', 5, true, 300]);

  const subscribe = parsed(subscribePacket(0x1234, ['a/accepted', 'a/rejected']));
  assert(subscribe.cmd === 'subscribe');
  const asked = subscribe.subscriptions.map(({ topic, qos }) => [topic, qos]);
  assert.deepEqual(
    [subscribe.messageId, asked],
    [
      0x1234,
      [
        ['a/accepted', 1],
        ['a/rejected', 1],
      ],
    ],
  );

  const payload = Buffer.alloc(20_000, 'x');
  const publish = parsed(publishPacket(7, 'sdk/test/js', payload));
  assert(publish.cmd === 'publish');
  assert.deepEqual([publish.messageId, publish.topic, publish.qos, publish.retain], [7, 'sdk/test/js', 1, false]);
  assert.deepEqual(publish.payload, payload);

  const puback = parsed(pubackPacket(9));
  assert.deepEqual([puback.cmd, puback.messageId], ['puback', 9]);
  assert.equal(parsed(disconnectPacket).cmd, 'disconnect');
});

const properties = { reasonString: 'because', userProperties: { a: 'b', c: ['d', 'e'] } };
const sent: readonly [Packet, FromServer][] = [
  [
    {
      cmd: 'connack',
      sessionPresent: false,
      reasonCode: 0x87,
      properties: {
        ...properties,
        sessionExpiryInterval: 1,
        receiveMaximum: 100,
        maximumQoS: 1,
        retainAvailable: true,
        maximumPacketSize: 1000,
        assignedClientIdentifier: 'x',
        topicAliasMaximum: 8,
        wildcardSubscriptionAvailable: true,
        subscriptionIdentifiersAvailable: true,
        sharedSubscriptionAvailable: true,
        serverKeepAlive: 30,
        responseInformation: 'y',
        serverReference: 'z',
        authenticationMethod: 'm',
        authenticationData: Buffer.from('d'),
      },
    },
    { kind: 'connack', code: 0x87, reason: 'because' },
  ],
  [
    { cmd: 'connack', sessionPresent: true, reasonCode: 0 },
    { kind: 'connack', code: 0, reason: '' },
  ],
  [
    { cmd: 'suback', messageId: 3, granted: [1, 0x87], properties },
    { kind: 'suback', id: 3, codes: [1, 0x87], reason: 'because' },
  ],
  [
    { cmd: 'puback', messageId: 4, reasonCode: 0x87, properties },
    { kind: 'puback', id: 4, code: 0x87, reason: 'because' },
  ],
  [
    { cmd: 'puback', messageId: 4, reasonCode: 0 },
    { kind: 'puback', id: 4, code: 0, reason: '' },
  ],
  [
    {
      ...{ cmd: 'publish', qos: 1, dup: false, retain: false, messageId: 5, topic: 'a/b', payload: 'hello' },
      properties: {
        payloadFormatIndicator: true,
        messageExpiryInterval: 9,
        contentType: 'text/plain',
        responseTopic: 'r',
        correlationData: Buffer.from('c'),
        subscriptionIdentifier: [1, 300],
        userProperties: { a: 'b' },
      },
    },
    { kind: 'publish', id: 5, topic: 'a/b', payload: Buffer.from('hello') },
  ],
  [
    { cmd: 'publish', qos: 0, dup: false, retain: true, topic: 'a', payload: '' },
    { kind: 'publish', id: 0, topic: 'a', payload: Buffer.alloc(0) },
  ],
  [
    { cmd: 'disconnect', reasonCode: 0x8e, properties: { ...properties, serverReference: 's' } },
    { kind: 'disconnect', code: 0x8e, reason: 'because' },
  ],
  [{ cmd: 'pingresp' }, { kind: 'other' }],
];

test('what a server may send is read, in whatever pieces it comes', () => {
  const bytes = Buffer.concat(sent.map(([packet]) => mqttPacket.generate(packet, { protocolVersion: 5 })));
  const expected = sent.map(([, read]) => read);
  for (const size of [1, 2, 3, 7, 64, bytes.length]) {
    const reader = new PacketReader();
    const heard: FromServer[] = [];
    for (let at = 0; at < bytes.length; at += size) heard.push(...reader.read(bytes.subarray(at, at + size)));
    assert.deepEqual(heard, expected, `in pieces of ${size}`);
  }
});

test('what is no MQTT is a fault, and costs no memory', () => {
  const broken: readonly [string, Buffer][] = [
    ['a packet larger than any answer', Buffer.of(0x30, 0x81, 0x80, 0x10)],
    ['a length without an end', Buffer.of(0x30, 0xff, 0xff, 0xff, 0xff)],
    ['text beyond its packet', Buffer.of(0x30, 3, 0, 9, 0x61)],
    ['properties beyond their packet', Buffer.of(0x20, 3, 0, 0, 9)],
    ['an acknowledgement of nothing', Buffer.of(0x40, 1, 0)],
  ];
  for (const [what, bytes] of broken) assert.throws(() => [...new PacketReader().read(bytes)], NotMqtt, what);
  assert(packetBytesMax >= 131_072 + 512);
  for (let round = 0; round < 2000; round++) {
    const noise = Buffer.from(Array.from({ length: 40 }, (_, index) => (index * 7919 + round * 104_729) % 251));
    try {
      assert([...new PacketReader().read(noise)].length <= 20);
    } catch (error) {
      assert(error instanceof NotMqtt, String(error));
    }
  }
});

test("a reason code is told in MQTT's words, with the server's where they say more", () => {
  assert.equal(inWords(0x87), 'not authorized (0x87)');
  assert.equal(inWords(0x87, 'Not authorized'), 'not authorized (0x87)');
  assert.equal(inWords(0x97, 'sessionsPerAccountMax'), 'quota exceeded (0x97): sessionsPerAccountMax');
  assert.equal(inWords(0xfe), 'refused (0xfe)');
});
