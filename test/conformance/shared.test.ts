/** Spec gateway.md 5.10 shared subscriptions, rule by rule, in raw bytes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { awsLimits } from '../../src/limits.ts';
import { publish, type RawMqtt, shown, subscribe, unsubscribe, type Version } from '../raw-mqtt.ts';
import { bothVersions, type ConnectFields, name, openScene, type Row, runRows } from './bed.ts';

const malformed = (what: string, filter: string): Row => ({
  row: `5.10 ShareName ${what}`,
  sends: subscribe(1, filter),
  v3: ['close'],
  v5: ['DISCONNECT 0x8F', 'close'],
  journal: 'CLIENT_ERROR',
});
const granted = (what: string, filter: string): Row => ({
  row: `5.10 ${what}`,
  sends: subscribe(1, filter),
  v3: ['SUBACK 1 0x01'],
  v5: ['SUBACK 1 0x01'],
});
const refused = (what: string, filter: string): Row => ({
  row: `5.10 ${what}`,
  sends: subscribe(1, filter),
  v3: ['SUBACK 1 0x80'],
  v5: ['SUBACK 1 0x8F'],
  journal: 'LIMIT_EXCEEDED',
});
const name128 = 'n'.repeat(128);
const rows: readonly Row[] = [
  granted('$share/{ShareName}/{TopicFilter}', '$share/g/own/+'),
  malformed('with +', '$share/g+/own/x'),
  malformed('with #', '$share/#/own/x'),
  malformed('empty', '$share//own/x'),
  malformed('without a filter', '$share/g'),
  malformed('and an empty filter', '$share/g/'),
  granted('ShareName of 128 characters', `$share/${name128}/own/x`),
  refused('ShareName of more than 128 characters', `$share/${name128}n/own/x`),
  granted('inner filter of 256 characters', `$share/g/own/${'x'.repeat(252)}`),
  refused('inner filter of more than 256 characters', `$share/g/own/${'x'.repeat(253)}`),
  granted('the two extra slashes do not count towards 7', `$share/g/own${'/x'.repeat(7)}`),
  refused('more than 7 slashes inside', `$share/g/own${'/x'.repeat(8)}`),
  {
    row: '5.10 iot:Subscribe is asked on the inner filter',
    as: 'limited',
    sends: subscribe(1, ['$share/g/own/x', '$share/own/foreign/x']),
    v3: ['SUBACK 1 0x01 0x80'],
    v5: ['SUBACK 1 0x01 0x87'],
    journal: 'AUTHORIZATION_FAILURE',
  },
  {
    row: '5.10 UNSUBSCRIBE uses the full string',
    sends: [subscribe(1, '$share/u/own/u'), unsubscribe(2, 'own/u'), publish(3, 'own/u', '1')],
    v3: ['SUBACK 1 0x01', 'UNSUBACK 2', 'PUBLISH own/u 1 q1', 'PUBACK 3'],
    v5: ['SUBACK 1 0x01', 'UNSUBACK 2 0x00', 'PUBLISH own/u 1 q1', 'PUBACK 3'],
  },
  {
    row: '5.10 after UNSUBSCRIBE nothing comes',
    sends: [subscribe(1, '$share/v/own/v'), unsubscribe(2, '$share/v/own/v'), publish(3, 'own/v', '1')],
    v3: ['SUBACK 1 0x01', 'UNSUBACK 2', 'PUBACK 3'],
    v5: ['SUBACK 1 0x01', 'UNSUBACK 2 0x00', 'PUBACK 3'],
  },
];

const texts = (lines: readonly string[]): string[] => lines.map((line) => line.split(' ')[2] ?? '');

test('gateway.md 5.10 Shared subscriptions', async (t) => {
  const scene = await openScene(t, { limits: { ...awsLimits, queuedMessagesPerSessionMax: 20 } });
  await runRows(t, scene, rows);
  const persistent = (version: Version, clientId = scene.newId()): ConnectFields => ({
    clientId,
    clean: false,
    ...(version === 5 && { properties: { sessionExpiryInterval: 600 } }),
  });
  const say = async (version: Version, topic: string, count: number, more: object = {}, from = 0): Promise<void> => {
    const { client } = await scene.enter(version);
    client.send(Array.from({ length: count }, (_, index) => publish(index + 1, topic, String(from + index), more)));
    await client.take(count);
    client.socket.destroy();
  };
  /** Acknowledges what has come. */
  const hear = async (client: RawMqtt, count: number): Promise<string[]> => {
    const lines: string[] = [];
    while (lines.length < count) {
      const received = await client.next();
      lines.push(shown(received));
      if (received.messageId !== undefined) client.send({ cmd: 'puback', messageId: received.messageId });
    }
    return [...lines, ...(await client.settled()).map(shown)];
  };
  const both = (title: string, body: (version: Version, topic: string) => Promise<void>): Promise<void> =>
    bothVersions(
      t,
      (version) => `5.10 ${title}, ${name(version)}`,
      (version) => body(version, `own/${scene.newId()}`),
    );

  await both('a message goes to one member of each matching group', async (version, topic) => {
    const [one, two] = [
      await scene.listen(version, `$share/g/${topic}`),
      await scene.listen(version, `$share/g/${topic}`),
    ];
    const other = await scene.listen(version, `$share/h/${topic}`);
    const alone = await scene.listen(version, topic);
    await say(version, topic, 40);
    const all = Array.from({ length: 40 }, (_, index) => String(index));
    assert.deepEqual(texts(await other.client.heard(40)), all);
    assert.deepEqual(texts(await alone.client.heard(40)), all);
    const [first, second] = [await one.client.heard(), await two.client.heard()];
    assert.ok(first.length > 0 && second.length > 0, 'random members');
    assert.deepEqual(texts([...first, ...second]).sort(), [...all].sort());
    for (const { client } of [one, two, other, alone]) client.socket.destroy();
  });
  await both('iot:Receive is asked of the member', async (version) => {
    const { client } = await scene.enter(version, {}, scene.limited);
    client.send(subscribe(1, '$share/g/deaf/shared'));
    assert.deepEqual(await client.heard(1), ['SUBACK 1 0x01']);
    await say(version, 'deaf/shared', 2);
    assert.deepEqual(await client.heard(), []);
    client.socket.destroy();
  });
  await both('clean members leave at disconnect, nothing is queued', async (version, topic) => {
    const gone = await scene.listen(version, `$share/g/${topic}`);
    await gone.client.leave();
    await say(version, topic, 3);
    const { client } = await scene.listen(version, `$share/g/${topic}`);
    assert.deepEqual(await client.heard(), []);
    client.socket.destroy();
  });
  await both('queued while no member is online, drained to the member that returns', async (version, topic) => {
    const fields = persistent(version);
    const first = await scene.listen(version, `$share/g/${topic}`, fields);
    await first.client.leave();
    await say(version, topic, 5);
    const { client, connack } = await scene.enter(version, fields);
    assert.equal(connack.sessionPresent, true);
    assert.deepEqual(texts(await hear(client, 5)), ['0', '1', '2', '3', '4']);
    client.socket.destroy();
  });
  await both('queued messages are drained to a member that joins', async (version, topic) => {
    const first = await scene.listen(version, `$share/g/${topic}`, persistent(version));
    await first.client.leave();
    await say(version, topic, 5);
    const { client } = await scene.listen(version, `$share/g/${topic}`);
    assert.deepEqual(texts(await hear(client, 5)), ['0', '1', '2', '3', '4']);
    client.socket.destroy();
  });
  await both('over limit: new messages are dropped, the oldest are kept', async (version, topic) => {
    const fields = persistent(version);
    const first = await scene.listen(version, `$share/g/${topic}`, fields);
    await first.client.leave();
    await say(version, topic, 30);
    const { client } = await scene.enter(version, fields);
    assert.deepEqual(
      texts(await hear(client, 20)),
      Array.from({ length: 20 }, (_, index) => String(index)),
    );
    client.socket.destroy();
  });
  await both('QoS 0 messages are not queued', async (version, topic) => {
    const fields = persistent(version);
    const first = await scene.listen(version, `$share/g/${topic}`, fields);
    await first.client.leave();
    const { client: publisher } = await scene.enter(version);
    publisher.send(publish(0, topic, 'x', { qos: 0 }));
    await publisher.settled();
    const { client } = await scene.enter(version, fields);
    assert.deepEqual(await client.heard(), []);
    for (const { socket } of [client, publisher]) socket.destroy();
  });
  await both('persistent members leave when they unsubscribe', async (version, topic) => {
    const { client } = await scene.listen(version, `$share/g/${topic}`, persistent(version));
    client.send(unsubscribe(2, `$share/g/${topic}`));
    await client.heard(1);
    await client.leave();
    await say(version, topic, 3);
    const late = await scene.listen(version, `$share/g/${topic}`);
    assert.deepEqual(await late.client.heard(), []);
    late.client.socket.destroy();
  });
  await both('persistent members leave when they expire', async (version, topic) => {
    const { client } = await scene.listen(version, `$share/g/${topic}`, persistent(version));
    await client.leave();
    await scene.advance(3_700_000);
    await say(version, topic, 3);
    const late = await scene.listen(version, `$share/g/${topic}`);
    assert.deepEqual(await late.client.heard(), []);
    late.client.socket.destroy();
  });
  await t.test('5.10 Message Expiry of a queued message takes precedence, v5', async () => {
    const topic = `own/${scene.newId()}`;
    const fields = persistent(5);
    const first = await scene.listen(5, `$share/g/${topic}`, fields);
    await first.client.leave();
    await say(5, topic, 1, { properties: { messageExpiryInterval: 5 } });
    await say(5, topic, 1, {}, 7);
    await scene.advance(10_000);
    const { client } = await scene.enter(5, fields);
    assert.deepEqual(texts(await hear(client, 1)), ['7']);
    client.socket.destroy();
  });
});
