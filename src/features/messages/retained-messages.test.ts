import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { makeCall, otherAccount } from '../../../test/call.ts';
import { createBed } from '../../../test/mqtt-bed.ts';
import { Fault } from '../../aws/fault.ts';
import { publish } from './publish.ts';
import { getRetainedMessage, listRetainedMessages } from './retained-messages.ts';

const setUp = async (t: TestContext) => {
  const bed = createBed();
  t.after(() => bed.broker.close(0));
  return { ...(await makeCall(t, { features: [], broker: bed.broker })), bed };
};
const isFault = (name: string) => (error: unknown) => error instanceof Fault && error.name === name;
const payload = Buffer.from('kept');

test('what is retained is given as it was published, its user properties in order, names repeated (spec gateway.md 4)', async (t) => {
  const { bed, call } = await setUp(t);
  const userProperties = '[{"b":"1"},{"a":"ü"},{"b":"2"},{"__proto__":"3"}]';
  await publish({ topic: 'a/b', payload, qos: 1, retain: true, contentType: 'text/plain', userProperties }, call);
  const got = await getRetainedMessage({ topic: 'a/b' }, call);
  assert.deepEqual(
    { ...got, payload: String(got.payload), userProperties: Buffer.from(got.userProperties ?? '').toString() },
    { topic: 'a/b', payload: 'kept', qos: 1, lastModifiedTime: bed.clock.nowMs, userProperties },
  );
  await publish({ topic: 'a/b', payload, retain: true }, call);
  assert.deepEqual(Object.keys(await getRetainedMessage({ topic: 'a/b' }, call)), [
    'topic',
    'payload',
    'qos',
    'lastModifiedTime',
  ]);
});

test('an empty message clears it, an expired one is gone, and a topic without one is 404 (check 27)', async (t) => {
  const { bed, call } = await setUp(t);
  const missing = (topic: string) =>
    assert.rejects(getRetainedMessage({ topic }, call), isFault('ResourceNotFoundException'));
  await publish({ topic: 'cleared', payload, retain: true }, call);
  await publish({ topic: 'cleared', retain: true }, call);
  await missing('cleared');
  await publish({ topic: 'short', payload, retain: true, messageExpiry: 10 }, call);
  await getRetainedMessage({ topic: 'short' }, call);
  bed.clock.nowMs += 10_000;
  await missing('short');
  await missing('never');
  assert.deepEqual(await listRetainedMessages({}, call), { retainedTopics: [] });
});

for (const topic of ['', 'a\0', 'a/+', '#', 'x'.repeat(257)]) {
  test(`${JSON.stringify(topic.slice(0, 9))} is no topic that anything could be retained on: 400`, async (t) => {
    const { call } = await setUp(t);
    await assert.rejects(getRetainedMessage({ topic }, call), isFault('InvalidRequestException'));
  });
}

test('lists are of one account, without payloads, in topic order and pages', async (t) => {
  const { bed, call, callAs } = await setUp(t);
  for (const topic of ['b', 'a', 'a/b']) await publish({ topic, payload, retain: true }, call);
  await publish({ topic: 'theirs', payload, retain: true }, callAs(otherAccount));
  const first = await listRetainedMessages({ maxResults: 2 }, call);
  const summary = { payloadSize: 4, qos: 0, lastModifiedTime: bed.clock.nowMs };
  assert.deepEqual(first.retainedTopics, [
    { topic: 'a', ...summary },
    { topic: 'a/b', ...summary },
  ]);
  assert.deepEqual(await listRetainedMessages({ maxResults: 2, nextToken: first.nextToken }, call), {
    retainedTopics: [{ topic: 'b', ...summary }],
  });
});

test('iot:GetRetainedMessage is asked on the topic, iot:ListRetainedMessages on * (spec policy.md 3)', async (t) => {
  const { bed, call, callAs, records } = await setUp(t);
  await publish({ topic: 'a', payload, retain: true }, call);
  const rights = bed.principal('ab'.repeat(32), [
    ['iot:GetRetainedMessage', 'topic/a'],
    ['iot:ListRetainedMessages', 'topic/a'],
  ]);
  const device = callAs(rights.account, { principal: rights.authority() });
  await getRetainedMessage({ topic: 'a' }, device);
  await assert.rejects(getRetainedMessage({ topic: 'b' }, device), isFault('ForbiddenException'));
  await assert.rejects(listRetainedMessages({}, device), isFault('ForbiddenException'));
  assert.deepEqual(
    records.map(({ eventType, resource }) => [eventType, resource]),
    [
      ['GetRetainedMessage', 'arn:aws:iot:us-east-1:000000000000:topic/b'],
      ['ListRetainedMessage', '*'],
    ],
  );
  rights.become([['iot:ListRetainedMessages', '*']]);
  assert.equal((await listRetainedMessages({}, device)).retainedTopics?.length, 1);
});
