import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { testAccount, testStartMs } from '../../../test/call.ts';
import { openIamBed } from '../../../test/iam-bed.ts';
import type { Caller } from '../../feature.ts';
import type { Reason } from '../../journal/record.ts';
import type { Admission, AskedKeys, Authority, IotAction } from '../../mqtt/authority.ts';
import { createLiveSigners, type LiveSignersOptions } from './live-signers.ts';

const arn = (resource: string): string => `arn:aws:iot:us-east-1:${testAccount.accountId}:${resource}`;
const documentOf = (...statements: readonly object[]): string =>
  JSON.stringify({ Version: '2012-10-17', Statement: statements });
const allow = (Action: string | readonly string[], Resource = '*') => ({ Effect: 'Allow', Action, Resource });

const open = async (t: TestContext, options: Partial<LiveSignersOptions> = {}) => {
  const bed = await openIamBed(t);
  const signers = createLiveSigners({
    iam: bed.iam,
    bus: bed.bus,
    now: bed.call.now,
    recheckMs: 3_600_000,
    ...options,
  });
  t.after(signers.close);
  const admit = (caller: Caller, transport: 'websocket' | 'https' = 'websocket'): Promise<Admission> =>
    signers.admit({ account: testAccount, ...caller }, { remoteAddress: '192.0.2.7', transport });
  return {
    ...{ ...bed, signers, admit },
    async enter(caller: Caller): Promise<{ authority: Authority; lost: Reason[] }> {
      const admission = await admit(caller);
      assert('authority' in admission);
      const lost: Reason[] = [];
      admission.authority.onLost((reason) => lost.push(reason));
      return { authority: admission.authority, lost };
    },
  };
};
/** Waits as mqtt does before it decides. */
const settle = async (authority: Authority): Promise<void> => {
  for (let stale = authority.stale(); stale !== undefined; stale = authority.stale()) await stale;
};

test('a user may do on the data plane what its policies allow: clients, topics, filters (policy.md 3)', async (t) => {
  const { user, enter } = await open(t);
  const alice = await user(
    'alice',
    documentOf(
      allow('iot:Connect', arn('client/alice-*')),
      allow('iot:Publish', arn('topic/out/*')),
      allow('iot:Subscribe', arn('topicfilter/in/*')),
      { ...allow('iot:Receive'), Condition: { Bool: { 'aws:SecureTransport': 'true' } } },
      { ...allow('iot:GetConnection'), Condition: { IpAddress: { 'aws:SourceIp': '192.0.2.7/32' } } },
      { ...allow('iot:SendDirectMessage'), Condition: { StringEquals: { 'iot:Topic': 'a' } } },
      {
        ...{ ...allow('iot:GetConnection'), Effect: 'Deny' },
        Condition: { Bool: { 'iot:IncludeSocketInformation': 'true' } },
      },
    ),
  );
  const { authority } = await enter(alice);
  assert.deepEqual([authority.account, authority.principalId], [testAccount, alice.userId]);
  const asked: [action: IotAction, resource: string, expected: boolean, keys?: AskedKeys][] = [
    ['iot:Connect', 'client/alice-1', true],
    ['iot:Connect', 'client/bob', false],
    ['iot:Publish', 'topic/out/1', true],
    ['iot:Publish', 'topic/in/1', false],
    ['iot:RetainPublish', 'topic/out/1', false],
    ['iot:Subscribe', 'topicfilter/in/#', true],
    ['iot:Receive', 'topic/x', true],
    ['iot:GetConnection', 'client/x', true, { includeSocketInformation: false }],
    ['iot:GetConnection', 'client/x', false, { includeSocketInformation: true }],
    ['iot:ListRetainedMessages', '*', false],
    ['iot:SendDirectMessage', 'client/x', true, { topic: 'a' }],
    ['iot:SendDirectMessage', 'client/x', false, { topic: 'b' }],
  ];
  for (const [action, resource, expected, keys] of asked) {
    assert.equal(authority.allows(action, resource, keys), expected, `${action} ${resource}`);
    assert.equal(authority.weigh(action, resource, keys).decision === 'ALLOWED', expected);
  }
});

test('what is denied is told with the statement and its policy, once', async (t) => {
  const { user, enter } = await open(t);
  const never = { Sid: 'Never', Effect: 'Deny', Action: 'iot:Publish', Resource: '*' };
  const { authority } = await enter(await user('alice', documentOf(allow('*'), never)));
  const { decision, statements, decidedBy } = authority.weigh('iot:Publish', 'topic/a');
  assert.deepEqual([decision, decidedBy], ['EXPLICIT_DENY', 0]);
  assert.deepEqual([statements[0]?.policyName, statements[0]?.sid, statements[0]?.index], ['own', 'Never', 1]);
  const { userName, policyType, heldBy, decidingDocument } = authority.facts();
  assert.deepEqual([userName, policyType, heldBy], ['alice', 'identity', 'user']);
  assert.deepEqual(JSON.parse(decidingDocument ?? ''), JSON.parse(documentOf(allow('*'), never)));
  assert.deepEqual(Object.keys(authority.facts()), ['principalArn', 'userName']);
});

test('a change of policies holds up decisions until it is read, and moves the revision', async (t) => {
  const { user, enter, run } = await open(t);
  const { authority, lost } = await enter(await user('alice', documentOf(allow('iot:*'))));
  assert.equal(authority.stale(), undefined);
  const { revision } = authority;
  await run('PutUserPolicy', {
    UserName: 'alice',
    PolicyName: 'own',
    PolicyDocument: documentOf(allow('iot:Connect')),
  });
  assert.ok(authority.stale(), 'nothing may be decided by what is out of date');
  await settle(authority);
  assert.deepEqual(
    [authority.allows('iot:Publish', 'topic/a'), authority.allows('iot:Connect', 'client/a')],
    [false, true],
  );
  assert.notEqual(authority.revision, revision);
  assert.deepEqual(lost, []);
});

test('a lost notice is healed by the next round', async (t) => {
  const deaf = { publish: () => undefined, subscribe: () => () => undefined, close: async () => undefined };
  const { user, enter, run, signers, wait } = await open(t, { bus: deaf });
  const { authority } = await enter(await user('alice', documentOf(allow('iot:*'))));
  await run('DeleteUserPolicy', { UserName: 'alice', PolicyName: 'own' });
  assert.equal(authority.stale(), undefined);
  wait(1000);
  await signers.recheck();
  assert.equal(authority.allows('iot:Publish', 'topic/a'), false);
});

const ends: [rule: string, end: (bed: Awaited<ReturnType<typeof open>>, keyId: string) => Promise<unknown>][] = [
  [
    'its key is deactivated',
    ({ run }, AccessKeyId) => run('UpdateAccessKey', { UserName: 'alice', AccessKeyId, Status: 'Inactive' }),
  ],
  ['its key is deleted', ({ run }, AccessKeyId) => run('DeleteAccessKey', { UserName: 'alice', AccessKeyId })],
  [
    'the user is deleted',
    async ({ run }, AccessKeyId) => {
      await run('DeleteUserPolicy', { UserName: 'alice', PolicyName: 'own' });
      await run('DeleteAccessKey', { UserName: 'alice', AccessKeyId });
      await run('DeleteUser', { UserName: 'alice' });
    },
  ],
];
for (const [rule, end] of ends) {
  test(`a user is closed when ${rule}, and not let in again; others stay`, async (t) => {
    const bed = await open(t);
    const alice = await bed.user('alice', documentOf(allow('iot:*')));
    const { authority, lost } = await bed.enter(alice);
    const other = await bed.enter(await bed.user('bob', documentOf(allow('iot:*'))));
    await end(bed, alice.accessKeyId);
    await settle(authority);
    await settle(other.authority);
    assert.deepEqual([lost, other.lost], [['ACCESS_KEY_NO_LONGER_ACTIVE'], []]);
    assert.equal(authority.allows('iot:Connect', 'client/a'), false);
    const again = await bed.admit(alice);
    assert('refusal' in again);
    assert.deepEqual(
      [again.refusal, again.account, again.facts?.['userName']],
      ['ACCESS_KEY_NO_LONGER_ACTIVE', testAccount, 'alice'],
    );
    assert.equal(bed.signers.size(), 1);
  });
}

test('a session of a role is closed when its credentials expire, or the role is deleted', async (t) => {
  const { session, enter, advance, signers, run, call, admit } = await open(t);
  const caller = await session('deploy', documentOf(allow('iot:*')), { seconds: 900 });
  const short = await enter(caller);
  const long = await enter(await session('other', documentOf(allow('iot:*'))));
  assert.deepEqual(short.authority.facts(), {
    principalArn: `arn:aws:sts::${testAccount.accountId}:assumed-role/deploy/ci`,
    ...{ roleName: 'deploy', sessionName: 'ci' },
  });
  advance(899_999);
  await signers.recheck();
  assert.deepEqual(short.lost, []);
  advance(1);
  assert.equal(call.now(), testStartMs + 900_000);
  await signers.recheck();
  assert.deepEqual([short.lost, long.lost], [['SECURITY_TOKEN_EXPIRED'], []]);
  const again = await admit(caller);
  assert.equal('refusal' in again && again.refusal, 'SECURITY_TOKEN_EXPIRED');
  await run('DeleteRolePolicy', { RoleName: 'other', PolicyName: 'own' });
  await run('DeleteRole', { RoleName: 'other' });
  await settle(long.authority);
  assert.deepEqual(long.lost, ['ACCESS_KEY_NO_LONGER_ACTIVE']);
});

test('a session policy narrows what the role may', async (t) => {
  const { session, enter } = await open(t);
  const sessionPolicy = documentOf(allow('iot:Publish', arn('topic/a')));
  const { authority } = await enter(await session('deploy', documentOf(allow('iot:*')), { sessionPolicy }));
  assert.deepEqual(
    [authority.allows('iot:Publish', 'topic/a'), authority.allows('iot:Publish', 'topic/b')],
    [true, false],
  );
  authority.weigh('iot:Publish', 'topic/b');
  assert.equal(authority.facts()['policyType'], 'session');
});

test('what is released is followed no longer, and a request over HTTPS never is', async (t) => {
  const { user, enter, admit, signers } = await open(t);
  const alice = await user('alice', documentOf(allow('iot:*')));
  const { authority } = await enter(alice);
  assert.equal(signers.size(), 1);
  authority.release();
  assert.deepEqual([signers.size(), authority.allows('iot:Connect', 'client/a')], [0, false]);
  const request = await admit(alice, 'https');
  assert.equal('authority' in request && request.authority.allows('iot:Publish', 'topic/a'), true);
  assert.equal(signers.size(), 0);
});

test('a store that fails is asked again, and nothing is decided meanwhile by what is known to be out of date', async (t) => {
  let isDown = false;
  const failures: unknown[] = [];
  const bed = await openIamBed(t);
  const signers = createLiveSigners({
    iam: {
      findKey: bed.iam.findKey,
      rightsOf: (caller) => (isDown ? Promise.reject(new Error('down')) : bed.iam.rightsOf(caller)),
    },
    ...{ bus: bed.bus, now: bed.call.now, recheckMs: 3_600_000 },
    failed: (cause) => failures.push(cause),
  });
  t.after(signers.close);
  // the pause before it asks again keeps no process alive; a server has its listeners
  const alive = setInterval(() => undefined, 1000);
  t.after(() => clearInterval(alive));
  const alice = await bed.user('alice', documentOf(allow('iot:*')));
  const admission = await signers.admit({ account: testAccount, ...alice }, { remoteAddress: '192.0.2.7' });
  assert('authority' in admission);
  const { authority } = admission;
  isDown = true;
  await bed.run('DeleteUserPolicy', { UserName: 'alice', PolicyName: 'own' });
  await authority.stale();
  assert.ok(failures.length > 0 && authority.stale());
  isDown = false;
  await settle(authority);
  assert.equal(authority.allows('iot:Publish', 'topic/a'), false);
});
