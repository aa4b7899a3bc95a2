/** Spec gateway.md 14: the acceptance checks, each under its number, in raw bytes. What has its rows in other files of this folder is here once more, as its check says it. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { GetRetainedMessageCommand, ResourceNotFoundException } from '@aws-sdk/client-iot-data-plane';
import { makeIdentity } from '../harness.ts';
import { packet, publish, type RawMqtt, shown, subscribe, unsubscribe, type Version, versions } from '../raw-mqtt.ts';
import { bothVersions, type ConnectFields, connectPacket, openScene, type Scene } from './bed.ts';

/** Answers how a handshake ends: the kind of the server's key, or the error. */
const handshake = (scene: Scene, options: ConnectionOptions): Promise<string> =>
  new Promise((resolve) => {
    const { mqttPort, rootPem } = scene.node;
    const socket = connectTls({ host: '127.0.0.1', port: mqttPort, servername: 'localhost', ca: rootPem, ...options });
    socket.once('secureConnect', () => {
      const { asn1Curve } = socket.getPeerCertificate();
      socket.destroy();
      resolve(asn1Curve ?? 'RSA');
    });
    socket.once('error', ({ message }) => resolve(message));
  });

const lasting = (version: Version): ConnectFields => ({
  clean: false,
  ...(version === 5 && { properties: { sessionExpiryInterval: 3600 } }),
});
const eventOf = async (client: RawMqtt): Promise<Record<string, unknown>> => {
  const received = await client.next();
  assert.ok(received.cmd === 'publish', shown(received));
  return JSON.parse(String(received.payload));
};

test('gateway.md 14 Acceptance checks', async (t) => {
  const scene = await openScene(t);
  const check = (number: number, says: string, body: (t: TestContext) => Promise<void>): Promise<void> =>
    t.test(`14.${number} ${says}`, body);
  const lines = async (client: RawMqtt): Promise<string[]> => (await client.closed()).map(shown);

  await check(1, 'ACTIVE certificate, allow-all policy, 8883, v3: CONNACK 0, sessionPresent 0', async () => {
    const client = await scene.dial(4);
    client.send(connectPacket(4, { clientId: scene.newId() }));
    assert.deepEqual(await client.heard(1), ['CONNACK 0x00']);
    assert.deepEqual(client.bytes.subarray(0, 4), Buffer.of(0x20, 2, 0, 0));
  });
  await check(4, 'SNI equal to an unknown host: no CONNACK', async () => {
    const connected = await scene
      .dial(4, { serverName: 'unknown.example.com' })
      .then(async (client) => {
        client.send(connectPacket(4, { clientId: scene.newId() }));
        return lines(client);
      })
      .catch((error: Error) => error.message);
    assert.ok(typeof connected === 'string' || connected.length === 0, String(connected));
  });
  await check(5, 'the default TLS policy, only TLS 1.1: the handshake fails', async () => {
    const answer = await handshake(scene, { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' });
    assert.match(answer, /alert protocol version|unsupported protocol|version/i);
  });
  await check(6, 'only ECDSA suites: an EC server certificate', async () => {
    const ciphers = 'ECDHE-ECDSA-AES128-GCM-SHA256';
    assert.equal(await handshake(scene, { maxVersion: 'TLSv1.2', ciphers }), 'prime256v1');
    assert.equal(await handshake(scene, { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' }), 'RSA');
  });
  const refusedAtConnect = async (identity: typeof scene.device): Promise<void> => {
    for (const version of versions) {
      const client = await scene.dial(version, { identity });
      client.send(connectPacket(version, { clientId: scene.newId() }));
      assert.ok(!(await lines(client)).includes('CONNACK 0x00'));
    }
  };
  await check(7, 'a certificate set INACTIVE: no successful CONNACK', async () => {
    await refusedAtConnect(await scene.fleet.device('inactive', { status: 'INACTIVE', policyName: 'everything' }));
  });
  await check(8, 'an unregistered certificate: no successful CONNACK', async () => {
    await refusedAtConnect(await makeIdentity(scene.fleet.folder, 'unregistered'));
  });
  await check(
    11,
    'v5 CONNACK: Maximum QoS 1, Receive Maximum 100, Topic Alias Maximum 8, no Subscription Identifiers',
    async () => {
      const { connack } = await scene.enter(5);
      const { maximumQoS, receiveMaximum, topicAliasMaximum, subscriptionIdentifiersAvailable } =
        connack.properties ?? {};
      assert.deepEqual(
        [maximumQoS, receiveMaximum, topicAliasMaximum, subscriptionIdentifiersAvailable],
        [1, 100, 8, false],
      );
    },
  );
  await check(12, 'v5 CONNECT with empty client id: Assigned Client Identifier, unique', async () => {
    const ids = await Promise.all(
      [1, 2].map(async () => (await scene.enter(5, { clientId: '' })).connack.properties?.['assignedClientIdentifier']),
    );
    assert.ok(ids.every((id) => typeof id === 'string' && id !== '') && ids[0] !== ids[1], String(ids));
  });
  await check(13, 'keep-alive 10 in v5: Server Keep Alive 30', async () => {
    assert.equal((await scene.enter(5, { keepalive: 10 })).connack.properties?.['serverKeepAlive'], 30);
  });
  await check(14, 'keep-alive 30 and 45 s of silence: closed, MQTT_KEEP_ALIVE_TIMEOUT', async () => {
    for (const version of versions) {
      const { client, clientId } = await scene.enter(version, { keepalive: 30 });
      const watcher = await scene.listen(5, `$aws/events/presence/disconnected/${clientId}`);
      await scene.advance(43_000);
      assert.equal(client.isClosed, false);
      await scene.advance(3_000);
      await client.closed();
      assert.equal((await eventOf(watcher.client))['disconnectReason'], 'MQTT_KEEP_ALIVE_TIMEOUT');
      watcher.client.socket.destroy();
    }
  });
  await check(16, 'a persistent session, only QoS 0 messages offline: none is delivered later', async () => {
    for (const version of versions) {
      const { client, clientId } = await scene.listen(version, 'own/offline', lasting(version));
      await client.leave();
      const publisher = await scene.enter(version);
      publisher.client.send([1, 2, 3].map((id) => publish(id, 'own/offline', 'x', { qos: 0 })));
      await publisher.client.settled();
      const back = await scene.enter(version, { ...lasting(version), clientId });
      assert.deepEqual([back.connack.sessionPresent, await back.client.heard()], [true, []]);
      for (const { socket } of [publisher.client, back.client]) socket.destroy();
    }
  });
  await check(17, 'v5 Session Expiry 999999999: CONNACK carries 3600', async () => {
    const { connack } = await scene.enter(5, { properties: { sessionExpiryInterval: 999_999_999 } });
    assert.equal(connack.properties?.['sessionExpiryInterval'], 3600);
  });
  await check(18, 'a v3 persistent session, the same id in v5 with Clean Start 0: sessionPresent 0', async () => {
    const { client, clientId } = await scene.listen(4, 'own/x', lasting(4));
    await client.leave();
    assert.equal((await scene.enter(5, { clean: false, clientId })).connack.sessionPresent, false);
  });
  await check(
    19,
    'X connected, X connects again: the first closes (v5: 0x8E), its will, a DUPLICATE_CLIENTID event',
    async () => {
      for (const version of versions) {
        const will = { topic: 'own/19', payload: Buffer.from('gone'), qos: 1, retain: false } as const;
        const { client, clientId } = await scene.enter(version, { will });
        const [wills, events] = await Promise.all([
          scene.listen(5, 'own/19'),
          scene.listen(5, `$aws/events/presence/disconnected/${clientId}`),
        ]);
        await scene.enter(version, { clientId });
        assert.deepEqual(await lines(client), version === 4 ? [] : ['DISCONNECT 0x8E']);
        assert.equal(shown(await wills.client.next()), 'PUBLISH own/19 gone q1');
        assert.equal((await eventOf(events.client))['disconnectReason'], 'DUPLICATE_CLIENTID');
        for (const { socket } of [wills.client, events.client]) socket.destroy();
      }
    },
  );
  await check(20, 'v3 publishing QoS 2: no PUBREC, the connection ends', async () => {
    const { client } = await scene.enter(4);
    client.send(publish(1, 'own/x', 'x', { qos: 2 }));
    assert.deepEqual(await lines(client), []);
  });
  await check(21, 'v5 subscribing with a Subscription Identifier: DISCONNECT 0xA1', async () => {
    const { client } = await scene.enter(5);
    client.send(subscribe(1, 'own/x', { properties: { subscriptionIdentifier: 1 } }));
    assert.deepEqual(await lines(client), ['DISCONNECT 0xA1']);
  });
  await check(22, 'no publish permission, v3: closed without PUBACK', async () => {
    const { client } = await scene.enter(4, {}, scene.limited);
    client.send(publish(1, 'foreign/x'));
    assert.deepEqual(await lines(client), []);
  });
  await check(23, 'no publish permission, v5 QoS 1: PUBACK 0x87', async () => {
    const { client } = await scene.enter(5, {}, scene.limited);
    client.send(publish(1, 'foreign/x'));
    assert.deepEqual(await client.heard(1), ['PUBACK 1 0x87']);
  });
  await check(24, 'no subscribe permission on one of two filters, v3: SUBACK [0x80, granted]', async () => {
    const { client } = await scene.enter(4, {}, scene.limited);
    client.send(subscribe(1, ['foreign/x', 'own/x']));
    assert.deepEqual(await client.heard(1), ['SUBACK 1 0x80 0x01']);
  });
  await check(25, 'a subscription a/#: a is not delivered, a/ is', async () => {
    for (const version of versions) {
      const { client } = await scene.listen(version, 'a25/#');
      client.send([publish(1, 'a25', 'no', { qos: 0 }), publish(2, 'a25/', 'yes', { qos: 0 })]);
      assert.deepEqual(await client.heard(1), ['PUBLISH a25/ yes q0']);
      client.socket.destroy();
    }
  });
  await check(26, 'retained on a/b: a/+ is sent nothing, a/b one message with RETAIN 1', async () => {
    for (const version of versions) {
      const { client } = await scene.enter(version);
      client.send(publish(1, 'a26/b', 'kept', { retain: true }));
      await client.heard(1);
      client.send(subscribe(2, 'a26/+'));
      assert.deepEqual(await client.heard(1), ['SUBACK 2 0x01']);
      client.send([unsubscribe(3, 'a26/+'), subscribe(4, 'a26/b')]);
      const [, ...rest] = await client.heard(3);
      assert.deepEqual(rest, ['SUBACK 4 0x01', 'PUBLISH a26/b kept q1 RETAIN']);
      client.socket.destroy();
    }
  });
  await check(27, 'RETAIN with empty payload: GetRetainedMessage 404, live subscribers get it', async () => {
    const data = scene.fleet.iotData();
    for (const version of versions) {
      const topic = `a27/${version}`;
      const { client } = await scene.listen(version, topic);
      client.send(publish(1, topic, 'kept', { retain: true }));
      await client.heard(2);
      assert.equal(
        Buffer.from((await data.send(new GetRetainedMessageCommand({ topic }))).payload ?? '').toString(),
        'kept',
      );
      client.send(publish(2, topic, '', { retain: true }));
      assert.deepEqual((await client.heard(2)).sort(), ['PUBACK 2', `PUBLISH ${topic}  q1`]);
      const missing = await data.send(new GetRetainedMessageCommand({ topic })).catch((error: unknown) => error);
      assert.ok(missing instanceof ResourceNotFoundException);
      assert.equal(missing.$metadata.httpStatusCode, 404);
      client.socket.destroy();
    }
  });
  await check(28, 'RETAIN to $aws/things/t/shadow/update: the connection is terminated', async () => {
    for (const version of versions) {
      const { client } = await scene.enter(version);
      client.send(publish(1, '$aws/things/t/shadow/update', '{}', { retain: true }));
      assert.deepEqual(await lines(client), version === 4 ? [] : ['DISCONNECT 0x90']);
    }
  });
  await check(29, 'nine filters in one SUBSCRIBE: the connection is closed', async () => {
    for (const version of versions) {
      const { client } = await scene.enter(version);
      client.send(subscribe(1, [...'abcdefghi']));
      assert.deepEqual(await lines(client), version === 4 ? [] : ['DISCONNECT 0x97']);
    }
  });
  await check(31, 'a 131073-byte payload: the connection ends with CLIENT_ERROR', async () => {
    for (const version of versions) {
      const { client, clientId } = await scene.enter(version);
      const watcher = await scene.listen(5, `$aws/events/presence/disconnected/${clientId}`);
      client.send(publish(1, 'own/x', Buffer.alloc(131_073)));
      await client.closed();
      assert.equal((await eventOf(watcher.client))['disconnectReason'], 'CLIENT_ERROR');
      watcher.client.socket.destroy();
    }
  });
  await check(32, 'two clients on $share/g/t, 100 messages: each reaches exactly one of them', async () => {
    for (const version of versions) {
      const members = [await scene.listen(version, '$share/g/t32'), await scene.listen(version, '$share/g/t32')];
      const { client } = await scene.enter(version);
      client.send(Array.from({ length: 100 }, (_, index) => publish(index + 1, 't32', String(index))));
      await client.heard(100);
      const heard = (await Promise.all(members.map((member) => member.client.heard()))).flat();
      assert.deepEqual(
        heard.map((line) => Number(line.split(' ')[2])).sort((a, b) => a - b),
        Array.from({ length: 100 }, (_, index) => index),
      );
      for (const member of members) member.client.socket.destroy();
    }
  });
  await check(33, 'v5 message expiry 30, delivered 20 s later: about 10 remain', async () => {
    const { client, clientId } = await scene.listen(5, 'own/33', lasting(5));
    await client.leave();
    const publisher = await scene.enter(5);
    publisher.client.send(publish(1, 'own/33', 'x', { properties: { messageExpiryInterval: 30 } }));
    await publisher.client.heard(1);
    await scene.advance(20_000);
    const back = await scene.enter(5, { ...lasting(5), clientId });
    const left = Number((await back.client.next()).properties?.['messageExpiryInterval']);
    assert.ok(left === 9 || left === 10, String(left));
  });
  await bothVersions(
    t,
    (version) =>
      `14.39 denied iot:Connect: a connect_failed event with AUTHORIZATION_FAILED, ${version === 4 ? 'v3' : 'v5'}`,
    async (version) => {
      const clientId = `foreign-39-${version}`;
      const watcher = await scene.listen(5, `$aws/events/presence/connect_failed/${clientId}`);
      const client = await scene.dial(version, { identity: scene.limited });
      client.send(connectPacket(version, { clientId }));
      await client.closed();
      const event = await eventOf(watcher.client);
      assert.deepEqual(
        [event['eventType'], event['connectFailureReason'], event['clientId']],
        ['connect_failed', 'AUTHORIZATION_FAILED', clientId],
      );
    },
  );
  await check(40, 'a client id containing +: no lifecycle event', async () => {
    const watcher = await scene.listen(5, '$aws/events/presence/#');
    for (const clientId of ['own-+', 'own-#']) {
      const { client } = await scene.enter(5, { clientId });
      await client.leave();
    }
    const plain = await scene.enter(5, { clientId: 'own-plain' });
    const told = await eventOf(watcher.client);
    assert.equal(told['clientId'], 'own-plain', 'what came first');
    plain.client.socket.destroy();
  });
  await check(43, 'username ?SDK=JS&Version=1 on a certificate connection: accepted', async () => {
    for (const version of versions) {
      await scene.enter(version, { username: '?SDK=JS&Version=1' });
      await scene.enter(version, { username: '?SDK=JS&Version=1', password: Buffer.from('any') });
    }
    const userAlone = packet(
      0x10,
      ...[0, 4],
      Buffer.from('MQTT'),
      4,
      0x82,
      0,
      60,
      0,
      2,
      Buffer.from('43'),
      0,
      1,
      Buffer.from('?'),
    );
    const client = await scene.dial(4);
    client.send(userAlone);
    assert.deepEqual(await client.heard(1), ['CONNACK 0x00']);
  });
});
