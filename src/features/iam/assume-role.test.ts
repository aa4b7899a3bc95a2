/** What a trust policy gives to whom it names, where the caller's own rights say nothing. Source: IAM user guide, "Permissions boundaries", "Session policies". */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testAccount } from '../../../test/call.ts';
import { openIamBed } from '../../../test/iam-bed.ts';
import { Fault } from '../../aws/fault.ts';
import type { Caller } from '../../feature.ts';
import { assumeRole } from './assume-role.ts';

const { accountId } = testAccount;
const version = '2012-10-17';
const allowing = (Action: string) =>
  JSON.stringify({ Version: version, Statement: [{ Effect: 'Allow', Action, Resource: '*' }] });
const userArn = `arn:aws:iam::${accountId}:user/alice`;
const roleArn = `arn:aws:iam::${accountId}:role/Builder`;
const sessionArn = `arn:aws:sts::${accountId}:assumed-role/Builder/ci`;

type Limit = 'nothing' | 'a session policy' | 'a boundary';
const rows: readonly [trusted: string, who: 'user' | 'session', limit: Limit, assumes: boolean][] = [
  [userArn, 'user', 'nothing', true],
  [userArn, 'user', 'a boundary', true],
  ['*', 'user', 'nothing', true],
  ['*', 'user', 'a boundary', false],
  [accountId, 'user', 'nothing', false],
  [roleArn, 'session', 'nothing', true],
  [roleArn, 'session', 'a session policy', false],
  [roleArn, 'session', 'a boundary', false],
  [sessionArn, 'session', 'a session policy', true],
  [sessionArn, 'session', 'a boundary', true],
  [accountId, 'session', 'nothing', false],
];
for (const [trusted, who, limit, assumes] of rows) {
  test(`a role that trusts ${trusted} is ${assumes ? '' : 'not '}assumed by a ${who} whom ${limit} limits`, async (t) => {
    const { run, user, session, iam, call } = await openIamBed(t);
    const narrow = allowing('s3:*');
    const caller =
      who === 'user'
        ? await user('alice', narrow)
        : await session('Builder', narrow, limit === 'a session policy' ? { sessionPolicy: narrow } : {});
    if (limit === 'a boundary') {
      await run('CreatePolicy', { PolicyName: 'bound', PolicyDocument: narrow });
      const PermissionsBoundary = `arn:aws:iam::${accountId}:policy/bound`;
      if (who === 'user') await run('PutUserPermissionsBoundary', { UserName: 'alice', PermissionsBoundary });
      else await run('PutRolePermissionsBoundary', { RoleName: 'Builder', PermissionsBoundary });
    }
    const Statement = [{ Effect: 'Allow', Principal: { AWS: trusted }, Action: 'sts:AssumeRole' }];
    const AssumeRolePolicyDocument = JSON.stringify({ Version: version, Statement });
    await run('CreateRole', { RoleName: 'Target', AssumeRolePolicyDocument });
    const input = { RoleArn: `arn:aws:iam::${accountId}:role/Target`, RoleSessionName: 's' };
    const asked = Promise.resolve(assumeRole(iam)(input, { ...call, caller }));
    if (assumes) assert.ok((await asked).Credentials);
    else await assert.rejects(asked, (error) => error instanceof Fault && error.name === 'AccessDeniedException');
  });
}

test('who has a policy that is gone or cannot be read assumes nothing, whoever the trust policy names', async (t) => {
  const { run, user, session, iam, callAs, store } = await openIamBed(t);
  const alice = await user('alice', allowing('sts:*'));
  const { Policy } = await run('CreatePolicy', { PolicyName: 'narrow', PolicyDocument: allowing('s3:*') });
  const role = (await session('Builder', allowing('sts:*'))).iam;
  assert(role?.kind === 'role');
  const builder = { accessKeyId: '', arn: sessionArn, userId: '' };
  const narrowed = { ...builder, iam: { ...role, sessionPolicies: { arns: [Policy?.Arn ?? ''] } } };
  const unreadable = {
    ...builder,
    iam: { ...role, sessionPolicies: { arns: [], document: 'as an older version took it' } },
  };
  await run('DeletePolicy', { PolicyArn: Policy?.Arn });
  await store.write((db) =>
    db
      .updateTable('iam_inline_policies')
      .set({ document: 'as an older version took it' })
      .where('account_id', '=', accountId)
      .where('entity_id', '=', alice.userId)
      .execute(),
  );
  await run('CreateRole', {
    RoleName: 'target',
    AssumeRolePolicyDocument: JSON.stringify({
      Version: version,
      Statement: [{ Effect: 'Allow', Principal: { AWS: [userArn, roleArn] }, Action: 'sts:AssumeRole' }],
    }),
  });
  const assume = (caller: Partial<Caller>) =>
    assumeRole(iam)(
      { RoleArn: `arn:aws:iam::${accountId}:role/target`, RoleSessionName: 'shift' },
      callAs(testAccount, caller),
    );
  await assume({ ...builder, iam: role });
  for (const caller of [alice, narrowed, unreadable]) {
    await assert.rejects(assume(caller), { name: 'AccessDeniedException' });
  }
});
