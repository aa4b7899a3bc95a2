/** Spec gateway.md 5.1 CONNECT and 5.2 keep-alive, row by row, in raw bytes. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  field,
  type Packets,
  packet,
  pingreq,
  properties,
  publish,
  type RawMqtt,
  subscribe,
  u16,
  unsubscribe,
  type Version,
} from '../raw-mqtt.ts';
import { connectPacket, openScene, type Row, runRows, type Scene } from './bed.ts';

const connectBytes = (level: number, { protocol = 'MQTT', flags = 2, keepAlive = 60, clientId = 'by-hand' } = {}) =>
  packet(0x10, field(protocol), level, flags, u16(keepAlive), properties(level === 5 ? 5 : 4), field(clientId));
const will = { topic: 'own/will', payload: Buffer.from('gone'), qos: 0, retain: false } as const;
const connecting =
  (fields: Parameters<typeof connectPacket>[1]) =>
  (version: Version): ReturnType<typeof connectPacket> =>
    connectPacket(version, { clientId: 'own-connecting', ...fields });

const rows: readonly Row[] = [
  {
    row: '5.1 Versions, MQTT 3.1.1 and MQTT 5 are spoken',
    bare: true,
    sends: (version) => connectBytes(version),
    v3: ['CONNACK 0x00'],
    v5: ['CONNACK 0x00'],
  },
  ...(
    [
      ['level 3 of MQIsdp', connectBytes(3, { protocol: 'MQIsdp' })],
      ['level 3', connectBytes(3)],
      ['level 6', connectBytes(6)],
    ] as const
  ).map(
    ([what, sends]): Row => ({
      row: `5.1 Versions, any other level (${what}) is told in the form of v3`,
      bare: true,
      sends,
      v3: ['CONNACK 0x01', 'close'],
      journal: 'PROTOCOL_VERSION_UNSUPPORTED',
    }),
  ),
  {
    row: '5.1 First packet not CONNECT',
    bare: true,
    sends: pingreq,
    v3: ['close'],
    v5: ['close'],
    journal: 'CLIENT_ERROR',
  },
  {
    row: '5.1 Second CONNECT on a connection',
    sends: connecting({}),
    v3: ['close'],
    v5: ['DISCONNECT 0x82', 'close'],
    journal: 'CLIENT_ERROR',
  },
  {
    row: '5.1 Packets before CONNACK was received are handled after it',
    bare: true,
    sends: (version) => [
      connectPacket(version, { clientId: 'own-early' }),
      subscribe(1, [{ topic: 'a', qos: 0 }]),
      pingreq,
    ],
    v3: ['CONNACK 0x00', 'SUBACK 1 0x00', 'PINGRESP'],
    v5: ['CONNACK 0x00', 'SUBACK 1 0x00', 'PINGRESP'],
  },
  {
    row: '5.1 Client id of 128 bytes of UTF-8',
    bare: true,
    sends: connecting({ clientId: 'é'.repeat(64) }),
    v3: ['CONNACK 0x00'],
    v5: ['CONNACK 0x00'],
  },
  {
    row: '5.1 Client id of more than 128 bytes of UTF-8',
    bare: true,
    sends: connecting({ clientId: `${'é'.repeat(64)}x` }),
    v3: ['CONNACK 0x02', 'close'],
    v5: ['CONNACK 0x85', 'close'],
    journal: 'CLIENT_ID_INVALID',
  },
  {
    row: '5.1 Client id, leading $ reserved',
    bare: true,
    sends: connecting({ clientId: '$own' }),
    v3: ['CONNACK 0x02', 'close'],
    v5: ['CONNACK 0x85', 'close'],
    journal: 'CLIENT_ID_INVALID',
  },
  {
    row: '5.1 Empty client id, one is generated',
    bare: true,
    sends: connecting({ clientId: '' }),
    v3: ['CONNACK 0x00'],
    v5: ['CONNACK 0x00'],
  },
  {
    row: '5.1 Empty client id without clean session',
    bare: true,
    sends: packet(0x10, field('MQTT'), 4, 0, u16(60), field('')),
    v3: ['CONNACK 0x02', 'close'],
    journal: 'CLIENT_ID_INVALID',
  },
  {
    row: '5.1 Empty client id without clean start, one is generated',
    bare: true,
    sends: packet(0x10, field('MQTT'), 5, 0, u16(60), 0, field('')),
    v5: ['CONNACK 0x00'],
  },
  {
    row: '5.1 Empty client id, the generated one is evaluated by iot:Connect',
    bare: true,
    as: 'limited',
    sends: connecting({ clientId: '' }),
    v3: ['close'],
    v5: ['CONNACK 0x87', 'close'],
    journal: 'AUTHORIZATION_FAILURE',
  },
  {
    row: '5.1 iot:Connect denied',
    bare: true,
    as: 'limited',
    sends: connecting({ clientId: 'foreign' }),
    v3: ['close'],
    v5: ['CONNACK 0x87', 'close'],
    journal: 'AUTHORIZATION_FAILURE',
    metric: 'Connect.AuthError',
  },
  {
    row: '5.1 Will that may be published',
    bare: true,
    as: 'limited',
    sends: connecting({ will }),
    v3: ['CONNACK 0x00'],
    v5: ['CONNACK 0x00'],
  },
  {
    row: '5.1 Will, iot:Publish on its topic denied',
    bare: true,
    as: 'limited',
    sends: connecting({ will: { ...will, topic: 'foreign/will' } }),
    v3: ['close'],
    v5: ['CONNACK 0x87', 'close'],
    journal: 'AUTHORIZATION_FAILURE',
    metric: 'Connect.AuthError',
  },
  {
    row: '5.1 Will with retain, iot:RetainPublish on its topic denied',
    bare: true,
    as: 'limited',
    sends: connecting({ will: { ...will, retain: true } }),
    v3: ['close'],
    v5: ['CONNACK 0x87', 'close'],
    journal: 'AUTHORIZATION_FAILURE',
  },
  {
    row: '5.1 Will with retain that may be published',
    bare: true,
    as: 'limited',
    sends: connecting({ will: { ...will, topic: 'own/retained', retain: true } }),
    v3: ['CONNACK 0x00'],
    v5: ['CONNACK 0x00'],
  },
  {
    row: '5.1 Will QoS 2',
    bare: true,
    sends: connecting({ will: { ...will, qos: 2 } }),
    v3: ['close'],
    v5: ['CONNACK 0x9B', 'close'],
    journal: 'CLIENT_ERROR',
    metric: 'Connect.ClientError',
  },
  {
    row: '5.1 Will topic on a reserved $ topic',
    bare: true,
    sends: connecting({ will: { ...will, topic: '$aws/things/t/shadow/update' } }),
    v3: ['close'],
    v5: ['CONNACK 0x90', 'close'],
    journal: 'CLIENT_ERROR',
  },
  {
    row: '5.1 Authentication Method property',
    bare: true,
    sends: connecting({ properties: { authenticationMethod: 'SCRAM-SHA-1' } }),
    v5: ['CONNACK 0x8C', 'close'],
    journal: 'NOT_AVAILABLE',
  },
  {
    row: '5.1 Packet too large in CONNECT',
    bare: true,
    sends: Buffer.of(0x10, 0xff, 0xff, 0xff, 0x7f),
    v3: ['close'],
    v5: ['close'],
    journal: 'LIMIT_EXCEEDED',
    metric: 'Connect.ClientError',
  },
];

const connects = async (t: TestContext, scene: Scene): Promise<void> => {
  await runRows(t, scene, rows);

  for (const version of [4, 5] as const) {
    await t.test(`5.1 No CONNECT within 30 s of TLS, v${version === 4 ? 3 : 5}: close`, async () => {
      const client = await scene.dial(version);
      await scene.enter(version); // the node has taken the silent one over by then
      await scene.advance(29_000);
      client.send(Buffer.of(0x10));
      assert.equal(client.isClosed, false);
      await scene.advance(2_000);
      assert.deepEqual(await client.closed(), []);
    });
  }

  await t.test('5.1 CONNACK properties of a success, v5', async () => {
    const { connack } = await scene.enter(5, { keepalive: 60 });
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
    assert.equal(connack.sessionPresent, false);
  });

  await t.test('5.1 CONNACK properties: Session Expiry Interval when adjusted, and only then, v5', async () => {
    const adjusted = await scene.enter(5, { properties: { sessionExpiryInterval: 999_999_999 } });
    assert.equal(adjusted.connack.properties?.['sessionExpiryInterval'], 3600);
    const kept = await scene.enter(5, { properties: { sessionExpiryInterval: 77 } });
    assert.ok([undefined, 77].includes(kept.connack.properties?.['sessionExpiryInterval'] as number | undefined));
  });

  await t.test(
    '5.1 CONNACK properties: Response Information, Server Reference, Authentication data never, v5',
    async () => {
      const { connack } = await scene.enter(5, { properties: { requestResponseInformation: true } });
      const found = Object.keys({ ...connack.properties });
      for (const property of ['responseInformation', 'serverReference', 'authenticationMethod', 'authenticationData']) {
        assert.ok(!found.includes(property), property);
      }
    },
  );

  await t.test('5.1 Empty client id, v5: Assigned Client Identifier, another one each time', async () => {
    const assigned = async () => {
      const client = await scene.dial(5);
      client.send(connectPacket(5));
      const { properties: told } = await client.next();
      return String(told?.['assignedClientIdentifier']);
    };
    const [one, two] = [await assigned(), await assigned()];
    assert.match(one, /^\$GEN\/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/);
    assert.notEqual(one, two);
  });

  for (const version of [4, 5] as const) {
    await t.test(`5.1 Empty client id, v${version === 4 ? 3 : 5}: the server generates $GEN/<uuid>`, async () => {
      const watcher = await scene.listen(5, '$aws/events/presence/connected/#');
      await scene.enter(version, { clientId: '' });
      const event = await watcher.client.next();
      assert.ok(event.cmd === 'publish');
      assert.match(JSON.parse(String(event.payload)).clientId, /^\$GEN\/[0-9a-f-]{36}$/);
      watcher.client.socket.destroy();
    });
  }

  for (const [attribute, attributed] of [
    ['PersistentConnect', { clean: false, properties: { sessionExpiryInterval: 60 } }],
    ['LastWill', { will }],
  ] as const) {
    const identity = await scene.principal(`never-${attribute}`, [
      { Effect: 'Allow', Action: ['iot:Connect', 'iot:Publish'], Resource: '*' },
      {
        Effect: 'Deny',
        Action: 'iot:Connect',
        Resource: '*',
        Condition: { 'ForAnyValue:StringEquals': { 'iot:ConnectAttributes': [attribute] } },
      },
    ]);
    for (const version of [4, 5] as const) {
      await t.test(
        `5.1 iot:ConnectAttributes ${attribute}, v${version === 4 ? 3 : 5}: computed from CONNECT, default has none`,
        async () => {
          await scene.enter(version, {}, identity);
          const client = await scene.dial(version, { identity });
          client.send(connectPacket(version, { clientId: 'attributed', ...attributed }));
          const refused = await client.closed();
          assert.equal(refused.length, version === 4 ? 0 : 1);
        },
      );
    }
  }
};

const keepAlives: readonly (readonly [asked: number, effective: number])[] = [
  [0, 1200],
  [1, 30],
  [10, 30],
  [29, 30],
  [30, 30],
  [31, 31],
  [1199, 1199],
  [1200, 1200],
  [1201, 1200],
  [65_535, 1200],
];

const keepAlive = async (t: TestContext, scene: Scene): Promise<void> => {
  for (const [asked, effective] of keepAlives) {
    await t.test(`5.2 Range 30-1200 s, default 1200: asked ${asked}, v5: Server Keep Alive ${effective}`, async () => {
      const { connack, client } = await scene.enter(5, { keepalive: asked });
      assert.equal(connack.properties?.['serverKeepAlive'], effective);
      client.socket.destroy();
    });
  }

  const inbound: readonly (readonly [string, Packets, number])[] = [
    ['PUBLISH', publish(5, 'a'), 1],
    ['SUBSCRIBE', subscribe(1, 'b'), 1],
    ['UNSUBSCRIBE', unsubscribe(2, 'a'), 1],
    ['PINGREQ', pingreq, 1],
    ['PUBACK', { cmd: 'puback', messageId: 9 }, 0],
  ];
  /** For a packet without an answer: what came in on another connection behind it was handled behind it. */
  const handled = async (client: RawMqtt): Promise<void> => {
    const other = await scene.enter(client.version);
    await other.client.settled();
    await other.client.settled();
    other.client.socket.destroy();
  };
  for (const version of [4, 5] as const) {
    const v = `v${version === 4 ? 3 : 5}`;
    for (const [asked, effective] of [
      [10, 30],
      [0, 1200],
    ] as const) {
      const end = version === 4 ? [] : ['disconnect'];
      await t.test(
        `5.2 Disconnect at 1.5 x ${effective} s (asked ${asked}), ${v}: ${version === 4 ? 'close' : 'DISCONNECT 0x8D, close'}`,
        async () => {
          const { client, clientId } = await scene.enter(version, { keepalive: asked, will });
          const observer = await scene.enter(5);
          observer.client.send(subscribe(1, 'own/will'));
          await observer.client.next();
          await scene.advance(effective * 1500 - 5_000);
          assert.equal(client.isClosed, false);
          await scene.advance(7_000);
          const heard = await client.closed();
          assert.deepEqual(
            heard.map(({ cmd }) => cmd),
            end,
          );
          if (version === 5) assert.equal(heard[0]?.cmd === 'disconnect' && heard[0].reasonCode, 0x8d);
          assert.equal((await observer.client.next()).cmd, 'publish', `the will of ${clientId} is sent`);
          observer.client.socket.destroy();
        },
      );
    }
    for (const [what, sends, answers] of inbound) {
      await t.test(`5.2 Timer reset by ${what}, ${v}`, async () => {
        const { client } = await scene.enter(version, { keepalive: 30 });
        await scene.advance(40_000);
        client.send(sends);
        if (answers > 0) await client.take(answers);
        else await handled(client);
        await scene.advance(40_000);
        assert.deepEqual(await client.heard(), []);
      });
    }
  }
};

test('gateway.md 5.1 and 5.2', async (t) => {
  const scene = await openScene(t);
  await t.test('gateway.md 5.1 CONNECT', (each) => connects(each, scene));
  await t.test('gateway.md 5.2 Keep-alive', (each) => keepAlive(each, scene));
});
