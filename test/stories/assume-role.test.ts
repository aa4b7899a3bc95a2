/**
 * Who may assume a role, and what a session of it may do, over the real API (issue 6, acceptance 2): principals of trust policies, their conditions, what the
 * caller's own policies add, and session policies. Source: IAM user guide, "AWS JSON policy elements: Principal", "Policy evaluation logic"; STS API reference.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CreatePolicyCommand,
  CreateRoleCommand,
  PutRolePolicyCommand,
  PutUserPermissionsBoundaryCommand,
  TagRoleCommand,
  TagUserCommand,
  UpdateAssumeRolePolicyCommand,
  UpdateRoleCommand,
} from '@aws-sdk/client-iam';
import { CreateThingCommand, DescribeThingCommand, ListThingsCommand } from '@aws-sdk/client-iot';
import { AssumeRoleCommand, type AssumeRoleCommandInput, GetSessionTokenCommand } from '@aws-sdk/client-sts';
import { allowing, bootIam, type Keys, keysOf, rootKeys, trusting } from '../iam-scene.ts';

const account = '000000000000';
const foreign = '222222222222';
const arn = (resource: string, owner = account): string => `arn:aws:iam::${owner}:${resource}`;
const target = arn('role/target');
type Given = Parameters<typeof keysOf>[0];

const documentOf = (...Statement: readonly object[]): string => JSON.stringify({ Version: '2012-10-17', Statement });
const allow = (Principal: unknown, Condition: object = {}, Action = 'sts:AssumeRole') => ({
  ...{ Effect: 'Allow', Principal, Action },
  ...(Object.keys(Condition).length > 0 && { Condition }),
});
const aws = (...names: readonly string[]) => ({ AWS: names });

const boot = async (t: Parameters<typeof bootIam>[0]) => {
  const scene = await bootIam(t);
  const root = scene.iam();
  const assume = async (keys: Keys, more: Partial<AssumeRoleCommandInput> = {}): Promise<Keys> => {
    const input = { RoleArn: target, RoleSessionName: 'shift', ...more };
    return keysOf((await scene.stsAs(keys).send(new AssumeRoleCommand(input))).Credentials as Given);
  };
  const role = (RoleName: string, AssumeRolePolicyDocument: string) =>
    root.send(new CreateRoleCommand({ RoleName, AssumeRolePolicyDocument }));
  return { ...scene, root, assume, role };
};

/** Who asks: users of the account with and without a right of their own, sessions of a role and of a user, and a user of another account. */
const cast = async ({ root, user, role, assume, stsAs }: Awaited<ReturnType<typeof boot>>) => {
  const alice = await user('alice', allowing('sts:AssumeRole'));
  const noDeny = { Effect: 'Deny', Action: 'sts:AssumeRole', Resource: target };
  await role('ci', trusting(arn('user/alice')));
  await root.send(
    new PutRolePolicyCommand({ RoleName: 'ci', PolicyName: 'own', PolicyDocument: allowing('sts:AssumeRole') }),
  );
  await role('bare', trusting(arn('user/alice')));
  const bounded = await user('bounded');
  const narrow = new CreatePolicyCommand({ PolicyName: 'narrow', PolicyDocument: allowing('iot:*') });
  const PermissionsBoundary = (await root.send(narrow)).Policy?.Arn ?? '';
  await root.send(new PutUserPermissionsBoundaryCommand({ UserName: 'bounded', PermissionsBoundary }));
  await root.send(new TagUserCommand({ UserName: 'alice', Tags: [{ Key: 'team', Value: 'blue' }] }));
  await role('target', trusting(account));
  await root.send(new TagRoleCommand({ RoleName: 'target', Tags: [{ Key: 'line', Value: '7' }] }));
  const inSession = (RoleName: string, Policy?: string) =>
    assume(alice, { RoleArn: arn(`role/${RoleName}`), ...(Policy !== undefined && { Policy }) });
  const byTag = (value: string) => ({
    ...{ Effect: 'Allow', Action: 'sts:AssumeRole', Resource: '*' },
    Condition: { StringEquals: { 'aws:ResourceTag/line': value, 'aws:RequestedRegion': 'us-east-1' } },
  });
  return {
    alice,
    bounded,
    'of no right': await user('nobody'),
    'denied by its own policy': await user('denied', documentOf({ ...noDeny, Effect: 'Allow' }, noDeny)),
    'whose right asks for the tag of the role, and the region': await user('tagged', documentOf(byTag('7'))),
    'whose right asks for another tag': await user('mistagged', documentOf(byTag('8'))),
    'in a session of ci': await inSession('ci'),
    'in a session of ci that is narrowed': await inSession('ci', allowing('iot:*')),
    'in a session of bare': await inSession('bare'),
    'with a token': keysOf((await stsAs(alice).send(new GetSessionTokenCommand({}))).Credentials as Given),
    'of another account': await user('eve', allowing('sts:AssumeRole'), rootKeys(foreign)),
    'of another account, of no right': await user('mallory', undefined, rootKeys(foreign)),
    root: rootKeys(),
  } satisfies Record<string, Keys>;
};
type Who = keyof Awaited<ReturnType<typeof cast>>;
type Row = readonly [
  rule: string,
  trust: readonly object[],
  yes: readonly Who[],
  no: readonly Who[],
  more?: Partial<AssumeRoleCommandInput>,
];

const user = arn('user/alice');
const session = `arn:aws:sts::${account}:assumed-role/ci/shift`;
const external = (value: string | string[]) => ({ StringEquals: { 'sts:ExternalId': value } });
const rows: readonly Row[] = [
  ['a user by its ARN', [allow(aws(user))], ['alice', 'with a token'], ['of no right', 'in a session of ci', 'root']],
  [
    'who is named needs no right of its own, nor one of its boundary',
    [allow(aws(arn('user/nobody'), arn('user/bounded')))],
    ['of no right', 'bounded'],
    ['alice'],
  ],
  [
    'a Deny of its own counts all the same',
    [allow(aws(arn('user/denied'), account))],
    [],
    ['denied by its own policy', 'of no right'],
  ],
  [
    'the account: whoever has the right',
    [allow(aws(account))],
    ['alice', 'in a session of ci', 'whose right asks for the tag of the role, and the region'],
    [
      ...(['of no right', 'bounded', 'in a session of bare', 'whose right asks for another tag'] as const),
      ...(['in a session of ci that is narrowed', 'of another account', 'root'] as const),
    ],
  ],
  ["the account's root is the account", [allow(aws(arn('root')))], ['alice'], ['of no right']],
  ['everybody', [allow('*')], ['alice', 'of no right', 'in a session of bare'], ['of another account, of no right']],
  [
    'a role: its sessions, as far as their session policies go',
    [allow(aws(arn('role/ci'), arn('role/bare')))],
    ['in a session of ci', 'in a session of bare'],
    ['in a session of ci that is narrowed', 'alice'],
  ],
  [
    'a session by its ARN, whatever its session policies say',
    [allow(aws(session))],
    ['in a session of ci', 'in a session of ci that is narrowed'],
    ['in a session of bare', 'alice'],
  ],
  ['another session of the role', [allow(aws(session.replace('shift', 'night')))], [], ['in a session of ci']],
  [
    'another account: whoever has the right there',
    [allow(aws(foreign))],
    ['of another account'],
    ['of another account, of no right', 'alice'],
  ],
  [
    'a user of another account needs both',
    [allow(aws(arn('user/eve', foreign), arn('user/mallory', foreign)))],
    ['of another account'],
    ['of another account, of no right'],
  ],
  ['a service is nobody who calls', [allow({ Service: 'iot.amazonaws.com' })], [], ['alice']],
  [
    'a Deny outweighs, for whom it names',
    [allow(aws(account)), { ...allow(aws(user)), Effect: 'Deny' }],
    ['in a session of ci'],
    ['alice', 'with a token'],
  ],
  ['another action', [allow(aws(user), {}, 'sts:TagSession')], [], ['alice']],
  ['all actions', [allow(aws(user), {}, 'sts:*')], ['alice'], []],
  ['an external id that is not given', [allow(aws(user), external('abc'))], [], ['alice']],
  ['the external id', [allow(aws(user), external('abc'))], ['alice'], [], { ExternalId: 'abc' }],
  ['another external id', [allow(aws(user), external(['abc', 'ABD']))], [], ['alice'], { ExternalId: 'abd' }],
  [
    'the ARN of a principal: of a session it is its role',
    [allow('*', { ArnLike: { 'aws:PrincipalArn': arn('role/c*') } })],
    ['in a session of ci'],
    ['in a session of bare', 'alice'],
  ],
  [
    'a tag of the principal',
    [allow(aws(account), { StringEquals: { 'aws:PrincipalTag/team': 'blue' } })],
    ['alice'],
    ['in a session of ci'],
  ],
  [
    'the name of the session, from a variable',
    [allow(aws(account), { StringEquals: { 'sts:RoleSessionName': '${aws:username}' } })],
    ['alice'],
    ['in a session of ci'],
    { RoleSessionName: 'alice' },
  ],
  ['the address', [allow(aws(user), { IpAddress: { 'aws:SourceIp': '192.0.2.0/24' } })], [], ['alice']],
  ['this address', [allow(aws(user), { IpAddress: { 'aws:SourceIp': ['127.0.0.0/8', '::1'] } })], ['alice'], []],
  [
    'the region and the tag of the role',
    [
      allow(aws(user), {
        StringEquals: { 'aws:RequestedRegion': 'us-east-1', 'aws:ResourceTag/line': '7', 'iam:ResourceTag/line': '7' },
      }),
    ],
    ['alice'],
    [],
  ],
  ['MFA, which nobody has', [allow(aws(user), { Bool: { 'aws:MultiFactorAuthPresent': 'true' } })], [], ['alice']],
];

test('a role is assumed by whom its trust policy lets, with the rights that the caller needs itself', async (t) => {
  const scene = await boot(t);
  const who = await cast(scene);
  for (const [rule, trust, yes, no, more] of rows) {
    await t.test(rule, async () => {
      const PolicyDocument = documentOf(...trust);
      await scene.root.send(new UpdateAssumeRolePolicyCommand({ RoleName: 'target', PolicyDocument }));
      for (const name of yes) assert.ok(await scene.assume(who[name], more), name);
      for (const name of no) {
        await assert.rejects(scene.assume(who[name], more), { Code: 'AccessDenied' }, name);
      }
    });
  }
});

test('an hour is the most for a session that assumes another role; a user has what the role allows, with a token of its own too (user guide, "Role chaining")', async (t) => {
  const { root, assume, role, user: userOf, stsAs } = await boot(t);
  const alice = await userOf('alice', allowing('sts:AssumeRole'));
  for (const name of ['ci', 'target']) await role(name, trusting(account, arn('user/alice')));
  await root.send(
    new PutRolePolicyCommand({ RoleName: 'ci', PolicyName: 'own', PolicyDocument: allowing('sts:AssumeRole') }),
  );
  await root.send(new UpdateRoleCommand({ RoleName: 'target', MaxSessionDuration: 7200 }));
  const token = keysOf((await stsAs(alice).send(new GetSessionTokenCommand({}))).Credentials as Given);
  const session = await assume(alice, { RoleArn: arn('role/ci') });
  for (const keys of [alice, token]) assert.ok(await assume(keys, { DurationSeconds: 7200 }));
  assert.ok(await assume(session, { DurationSeconds: 3600 }));
  await assert.rejects(
    assume(session, { DurationSeconds: 3601 }),
    /exceeds the 1 hour session limit for roles assumed/,
  );
});

test('a session may do what its role and its session policies both allow, given as text, by ARN, or both', async (t) => {
  const { root, assume, role, user: userOf, iotAs } = await boot(t);
  const alice = await userOf('alice', allowing('sts:AssumeRole'));
  await role('target', trusting(account));
  await root.send(
    new PutRolePolicyCommand({
      ...{ RoleName: 'target', PolicyName: 'own' },
      PolicyDocument: allowing(['iot:ListThings', 'iot:DescribeThing']),
    }),
  );
  const thingName = 'lamp';
  await iotAs(rootKeys()).send(new CreateThingCommand({ thingName }));
  const readOnly = { arn: 'arn:aws:iam::aws:policy/AWSIoTConfigReadOnlyAccess' };
  const denyAll = { arn: 'arn:aws:iam::aws:policy/AWSDenyAll' };
  const listing = allowing('iot:ListThings');
  const whole = [undefined, undefined, 'no identity-based policy'];
  const cases: readonly (readonly [rule: string, Partial<AssumeRoleCommandInput>, (string | undefined)[]])[] = [
    ['without any', {}, whole],
    ['text', { Policy: listing }, [undefined, 'no session policy', 'no identity-based policy']],
    ['text that allows more than the role has', { Policy: allowing('*') }, whole],
    ['an ARN', { PolicyArns: [readOnly] }, whole],
    ['both: either of them is enough', { Policy: listing, PolicyArns: [readOnly] }, whole],
    ['a Deny of either counts', { Policy: listing, PolicyArns: [denyAll] }, ['deny', 'deny', 'deny']],
  ];
  for (const [rule, more, expected] of cases) {
    const iot = iotAs(await assume(alice, more));
    const asked = [
      new ListThingsCommand({}),
      new DescribeThingCommand({ thingName }),
      new CreateThingCommand({ thingName }),
    ];
    for (const [index, command] of asked.entries()) {
      // a table of different commands, and `send` is overloaded by them
      const refusal = await iot.send(command as ListThingsCommand).then(
        () => undefined,
        (error: Error) => error.message,
      );
      const part = expected[index];
      const told = part === 'deny' ? 'with an explicit deny in a session policy' : `because ${part} allows the`;
      assert.ok(part === undefined ? refusal === undefined : refusal?.includes(told), `${rule}: ${refusal}`);
    }
  }
});
