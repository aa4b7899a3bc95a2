/**
 * MQTT.js cannot tell this server from AWS: both versions, over TLS and over WebSocket, by certificate and by SigV4; and what one version publishes reaches
 * the other. Source: spec gateway.md 2, 5.3, 5.4, 5.7 to 5.9.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { DeleteConnectionCommand } from '@aws-sdk/client-iot-data-plane';
import mqtt, { type IClientOptions, type IConnackPacket, type IPublishPacket, type MqttClient } from 'mqtt';
import { presignUrl } from '../../src/aws/sigv4.ts';
import { type Inbox, lineOf, openInbox } from '../inbox.ts';
import { bootFleet, type Fleet } from '../refusal.ts';
import { within } from '../within.ts';

type Version = 4 | 5;

interface Opened {
  readonly client: MqttClient;
  readonly connack: IConnackPacket;
  readonly heard: Inbox<string>;
  /** The same messages as MQTT.js has them. */
  readonly packets: readonly IPublishPacket[];
}

interface Scene {
  readonly fleet: Fleet;
  /** A client that is connected; clean, as version 5, over TLS with a certificate unless told otherwise. */
  open(options?: IClientOptions, way?: Way): Promise<Opened>;
}

/** Where a client knocks, and how it proves who it is. */
interface Way {
  readonly title: string;
  readonly url: () => string;
  readonly options: IClientOptions;
}

/** A CONNECT that asks for a session of an hour. */
const lasting = (version: Version, clientId: string): IClientOptions => ({
  protocolVersion: version,
  clientId,
  clean: false,
  ...(version === 5 && { properties: { sessionExpiryInterval: 3600 } }),
});

const closedOf = (client: MqttClient): Promise<void> =>
  within(new Promise<void>((resolve) => client.once('close', () => resolve())), 'the end of a connection');

/** Closes the connection without DISCONNECT. */
const cut = async ({ client }: Opened): Promise<void> => {
  const closed = closedOf(client);
  client.stream.destroy();
  await closed;
};

/** What an application does that does not want to miss anything: a session, retained messages, a will. */
const application = async ({ open }: Scene, version: Version, way: Way): Promise<void> => {
  const prefix = `${way.title}/${version}`.replaceAll(' ', '-');
  const clientId = prefix;
  const publisher = await open({ protocolVersion: version }, way);
  const first = await open(lasting(version, clientId), way);
  assert.equal(first.connack.sessionPresent, false);
  await first.client.subscribeAsync(`${prefix}/queued/#`, { qos: 1 });
  await first.client.endAsync();
  for (const number of [1, 2, 3]) {
    await publisher.client.publishAsync(`${prefix}/queued/${number}`, 'while you were away', { qos: 1 });
  }
  await publisher.client.publishAsync(`${prefix}/kept`, 'kept', { qos: 1, retain: true });

  const second = await open(lasting(version, clientId), way);
  assert.equal(second.connack.sessionPresent, true);
  const queued = [1, 2, 3].map((number) => `${prefix}/queued/${number} while you were away qos 1`);
  assert.deepEqual(await second.heard.until(3), queued);
  await second.client.subscribeAsync([`${prefix}/kept`, `${prefix}/will`], { qos: 1 });
  assert.deepEqual((await second.heard.until(4)).slice(3), [`${prefix}/kept kept qos 1 retained`]);

  const will = { topic: `${prefix}/will`, payload: Buffer.from('gone'), qos: 1, retain: false } as const;
  await cut(await open({ protocolVersion: version, will }, way));
  assert.deepEqual((await second.heard.until(5)).slice(4), [`${prefix}/will gone qos 1`]);

  await second.client.endAsync();
  const clean = await open({ protocolVersion: version, clientId, clean: true }, way);
  assert.equal(clean.connack.sessionPresent, false);
  await clean.client.endAsync();
  const third = await open(lasting(version, clientId), way);
  assert.equal(third.connack.sessionPresent, false, 'a clean start ends the session');
};

const userProperties = { trace: ['1', '2'], empty: '' };

/** Each with one node, which they share. */
const stories: [title: string, tell: (scene: Scene) => Promise<void>][] = [];
const story = (title: string, tell: (scene: Scene) => Promise<void>): void => {
  stories.push([title, tell]);
};

story('version 5: a request is answered on its response topic, with its correlation data', async ({ open }) => {
  const [asking, answering] = [await open({ clientId: 'asking' }), await open({ clientId: 'answering' })];
  answering.client.on('message', (_topic, payload, { properties }) => {
    const { responseTopic = '', correlationData } = properties ?? {};
    assert.ok(correlationData);
    answering.client.publish(responseTopic, `${payload}!`, { qos: 1, properties: { correlationData, userProperties } });
  });
  await answering.client.subscribeAsync('requests', { qos: 1 });
  await asking.client.subscribeAsync('answers/asking', { qos: 1 });
  const correlationData = Buffer.from([0, 1, 255]);
  const properties = {
    ...{ responseTopic: 'answers/asking', correlationData },
    ...{ contentType: 'text/plain', payloadFormatIndicator: true },
  };
  await asking.client.publishAsync('requests', 'ready', { qos: 1, properties });
  assert.deepEqual(await asking.heard.until(1), ['answers/asking ready! qos 1']);
  assert.deepEqual({ ...answering.packets[0]?.properties }, properties);
  const answered = asking.packets[0]?.properties;
  assert.deepEqual(answered?.correlationData, correlationData);
  assert.deepEqual({ ...answered?.userProperties }, userProperties);
});

story(
  'what version 5 publishes reaches version 3.1.1 without properties, and the other way round',
  async ({ open }) => {
    const [three, five] = [await open({ protocolVersion: 4 }), await open({ protocolVersion: 5 })];
    for (const { client } of [three, five]) await client.subscribeAsync('both/+', { qos: 1 });
    await five.client.publishAsync('both/5', 'from five', {
      qos: 1,
      properties: { userProperties, contentType: 'a/b' },
    });
    await three.client.publishAsync('both/3', 'from three', { qos: 0 });
    const lines = ['both/5 from five qos 1', 'both/3 from three qos 0'];
    assert.deepEqual(await three.heard.until(2), lines);
    assert.deepEqual(await five.heard.until(2), lines);
    assert.deepEqual(
      three.packets.map(({ properties }) => properties),
      [undefined, undefined],
    );
    assert.equal(five.packets[0]?.properties?.contentType, 'a/b');
    assert.deepEqual({ ...five.packets[1]?.properties }, {});
  },
);

story('messages that expire while a session is offline do not come, the others do', async ({ fleet, open }) => {
  const publisher = await open();
  for (const version of [4, 5] as const) {
    const before = await open(lasting(version, `expiring-${version}`));
    await before.client.subscribeAsync('expiring', { qos: 1 });
    await before.client.endAsync();
  }
  const send = (payload: string, messageExpiryInterval?: number) =>
    publisher.client.publishAsync('expiring', payload, {
      qos: 1,
      properties: messageExpiryInterval === undefined ? {} : { messageExpiryInterval },
    });
  await send('short', 10);
  await send('long', 100);
  await send('for ever');
  await fleet.node.clock.advance(11_000);
  for (const version of [4, 5] as const) {
    const after = await open(lasting(version, `expiring-${version}`));
    assert.deepEqual(await after.heard.until(2), ['expiring long qos 1', 'expiring for ever qos 1']);
    const left = after.packets[0]?.properties?.messageExpiryInterval;
    assert.ok(version === 4 ? left === undefined : left !== undefined && left > 80 && left <= 89, `${left} s are left`);
  }
});

story('a session belongs to its version: the other one starts anew', async ({ open }) => {
  const three = await open(lasting(4, 'versatile'));
  await three.client.subscribeAsync('versatile', { qos: 1 });
  await three.client.endAsync();
  const five = await open(lasting(5, 'versatile'));
  assert.equal(five.connack.sessionPresent, false);
  await five.client.endAsync();
  const again = await open(lasting(4, 'versatile'));
  assert.equal(again.connack.sessionPresent, false);
});

for (const version of [4, 5] as const) {
  story(
    `cut off, MQTT.js comes back by itself and sends what it was given meanwhile, version ${version}`,
    async (scene) => {
      const { fleet, open } = scene;
      const clientId = `restless-${version}`;
      const watcher = await open();
      await watcher.client.subscribeAsync(`restless/${version}`, { qos: 1 });
      const restless = await open({ ...lasting(version, clientId), reconnectPeriod: 50 });
      await restless.client.subscribeAsync(`restless/${version}`, { qos: 1 });
      const closed = closedOf(restless.client);
      const connected = new Promise<IConnackPacket>((resolve) => restless.client.once('connect', resolve));
      await fleet.iotData().send(new DeleteConnectionCommand({ clientId }));
      await closed;
      const published = restless.client.publishAsync(`restless/${version}`, 'given offline', { qos: 1 });
      assert.equal((await within(connected, 'the reconnect')).sessionPresent, true);
      await published;
      const line = `restless/${version} given offline qos 1`;
      assert.deepEqual(await watcher.heard.until(1), [line]);
      assert.deepEqual(await restless.heard.until(1), [line]);
    },
  );

  story(`a takeover ends the older connection and keeps the session, version ${version}`, async ({ open }) => {
    const older = await open(lasting(version, `taken-${version}`));
    await older.client.subscribeAsync(`taken/${version}`, { qos: 1 });
    const closed = closedOf(older.client);
    const newer = await open(lasting(version, `taken-${version}`));
    assert.equal(newer.connack.sessionPresent, true);
    await closed;
    await newer.client.publishAsync(`taken/${version}`, 'to whom?', { qos: 1 });
    assert.deepEqual(await newer.heard.until(1), [`taken/${version} to whom? qos 1`]);
    assert.deepEqual(older.heard.items, []);
  });
}

test('MQTT.js', async (t) => {
  const fleet = await bootFleet(t);
  const { node } = fleet;
  const device = await fleet.device('device', { policyName: 'everything' });
  const certificate = { cert: await readFile(device.certFile), key: await readFile(device.keyFile) };
  const presigned = (): string =>
    presignUrl({
      ...{ method: 'GET', url: `https://localhost:${node.httpsPort}/mqtt`, region: node.account.region },
      ...{ accessKeyId: 'test', secretAccessKey: 'test', service: 'iotdevicegateway' },
      ...{ nowMs: Date.now(), expiresSeconds: 300 },
    }).replace('https:', 'wss:');
  const direct: Way = { title: 'TLS', url: () => `mqtts://localhost:${node.mqttPort}`, options: certificate };
  const ways: readonly Way[] = [
    direct,
    { title: 'wss with a certificate', url: () => `wss://localhost:${node.httpsPort}/mqtt`, options: certificate },
    { title: 'wss with SigV4', url: presigned, options: {} },
  ];

  const opened = new Set<MqttClient>();
  const open: Scene['open'] = async (options = {}, way = direct) => {
    const client = mqtt.connect(way.url(), {
      ...{ ca: node.rootPem, reconnectPeriod: 0, protocolVersion: 5 },
      ...way.options,
      ...options,
    });
    opened.add(client);
    const heard = openInbox<string>();
    const packets: IPublishPacket[] = [];
    client.on('message', (topic, payload, packet) => {
      packets.push(packet);
      heard.put(lineOf(topic, String(payload), packet.qos, packet.retain));
    });
    const connack = await new Promise<IConnackPacket>((resolve, reject) => {
      client.once('connect', resolve);
      client.once('error', reject);
      client.once('close', () => reject(new Error('closed before a CONNACK')));
    });
    return { client, connack, heard, packets };
  };
  const endAll = (): void => {
    for (const client of opened) client.end(true);
    opened.clear();
  };

  for (const way of ways) {
    for (const version of [4, 5] as const) {
      await t.test(`a session, retained messages and a will: version ${version} by ${way.title}`, () =>
        application({ fleet, open }, version, way).finally(endAll),
      );
    }
  }
  for (const [title, tell] of stories) await t.test(title, () => tell({ fleet, open }).finally(endAll));
});
