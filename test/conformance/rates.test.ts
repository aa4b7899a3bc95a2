/** Spec gateway.md 5.1, 5.5, 5.7, 5.10 and 12: limits per unit of time, with the switch on (`--rate-quotas aws`), in raw bytes. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { publish, type RawMqtt, shown, subscribe, type Version } from '../raw-mqtt.ts';
import { bothVersions, type ConnectFields, connectPacket, name, openScene, type Scene } from './bed.ts';

const publishes = (count: number, topic: string, from = 1) =>
  Array.from({ length: count }, (_, index) => publish(from + index, topic, String(from + index)));

const ratesIn = async (t: TestContext, scene: Scene): Promise<void> => {
  /** The journal's newest refusal of a connection. */
  const refusal = async (client: RawMqtt) => {
    const [newest] = await scene.refusalsOf(client);
    return [newest?.record.reason, newest?.record.detail];
  };

  await bothVersions(
    t,
    (version) => `5.1 Same-id rate, ${name(version)}: ${version === 4 ? 'CONNACK 0x03' : 'CONNACK 0x97'}, close`,
    async (version) => {
      const clientId = scene.newId();
      const first = await scene.enter(version, { clientId });
      const before = await scene.count('Connect.ClientIDThrottle');
      const second = await scene.dial(version);
      second.send(connectPacket(version, { clientId }));
      assert.deepEqual((await second.closed()).map(shown), [version === 4 ? 'CONNACK 0x03' : 'CONNACK 0x97']);
      assert.deepEqual(await refusal(second), ['THROTTLED', 'connectIntervalMs']);
      assert.equal((await scene.count('Connect.ClientIDThrottle')) - before, 1);
      assert.deepEqual(await first.client.heard(), [], 'the first one stays');
      await scene.enter(version); // another id is another matter
      await scene.advance(1_000);
      const third = await scene.enter(version, { clientId });
      await first.client.closed();
      third.client.socket.destroy();
    },
  );

  await bothVersions(
    t,
    (version) =>
      `5.5 > 100 publishes/s per connection, ${name(version)}: excess discarded, ${version === 4 ? 'no PUBACK' : 'PUBACK 0x97'}`,
    async (version) => {
      const topic = `own/fast/${version}`;
      const listener = await scene.listen(version, topic);
      const { client } = await scene.enter(version);
      const before = await scene.count('PublishIn.Throttle');
      client.send(publishes(250, topic));
      const lines = await client.heard(version === 4 ? 100 : 250);
      const accepted = lines.filter((line) => !line.endsWith('0x97'));
      const refused = lines.filter((line) => line.endsWith('0x97'));
      assert.ok(accepted.length >= 100 && accepted.length < 150, `${accepted.length} accepted`);
      assert.equal(refused.length, version === 4 ? 0 : 250 - accepted.length);
      assert.deepEqual(
        accepted.slice(0, 100),
        Array.from({ length: 100 }, (_, index) => `PUBACK ${index + 1}`),
      );
      assert.deepEqual(await refusal(client), ['THROTTLED', 'publishesPerSecondMax']);
      assert.equal((await scene.count('PublishIn.Throttle')) - before, 250 - accepted.length);
      const received = await listener.client.take(100);
      assert.equal(received.length, 100);
      await scene.advance(1_000);
      client.send(publish(1000, topic, 'later'));
      assert.deepEqual(await client.heard(1), ['PUBACK 1000']);
      for (const { socket } of [client, listener.client]) socket.destroy();
    },
  );

  await bothVersions(
    t,
    (version) =>
      `5.5 > 100 publishes/s per connection, QoS 0, ${name(version)}: excess discarded, the connection stays`,
    async (version) => {
      const { client } = await scene.enter(version);
      client.send(Array.from({ length: 300 }, () => publish(0, 'own/fast', 'x', { qos: 0 })));
      assert.deepEqual(await client.heard(), []);
      client.socket.destroy();
    },
  );

  await bothVersions(
    t,
    (version) => `5.5 > 512 KiB/s per connection, ${name(version)}: processing delayed, not dropped`,
    async (version) => {
      const { client } = await scene.enter(version);
      const count = 16; // two MiB
      const payload = Buffer.alloc(131_072);
      client.send(Array.from({ length: count }, (_, index) => publish(index + 1, 'own/large', payload)));
      const acknowledged = async (): Promise<number> => {
        const other = await scene.enter(version); // what had arrived before its packets was handled before them
        await other.client.settled();
        other.client.socket.destroy();
        return client.received.length;
      };
      const first = await client.take(4);
      assert.equal(first.length, 4);
      assert.ok((await acknowledged()) < 6, 'the rest waits');
      assert.deepEqual(await refusal(client), ['THROTTLED', 'bytesPerSecondMax']);
      let taken = 4;
      while (taken < count) {
        await scene.advance(1_000);
        taken += (await client.take(1)).length;
      }
      client.send({ cmd: 'pingreq' });
      await scene.advance(1_000);
      assert.equal((await client.next()).cmd, 'pingresp');
      client.socket.destroy();
    },
  );
};

const ratesOut = async (t: TestContext, scene: Scene): Promise<void> => {
  const lasting = (version: Version, clientId: string): ConnectFields => ({
    clientId,
    clean: false,
    ...(version === 5 && { properties: { sessionExpiryInterval: 3600 } }),
  });
  /** Publishes by as many connections as the rate of one needs. */
  const say = async (version: Version, topic: string, count: number, more: object = {}): Promise<void> => {
    for (let from = 0; from < count; from += 50) {
      const { client } = await scene.enter(version);
      const part = Array.from({ length: Math.min(50, count - from) }, (_, index) => from + index);
      client.send(part.map((index) => publish(index + 1, topic, String(index), more)));
      await client.settled();
      client.socket.destroy();
    }
  };
  /** Acknowledges what comes until nothing comes any more at this moment. */
  const hear = async (client: RawMqtt): Promise<string[]> => {
    const lines: string[] = [];
    for (let some = await client.settled(); some.length > 0; some = await client.settled()) {
      lines.push(...some.map(shown));
      client.send(some.flatMap(({ messageId }) => (messageId ? [{ cmd: 'puback' as const, messageId }] : [])));
    }
    return lines;
  };
  /** What one second allows comes at once; then time passes until `count` have come. Never more than the rate allows. */
  const paced = async (client: RawMqtt, count: number, perSecond: number): Promise<string[]> => {
    const { clock } = scene.node;
    const startMs = clock.now();
    const lateMs = performance.now() + 10_000;
    const arrived: string[] = [];
    const listen = async (): Promise<void> => {
      arrived.push(...(await hear(client)));
      const seconds = (clock.now() - startMs) / 1000;
      assert.ok(arrived.length <= perSecond * (1 + seconds) + 1, `${arrived.length} within ${seconds} s`);
      assert.ok(performance.now() < lateMs, `only ${arrived.length} came`);
    };
    while (arrived.length < perSecond) await listen();
    for (let more = 0; more < 10; more++) await listen();
    while (arrived.length < count) {
      await scene.advance(250);
      await listen();
    }
    return arrived;
  };
  const numbered = (count: number): string[] => Array.from({ length: count }, (_, index) => String(index));
  const texts = (lines: readonly string[]): string[] => lines.map((line) => line.split(' ')[2] ?? '');

  await bothVersions(
    t,
    (version) => `5.7 At most 100 outbound publishes/s per connection, QoS 0, ${name(version)}: excess dropped`,
    async (version) => {
      const { client } = await scene.listen(version, 'own/out/0');
      const before = await scene.count('PublishOut.Throttle');
      await say(version, 'own/out/0', 200, { qos: 0 });
      const heard = await client.heard(100);
      assert.ok(heard.length >= 100 && heard.length < 150, `${heard.length} came`);
      assert.equal((await scene.count('PublishOut.Throttle')) - before, 200 - heard.length);
      const [newest] = await scene.refusalsOf(client);
      assert.deepEqual([newest?.record.reason, newest?.record.detail], ['THROTTLED', 'publishesOutPerSecondMax']);
      client.socket.destroy();
    },
  );
  await bothVersions(
    t,
    (version) => `5.7 At most 100 outbound publishes/s per connection, QoS 1, ${name(version)}: excess waits`,
    async (version) => {
      const { client } = await scene.listen(version, 'own/out/1');
      await say(version, 'own/out/1', 200);
      const first = await hear(client);
      assert.ok(first.length >= 100 && first.length < 150, `${first.length} came at once`);
      await scene.advance(1_000);
      await scene.advance(1_000);
      assert.deepEqual(texts([...first, ...(await hear(client))]), numbered(200));
      client.socket.destroy();
    },
  );
  await bothVersions(
    t,
    (version) => `14.15 25 QoS 1 messages offline, ${name(version)}: sessionPresent 1, all arrive, about 10 per second`,
    async (version) => {
      const clientId = scene.newId();
      const gone = await scene.listen(version, `own/drain/${clientId}`, lasting(version, clientId));
      await gone.client.leave();
      await say(version, `own/drain/${clientId}`, 25);
      await scene.advance(3_000_000);
      const { client, connack } = await scene.enter(version, lasting(version, clientId));
      assert.equal(connack.sessionPresent, true);
      assert.deepEqual(texts(await paced(client, 25, 10)), numbered(25));
      client.socket.destroy();
    },
  );
  await bothVersions(
    t,
    (version) => `5.3 Delivery after resume, ${name(version)}: what is live afterwards is not held to 10 per second`,
    async (version) => {
      const clientId = scene.newId();
      const topic = `own/drain/${clientId}`;
      const gone = await scene.listen(version, topic, lasting(version, clientId));
      await gone.client.leave();
      await say(version, topic, 5);
      await scene.advance(1_000);
      const { client } = await scene.enter(version, lasting(version, clientId));
      assert.equal((await paced(client, 5, 5)).length, 5);
      await say(version, topic, 50);
      assert.equal((await paced(client, 50, 50)).length, 50);
      client.socket.destroy();
    },
  );
  await bothVersions(
    t,
    (version) => `5.10 Drained at <= 20 msg/s per active member, ${name(version)}`,
    async (version) => {
      const clientId = scene.newId();
      const topic = `own/group/${clientId}`;
      const gone = await scene.listen(version, `$share/g/${topic}`, lasting(version, clientId));
      await gone.client.leave();
      await say(version, topic, 50);
      await scene.advance(1_000);
      const { client } = await scene.enter(version, lasting(version, clientId));
      assert.deepEqual(texts(await paced(client, 50, 20)), numbered(50));
      client.socket.destroy();
    },
  );
  await bothVersions(
    t,
    (version) =>
      `12 Retained publishes/s per topic 1, ${name(version)}: discarded, ${version === 4 ? 'no PUBACK' : 'PUBACK 0x97'}`,
    async (version) => {
      const topic = `own/often/${version}`;
      const { client } = await scene.enter(version);
      const retained = (id: number, text: string) => publish(id, topic, text, { retain: true });
      const before = await scene.count('PublishRetained.Throttle');
      client.send([retained(1, 'first'), retained(2, 'second'), publish(3, topic, 'live')]);
      const lines = ['PUBACK 1', ...(version === 5 ? ['PUBACK 2 0x97'] : []), 'PUBACK 3'];
      assert.deepEqual(await client.heard(lines.length), lines);
      assert.equal((await scene.count('PublishRetained.Throttle')) - before, 1);
      await scene.advance(1_000);
      client.send([retained(4, 'third'), subscribe(5, topic)]);
      assert.deepEqual(await client.heard(3), ['PUBACK 4', 'SUBACK 5 0x01', `PUBLISH ${topic} third q1 RETAIN`]);
      client.socket.destroy();
    },
  );
};

test('gateway.md 5 and 12: limits per unit of time', async (t) => {
  const scene = await openScene(t, { rateQuotas: true });
  await t.test('gateway.md 5.1 and 5.5: rates of what comes in', (each) => ratesIn(each, scene));
  await t.test('gateway.md 5.7, 5.9, 5.10: rates of what goes out, and of what is retained', (each) =>
    ratesOut(each, scene),
  );
});
