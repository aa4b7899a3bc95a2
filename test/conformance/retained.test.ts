/** Spec gateway.md 5.9 retained messages, rule by rule, in raw bytes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { publish, subscribe, unsubscribe, type Version } from '../raw-mqtt.ts';
import { bothVersions, name, openScene } from './bed.ts';

test('gateway.md 5.9 Retained messages', async (t) => {
  const scene = await openScene(t);
  let topics = 0;
  const newTopic = (): string => `own/kept/${++topics}`;
  const keep = async (version: Version, topic: string, text: string, more: Parameters<typeof publish>[3] = {}) => {
    const { client } = await scene.enter(version);
    client.send(publish(1, topic, text, { retain: true, ...more }));
    assert.deepEqual(await client.heard(more.qos === 0 ? 0 : 1), more.qos === 0 ? [] : ['PUBACK 1']);
    client.socket.destroy();
  };
  /** What somebody hears who subscribes now. */
  const found = async (version: Version, filter: string, count: number): Promise<string[]> => {
    const { client } = await scene.enter(version);
    client.send(subscribe(1, filter));
    const [, ...lines] = await client.heard(1 + count);
    client.socket.destroy();
    return lines;
  };
  const rule = (title: string, body: (version: Version, topic: string) => Promise<void>): Promise<void> =>
    bothVersions(
      t,
      (version) => `5.9 ${title}, ${name(version)}`,
      (version) => body(version, newTopic()),
    );

  await rule('delivered on SUBSCRIBE with RETAIN 1', async (version, topic) => {
    await keep(version, topic, 'kept');
    assert.deepEqual(await found(version, topic, 1), [`PUBLISH ${topic} kept q1 RETAIN`]);
  });
  await rule('at the lower one of its QoS and the granted one', async (version, topic) => {
    await keep(version, topic, 'kept', { qos: 0 });
    assert.deepEqual(await found(version, topic, 1), [`PUBLISH ${topic} kept q0 RETAIN`]);
  });
  await rule('one per topic, replaced by each RETAIN publish', async (version, topic) => {
    await keep(version, topic, 'old');
    await keep(version, topic, 'new');
    assert.deepEqual(await found(version, topic, 1), [`PUBLISH ${topic} new q1 RETAIN`]);
  });
  await rule('not replaced by a publish without RETAIN', async (version, topic) => {
    await keep(version, topic, 'kept');
    await keep(version, topic, 'live', { retain: false });
    assert.deepEqual(await found(version, topic, 1), [`PUBLISH ${topic} kept q1 RETAIN`]);
  });
  await rule('deleted by RETAIN with empty payload, which is delivered to subscribers', async (version, topic) => {
    await keep(version, topic, 'kept');
    const { client } = await scene.enter(version);
    client.send(subscribe(1, topic));
    await client.heard(2);
    await keep(version, topic, '');
    assert.deepEqual(await client.heard(1), [`PUBLISH ${topic}  q1`]);
    assert.deepEqual(await found(version, topic, 0), []);
    client.socket.destroy();
  });
  await rule('live forwards have RETAIN 0', async (version, topic) => {
    const { client } = await scene.listen(version, topic);
    await keep(version, topic, 'kept');
    assert.deepEqual(await client.heard(1), [`PUBLISH ${topic} kept q1`]);
    client.socket.destroy();
  });
  await rule('none for wildcard filters', async (version, topic) => {
    await keep(version, topic, 'kept');
    for (const filter of ['own/kept/+', 'own/#', '#', topic.replace('kept', '+')]) {
      assert.deepEqual(await found(version, filter, 0), [], filter);
    }
  });
  await rule('none for shared subscriptions', async (version, topic) => {
    await keep(version, topic, 'kept');
    assert.deepEqual(await found(version, `$share/g/${topic}`, 0), []);
  });
  await rule('not on reserved topics', async (version) => {
    const { client } = await scene.enter(version);
    client.send(publish(1, '$aws/things/t/shadow/update', '{}', { retain: true }));
    const heard = await client.closed();
    assert.equal(heard.length, version === 4 ? 0 : 1);
  });
  await rule(
    'the one that subscribed and left is sent it again when it comes back to the filter',
    async (version, topic) => {
      await keep(version, topic, 'kept');
      const { client } = await scene.enter(version);
      client.send([subscribe(1, topic), unsubscribe(2, topic), subscribe(3, topic)]);
      const lines = await client.heard(5);
      assert.equal(lines.filter((line) => line === `PUBLISH ${topic} kept q1 RETAIN`).length, 2);
      client.socket.destroy();
    },
  );
  await rule('iot:Receive is asked for a retained message', async (version) => {
    await keep(version, 'deaf/kept', 'kept');
    const { client } = await scene.enter(version, {}, scene.limited);
    client.send(subscribe(1, 'deaf/kept'));
    assert.deepEqual(await client.heard(1), ['SUBACK 1 0x01']);
    client.socket.destroy();
  });
  await rule('kept by another version of MQTT', async (version, topic) => {
    await keep(version === 4 ? 5 : 4, topic, 'kept');
    assert.deepEqual(await found(version, topic, 1), [`PUBLISH ${topic} kept q1 RETAIN`]);
  });

  await t.test('5.9 Message Expiry shortens its life, v5', async () => {
    const topic = newTopic();
    await keep(5, topic, 'kept', { properties: { messageExpiryInterval: 60 } });
    await scene.advance(20_000);
    const { client } = await scene.enter(5);
    client.send(subscribe(1, topic));
    const [, message] = await client.take(2);
    const left = Number(message?.properties?.['messageExpiryInterval']);
    assert.ok(left >= 39 && left <= 40, String(left));
    assert.deepEqual(await found(4, topic, 1), [`PUBLISH ${topic} kept q1 RETAIN`]);
    await scene.advance(41_000);
    assert.deepEqual(await found(5, topic, 0), []);
    assert.deepEqual(await found(4, topic, 0), []);
    client.socket.destroy();
  });

  await rule('kept 3 years after its last update', async (version, topic) => {
    await keep(version, topic, 'kept');
    const threeYearsMs = 3 * 365 * 86_400_000;
    await scene.advance(threeYearsMs - 86_400_000);
    const other = newTopic();
    await keep(version, other, 'younger');
    await scene.advance(4 * 86_400_000); // a leap day within
    assert.deepEqual(await found(version, topic, 0), []);
    assert.deepEqual(await found(version, other, 1), [`PUBLISH ${other} younger q1 RETAIN`]);
  });
});
