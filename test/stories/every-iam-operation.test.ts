/**
 * Every operation of iam and sts that is handled, driven through the SDK, and what the SDK made of its answer held against the SDK's output schema. A handled
 * operation without a row fails, and so does a member that no row has shown and `neverYet` does not name.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as iam from '@aws-sdk/client-iam';
import * as sts from '@aws-sdk/client-sts';
import { type Findings, inspect, operationSchema, placesOf } from '../answer-schema.ts';
import { chosen } from '../checked-answers.ts';
import { handledOperations } from '../handled.ts';
import { allowing, bootIam, keysOf, rootKeys, trusting } from '../iam-scene.ts';

const account = '000000000000';
const arn = (resource: string): string => `arn:aws:iam::${account}:${resource}`;

/** Members that no answer of this version has, by operation; `*`: of all. */
const neverYet: readonly (readonly [operation: string, member: RegExp])[] = [
  ['*', /(^|\.)PasswordLastUsed$/],
  ['*', /(^|\.|\[\])RoleLastUsed(\.|$)/],
  ['*', /(^|\.)SourceRoleTemplate(\.|$)/],
  // lists leave out what one at a time tells, as AWS does
  ['ListUsers|GetGroup', /^Users\[\]\.(PermissionsBoundary|Tags)/],
  ['ListRoles', /^Roles\[\]\.(PermissionsBoundary|Tags)/],
  ['ListPolicies', /^Policies\[\]\.(Description|Tags)/],
  ['CreatePolicy', /^Policy\.Description$/],
  ['CreatePolicyVersion', /^PolicyVersion\.Document$/],
  ['ListPolicyVersions', /^Versions\[\]\.Document$/],
  ['ListInstanceProfilesForRole', /^(InstanceProfiles\[\]|Marker$)/],
  // there is nothing of the kind
  ['ListMFADevices', /^(MFADevices\[\]|Marker$)/],
  ['ListVirtualMFADevices', /^(VirtualMFADevices\[\]|Marker$)/],
  ['ListSigningCertificates', /^(Certificates\[\]|Marker$)/],
  ['ListSSHPublicKeys', /^(SSHPublicKeys\[\]|Marker$)/],
  ['ListServiceSpecificCredentials', /^(ServiceSpecificCredentials\[\]|Marker$)/],
  ['AssumeRole', /^SourceIdentity$/],
];

/** A time as epoch seconds, so that an answer is what JSON can hold. */
const plain = (value: unknown): unknown => {
  if (value instanceof Date) return value.getTime() / 1000;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== undefined)
      .map(([key, item]) => [key, plain(item)]),
  );
};

type Answer = Record<string, unknown>;
const part = (answer: Answer, name: string): Answer => answer[name] as Answer;

const boot = async (t: Parameters<typeof bootIam>[0]) => {
  const scene = await bootIam(t);
  const shown = new Map<string, Findings>();
  const inspected = (sdk: object, name: string, output: object): Answer => {
    const findings = shown.get(name) ?? { problems: [], seen: new Set() };
    shown.set(name, findings);
    const { $metadata, ...rest } = output as { $metadata: { httpStatusCode?: number } };
    assert.equal($metadata.httpStatusCode, 200);
    const body = plain(rest) as Answer;
    const schema = operationSchema(sdk, name);
    if (placesOf(schema).length > 0) inspect(schema, body, findings);
    else assert.deepEqual(body, {});
    assert.deepEqual(findings.problems, [], name);
    return body;
  };
  const nameOf = (command: { readonly input: object }): string => command.constructor.name.replace(/Command$/, '');
  const root = scene.iam();
  return {
    ...scene,
    shown,
    async send(command: { readonly input: object }, client = root): Promise<Answer> {
      // a table of many commands, and `send` is overloaded by them
      return inspected(iam, nameOf(command), await client.send(command as never));
    },
    async ask(command: { readonly input: object }, keys = rootKeys()): Promise<Answer> {
      return inspected(sts, nameOf(command), await scene.stsAs(keys).send(command as never));
    },
  };
};
type World = Awaited<ReturnType<typeof boot>>;

const idForm = /^(AIDA|AGPA|AROA|ANPA)[A-Z2-7]{17}$/;
const time = (world: World, value: unknown): number => {
  assert(Number.isInteger(value), 'a whole second');
  assert(Math.abs(Number(value) - world.node.clock.now() / 1000) < 60);
  return Number(value);
};
const listed = { IsTruncated: false };
const markerForm = /^[A-Za-z0-9+/]+={0,2}$/;

/** Asks for a list in pages of one and gives all of its items. */
const paged = async (
  { send }: World,
  make: (page: { MaxItems: number; Marker?: string }) => { readonly input: object },
  member: string,
): Promise<Answer[]> => {
  const items: Answer[] = [];
  let next: { Marker?: string } = {};
  for (;;) {
    const { IsTruncated, Marker, ...page } = await send(make({ MaxItems: 1, ...next }));
    items.push(...(page[member] as Answer[]));
    assert.equal((page[member] as Answer[]).length <= 1, true);
    if (!IsTruncated) return items;
    next = { Marker: chosen(Marker, markerForm) };
  }
};

const document = allowing('iot:*');
const encoded =
  '%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22iot%3A%2A%22%2C%22Resource%22%3A%22%2A%22%7D%5D%7D';
const Tags = [
  { Key: 'Line', Value: '' },
  { Key: 'team', Value: 'blue' },
];
const bounded = {
  PermissionsBoundaryType: 'PermissionsBoundaryPolicy',
  PermissionsBoundaryArn: arn('policy/own/Fleet'),
};

const policies = async (world: World): Promise<void> => {
  const { send } = world;
  const given = { PolicyName: 'Fleet', Path: '/own/', PolicyDocument: document, Description: 'the fleet', Tags };
  const { Policy } = await send(new iam.CreatePolicyCommand(given));
  const { PolicyId, CreateDate, ...rest } = Policy as Answer;
  const PolicyArn = arn('policy/own/Fleet');
  const facts = { PolicyName: 'Fleet', Path: '/own/', Arn: PolicyArn, IsAttachable: true };
  const counts = { AttachmentCount: 0, PermissionsBoundaryUsageCount: 0 };
  assert.deepEqual(rest, { ...facts, ...counts, DefaultVersionId: 'v1', UpdateDate: time(world, CreateDate), Tags });
  chosen(PolicyId, /^ANPA/);
  chosen(PolicyId, idForm);
  assert.deepEqual(part(await send(new iam.GetPolicyCommand({ PolicyArn })), 'Policy'), {
    ...(Policy as Answer),
    Description: 'the fleet',
  });
  const second = { PolicyArn, PolicyDocument: allowing('iot:Get*'), SetAsDefault: true };
  const made = part(await send(new iam.CreatePolicyVersionCommand(second)), 'PolicyVersion');
  assert.deepEqual(made, { VersionId: 'v2', IsDefaultVersion: true, CreateDate: time(world, made['CreateDate']) });
  assert.deepEqual(await send(new iam.SetDefaultPolicyVersionCommand({ PolicyArn, VersionId: 'v1' })), {});
  assert.deepEqual(part(await send(new iam.GetPolicyVersionCommand({ PolicyArn, VersionId: 'v1' })), 'PolicyVersion'), {
    ...{ VersionId: 'v1', IsDefaultVersion: true, CreateDate, Document: encoded },
  });
  const versions = await paged(world, (page) => new iam.ListPolicyVersionsCommand({ PolicyArn, ...page }), 'Versions');
  assert.deepEqual(
    versions.map(({ VersionId, IsDefaultVersion }) => [VersionId, IsDefaultVersion]),
    [
      ['v2', false],
      ['v1', true],
    ],
  );
  assert.deepEqual(await send(new iam.DeletePolicyVersionCommand({ PolicyArn, VersionId: 'v2' })), {});
  const third = await send(new iam.CreatePolicyVersionCommand({ ...second, SetAsDefault: false }));
  assert.equal(part(third, 'PolicyVersion')['VersionId'], 'v3', 'no number is given twice');

  await send(new iam.CreatePolicyCommand({ PolicyName: 'Another', PolicyDocument: document }));
  const local = await paged(world, (page) => new iam.ListPoliciesCommand({ Scope: 'Local', ...page }), 'Policies');
  assert.deepEqual(
    local.map((policy) => policy['PolicyName']),
    ['Another', 'Fleet'],
  );
  const all = await paged(world, (page) => new iam.ListPoliciesCommand(page), 'Policies');
  assert.deepEqual(all.slice(-2), local);
  const ofAws = all.find((policy) => policy['PolicyName'] === 'AWSIoTThingsRegistration');
  assert.equal(ofAws?.['Arn'], 'arn:aws:iam::aws:policy/service-role/AWSIoTThingsRegistration');
  const inPath = await send(new iam.ListPoliciesCommand({ PathPrefix: '/own/' }));
  assert.deepEqual(inPath, { ...listed, Policies: [local[1]] });

  assert.deepEqual(await send(new iam.TagPolicyCommand({ PolicyArn, Tags: [{ Key: 'LINE', Value: '7' }] })), {});
  const tags = await paged(world, (page) => new iam.ListPolicyTagsCommand({ PolicyArn, ...page }), 'Tags');
  assert.deepEqual(tags, [{ Key: 'LINE', Value: '7' }, Tags[1]], 'keys do not differ by case');
  assert.deepEqual(await send(new iam.UntagPolicyCommand({ PolicyArn, TagKeys: ['line', 'none'] })), {});
  assert.deepEqual(await send(new iam.ListPolicyTagsCommand({ PolicyArn })), { ...listed, Tags: [Tags[1]] });
};

const users = async (world: World): Promise<void> => {
  const { send } = world;
  const PermissionsBoundary = bounded.PermissionsBoundaryArn;
  const given = { UserName: 'alice', Path: '/team/', PermissionsBoundary, Tags };
  const { User } = await send(new iam.CreateUserCommand(given));
  const { UserId, CreateDate, ...rest } = User as Answer;
  chosen(UserId, /^AIDA/);
  const facts = { UserName: 'alice', Path: '/team/', Arn: arn('user/team/alice') };
  assert.deepEqual(rest, { ...facts, PermissionsBoundary: bounded, Tags });
  assert.deepEqual(await send(new iam.GetUserCommand({ UserName: 'alice' })), { User });
  const self = part(await send(new iam.GetUserCommand({})), 'User');
  assert.deepEqual(self, { UserId: account, Arn: arn('root'), CreateDate: time(world, self['CreateDate']) });
  assert.deepEqual(await send(new iam.DeleteUserPermissionsBoundaryCommand({ UserName: 'alice' })), {});
  assert.deepEqual(
    await send(new iam.PutUserPermissionsBoundaryCommand({ UserName: 'alice', PermissionsBoundary })),
    {},
  );
  assert.deepEqual(await send(new iam.GetUserCommand({ UserName: 'alice' })), { User });

  await send(new iam.CreateUserCommand({ UserName: 'Bob' }));
  const renamed = { UserName: 'Bob', NewUserName: 'bert', NewPath: '/x/' };
  assert.deepEqual(await send(new iam.UpdateUserCommand(renamed)), {});
  const found = await paged(world, (page) => new iam.ListUsersCommand(page), 'Users');
  const item = { ...facts, UserId, CreateDate };
  assert.deepEqual(found[0], item);
  assert.deepEqual([found.length, found[1]?.['Arn']], [2, arn('user/x/bert')]);
  assert.deepEqual(await send(new iam.ListUsersCommand({ PathPrefix: '/team/' })), { ...listed, Users: [item] });

  assert.deepEqual(await send(new iam.TagUserCommand({ UserName: 'bert', Tags })), {});
  const tags = await paged(world, (page) => new iam.ListUserTagsCommand({ UserName: 'bert', ...page }), 'Tags');
  assert.deepEqual(tags, Tags);
  assert.deepEqual(await send(new iam.UntagUserCommand({ UserName: 'bert', TagKeys: ['Line', 'team'] })), {});
};

const accessKeys = async (world: World): Promise<void> => {
  const { send, stsAs } = world;
  const { AccessKey } = await send(new iam.CreateAccessKeyCommand({ UserName: 'alice' }));
  const { AccessKeyId, SecretAccessKey, CreateDate, ...rest } = AccessKey as Answer;
  assert.deepEqual(rest, { UserName: 'alice', Status: 'Active' });
  const keys = {
    accessKeyId: chosen(AccessKeyId, /^AKIA[A-Z2-7]{16}$/),
    secretAccessKey: chosen(SecretAccessKey, /^[A-Za-z0-9+/]{40}$/),
  };
  const key = { AccessKeyId: keys.accessKeyId };
  const lastUsed = async () => (await send(new iam.GetAccessKeyLastUsedCommand(key))) as Answer;
  const never = { ServiceName: 'N/A', Region: 'N/A' };
  assert.deepEqual(await lastUsed(), { UserName: 'alice', AccessKeyLastUsed: never });
  await stsAs(keys).send(new sts.GetCallerIdentityCommand({}));
  let use = part(await lastUsed(), 'AccessKeyLastUsed');
  for (let tries = 0; use['ServiceName'] === 'N/A' && tries < 500; tries++)
    use = part(await lastUsed(), 'AccessKeyLastUsed');
  assert.deepEqual(use, { ServiceName: 'sts', Region: 'us-east-1', LastUsedDate: time(world, use['LastUsedDate']) });

  await send(new iam.CreateAccessKeyCommand({ UserName: 'alice' }));
  const inactive = { UserName: 'alice', ...key, Status: 'Inactive' } as const;
  assert.deepEqual(await send(new iam.UpdateAccessKeyCommand(inactive)), {});
  const all = await paged(
    world,
    (page) => new iam.ListAccessKeysCommand({ UserName: 'alice', ...page }),
    'AccessKeyMetadata',
  );
  assert.equal(all.length, 2);
  assert.deepEqual(
    all.find((each) => each['AccessKeyId'] === keys.accessKeyId),
    { ...inactive, CreateDate },
  );
  for (const { AccessKeyId: id } of all) {
    assert.deepEqual(await send(new iam.DeleteAccessKeyCommand({ UserName: 'alice', AccessKeyId: String(id) })), {});
  }
};

const groups = async (world: World): Promise<void> => {
  const { send } = world;
  const { Group } = await send(new iam.CreateGroupCommand({ GroupName: 'makers', Path: '/team/' }));
  const { GroupId, CreateDate, ...rest } = Group as Answer;
  chosen(GroupId, /^AGPA/);
  assert.deepEqual(rest, { GroupName: 'makers', Path: '/team/', Arn: arn('group/team/makers') });
  time(world, CreateDate);
  await send(new iam.CreateGroupCommand({ GroupName: 'Old' }));
  assert.deepEqual(await send(new iam.UpdateGroupCommand({ GroupName: 'Old', NewGroupName: 'zeal' })), {});
  for (const UserName of ['alice', 'bert', 'alice']) {
    assert.deepEqual(await send(new iam.AddUserToGroupCommand({ GroupName: 'makers', UserName })), {});
  }
  await send(new iam.AddUserToGroupCommand({ GroupName: 'zeal', UserName: 'alice' }));
  const members = await paged(world, (page) => new iam.GetGroupCommand({ GroupName: 'makers', ...page }), 'Users');
  assert.deepEqual(
    members.map(({ UserName }) => UserName),
    ['alice', 'bert'],
  );
  assert.deepEqual((await send(new iam.GetGroupCommand({ GroupName: 'makers' })))['Group'], Group);
  const ofAlice = await paged(
    world,
    (page) => new iam.ListGroupsForUserCommand({ UserName: 'alice', ...page }),
    'Groups',
  );
  const all = await paged(world, (page) => new iam.ListGroupsCommand(page), 'Groups');
  assert.deepEqual(all, ofAlice);
  assert.deepEqual(all[0], Group);
  assert.deepEqual(all[1]?.['GroupName'], 'zeal');
};

const roles = async (world: World): Promise<void> => {
  const { send } = world;
  const AssumeRolePolicyDocument = trusting(arn('user/team/alice'));
  const given = {
    ...{ RoleName: 'Installer', Path: '/line/', Description: 'installs', MaxSessionDuration: 7200, Tags },
    ...{ AssumeRolePolicyDocument, PermissionsBoundary: bounded.PermissionsBoundaryArn },
  };
  const { Role } = await send(new iam.CreateRoleCommand(given));
  const { RoleId, CreateDate, AssumeRolePolicyDocument: kept, ...rest } = Role as Answer;
  chosen(RoleId, /^AROA/);
  assert.equal(decodeURIComponent(String(kept)), AssumeRolePolicyDocument);
  const facts = { RoleName: 'Installer', Path: '/line/', Arn: arn('role/line/Installer'), MaxSessionDuration: 7200 };
  assert.deepEqual(rest, { ...facts, Description: 'installs', PermissionsBoundary: bounded, Tags });
  assert.deepEqual(await send(new iam.GetRoleCommand({ RoleName: 'Installer' })), { Role });
  await send(new iam.DeleteRolePermissionsBoundaryCommand({ RoleName: 'Installer' }));
  const boundary = { RoleName: 'Installer', PermissionsBoundary: bounded.PermissionsBoundaryArn };
  assert.deepEqual(await send(new iam.PutRolePermissionsBoundaryCommand(boundary)), {});

  await send(new iam.CreateRoleCommand({ RoleName: 'other', AssumeRolePolicyDocument }));
  const all = await paged(world, (page) => new iam.ListRolesCommand(page), 'Roles');
  const item = { ...facts, RoleId, CreateDate, Description: 'installs', AssumeRolePolicyDocument: kept };
  assert.deepEqual(all[0], item);
  assert.deepEqual([all.length, all[1]?.['MaxSessionDuration']], [2, 3600]);
  assert.deepEqual(await send(new iam.UpdateRoleCommand({ RoleName: 'other', MaxSessionDuration: 4000 })), {});
  const described = part(
    await send(new iam.UpdateRoleDescriptionCommand({ ...boundary, Description: 'installs more' })),
    'Role',
  );
  assert.deepEqual(described, { ...(Role as Answer), Description: 'installs more' });
  await send(new iam.UpdateAssumeRolePolicyCommand({ RoleName: 'other', PolicyDocument: trusting(account) }));
  const other = part(await send(new iam.GetRoleCommand({ RoleName: 'other' })), 'Role');
  assert.equal(other['MaxSessionDuration'], 4000);
  assert.equal(decodeURIComponent(String(other['AssumeRolePolicyDocument'])), trusting(account));
  const profiles = new iam.ListInstanceProfilesForRoleCommand({ RoleName: 'other' });
  assert.deepEqual(await send(profiles), { ...listed, InstanceProfiles: [] });

  assert.deepEqual(await send(new iam.TagRoleCommand({ RoleName: 'other', Tags })), {});
  const tags = await paged(world, (page) => new iam.ListRoleTagsCommand({ RoleName: 'other', ...page }), 'Tags');
  assert.deepEqual(tags, Tags);
  assert.deepEqual(await send(new iam.UntagRoleCommand({ RoleName: 'other', TagKeys: ['Line', 'team'] })), {});
};

/** The operations that users, groups and roles have alike. */
const alike = [
  {
    owner: { UserName: 'alice' },
    put: iam.PutUserPolicyCommand,
    get: iam.GetUserPolicyCommand,
    list: iam.ListUserPoliciesCommand,
    remove: iam.DeleteUserPolicyCommand,
    attach: iam.AttachUserPolicyCommand,
    attached: iam.ListAttachedUserPoliciesCommand,
    detach: iam.DetachUserPolicyCommand,
  },
  {
    owner: { GroupName: 'makers' },
    put: iam.PutGroupPolicyCommand,
    get: iam.GetGroupPolicyCommand,
    list: iam.ListGroupPoliciesCommand,
    remove: iam.DeleteGroupPolicyCommand,
    attach: iam.AttachGroupPolicyCommand,
    attached: iam.ListAttachedGroupPoliciesCommand,
    detach: iam.DetachGroupPolicyCommand,
  },
  {
    owner: { RoleName: 'Installer' },
    put: iam.PutRolePolicyCommand,
    get: iam.GetRolePolicyCommand,
    list: iam.ListRolePoliciesCommand,
    remove: iam.DeleteRolePolicyCommand,
    attach: iam.AttachRolePolicyCommand,
    attached: iam.ListAttachedRolePoliciesCommand,
    detach: iam.DetachRolePolicyCommand,
  },
] as const;

const bearing = async (world: World): Promise<void> => {
  const { send } = world;
  const fleet = { PolicyName: 'Fleet', PolicyArn: arn('policy/own/Fleet') };
  const data = { PolicyName: 'AWSIoTDataAccess', PolicyArn: 'arn:aws:iam::aws:policy/AWSIoTDataAccess' };
  for (const { owner, put, get, list, remove, attach, attached, detach } of alike) {
    // each of these classes takes its own owner, and all else alike
    const make = (Command: unknown, input: object) =>
      new (Command as new (input: object) => { readonly input: object })({ ...owner, ...input });
    for (const PolicyName of ['b', 'a']) {
      assert.deepEqual(await send(make(put, { PolicyName, PolicyDocument: document })), {});
    }
    const read = await send(make(get, { PolicyName: 'a' }));
    assert.deepEqual(read, { ...owner, PolicyName: 'a', PolicyDocument: encoded });
    const names = await paged(world, (page) => make(list, page), 'PolicyNames');
    assert.deepEqual(names, ['a', 'b']);
    for (const PolicyName of ['a', 'b']) assert.deepEqual(await send(make(remove, { PolicyName })), {});

    for (const { PolicyArn } of [fleet, data, fleet]) assert.deepEqual(await send(make(attach, { PolicyArn })), {});
    assert.deepEqual(await paged(world, (page) => make(attached, page), 'AttachedPolicies'), [data, fleet]);
    const inPath = await send(make(attached, { PathPrefix: '/own/' }));
    assert.deepEqual(inPath, { ...listed, AttachedPolicies: [fleet] });
    assert.deepEqual(await send(make(detach, data)), {});
  }
  const { PolicyArn } = fleet;
  const counted = part(await send(new iam.GetPolicyCommand({ PolicyArn })), 'Policy');
  assert.deepEqual([counted['AttachmentCount'], counted['PermissionsBoundaryUsageCount']], [3, 2]);
  const bearers = await send(new iam.ListEntitiesForPolicyCommand({ PolicyArn }));
  const idOf = (member: string, name: string) => (bearers[member] as Answer[])[0]?.[name];
  assert.deepEqual(bearers, {
    ...listed,
    PolicyGroups: [{ GroupName: 'makers', GroupId: idOf('PolicyGroups', 'GroupId') }],
    PolicyUsers: [{ UserName: 'alice', UserId: idOf('PolicyUsers', 'UserId') }],
    PolicyRoles: [{ RoleName: 'Installer', RoleId: idOf('PolicyRoles', 'RoleId') }],
  });
  const first = await send(new iam.ListEntitiesForPolicyCommand({ PolicyArn, MaxItems: 1 }));
  assert.deepEqual(first, { ...bearers, PolicyUsers: [], PolicyRoles: [], IsTruncated: true, Marker: first['Marker'] });
  const filter = { EntityFilter: 'User', PolicyUsageFilter: 'PermissionsBoundary' } as const;
  const bounding = await send(new iam.ListEntitiesForPolicyCommand({ PolicyArn, ...filter }));
  assert.deepEqual(bounding, { ...bearers, PolicyGroups: [], PolicyRoles: [] });
};

const sessions = async (world: World): Promise<void> => {
  const { send, ask } = world;
  const { AccessKey } = await send(new iam.CreateAccessKeyCommand({ UserName: 'alice' }));
  const key = AccessKey as { AccessKeyId: string; SecretAccessKey: string; SessionToken: undefined };
  const { accessKeyId, secretAccessKey } = keysOf(key);
  const alice = { accessKeyId, secretAccessKey };
  const self = { UserName: 'alice', PolicyName: 'self' };
  await send(new iam.DeleteUserPermissionsBoundaryCommand({ UserName: 'alice' }));
  await send(new iam.PutUserPolicyCommand({ ...self, PolicyDocument: allowing('iam:GetUser') }));
  const user = part(await send(new iam.GetUserCommand({}), world.iam(alice)), 'User');
  assert.equal(user['UserName'], 'alice', 'without a name it is the caller');
  const who = { UserId: user['UserId'], Account: account, Arn: arn('user/team/alice') };
  assert.deepEqual(await ask(new sts.GetCallerIdentityCommand({}), alice), who);

  const now = world.node.clock.now() / 1000;
  const form = { AccessKeyId: /^ASIA[A-Z2-7]{16}$/, SecretAccessKey: /^[A-Za-z0-9+/]{40}$/, SessionToken: markerForm };
  const checked = (Credentials: unknown, seconds: number) => {
    const given = Credentials as Answer;
    for (const [member, pattern] of Object.entries(form)) chosen(given[member], pattern);
    assert(Math.abs(Number(given['Expiration']) - now - seconds) < 60);
    return keysOf(given as unknown as Parameters<typeof keysOf>[0]);
  };
  /** What else is told of a token. */
  const sized = (answer: Answer): Answer => {
    const { SessionToken = '' } = answer['Credentials'] as { SessionToken?: string };
    const SessionTokenUtilization = Math.ceil((SessionToken.length / 8192) * 100);
    return { Credentials: answer['Credentials'], SessionTokenSize: SessionToken.length, SessionTokenUtilization };
  };
  const token = await ask(new sts.GetSessionTokenCommand({}), alice);
  assert.deepEqual(await ask(new sts.GetCallerIdentityCommand({}), checked(token['Credentials'], 43_200)), who);
  assert.deepEqual(token, sized(token));
  const ofRoot = await ask(new sts.GetSessionTokenCommand({ DurationSeconds: 43_200 }));
  const root = { UserId: account, Account: account, Arn: arn('root') };
  assert.deepEqual(await ask(new sts.GetCallerIdentityCommand({}), checked(ofRoot['Credentials'], 3600)), root);

  const RoleArn = arn('role/line/Installer');
  const assume = { RoleArn, RoleSessionName: 'shift-1', DurationSeconds: 7200, Policy: document };
  const assumed = await ask(new sts.AssumeRoleCommand(assume), alice);
  const { Role } = await send(new iam.GetRoleCommand({ RoleName: 'Installer' }));
  const AssumedRoleUser = {
    AssumedRoleId: `${(Role as Answer)['RoleId']}:shift-1`,
    Arn: `arn:aws:sts::${account}:assumed-role/Installer/shift-1`,
  };
  const { Credentials } = assumed;
  assert.deepEqual(assumed, { ...sized(assumed), AssumedRoleUser, PackedPolicySize: 5 });
  const { AssumedRoleId: UserId, Arn } = AssumedRoleUser;
  const keys = checked(Credentials, 7200);
  assert.deepEqual(await ask(new sts.GetCallerIdentityCommand({}), keys), { UserId, Account: account, Arn });
  await send(new iam.DeleteAccessKeyCommand({ UserName: 'alice', AccessKeyId: accessKeyId }));
  await send(new iam.DeleteUserPolicyCommand(self));
};

/** Operations that this version refuses whatever they are asked, with AWS's fault: no answer of theirs has members. */
const refusedAlways = ['DeleteLoginProfile', 'GetLoginProfile'];

/** What Terraform asks before it deletes a user with `force_destroy`. */
const absent = async ({ send, iam: clientOf }: World): Promise<void> => {
  const UserName = 'alice';
  const lists = [
    [new iam.ListMFADevicesCommand({ UserName }), 'MFADevices'],
    [new iam.ListMFADevicesCommand({}), 'MFADevices'],
    [new iam.ListVirtualMFADevicesCommand({ AssignmentStatus: 'Assigned' }), 'VirtualMFADevices'],
    [new iam.ListSigningCertificatesCommand({ UserName }), 'Certificates'],
    [new iam.ListSSHPublicKeysCommand({ UserName }), 'SSHPublicKeys'],
    [new iam.ListServiceSpecificCredentialsCommand({ UserName }), 'ServiceSpecificCredentials'],
    [new iam.ListServiceSpecificCredentialsCommand({ AllUsers: true }), 'ServiceSpecificCredentials'],
  ] as const;
  for (const [command, member] of lists) assert.deepEqual(await send(command), { ...listed, [member]: [] });
  for (const Command of [iam.GetLoginProfileCommand, iam.DeleteLoginProfileCommand]) {
    await assert.rejects(clientOf().send(new Command({ UserName }) as iam.GetLoginProfileCommand), {
      name: 'NoSuchEntityException',
      message: 'Login Profile for User alice cannot be found.',
    });
  }
};

const clean = async (world: World): Promise<void> => {
  const { send } = world;
  const PolicyArn = arn('policy/own/Fleet');
  await send(new iam.DetachUserPolicyCommand({ UserName: 'alice', PolicyArn }));
  await send(new iam.DetachGroupPolicyCommand({ GroupName: 'makers', PolicyArn }));
  await send(new iam.DetachRolePolicyCommand({ RoleName: 'Installer', PolicyArn }));
  const memberships = [
    ['makers', 'alice'],
    ['makers', 'bert'],
    ['zeal', 'alice'],
  ] as const;
  for (const [GroupName, UserName] of memberships) {
    assert.deepEqual(await send(new iam.RemoveUserFromGroupCommand({ GroupName, UserName })), {});
  }
  for (const GroupName of ['makers', 'zeal'])
    assert.deepEqual(await send(new iam.DeleteGroupCommand({ GroupName })), {});
  for (const UserName of ['alice', 'bert']) assert.deepEqual(await send(new iam.DeleteUserCommand({ UserName })), {});
  for (const RoleName of ['Installer', 'other'])
    assert.deepEqual(await send(new iam.DeleteRoleCommand({ RoleName })), {});
  await send(new iam.DeletePolicyVersionCommand({ PolicyArn, VersionId: 'v3' }));
  for (const own of [PolicyArn, arn('policy/Another')]) {
    assert.deepEqual(await send(new iam.DeletePolicyCommand({ PolicyArn: own })), {});
  }
  assert.deepEqual(await send(new iam.ListUsersCommand({})), { ...listed, Users: [] });
};

test('every handled operation of iam and sts answers what its schema says, in full', async (t) => {
  const world = await boot(t);
  for (const step of [policies, users, accessKeys, groups, roles, bearing, sessions, absent, clean]) await step(world);

  const handled = handledOperations().filter(({ service }) => service === 'iam' || service === 'sts');
  const shown = [...world.shown.keys(), ...refusedAlways];
  assert.deepEqual(shown.sort(), handled.map(({ operation }) => operation).sort());
  for (const { service, operation } of handled.filter((each) => !refusedAlways.includes(each.operation))) {
    const isNeverYet = (place: string) =>
      neverYet.some(([of, member]) => (of === '*' || of.split('|').includes(operation)) && member.test(place));
    const all = placesOf(operationSchema(service === 'iam' ? iam : sts, operation));
    const unseen = all.filter((place) => !world.shown.get(operation)?.seen.has(place) && !isNeverYet(place));
    assert.deepEqual(unseen, [], `members of ${operation} not seen`);
  }
  t.diagnostic(`${handled.length} operations`);
});
