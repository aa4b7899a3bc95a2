/** CONNECT, keep-alive and takeover: one test per row of spec gateway.md 5.1 to 5.4 that this version has, in v3 and v5. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Packet } from 'mqtt-packet';
import { accountA, accountB, type Bed, createBed, type RawClient } from '../../../test/mqtt-bed.ts';
import { Fault } from '../../aws/fault.ts';

const versions = [4, 5] as const;
const connect = (client: RawClient, clientId: string, more: Record<string, unknown> = {}): void =>
  client.send({
    cmd: 'connect',
    clientId,
    protocolVersion: client.version,
    clean: true,
    keepalive: 60,
    ...more,
  } as Packet);
const summary = (packets: readonly Packet[]) =>
  packets.map((packet) =>
    packet.cmd === 'connack' ? `connack ${(packet.reasonCode ?? packet.returnCode ?? 0).toString(16)}` : packet.cmd,
  );
/** The only failure in the journal. */
const failure = (bed: Bed) => {
  const [only, ...more] = bed.failures();
  assert.deepEqual(more, []);
  return only;
};

for (const version of versions) {
  test(`v${version} 14.1: an allowed client gets CONNACK 0 with sessionPresent 0, and a record of it`, async () => {
    const bed = createBed();
    const client = bed.dial(version);
    connect(client, 'dev1');
    const connack = await client.next();
    assert.ok(connack.cmd === 'connack');
    assert.deepEqual([connack.reasonCode ?? connack.returnCode, connack.sessionPresent], [0, false]);
    assert.deepEqual(bed.failures(), []);
    assert.equal(bed.records[0]?.eventType, 'Connect');
    assert.equal(bed.records[0]?.clientId, 'dev1');
    assert.equal(bed.broker.metrics['Connect.Success'], 1);
    assert.equal(bed.broker.connections(accountA)[0]?.clientId, 'dev1');
    assert.deepEqual(bed.broker.connections(accountB), []);
  });

  test(`v${version} 5.1: username ?SDK=JS&Version=1 on a certificate connection is ignored (14.43)`, async () => {
    const client = createBed().dial(version);
    connect(client, 'dev1', { username: '?SDK=JS&Version=1', password: Buffer.from('x') });
    assert.deepEqual(summary([await client.next()]), ['connack 0']);
  });

  test(`v${version} 5.1: iot:Connect denied: ${version === 5 ? 'CONNACK 0x87 then close' : 'close without CONNACK'}`, async () => {
    const bed = createBed();
    const rights = bed.principal('p', [['iot:Connect', 'client/other']]);
    const client = bed.dial(version, 'p');
    connect(client, 'dev1');
    assert.deepEqual(summary(await client.closed()), version === 5 ? ['connack 87'] : []);
    const record = failure(bed);
    assert.equal(record?.reason, 'AUTHORIZATION_FAILURE');
    assert.equal(record?.action, 'iot:Connect');
    assert.equal(record?.resource, 'arn:aws:iot:us-east-1:000000000000:client/dev1');
    assert.equal(record?.decision, 'IMPLICIT_DENY');
    assert.deepEqual(record?.facts, { certificateId: 'p' });
    assert.equal(rights.released, 1);
    assert.equal(bed.broker.metrics['Connect.AuthError'], 1);
  });

  test(`v${version} 1.5: a peer that the registry refuses is closed before any CONNACK, with the registry's reason`, async () => {
    const bed = createBed();
    const client = bed.dial(version, 'unknown');
    connect(client, 'dev1');
    assert.deepEqual(await client.closed(), []);
    const record = failure(bed);
    assert.equal(record?.eventType, 'Connection.AuthNError');
    assert.equal(record?.reason, 'DEVICE_CERTIFICATE_NOT_REGISTERED');
    assert.deepEqual(record?.account, accountA);
    assert.deepEqual(record?.tls, { serverName: 'localhost' });
  });

  test(`v${version} 5.1: an admission that fails is the server's error: ${version === 5 ? 'CONNACK 0x80' : 'return code 3'}`, async () => {
    const bed = createBed({ admit: () => Promise.reject(new Fault('ServiceUnavailableException', 'store is down')) });
    const client = bed.dial(version);
    connect(client, 'dev1');
    assert.deepEqual(summary(await client.closed()), [version === 5 ? 'connack 80' : 'connack 3']);
    assert.equal(failure(bed)?.reason, 'INTERNAL_SERVER_ERROR');
    assert.equal(bed.broker.metrics['Connect.ServerError'], 1);
  });

  test(`v${version} 5.1: a client id with leading $ is refused: ${version === 5 ? '0x85' : 'return code 2'}`, async () => {
    const bed = createBed();
    const client = bed.dial(version);
    connect(client, '$dev');
    assert.deepEqual(summary(await client.closed()), [version === 5 ? 'connack 85' : 'connack 2']);
    assert.equal(failure(bed)?.reason, 'CLIENT_ID_INVALID');
    assert.deepEqual(failure(bed)?.account, accountA);
  });

  test(`v${version} 5.1: 128 bytes of client id are accepted, 129 are not`, async () => {
    const bed = createBed();
    await bed.connect(version, 'x'.repeat(128));
    const client = bed.dial(version);
    connect(client, 'x'.repeat(129));
    assert.deepEqual(summary(await client.closed()), [version === 5 ? 'connack 85' : 'connack 2']);
    assert.equal(failure(bed)?.detail, 'clientIdBytesMax');
  });

  test(`v${version} 5.1: an empty client id with clean session gets a generated one, judged like any other`, async () => {
    const bed = createBed();
    bed.principal('p', [['iot:Connect', 'client/$GEN/*']]);
    const client = bed.dial(version, 'p');
    connect(client, '');
    const connack = await client.next();
    assert.ok(connack.cmd === 'connack');
    const [connected] = bed.broker.connections();
    assert.match(connected?.clientId ?? '', /^\$GEN\/[0-9a-f-]{36}$/);
    if (version === 5) assert.equal(connack.properties?.assignedClientIdentifier, connected?.clientId);
  });

  test(`v${version} 5.1: a will on a topic that may not be published is refused at CONNECT (policy.md 12.15)`, async () => {
    const bed = createBed();
    bed.principal('p', [
      ['iot:Connect', '*'],
      ['iot:Publish', 'topic/other'],
    ]);
    const client = bed.dial(version, 'p');
    connect(client, 'dev1', { will: { topic: 'w', payload: Buffer.from('x'), qos: 0, retain: false } });
    assert.deepEqual(summary(await client.closed()), version === 5 ? ['connack 87'] : []);
    assert.deepEqual(
      [failure(bed)?.action, failure(bed)?.resource],
      ['iot:Publish', 'arn:aws:iot:us-east-1:000000000000:topic/w'],
    );
  });

  test(`v${version} 5.1: will retain needs iot:RetainPublish`, async () => {
    const bed = createBed();
    bed.principal('p', [
      ['iot:Connect', '*'],
      ['iot:Publish', '*'],
    ]);
    const client = bed.dial(version, 'p');
    connect(client, 'dev1', { will: { topic: 'w', payload: Buffer.from('x'), qos: 0, retain: true } });
    assert.deepEqual(summary(await client.closed()), version === 5 ? ['connack 87'] : []);
    assert.equal(failure(bed)?.action, 'iot:RetainPublish');
  });

  test(`v${version} 5.1: will QoS 2: ${version === 5 ? 'CONNACK 0x9B' : 'close without CONNACK'}`, async () => {
    const bed = createBed();
    const client = bed.dial(version);
    connect(client, 'dev1', { will: { topic: 'w', payload: Buffer.from('x'), qos: 2, retain: false } });
    assert.deepEqual(summary(await client.closed()), version === 5 ? ['connack 9b'] : []);
    assert.equal(failure(bed)?.detail, 'will QoS 2');
  });

  test(`v${version} 5.1: will on a reserved topic: ${version === 5 ? 'CONNACK 0x90' : 'close'}`, async () => {
    const bed = createBed();
    const client = bed.dial(version);
    connect(client, 'dev1', { will: { topic: '$aws/x', payload: Buffer.from('x'), qos: 0, retain: false } });
    assert.deepEqual(summary(await client.closed()), version === 5 ? ['connack 90'] : []);
    assert.equal(failure(bed)?.reason, 'CLIENT_ERROR');
  });

  test(`v${version} 5.1: a second CONNECT closes${version === 5 ? ' with DISCONNECT 0x82' : ''}`, async () => {
    const bed = createBed();
    const client = await bed.connect(version, 'dev1');
    connect(client, 'dev1');
    const packets = await client.closed();
    assert.deepEqual(
      packets.map((packet) => (packet.cmd === 'disconnect' ? packet.reasonCode : packet.cmd)),
      version === 5 ? [0x82] : [],
    );
    assert.equal(failure(bed)?.reason, 'CLIENT_ERROR');
  });

  test(`v${version} 5.1: what is sent behind CONNECT is handled after the CONNACK`, async () => {
    const bed = createBed();
    const client = bed.dial(version);
    connect(client, 'dev1');
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 't', qos: 1 }] });
    client.send({ cmd: 'publish', topic: 't', payload: 'x', qos: 1, messageId: 2, dup: false, retain: false });
    assert.deepEqual(
      (await client.take(4)).map(({ cmd }) => cmd),
      ['connack', 'suback', 'publish', 'puback'],
    );
  });

  test(`v${version} 5.2: silence of 1.5 times the keep-alive closes${version === 5 ? ' with 0x8D' : ''}; 29 s and less count as 30 (14.14)`, async () => {
    const bed = createBed();
    const client = await bed.connect(version, 'dev1', { keepalive: 10 });
    bed.advance(44_000);
    assert.deepEqual(await client.settled(), []);
    bed.advance(44_000);
    assert.equal(bed.broker.connections().length, 1, 'the PINGREQ started the time anew');
    bed.advance(1_000);
    const packets = await client.closed();
    assert.deepEqual(
      packets.map((packet) => packet.cmd === 'disconnect' && packet.reasonCode),
      version === 5 ? [0x8d] : [],
    );
    assert.equal(failure(bed)?.reason, 'MQTT_KEEP_ALIVE_TIMEOUT');
  });

  for (const [asked, effective] of [
    [0, 1200],
    [1, 30],
    [29, 30],
    [31, 31],
    [1200, 1200],
    [1201, 1200],
  ] as const) {
    test(`v${version} 5.2: keep-alive ${asked} means ${effective}${version === 5 ? ', and CONNACK says so (14.13)' : ''}`, async () => {
      const bed = createBed();
      const client = bed.dial(version);
      connect(client, 'dev1', { keepalive: asked });
      const connack = await client.next();
      assert.ok(connack.cmd === 'connack');
      assert.equal(bed.broker.connections()[0]?.keepAliveSeconds, effective);
      if (version === 5) assert.equal(connack.properties?.serverKeepAlive, effective);
    });
  }

  test(`v${version} 5.4: a new CONNECT with a connected id wins; the old one is closed${version === 5 ? ' with 0x8E' : ''}, its will published (14.19)`, async () => {
    const bed = createBed();
    const watcher = await bed.connect(4, 'watcher');
    watcher.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'will', qos: 0 }] });
    await watcher.next();
    const old = await bed.connect(version, 'X', {
      will: { topic: 'will', payload: Buffer.from('gone'), qos: 0, retain: false },
    });
    const young = await bed.connect(version === 4 ? 5 : 4, 'X');
    const packets = await old.closed();
    assert.deepEqual(
      packets.map((packet) => packet.cmd === 'disconnect' && packet.reasonCode),
      version === 5 ? [0x8e] : [],
    );
    const will = await watcher.next();
    assert.ok(will.cmd === 'publish' && String(will.payload) === 'gone');
    assert.deepEqual(await young.settled(), []);
    assert.deepEqual([failure(bed)?.eventType, failure(bed)?.reason], ['Disconnect', 'DUPLICATE_CLIENT_ID']);
    assert.deepEqual(
      bed.broker.connections().map(({ clientId }) => clientId),
      ['watcher', 'X'],
    );
  });

  test(`v${version} 5.4: iot:Connect of the newcomer is checked before the old connection is dropped`, async () => {
    const bed = createBed();
    bed.principal('p', []);
    const old = await bed.connect(version, 'X');
    const thief = bed.dial(version, 'p');
    connect(thief, 'X');
    await thief.closed();
    assert.deepEqual(await old.settled(), []);
  });

  test(`v${version} 5.4: whoever took a client id over can be taken over as well`, async () => {
    const bed = createBed();
    const first = await bed.connect(version, 'X');
    const second = await bed.connect(version, 'X');
    await first.closed();
    await bed.connect(version, 'X');
    await second.closed();
    assert.equal(bed.broker.connections().length, 1);
  });

  test(`v${version} policy.md 7: a CONNECT is judged by the rights that are being read, not by those before`, async () => {
    const bed = createBed();
    const rights = bed.principal('p', []);
    const known = rights.becomeSlowly([['iot:Connect', '*']]);
    const client = bed.dial(version, 'p');
    connect(client, 'dev1');
    for (let turn = 0; turn < 20; turn++) await new Promise((done) => setImmediate(done));
    assert.equal(rights.asked, 0);
    known();
    assert.deepEqual(summary([await client.next()]), ['connack 0']);
  });

  test(`v${version} 5.4: the scope of client ids is account and region`, async () => {
    const bed = createBed();
    bed.principal('b', [['*', '*']], accountB);
    const a = await bed.connect(version, 'X');
    const b = await bed.connect(version, 'X', {}, 'b');
    assert.deepEqual(await a.settled(), []);
    assert.deepEqual(await b.settled(), []);
  });

  test(`v${version}: PersistentConnect, LastWill and the will topic reach admission (gateway.md 5.1)`, async () => {
    const seen: unknown[] = [];
    const bed = createBed({
      admit: async (_peer, facts) => {
        seen.push(facts);
        return { refusal: 'SNI_MISUSED', account: undefined };
      },
    });
    const plain = bed.dial(version);
    connect(plain, 'a');
    await plain.closed();
    const full = bed.dial(version);
    const persistent = version === 5 ? { properties: { sessionExpiryInterval: 1 } } : { clean: false };
    connect(full, 'b', { ...persistent, will: { topic: 'w', payload: Buffer.from('x'), qos: 0, retain: false } });
    await full.closed();
    assert.deepEqual(seen, [
      { clientId: 'a', connectAttributes: [], lastWillTopic: undefined },
      { clientId: 'b', connectAttributes: ['PersistentConnect', 'LastWill'], lastWillTopic: 'w' },
    ]);
    assert.equal(bed.records[0]?.account, undefined, 'no account was proven');
  });
}

test('v5 14.11: CONNACK tells what exists and only that', async () => {
  const client = createBed().dial(5);
  connect(client, 'dev1');
  const connack = await client.next();
  assert.ok(connack.cmd === 'connack');
  assert.deepEqual(
    { ...connack.properties },
    {
      receiveMaximum: 100,
      maximumQoS: 1,
      retainAvailable: true,
      maximumPacketSize: 149_504,
      topicAliasMaximum: 8,
      wildcardSubscriptionAvailable: true,
      subscriptionIdentifiersAvailable: false,
      sharedSubscriptionAvailable: true,
      serverKeepAlive: 60,
    },
  );
});

test('v3 5.1: an empty client id without clean session: return code 2', async () => {
  const client = createBed().dial(4);
  client.raw(0x10, 12, 0, 4, 'MQTT', 4, 0, 0, 60, 0, 0);
  assert.deepEqual(summary(await client.closed()), ['connack 2']);
});

test('v5 5.1: an Authentication Method is not supported: 0x8C', async () => {
  const bed = createBed();
  const client = bed.dial(5);
  connect(client, 'dev1', { properties: { authenticationMethod: 'x' } });
  assert.deepEqual(summary(await client.closed()), ['connack 8c']);
  assert.equal(failure(bed)?.detail, 'Authentication Method');
});

test('v5 5.12: reason strings are not sent with Request Problem Information 0', async () => {
  for (const wanted of [true, false]) {
    const client = createBed().dial(5);
    connect(client, '$dev', { properties: { requestProblemInformation: wanted } });
    const [connack] = await client.closed();
    assert.ok(connack?.cmd === 'connack');
    assert.equal(connack.properties?.reasonString !== undefined, wanted);
  }
});

test('v5: a client whose Maximum Packet Size has no room for CONNACK is closed without one [MQTT-3.1.2-24]', async () => {
  const bed = createBed();
  const client = bed.dial(5);
  connect(client, 'dev1', { properties: { maximumPacketSize: 10 } });
  assert.deepEqual(await client.closed(), []);
  assert.equal(failure(bed)?.reason, 'CLIENT_ERROR');
});

const levels: [bytes: readonly (number | string)[], rule: string][] = [
  [[0x10, 14, 0, 6, 'MQIsdp', 3, 2, 0, 60, 0, 0], 'MQTT 3.1'],
  [[0x10, 12, 0, 4, 'MQTT', 6, 2, 0, 60, 0, 0], 'level 6'],
  [[0x10, 12, 0, 4, 'MQTT', 0x84, 2, 0, 60, 0, 0], 'the bridge bit'],
];
for (const [bytes, rule] of levels) {
  test(`5.1: another protocol level (${rule}) gets a v3 CONNACK with return code 1, then the close`, async () => {
    const bed = createBed();
    const client = bed.dial(4);
    client.raw(...bytes);
    assert.deepEqual(summary(await client.closed()), ['connack 1']);
    assert.equal(failure(bed)?.reason, 'PROTOCOL_VERSION_UNSUPPORTED');
  });
}

const malformed: [bytes: readonly (number | string)[], rule: string][] = [
  [[0xc0, 0], '5.1: the first packet is not CONNECT'],
  [['GET / HTTP/1.1\r\n\r\n'], '5.1: another protocol'],
  [[0x10, 12, 0, 4, 'HTTP', 4, 2, 0, 60, 0, 0], 'the protocol name is not MQTT [MQTT-3.1.2-1]'],
  [[0x10, 13, 0, 4, 'MQTT', 4, 3, 0, 60, 0, 1, 'a'], 'the reserved flag is set [MQTT-3.1.2-3]'],
  [[0x10, 13, 0, 4, 'MQTT', 4, 0x22, 0, 60, 0, 1, 'a'], 'will retain without will [MQTT-3.1.2-15]'],
  [[0x10, 13, 0, 4, 'MQTT', 4, 0x0a, 0, 60, 0, 1, 'a'], 'will QoS without will [MQTT-3.1.2-13]'],
  [[0x10, 19, 0, 4, 'MQTT', 4, 0x1e, 0, 60, 0, 1, 'a', 0, 1, 'w', 0, 1, 'p'], 'will QoS 3 [MQTT-3.1.2-14]'],
  [[0x10, 16, 0, 4, 'MQTT', 4, 0x42, 0, 60, 0, 1, 'a', 0, 1, 'p'], 'password without user name [MQTT-3.1.2-22]'],
  [[0x10, 14, 0, 4, 'MQTT', 4, 2, 0, 60, 0, 1, 'a', 'x'], 'bytes behind the last field'],
  [[0x10, 13, 0, 4, 'MQTT', 4, 2, 0, 60, 0, 9, 'a'], 'a field longer than the packet'],
  [[0x10, 13, 0, 4, 'MQTT', 4, 2, 0, 60, 0, 1, 0], 'NUL in the client id [MQTT-1.5.3-2]'],
  [[0x10, 13, 0, 4, 'MQTT', 4, 2, 0, 60, 0, 1, 0xff], 'ill-formed UTF-8 [MQTT-1.5.3-1]'],
  [[0x10, 15, 0, 4, 'MQTT', 4, 2, 0, 60, 0, 3, 0xed, 0xa0, 0x80], 'a surrogate [MQTT-1.5.3-1]'],
  [[0x10, 16, 0, 4, 'MQTT', 5, 2, 0, 60, 2, 0x24, 1, 0, 1, 'a'], 'v5: a property of another packet'],
  [[0x10, 16, 0, 4, 'MQTT', 5, 2, 0, 60, 2, 0x7e, 1, 0, 1, 'a'], 'v5: an unknown property'],
  [[0x10, 18, 0, 4, 'MQTT', 5, 2, 0, 60, 4, 0x17, 1, 0x17, 1, 0, 1, 'a'], 'v5: a property twice'],
  [[0x10, 16, 0, 4, 'MQTT', 5, 2, 0, 60, 2, 0x17, 2, 0, 1, 'a'], 'v5: a flag that is neither 0 nor 1'],
  [[0x10, 17, 0, 4, 'MQTT', 5, 2, 0, 60, 3, 0x21, 0, 0, 0, 1, 'a'], 'v5: Receive Maximum 0'],
  [[0x10, 19, 0, 4, 'MQTT', 5, 2, 0, 60, 5, 0x27, 0, 0, 0, 0, 0, 1, 'a'], 'v5: Maximum Packet Size 0'],
  [[0x10, 17, 0, 4, 'MQTT', 5, 2, 0, 60, 3, 0x16, 0, 0, 0, 1, 'a'], 'v5: authentication data without a method'],
  [[0x10, 0x8e, 0, 0, 4, 'MQTT', 5, 2, 0, 60, 0, 0, 1, 'a'], 'v5: a remaining length in more bytes than needed'],
  [
    [0x10, 15, 0, 4, 'MQTT', 5, 2, 0, 60, 0x80, 0, 0, 1, 'a'],
    'v5: a property length in more bytes than needed [MQTT-1.5.5-1]',
  ],
];
for (const [bytes, rule] of malformed) {
  test(`malformed CONNECT closes without CONNACK, CLIENT_ERROR: ${rule}`, async () => {
    const bed = createBed();
    const client = bed.dial(4);
    client.raw(...bytes);
    assert.deepEqual(await client.closed(), []);
    assert.deepEqual([failure(bed)?.reason, failure(bed)?.eventType], ['CLIENT_ERROR', 'Connect']);
    assert.equal(bed.broker.metrics['Connect.ClientError'], 1);
  });
}

test('5.1: no CONNECT within connectPacketMs closes', async () => {
  const bed = createBed();
  const client = bed.dial(4);
  client.raw(0x10, 12, 0, 4);
  bed.advance(29_000);
  assert.equal(client.isClosed, false);
  bed.advance(1_000);
  assert.deepEqual(await client.closed(), []);
  assert.equal(failure(bed)?.reason, 'CONNECT_PACKET_TIMEOUT');
});

test('a CONNECT over packetBytesMax is closed by its header', async () => {
  const bed = createBed();
  const client = bed.dial(4);
  client.raw(0x10, 0xff, 0xff, 0x7f);
  assert.deepEqual(await client.closed(), []);
  assert.deepEqual([failure(bed)?.reason, failure(bed)?.detail], ['LIMIT_EXCEEDED', 'packetBytesMax']);
});

test('a peer that leaves while it is being admitted leaves nothing behind', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const bed = createBed({
    admit: async () => {
      await promise;
      return { authority: rights.authority() };
    },
  });
  const rights = bed.principal('late');
  const client = bed.dial(4);
  connect(client, 'dev1');
  client.socket.end();
  await client.closed();
  resolve();
  while (rights.released === 0) await new Promise((done) => setImmediate(done));
  assert.deepEqual(bed.broker.connections(), []);
});
