/**
 * What each operation of IAM itself asks. Source: service authorization reference, "Actions, resources, and condition keys for AWS Identity and Access Management".
 */
import { all, anywhere, type Demand, keyed, type Named, type Rows, type Scope, tagged, untagged } from './demand.ts';

const role = (name: string | undefined): Demand => ({ on: [{ type: 'role', name: name ?? '' }] });
const group = (name: string | undefined): Demand => ({ on: [{ type: 'group', name: name ?? '' }] });
const policy = (arn: string | undefined): Demand => ({ on: [{ type: 'policy', name: arn ?? '' }] });
const namedUser = (name: string | undefined): Demand => ({ on: [{ type: 'user', name: name ?? '' }] });

/** A user, or, where none is named, whoever asks. */
const user = (name: string | undefined, { callerArn }: Scope): Demand =>
  name === undefined ? { on: [callerArn] } : namedUser(name);

type Kind = 'user' | 'group' | 'role' | 'policy';
const iamArn = ({ account }: Scope, kind: Kind, pathAndName: string): string =>
  `arn:aws:iam::${account.accountId}:${kind}${pathAndName}`;

/** Something that is not there yet: its path comes with the request. */
const made = (scope: Scope, kind: Kind, path: string | undefined, name: string | undefined): Demand => ({
  on: [iamArn(scope, kind, `${path ?? '/'}${name ?? ''}`)],
});

/** What gets another name or path is asked about under both. Source: API reference, UpdateUser, UpdateGroup ("on both the source object and the target object"). */
const renamed = (
  type: 'user' | 'group',
  name: string | undefined,
  becoming: NonNullable<Named['becoming']>,
): Demand => {
  const before = { type, name: name ?? '' };
  const changes = becoming.name !== undefined || becoming.path !== undefined;
  return { on: changes ? [before, { ...before, becoming }] : [before] };
};

/** A list under a path. Observed: `arn:aws:iam::362454057659:user/` in refusals of ListUsers, and alike for groups and roles. */
const listed = (scope: Scope, kind: Kind, pathPrefix: string | undefined): Demand => ({
  on: [iamArn(scope, kind, pathPrefix ?? '/')],
});

const policyArn = (arn: string | undefined): Demand => keyed({ 'iam:PolicyARN': arn });
const boundary = (arn: string | undefined): Demand => keyed({ 'iam:PermissionsBoundary': arn });

const users: Rows<'iam'> = {
  CreateUser: ({ Path, UserName, PermissionsBoundary, Tags }, scope) =>
    all(made(scope, 'user', Path, UserName), boundary(PermissionsBoundary), tagged(Tags)),
  DeleteUser: ({ UserName }) => namedUser(UserName),
  GetUser: ({ UserName }, scope) => user(UserName, scope),
  ListUsers: ({ PathPrefix }, scope) => listed(scope, 'user', PathPrefix),
  UpdateUser: ({ UserName, NewUserName, NewPath }) => renamed('user', UserName, { name: NewUserName, path: NewPath }),
  CreateAccessKey: ({ UserName }, scope) => user(UserName, scope),
  DeleteAccessKey: ({ UserName }, scope) => user(UserName, scope),
  ListAccessKeys: ({ UserName }, scope) => user(UserName, scope),
  UpdateAccessKey: ({ UserName }, scope) => user(UserName, scope),
  GetAccessKeyLastUsed: ({ AccessKeyId }) => ({ on: [{ type: 'accesskey', name: AccessKeyId ?? '' }] }),
  DeleteUserPolicy: ({ UserName }) => namedUser(UserName),
  GetUserPolicy: ({ UserName }) => namedUser(UserName),
  ListUserPolicies: ({ UserName }) => namedUser(UserName),
  PutUserPolicy: ({ UserName }) => namedUser(UserName),
  AttachUserPolicy: ({ UserName, PolicyArn }) => all(namedUser(UserName), policyArn(PolicyArn)),
  DetachUserPolicy: ({ UserName, PolicyArn }) => all(namedUser(UserName), policyArn(PolicyArn)),
  ListAttachedUserPolicies: ({ UserName }) => namedUser(UserName),
  ListGroupsForUser: ({ UserName }) => namedUser(UserName),
  PutUserPermissionsBoundary: ({ UserName, PermissionsBoundary }) =>
    all(namedUser(UserName), boundary(PermissionsBoundary)),
  DeleteUserPermissionsBoundary: ({ UserName }) => namedUser(UserName),
  ListUserTags: ({ UserName }) => namedUser(UserName),
  TagUser: ({ UserName, Tags }) => all(namedUser(UserName), tagged(Tags)),
  UntagUser: ({ UserName, TagKeys }) => all(namedUser(UserName), untagged(TagKeys)),
  GetLoginProfile: ({ UserName }, scope) => user(UserName, scope),
  DeleteLoginProfile: ({ UserName }, scope) => user(UserName, scope),
  ListMFADevices: ({ UserName }, scope) => user(UserName, scope),
  ListVirtualMFADevices: anywhere,
  ListSigningCertificates: ({ UserName }, scope) => user(UserName, scope),
  ListSSHPublicKeys: ({ UserName }, scope) => user(UserName, scope),
  ListServiceSpecificCredentials: ({ UserName }, scope) => user(UserName, scope),
};

const groups: Rows<'iam'> = {
  CreateGroup: ({ Path, GroupName }, scope) => made(scope, 'group', Path, GroupName),
  DeleteGroup: ({ GroupName }) => group(GroupName),
  GetGroup: ({ GroupName }) => group(GroupName),
  ListGroups: ({ PathPrefix }, scope) => listed(scope, 'group', PathPrefix),
  UpdateGroup: ({ GroupName, NewGroupName, NewPath }) =>
    renamed('group', GroupName, { name: NewGroupName, path: NewPath }),
  AddUserToGroup: ({ GroupName }) => group(GroupName),
  RemoveUserFromGroup: ({ GroupName }) => group(GroupName),
  DeleteGroupPolicy: ({ GroupName }) => group(GroupName),
  GetGroupPolicy: ({ GroupName }) => group(GroupName),
  ListGroupPolicies: ({ GroupName }) => group(GroupName),
  PutGroupPolicy: ({ GroupName }) => group(GroupName),
  AttachGroupPolicy: ({ GroupName, PolicyArn }) => all(group(GroupName), policyArn(PolicyArn)),
  DetachGroupPolicy: ({ GroupName, PolicyArn }) => all(group(GroupName), policyArn(PolicyArn)),
  ListAttachedGroupPolicies: ({ GroupName }) => group(GroupName),
};

const roles: Rows<'iam'> = {
  CreateRole: ({ Path, RoleName, PermissionsBoundary, Tags }, scope) =>
    all(made(scope, 'role', Path, RoleName), boundary(PermissionsBoundary), tagged(Tags)),
  DeleteRole: ({ RoleName }) => role(RoleName),
  GetRole: ({ RoleName }) => role(RoleName),
  ListRoles: ({ PathPrefix }, scope) => listed(scope, 'role', PathPrefix),
  UpdateRole: ({ RoleName }) => role(RoleName),
  UpdateRoleDescription: ({ RoleName }) => role(RoleName),
  UpdateAssumeRolePolicy: ({ RoleName }) => role(RoleName),
  DeleteRolePolicy: ({ RoleName }) => role(RoleName),
  GetRolePolicy: ({ RoleName }) => role(RoleName),
  ListRolePolicies: ({ RoleName }) => role(RoleName),
  PutRolePolicy: ({ RoleName }) => role(RoleName),
  AttachRolePolicy: ({ RoleName, PolicyArn }) => all(role(RoleName), policyArn(PolicyArn)),
  DetachRolePolicy: ({ RoleName, PolicyArn }) => all(role(RoleName), policyArn(PolicyArn)),
  ListAttachedRolePolicies: ({ RoleName }) => role(RoleName),
  ListInstanceProfilesForRole: ({ RoleName }) => role(RoleName),
  PutRolePermissionsBoundary: ({ RoleName, PermissionsBoundary }) => all(role(RoleName), boundary(PermissionsBoundary)),
  DeleteRolePermissionsBoundary: ({ RoleName }) => role(RoleName),
  ListRoleTags: ({ RoleName }) => role(RoleName),
  TagRole: ({ RoleName, Tags }) => all(role(RoleName), tagged(Tags)),
  UntagRole: ({ RoleName, TagKeys }) => all(role(RoleName), untagged(TagKeys)),
};

const policies: Rows<'iam'> = {
  CreatePolicy: ({ Path, PolicyName, Tags }, scope) => all(made(scope, 'policy', Path, PolicyName), tagged(Tags)),
  DeletePolicy: ({ PolicyArn }) => policy(PolicyArn),
  GetPolicy: ({ PolicyArn }) => policy(PolicyArn),
  ListPolicies: anywhere,
  ListEntitiesForPolicy: ({ PolicyArn }) => policy(PolicyArn),
  CreatePolicyVersion: ({ PolicyArn }) => policy(PolicyArn),
  DeletePolicyVersion: ({ PolicyArn }) => policy(PolicyArn),
  GetPolicyVersion: ({ PolicyArn }) => policy(PolicyArn),
  ListPolicyVersions: ({ PolicyArn }) => policy(PolicyArn),
  SetDefaultPolicyVersion: ({ PolicyArn }) => policy(PolicyArn),
  ListPolicyTags: ({ PolicyArn }) => policy(PolicyArn),
  TagPolicy: ({ PolicyArn, Tags }) => all(policy(PolicyArn), tagged(Tags)),
  UntagPolicy: ({ PolicyArn, TagKeys }) => all(policy(PolicyArn), untagged(TagKeys)),
};

const account: Rows<'iam'> = {
  GetAccountAuthorizationDetails: anywhere,
  GetAccountSummary: anywhere,
  ListAccountAliases: anywhere,
  CreateAccountAlias: anywhere,
  DeleteAccountAlias: anywhere,
};

export const iamRows: Rows<'iam'> = { ...users, ...groups, ...roles, ...policies, ...account };
