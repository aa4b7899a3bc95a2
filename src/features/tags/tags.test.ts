import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { makeCall, otherAccount, testAccount } from '../../../test/call.ts';
import { fails } from '../../../test/handler-fault.ts';
import { type AccountRegion, iotArn } from '../../aws/arn.ts';
import { Fault, type FaultName } from '../../aws/fault.ts';
import { tags } from './feature.ts';
import { listTagsForResource, type Taggable, tagResource, untagResource } from './operations.ts';

const arn = (name: string, account: AccountRegion = testAccount) => iotArn(account, 'policy', name);
/** Policies `a` and `b` exist, in every account. */
const taggable: Taggable = { policy: async (_db, _account, name) => name === 'a' || name === 'b' };
const [put, take, list] = [tagResource(taggable, {}), untagResource(taggable), listTagsForResource(taggable)];
const start = (t: TestContext) => makeCall(t, { features: [tags(taggable)] });
const numbered = (count: number) => Array.from({ length: count }, (_, index) => ({ Key: `k${index}`, Value: '' }));

test('tags are added, replaced, listed by key and removed; others stay (API reference, TagResource)', async (t) => {
  const { call, callAs } = await start(t);
  const resourceArn = arn('a');
  assert.deepEqual(await list({ resourceArn }, call), { tags: [] });
  const given = [
    { Key: 'team', Value: 'blue' },
    { Key: 'cost', Value: '' },
  ];
  assert.deepEqual(await put({ resourceArn, tags: given }, call), {});
  await put({ resourceArn, tags: [{ Key: 'team', Value: 'red' }, { Key: 'Team' } as never] }, call);
  await put({ resourceArn: arn('b'), tags: given }, call);
  assert.deepEqual(await list({ resourceArn }, call), {
    tags: [
      { Key: 'Team', Value: '' },
      { Key: 'cost', Value: '' },
      { Key: 'team', Value: 'red' },
    ],
  });
  assert.deepEqual(await take({ resourceArn, tagKeys: ['cost', 'Team', 'unknown'] }, call), {});
  assert.deepEqual(await list({ resourceArn }, call), { tags: [{ Key: 'team', Value: 'red' }] });
  await take({ resourceArn, tagKeys: [] }, call);
  await call.write((db) => call.release(db, resourceArn));
  assert.deepEqual(await list({ resourceArn }, call), { tags: [] });
  assert.equal((await list({ resourceArn: arn('b') }, call)).tags?.length, 2);
  const other = callAs(otherAccount);
  assert.deepEqual(await list({ resourceArn: arn('b', otherAccount) }, other), { tags: [] });
});

test('at most 50 tags, also in many steps and at once (developer guide, tag restrictions)', async (t) => {
  const { call } = await start(t);
  const resourceArn = arn('a');
  const tooMany = fails('LimitExceededException', /at most 50/);
  await assert.rejects(put({ resourceArn, tags: numbered(51) }, call), tooMany);
  await put({ resourceArn, tags: numbered(45) }, call);
  const asks = ['x', 'y', 'z', 'w'].map((prefix) =>
    put({ resourceArn, tags: numbered(2).map(({ Key }) => ({ Key: `${prefix}${Key}`, Value: '' })) }, call),
  );
  const outcomes = await Promise.allSettled(asks);
  assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 2);
  assert.equal((await list({ resourceArn }, call)).tags?.length, 49);
  await put({ resourceArn, tags: numbered(45).map(({ Key }) => ({ Key, Value: 'new' })) }, call);
});

const refused: [what: string, tags: { Key: string; Value: string }[], message: RegExp][] = [
  ['a reserved key', [{ Key: 'AWS:x', Value: '' }], /reserved/],
  [
    'a key given twice',
    [
      { Key: 'x', Value: '1' },
      { Key: 'x', Value: '2' },
    ],
    /twice/,
  ],
];
for (const [what, given, message] of refused) {
  test(`${what} is InvalidRequestException, and nothing is kept`, async (t) => {
    const { call } = await start(t);
    const resourceArn = arn('a');
    await assert.rejects(put({ resourceArn, tags: given }, call), fails('InvalidRequestException', message));
    assert.deepEqual(await list({ resourceArn }, call), { tags: [] });
  });
}

test('keys that begin with fleetgate: are settings, judged by the type of their resource', async (t) => {
  const { call } = await start(t);
  const judged: string[] = [];
  const withSettings = tagResource(taggable, {
    policy({ Key, Value }) {
      judged.push(`${Key}=${Value}`);
      if (Value === 'bad') throw new Fault('InvalidRequestException', 'bad');
    },
  });
  const setting = (Value: string, Key = 'fleetgate:x') => [
    { Key, Value },
    { Key: 'other', Value: '1' },
  ];
  const resourceArn = arn('a');
  await withSettings({ resourceArn, tags: setting('good') }, call);
  await assert.rejects(withSettings({ resourceArn, tags: setting('bad') }, call), fails('InvalidRequestException'));
  assert.deepEqual(judged, ['fleetgate:x=good', 'fleetgate:x=bad']);
  const none = fails('InvalidRequestException', /The tag key Fleetgate:y is no setting of this resource/);
  await assert.rejects(put({ resourceArn, tags: setting('', 'Fleetgate:y') }, call), none);
  assert.equal((await list({ resourceArn }, call)).tags?.[0]?.Value, 'good');
});

const resources: [resourceArn: string, fault: FaultName][] = [
  [arn('missing'), 'ResourceNotFoundException'],
  [arn('a', otherAccount), 'ResourceNotFoundException'],
  [arn('a', { ...testAccount, region: 'eu-west-1' }), 'ResourceNotFoundException'],
  [arn('a').replace('arn:aws:', 'arn:aws-cn:'), 'ResourceNotFoundException'],
  [arn('a').replace('policy/', 'policy:'), 'ResourceNotFoundException'],
  [arn('a').replace(':iot:', ':iam:'), 'InvalidRequestException'],
  [iotArn(testAccount, 'cert', 'a'), 'InvalidRequestException'],
  [iotArn(testAccount, 'thing', 'a').replace('thing', 'constructor'), 'InvalidRequestException'],
  ['a', 'InvalidRequestException'],
];
for (const [resourceArn, fault] of resources) {
  test(`${resourceArn} cannot be tagged: ${fault}`, async (t) => {
    const { call } = await start(t);
    const tag = { Key: 'k', Value: 'v' };
    await assert.rejects(put({ resourceArn, tags: [tag] }, call), fails(fault));
    await assert.rejects(take({ resourceArn, tagKeys: ['k'] }, call), fails(fault));
    await assert.rejects(list({ resourceArn }, call), fails(fault));
  });
}

test('there is one page, so that every token is a foreign one', async (t) => {
  const { call } = await start(t);
  const nextToken = call.sealMarker('k');
  await assert.rejects(list({ resourceArn: arn('a'), nextToken }, call), fails('InvalidRequestException'));
});
