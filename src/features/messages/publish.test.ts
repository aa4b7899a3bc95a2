import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeCall, otherAccount } from '../../../test/call.ts';
import { createBed, Rights } from '../../../test/mqtt-bed.ts';
import { Fault, type FaultName } from '../../aws/fault.ts';
import type { Operations } from '../../aws/operations.ts';
import { publish } from './publish.ts';

type Input = Operations['iot-data']['Publish']['input'];

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const isFault = (name: FaultName, message?: RegExp) => (error: unknown) => {
  assert(error instanceof Fault, String(error));
  assert.equal(error.name, name);
  if (message) assert.match(error.message, message);
  return true;
};

const setUp = async (t: Parameters<typeof makeCall>[0], options: Parameters<typeof createBed>[0] = {}) => {
  const bed = createBed(options);
  t.after(() => bed.broker.close(0));
  const made = await makeCall(t, { features: [], broker: bed.broker });
  return { ...made, bed, counters: bed.broker.httpMetrics };
};

test('a message reaches the subscribers of its own account only, with its QoS and nothing else (spec gateway.md 3)', async (t) => {
  const { bed, call, callAs, counters } = await setUp(t);
  const client = await bed.connect(4, 'v3');
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a/+', qos: 1 }] });
  await client.next();
  assert.deepEqual(await publish({ topic: 'a/b', payload: bytes('one'), qos: 1 }, call), {});
  assert.deepEqual(await publish({ topic: 'a/b' }, call), {});
  await publish({ topic: 'a/b', payload: bytes('stranger') }, callAs(otherAccount));
  const received = await client.settled();
  assert.deepEqual(
    received.map((packet) => packet.cmd === 'publish' && [String(packet.payload), packet.qos, packet.retain]),
    [
      ['one', 1, false],
      ['', 0, false],
    ],
  );
  assert.equal(counters['PublishIn.Success'], 3);
  assert.equal(bed.broker.metrics['PublishIn.Success'], 0, 'the counters of MQTT are others');
});

test('the MQTT 5 properties arrive whole and in order, and are dropped for version 3 (spec gateway.md 3, 5.7)', async (t) => {
  const { bed, call } = await setUp(t);
  const [v5, v3] = [await bed.connect(5, 'v5'), await bed.connect(4, 'v3')];
  for (const client of [v5, v3]) {
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 0 }] });
    await client.next();
  }
  await publish(
    {
      topic: 'a',
      payload: bytes('x'),
      contentType: 'text/plain; charset=utf-8',
      responseTopic: 'answers/1',
      correlationData: Buffer.from([0, 255]).toString('base64'),
      messageExpiry: 90,
      payloadFormatIndicator: 'UTF8_DATA',
      userProperties: '[{"z":"1"},{"a":"ü"},{"z":"2"}]',
    },
    call,
  );
  const [five] = await v5.settled();
  assert(five?.cmd === 'publish');
  assert.deepEqual(
    { ...five.properties, userProperties: Object.entries({ ...five.properties?.userProperties }) },
    {
      payloadFormatIndicator: true,
      messageExpiryInterval: 90,
      contentType: 'text/plain; charset=utf-8',
      responseTopic: 'answers/1',
      correlationData: Buffer.from([0, 255]),
      userProperties: [
        ['z', ['1', '2']],
        ['a', 'ü'],
      ],
    },
  );
  const [three] = await v3.settled();
  assert(three?.cmd === 'publish');
  assert.equal(three.properties, undefined);
});

const refusals: [input: Input, fault: FaultName, message: RegExp, rule: string][] = [
  [{ topic: '' }, 'InvalidRequestException', /empty topic/, 'an empty topic'],
  [{ topic: 'a/+' }, 'InvalidRequestException', /wildcard/, 'a wildcard in a topic'],
  [{ topic: 'a/#' }, 'InvalidRequestException', /wildcard/, 'a wildcard in a topic'],
  [{ topic: 'a\0' }, 'InvalidRequestException', /character/, 'U+0000 [MQTT-1.5.4-2]'],
  [{ topic: 'a'.repeat(257) }, 'InvalidRequestException', /256 bytes/, 'a topic of 257 bytes'],
  [{ topic: '/'.repeat(8) }, 'InvalidRequestException', /7 forward slashes/, 'a topic of 8 slashes (check 30)'],
  [{ topic: '$foo/a' }, 'InvalidRequestException', /reserved/, 'a reserved topic without a use (6)'],
  [{ topic: '$aws/events/a' }, 'ForbiddenException', /only the service/, 'a topic that the service alone publishes on'],
  [{ topic: '$aws/things/t/shadow/update', retain: true }, 'InvalidRequestException', /retain/, 'RETAIN there (28)'],
  [{ topic: '$aws/things/t/shadow/update' }, 'NotImplementedException', /shadows/, 'a feature that is to come'],
  [
    { topic: '$aws/certificates/create/json' },
    'InvalidRequestException',
    /no connection to reply to/,
    'a reply may hold a private key (provisioning.md 4.1)',
  ],
  [{ topic: 'a', messageExpiry: -1 }, 'InvalidRequestException', /negative/, 'a negative expiry'],
  [{ topic: 'a', responseTopic: '' }, 'InvalidRequestException', /responseTopic/, 'an empty response topic'],
  [{ topic: 'a', responseTopic: 'a/+' }, 'InvalidRequestException', /responseTopic/, '[MQTT-3.3.2-14]'],
  [{ topic: 'a', contentType: 'a\0' }, 'InvalidRequestException', /contentType/, 'U+0000 in a property'],
  [{ topic: 'a', correlationData: '!' }, 'InvalidRequestException', /base64/, 'correlation data that is no base64'],
  [{ topic: 'a', userProperties: '{' }, 'InvalidRequestException', /not JSON/, 'user properties that are no JSON'],
  [
    { topic: 'a', userProperties: '{"a":"b"}' },
    'InvalidRequestException',
    /array/,
    'user properties that are no array',
  ],
  [
    { topic: 'a', userProperties: '[{"a":"b","c":"d"}]' },
    'InvalidRequestException',
    /one name/,
    'two pairs in one object',
  ],
  [{ topic: 'a', userProperties: '[{"a":1}]' }, 'InvalidRequestException', /one string/, 'a value that is no string'],
  [{ topic: 'a', userProperties: '[["a","b"]]' }, 'InvalidRequestException', /one name/, 'a pair that is no object'],
];
for (const [input, fault, message, rule] of refusals) {
  test(`${fault}: ${rule}`, async (t) => {
    const { call, records, counters } = await setUp(t);
    await assert.rejects(publish(input, call), isFault(fault, message));
    assert.deepEqual(
      records.map(({ eventType, status, protocol, facts }) => [eventType, status, protocol, facts?.['topic']]),
      [['Publish-In', 'Failure', 'HTTP', input.topic]],
    );
    assert.equal(counters['PublishIn.Success'], 0);
  });
}

test('a payload of 131072 bytes is taken, one byte more is 413 (spec gateway.md 3)', async (t) => {
  const { call, records, counters } = await setUp(t);
  await publish({ topic: 'a', payload: new Uint8Array(131_072) }, call);
  const tooLarge = publish({ topic: 'a', payload: new Uint8Array(131_073) }, call);
  await assert.rejects(tooLarge, isFault('RequestEntityTooLargeException', /131072 bytes/));
  assert.deepEqual([records[0]?.reason, counters['PublishIn.ClientError']], ['LIMIT_EXCEEDED', 1]);
});

test('the slashes of Basic Ingest are not counted, and an unknown rule is accepted (spec gateway.md 6; check 30)', async (t) => {
  const { call, records, counters } = await setUp(t);
  await publish({ topic: `$aws/rules/r${'/x'.repeat(8)}` }, call);
  await assert.rejects(publish({ topic: `$aws/rules/r${'/x'.repeat(9)}` }, call), isFault('InvalidRequestException'));
  assert.equal(counters.RuleNotFound, 1);
  assert.deepEqual(records[0]?.facts, { ruleName: 'r' });
});

test('a certificate needs iot:Publish, with RETAIN iot:RetainPublish too; a refusal is in the journal as it was weighed (policy.md 3)', async (t) => {
  const { callAs, records, bed, counters } = await setUp(t);
  const certificateId = 'ab'.repeat(32);
  const rights = bed.principal(certificateId, [['iot:Publish', 'topic/a']]);
  assert(rights instanceof Rights);
  const call = callAs(rights.account, { principal: rights.authority() });
  await publish({ topic: 'a' }, call);
  await assert.rejects(publish({ topic: 'b' }, call), isFault('ForbiddenException', /iot:Publish on topic\/b/));
  await assert.rejects(publish({ topic: 'a', retain: true }, call), isFault('ForbiddenException', /iot:RetainPublish/));
  assert.deepEqual(
    records.map(({ eventType, reason, action, resource, certificateId: who, decision }) => {
      return [eventType, reason, action, resource, who, decision];
    }),
    [
      ['iot:Publish', 'topic/b'],
      ['iot:RetainPublish', 'topic/a'],
    ].map(([action, resource]) => [
      'Publish-In',
      'AUTHORIZATION_FAILURE',
      action,
      `arn:aws:iot:us-east-1:000000000000:${resource}`,
      certificateId,
      'IMPLICIT_DENY',
    ]),
  );
  assert.deepEqual([counters['PublishIn.Success'], counters['PublishIn.AuthError']], [1, 2]);
  assert.equal(counters['PublishRetained.AuthError'], 1);
});

test('a change of rights that is being read is waited for', async (t) => {
  const { callAs, bed } = await setUp(t);
  const rights = bed.principal('ab'.repeat(32), [['*', '*']]);
  const call = callAs(rights.account, { principal: rights.authority() });
  const settle = rights.becomeSlowly([]);
  const sent = publish({ topic: 'a' }, call);
  settle();
  await assert.rejects(sent, isFault('ForbiddenException'));
});

test('one retained message more than the account may keep is 429; replacing and clearing go on (spec gateway.md 5.5, 12)', async (t) => {
  const { call, counters, records } = await setUp(t, { limits: { retainedPerAccountMax: 1 } });
  const payload = bytes('x');
  await publish({ topic: 'a', payload, retain: true }, call);
  await publish({ topic: 'a', payload, retain: true }, call);
  const more = publish({ topic: 'b', payload, retain: true }, call);
  await assert.rejects(more, isFault('ThrottlingException', /retainedPerAccountMax/));
  assert.deepEqual([records[0]?.reason, counters['PublishIn.Throttle']], ['LIMIT_EXCEEDED', 1]);
  await publish({ topic: 'a', retain: true }, call);
  await publish({ topic: 'b', payload, retain: true }, call);
});
