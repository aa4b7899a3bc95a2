/** Spec gateway.md 5.5 PUBLISH in, row by row, in raw bytes. The rows about rates are in rates.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { awsLimits } from '../../src/limits.ts';
import { field, packet, properties, publish, shown, subscribe, u16, type Version } from '../raw-mqtt.ts';
import { bothVersions, name, openScene, type Row, runRows } from './bed.ts';

/** A PUBLISH by hand: what mqtt-packet would not write. */
const byHand = (qos: 0 | 1, topic: string | Uint8Array) => (version: Version) =>
  packet(0x30 | (qos << 1), field(topic), ...(qos === 1 ? [u16(7)] : []), properties(version), Buffer.from('x'));
const zero = { qos: 0 } as const;
const payload = (bytes: number): Buffer => Buffer.alloc(bytes, 'x');
const padding = { userProperties: { padding: 'x'.repeat(20_000) } };

/** A topic of so many bytes below own/, without a further slash. */
const long = (bytes: number): string => `own/${'x'.repeat(bytes - 4)}`;
const deep = (slashes: number): string => `own${'/x'.repeat(slashes)}`;

const topicFaults: readonly (readonly [what: string, topic: string | Uint8Array, code: string])[] = [
  ['with wildcard #', 'own/#', '0x90'],
  ['with wildcard +', 'own/+/x', '0x90'],
  ['empty', '', '0x90'],
  ['with NUL', 'own/\0', '0x81'],
  ['of bad UTF-8', Buffer.from('own/\xc3\x28', 'latin1'), '0x81'],
  ['of an encoded surrogate', Buffer.from('own/\xed\xa0\x80', 'latin1'), '0x81'],
];

const rows: readonly Row[] = [
  {
    row: '5.5 accepted',
    sends: [publish(7, 'own/x'), publish(0, 'own/x', 'y', zero)],
    v3: ['PUBACK 7'],
    v5: ['PUBACK 7'],
  },
  {
    row: '5.5 QoS 2',
    sends: publish(7, 'own/x', 'x', { qos: 2 }),
    v3: ['close'],
    v5: ['DISCONNECT 0x9B', 'close'],
    journal: 'CLIENT_ERROR',
    metric: 'PublishIn.ClientError',
  },
  {
    row: '5.5 Not authorized, QoS 1',
    as: 'limited',
    sends: publish(7, 'foreign/x'),
    v3: ['close'],
    v5: ['PUBACK 7 0x87'],
    journal: 'AUTHORIZATION_FAILURE',
    metric: 'PublishIn.AuthError',
  },
  {
    row: '5.5 Not authorized, QoS 0',
    as: 'limited',
    sends: publish(0, 'foreign/x', 'x', zero),
    v3: ['close'],
    v5: ['DISCONNECT 0x87', 'close'],
    journal: 'AUTHORIZATION_FAILURE',
    metric: 'PublishIn.AuthError',
  },
  ...topicFaults.flatMap(([what, topic, code]) =>
    ([0, 1] as const).map(
      (qos): Row => ({
        row: `5.5 Topic ${what}, QoS ${qos}`,
        sends: byHand(qos, topic),
        v3: ['close'],
        v5: [`DISCONNECT ${code}`, 'close'],
        journal: 'CLIENT_ERROR',
      }),
    ),
  ),
  { row: '5.5 Topic of 256 bytes', sends: publish(7, long(256)), v3: ['PUBACK 7'], v5: ['PUBACK 7'] },
  { row: '5.5 Topic with 7 slashes', sends: publish(7, deep(7)), v3: ['PUBACK 7'], v5: ['PUBACK 7'] },
  ...(
    [
      ['> 256 bytes', long(257)],
      ['> 256 bytes in fewer characters', `${long(255)}é`],
      ['> 7 slashes', deep(8)],
    ] as const
  ).flatMap(([what, topic]): Row[] => [
    {
      row: `5.5 Topic ${what}, QoS 1`,
      sends: publish(7, topic),
      v3: ['close'],
      v5: ['PUBACK 7 0x90'],
      journal: 'LIMIT_EXCEEDED',
    },
    {
      row: `5.5 Topic ${what}, QoS 0`,
      sends: publish(0, topic, 'x', zero),
      v3: ['close'],
      v5: ['DISCONNECT 0x90', 'close'],
      journal: 'LIMIT_EXCEEDED',
    },
  ]),
  ...['$foo/x', '$SYS/broker', '$aws/foo', '$share/g/own/x'].flatMap((topic): Row[] =>
    ([0, 1] as const).map((qos) => ({
      row: `5.5 $ topic not open to clients, ${topic}, QoS ${qos}`,
      sends: publish(7, topic, 'x', { qos }),
      v3: ['close'],
      v5: ['DISCONNECT 0x90', 'close'],
      journal: 'CLIENT_ERROR',
    })),
  ),
  ...([0, 1] as const).map(
    (qos): Row => ({
      row: `5.5 RETAIN on a reserved topic, QoS ${qos}`,
      sends: publish(7, '$aws/things/t/shadow/update', '{}', { qos, retain: true }),
      v3: ['close'],
      v5: ['DISCONNECT 0x90', 'close'],
      journal: 'CLIENT_ERROR',
    }),
  ),
  {
    row: '5.5 RETAIN, iot:RetainPublish denied',
    as: 'limited',
    sends: publish(7, 'own/x', 'x', { retain: true }),
    v3: ['close'],
    v5: ['PUBACK 7 0x87'],
    journal: 'AUTHORIZATION_FAILURE',
  },
  {
    row: '5.5 Payload of 131072 bytes',
    sends: publish(7, 'own/x', payload(131_072)),
    v3: ['PUBACK 7'],
    v5: ['PUBACK 7'],
  },
  {
    row: '5.5 Payload of 131072 bytes and 16 kB of properties',
    sends: publish(7, 'own/x', payload(131_072), { properties: { userProperties: { padding: 'x'.repeat(16_000) } } }),
    v5: ['PUBACK 7'],
  },
  ...([0, 1] as const).flatMap((qos): Row[] => [
    {
      row: `5.5 Payload > 131072 bytes, packet within the maximum, QoS ${qos}`,
      sends: publish(7, 'own/x', payload(131_073), { qos }),
      v3: ['close'],
      v5: ['DISCONNECT 0x97', 'close'],
      journal: 'LIMIT_EXCEEDED',
    },
    {
      row: `5.5 Payload > 131072 bytes, packet > 149504 bytes, QoS ${qos}`,
      sends: publish(7, 'own/x', payload(149_504), { qos }),
      v3: ['close'],
      v5: ['DISCONNECT 0x95', 'close'],
      journal: 'LIMIT_EXCEEDED',
    },
  ]),
  {
    row: '5.5 packet > 149504 bytes by its properties',
    sends: publish(7, 'own/x', payload(131_072), { properties: padding }),
    v5: ['DISCONNECT 0x95', 'close'],
    journal: 'LIMIT_EXCEEDED',
  },
  ...(
    [
      ['0', publish(7, 'own/x', 'x', { properties: { topicAlias: 0 } })],
      ['> 8', publish(7, 'own/x', 'x', { properties: { topicAlias: 9 } })],
      ['unknown', publish(7, '', 'x', { properties: { topicAlias: 3 } })],
    ] as const
  ).map(
    ([what, sends]): Row => ({
      row: `5.5 Topic alias ${what}`,
      sends,
      v5: ['DISCONNECT 0x94', 'close'],
      journal: 'CLIENT_ERROR',
    }),
  ),
  {
    row: '5.5 Topic alias 8, set, used and set anew',
    sends: [
      subscribe(1, 'own/#'),
      publish(7, 'own/one', '1', { properties: { topicAlias: 8 } }),
      publish(8, '', '2', { properties: { topicAlias: 8 } }),
      publish(9, 'own/two', '3', { properties: { topicAlias: 8 } }),
      publish(10, '', '4', { properties: { topicAlias: 8 } }),
    ],
    v5: [
      ...['SUBACK 1 0x01', 'PUBLISH own/one 1 q1', 'PUBACK 7', 'PUBLISH own/one 2 q1', 'PUBACK 8'],
      ...['PUBLISH own/two 3 q1', 'PUBACK 9', 'PUBLISH own/two 4 q1', 'PUBACK 10'],
    ],
  },
  {
    row: '5.5 DUP flag ignored, never set on outbound',
    sends: [subscribe(1, 'own/x'), publish(7, 'own/x', 'x', { dup: true }), publish(7, 'own/x', 'x', { dup: true })],
    v3: ['SUBACK 1 0x01', 'PUBLISH own/x x q1', 'PUBACK 7', 'PUBLISH own/x x q1', 'PUBACK 7'],
    v5: ['SUBACK 1 0x01', 'PUBLISH own/x x q1', 'PUBACK 7', 'PUBLISH own/x x q1', 'PUBACK 7'],
  },
];

test('gateway.md 5.5 PUBLISH in', async (t) => {
  const scene = await openScene(t, { limits: { ...awsLimits, retainedPerAccountMax: 2 } });
  await runRows(t, scene, rows);

  /** Acknowledgements wait as long as a message is being stored: for a session that is there to stay. */
  const absent = async (version: Version): Promise<void> => {
    const { client } = await scene.listen(version, 'kept/#', {
      clientId: scene.newId(),
      clean: false,
      ...(version === 5 && { properties: { sessionExpiryInterval: 3600 } }),
    });
    await client.leave();
  };

  await t.test('5.5 > 100 unacked inbound QoS 1, v3: reading waits until PUBACKs are out', async () => {
    await absent(4);
    const { client } = await scene.enter(4);
    const ids = Array.from({ length: 130 }, (_, index) => index + 1);
    client.send(ids.map((id) => publish(id, 'kept/x')));
    assert.deepEqual(
      (await client.take(130)).map(shown),
      ids.map((id) => `PUBACK ${id}`),
    );
    assert.deepEqual(await client.heard(), []);
  });

  await t.test('5.5 > 100 unacked inbound QoS 1, v5: DISCONNECT 0x93', async () => {
    await absent(5);
    const { client } = await scene.enter(5);
    client.send(Array.from({ length: 130 }, (_, index) => publish(index + 1, 'kept/x')));
    assert.equal((await client.closed()).map(shown).at(-1), 'DISCONNECT 0x93');
  });

  await t.test('5.5 Packet id already in use, v5: PUBACK 0x91', async () => {
    await absent(5);
    const { client } = await scene.enter(5);
    client.send([publish(7, 'kept/x'), publish(7, 'kept/x')]);
    assert.deepEqual((await client.heard(2)).sort(), ['PUBACK 7', 'PUBACK 7 0x91']);
  });

  await bothVersions(
    t,
    (version) => `5.5 PUBACKs keep the order of their publishes, ${name(version)}`,
    async (version) => {
      await absent(version);
      const { client } = await scene.enter(version);
      client.send([publish(3, 'kept/x'), publish(1, 'own/x'), publish(2, 'kept/x'), publish(9, 'own/x')]);
      assert.deepEqual(await client.heard(4), ['PUBACK 3', 'PUBACK 1', 'PUBACK 2', 'PUBACK 9']);
    },
  );

  await bothVersions(
    t,
    (version) =>
      `5.5 Retained store full, non-empty payload, ${name(version)}: ${version === 4 ? 'discarded, no PUBACK' : 'PUBACK 0x97'}`,
    async (version) => {
      const { client } = await scene.listen(version, 'own/full/#');
      const retained = (id: number, topic: string, text: string) => publish(id, topic, text, { retain: true });
      const accepted = (id: number, topic: string, text: string): string[] => [
        `PUBLISH ${topic} ${text} q1`,
        `PUBACK ${id}`,
      ];
      const sort = (lines: string[]): string[] => lines.sort();
      client.send([retained(1, 'own/full/1', 'x'), retained(2, 'own/full/2', 'x')]);
      assert.deepEqual(
        sort(await client.heard(4)),
        sort([...accepted(1, 'own/full/1', 'x'), ...accepted(2, 'own/full/2', 'x')]),
      );
      client.send(retained(3, 'own/full/3', 'x'));
      assert.deepEqual(await client.heard(version === 4 ? 0 : 1), version === 4 ? [] : ['PUBACK 3 0x97']);
      client.send(retained(4, 'own/full/1', 'again')); // replaces
      assert.deepEqual(sort(await client.heard(2)), sort(accepted(4, 'own/full/1', 'again')));
      client.send([retained(5, 'own/full/1', ''), retained(6, 'own/full/2', '')]);
      assert.deepEqual(
        sort(await client.heard(4)),
        sort([...accepted(5, 'own/full/1', ''), ...accepted(6, 'own/full/2', '')]),
      );
    },
  );
});
