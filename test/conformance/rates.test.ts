/** Spec gateway.md 5.1, 5.5, 5.7, 5.10 and 12: limits per unit of time, with the switch on (`--rate-quotas aws`), in raw bytes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { publish, type RawMqtt, shown } from '../raw-mqtt.ts';
import { bothVersions, connectPacket, name, openScene } from './bed.ts';

const publishes = (count: number, topic: string, from = 1) =>
  Array.from({ length: count }, (_, index) => publish(from + index, topic, String(from + index)));

test('gateway.md 5.1 and 5.5: rates of what comes in', async (t) => {
  const scene = await openScene(t, { rateQuotas: true });
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
});
