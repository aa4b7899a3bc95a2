/**
 * What IAM and STS refuse, over the real wire: the code, the status and the words of the service, as its users meet them. Source: IAM and STS API reference
 * (faults), messages as reported by users of AWS.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as iam from '@aws-sdk/client-iam';
import * as sts from '@aws-sdk/client-sts';
import { allowing, bootIam, type Keys, keysOf, rootKeys, trusting } from '../iam-scene.ts';

const account = '000000000000';
const arn = (resource: string): string => `arn:aws:iam::${account}:${resource}`;
const document = allowing('iot:*');
const AWSDenyAll = 'arn:aws:iam::aws:policy/AWSDenyAll';

type Command = { readonly input: object };
type Row = readonly [rule: string, command: Command, code: string, status: number, message: string | RegExp];

/** The refusal as the wire has it: the SDK keeps the code of Query services beside its own name for it. */
const refusalOf = async (asked: Promise<unknown>): Promise<{ code: string; status: number; message: string }> => {
  try {
    await asked;
  } catch (error) {
    assert(error instanceof Error && '$metadata' in error, String(error));
    const {
      Error: told,
      Code,
      $metadata,
    } = error as never as {
      Error?: { Code?: string };
      Code?: string;
      $metadata: { httpStatusCode?: number };
    };
    return { code: told?.Code ?? Code ?? error.name, status: $metadata.httpStatusCode ?? 0, message: error.message };
  }
  return assert.fail('it was not refused');
};

const noUser = 'The user with name ghost cannot be found.';
const noRole = 'The role with name ghost cannot be found.';
const noGroup = 'The group with name ghost cannot be found.';
const noKey = 'The Access Key with id AKIAAAAAAAAAAAAAAAAA cannot be found.';
const notFound = ['NoSuchEntity', 404] as const;
const conflict = ['DeleteConflict', 409] as const;
const limit = ['LimitExceeded', 409] as const;
const exists = ['EntityAlreadyExists', 409] as const;
const malformed = ['MalformedPolicyDocument', 400] as const;
const validation = ['ValidationError', 400] as const;
const input = ['InvalidInput', 400] as const;
const AccessKeyId = 'AKIAAAAAAAAAAAAAAAAA';
const ghostPolicy = arn('policy/ghost');
const long = (characters: number): string => {
  const resource = 'arn:aws:iot:*:*:thing/';
  return allowing('iot:*', resource + 'x'.repeat(characters - allowing('iot:*', resource).length));
};

const rows: readonly Row[] = [
  ['a user that is not there', new iam.GetUserCommand({ UserName: 'ghost' }), ...notFound, noUser],
  ['names are looked up as they are written', new iam.GetUserCommand({ UserName: 'ALICE' }), ...notFound, /ALICE/],
  ['a user to change', new iam.UpdateUserCommand({ UserName: 'ghost', NewPath: '/a/' }), ...notFound, noUser],
  ['a user to delete', new iam.DeleteUserCommand({ UserName: 'ghost' }), ...notFound, noUser],
  ['a user to have a key', new iam.CreateAccessKeyCommand({ UserName: 'ghost' }), ...notFound, noUser],
  ['a user to have MFA', new iam.ListMFADevicesCommand({ UserName: 'ghost' }), ...notFound, noUser],
  ['a user to have SSH keys', new iam.ListSSHPublicKeysCommand({ UserName: 'ghost' }), ...notFound, noUser],
  ['a user to sign', new iam.ListSigningCertificatesCommand({ UserName: 'ghost' }), ...notFound, noUser],
  [
    'a user of single services',
    new iam.ListServiceSpecificCredentialsCommand({ UserName: 'ghost' }),
    ...notFound,
    noUser,
  ],
  ['a user to have a password', new iam.GetLoginProfileCommand({ UserName: 'ghost' }), ...notFound, noUser],
  [
    'a password of the root',
    new iam.GetLoginProfileCommand({}),
    ...validation,
    'Must specify userName when calling with non-User credentials',
  ],
  ['a user to tag', new iam.TagUserCommand({ UserName: 'ghost', Tags: [] }), ...notFound, noUser],
  [
    'names that differ in case only are one name',
    new iam.CreateUserCommand({ UserName: 'ALICE' }),
    ...exists,
    'User with name ALICE already exists.',
  ],
  [
    'nor can one be taken over',
    new iam.UpdateUserCommand({ UserName: 'bob', NewUserName: 'Alice' }),
    ...exists,
    'User with name Alice already exists.',
  ],
  [
    'a name with a blank',
    new iam.CreateUserCommand({ UserName: 'a b' }),
    ...validation,
    /^1 validation error detected: /,
  ],
  [
    'tag keys that differ in case only',
    new iam.CreateUserCommand({ UserName: 'new', Tags: ['a', 'A'].map((Key) => ({ Key, Value: '' })) }),
    ...input,
    'Duplicate tag keys found. Please note that Tag keys are case insensitive.',
  ],
  [
    'tag keys of AWS',
    new iam.TagUserCommand({ UserName: 'alice', Tags: [{ Key: 'AWS:x', Value: '' }] }),
    ...input,
    /^Tag keys that begin with aws:/,
  ],
  [
    'a user with keys',
    new iam.DeleteUserCommand({ UserName: 'alice' }),
    ...conflict,
    'Cannot delete entity, must delete access keys first.',
  ],
  [
    'a user in a group',
    new iam.DeleteUserCommand({ UserName: 'bob' }),
    ...conflict,
    'Cannot delete entity, must remove users from group first.',
  ],
  [
    'a third key',
    new iam.CreateAccessKeyCommand({ UserName: 'alice' }),
    ...limit,
    'Cannot exceed quota for AccessKeysPerUser: 2',
  ],
  [
    'keys of the root',
    new iam.CreateAccessKeyCommand({}),
    ...validation,
    'Must specify userName when calling with non-User credentials',
  ],
  ['a key of nobody', new iam.DeleteAccessKeyCommand({ UserName: 'alice', AccessKeyId }), ...notFound, noKey],
  [
    'a key to be switched on',
    new iam.UpdateAccessKeyCommand({ UserName: 'alice', AccessKeyId, Status: 'Active' }),
    ...notFound,
    noKey,
  ],
  [
    'a status that nobody can set',
    new iam.UpdateAccessKeyCommand({ UserName: 'alice', AccessKeyId, Status: 'Expired' }),
    ...validation,
    /Active or Inactive/,
  ],
  ['the last use of no key', new iam.GetAccessKeyLastUsedCommand({ AccessKeyId }), ...notFound, noKey],

  ['a group that is not there', new iam.GetGroupCommand({ GroupName: 'ghost' }), ...notFound, noGroup],
  ['a group twice', new iam.CreateGroupCommand({ GroupName: 'Makers' }), ...exists, /^Group with name Makers already/],
  [
    'a group with users',
    new iam.DeleteGroupCommand({ GroupName: 'makers' }),
    ...conflict,
    'Cannot delete entity, must remove users from group first.',
  ],
  [
    'who is in no group leaves none',
    new iam.RemoveUserFromGroupCommand({ GroupName: 'makers', UserName: 'alice' }),
    ...notFound,
    /alice is not in group makers/,
  ],

  [
    'a document that is no JSON',
    new iam.PutUserPolicyCommand({ UserName: 'alice', PolicyName: 'p', PolicyDocument: '{' }),
    ...malformed,
    'Syntax errors in policy.',
  ],
  [
    'a document with a principal',
    new iam.CreatePolicyCommand({ PolicyName: 'p', PolicyDocument: trusting(arn('root')) }),
    ...malformed,
    'Policy document should not specify a principal.',
  ],
  [
    'a trust policy with a resource',
    new iam.CreateRoleCommand({ RoleName: 'new', AssumeRolePolicyDocument: document }),
    ...malformed,
    'Has prohibited field Resource',
  ],
  [
    'an inline policy that is not there',
    new iam.GetUserPolicyCommand({ UserName: 'alice', PolicyName: 'none' }),
    ...notFound,
    'The user policy with name none cannot be found.',
  ],
  [
    'one of a group to delete',
    new iam.DeleteGroupPolicyCommand({ GroupName: 'makers', PolicyName: 'none' }),
    ...notFound,
    'The group policy with name none cannot be found.',
  ],
  [
    'inline policies that are too long together',
    new iam.PutUserPolicyCommand({ UserName: 'alice', PolicyName: 'big', PolicyDocument: long(2000) }),
    ...limit,
    'Maximum policy size of 2048 bytes exceeded for user alice',
  ],

  [
    'a policy twice',
    new iam.CreatePolicyCommand({ PolicyName: 'FLEET', PolicyDocument: document, Path: '/else/' }),
    ...exists,
    'A policy called FLEET already exists. Duplicate names are not allowed.',
  ],
  [
    'a policy that is too long',
    new iam.CreatePolicyCommand({ PolicyName: 'big', PolicyDocument: long(6145) }),
    ...limit,
    'Cannot exceed quota for PolicySize: 6144',
  ],
  [
    'a policy that is not there',
    new iam.GetPolicyCommand({ PolicyArn: ghostPolicy }),
    ...notFound,
    `Policy ${ghostPolicy} was not found.`,
  ],
  [
    'the right name under another path',
    new iam.GetPolicyCommand({ PolicyArn: arn('policy/x/fleet') }),
    ...notFound,
    /was not found/,
  ],
  [
    'what is no ARN of a policy',
    new iam.GetPolicyCommand({ PolicyArn: 'arn:aws:iam:aws:policy/AdministratorAccess' }),
    ...input,
    'ARN arn:aws:iam:aws:policy/AdministratorAccess is not valid.',
  ],
  [
    'a policy to attach that is not there',
    new iam.AttachUserPolicyCommand({ UserName: 'alice', PolicyArn: ghostPolicy }),
    ...notFound,
    `Policy ${ghostPolicy} does not exist or is not attachable.`,
  ],
  [
    'a boundary that is not there',
    new iam.CreateUserCommand({ UserName: 'new', PermissionsBoundary: ghostPolicy }),
    ...notFound,
    `Policy ${ghostPolicy} does not exist or is not attachable.`,
  ],
  [
    'a boundary of who has none',
    new iam.DeleteUserPermissionsBoundaryCommand({ UserName: 'alice' }),
    ...notFound,
    /does not have a permissions boundary/,
  ],
  [
    'to detach what is not attached',
    new iam.DetachUserPolicyCommand({ UserName: 'bob', PolicyArn: arn('policy/fleet') }),
    ...notFound,
    `Policy ${arn('policy/fleet')} was not found.`,
  ],
  [
    'an eleventh policy',
    new iam.AttachUserPolicyCommand({ UserName: 'alice', PolicyArn: AWSDenyAll }),
    ...limit,
    'Cannot exceed quota for AttachedPoliciesPerUser: 10',
  ],
  [
    'a policy that is attached',
    new iam.DeletePolicyCommand({ PolicyArn: arn('policy/fleet') }),
    ...conflict,
    'Cannot delete a policy attached to entities.',
  ],
  [
    'a policy that bounds somebody',
    new iam.DeletePolicyCommand({ PolicyArn: arn('policy/bound') }),
    ...conflict,
    'Cannot delete a policy attached to entities.',
  ],
  [
    'a policy with versions',
    new iam.DeletePolicyCommand({ PolicyArn: arn('policy/many') }),
    ...conflict,
    /^This policy has more than one version\. /,
  ],
  [
    'the default version',
    new iam.DeletePolicyVersionCommand({ PolicyArn: arn('policy/many'), VersionId: 'v1' }),
    ...conflict,
    'Cannot delete the default version of a policy.',
  ],
  [
    'a sixth version',
    new iam.CreatePolicyVersionCommand({ PolicyArn: arn('policy/many'), PolicyDocument: document }),
    ...limit,
    'A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version.',
  ],
  [
    'a version that is not there',
    new iam.GetPolicyVersionCommand({ PolicyArn: arn('policy/fleet'), VersionId: 'v9' }),
    ...notFound,
    `Policy ${arn('policy/fleet')} version v9 does not exist or is not attachable.`,
  ],
  [
    'a policy of AWS cannot be changed',
    new iam.CreatePolicyVersionCommand({ PolicyArn: AWSDenyAll, PolicyDocument: document }),
    'AccessDenied',
    403,
    /managed by AWS/,
  ],
  ['nor deleted', new iam.DeletePolicyCommand({ PolicyArn: AWSDenyAll }), 'AccessDenied', 403, /managed by AWS/],

  ['a role that is not there', new iam.GetRoleCommand({ RoleName: 'ghost' }), ...notFound, noRole],
  [
    'a role twice',
    new iam.CreateRoleCommand({ RoleName: 'INSTALLER', AssumeRolePolicyDocument: trusting(account) }),
    ...exists,
    'Role with name INSTALLER already exists.',
  ],
  [
    'a trust policy that is too long',
    new iam.UpdateAssumeRolePolicyCommand({
      RoleName: 'installer',
      PolicyDocument: trusting(...Array.from({ length: 60 }, (_, index) => arn(`user/somebody-number-${index}`))),
    }),
    ...limit,
    'Cannot exceed quota for ACLSizePerRole: 2048',
  ],
  [
    'a role with an attached policy',
    new iam.DeleteRoleCommand({ RoleName: 'installer' }),
    ...conflict,
    'Cannot delete entity, must detach all policies first.',
  ],
  [
    'a role with a policy of its own',
    new iam.DeleteRoleCommand({ RoleName: 'inline' }),
    ...conflict,
    'Cannot delete entity, must delete policies first.',
  ],
  [
    'too long a session',
    new iam.UpdateRoleCommand({ RoleName: 'installer', MaxSessionDuration: 43_201 }),
    ...validation,
    /43200/,
  ],
  ['a marker that is none', new iam.ListUsersCommand({ Marker: 'AAAA' }), ...validation, /marker is not valid/],
  ['no page at all', new iam.ListUsersCommand({ MaxItems: 0 }), ...validation, /greater than or equal to 1/],
  [
    'what is not built names itself',
    new iam.CreateLoginProfileCommand({ UserName: 'alice', Password: 'x' }),
    'NotImplemented',
    501,
    'CreateLoginProfile is not available in this version of Fleetgate',
  ],
];

/** What the rows meet. */
const furnish = async (root: iam.IAMClient): Promise<void> => {
  const make = (command: Command) => root.send(command as never);
  for (const PolicyName of ['fleet', 'bound', 'many', ...Array.from({ length: 9 }, (_, index) => `p${index}`)]) {
    await make(new iam.CreatePolicyCommand({ PolicyName, PolicyDocument: document }));
  }
  for (let version = 2; version <= 5; version++) {
    await make(new iam.CreatePolicyVersionCommand({ PolicyArn: arn('policy/many'), PolicyDocument: document }));
  }
  for (const UserName of ['alice', 'bob']) await make(new iam.CreateUserCommand({ UserName }));
  await make(new iam.CreateUserCommand({ UserName: 'carol', PermissionsBoundary: arn('policy/bound') }));
  for (let key = 0; key < 2; key++) await make(new iam.CreateAccessKeyCommand({ UserName: 'alice' }));
  await make(new iam.PutUserPolicyCommand({ UserName: 'alice', PolicyName: 'own', PolicyDocument: document }));
  for (const name of ['fleet', ...Array.from({ length: 9 }, (_, index) => `p${index}`)]) {
    await make(new iam.AttachUserPolicyCommand({ UserName: 'alice', PolicyArn: arn(`policy/${name}`) }));
  }
  await make(new iam.CreateGroupCommand({ GroupName: 'makers' }));
  await make(new iam.AddUserToGroupCommand({ GroupName: 'makers', UserName: 'bob' }));
  for (const RoleName of ['installer', 'inline']) {
    await make(new iam.CreateRoleCommand({ RoleName, AssumeRolePolicyDocument: trusting(account) }));
  }
  await make(new iam.AttachRolePolicyCommand({ RoleName: 'installer', PolicyArn: arn('policy/fleet') }));
  await make(new iam.PutRolePolicyCommand({ RoleName: 'inline', PolicyName: 'own', PolicyDocument: document }));
};

const matches = (told: string, message: string | RegExp): void => {
  if (typeof message === 'string') assert.equal(told, message);
  else assert.match(told, message);
};

test('IAM refuses in the words of AWS, and a refusal leaves nothing behind', async (t) => {
  const { iam: clientOf } = await bootIam(t);
  const root = clientOf();
  await furnish(root);
  const holding = async () => ({
    users: (await root.send(new iam.ListUsersCommand({}))).Users,
    groups: (await root.send(new iam.ListGroupsCommand({}))).Groups,
    roles: (await root.send(new iam.ListRolesCommand({}))).Roles,
    policies: (await root.send(new iam.ListPoliciesCommand({ Scope: 'Local' }))).Policies,
    keys: (await root.send(new iam.ListAccessKeysCommand({ UserName: 'alice' }))).AccessKeyMetadata,
    inline: (await root.send(new iam.ListUserPoliciesCommand({ UserName: 'alice' }))).PolicyNames,
  });
  const before = await holding();
  for (const [rule, command, code, status, message] of rows) {
    await t.test(rule, async () => {
      const refused = await refusalOf(root.send(command as never));
      assert.deepEqual([refused.code, refused.status], [code, status], refused.message);
      matches(refused.message, message);
    });
  }
  assert.deepEqual(await holding(), before);
});

test('STS refuses in the words of AWS', async (t) => {
  const { iam: clientOf, stsAs, user } = await bootIam(t);
  const root = clientOf();
  const alice = await user('alice', allowing('sts:AssumeRole'));
  const bob = await user('bob');
  const make = (RoleName: string, trust: string) =>
    root.send(new iam.CreateRoleCommand({ RoleName, AssumeRolePolicyDocument: trust }));
  await make('open', trusting(account));
  await make('closed', trusting(arn('user/bob')));
  const assumed = async (keys: Keys, role: string, more: Partial<sts.AssumeRoleCommandInput> = {}): Promise<Keys> => {
    const given = { RoleArn: arn(`role/${role}`), RoleSessionName: 'session', ...more };
    return keysOf(
      (await stsAs(keys).send(new sts.AssumeRoleCommand(given))).Credentials as Parameters<typeof keysOf>[0],
    );
  };
  await root.send(
    new iam.PutRolePolicyCommand({ RoleName: 'open', PolicyName: 'p', PolicyDocument: allowing('sts:*') }),
  );
  const session = await assumed(alice, 'open');
  const token = (await stsAs(alice).send(new sts.GetSessionTokenCommand({}))).Credentials;
  const refusals: readonly (readonly [rule: string, asked: () => Promise<unknown>, string, number, string | RegExp])[] =
    [
      [
        'the root assumes no role',
        () => assumed(rootKeys(), 'open'),
        'AccessDenied',
        403,
        'Roles may not be assumed by root accounts.',
      ],
      [
        'whoever is not trusted',
        () => assumed(alice, 'closed'),
        'AccessDenied',
        403,
        `User: ${arn('user/alice')} is not authorized to perform: sts:AssumeRole on resource: ${arn('role/closed')}`,
      ],
      [
        'a role that is not there is told from one that is closed by nothing',
        () => assumed(alice, 'ghost'),
        'AccessDenied',
        403,
        `User: ${arn('user/alice')} is not authorized to perform: sts:AssumeRole on resource: ${arn('role/ghost')}`,
      ],
      [
        'trust in the account is not enough for who has no right',
        () => assumed(bob, 'open'),
        'AccessDenied',
        403,
        /^User: arn:aws:iam::000000000000:user\/bob is not authorized to perform: sts:AssumeRole on resource: /,
      ],
      [
        'what is no ARN',
        () => assumed(alice, 'x', { RoleArn: 'arn:aws:iam::role/open' }),
        ...validation,
        'arn:aws:iam::role/open is invalid',
      ],
      [
        'longer than the role lets',
        () => assumed(alice, 'open', { DurationSeconds: 3601 }),
        ...validation,
        'The requested DurationSeconds exceeds the MaxSessionDuration set for this role.',
      ],
      [
        'longer than an hour from a session',
        () => assumed(session, 'open', { DurationSeconds: 3601 }),
        ...validation,
        'The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.',
      ],
      [
        'shorter than any',
        () => assumed(alice, 'open', { DurationSeconds: 899 }),
        ...validation,
        /greater than or equal to 900/,
      ],
      [
        'a session policy that is no JSON',
        () => assumed(alice, 'open', { Policy: '{' }),
        ...malformed,
        'Syntax errors in policy.',
      ],
      [
        'a session policy that is too long',
        () => assumed(alice, 'open', { Policy: long(2049) }),
        ...validation,
        /less than or equal to 2048$/,
      ],
      [
        'session policies that do not fit together',
        () =>
          assumed(alice, 'open', {
            Policy: long(2048),
            PolicyArns: [...awsPolicies].map((arn) => ({ arn })),
          }),
        'PackedPolicyTooLarge',
        400,
        /^Packed size of session policies consumes 1\d\d% of allotted space\.$/,
      ],
      [
        'a session policy that is not there',
        () => assumed(alice, 'open', { PolicyArns: [{ arn: ghostPolicy }] }),
        ...validation,
        `Policy ${ghostPolicy} does not exist or is not attachable.`,
      ],
      [
        'session tags are not built',
        () => assumed(alice, 'open', { Tags: [{ Key: 'a', Value: 'b' }] }),
        'NotImplemented',
        501,
        'AssumeRole with Tags is not available in this version of Fleetgate',
      ],
      [
        'a source identity is not built',
        () => assumed(alice, 'open', { SourceIdentity: 'alice' }),
        'NotImplemented',
        501,
        'AssumeRole with SourceIdentity is not available in this version of Fleetgate',
      ],
      [
        'nor MFA',
        () => stsAs(alice).send(new sts.GetSessionTokenCommand({ SerialNumber: 'GAHT12345678', TokenCode: '123456' })),
        'NotImplemented',
        501,
        'GetSessionToken with SerialNumber is not available in this version of Fleetgate',
      ],
      [
        'a session gets no token',
        () => stsAs(session).send(new sts.GetSessionTokenCommand({})),
        'AccessDenied',
        403,
        'Cannot call GetSessionToken with session credentials',
      ],
      [
        'nor does a token',
        () => stsAs(keysOf(token as Parameters<typeof keysOf>[0])).send(new sts.GetSessionTokenCommand({})),
        'AccessDenied',
        403,
        'Cannot call GetSessionToken with session credentials',
      ],
    ];
  for (const [rule, asked, code, status, message] of refusals) {
    await t.test(rule, async () => {
      const refused = await refusalOf(asked());
      assert.deepEqual([refused.code, refused.status], [code, status], refused.message);
      matches(refused.message, message);
    });
  }
});

/** Ten ARNs of policies of AWS, which take more room together than a long document leaves. */
const awsPolicies: ReadonlySet<string> = new Set(
  [
    ...['AdministratorAccess', 'AWSCertificateManagerFullAccess', 'AWSCertificateManagerReadOnly', 'AWSDenyAll'],
    ...['AWSIoTConfigAccess', 'AWSIoTConfigReadOnlyAccess', 'AWSIoTDataAccess', 'AWSIoTFullAccess'],
    ...['service-role/AWSIoTRuleActions', 'service-role/AWSIoTThingsRegistration'],
  ].map((name) => `arn:aws:iam::aws:policy/${name}`),
);
