import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { otherAccount, testAccount } from '../../../test/call.ts';
import { openIamBed } from '../../../test/iam-bed.ts';
import { allowing, trusting } from '../../../test/iam-scene.ts';
import type { Caller } from '../../feature.ts';
import { assumeRole } from './assume-role.ts';

const { accountId } = testAccount;
const arn = (resource: string, owner = accountId): string => `arn:aws:iam::${owner}:${resource}`;

const open = async (t: TestContext) => {
  const bed = await openIamBed(t);
  const { run, callAs, iam } = bed;
  const RoleArn = arn('role/target');
  const assume = (caller: Caller) =>
    assumeRole(iam)({ RoleArn, RoleSessionName: 'shift' }, callAs(testAccount, caller)).then(() => 'assumed');
  return {
    ...bed,
    trust: (...principals: readonly string[]) =>
      run('CreateRole', { RoleName: 'target', AssumeRolePolicyDocument: trusting(...principals) }),
    trustAgain: (...principals: readonly string[]) =>
      run('UpdateAssumeRolePolicy', { RoleName: 'target', PolicyDocument: trusting(...principals) }),
    assume,
    /** Takes a user away with its key and its policy. */
    async removeUser(UserName: string, { accessKeyId: AccessKeyId }: Caller) {
      await run('DeleteAccessKey', { UserName, AccessKeyId });
      await run('DeleteUserPolicy', { UserName, PolicyName: 'own' });
      await run('DeleteUser', { UserName });
    },
  };
};

const denied = { name: 'AccessDeniedException' };

test('a user that is made again under the name of one that was trusted is not trusted, until the policy is written again', async (t) => {
  const { user, trust, trustAgain, assume, removeUser, run } = await open(t);
  const first = await user('alice', allowing('iot:*'), '/team/');
  const trusted = arn('user/team/alice');
  await trust(trusted);
  assert.equal(await assume(first), 'assumed');
  await removeUser('alice', first);
  const second = await user('alice', allowing('sts:*'), '/team/');
  assert.equal(second.arn, first.arn);
  await assert.rejects(assume(second), denied);
  await run('UpdateRole', { RoleName: 'target', Description: 'as it was' });
  await assert.rejects(assume(second), denied);
  await trustAgain(trusted);
  assert.equal(await assume(second), 'assumed');
});

test('a user that gets another name or path stays whom a trust policy means, where it allows and where it denies', async (t) => {
  const { user, trust, assume, run } = await open(t);
  const alice = await user('alice', allowing('iot:*'));
  await trust(arn('user/alice'));
  await run('UpdateUser', { UserName: 'alice', NewUserName: 'alicia', NewPath: '/team/' });
  assert(alice.iam?.kind === 'user');
  const alicia = { ...alice, arn: arn('user/team/alicia'), iam: { ...alice.iam, userName: 'alicia' } };
  assert.equal(await assume(alicia), 'assumed');
  await assert.rejects(assume(await user('alice', allowing('sts:*'))), denied, 'who has the name now is another one');
  const statements = [
    { Effect: 'Allow', Principal: { AWS: accountId }, Action: 'sts:AssumeRole' },
    { Effect: 'Deny', Principal: { AWS: arn('user/bob') }, Action: 'sts:AssumeRole' },
  ];
  const bob = await user('bob', allowing('sts:*'));
  const PolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement: statements });
  await run('UpdateAssumeRolePolicy', { RoleName: 'target', PolicyDocument });
  await run('UpdateUser', { UserName: 'bob', NewUserName: 'robert' });
  assert(bob.iam?.kind === 'user');
  const robert = { ...bob, arn: arn('user/robert'), iam: { ...bob.iam, userName: 'robert' } };
  await assert.rejects(assume(robert), denied);
});

test('so it is with a role, whether it is named itself or by a session', async (t) => {
  for (const name of [arn('role/ci'), `arn:aws:sts::${accountId}:assumed-role/ci/ci`]) {
    await t.test(name, async (sub) => {
      const { session, trust, assume, run } = await open(sub);
      const first = await session('ci', allowing('sts:*'));
      await trust(name);
      assert.equal(await assume(first), 'assumed');
      await run('DeleteRolePolicy', { RoleName: 'ci', PolicyName: 'own' });
      await run('DeleteRole', { RoleName: 'ci' });
      const second = await session('ci', allowing('sts:*'));
      assert.equal(second.arn, first.arn);
      await assert.rejects(assume(second), denied);
    });
  }
});

test('whom a trust policy names must be there (Observed: the sentence of AWS); an account and its root need no look', async (t) => {
  const { user, trust, trustAgain } = await open(t);
  await user('alice', allowing('iot:*'), '/team/');
  await trust(accountId, arn('root', otherAccount.accountId), '*', arn('user/team/alice'));
  for (const nobody of [
    arn('user/nobody'),
    arn('user/alice'),
    arn('role/alice'),
    arn('user/team/alice', otherAccount.accountId),
    `arn:aws:sts::${accountId}:assumed-role/nobody/ci`,
  ]) {
    await assert.rejects(trustAgain(nobody), {
      name: 'MalformedPolicyDocumentException',
      message: `Invalid principal in policy: "AWS":"${nobody}"`,
    });
  }
});
