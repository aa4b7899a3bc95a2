/** Keys and sessions as a node asks about them: what a change does, how fast, and what it does not. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { makeCall, otherAccount, testAccount } from '../../../test/call.ts';
import { allowing, trusting } from '../../../test/iam-scene.ts';
import { memoryStore } from '../../../test/memory-store.ts';
import type { IamPrincipal } from '../../aws/iam-principal.ts';
import { localBus } from '../../bus/local.ts';
import type { Call, HandlersOf } from '../../feature.ts';
import { createSecretBox } from '../../pki/secret-box.ts';
import { accounts } from '../accounts/feature.ts';
import { insertAccessKey } from './access-key.ts';
import { insertEntity } from './entity.ts';
import { iam as iamFeature } from './feature.ts';
import { migrations } from './migrations.ts';
import { openIam } from './open-iam.ts';

const here = { loopback: true, forwarded: false };
const elsewhere = { loopback: false, forwarded: false };
const { accountId } = testAccount;
const trouble = (error: unknown): never => assert.fail(String(error));

type IamHandlers = Required<HandlersOf<'iam'>>;

const open = async (t: TestContext) => {
  const key = randomBytes(32);
  const box = createSecretBox(key);
  const unused = () => assert.fail('not asked here');
  const feature = iamFeature({ box, iam: { rightsOf: unused, keysOf: unused, mintSession: unused } });
  const { call, callAs, store, bus, advance } = await makeCall(t, { features: [accounts(), feature] });
  let elapsedMs = 0;
  const opening = { store, box, key, now: () => call.now(), elapsedMs: () => elapsedMs, trouble };
  const node = openIam({ ...opening, bus });
  /** Shares the store, and hears no notice. */
  const deaf = openIam({ ...opening, bus: localBus() });
  t.after(() => Promise.all([node.close(), deaf.close()]));
  const run = <Name extends keyof IamHandlers>(
    name: Name,
    input: Parameters<IamHandlers[Name]>[0],
    as: Call = call,
  ): ReturnType<IamHandlers[Name]> => {
    const handler = feature.operations?.iam?.[name];
    assert(handler, `${name} is handled`);
    // one of many operations, each with an input of its own
    return (handler as (input: unknown, call: Call) => ReturnType<IamHandlers[Name]>)(input, as);
  };
  return {
    ...{ call, callAs, store, node, deaf, run, advance },
    /** Moves the clock that nobody moves. */
    wait(ms: number) {
      elapsedMs += ms;
    },
    async userKey(UserName: string, as: Call = call) {
      await run('CreateUser', { UserName, Path: '/team/' }, as);
      const { AccessKey } = await run('CreateAccessKey', { UserName }, as);
      return { AccessKeyId: AccessKey?.AccessKeyId ?? '', SecretAccessKey: AccessKey?.SecretAccessKey ?? '' };
    },
  };
};
type World = Awaited<ReturnType<typeof open>>;

/** A caller as the API makes it of an identity. */
const callerOf = async ({ node }: World, keyId: string, sessionToken?: string) => {
  const identity = await node.findKey(keyId, elsewhere, sessionToken);
  assert(identity);
  const { arn, userId, iam, session } = identity;
  return { accountId: identity.accountId, arn, userId, iam, session };
};

test("a user's key stands for the user, from everywhere, until it is Inactive or deleted; both act at once", async (t) => {
  const world = await open(t);
  const { node, run, userKey } = world;
  const { AccessKeyId, SecretAccessKey } = await userKey('alice');
  const identity = await node.findKey(AccessKeyId, elsewhere);
  const { iam } = identity ?? {};
  assert(iam?.kind === 'user');
  assert.match(iam.userId, /^AIDA/);
  assert.deepEqual(identity, {
    ...{ accountId, secretAccessKey: SecretAccessKey, arn: `arn:aws:iam::${accountId}:user/team/alice` },
    ...{ userId: iam.userId, iam: { kind: 'user', userName: 'alice', userId: iam.userId } },
  });
  const ofAlice = { UserName: 'alice', AccessKeyId };
  for (const Status of ['Inactive', 'Active', 'Inactive'] as const) {
    await run('UpdateAccessKey', { ...ofAlice, Status });
    assert.equal((await node.findKey(AccessKeyId, here)) !== undefined, Status === 'Active', Status);
  }
  await run('UpdateAccessKey', { ...ofAlice, Status: 'Active' });
  await run('DeleteAccessKey', ofAlice);
  assert.equal(await node.findKey(AccessKeyId, here), undefined);
});

test('a key whose notice was lost fails within a second of its end (issue 6)', async (t) => {
  const { deaf, run, userKey, wait } = await open(t);
  const [a, b] = [await userKey('alice'), await userKey('bob')];
  for (const { AccessKeyId } of [a, b]) assert.ok(await deaf.findKey(AccessKeyId, here));
  await run('UpdateAccessKey', { UserName: 'alice', AccessKeyId: a.AccessKeyId, Status: 'Inactive' });
  await run('DeleteAccessKey', { UserName: 'bob', AccessKeyId: b.AccessKeyId });
  wait(999);
  for (const { AccessKeyId } of [a, b]) assert.ok(await deaf.findKey(AccessKeyId, here), 'as it was read');
  wait(1);
  for (const { AccessKeyId } of [a, b]) assert.equal(await deaf.findKey(AccessKeyId, here), undefined);
});

test('keys are changed one after the other without a moment in which neither works', async (t) => {
  const { node, run, userKey } = await open(t);
  const old = await userKey('alice');
  const { AccessKey } = await run('CreateAccessKey', { UserName: 'alice' });
  const fresh = AccessKey?.AccessKeyId ?? '';
  assert.ok((await node.findKey(old.AccessKeyId, here)) && (await node.findKey(fresh, here)));
  await run('UpdateAccessKey', { UserName: 'alice', AccessKeyId: old.AccessKeyId, Status: 'Inactive' });
  assert.ok(!(await node.findKey(old.AccessKeyId, here)) && (await node.findKey(fresh, here)));
  await run('DeleteAccessKey', { UserName: 'alice', AccessKeyId: old.AccessKeyId });
  assert.ok(await node.findKey(fresh, here));
});

test('a renamed user keeps its keys and is called by its new name', async (t) => {
  const world = await open(t);
  const { run, userKey } = world;
  const { AccessKeyId } = await userKey('alice');
  await callerOf(world, AccessKeyId);
  await run('UpdateUser', { UserName: 'alice', NewUserName: 'Alba', NewPath: '/' });
  const { arn, iam } = await callerOf(world, AccessKeyId);
  assert.deepEqual([arn, iam.kind === 'user' && iam.userName], [`arn:aws:iam::${accountId}:user/Alba`, 'Alba']);
});

test('a hot key asks the store for nothing but, once a second, whether anything has changed', async (t) => {
  const key = randomBytes(32);
  const box = createSecretBox(key);
  const store = memoryStore(migrations);
  const { id: userId } = await insertEntity(store.db, accountId, 'user', { name: 'alice', createdAtMs: 0 });
  const { accessKeyId } = await insertAccessKey(store.db, box, { accountId, userId, createdAtMs: 0 });
  let elapsedMs = 0;
  const node = openIam({ store, box, key, bus: localBus(), now: () => 0, elapsedMs: () => elapsedMs, trouble });
  t.after(node.close);
  await node.findKey(accessKeyId, here);
  const { statements } = store;
  for (let request = 0; request < 100; request++) assert.ok(await node.findKey(accessKeyId, here));
  assert.equal(store.statements, statements);
  elapsedMs += 1000;
  await Promise.all(Array.from({ length: 100 }, () => node.findKey(accessKeyId, here)));
  assert.equal(store.statements, statements + 1, 'the revision of the account');
});

const longSession = 43_200;

test('a session ends with its time, and with the role or user that it stands for; a namesake does not bring it back', async (t) => {
  const world = await open(t);
  const { node, deaf, run, userKey, advance, wait } = world;
  await userKey('alice');
  const AssumeRolePolicyDocument = trusting(accountId);
  const { Role } = await run('CreateRole', { RoleName: 'installer', Path: '/line/', AssumeRolePolicyDocument });
  const { User } = await run('GetUser', { UserName: 'alice' });
  const role: IamPrincipal = {
    ...{ kind: 'role', roleName: 'installer', roleId: Role?.RoleId ?? '', sessionName: 'shift-1' },
  };
  const user: IamPrincipal = { kind: 'user', userName: 'alice', userId: User?.UserId ?? '' };
  const mint = (principal: IamPrincipal, durationSeconds: number) =>
    node.mintSession({ accountId, principal, durationSeconds });
  const short = mint(role, 900);
  const [ofRole, ofUser] = [mint(role, longSession), mint(user, longSession)];

  assert.deepEqual(await node.findKey(ofRole.accessKeyId, elsewhere, ofRole.sessionToken), {
    ...{ accountId, secretAccessKey: ofRole.secretAccessKey, sessionToken: ofRole.sessionToken, iam: role },
    ...{ arn: `arn:aws:sts::${accountId}:assumed-role/installer/shift-1`, userId: `${role.roleId}:shift-1` },
    session: { issuedAtMs: world.call.now(), expiresAtMs: ofRole.expiration.getTime() },
  });
  const { arn, iam } = await callerOf(world, ofUser.accessKeyId, ofUser.sessionToken);
  assert.deepEqual([arn, iam], [`arn:aws:iam::${accountId}:user/team/alice`, user]);
  assert.equal(await node.findKey(ofRole.accessKeyId, here), undefined, 'not without its token');
  assert.equal(await node.findKey(ofRole.accessKeyId, here, ofUser.sessionToken), undefined, 'nor with another');

  advance(900_000 - 1);
  assert.ok(await node.findKey(short.accessKeyId, here, short.sessionToken));
  advance(1);
  await assert.rejects(node.findKey(short.accessKeyId, here, short.sessionToken), { name: 'ExpiredTokenException' });

  const alive = (from: typeof node, made: typeof ofRole) => from.findKey(made.accessKeyId, here, made.sessionToken);
  assert.ok((await alive(deaf, ofRole)) && (await alive(deaf, ofUser)));
  const { AccessKeyMetadata = [] } = await run('ListAccessKeys', { UserName: 'alice' });
  await run('DeleteAccessKey', { UserName: 'alice', AccessKeyId: AccessKeyMetadata[0]?.AccessKeyId });
  assert.ok(await alive(node, ofUser), 'the key that it came from may go');
  await run('DeleteRole', { RoleName: 'installer' });
  await run('DeleteUser', { UserName: 'alice' });
  await run('CreateRole', { RoleName: 'installer', Path: '/line/', AssumeRolePolicyDocument });
  await run('CreateUser', { UserName: 'alice', Path: '/team/' });
  for (const made of [ofRole, ofUser]) assert.equal(await alive(node, made), undefined);
  wait(1000);
  for (const made of [ofRole, ofUser]) assert.equal(await alive(deaf, made), undefined, 'nor where no notice came');
});

test('what a development key brought forth counts on this machine only, like the key', async (t) => {
  const { node } = await open(t);
  const mint = (principal: IamPrincipal) => node.mintSession({ accountId, principal, durationSeconds: 900 });
  const development = mint({ kind: 'root', development: true });
  const real = mint({ kind: 'root' });
  const found = async ({ accessKeyId, sessionToken }: typeof real, facts: typeof here) =>
    (await node.findKey(accessKeyId, facts, sessionToken)) !== undefined;
  for (const facts of [here, elsewhere, { loopback: true, forwarded: true }]) {
    assert.equal(await found(development, facts), facts === here);
    assert.equal(await found(real, facts), true);
  }
});

test('a policy decides from the next request on: its own, of a group, attached, a new version, a boundary', async (t) => {
  const world = await open(t);
  const { node, run, userKey } = world;
  const { AccessKeyId } = await userKey('alice');
  const caller = await callerOf(world, AccessKeyId);
  const may = async (action: string) => (await node.authorize(caller, { action, resource: '*', context: {} })).allowed;
  const PolicyDocument = allowing('iot:ListThings');
  assert.equal(await may('iot:ListThings'), false, 'nothing allows it');
  await run('PutUserPolicy', { UserName: 'alice', PolicyName: 'own', PolicyDocument });
  assert.equal(await may('iot:ListThings'), true);
  await run('DeleteUserPolicy', { UserName: 'alice', PolicyName: 'own' });
  assert.equal(await may('iot:ListThings'), false);

  await run('CreateGroup', { GroupName: 'makers' });
  await run('PutGroupPolicy', { GroupName: 'makers', PolicyName: 'own', PolicyDocument });
  assert.equal(await may('iot:ListThings'), false, 'not in the group');
  await run('AddUserToGroup', { GroupName: 'makers', UserName: 'alice' });
  assert.equal(await may('iot:ListThings'), true);
  await run('RemoveUserFromGroup', { GroupName: 'makers', UserName: 'alice' });

  const { Policy } = await run('CreatePolicy', { PolicyName: 'things', PolicyDocument });
  const PolicyArn = Policy?.Arn;
  await run('AttachUserPolicy', { UserName: 'alice', PolicyArn });
  assert.equal(await may('iot:ListThings'), true);
  const changed = { PolicyArn, PolicyDocument: allowing('iot:ListCertificates'), SetAsDefault: true };
  await run('CreatePolicyVersion', changed);
  assert.deepEqual([await may('iot:ListThings'), await may('iot:ListCertificates')], [false, true]);
  await run('SetDefaultPolicyVersion', { PolicyArn, VersionId: 'v1' });
  assert.deepEqual([await may('iot:ListThings'), await may('iot:ListCertificates')], [true, false]);

  const PermissionsBoundary = 'arn:aws:iam::aws:policy/AWSCertificateManagerReadOnly';
  await run('PutUserPermissionsBoundary', { UserName: 'alice', PermissionsBoundary });
  assert.equal(await may('iot:ListThings'), false, 'not within its bounds');
  assert.equal(await may('acm:ListCertificates'), false, 'a boundary gives nothing');
  await run('DeleteUserPermissionsBoundary', { UserName: 'alice' });
  await run('AttachUserPolicy', { UserName: 'alice', PolicyArn: 'arn:aws:iam::aws:policy/AWSDenyAll' });
  assert.equal(await may('iot:ListThings'), false, 'a Deny counts, whatever allows it');
});

test('a session may do what both its role and its policies allow, and nothing once one of them is gone', async (t) => {
  const world = await open(t);
  const { node, run } = world;
  const { Role } = await run('CreateRole', { RoleName: 'r', AssumeRolePolicyDocument: trusting(accountId) });
  await run('PutRolePolicy', { RoleName: 'r', PolicyName: 'own', PolicyDocument: allowing(['iot:A', 'iot:B']) });
  const { Policy } = await run('CreatePolicy', { PolicyName: 'p', PolicyDocument: allowing(['iot:B', 'iot:C']) });
  const PolicyArn = Policy?.Arn ?? '';
  const sessionOf = async (sessionPolicies: { document?: string; arns: string[] }) => {
    const roleId = Role?.RoleId ?? '';
    const principal = { kind: 'role', roleName: 'r', roleId, sessionName: 'some-session', sessionPolicies } as const;
    const made = node.mintSession({ accountId, principal, durationSeconds: 900 });
    const caller = await callerOf(world, made.accessKeyId, made.sessionToken);
    return async () => {
      const asked = ['iot:A', 'iot:B', 'iot:C', 'iot:D'].map(async (action) => {
        const { allowed } = await node.authorize(caller, { action, resource: '*', context: {} });
        return allowed ? action.slice(-1) : '';
      });
      return (await Promise.all(asked)).join('');
    };
  };
  const byDocument = await sessionOf({ document: allowing(['iot:A', 'iot:C', 'iot:D']), arns: [] });
  const byArn = await sessionOf({ arns: [PolicyArn] });
  const byBoth = await sessionOf({ document: allowing('iot:A'), arns: [PolicyArn] });
  assert.deepEqual([await byDocument(), await byArn(), await byBoth()], ['A', 'B', 'AB']);
  await run('DeletePolicy', { PolicyArn });
  assert.deepEqual([await byDocument(), await byArn(), await byBoth()], ['A', '', '']);
});

test('the root may do everything in its account, a device nothing that IAM decides', async (t) => {
  const { node } = await open(t);
  const request = { action: 'iot:DeleteThing', resource: '*', context: {} };
  const root = { accountId, arn: `arn:aws:iam::${accountId}:root`, userId: accountId };
  assert.equal((await node.authorize({ ...root, iam: { kind: 'root' } }, request)).allowed, true);
  assert.equal((await node.authorize(root, request)).allowed, false);
});

test("rights that were read tell when they no longer hold, and are those of this account's user alone", async (t) => {
  const world = await open(t);
  const { node, run, userKey, callAs, wait } = world;
  const { AccessKeyId } = await userKey('alice');
  const other = callAs(otherAccount);
  const theirs = await userKey('alice', other);
  const all = { UserName: 'alice', PolicyName: 'all', PolicyDocument: allowing('*') };
  await run('PutUserPolicy', all, other);
  const request = { action: 'iot:ListThings', resource: '*', context: {} };
  const rights = await node.rightsOf(await callerOf(world, AccessKeyId));
  assert.equal(rights.decide(request).allowed, false);
  assert.equal(rights.stale(), undefined);
  await run('PutUserPolicy', all);
  const now = await rights.stale();
  assert.equal(now?.decide(request).allowed, true);
  wait(1000);
  assert.equal((await now?.stale())?.decide(request).allowed, true, 'a second later it is asked for again');
  const { arn } = await callerOf(world, theirs.AccessKeyId);
  assert.equal(arn, 'arn:aws:iam::111111111111:user/team/alice');
});

test('principal keys reach conditions: name, id, ARN, tags, and what a session adds', async (t) => {
  const world = await open(t);
  const { node, run, userKey } = world;
  const { AccessKeyId } = await userKey('alice');
  await run('TagUser', { UserName: 'alice', Tags: [{ Key: 'team', Value: 'blue' }] });
  const caller = await callerOf(world, AccessKeyId);
  const { userId } = caller;
  assert.deepEqual(await node.keysOf(caller), {
    ...{
      'aws:PrincipalAccount': accountId,
      'aws:PrincipalType': 'User',
      'aws:username': 'alice',
      'aws:userid': userId,
    },
    'aws:PrincipalArn': `arn:aws:iam::${accountId}:user/team/alice`,
    'aws:PrincipalTag/team': 'blue',
    ...{ 'aws:CurrentTime': '2026-01-01T00:00:00.000Z', 'aws:EpochTime': '1767225600' },
    ...{ 'aws:ViaAWSService': 'false', 'aws:PrincipalIsAWSService': 'false' },
  });
});

test('the use of a key is noted, once a minute', async (t) => {
  const { node, run, userKey, advance } = await open(t);
  const { AccessKeyId } = await userKey('alice');
  const lastUsed = async () => {
    await node.close();
    return (await run('GetAccessKeyLastUsed', { AccessKeyId })).AccessKeyLastUsed;
  };
  node.used(AccessKeyId, 'iot', 'eu-west-1');
  assert.equal((await lastUsed())?.ServiceName, 'N/A', 'nobody has found that key yet');
  await node.findKey(AccessKeyId, here);
  node.used(AccessKeyId, 'iot', 'eu-west-1');
  const first = { LastUsedDate: new Date('2026-01-01T00:00:00Z'), ServiceName: 'iot', Region: 'eu-west-1' };
  assert.deepEqual(await lastUsed(), first);
  advance(59_999);
  node.used(AccessKeyId, 'sts', 'us-east-1');
  assert.deepEqual(await lastUsed(), first);
  advance(1);
  node.used(AccessKeyId, 'sts', 'us-east-1');
  const second = { LastUsedDate: new Date('2026-01-01T00:01:00Z'), ServiceName: 'sts', Region: 'us-east-1' };
  assert.deepEqual(await lastUsed(), second);
});
