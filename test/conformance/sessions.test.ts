/** Spec gateway.md 5.3 sessions and 5.4 takeover, rule by rule, in raw bytes. The drain rate is in rates.test.ts. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  AttachPolicyCommand,
  CreatePolicyCommand,
  DescribeEndpointCommand,
  RegisterCertificateWithoutCACommand,
} from '@aws-sdk/client-iot';
import { iotArn } from '../../src/aws/arn.ts';
import { awsLimits } from '../../src/limits.ts';
import { packet, publish, type RawMqtt, shown, subscribe, u32, unsubscribe, type Version } from '../raw-mqtt.ts';
import { bothVersions, type ConnectFields, connectPacket, type Entered, name, openScene, type Scene } from './bed.ts';

const hourMs = 3_600_000;
const minuteMs = 60_000;
/** Asks for a session that outlives its connection. */
const lasting = (version: Version, expirySeconds = 3600): ConnectFields => ({
  clean: false,
  ...(version === 5 && { properties: { sessionExpiryInterval: expirySeconds } }),
});

const sessions = async (t: TestContext, scene: Scene): Promise<void> => {
  const both = (title: string, body: (version: Version, clientId: string, topic: string) => Promise<void>) =>
    bothVersions(
      t,
      (version) => `5.3 ${title}, ${name(version)}`,
      (version) => {
        const clientId = scene.newId();
        return body(version, clientId, `own/for/${clientId}`);
      },
    );
  /** A session with a subscription, whose client has gone. */
  const leave = async (version: Version, clientId: string, topic: string, fields = lasting(version)): Promise<void> => {
    const { client } = await scene.listen(version, topic, { ...fields, clientId });
    await client.leave();
  };
  const back = (version: Version, clientId: string, more: ConnectFields = {}): Promise<Entered> =>
    scene.enter(version, { ...lasting(version), ...more, clientId });
  const isPresent = async (entered: Promise<Entered>): Promise<boolean> => {
    const { client, connack } = await entered;
    await client.leave();
    return connack.sessionPresent;
  };
  const say = async (version: Version, topic: string, texts: readonly string[], more: object = {}): Promise<void> => {
    const { client } = await scene.enter(version);
    client.send(texts.map((text, index) => publish(index + 1, topic, text, more)));
    if (!('qos' in more)) await client.take(texts.length);
    await client.settled();
    client.socket.destroy();
  };
  const texts = async (client: RawMqtt, count: number): Promise<string[]> => {
    const lines: string[] = [];
    while (lines.length < count) {
      const received = await client.next();
      assert.ok(received.cmd === 'publish', shown(received));
      lines.push(String(received.payload));
      if (received.messageId !== undefined) client.send({ cmd: 'puback', messageId: received.messageId });
    }
    assert.deepEqual(await client.heard(), []);
    return lines;
  };
  const numbers = (count: number): string[] => Array.from({ length: count }, (_, index) => String(index + 1));

  await both('sessionPresent is 0 where there was none', async (version, clientId) => {
    assert.equal(await isPresent(back(version, clientId)), false);
  });
  await both('sessionPresent is 1 when state was resumed', async (version, clientId, topic) => {
    await leave(version, clientId, topic);
    assert.equal(await isPresent(back(version, clientId)), true);
  });
  await both('a clean connect ends the previous session and stores nothing', async (version, clientId, topic) => {
    await leave(version, clientId, topic);
    assert.equal(await isPresent(scene.enter(version, { clientId })), false);
    assert.equal(await isPresent(back(version, clientId)), false);
    await say(version, topic, ['unheard']);
    const { client } = await back(version, clientId);
    assert.deepEqual(await client.heard(), []);
    client.socket.destroy();
  });
  await t.test('5.3 Clean Start 1 with Session Expiry begins a session that is kept, v5', async () => {
    const clientId = scene.newId();
    await leave(5, clientId, 'own/old');
    const { client, connack } = await scene.enter(5, { ...lasting(5), clean: true, clientId });
    assert.equal(connack.sessionPresent, false);
    await client.leave();
    assert.equal(await isPresent(back(5, clientId)), true);
  });
  await t.test('5.3 Session Expiry absent is 0 is not persistent, v5', async () => {
    const clientId = scene.newId();
    await leave(5, clientId, 'own/x', { clean: false });
    assert.equal(await isPresent(back(5, clientId)), false);
  });
  await both('a persistent session lives 3600 s', async (version, clientId, topic) => {
    await leave(version, clientId, topic);
    await scene.advance(hourMs - minuteMs);
    assert.equal(await isPresent(back(version, clientId)), true);
    await scene.advance(hourMs + minuteMs);
    assert.equal(await isPresent(back(version, clientId)), false);
  });
  await t.test('5.3 Session Expiry is what the client asked for, v5', async () => {
    const clientId = scene.newId();
    await leave(5, clientId, 'own/x', lasting(5, 120));
    await scene.advance(110_000);
    assert.equal(await isPresent(scene.enter(5, { ...lasting(5, 120), clientId })), true);
    await scene.advance(125_000);
    assert.equal(await isPresent(back(5, clientId)), false);
  });
  await t.test('5.3 Session Expiry is capped at the maximum, v5', async () => {
    const clientId = scene.newId();
    const fields = lasting(5, 4_294_967_295);
    const { client, connack } = await scene.enter(5, { ...fields, clientId });
    assert.equal(connack.properties?.['sessionExpiryInterval'], 3600);
    await client.leave();
    await scene.advance(hourMs + minuteMs);
    assert.equal(await isPresent(scene.enter(5, { ...fields, clientId })), false);
  });
  await both('expiry starts at the disconnect, not at the connect', async (version, clientId, topic) => {
    const { client } = await scene.listen(version, topic, { ...lasting(version), clientId });
    for (let part = 0; part < 3; part++) {
      await scene.advance(25 * minuteMs);
      await client.settled();
    }
    await client.leave();
    await scene.advance(hourMs - minuteMs);
    assert.equal(await isPresent(back(version, clientId)), true);
  });

  const farewell = (expirySeconds: number) => packet(0xe0, 0, 5, 0x11, u32(expirySeconds));
  await t.test('5.3 DISCONNECT with Session Expiry, v5: 0 to more is 0x82', async () => {
    const { client } = await scene.enter(5);
    client.send(farewell(60));
    assert.deepEqual((await client.closed()).map(shown), ['DISCONNECT 0x82']);
  });
  await t.test('5.3 DISCONNECT with Session Expiry, v5: more to 0 ends the session', async () => {
    const { client, clientId } = await scene.enter(5, lasting(5));
    client.send(farewell(0));
    assert.deepEqual(await client.closed(), []);
    assert.equal(await isPresent(back(5, clientId)), false);
  });
  await t.test('5.3 DISCONNECT with Session Expiry, v5: else it is updated', async () => {
    const { client, clientId } = await scene.enter(5, lasting(5, 60));
    client.send(farewell(600));
    await client.closed();
    await scene.advance(500_000);
    const again = await scene.enter(5, { ...lasting(5, 600), clientId });
    assert.equal(again.connack.sessionPresent, true);
    again.client.send(farewell(30));
    await again.client.closed();
    await scene.advance(40_000);
    assert.equal(await isPresent(back(5, clientId)), false);
  });

  for (const [from, to] of [
    [4, 5],
    [5, 4],
  ] as const) {
    await t.test(`5.3 A ${name(from)} session is never resumed by ${name(to)}, and dropped`, async () => {
      const clientId = scene.newId();
      await leave(from, clientId, 'own/x');
      assert.equal(await isPresent(back(to, clientId)), false);
      assert.equal(await isPresent(back(from, clientId)), false);
    });
  }

  await both('subscriptions are stored', async (version, clientId, topic) => {
    await leave(version, clientId, topic);
    const { client } = await back(version, clientId);
    await say(version, topic, ['live']);
    assert.deepEqual(await texts(client, 1), ['live']);
    client.socket.destroy();
  });
  await both('an UNSUBSCRIBE is stored', async (version, clientId, topic) => {
    const { client } = await scene.listen(version, topic, { ...lasting(version), clientId });
    client.send(unsubscribe(2, topic));
    await client.heard(1);
    await client.leave();
    await say(version, topic, ['unheard']);
    const again = await back(version, clientId);
    assert.deepEqual([again.connack.sessionPresent, await again.client.heard()], [true, []]);
    again.client.socket.destroy();
  });
  await both('new QoS 1 messages are stored, in order', async (version, clientId, topic) => {
    await leave(version, clientId, topic);
    await say(version, topic, numbers(5));
    const { client } = await back(version, clientId);
    assert.deepEqual(await texts(client, 5), numbers(5));
    await client.leave();
    const again = await back(version, clientId);
    assert.deepEqual(await again.client.heard(), [], 'what was acknowledged is gone');
    again.client.socket.destroy();
  });
  await both(
    'unacked QoS 1 messages are stored and sent again with their packet ids, DUP clear',
    async (version, clientId, topic) => {
      const { client } = await scene.listen(version, topic, { ...lasting(version), clientId });
      await say(version, topic, numbers(3));
      const first = await client.take(3);
      client.send({ cmd: 'puback', messageId: first[1]?.messageId ?? 0 });
      await client.settled();
      await client.leave();
      const again = await back(version, clientId);
      const second = await again.client.take(2);
      assert.deepEqual(second.map(shown), [`PUBLISH ${topic} 1 q1`, `PUBLISH ${topic} 3 q1`]);
      assert.deepEqual(
        second.map(({ messageId }) => messageId),
        [first[0]?.messageId, first[2]?.messageId],
      );
      assert.deepEqual(await again.client.heard(), []);
      again.client.socket.destroy();
    },
  );
  await both('QoS 0 messages are never queued', async (version, clientId, topic) => {
    await leave(version, clientId, topic);
    await say(version, topic, ['unheard'], { qos: 0 });
    const { client } = await back(version, clientId);
    assert.deepEqual(await client.heard(), []);
    client.socket.destroy();
  });
  await both('QoS 1 messages for a QoS 0 subscription are not queued', async (version, clientId, topic) => {
    const { client } = await scene.enter(version, { ...lasting(version), clientId });
    client.send(subscribe(1, [{ topic, qos: 0 }]));
    await client.heard(1);
    await client.leave();
    await say(version, topic, ['unheard']);
    const again = await back(version, clientId);
    assert.deepEqual([again.connack.sessionPresent, await again.client.heard()], [true, []]);
    again.client.socket.destroy();
  });
  await both('over-limit messages are dropped, the new ones', async (version, clientId, topic) => {
    await leave(version, clientId, topic);
    const all = numbers(210);
    for (let from = 0; from < all.length; from += 70) await say(version, topic, all.slice(from, from + 70));
    const { client } = await back(version, clientId);
    assert.deepEqual(await texts(client, 200), numbers(200));
    client.socket.destroy();
  });
  await t.test('5.3 Expired messages are not delivered, v5', async () => {
    const clientId = scene.newId();
    const topic = `own/for/${clientId}`;
    await leave(5, clientId, topic);
    await say(5, topic, ['expired'], { properties: { messageExpiryInterval: 10 } });
    await say(5, topic, ['kept'], { properties: { messageExpiryInterval: 100 } });
    await scene.advance(30_000);
    const { client } = await back(5, clientId);
    const [message] = await client.take(1);
    assert.ok(message && shown(message) === `PUBLISH ${topic} kept q1`);
    const left = Number(message.properties?.['messageExpiryInterval']);
    assert.ok(left >= 69 && left <= 70, String(left));
    assert.deepEqual(await client.heard(), []);
    client.socket.destroy();
  });
  await t.test('5.3 Expired messages are not delivered to a v3 session either', async () => {
    const clientId = scene.newId();
    const topic = `own/for/${clientId}`;
    await leave(4, clientId, topic);
    await say(5, topic, ['expired'], { properties: { messageExpiryInterval: 10 } });
    await say(5, topic, ['kept']);
    await scene.advance(30_000);
    const { client } = await back(4, clientId);
    assert.deepEqual(await texts(client, 1), ['kept']);
    client.socket.destroy();
  });
  await both('unsubscribing leaves already queued messages', async (version, clientId, topic) => {
    await leave(version, clientId, topic);
    const window = version === 4 ? 100 : 1;
    const all = numbers(window + 2);
    await say(version, topic, all);
    const more = version === 5 && { properties: { sessionExpiryInterval: 3600, receiveMaximum: 1 } };
    const { client } = await back(version, clientId, { ...more });
    const first = await client.take(window);
    client.send(unsubscribe(7, topic));
    assert.equal((await client.next()).cmd, 'unsuback');
    client.send(first.map(({ messageId = 0 }) => ({ cmd: 'puback', messageId })));
    assert.deepEqual(await texts(client, 2), all.slice(window));
    client.socket.destroy();
  });
};

const takeover = async (t: TestContext, scene: Scene): Promise<void> => {
  const other = await scene.fleet.device('other', { policyName: 'everything' });
  /** The same certificate in another account, by the name of its endpoint. */
  const foreigner = async (): Promise<{ serverName: string }> => {
    const iot = scene.fleet.iot('222222222222');
    const { certificatePem, certificateId } = scene.device;
    const policyDocument = JSON.stringify({
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', Action: 'iot:*', Resource: '*' }],
    });
    await iot.send(new CreatePolicyCommand({ policyName: 'everything', policyDocument }));
    await iot.send(new RegisterCertificateWithoutCACommand({ certificatePem, status: 'ACTIVE' }));
    const target = iotArn({ ...scene.node.account, accountId: '222222222222' }, 'cert', certificateId);
    await iot.send(new AttachPolicyCommand({ policyName: 'everything', target }));
    const { endpointAddress = '' } = await iot.send(new DescribeEndpointCommand({ endpointType: 'iot:Data-ATS' }));
    return { serverName: endpointAddress };
  };
  const foreign = await foreigner();
  const end = (version: Version): string[] => (version === 4 ? [] : ['DISCONNECT 0x8E']);
  const both = (title: string, body: (version: Version, clientId: string) => Promise<void>) =>
    bothVersions(
      t,
      (version) => `5.4 ${title}, ${name(version)}: ${[...end(version), 'close'].join(', ')}`,
      (version) => body(version, scene.newId()),
    );

  await both('the new connection wins', async (version, clientId) => {
    const first = await scene.enter(version, { clientId });
    const second = await scene.enter(version, { clientId });
    assert.deepEqual((await first.client.closed()).map(shown), end(version));
    assert.deepEqual(await second.client.heard(), []);
    second.client.socket.destroy();
  });
  await both('across principals of one account and region', async (version, clientId) => {
    const first = await scene.enter(version, { clientId });
    const second = await scene.enter(version, { clientId }, other);
    assert.deepEqual((await first.client.closed()).map(shown), end(version));
    second.client.socket.destroy();
  });
  await both('across versions', async (version, clientId) => {
    const first = await scene.enter(version, { clientId });
    const second = await scene.enter(version === 4 ? 5 : 4, { clientId });
    assert.deepEqual((await first.client.closed()).map(shown), end(version));
    second.client.socket.destroy();
  });
  await both(
    'the will of the old connection is published, and the event says DUPLICATE_CLIENTID',
    async (version, clientId) => {
      const observer = await scene.listen(5, ['own/will', `$aws/events/presence/disconnected/${clientId}`]);
      const will = { topic: 'own/will', payload: Buffer.from('gone'), qos: 1, retain: false } as const;
      const first = await scene.enter(version, { clientId, will });
      const second = await scene.enter(version, { clientId });
      await first.client.closed();
      const [one, two] = await observer.client.take(2);
      const [event, published] = [one, two].sort((a, b) =>
        a && b && 'topic' in a && 'topic' in b ? (a.topic < b.topic ? -1 : 1) : 0,
      );
      assert.ok(event?.cmd === 'publish' && published && shown(published) === 'PUBLISH own/will gone q1');
      assert.equal(JSON.parse(String(event.payload)).disconnectReason, 'DUPLICATE_CLIENTID');
      for (const { client } of [observer, second]) client.socket.destroy();
    },
  );
  await both('the journal names the cause', async (version, clientId) => {
    const first = await scene.enter(version, { clientId });
    const second = await scene.enter(version, { clientId });
    assert.deepEqual((await first.client.closed()).map(shown), end(version));
    const [newest] = await scene.refusalsOf(first.client);
    assert.equal(newest?.record.reason, 'DUPLICATE_CLIENT_ID');
    second.client.socket.destroy();
  });
  await both('a persistent session goes over with what was not acknowledged', async (version, clientId) => {
    const topic = `own/over/${clientId}`;
    const fields = { ...lasting(version), clientId };
    const first = await scene.listen(version, topic, fields);
    const publisher = await scene.enter(version);
    publisher.client.send(publish(1, topic, 'kept'));
    const sent = await first.client.next();
    const second = await scene.enter(version, fields);
    assert.equal(second.connack.sessionPresent, true);
    assert.deepEqual((await first.client.closed()).map(shown), end(version));
    const again = await second.client.next();
    assert.deepEqual([shown(again), again.messageId], [shown(sent), sent.messageId]);
    for (const { client } of [second, publisher]) client.socket.destroy();
  });
  await bothVersions(
    t,
    (version) => `5.4 iot:Connect of the newcomer is checked before the old one is dropped, ${name(version)}: it stays`,
    async (version) => {
      const first = await scene.enter(version, { clientId: `foreign-${version}` });
      const second = await scene.dial(version, { identity: scene.limited });
      second.send(connectPacket(version, { clientId: `foreign-${version}` }));
      await second.closed();
      assert.deepEqual(await first.client.heard(), []);
      first.client.socket.destroy();
    },
  );
  await bothVersions(
    t,
    (version) => `5.4 Scope is account and region: the same id elsewhere stays, ${name(version)}`,
    async (version) => {
      const clientId = scene.newId();
      const first = await scene.enter(version, { clientId });
      const second = await scene.dial(version, foreign);
      second.send(connectPacket(version, { clientId }));
      assert.equal(shown(await second.next()), 'CONNACK 0x00');
      assert.deepEqual(await first.client.heard(), []);
      first.client.socket.destroy();
    },
  );
};

test('gateway.md 5.3 and 5.4', async (t) => {
  const scene = await openScene(t, { limits: { ...awsLimits, queuedMessagesPerSessionMax: 200 } });
  await t.test('gateway.md 5.3 Sessions', (each) => sessions(each, scene));
  await t.test('gateway.md 5.4 Takeover', (each) => takeover(each, scene));
});
