/** What MQTT clients send, both versions: streams that begin with CONNECT, made by mqtt-packet. */
import mqttPacket, { type Packet } from 'mqtt-packet';

export type Version = 4 | 5;

const stream = (version: Version, ...packets: readonly Packet[]): Buffer =>
  Buffer.concat(packets.map((packet) => mqttPacket.generate(packet, { protocolVersion: version })));

const connect = (version: Version, more: object = {}): Packet => ({
  cmd: 'connect',
  protocolId: 'MQTT',
  protocolVersion: version,
  clientId: 'dev1',
  clean: true,
  keepalive: 60,
  ...more,
});

const publish = (topic: string, more: object = {}): Packet => ({
  cmd: 'publish',
  topic,
  payload: Buffer.from('payload'),
  qos: 0,
  dup: false,
  retain: false,
  ...more,
});

const subscribe = (messageId: number, topics: readonly string[], more: object = {}): Packet => ({
  cmd: 'subscribe',
  messageId,
  subscriptions: topics.map((topic) => ({ topic, qos: 1, nl: false, rap: false, rh: 0, ...more })),
});

const ordinary = (version: Version): Buffer =>
  stream(
    version,
    connect(version),
    subscribe(1, ['a/b', 'a/+', '$share/g/a/#']),
    publish('a/b', { qos: 1, messageId: 2 }),
    { cmd: 'puback', messageId: 1 },
    { cmd: 'unsubscribe', messageId: 3, unsubscriptions: ['a/b', 'a/+', 'x'] },
    publish('a/b'),
    { cmd: 'pingreq' },
    { cmd: 'disconnect' },
  );

/** Both directions of QoS 2: refused in one dialect, an exchange in the other. */
const qos2 = (version: Version): Buffer =>
  stream(
    version,
    connect(version),
    subscribe(1, ['a/#'], { qos: 2 }),
    publish('a', { qos: 2, messageId: 2 }),
    publish('a', { qos: 2, messageId: 2, dup: true }),
    { cmd: 'pubrel', messageId: 2 },
    { cmd: 'pubrec', messageId: 1 },
    { cmd: 'pubcomp', messageId: 1 },
    { cmd: 'pubrel', messageId: 3 },
  );

const will = { topic: 'will/dev1', payload: Buffer.from('gone'), qos: 1 as const, retain: false };

export const mqttStreams: readonly Buffer[] = [
  ordinary(4),
  ordinary(5),
  stream(
    4,
    connect(4, { clientId: '', will, username: 'u?x=y', password: Buffer.from('p') }),
    publish('$aws/rules/r/a'),
  ),
  stream(4, connect(4, { clean: false }), publish('$aws/things/dev1/shadow/get', { qos: 1, messageId: 9 })),
  stream(
    5,
    connect(5, {
      clientId: '',
      will: { ...will, properties: { willDelayInterval: 1, messageExpiryInterval: 9, contentType: 't' } },
      properties: { sessionExpiryInterval: 9, receiveMaximum: 2, maximumPacketSize: 400, userProperties: { a: 'b' } },
    }),
    subscribe(1, ['a/#'], { nl: true, rap: true, rh: 1 }),
    publish('a/b', { qos: 1, messageId: 1, properties: { topicAlias: 1, messageExpiryInterval: 5 } }),
    publish('', { properties: { topicAlias: 1, responseTopic: 'r', correlationData: Buffer.from('c') } }),
    publish('a/c', { properties: { payloadFormatIndicator: true, userProperties: { k: ['v', 'w'] } } }),
    { cmd: 'puback', messageId: 1, reasonCode: 16, properties: { reasonString: 'none' } },
    { cmd: 'disconnect', reasonCode: 4, properties: { userProperties: { a: 'b' } } },
  ),
  qos2(4),
  qos2(5),
];

export const mqttWords: readonly (string | Uint8Array)[] = [
  ...['a/b', '+', '#', '/', '$aws/rules/', '$aws/things/', '$share/g/', '$', '\0', 'ünï', '\ufeff', 'MQTT', 'MQIsdp'],
  Buffer.of(0xed, 0xa0, 0x80),
  Buffer.of(0x80, 0x80, 0x80, 0x01),
  Buffer.of(0xff, 0xff, 0xff, 0x7f),
  Buffer.of(0xc0, 0),
  Buffer.of(0xe0, 0),
  Buffer.of(0x10, 0),
  Buffer.of(0x30, 2, 0, 0),
  Buffer.of(0x32, 7, 0, 3, 0x61, 0x2f, 0x62, 0, 1),
  Buffer.of(0x82, 6, 0, 1, 0, 1, 0x23, 0),
  Buffer.of(0xa2, 5, 0, 1, 0, 1, 0x23),
  Buffer.of(0x40, 2, 0, 1),
  Buffer.of(0x34, 7, 0, 3, 0x61, 0x2f, 0x62, 0, 1),
  Buffer.of(0x50, 2, 0, 1),
  Buffer.of(0x62, 2, 0, 1),
  Buffer.of(0x70, 2, 0, 1),
  Buffer.of(0x0b, 1),
  // properties: an alias, an expiry, a user property, a server's own, an unknown one
  Buffer.of(0x23, 0, 1),
  Buffer.of(0x02, 0, 0, 0, 1),
  Buffer.of(0x26, 0, 1, 0x61, 0, 1, 0x62),
  Buffer.of(0x24, 1),
  Buffer.of(0x7f),
];
