/**
 * The AWS IoT device SDK for JavaScript v2 cannot tell this server from AWS: the flows of its published samples (`pub_sub`, `pub_sub_mqtt5`, `mqtt5_x509`,
 * `mqtt5_aws_websocket`, `shared_subscription`) and what its users rely on beside them, by every way in that a sample knows. Only its endpoint, port and root
 * differ, as its builders have it. Source: spec gateway.md 1, 2, 5; check 43: each of these clients tells its metrics in the username.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { DeleteConnectionCommand } from '@aws-sdk/client-iot-data-plane';
import { mqtt, mqtt5 } from 'aws-iot-device-sdk-v2';
import {
  type Connected,
  collectClients,
  connect,
  create,
  endAll,
  mqtt3Builder,
  mqtt5Builder,
  next,
  type Started,
  start,
  stop,
  type Way,
  waysOf,
} from '../device-sdk.ts';
import { openInbox } from '../inbox.ts';
import { bootFleet, type Fleet } from '../refusal.ts';
import { within } from '../within.ts';

after(collectClients);

const { AtMostOnce, AtLeastOnce } = mqtt5.QoS;
const { RejoinAlways, RejoinPostSuccess } = mqtt5.ClientSessionBehavior;
const count = 5;
const sentence = 'Hello from mqtt5 sample';

/** The settings that a client negotiates with AWS IoT Core (spec gateway.md 5.1), without a session. */
const negotiated: Omit<mqtt5.NegotiatedSettings, 'clientId'> = {
  maximumQos: AtLeastOnce,
  sessionExpiryInterval: 0,
  receiveMaximumFromServer: 100,
  maximumPacketSizeToServer: 149_504,
  topicAliasMaximumToServer: 8,
  topicAliasMaximumToClient: 0,
  serverKeepAlive: 1200,
  retainAvailable: true,
  wildcardSubscriptionsAvailable: true,
  subscriptionIdentifiersAvailable: false,
  sharedSubscriptionsAvailable: true,
  rejoinedSession: false,
};

interface Scene {
  readonly fleet: Fleet;
  /** Mutual TLS, as a principal that may do everything. */
  readonly way: Way;
}

/** Each with one node, which they share. */
const stories: [title: string, tell: (scene: Scene) => Promise<void>][] = [];
const story = (title: string, tell: (scene: Scene) => Promise<void>): void => {
  stories.push([title, tell]);
};

/** `mqtt5_x509` and `mqtt5_aws_websocket`, from the connection to its end. */
const mqtt5Sample = async ({ fleet, way }: Scene): Promise<void> => {
  const config = mqtt5Builder(fleet, way)
    .withConnectProperties({ clientId: 'mqtt5-sample', keepAliveIntervalSeconds: 1200 })
    .build();
  assert.equal(config.metrics?.libraryName, 'IoTDeviceSDK/JS');
  const { client, success, heard } = await start(config);
  assert.deepEqual(success.settings, { ...negotiated, clientId: 'mqtt5-sample' });
  assert.deepEqual([success.connack.reasonCode, success.connack.sessionPresent], [0, false]);

  const suback = await client.subscribe({ subscriptions: [{ topicFilter: 'test/topic', qos: AtLeastOnce }] });
  assert.deepEqual(suback.reasonCodes, [mqtt5.SubackReasonCode.GrantedQoS1]);
  for (let sent = 1; sent <= count; sent++) {
    const puback = await client.publish({
      topicName: 'test/topic',
      payload: `${sentence} [${sent}]`,
      qos: AtLeastOnce,
    });
    assert.equal(puback?.reasonCode, mqtt5.PubackReasonCode.Success);
  }
  assert.deepEqual(
    await heard.until(count),
    Array.from({ length: count }, (_, sent) => `test/topic ${sentence} [${sent + 1}] qos 1`),
  );
  const unsuback = await client.unsubscribe({ topicFilters: ['test/topic'] });
  assert.deepEqual(unsuback.reasonCodes, [mqtt5.UnsubackReasonCode.Success]);
  await stop({ client });
  client.close();
};

/** `pub_sub`: what is published with MQTT 3.1.1 comes back, in order. */
const mqtt3Sample = async ({ fleet, way }: Scene): Promise<void> => {
  const config = mqtt3Builder(fleet, way).with_client_id('mqtt3-sample').build();
  const { connection, sessionPresent } = await connect(config);
  assert.equal(sessionPresent, false);
  const sequence = openInbox<number>();
  await connection.subscribe('test/topic', mqtt.QoS.AtLeastOnce, (_topic, payload) => {
    sequence.put(JSON.parse(new TextDecoder('utf8').decode(payload)).sequence);
  });
  for (let sent = 1; sent <= count; sent++) {
    const message = JSON.stringify({ message: 'Hello World!', sequence: sent });
    await connection.publish('test/topic', message, mqtt.QoS.AtLeastOnce);
  }
  assert.deepEqual(await sequence.until(count), [1, 2, 3, 4, 5]);
  await connection.unsubscribe('test/topic');
  await connection.disconnect();
};

story('`pub_sub_mqtt5`: QoS 0 and 1 beside each other, with user properties', async ({ fleet, way }) => {
  const { client, packets, heard } = await start(mqtt5Builder(fleet, way).build());
  const suback = await client.subscribe({
    subscriptions: [
      { qos: AtLeastOnce, topicFilter: 'hello/world/qos1' },
      { qos: AtMostOnce, topicFilter: 'hello/world/qos0' },
    ],
  });
  assert.deepEqual(suback.reasonCodes, [mqtt5.SubackReasonCode.GrantedQoS1, mqtt5.SubackReasonCode.GrantedQoS0]);
  const userProperties = [
    { name: 'test', value: 'userproperty' },
    { name: 'test', value: 'again' },
    { name: '', value: '' },
  ];
  const unacknowledged = await client.publish({
    ...{ qos: AtMostOnce, topicName: 'hello/world/qos0', payload: JSON.stringify('This is a qos 0 payload') },
    userProperties,
  });
  assert.equal(unacknowledged, undefined);
  await heard.until(1);
  const correlationData = new TextEncoder().encode('42').buffer;
  await client.publish({
    ...{ qos: AtLeastOnce, topicName: 'hello/world/qos1', payload: JSON.stringify('This is a qos 1 payload') },
    ...{ contentType: 'application/json', responseTopic: 'hello/answers', correlationData },
    ...{ payloadFormat: mqtt5.PayloadFormatIndicator.Utf8, messageExpiryIntervalSeconds: 60 },
  });
  assert.deepEqual(await heard.until(2), [
    'hello/world/qos0 "This is a qos 0 payload" qos 0',
    'hello/world/qos1 "This is a qos 1 payload" qos 1',
  ]);
  const [first, second] = packets;
  assert.deepEqual(first?.userProperties, userProperties);
  assert.deepEqual(
    [second?.contentType, second?.responseTopic, second?.correlationData, second?.payloadFormat],
    ['application/json', 'hello/answers', correlationData, mqtt5.PayloadFormatIndicator.Utf8],
  );
  assert.ok([59, 60].includes(second?.messageExpiryIntervalSeconds ?? 0));
  await client.unsubscribe({ topicFilters: ['hello/world/qos1'] });
  await stop({ client });
});

story('`shared_subscription`: two subscribers share what one publishes', async ({ fleet, way }) => {
  const enter = (clientId: string): Promise<Started> =>
    start(mqtt5Builder(fleet, way).withConnectProperties({ keepAliveIntervalSeconds: 1200, clientId }).build());
  const [publisher, ...subscribers] = [await enter('test-1'), await enter('test-2'), await enter('test-3')];
  const topicFilter = '$share/javascript-sample/test/shared';
  for (const { client } of subscribers) await client.subscribe({ subscriptions: [{ qos: AtLeastOnce, topicFilter }] });
  const messages = Array.from({ length: 10 }, (_, sent) => `Hello World!: ${sent + 1}`);
  for (const payload of messages) {
    await publisher.client.publish({ qos: AtLeastOnce, topicName: 'test/shared', payload });
  }
  for (const { client } of subscribers) await client.unsubscribe({ topicFilters: [topicFilter] });
  // each delivery was on its way before its PUBACK, and so before the UNSUBACK
  assert.deepEqual(
    subscribers.flatMap(({ heard }) => heard.items).sort(),
    messages.map((message) => `test/shared ${message} qos 1`).sort(),
  );
  for (const started of [publisher, ...subscribers]) await stop(started);
});

story('topic aliases that the SDK chooses, more topics than aliases', async ({ fleet, way }) => {
  const { client, heard } = await start(
    mqtt5Builder(fleet, way)
      .withTopicAliasingOptions({ outboundBehavior: mqtt5.OutboundTopicAliasBehaviorType.LRU, outboundCacheMaxSize: 8 })
      .build(),
  );
  await client.subscribe({ subscriptions: [{ qos: AtLeastOnce, topicFilter: 'aliased/#' }] });
  const numbers = [...Array(10).keys(), ...Array(10).keys(), 9, 9, 8, 0];
  for (const number of numbers) {
    await client.publish({ qos: AtLeastOnce, topicName: `aliased/${number}`, payload: String(number) });
  }
  assert.deepEqual(
    await heard.until(numbers.length),
    numbers.map((number) => `aliased/${number} ${number} qos 1`),
  );
  await stop({ client });
});

story('what is retained is told to a later subscriber, across versions', async ({ fleet, way }) => {
  const { client, heard } = await start(mqtt5Builder(fleet, way).build());
  const { connection, heard: heard3 } = await connect(mqtt3Builder(fleet, way).with_client_id('mqtt3').build());
  await connection.publish('kept/3', 'from version 3', mqtt.QoS.AtLeastOnce, true);
  await client.publish({ topicName: 'kept/5', payload: 'from version 5', qos: AtLeastOnce, retain: true });
  await client.subscribe({ subscriptions: [{ topicFilter: 'kept/3', qos: AtLeastOnce }] });
  await connection.subscribe('kept/5', mqtt.QoS.AtLeastOnce);
  assert.deepEqual(await heard.until(1), ['kept/3 from version 3 qos 1 retained']);
  assert.deepEqual(await heard3.until(1), ['kept/5 from version 5 qos 1 retained']);
});

story('a will: the SDK asks for it when it stops, and the server when a connection is deleted', async (scene) => {
  const { fleet, way } = scene;
  const { client, heard } = await start(mqtt5Builder(fleet, way).build());
  await client.subscribe({ subscriptions: [{ topicFilter: 'wills/+', qos: AtLeastOnce }] });
  const dying = await start(
    mqtt5Builder(fleet, way)
      .withConnectProperties({
        keepAliveIntervalSeconds: 30,
        clientId: 'dying',
        will: {
          ...{ topicName: 'wills/5', payload: 'gone', qos: AtLeastOnce },
          userProperties: [{ name: 'why', value: 'asked' }],
        },
      })
      .build(),
  );
  await stop(dying, { reasonCode: mqtt5.DisconnectReasonCode.DisconnectWithWillMessage });
  assert.deepEqual(await heard.until(1), ['wills/5 gone qos 1']);

  const { connection } = await connect(
    mqtt3Builder(fleet, way)
      .with_client_id('dying3')
      .with_will(new mqtt.MqttWill('wills/3', mqtt.QoS.AtLeastOnce, 'gone too', false))
      .build(),
  );
  const interrupted = new Promise((resolve) => connection.once('interrupt', resolve));
  await fleet.iotData().send(new DeleteConnectionCommand({ clientId: 'dying3' }));
  await within(interrupted, 'the interruption');
  assert.deepEqual(await heard.until(2), ['wills/5 gone qos 1', 'wills/3 gone too qos 1']);
});

/** Subscribes to everything below a name, with QoS 1, in a session that lasts. */
const lasting5 = async (
  { fleet, way }: Scene,
  name: string,
  behavior: mqtt5.ClientSessionBehavior,
): Promise<Started> => {
  const started = await start(
    mqtt5Builder(fleet, way)
      .withConnectProperties({
        keepAliveIntervalSeconds: 1200,
        clientId: `${name}-5`,
        sessionExpiryIntervalSeconds: 3600,
      })
      .withSessionBehavior(behavior)
      .withMinReconnectDelayMs(10)
      .build(),
  );
  assert.equal(started.success.settings.sessionExpiryInterval, 3600);
  await started.client.subscribe({ subscriptions: [{ topicFilter: `${name}/#`, qos: AtLeastOnce }] });
  return started;
};

const lasting3 = ({ fleet, way }: Scene, name: string): Promise<Connected> =>
  connect(
    mqtt3Builder(fleet, way)
      .with_client_id(`${name}-3`)
      .with_clean_session(false)
      .with_reconnect_min_sec(1)
      .with_reconnect_max_sec(1)
      .build(),
  );

story('a session outlives its connection: what was published meanwhile comes at the rejoin', async (scene) => {
  const { fleet, way } = scene;
  const publisher = await start(mqtt5Builder(fleet, way).build());
  const later = await lasting5(scene, 'later', RejoinAlways);
  const former = await lasting3(scene, 'later');
  assert.equal(former.sessionPresent, false);
  await former.connection.subscribe('later/#', mqtt.QoS.AtLeastOnce);
  await stop(later);
  await former.connection.disconnect();

  const lines = [];
  for (let sent = 1; sent <= count; sent++) {
    await publisher.client.publish({ topicName: `later/${sent}`, payload: 'meanwhile', qos: AtLeastOnce });
    lines.push(`later/${sent} meanwhile qos 1`);
  }
  const success = next<mqtt5.ConnectionSuccessEvent>(later.client, 'connectionSuccess');
  later.client.start();
  const { connack, settings } = await success;
  assert.deepEqual([connack.sessionPresent, settings.rejoinedSession], [true, true]);
  assert.deepEqual(await later.heard.until(count), lines);
  const rejoined = await lasting3(scene, 'later');
  assert.equal(rejoined.sessionPresent, true);
  assert.deepEqual(await rejoined.heard.until(count), lines);
});

story('cut off, the SDK comes back by itself into its session', async (scene) => {
  const { fleet, way } = scene;
  const publisher = await start(mqtt5Builder(fleet, way).build());
  const five = await lasting5(scene, 'cut', RejoinPostSuccess);
  const disconnection = next<mqtt5.DisconnectionEvent>(five.client, 'disconnection');
  const success = next<mqtt5.ConnectionSuccessEvent>(five.client, 'connectionSuccess');
  await fleet.iotData().send(new DeleteConnectionCommand({ clientId: 'cut-5' }));
  const { disconnect } = await disconnection;
  assert.equal(disconnect?.reasonCode, mqtt5.DisconnectReasonCode.AdministrativeAction);
  assert.equal((await success).settings.rejoinedSession, true);
  const three = await lasting3(scene, 'cut');
  await three.connection.subscribe('cut/#', mqtt.QoS.AtLeastOnce);
  const resumed = new Promise<readonly unknown[]>((resolve) => {
    three.connection.on('resume', (...told) => resolve(told));
  });
  await fleet.iotData().send(new DeleteConnectionCommand({ clientId: 'cut-3' }));
  await publisher.client.publish({ topicName: 'cut/on', payload: 'still here?', qos: AtLeastOnce });
  assert.deepEqual(await five.heard.until(1), ['cut/on still here? qos 1']);
  assert.deepEqual(await within(resumed, 'the resumption'), [0, true]);
  assert.deepEqual(await three.heard.until(1), ['cut/on still here? qos 1']);
});

story('what a policy denies is told in the words of the SDK', async ({ fleet, way }) => {
  await fleet.policy('narrow', [
    ['iot:Connect', 'client/narrow'],
    ['iot:Publish', 'topic/mine'],
    ['iot:Subscribe', 'topicfilter/mine'],
  ]);
  const narrow = { ...way, identity: await fleet.device('narrow', { policyName: 'narrow' }) };
  const as = (clientId: string): mqtt5.Mqtt5ClientConfig =>
    mqtt5Builder(fleet, narrow).withConnectProperties({ keepAliveIntervalSeconds: 1200, clientId }).build();
  const { client } = await start(as('narrow'));
  const { reasonCodes } = await client.subscribe({
    subscriptions: ['mine', 'yours'].map((topicFilter) => ({ topicFilter, qos: AtLeastOnce })),
  });
  assert.deepEqual(reasonCodes, [mqtt5.SubackReasonCode.GrantedQoS1, mqtt5.SubackReasonCode.NotAuthorized]);
  const puback = await client.publish({ topicName: 'yours', payload: '', qos: AtLeastOnce });
  assert.equal(puback?.reasonCode, mqtt5.PubackReasonCode.NotAuthorized);

  const stranger = create(as('stranger'));
  const failure = next<mqtt5.ConnectionFailureEvent>(stranger, 'connectionFailure');
  stranger.start();
  assert.equal((await failure).connack?.reasonCode, mqtt5.ConnectReasonCode.NotAuthorized);
});

test('the AWS IoT device SDK v2', async (t) => {
  const fleet = await bootFleet(t);
  const device = await fleet.device('device', { policyName: 'everything' });
  const ways = waysOf(fleet, device);
  for (const way of ways) {
    await t.test(`the MQTT 5 sample by ${way.title}`, () => mqtt5Sample({ fleet, way }).finally(endAll));
    await t.test(`the MQTT 3.1.1 sample by ${way.title}`, () => mqtt3Sample({ fleet, way }).finally(endAll));
  }
  for (const [title, tell] of stories) {
    await t.test(title, async () => {
      const [way] = ways;
      assert.ok(way);
      await tell({ fleet, way }).finally(endAll);
    });
  }
});
