/** Spec gateway.md 5.11 packets without support, 5.12 reason codes and 5.13 the server's closes, row by row, in raw bytes. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { UpdateCertificateCommand } from '@aws-sdk/client-iot';
import {
  field,
  packet,
  pingreq,
  properties,
  publish,
  type RawMqtt,
  shown,
  subscribe,
  u16,
  type Version,
} from '../raw-mqtt.ts';
import { bothVersions, connectPacket, type Entered, name, openScene, type Row, runRows, type Scene } from './bed.ts';

const unsupported: readonly Row[] = (
  [
    ['PUBREC', packet(0x50, u16(1))],
    ['PUBREL', packet(0x62, u16(1))],
    ['PUBCOMP', packet(0x70, u16(1))],
    ['AUTH', packet(0xf0, 0x18, 0)],
  ] as const
).map(([what, sends]) => ({
  row: `5.11 ${what}`,
  sends,
  v3: ['close'],
  v5: ['DISCONNECT 0x82', 'close'],
  journal: 'CLIENT_ERROR',
}));

const broken = (what: string, sends: Row['sends'], code: '0x81' | '0x82', v3 = true): Row => ({
  row: `5.13 ${code === '0x81' ? 'malformed' : 'protocol'}, ${what}`,
  sends,
  ...(v3 && { v3: ['close'] }),
  v5: [`DISCONNECT ${code}`, 'close'],
  journal: 'CLIENT_ERROR',
});
const malformed: readonly Row[] = [
  broken('packet type 0', Buffer.of(0, 0), '0x81'),
  broken('QoS 3', packet(0x36, field('a'), u16(1)), '0x81'),
  broken('flags of SUBSCRIBE', packet(0x80, u16(1), field('a'), 1), '0x81'),
  broken('flags of PINGREQ', Buffer.of(0xc1, 0), '0x81'),
  broken('remaining length of five bytes', Buffer.of(0xc0, 0x80, 0x80, 0x80, 0x80, 1), '0x81'),
  broken('a packet that ends inside a field', packet(0x30, u16(10), Buffer.from('abc')), '0x81'),
  broken('subscription options', (version) => packet(0x82, u16(1), properties(version), field('a'), 0xc1), '0x81'),
  broken('an unknown property', packet(0x30, field('a'), 2, 0x7f, 1), '0x81', false),
  broken('a property of another packet', packet(0x30, field('a'), 3, 0x21, 0, 1), '0x82', false),
  broken('a property twice', packet(0x30, field('a'), 4, 0x01, 0, 0x01, 0), '0x82', false),
  broken('packet identifier 0', (version) => packet(0x32, field('a'), u16(0), properties(version)), '0x82'),
  broken('SUBSCRIBE without a filter', (version) => packet(0x82, u16(1), properties(version)), '0x82'),
  broken('No Local on a shared subscription', packet(0x82, u16(1), 0, field('$share/g/a'), 5), '0x82', false),
  broken('Retain Handling 3', packet(0x82, u16(1), 0, field('a'), 0x31), '0x82', false),
  broken('a packet that only servers send', Buffer.of(0xd0, 0), '0x82'),
];

/** How a connection is brought to its end, and what v5 and the disconnected event say of it. */
interface Close {
  readonly cause: string;
  readonly code: string | undefined;
  readonly reason: string;
  readonly byClient?: boolean;
  readonly end: (scene: Scene, entered: Entered) => unknown;
  readonly limited?: boolean;
}
const closes: readonly Close[] = [
  {
    cause: 'client DISCONNECT',
    code: undefined,
    reason: 'CLIENT_INITIATED_DISCONNECT',
    byClient: true,
    end: (_, { client }) => client.send({ cmd: 'disconnect' }),
  },
  {
    cause: 'malformed',
    code: '0x81',
    reason: 'CLIENT_ERROR',
    end: (_, { client }) => client.send(Buffer.of(0xc1, 0)),
  },
  {
    cause: 'protocol',
    code: '0x82',
    reason: 'CLIENT_ERROR',
    end: (_, { client, clientId }) => client.send(connectPacket(client.version, { clientId })),
  },
  {
    cause: 'TCP/TLS drop',
    code: undefined,
    reason: 'CONNECTION_LOST',
    end: (_, { client }) => client.socket.destroy(),
  },
  {
    cause: 'keep-alive',
    code: '0x8D',
    reason: 'MQTT_KEEP_ALIVE_TIMEOUT',
    end: (scene) => scene.advance(47_000),
  },
  {
    cause: 'takeover',
    code: '0x8E',
    reason: 'DUPLICATE_CLIENTID',
    end: (scene, { client, clientId }) => scene.enter(client.version, { clientId }),
  },
  {
    cause: 'policy denial mid-connection',
    code: '0x87',
    reason: 'AUTH_ERROR',
    limited: true,
    end: (_, { client }) => client.send(publish(0, 'foreign/x', 'x', { qos: 0 })),
  },
];

const closeTable = async (t: TestContext, scene: Scene): Promise<void> => {
  await runRows(t, scene, malformed);

  /** Somebody who is told who has gone. */
  const watch = async (clientId: string): Promise<RawMqtt> => {
    const { client } = await scene.listen(5, `$aws/events/presence/disconnected/${clientId}`);
    return client;
  };
  const told = async (watcher: RawMqtt) => {
    const event = await watcher.next();
    watcher.socket.destroy();
    assert.ok(event.cmd === 'publish');
    const { disconnectReason, clientInitiatedDisconnect } = JSON.parse(String(event.payload));
    return { disconnectReason, clientInitiatedDisconnect };
  };
  const expectEnd = async (
    entered: Entered,
    watcher: RawMqtt,
    { code, reason, byClient = false }: Omit<Close, 'cause' | 'end'>,
  ) => {
    const lines = (await entered.client.closed()).map(shown);
    assert.deepEqual(lines, code === undefined || entered.client.version === 4 ? [] : [`DISCONNECT ${code}`]);
    assert.deepEqual(await told(watcher), { disconnectReason: reason, clientInitiatedDisconnect: byClient });
  };
  const titled = (cause: string, version: Version, code: string | undefined, reason: string): string =>
    `5.13 ${cause}, ${name(version)}: ${version === 5 && code ? `DISCONNECT ${code}, ` : ''}close; ${reason}`;

  for (const { cause, end, limited, ...close } of closes) {
    await bothVersions(
      t,
      (version) => titled(cause, version, close.code, close.reason),
      async (version) => {
        const entered = await scene.enter(version, { keepalive: 30 }, limited ? scene.limited : scene.device);
        const watcher = await watch(entered.clientId);
        await end(scene, entered);
        await expectEnd(entered, watcher, close);
      },
    );
  }

  await bothVersions(
    t,
    (version) => titled('certificate no longer ACTIVE', version, '0x87', 'AUTH_ERROR'),
    async (version) => {
      const identity = await scene.fleet.device(`fallen-${version}`, { policyName: 'everything' });
      const entered = await scene.enter(version, {}, identity);
      const watcher = await watch(entered.clientId);
      const { certificateId } = identity;
      await scene.fleet.client.send(new UpdateCertificateCommand({ certificateId, newStatus: 'INACTIVE' }));
      await expectEnd(entered, watcher, { code: '0x87', reason: 'AUTH_ERROR' });
    },
  );
};

const shutdown = async (t: TestContext, scene: Scene): Promise<void> => {
  const [three, five] = [await scene.enter(4), await scene.enter(5)];
  void scene.node.close(1_000);
  await t.test('5.13 shutdown, v3: close', async () => assert.deepEqual(await three.client.closed(), []));
  await t.test('5.13 shutdown, v5: DISCONNECT 0x8B, close', async () =>
    assert.deepEqual((await five.client.closed()).map(shown), ['DISCONNECT 0x8B']),
  );
};

/** Whatever a v5 client does wrong, the codes that it is told are those of AWS's list. */
const listed: Readonly<Record<string, readonly number[]>> = {
  connack: [0x00, 0x80, 0x85, 0x86, 0x87, 0x90, 0x97, 0x9b, 0x8c],
  puback: [0x00, 0x80, 0x87, 0x90, 0x91, 0x97],
  suback: [0x00, 0x01, 0x80, 0x87, 0x8f, 0x91, 0x97],
  unsuback: [0x00, 0x80, 0x8f, 0x91],
  disconnect: [0x81, 0x82, 0x87, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x97, 0x98, 0x9b, 0xa1],
};
const wrongs: readonly Row['sends'][] = [
  ...[...unsupported, ...malformed].map(({ sends }) => sends),
  publish(1, '$aws/things/t/shadow/get', '{}'),
  publish(1, '$aws/things/t/jobs/get', '{}'),
  publish(1, '$aws/rules/r/x', '{}'),
  publish(1, 'own/foreign'.repeat(40)),
  publish(1, 'foreign/x'),
  publish(1, 'own/x', 'x', { retain: true }),
  publish(1, 'own/x', 'x', { qos: 2 }),
  publish(1, 'own/x', 'x', { properties: { topicAlias: 9 } }),
  publish(0, 'own/x', Buffer.alloc(131_073), { qos: 0 }),
  publish(0, 'own/x', Buffer.alloc(150_000), { qos: 0 }),
  subscribe(1, ['own/x', 'foreign/x', `own/${'x'.repeat(300)}`]),
  subscribe(1, '$aws/rules/r/#'),
  subscribe(1, 'own/x', { properties: { subscriptionIdentifier: 5 } }),
  subscribe(1, [{ topic: 'own/x', qos: 2 }]),
  Array.from({ length: 51 }, (_, index) => subscribe(index + 1, `own/${index}`)),
  { cmd: 'unsubscribe', messageId: 3, unsubscriptions: ['own/none', 'foreign/x'] },
  { cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 60 } },
  pingreq,
];

const reasonCodes = async (t: TestContext, scene: Scene): Promise<void> => {
  const codesOf = (received: Awaited<ReturnType<RawMqtt['next']>>): number[] =>
    received.cmd === 'suback' || received.cmd === 'unsuback'
      ? received.granted.map(Number)
      : 'reasonCode' in received
        ? [received.reasonCode ?? 0]
        : [];

  await t.test('5.12 no other code is sent after CONNACK, v5', async () => {
    for (const sends of wrongs) {
      const { client } = await scene.enter(5, {}, scene.limited);
      client.send(typeof sends === 'function' ? sends(5) : sends);
      for (const received of await client.settled()) {
        for (const code of codesOf(received)) {
          assert.ok(!(received.cmd in listed) || listed[received.cmd]?.includes(code), shown(received));
        }
      }
      client.socket.destroy();
    }
  });

  for (const [asked, expected] of [
    [undefined, true],
    [true, true],
    [false, false],
  ] as const) {
    const said = asked === undefined ? 'absent' : Number(asked);
    await t.test(
      `5.12 Reason strings ${expected ? 'are' : 'are not'} sent, Request Problem Information ${said}, v5`,
      async () => {
        const fields = asked === undefined ? {} : { properties: { requestProblemInformation: asked } };
        const { client } = await scene.enter(5, fields, scene.limited);
        client.send([publish(1, 'foreign/x'), Buffer.of(0xc1, 0)]);
        const all = await client.closed();
        assert.deepEqual(all.map(shown), ['PUBACK 1 0x87', 'DISCONNECT 0x81']);
        for (const { properties: told } of all) assert.equal(typeof told?.['reasonString'] === 'string', expected);
      },
    );
  }
};

test('gateway.md 5.11 to 5.13', async (t) => {
  const scene = await openScene(t);
  await t.test('gateway.md 5.11 Packets and features not supported', (each) => runRows(each, scene, unsupported));
  await t.test('gateway.md 5.13 Server-side close table', (each) => closeTable(each, scene));
  await t.test('gateway.md 5.12 Reason codes AWS lists', (each) => reasonCodes(each, scene));
  await t.test('gateway.md 5.13 shutdown', (each) => shutdown(each, scene));
});
