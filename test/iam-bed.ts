/** IAM over a real store, for tests of what asks it: operations by their handlers, and the rights as a node reads them. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { TestContext } from 'node:test';
import type { Caller, HandlersOf } from '../src/feature.ts';
import { accounts } from '../src/features/accounts/feature.ts';
import { iam as iamFeature } from '../src/features/iam/feature.ts';
import { openIam } from '../src/features/iam/open-iam.ts';
import { createSecretBox } from '../src/pki/secret-box.ts';
import { makeCall, testAccount } from './call.ts';

type IamHandlers = Required<HandlersOf<'iam'>>;

export const openIamBed = async (t: TestContext) => {
  const key = randomBytes(32);
  const box = createSecretBox(key);
  const unused = () => assert.fail('not asked here');
  const feature = iamFeature({ box, iam: { rightsOf: unused, keysOf: unused, mintSession: unused } });
  const made = await makeCall(t, { features: [accounts(), feature] });
  const { call, store, bus } = made;
  let elapsedMs = 0;
  const iam = openIam({ store, bus, box, key, now: call.now, elapsedMs: () => elapsedMs, trouble: unused });
  t.after(iam.close);
  const run = <Name extends keyof IamHandlers>(
    name: Name,
    input: Parameters<IamHandlers[Name]>[0],
  ): ReturnType<IamHandlers[Name]> => {
    const handler = feature.operations?.iam?.[name];
    assert(handler, `${name} is handled`);
    // one of many operations, each with an input of its own
    return (handler as (input: unknown, of: typeof call) => ReturnType<IamHandlers[Name]>)(input, call);
  };
  const callerOf = async (accessKeyId: string, sessionToken?: string): Promise<Caller> => {
    const identity = await iam.findKey(accessKeyId, { loopback: false, forwarded: false }, sessionToken);
    assert(identity);
    const { accountId: _, secretAccessKey: __, sessionToken: ___, ...caller } = identity;
    return { accessKeyId, ...caller };
  };
  return {
    ...{ ...made, iam, run, callerOf },
    /** Moves the clock that nobody moves. */
    wait(ms: number) {
      elapsedMs += ms;
    },
    /** A new user with a key and an inline policy `own`. */
    async user(UserName: string, PolicyDocument: string, Path = '/'): Promise<Caller> {
      await run('CreateUser', { UserName, Path });
      await run('PutUserPolicy', { UserName, PolicyName: 'own', PolicyDocument });
      const { AccessKey } = await run('CreateAccessKey', { UserName });
      return callerOf(AccessKey?.AccessKeyId ?? '');
    },
    /** A session of a new role with an inline policy `own`. */
    async session(
      RoleName: string,
      PolicyDocument: string,
      { sessionPolicy, seconds = 3600 }: { readonly sessionPolicy?: string; readonly seconds?: number } = {},
    ): Promise<Caller> {
      const AssumeRolePolicyDocument = JSON.stringify({
        Version: '2012-10-17',
        Statement: [{ Effect: 'Allow', Principal: { AWS: testAccount.accountId }, Action: 'sts:AssumeRole' }],
      });
      const { Role } = await run('CreateRole', { RoleName, AssumeRolePolicyDocument });
      await run('PutRolePolicy', { RoleName, PolicyName: 'own', PolicyDocument });
      const { accessKeyId, sessionToken } = iam.mintSession({
        accountId: testAccount.accountId,
        principal: {
          ...{ kind: 'role', roleName: RoleName, roleId: Role?.RoleId ?? '', sessionName: 'ci' },
          ...(sessionPolicy !== undefined && { sessionPolicies: { document: sessionPolicy, arns: [] } }),
        },
        durationSeconds: seconds,
      });
      return callerOf(accessKeyId, sessionToken);
    },
  };
};
