/** The codec against mqtt-packet: what it generates is read alike, what we write parses alike, in both versions and at every split. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import mqttPacket, { type Packet } from 'mqtt-packet';
import { expiresAt, Message, messageExpirySecondsMax } from '../message.ts';
import { readAcknowledgement, receiptCodes, releaseCodes } from './acknowledgement.ts';
import { PacketFault } from './codes.ts';
import { readConnect } from './connect.ts';
import { Gathering } from './gathering.ts';
import { readPublish } from './publish-view.ts';
import { PacketReader } from './reader.ts';
import * as writer from './writer.ts';

const sizeMax = 149_504;
const readerOf = (version: 0 | 4 | 5, packetBytesMax = sizeMax, qosMax: 1 | 2 = 1): PacketReader => {
  const reader = new PacketReader(packetBytesMax, qosMax);
  reader.version = version;
  return reader;
};
const parse = (bytes: Buffer, version: 4 | 5): Packet[] => {
  const packets: Packet[] = [];
  const parser = mqttPacket.parser({ protocolVersion: version });
  parser.on('packet', (packet) => packets.push(packet));
  parser.parse(bytes);
  return packets;
};
/** Pushes the chunks and gives every packet as its own copy. */
const read = (reader: PacketReader, chunks: readonly Buffer[]): Buffer[] => {
  const packets: Buffer[] = [];
  for (const chunk of chunks) {
    reader.push(chunk);
    while (reader.next()) packets.push(Buffer.from(reader.buffer.subarray(reader.start, reader.end)));
  }
  return packets;
};
const codeOf = (act: () => unknown): number => {
  try {
    act();
  } catch (error) {
    if (error instanceof PacketFault) return error.code;
    throw error;
  }
  return 0;
};

const text = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
  .map((value) => value.replaceAll(/[\0+#]/g, 'x'));
const packets = (version: 4 | 5) =>
  fc.oneof(
    fc.record({
      cmd: fc.constant('publish' as const),
      topic: text,
      payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
      retain: fc.boolean(),
      dup: fc.constant(false),
      messageId: fc.integer({ min: 1, max: 65_535 }),
      ...(version === 5 && {
        properties: fc.record(
          {
            payloadFormatIndicator: fc.boolean(),
            messageExpiryInterval: fc.integer({ min: 0, max: 0xffff_ffff }),
            topicAlias: fc.integer({ min: 1, max: 8 }),
            contentType: text,
            responseTopic: text,
            correlationData: fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
            userProperties: fc.dictionary(
              text.filter((key) => key !== '__proto__'),
              text,
              { minKeys: 1, maxKeys: 3 },
            ),
          },
          { requiredKeys: [] },
        ),
      }),
    }),
    fc.constant({ cmd: 'pingreq' as const }),
    fc.record({
      cmd: fc.constantFrom('puback' as const, 'pubrec' as const, 'pubrel' as const, 'pubcomp' as const),
      messageId: fc.integer({ min: 1, max: 65_535 }),
    }),
  );
/** Where QoS 2 passes. */
const openReaderOf = (version: 4 | 5): PacketReader => readerOf(version, sizeMax, 2);

for (const version of [4, 5] as const) {
  test(`v${version}: every PUBLISH that mqtt-packet generates is read with the same fields`, () => {
    fc.assert(
      fc.property(packets(version), (packet) => {
        if (packet.cmd !== 'publish') return;
        const bytes = mqttPacket.generate(packet, { protocolVersion: version });
        const reader = openReaderOf(version);
        reader.push(bytes);
        assert.ok(reader.next());
        const view = readPublish(reader);
        assert.equal(reader.buffer.toString('utf8', view.topicStart, view.topicEnd), packet.topic);
        assert.deepEqual(reader.buffer.subarray(view.payloadStart, reader.end), packet.payload);
        assert.equal(view.qos, packet.qos);
        assert.equal(view.retain, packet.retain);
        if (packet.qos !== 0) assert.equal(view.packetId, packet.messageId);
        const properties = 'properties' in packet ? packet.properties : undefined;
        assert.equal(view.properties.topicAlias, properties?.topicAlias);
        assert.equal(view.properties.messageExpiry, properties?.messageExpiryInterval);
      }),
      { numRuns: 400 },
    );
  });

  test(`v${version}: a stream of packets is cut the same way at every split`, () => {
    fc.assert(
      fc.property(fc.array(packets(version), { minLength: 1, maxLength: 4 }), (list) => {
        const whole = list.map((packet) => mqttPacket.generate(packet, { protocolVersion: version }));
        const stream = Buffer.concat(whole);
        for (let split = 0; split <= stream.length; split++) {
          const chunks = [Buffer.from(stream.subarray(0, split)), Buffer.from(stream.subarray(split))];
          assert.deepEqual(read(openReaderOf(version), chunks), whole);
        }
        const bytewise = Array.from(stream, (byte) => Buffer.of(byte));
        assert.deepEqual(read(openReaderOf(version), bytewise), whole);
      }),
      { numRuns: 20 },
    );
  });

  test(`v${version}: what is written of a message parses to the same message, towards both versions and QoS`, () => {
    fc.assert(
      fc.property(packets(version), (packet) => {
        if (packet.cmd !== 'publish') return;
        const reader = openReaderOf(version);
        reader.push(mqttPacket.generate(packet, { protocolVersion: version }));
        assert.ok(reader.next());
        const view = readPublish(reader);
        const message = new Message({
          topic: packet.topic,
          qos: packet.qos,
          source: reader.buffer,
          payloadStart: view.payloadStart,
          payloadEnd: reader.end,
          properties: view.properties.forwarded,
          expiresAtMs: Infinity,
        });
        for (const to of [4, 5] as const) {
          for (const qos of [0, 1, 2] as const) {
            const { bytes, idAt } = message.encoded(to, qos);
            const patched = Buffer.from(bytes);
            if (qos !== 0) patched.writeUInt16BE(77, idAt);
            const [out] = parse(patched, to);
            assert.ok(out?.cmd === 'publish');
            assert.deepEqual(
              [out.topic, out.payload, out.qos, out.retain, out.dup],
              [packet.topic, packet.payload, qos, false, false],
            );
            if (qos !== 0) assert.equal(out.messageId, 77);
            if (to === 4) continue;
            const {
              topicAlias: _a,
              messageExpiryInterval: _m,
              ...kept
            } = ('properties' in packet && packet.properties) || {};
            assert.deepEqual(JSON.stringify(sorted(out.properties ?? {})), JSON.stringify(sorted(kept)));
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  test(`v${version}: PUBACK, PUBREC, PUBREL and PUBCOMP that mqtt-packet generates are read with the same fields`, () => {
    const names = ['puback', 'pubrec', 'pubrel', 'pubcomp'] as const;
    const reasons = fc.constantFrom(0, 0x10, 0x80, 0x92, 0x97);
    fc.assert(
      fc.property(
        fc.constantFrom(...names),
        fc.integer({ min: 1, max: 65_535 }),
        reasons,
        (cmd, messageId, reasonCode) => {
          const codes = cmd === 'pubrel' || cmd === 'pubcomp' ? releaseCodes : receiptCodes;
          const properties = { reasonString: 'why', userProperties: { a: 'b' } };
          const packet = { cmd, messageId, ...(version === 5 && { reasonCode, properties }) };
          const reader = openReaderOf(version);
          reader.push(mqttPacket.generate(packet, { protocolVersion: version }));
          assert.ok(reader.next());
          if (version === 5 && !codes.has(reasonCode)) {
            assert.equal(
              codeOf(() => readAcknowledgement(reader, cmd, codes)),
              0x81,
            );
            return;
          }
          const expected = { packetId: messageId, reasonCode: version === 5 ? reasonCode : 0 };
          assert.deepEqual(readAcknowledgement(reader, cmd, codes), expected);
        },
      ),
      { numRuns: 200 },
    );
  });

  test(`v${version}: a CONNECT that mqtt-packet generates is read with the same fields`, () => {
    const bytes = mqttPacket.generate({
      cmd: 'connect',
      clientId: 'dev-ü',
      protocolVersion: version,
      clean: version === 5,
      keepalive: 77,
      username: '?SDK=JS&Version=1',
      password: Buffer.from('p'),
      will: {
        topic: 'w/t',
        payload: Buffer.from([1, 0, 2]),
        qos: 1,
        retain: true,
        ...(version === 5 && { properties: { contentType: 'c' } }),
      },
      ...(version === 5 && { properties: { sessionExpiryInterval: 9, receiveMaximum: 3, maximumPacketSize: 500 } }),
    });
    for (let split = 0; split <= bytes.length; split++) {
      const reader = readerOf(0);
      reader.push(Buffer.from(bytes.subarray(0, split)));
      if (split < bytes.length) {
        assert.equal(reader.next(), false);
        reader.push(Buffer.from(bytes.subarray(split)));
      }
      assert.ok(reader.next());
      const packet = readConnect(reader);
      assert.equal(packet.version, version);
      assert.equal(packet.clientId, 'dev-ü');
      assert.equal(packet.clean, version === 5);
      assert.equal(packet.keepAliveSeconds, 77);
      assert.deepEqual([packet.will?.topic, packet.will?.qos, packet.will?.retain], ['w/t', 1, true]);
      assert.deepEqual(packet.will?.payload, Buffer.from([1, 0, 2]));
      if (version === 4) continue;
      const { sessionExpiry, receiveMaximum, maximumPacketSize } = packet.properties;
      assert.deepEqual([sessionExpiry, receiveMaximum, maximumPacketSize], [9, 3, 500]);
    }
  });
}

const sorted = (value: object): object =>
  Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([k, v]) => [k, Buffer.isBuffer(v) ? v.toString('hex') : v]),
  );

test('what is written besides PUBLISH parses to the same packet, in both versions', () => {
  const capabilities = {
    sessionPresent: false,
    qosMax: 1 as const,
    subscriptionIdentifiers: false,
    receiveMaximum: 100,
    packetBytesMax: sizeMax,
    topicAliasMax: 8,
    keepAliveSeconds: 60,
  };
  const one = (bytes: Buffer, version: 4 | 5) => {
    const [packet, ...rest] = parse(bytes, version);
    assert.equal(rest.length, 0);
    assert.ok(packet);
    return packet;
  };
  const accepted = one(
    writer.connackAccepted(5, { ...capabilities, sessionExpirySeconds: 77, assignedClientId: '$GEN/1' }),
    5,
  );
  assert.ok(accepted.cmd === 'connack');
  assert.equal(accepted.reasonCode, 0);
  assert.deepEqual(
    { ...accepted.properties },
    {
      receiveMaximum: 100,
      maximumQoS: 1,
      retainAvailable: true,
      maximumPacketSize: sizeMax,
      topicAliasMaximum: 8,
      wildcardSubscriptionAvailable: true,
      subscriptionIdentifiersAvailable: false,
      sharedSubscriptionAvailable: true,
      serverKeepAlive: 60,
      sessionExpiryInterval: 77,
      assignedClientIdentifier: '$GEN/1',
    },
  );
  const open = one(writer.connackAccepted(5, { ...capabilities, qosMax: 2, subscriptionIdentifiers: true }), 5);
  assert.ok(open.cmd === 'connack');
  assert.equal(open.properties?.maximumQoS, undefined, 'QoS 2 is said by absence (MQTT 5.0 3.2.2.3.4)');
  assert.equal(open.properties?.subscriptionIdentifiersAvailable, true);
  const three = one(writer.connackAccepted(4, capabilities), 4);
  assert.ok(three.cmd === 'connack');
  for (const version of [4, 5] as const) {
    const present = one(writer.connackAccepted(version, { ...capabilities, sessionPresent: true }), version);
    assert.ok(present.cmd === 'connack' && present.sessionPresent);
  }
  assert.deepEqual([three.returnCode, three.sessionPresent], [0, false]);

  const refused = one(writer.connackRefused(5, 0x87, 'no'), 5);
  assert.ok(refused.cmd === 'connack');
  assert.deepEqual([refused.reasonCode, refused.properties?.reasonString], [0x87, 'no']);
  const refusedThree = one(writer.connackRefused(4, 2), 4);
  assert.ok(refusedThree.cmd === 'connack' && refusedThree.returnCode === 2);

  const puback = one(writer.pubackRefused(9, 0x90, 'ü'), 5);
  assert.ok(puback.cmd === 'puback');
  assert.deepEqual([puback.messageId, puback.reasonCode, puback.properties?.reasonString], [9, 0x90, 'ü']);

  const pubrec = one(writer.pubrecRefused(9, 0x87, 'no'), 5);
  assert.ok(pubrec.cmd === 'pubrec');
  assert.deepEqual([pubrec.messageId, pubrec.reasonCode, pubrec.properties?.reasonString], [9, 0x87, 'no']);

  for (const version of [4, 5] as const) {
    for (const type of ['puback', 'pubrec', 'pubrel', 'pubcomp'] as const) {
      const bytes = Buffer.from(writer.acknowledgements[type]);
      bytes.writeUInt16BE(300, writer.acknowledgementIdAt);
      const acknowledged = one(bytes, version);
      assert.ok(acknowledged.cmd === type && acknowledged.messageId === 300);
    }
    for (const type of ['pubrel', 'pubcomp'] as const) {
      const unknown = one(writer.unknownPacketId(version, type, 301), version);
      assert.ok(unknown.cmd === type && unknown.messageId === 301);
      assert.equal(unknown.reasonCode ?? 0, version === 5 ? 0x92 : 0);
    }
    const suback = one(writer.suback(version, 5, [0, 1, 0x80]), version);
    assert.ok(suback.cmd === 'suback');
    assert.deepEqual([suback.messageId, suback.granted], [5, [0, 1, 0x80]]);
    const unsuback = one(writer.unsuback(version, 6, [0, 0]), version);
    assert.ok(unsuback.cmd === 'unsuback' && unsuback.messageId === 6);
    assert.equal(one(writer.pingresp, version).cmd, 'pingresp');
  }
  const disconnect = one(writer.disconnect(0x8e, 'bye'), 5);
  assert.ok(disconnect.cmd === 'disconnect');
  assert.deepEqual([disconnect.reasonCode, disconnect.properties?.reasonString], [0x8e, 'bye']);
});

const fixedHeaders: [bytes: number[], version: 0 | 4 | 5, code: number, rule: string][] = [
  [[0x00], 5, 0x81, 'packet type 0 is malformed'],
  [[0x36], 5, 0x81, 'QoS 3 is malformed [MQTT-3.3.1-4]'],
  [[0x34], 4, 0x9b, 'QoS 2 is not supported (gateway.md 5.5)'],
  [[0x80], 5, 0x81, 'SUBSCRIBE with wrong flags [MQTT-3.8.1-1]'],
  [[0xc1], 5, 0x81, 'PINGREQ with flags [MQTT-2.1.3-1]'],
  [[0x50], 5, 0x82, 'PUBREC is not supported (gateway.md 5.11)'],
  [[0x62], 5, 0x82, 'PUBREL is not supported (gateway.md 5.11)'],
  [[0x70], 5, 0x82, 'PUBCOMP is not supported (gateway.md 5.11)'],
  [[0xf0], 5, 0x82, 'AUTH is not supported (gateway.md 5.11)'],
  [[0x20], 5, 0x82, 'CONNACK comes from servers only'],
  [[0xd0], 4, 0x82, 'PINGRESP comes from servers only'],
  [[0xc0], 0, 0x82, 'the first packet must be CONNECT [MQTT-3.1.0-1]'],
  [[0x10], 5, 0x82, 'a second CONNECT [MQTT-3.1.0-2]'],
  [[0x30, 0xff, 0xff, 0xff, 0xff], 4, 0x81, 'a remaining length of five bytes'],
  [[0x30, 0x80, 0x80, 0x80, 0x80], 5, 0x81, 'a remaining length of five bytes, empty ones'],
  [[0x30, 0x85, 0x00], 5, 0x81, 'a remaining length in more bytes than needed [MQTT-1.5.5-1]'],
  [[0x30, 0xff, 0xff, 0xff, 0x7f], 5, 0x95, 'a packet of 256 MB is refused by its header alone'],
];
for (const [bytes, version, code, rule] of fixedHeaders) {
  test(`fixed header: ${rule}`, () => {
    for (const chunks of [[Buffer.from(bytes)], bytes.map((byte) => Buffer.of(byte))]) {
      assert.equal(
        codeOf(() => read(readerOf(version), chunks)),
        code,
      );
    }
  });
}

const openFixedHeaders: [first: number, code: number, rule: string][] = [
  [0x34, 0, 'QoS 2 passes'],
  [0x3d, 0, 'QoS 2 with DUP and RETAIN passes'],
  [0x36, 0x81, 'QoS 3 is malformed [MQTT-3.3.1-4]'],
  [0x50, 0, 'PUBREC passes'],
  [0x51, 0x81, 'PUBREC with flags [MQTT-2.1.3-1]'],
  [0x62, 0, 'PUBREL passes'],
  [0x60, 0x81, 'PUBREL without its flag [MQTT-3.6.1-1]'],
  [0x70, 0, 'PUBCOMP passes'],
  [0x72, 0x81, 'PUBCOMP with flags [MQTT-2.1.3-1]'],
  [0xf0, 0x82, 'AUTH is not supported'],
];
for (const [first, code, rule] of openFixedHeaders) {
  test(`fixed header in open: ${rule}`, () => {
    for (const version of [4, 5] as const) {
      assert.equal(
        codeOf(() => read(openReaderOf(version), [Buffer.of(first, 2, 0, 1)])),
        code,
      );
    }
  });
}

test('the size of a packet is judged exactly at packetBytesMax', () => {
  const packet = (bytes: number) => Buffer.concat([Buffer.of(0x30, bytes - 2, 0, 1, 0x61), Buffer.alloc(bytes - 5)]);
  assert.equal(read(readerOf(4, 100), [packet(100)]).length, 1);
  assert.equal(
    codeOf(() => read(readerOf(4, 100), [packet(101)])),
    0x95,
  );
});

test('a declared length reserves no memory before its bytes arrive', () => {
  const before = process.memoryUsage().arrayBuffers;
  const readers = Array.from({ length: 500 }, () => {
    const reader = readerOf(4);
    for (const arrived of [Buffer.of(0x30, 0x80, 0x80, 0x08), Buffer.alloc(100)]) {
      reader.push(arrived);
      reader.next();
    }
    return reader;
  });
  assert.ok(process.memoryUsage().arrayBuffers - before < 500 * 4096);
  assert.equal(readers.length, 500);
});

test('arbitrary bytes cost a fault or a wait, never another error and never more than they are', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(0 as const, 4 as const, 5 as const),
      fc.constantFrom(1 as const, 2 as const),
      fc.uint8Array({ maxLength: 200 }),
      (version, qosMax, bytes) => {
        const reader = readerOf(version, sizeMax, qosMax);
        reader.push(Buffer.from(bytes));
        codeOf(() => {
          while (reader.next()) {
            if (reader.first >> 4 === 3) readPublish(reader);
            if (reader.first >> 4 === 1) readConnect(reader);
          }
        });
      },
    ),
    { numRuns: 2000 },
  );
});

test('Message Expiry is bounded as spec gateway.md 5.7 says', () => {
  assert.equal(expiresAt(undefined, 1000), Infinity);
  assert.equal(expiresAt(0, 1000), 2000);
  assert.equal(expiresAt(0xffff_ffff, 0), messageExpirySecondsMax * 1000);
});

test('packets whose end has not arrived share one bound, of which those who are not connected get half (Limits.partialPacketBytesPerNodeMax)', () => {
  const gathering = new Gathering(4096);
  const publish = Buffer.concat([Buffer.of(0x30, 0x80, 0x10), Buffer.alloc(2048)]);
  const connect = Buffer.concat([Buffer.of(0x10, 0x80, 0x20), Buffer.alloc(4096)]);
  const make = (version: 0 | 4) => {
    const reader = new PacketReader(sizeMax, 1, gathering);
    reader.version = version;
    return reader;
  };
  const feed = (reader: PacketReader, bytes: Buffer): number =>
    codeOf(() => {
      reader.push(bytes);
      while (reader.next());
    });

  const stranger = make(0);
  assert.equal(feed(stranger, connect.subarray(0, 1500)), 0);
  assert.equal(gathering.bytes, 1500);
  assert.equal(feed(make(0), connect.subarray(0, 1000)), 0x97, 'the second stranger finds their half taken');
  const client = make(4);
  assert.equal(feed(client, publish.subarray(0, 2000)), 0, 'a client does not');
  assert.equal(gathering.bytes, 3500);

  assert.equal(feed(client, publish.subarray(2000)), 0);
  assert.equal(gathering.bytes, 1500, 'a packet that is whole is not held');
  stranger.discard();
  stranger.discard();
  assert.equal(gathering.bytes, 0, 'nor is what a lost connection had sent');
});
