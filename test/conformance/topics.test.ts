/** Spec gateway.md 6: what clients may do with each reserved topic, row by row, under a policy that allows everything. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Packets, publish, shown, subscribe, type Version } from '../raw-mqtt.ts';
import { bothVersions, name, openScene } from './bed.ts';

type Rights = 'P' | 'S' | 'PS';
const each = (prefix: string, names: readonly string[], suffix = ''): string[] =>
  names.map((part) => `${prefix}${part}${suffix}`);
const replies = (topics: readonly string[]): string[] =>
  topics.flatMap((topic) => each(topic, ['/accepted', '/rejected']));

const shadows = ['$aws/things/t/shadow/', '$aws/things/t/shadow/name/s/'];
const shadowRequests = shadows.flatMap((prefix) => each(prefix, ['get', 'update', 'delete']));
const jobRequests = [
  ...each('$aws/things/t/jobs/', ['get', 'start-next']),
  ...each('$aws/things/t/jobs/j/', ['get', 'update']),
];
const provisioning = ['json', 'cbor'].flatMap((format) =>
  each(
    '$aws/',
    ['certificates/create/', 'certificates/create-from-csr/', 'provisioning-templates/p/provision/'],
    format,
  ),
);
const streams = each('$aws/things/t/streams/s/', ['get/json', 'describe/json']);

const table: readonly (readonly [row: string, rights: Rights, topics: readonly string[]])[] = [
  ['shadow requests', 'PS', shadowRequests],
  ['shadow replies', 'S', replies(shadowRequests)],
  ['shadow news', 'S', shadows.flatMap((prefix) => each(prefix, ['update/delta', 'update/documents']))],
  ['job requests', 'P', jobRequests],
  ['job replies', 'S', replies(jobRequests)],
  ['job news', 'S', each('$aws/things/t/jobs/', ['notify', 'notify-next'])],
  ['provisioning requests', 'P', provisioning],
  ['provisioning replies', 'S', replies(provisioning)],
  ['Basic Ingest', 'P', ['$aws/rules/r/x']],
  [
    'events',
    'S',
    each('$aws/events/', [
      ...['presence/connected/c', 'subscriptions/subscribed/c', 'thing/t/created', 'thingGroup/g/created'],
      ...['thingType/t/created', 'job/j/completed', 'jobExecution/j/succeeded', 'certificates/registered/ca'],
    ]),
  ],
  ['tunnels', 'S', ['$aws/things/t/tunnels/notify']],
  ['defender reports', 'P', each('$aws/things/t/defender/metrics/', ['json', 'cbor'])],
  ['defender replies', 'S', replies(['$aws/things/t/defender/metrics/json'])],
  ['stream requests', 'P', streams],
  ['stream replies', 'S', each('$aws/things/t/streams/s/', ['data/json', 'description/json', 'rejected/json'])],
];

const unknown = ['$foo', '$foo/bar', '$SYS/x', '$aws', '$aws/foo', '$aws/things/t/shadow', '$aws/things/t/shadow/foo'];

test('gateway.md 6 Topics', async (t) => {
  const scene = await openScene(t);
  /** Each packet on a connection of its own, which it must end. */
  const ends = async (version: Version, packets: readonly Packets[], code: string): Promise<void> => {
    for (const packet of packets) {
      const { client } = await scene.enter(version);
      client.send(packet);
      assert.deepEqual((await client.closed()).map(shown), version === 4 ? [] : [`DISCONNECT ${code}`]);
    }
  };

  for (const [row, rights, topics] of table) {
    const publishes = topics.map((topic, index) => publish(index + 1, topic, '{}'));
    const subscribes = topics.map((topic, index) => subscribe(index + 1, topic));
    await bothVersions(
      t,
      (version) => `6 ${row}, publish ${rights.includes('P') ? 'allowed' : 'as unauthorized'}, ${name(version)}`,
      async (version) => {
        if (!rights.includes('P') && version === 4) return ends(version, publishes, '');
        const { client } = await scene.enter(version);
        client.send(publishes);
        const heard = await client.heard(version === 4 ? 0 : topics.length);
        client.socket.destroy();
        if (!rights.includes('P')) {
          assert.deepEqual(
            heard,
            topics.map((_, index) => `PUBACK ${index + 1} 0x87`),
          );
        } else assert.ok(!heard.some((line) => /close|0x87|0x90/.test(line)), String(heard));
      },
    );
    await bothVersions(
      t,
      (version) => `6 ${row}, subscribe ${rights.includes('S') ? 'allowed' : 'terminated'}, ${name(version)}`,
      async (version) => {
        if (!rights.includes('S')) return ends(version, subscribes, '0x8F');
        const { client } = await scene.enter(version);
        client.send(subscribes);
        assert.deepEqual(
          await client.heard(topics.length),
          topics.map((_, index) => `SUBACK ${index + 1} 0x01`),
        );
        client.socket.destroy();
      },
    );
  }

  const end = (version: Version, code: string): string => (version === 4 ? 'close' : `DISCONNECT ${code}, close`);
  await bothVersions(
    t,
    (version) => `6 any other $..., publish, ${name(version)}: ${end(version, '0x90')}`,
    (version) =>
      ends(
        version,
        unknown.map((topic) => publish(7, topic)),
        '0x90',
      ),
  );
  await bothVersions(
    t,
    (version) => `6 any other $..., subscribe, ${name(version)}: ${end(version, '0x8F')}`,
    (version) =>
      ends(
        version,
        unknown.map((topic) => subscribe(1, topic)),
        '0x8F',
      ),
  );

  const wildcards = ['$aws/things/+/shadow/#', '$aws/events/#', '$aws/things/t/jobs/#', '$aws/#', '$aws/things/+/+/+'];
  await bothVersions(
    t,
    (version) => `6 wildcards inside $aws/ are allowed, ${name(version)}`,
    async (version) => {
      for (const filter of wildcards) {
        const { client } = await scene.listen(version, filter);
        client.socket.destroy();
      }
    },
  );
  await bothVersions(
    t,
    (version) => `6 wildcards inside $aws/ are subject to policy, ${name(version)}`,
    async (version) => {
      const { client } = await scene.enter(version, {}, scene.limited);
      client.send(subscribe(1, wildcards));
      const denied = version === 4 ? '0x80' : '0x87';
      assert.deepEqual(await client.heard(1), [`SUBACK 1 ${wildcards.map(() => denied).join(' ')}`]);
    },
  );
});
