/** Spec gateway.md 5.6 SUBSCRIBE and UNSUBSCRIBE, row by row, in raw bytes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { field, packet, properties, publish, subscribe, u16, unsubscribe, type Version } from '../raw-mqtt.ts';
import { bothVersions, name, openScene, type Row, runRows } from './bed.ts';

/** SUBSCRIBE and UNSUBSCRIBE by hand: filters that mqtt-packet would not write. */
const byHand = (filter: string) => (version: Version) => packet(0x82, u16(1), properties(version), field(filter), 1);
const leaveByHand = (filter: string) => (version: Version) => packet(0xa2, u16(1), properties(version), field(filter));

const many = (count: number): string[] => Array.from({ length: count }, (_, index) => `own/${index}`);
const fifty = [0, 8, 16, 24, 32, 40].map((from, index) => subscribe(index + 1, many(50).slice(from, from + 8)));
const fiftyGranted = fifty.map((_, index) => `SUBACK ${index + 1}${' 0x01'.repeat(8)}`);
const long = (bytes: number): string => `own/${'x'.repeat(bytes - 4)}`;
const deep = (slashes: number): string => `own${'/x'.repeat(slashes)}`;

const rows: readonly Row[] = [
  {
    row: '5.6 Granted',
    sends: subscribe(1, [{ topic: 'own/0', qos: 0 }, { topic: 'own/1' }]),
    v3: ['SUBACK 1 0x00 0x01'],
    v5: ['SUBACK 1 0x00 0x01'],
  },
  {
    row: '5.6 QoS 2 requested',
    sends: subscribe(1, ['own/0', { topic: 'own/2', qos: 2 }]),
    v3: ['close'],
    v5: ['DISCONNECT 0x9B', 'close'],
    journal: 'CLIENT_ERROR',
    metric: 'Subscribe.ClientError',
  },
  {
    row: '5.6 Not authorized filter',
    as: 'limited',
    sends: subscribe(1, ['foreign/x', 'own/x']),
    v3: ['SUBACK 1 0x80 0x01'],
    v5: ['SUBACK 1 0x87 0x01'],
    journal: 'AUTHORIZATION_FAILURE',
    metric: 'Subscribe.AuthError',
  },
  {
    row: '5.6 8 filters in one packet',
    sends: subscribe(1, many(8)),
    v3: [`SUBACK 1${' 0x01'.repeat(8)}`],
    v5: [`SUBACK 1${' 0x01'.repeat(8)}`],
  },
  {
    row: '5.6 > 8 filters in one packet',
    sends: subscribe(1, many(9)),
    v3: ['close'],
    v5: ['DISCONNECT 0x97', 'close'],
    journal: 'LIMIT_EXCEEDED',
  },
  {
    row: '5.6 50 subscriptions on the connection, one of them anew',
    sends: [...fifty, subscribe(7, many(50).slice(48)), subscribe(8, 'own/0')],
    v3: [...fiftyGranted, 'SUBACK 7 0x01 0x01', 'SUBACK 8 0x01'],
    v5: [...fiftyGranted, 'SUBACK 7 0x01 0x01', 'SUBACK 8 0x01'],
  },
  {
    row: '5.6 > 50 subscriptions on the connection',
    sends: [...fifty, subscribe(7, many(52).slice(48))],
    v3: [...fiftyGranted, 'SUBACK 7 0x01 0x01 0x80 0x80', 'close'],
    v5: [...fiftyGranted, 'SUBACK 7 0x01 0x01 0x97 0x97', 'DISCONNECT 0x97', 'close'],
    journal: 'LIMIT_EXCEEDED',
  },
  ...['own/a#', 'own/+b', 'own/#/c', ''].flatMap((filter): Row[] => [
    {
      row: `5.6 Malformed filter ${JSON.stringify(filter)}`,
      sends: byHand(filter),
      v3: ['close'],
      v5: ['DISCONNECT 0x8F', 'close'],
      journal: 'CLIENT_ERROR',
    },
    {
      row: `5.6 Malformed filter ${JSON.stringify(filter)} in UNSUBSCRIBE`,
      sends: leaveByHand(filter),
      v3: ['close'],
      v5: ['DISCONNECT 0x8F', 'close'],
      journal: 'CLIENT_ERROR',
    },
  ]),
  { row: '5.6 Filter of 256 bytes', sends: subscribe(1, long(256)), v3: ['SUBACK 1 0x01'], v5: ['SUBACK 1 0x01'] },
  { row: '5.6 Filter with 7 slashes', sends: subscribe(1, deep(7)), v3: ['SUBACK 1 0x01'], v5: ['SUBACK 1 0x01'] },
  ...(
    [
      ['> 256 bytes', long(257)],
      ['> 7 slashes', deep(8)],
    ] as const
  ).map(
    ([what, filter]): Row => ({
      row: `5.6 Filter ${what}`,
      sends: subscribe(1, [filter, 'own/x']),
      v3: ['SUBACK 1 0x80 0x01'],
      v5: ['SUBACK 1 0x8F 0x01'],
      journal: 'LIMIT_EXCEEDED',
    }),
  ),
  ...['$SYS/#', '$aws/rules/r/#', '$foo/x'].map(
    (filter): Row => ({
      row: `5.6 Forbidden $ filter ${filter}`,
      sends: subscribe(1, filter),
      v3: ['close'],
      v5: ['DISCONNECT 0x8F', 'close'],
      journal: 'CLIENT_ERROR',
    }),
  ),
  {
    row: '5.6 Subscription Identifier property',
    sends: subscribe(1, 'own/x', { properties: { subscriptionIdentifier: 5 } }),
    v5: ['DISCONNECT 0xA1', 'close'],
    journal: 'NOT_AVAILABLE',
  },
  {
    row: '5.6 UNSUBSCRIBE',
    sends: [subscribe(1, 'own/x'), unsubscribe(2, 'own/x'), publish(3, 'own/x')],
    v3: ['SUBACK 1 0x01', 'UNSUBACK 2', 'PUBACK 3'],
    v5: ['SUBACK 1 0x01', 'UNSUBACK 2 0x00', 'PUBACK 3'],
  },
  {
    row: '5.6 UNSUBSCRIBE of unknown filter',
    sends: unsubscribe(2, 'own/unknown', 'foreign/x'),
    v3: ['UNSUBACK 2'],
    v5: ['UNSUBACK 2 0x00 0x00'],
  },
  {
    row: '5.6 Delivery starts with SUBACK',
    sends: [subscribe(1, 'own/x'), publish(2, 'own/x')],
    v3: ['SUBACK 1 0x01', 'PUBLISH own/x x q1', 'PUBACK 2'],
    v5: ['SUBACK 1 0x01', 'PUBLISH own/x x q1', 'PUBACK 2'],
  },
  {
    row: '5.6 Re-subscribing replaces the QoS',
    sends: [subscribe(1, 'own/x'), subscribe(2, [{ topic: 'own/x', qos: 0 }]), publish(3, 'own/x')],
    v3: ['SUBACK 1 0x01', 'SUBACK 2 0x00', 'PUBLISH own/x x q0', 'PUBACK 3'],
    v5: ['SUBACK 1 0x01', 'SUBACK 2 0x00', 'PUBLISH own/x x q0', 'PUBACK 3'],
  },
  {
    row: '5.6 The QoS of a delivery is the lower one',
    sends: [subscribe(1, 'own/x'), publish(0, 'own/x', 'x', { qos: 0 })],
    v3: ['SUBACK 1 0x01', 'PUBLISH own/x x q0'],
    v5: ['SUBACK 1 0x01', 'PUBLISH own/x x q0'],
  },
  {
    row: '5.6 No Local',
    sends: [subscribe(1, [{ topic: 'own/x', nl: true }]), publish(3, 'own/x')],
    v5: ['SUBACK 1 0x01', 'PUBACK 3'],
  },
  {
    row: '5.6 Retain As Published accepted, RETAIN cleared on live forwards',
    sends: [subscribe(1, [{ topic: 'own/rap', rap: true }]), publish(0, 'own/rap', '', { qos: 0, retain: true })],
    v5: ['SUBACK 1 0x01', 'PUBLISH own/rap  q0'],
  },
  {
    row: '5.6 Overlapping subscriptions: one copy at the highest granted QoS',
    sends: [
      subscribe(1, [{ topic: 'own/#', qos: 0 }, { topic: 'own/+' }, { topic: 'own/x', qos: 0 }]),
      publish(2, 'own/x'),
    ],
    v3: ['SUBACK 1 0x00 0x01 0x00', 'PUBLISH own/x x q1', 'PUBACK 2'],
    v5: ['SUBACK 1 0x00 0x01 0x00', 'PUBLISH own/x x q1', 'PUBACK 2'],
  },
];

const matching: readonly (readonly [filter: string, topic: string, matches: boolean, rule: string])[] = [
  ['own/+', 'own/x', true, '+ is one level'],
  ['own/+', 'own/', true, '+ is one level, also an empty one'],
  ['own/+', 'own/x/y', false, '+ is one level'],
  ['own/+', 'own', false, '+ is one level'],
  ['own/+/y', 'own/x/y', true, '+ is one level'],
  ['own/#', 'own/x/y', true, '# is the rest'],
  ['own/#', 'own/', true, 'a/# matches a/ and deeper'],
  ['own/#', 'own', false, 'a/# does not match a'],
  ['#', 'own/x', true, '# is the rest'],
  ['+/x', '/x', true, 'an empty level is a level'],
  ['OWN/x', 'own/x', false, 'case-sensitive'],
  ['#', '$aws/things/t/shadow/get', false, 'filters starting with a wildcard do not match $ topics'],
  [
    '+/things/t/shadow/get',
    '$aws/things/t/shadow/get',
    false,
    'filters starting with a wildcard do not match $ topics',
  ],
];

test('gateway.md 5.6 SUBSCRIBE / UNSUBSCRIBE', async (t) => {
  const scene = await openScene(t);
  await runRows(t, scene, rows);

  await t.test(
    '5.6 Subscription Identifier property, v5: reason string "Subscription Id is not supported now"',
    async () => {
      const { client } = await scene.enter(5);
      client.send(subscribe(1, 'own/x', { properties: { subscriptionIdentifier: 5 } }));
      const [last] = await client.closed();
      assert.equal(last?.properties?.['reasonString'], 'Subscription Id is not supported now');
    },
  );

  for (const [filter, topic, matches, rule] of matching) {
    await bothVersions(
      t,
      (version) =>
        `5.6 Topic matching, ${name(version)}: ${filter} ${matches ? 'matches' : 'misses'} ${topic} (${rule})`,
      async (version) => {
        const { client } = await scene.listen(version, filter);
        const publisher = await scene.enter(version);
        publisher.client.send(publish(0, topic, 'x', { qos: 0 }));
        await publisher.client.settled();
        assert.deepEqual(await client.heard(matches ? 1 : 0), matches ? [`PUBLISH ${topic} x q0`] : []);
        for (const { socket } of [client, publisher.client]) socket.destroy();
      },
    );
  }

  await bothVersions(
    t,
    (version) => `5.6 Re-subscribing re-sends the retained message, ${name(version)}`,
    async (version) => {
      const { client } = await scene.enter(version);
      client.send(publish(1, 'own/again', 'kept', { retain: true }));
      assert.deepEqual(await client.heard(1), ['PUBACK 1']);
      for (const id of [2, 3]) {
        client.send(subscribe(id, 'own/again'));
        assert.deepEqual(await client.heard(2), [`SUBACK ${id} 0x01`, 'PUBLISH own/again kept q1 RETAIN']);
      }
    },
  );

  for (const [rh, first, second] of [
    [0, true, true],
    [1, true, false],
    [2, false, false],
  ] as const) {
    await t.test(
      `5.6 Retain Handling ${rh}, v5: sent ${second ? 'each time' : first ? 'to a new subscription' : 'never'}`,
      async () => {
        const { client } = await scene.enter(5);
        client.send(publish(1, 'own/handled', 'kept', { retain: true }));
        assert.deepEqual(await client.heard(1), ['PUBACK 1']);
        const kept = ['PUBLISH own/handled kept q1 RETAIN'];
        for (const [id, sent] of [
          [2, first],
          [3, second],
        ] as const) {
          client.send(subscribe(id, [{ topic: 'own/handled', rh }]));
          assert.deepEqual(await client.heard(sent ? 2 : 1), [`SUBACK ${id} 0x01`, ...(sent ? kept : [])]);
        }
      },
    );
  }
});
