/**
 * Every refusal row of spec gateway.md 5, made over the wire by MQTT.js, or by hand where no client would do it, and then explained: the journal's
 * reason, the cause in a sentence, and what to do about it. `fleetgate explain` prints what the journal's endpoint answers (refusals-policy.test.ts
 * holds the two together), so here the endpoint is asked: a process per row would say no more.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { UpdateCertificateCommand } from '@aws-sdk/client-iot';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import type { StartOptions } from '../../src/index.ts';
import type { ExplainedRecord } from '../../src/journal/endpoint.ts';
import type { Reason } from '../../src/journal/record.ts';
import { awsLimits } from '../../src/limits.ts';
import { connectPacket } from '../conformance/bed.ts';
import type { Identity } from '../harness.ts';
import { readJournal } from '../journal.ts';
import { dial, field, type Packets, packet, properties, publish, u16, type Version } from '../raw-mqtt.ts';
import { bootFleet, type Fleet } from '../refusal.ts';

interface World {
  readonly fleet: Fleet;
  readonly identities: { readonly device: Identity; readonly limited: Identity };
  /** MQTT.js, once it is connected or closed. */
  client(version: Version, clientId: string, who?: Who, options?: IClientOptions): Promise<MqttClient>;
  /** By hand: `packets` behind a CONNECT, or as the first ones. */
  raw(version: Version, clientId: string, packets: Packets, options?: { who?: Who; bare?: boolean }): Promise<void>;
}
type Who = 'device' | 'limited';

const open = async (t: TestContext, options?: StartOptions): Promise<World> => {
  const fleet = await bootFleet(t, options);
  const { node } = fleet;
  await fleet.policy('own', [
    ['iot:Connect', 'client/*'],
    ['iot:Publish', 'topic/own/*'],
    ['iot:Subscribe', '*'],
    ['iot:Receive', 'topic/own/*'],
  ]);
  const identities = {
    device: await fleet.device('device', { policyName: 'everything' }),
    limited: await fleet.device('limited', { policyName: 'own' }),
  };
  const clients: MqttClient[] = [];
  t.after(() => {
    for (const client of clients) client.end(true);
  });
  return {
    fleet,
    identities,
    async client(version, clientId, who = 'device', more = {}) {
      const { certificatePem, keyFile } = identities[who];
      const client = mqtt.connect(`mqtts://127.0.0.1:${node.mqttPort}`, {
        ...{ clientId, protocolVersion: version, reconnectPeriod: 0, servername: 'localhost' },
        ...{ ca: node.rootPem, cert: certificatePem, key: readFileSync(keyFile) },
        ...more,
      });
      clients.push(client);
      client.on('error', () => {}); // it is refused: what the journal says of it is what counts
      await new Promise<void>((resolve) => {
        client.once('connect', () => resolve());
        client.once('close', () => resolve());
      });
      return client;
    },
    async raw(version, clientId, packets, { who = 'device', bare = false } = {}) {
      const client = await dial(node, version, { identity: identities[who] });
      t.after(() => client.socket.destroy());
      if (!bare) client.send(connectPacket(version, { clientId }));
      client.send(packets);
    },
  };
};

/** A refusal is in the journal within this time, or never will be. */
const noticedMsMax = 10_000;

/** What the journal says of a client, or of one that said no client id: the newest refusal with this reason. */
const explained = async (
  { fleet }: World,
  clientId: string | undefined,
  { reason, cause }: Refusal,
): Promise<ExplainedRecord> => {
  const { node } = fleet;
  const query = { failures: 'true', limit: '20', ...(clientId !== undefined && { clientId }) };
  const endMs = performance.now() + noticedMsMax;
  let seen: string[] = [];
  while (performance.now() < endMs) {
    const { records } = await readJournal(node, node.account, query);
    const own = records.filter(({ record, sentence }) => record.clientId === clientId || cause.test(sentence));
    const found = own.find(({ record }) => record.reason === reason);
    if (found !== undefined) return found;
    seen = records.map(({ sentence }) => sentence);
  }
  throw new Error(`no ${reason} in the journal of ${clientId}: ${seen}`);
};

interface Refusal {
  readonly row: string;
  readonly versions?: readonly Version[];
  readonly attempt: (world: World, version: Version, clientId: string) => Promise<unknown>;
  readonly reason: Reason;
  readonly cause: RegExp;
  readonly cure: RegExp;
  /** The client id that the journal knows it by; `null`: none was said. */
  readonly clientId?: string | null;
}

const long = `own/${'x'.repeat(300)}`;
const deep = `own${'/x'.repeat(8)}`;
const many = (count: number): string[] => Array.from({ length: count }, (_, index) => `own/${index}`);
const will = (topic: string, more: object = {}): IClientOptions => ({
  will: { topic, payload: Buffer.from('gone'), qos: 0, retain: false, ...more },
});
/** A publish by MQTT.js. */
const publishing =
  (
    topic: string,
    options: Parameters<MqttClient['publish']>[2] = { qos: 1 },
    payload: string | Buffer = 'x',
    who?: Who,
  ) =>
  async (world: World, version: Version, clientId: string): Promise<void> => {
    (await world.client(version, clientId, who)).publish(topic, payload, options, () => {});
  };
/** A subscription by MQTT.js. */
const subscribing =
  (filters: string | string[], options: Parameters<MqttClient['subscribe']>[1] = { qos: 1 }, who?: Who) =>
  async (world: World, version: Version, clientId: string): Promise<void> => {
    (await world.client(version, clientId, who)).subscribe(filters, options, () => {});
  };
const connecting =
  (options: IClientOptions, who?: Who) =>
  (world: World, version: Version, clientId: string): Promise<unknown> =>
    world.client(version, clientId, who, options);
const byHand =
  (packets: Packets | ((version: Version) => Packets)) =>
  (world: World, version: Version, clientId: string): Promise<void> =>
    world.raw(version, clientId, typeof packets === 'function' ? packets(version) : packets);
const bare =
  (packets: Packets) =>
  (world: World, version: Version): Promise<void> =>
    world.raw(version, '', packets, { bare: true });

const v5: readonly Version[] = [5];
const v3: readonly Version[] = [4];
const noQos2 = /knows no QoS 2.*QoS 0 or 1/;
const allowIt = /^If it should be allowed, this allows exactly that/;

const refusals: readonly Refusal[] = [
  {
    row: '5.1 any other version',
    versions: v3,
    attempt: (world, _, clientId) => world.client(4, clientId, 'device', { protocolVersion: 3, protocolId: 'MQIsdp' }),
    clientId: null,
    reason: 'PROTOCOL_VERSION_UNSUPPORTED',
    cause: /speaks a version of MQTT that AWS IoT Core does not: MQIsdp level 3/,
    cure: /Use MQTT 3\.1\.1 or 5/,
  },
  {
    row: '5.1 first packet not CONNECT',
    attempt: bare(Buffer.from('GET / HTTP/1.1\r\n\r\n')),
    clientId: null,
    reason: 'CLIENT_ERROR',
    cause: /the first packet is not CONNECT/,
    cure: /Begin the connection with CONNECT/,
  },
  {
    row: '5.1 second CONNECT',
    attempt: (world, version, clientId) => world.raw(version, clientId, connectPacket(version, { clientId })),
    reason: 'CLIENT_ERROR',
    cause: /a second CONNECT/,
    cure: /CONNECT once/,
  },
  {
    row: '5.1 client id of more than 128 bytes',
    attempt: (world, version) => world.client(version, 'x'.repeat(129)),
    clientId: 'x'.repeat(129),
    reason: 'CLIENT_ID_INVALID',
    cause: /client id is not allowed: clientIdBytesMax/,
    cure: /1 to 128 bytes/,
  },
  {
    row: '5.1 client id with leading $',
    attempt: (world, version) => world.client(version, '$own'),
    clientId: '$own',
    reason: 'CLIENT_ID_INVALID',
    cause: /may not begin with \$/,
    cure: /do not begin with "\$"/,
  },
  {
    row: '5.1 empty client id without clean session',
    versions: v3,
    attempt: (world) => world.raw(4, '', packet(0x10, field('MQTT'), 4, 0, u16(60), field('')), { bare: true }),
    clientId: null,
    reason: 'CLIENT_ID_INVALID',
    cause: /empty client id without clean session/,
    cure: /1 to 128 bytes/,
  },
  {
    row: '5.1 will, iot:Publish denied',
    attempt: connecting(will('foreign/will'), 'limited'),
    reason: 'AUTHORIZATION_FAILURE',
    cause: /refused iot:Publish on "topic\/foreign\/will".*only on other resources/,
    cure: allowIt,
  },
  {
    row: '5.1 will, iot:RetainPublish denied',
    attempt: connecting(will('own/will', { retain: true }), 'limited'),
    reason: 'AUTHORIZATION_FAILURE',
    cause: /refused iot:RetainPublish on "topic\/own\/will": none of its policies allows that action/,
    cure: allowIt,
  },
  {
    row: '5.1 will QoS 2',
    attempt: connecting(will('own/will', { qos: 2 })),
    reason: 'CLIENT_ERROR',
    cause: /will QoS 2/,
    cure: noQos2,
  },
  {
    row: '5.1 will on a reserved topic',
    attempt: connecting(will('$aws/things/t/shadow/update')),
    reason: 'CLIENT_ERROR',
    cause: /will on a reserved topic/,
    cure: /topic that does not begin with "\$"/,
  },
  {
    row: '5.1 Authentication Method',
    versions: v5,
    attempt: connecting({ properties: { authenticationMethod: 'SCRAM-SHA-1' } }),
    reason: 'NOT_AVAILABLE',
    cause: /something that AWS IoT Core does not have: Authentication Method/,
    cure: /enhanced authentication/,
  },
  {
    row: '5.1 packet too large in CONNECT',
    attempt: bare(Buffer.of(0x10, 0xff, 0xff, 0xff, 0x7f)),
    clientId: null,
    reason: 'LIMIT_EXCEEDED',
    cause: /packetBytesMax \(the bytes of a packet, 149504/,
    cure: /Stay below the limit/,
  },
  {
    row: '5.5 QoS 2',
    attempt: (world, version, clientId) => world.raw(version, clientId, publish(1, 'own/x', 'x', { qos: 2 })),
    reason: 'CLIENT_ERROR',
    cause: /broke a rule of MQTT or of AWS IoT Core: QoS 2/,
    cure: noQos2,
  },
  ...([0, 1] as const).map(
    (qos): Refusal => ({
      row: `5.5 not authorized, QoS ${qos}`,
      attempt: publishing('foreign/x', { qos }, 'x', 'limited'),
      reason: 'AUTHORIZATION_FAILURE',
      cause: /refused iot:Publish on "topic\/foreign\/x".*only on other resources/,
      cure: allowIt,
    }),
  ),
  {
    row: '5.5 retain not authorized',
    attempt: publishing('own/x', { qos: 1, retain: true }, 'x', 'limited'),
    reason: 'AUTHORIZATION_FAILURE',
    cause: /refused iot:RetainPublish on "topic\/own\/x": none of its policies allows that action/,
    cure: allowIt,
  },
  ...(
    [
      ['with a wildcard', 'own/#', /wildcard in a topic/, /without "\+" and "#"/],
      ['empty', '', /empty topic/, /Publish with a topic/],
      ['with NUL', 'own/\0', /NUL character/, /U\+0000/],
      ['of bad UTF-8', Buffer.from([0xc3, 0x28]), /ill-formed UTF-8/, /well-formed UTF-8/],
    ] as const
  ).map(
    ([what, topic, cause, cure]): Refusal => ({
      row: `5.5 topic ${what}`,
      attempt: byHand((version) => packet(0x32, field(topic), u16(1), properties(version))),
      reason: 'CLIENT_ERROR',
      cause,
      cure,
    }),
  ),
  {
    row: '5.5 topic > 256 bytes',
    attempt: publishing(long),
    reason: 'LIMIT_EXCEEDED',
    cause: /topicBytesMax \(the bytes of a topic or topic filter, 256/,
    cure: /Stay below the limit/,
  },
  {
    row: '5.5 topic > 7 slashes',
    attempt: publishing(deep),
    reason: 'LIMIT_EXCEEDED',
    cause: /topicSlashesMax \(the slashes in a topic or topic filter, 7/,
    cure: /Stay below the limit/,
  },
  {
    row: '5.5 $ topic not open to clients',
    attempt: publishing('$foo/x'),
    reason: 'CLIENT_ERROR',
    cause: /: reserved topic\./,
    cure: /does not begin with "\$"/,
  },
  {
    row: '5.5 RETAIN on a reserved topic',
    attempt: publishing('$aws/things/t/shadow/update', { qos: 1, retain: true }),
    reason: 'CLIENT_ERROR',
    cause: /RETAIN on a reserved topic/,
    cure: /without RETAIN/,
  },
  {
    row: '5.5 payload > 131072 bytes',
    attempt: publishing('own/x', { qos: 1 }, Buffer.alloc(131_073)),
    reason: 'LIMIT_EXCEEDED',
    cause: /payloadBytesMax \(the bytes of a payload, 131072/,
    cure: /Stay below the limit/,
  },
  {
    row: '5.5 packet > 149504 bytes',
    attempt: byHand(publish(1, 'own/x', Buffer.alloc(150_000))),
    reason: 'LIMIT_EXCEEDED',
    cause: /packetBytesMax/,
    cure: /Stay below the limit/,
  },
  {
    row: '5.5 > 100 unacked inbound QoS 1',
    versions: v5,
    attempt: async (world, version, clientId) => {
      const properties = { properties: { sessionExpiryInterval: 600 } };
      const client = await world.client(version, `${clientId}-kept`, 'device', { clean: false, ...properties });
      await client.subscribeAsync(many(8), { qos: 1 });
      await world.raw(
        version,
        clientId,
        Array.from({ length: 130 }, (_, index) => publish(index + 1, 'own/0')),
      );
    },
    reason: 'LIMIT_EXCEEDED',
    cause: /inflightMax \(the messages without acknowledgement, 100/,
    cure: /Stay below the limit/,
  },
  {
    row: '5.5 topic alias > 8',
    versions: v5,
    attempt: byHand(publish(1, 'own/x', 'x', { properties: { topicAlias: 9 } })),
    reason: 'CLIENT_ERROR',
    cause: /topic alias above Topic Alias Maximum/,
    cure: /aliases from 1 to the Topic Alias Maximum/,
  },
  {
    row: '5.5 topic alias unknown',
    versions: v5,
    attempt: byHand(publish(1, '', 'x', { properties: { topicAlias: 3 } })),
    reason: 'CLIENT_ERROR',
    cause: /unknown topic alias/,
    cure: /with its alias once/,
  },
  {
    row: '5.6 QoS 2 requested',
    attempt: subscribing('own/x', { qos: 2 }),
    reason: 'CLIENT_ERROR',
    cause: /: QoS 2\./,
    cure: noQos2,
  },
  {
    row: '5.6 > 8 filters in one packet',
    attempt: subscribing(many(9)),
    reason: 'LIMIT_EXCEEDED',
    cause: /filtersPerSubscribeMax \(the filters of one SUBSCRIBE, 8/,
    cure: /Stay below the limit/,
  },
  {
    row: '5.6 > 50 subscriptions on the connection',
    attempt: async (world, version, clientId) => {
      const client = await world.client(version, clientId);
      for (const filter of many(51)) client.subscribe(filter, { qos: 1 }, () => {});
    },
    reason: 'LIMIT_EXCEEDED',
    cause: /subscriptionsPerConnectionMax \(the subscriptions of one connection, 50/,
    cure: /Stay below the limit/,
  },
  ...(
    [
      ['own/a#', /# is not the whole last level/, /as in "a\/#"/],
      ['+b', /\+ is not a whole level/, /as in "a\/\+\/b"/],
      ['', /empty topic filter/, /filter that is not empty/],
      ['$share//x', /malformed ShareName/, /\$share\/name\/filter/],
    ] as const
  ).map(
    ([filter, cause, cure]): Refusal => ({
      row: `5.6 malformed filter ${JSON.stringify(filter)}`,
      attempt: byHand((version) => packet(0x82, u16(1), properties(version), field(filter), 1)),
      reason: 'CLIENT_ERROR',
      cause,
      cure,
    }),
  ),
  {
    row: '5.6 filter > 256 bytes',
    attempt: subscribing(long),
    reason: 'LIMIT_EXCEEDED',
    cause: /topicBytesMax/,
    cure: /Stay below the limit/,
  },
  {
    row: '5.6 filter > 7 slashes',
    attempt: subscribing(deep),
    reason: 'LIMIT_EXCEEDED',
    cause: /topicSlashesMax/,
    cure: /Stay below the limit/,
  },
  {
    row: '5.6 forbidden $ filter',
    attempt: subscribing('$SYS/#'),
    reason: 'CLIENT_ERROR',
    cause: /reserved topic filter/,
    cure: /that clients may read/,
  },
  {
    row: '5.6 Subscription Identifier',
    versions: v5,
    attempt: subscribing('own/x', { qos: 1, properties: { subscriptionIdentifier: 5 } }),
    reason: 'NOT_AVAILABLE',
    cause: /something that AWS IoT Core does not have: Subscription Id is not supported now/,
    cure: /Leave Subscription Identifiers out/,
  },
  {
    row: '5.7 iot:Receive denied',
    attempt: async (world, version, clientId) => {
      const client = await world.client(version, clientId, 'limited');
      await client.subscribeAsync('deaf/x', { qos: 1 });
      await (await world.client(version, `${clientId}-sender`)).publishAsync('deaf/x', 'x', { qos: 1 });
    },
    reason: 'AUTHORIZATION_FAILURE',
    cause: /refused iot:Receive on "topic\/deaf\/x".*only on other resources/,
    cure: allowIt,
  },
  {
    row: '5.10 ShareName > 128 characters',
    attempt: subscribing(`$share/${'n'.repeat(129)}/own/x`),
    reason: 'LIMIT_EXCEEDED',
    cause: /shareNameCharsMax \(the characters of the name of a shared subscription, 128/,
    cure: /Stay below the limit/,
  },
  ...[0x50, 0x62, 0x70].map(
    (first): Refusal => ({
      row: `5.11 packet type ${first >> 4}`,
      attempt: byHand(packet(first, u16(1))),
      reason: 'CLIENT_ERROR',
      cause: /PUBREC, PUBREL and PUBCOMP are not supported \(QoS 2\)/,
      cure: noQos2,
    }),
  ),
  {
    row: '5.11 AUTH',
    attempt: byHand(packet(0xf0, 0x18, 0)),
    reason: 'CLIENT_ERROR',
    cause: /AUTH is not supported/,
    cure: /enhanced authentication/,
  },
  {
    row: '5.3 DISCONNECT with Session Expiry after 0',
    versions: v5,
    attempt: byHand({ cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 60 } }),
    reason: 'CLIENT_ERROR',
    cause: /Session Expiry Interval above 0 after 0 at CONNECT/,
    cure: /at CONNECT/,
  },
  {
    row: '5.13 malformed',
    attempt: byHand(Buffer.of(0xc1, 0)),
    reason: 'CLIENT_ERROR',
    cause: /reserved flags of the fixed header/,
    cure: /Correct the client/,
  },
  {
    row: '5.13 takeover',
    attempt: async (world, version, clientId) => {
      await world.client(version, clientId);
      await world.client(version, clientId);
    },
    reason: 'DUPLICATE_CLIENT_ID',
    cause: /disconnected because a new connection used the same client id/,
    cure: /client id of its own/,
  },
  {
    row: '5.13 keep-alive',
    attempt: async (world, version, clientId) => {
      await world.raw(version, clientId, []);
      await explainedSuccess(world, clientId);
      await world.fleet.node.clock.advance(1_801_000);
    },
    reason: 'MQTT_KEEP_ALIVE_TIMEOUT',
    cause: /silent for more than one and a half times/,
    cure: /PINGREQ in time/,
  },
  {
    row: '5.1 no CONNECT',
    attempt: async (world, version) => {
      const before = await world.fleet.node.clock.now();
      await world.raw(version, '', [], { bare: true });
      await (await world.client(version, `beside-${version}-${before}`)).endAsync();
      await world.fleet.node.clock.advance(31_000);
    },
    clientId: null,
    reason: 'CONNECT_PACKET_TIMEOUT',
    cause: /sent no CONNECT packet in time/,
    cure: /Connect with an MQTT client/,
  },
  {
    row: '6 a topic that only the service publishes on',
    attempt: publishing('$aws/events/presence/connected/x'),
    reason: 'AUTHORIZATION_FAILURE',
    cause: /refused to publish on "\$aws\/events\/presence\/connected\/x": only the service publishes on this topic/,
    cure: /No policy can allow it/,
  },
  {
    row: '5.1 iot:Connect denied',
    attempt: async (world, version, clientId) => {
      await world.fleet.policy(`nothing-${version}`, [['iot:Publish', '*']]);
      const { certificatePem, keyFile } = await world.fleet.device(`mute-${version}`, {
        policyName: `nothing-${version}`,
      });
      await world.client(version, clientId, 'device', { cert: certificatePem, key: readFileSync(keyFile) });
    },
    reason: 'AUTHORIZATION_FAILURE',
    cause: /refused iot:Connect on "client\/.*": none of its policies allows that action/,
    cure: allowIt,
  },
  {
    row: '5.13 certificate no longer ACTIVE',
    attempt: async (world, version, clientId) => {
      const { certificatePem, certificateId, keyFile } = await world.fleet.device(`fallen-${version}`, {
        policyName: 'everything',
      });
      await world.client(version, clientId, 'device', { cert: certificatePem, key: readFileSync(keyFile) });
      await world.fleet.client.send(new UpdateCertificateCommand({ certificateId, newStatus: 'INACTIVE' }));
    },
    reason: 'CERTIFICATE_NO_LONGER_ACTIVE',
    cause: /disconnected because the certificate .* is no longer ACTIVE/,
    cure: /activate it/,
  },
];

/** Waits until the journal knows that a client was let in. */
const explainedSuccess = async ({ fleet: { node } }: World, clientId: string): Promise<void> => {
  const endMs = performance.now() + noticedMsMax;
  while (performance.now() < endMs) {
    const { records } = await readJournal(node, node.account, { clientId });
    if (records.some(({ record }) => record.status === 'Success')) return;
  }
  throw new Error(`${clientId} was not let in`);
};

const run = async (t: TestContext, world: World, table: readonly Refusal[]): Promise<void> => {
  for (const refusal of table) {
    const { row, attempt, reason, cause, cure, clientId: known } = refusal;
    for (const version of refusal.versions ?? ([4, 5] as const)) {
      await t.test(`${row}, v${version === 4 ? 3 : 5}: ${reason}`, async () => {
        const clientId = `${row.replaceAll(/\W+/g, '-').slice(0, 60)}-${version}`;
        await attempt(world, version, clientId);
        const told = await explained(world, known === null ? undefined : (known ?? clientId), refusal);
        assert.match(told.sentence, cause);
        assert.match(told.sentence, /^[A-Z].*\.$/s, 'one sentence');
        assert.match(told.cure, cure);
        assert.ok(told.cure.endsWith(told.commands.length > 0 ? ':' : '.'), told.cure);
      });
    }
  }
};

test('every refusal row of spec gateway.md 5 is explained', async (t) => {
  await run(t, await open(t), refusals);
});

/** A node that holds next to nothing. */
test('bounds of what is kept are explained', async (t) => {
  const world = await open(t, { limits: { ...awsLimits, retainedPerAccountMax: 1, queuedMessagesPerSessionMax: 1 } });
  await run(t, world, [
    {
      row: '5.5 retained store full',
      attempt: async (_, version, clientId) => {
        const client = await world.client(version, clientId);
        for (const topic of many(2)) client.publish(topic, 'x', { qos: 0, retain: true });
      },
      reason: 'LIMIT_EXCEEDED',
      cause: /retainedPerAccountMax \(the retained messages of one account, 5000/,
      cure: /Stay below the limit/,
    },
    {
      row: '5.3 over-limit messages dropped',
      attempt: async (_, version, clientId) => {
        const properties = version === 5 ? { properties: { sessionExpiryInterval: 600 } } : {};
        const client = await world.client(version, clientId, 'device', { clean: false, ...properties });
        await client.subscribeAsync(`own/for/${clientId}`, { qos: 1 });
        await client.endAsync();
        const sender = await world.client(version, `${clientId}-sender`);
        for (let count = 0; count < 2; count++) await sender.publishAsync(`own/for/${clientId}`, 'x', { qos: 1 });
      },
      reason: 'LIMIT_EXCEEDED',
      cause: /new messages are dropped: queuedMessagesPerSessionMax \(the messages that wait for one session/,
      cure: /Stay below the limit/,
    },
  ]);
});

test('limits per unit of time are explained', async (t) => {
  const world = await open(t, { rateQuotas: true });
  await run(t, world, [
    {
      row: '5.1 same-id rate',
      attempt: async (_, version, clientId) => {
        await world.client(version, clientId);
        await world.client(version, clientId);
      },
      reason: 'THROTTLED',
      cause: /connected more than once per second/,
      cure: /without --rate-quotas aws/,
    },
    {
      row: '5.5 > 100 publishes per second',
      attempt: async (_, version, clientId) => {
        const client = await world.client(version, clientId);
        for (let count = 0; count < 150; count++) client.publish('own/x', 'x', { qos: 0 });
      },
      reason: 'THROTTLED',
      cause: /published more than 100 messages per second, and the excess was discarded/,
      cure: /without --rate-quotas aws/,
    },
    {
      row: '5.7 > 100 outbound publishes per second',
      attempt: async (_, version, clientId) => {
        const client = await world.client(version, clientId);
        await client.subscribeAsync('own/out', { qos: 0 });
        for (let sender = 0; sender < 3; sender++) {
          const publisher = await world.client(version, `${clientId}-${sender}`);
          for (let count = 0; count < 60; count++) publisher.publish('own/out', 'x', { qos: 0 });
        }
      },
      reason: 'THROTTLED',
      cause: /was sent more than 100 messages per second, and the excess waited or was dropped/,
      cure: /without --rate-quotas aws/,
    },
    {
      row: '5.5 > 512 KiB per second',
      attempt: async (_, version, clientId) => {
        const client = await world.client(version, clientId);
        for (let count = 0; count < 6; count++) client.publish('own/x', Buffer.alloc(130_000), { qos: 0 });
      },
      reason: 'THROTTLED',
      cause: /sent more than 512 KiB per second, and was read more slowly/,
      cure: /without --rate-quotas aws/,
    },
  ]);
});
