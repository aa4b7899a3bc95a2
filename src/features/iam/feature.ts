import type { Feature } from '../../feature.ts';
import type { SecretBox } from '../../pki/secret-box.ts';
import {
  createAccessKey,
  deleteAccessKey,
  getAccessKeyLastUsed,
  listAccessKeys,
  updateAccessKey,
} from './access-keys.ts';
import { assumeRole } from './assume-role.ts';
import {
  attachGroupPolicy,
  attachRolePolicy,
  attachUserPolicy,
  detachGroupPolicy,
  detachRolePolicy,
  detachUserPolicy,
  listAttachedGroupPolicies,
  listAttachedRolePolicies,
  listAttachedUserPolicies,
  listEntitiesForPolicy,
} from './attached-policies.ts';
import {
  deleteRolePermissionsBoundary,
  deleteUserPermissionsBoundary,
  putRolePermissionsBoundary,
  putUserPermissionsBoundary,
} from './boundary.ts';
import { getSessionToken } from './get-session-token.ts';
import {
  addUserToGroup,
  createGroup,
  deleteGroup,
  getGroup,
  listGroups,
  listGroupsForUser,
  removeUserFromGroup,
  updateGroup,
} from './groups.ts';
import {
  listPolicyTags,
  listRoleTags,
  listUserTags,
  tagPolicy,
  tagRole,
  tagUser,
  untagPolicy,
  untagRole,
  untagUser,
} from './iam-tags.ts';
import {
  deleteGroupPolicy,
  deleteRolePolicy,
  deleteUserPolicy,
  getGroupPolicy,
  getRolePolicy,
  getUserPolicy,
  listGroupPolicies,
  listRolePolicies,
  listUserPolicies,
  putGroupPolicy,
  putRolePolicy,
  putUserPolicy,
} from './inline-policies.ts';
import { createPolicy, deletePolicy, getPolicy, listPolicies } from './managed-policies.ts';
import {
  createPolicyVersion,
  deletePolicyVersion,
  getPolicyVersion,
  listPolicyVersions,
  setDefaultPolicyVersion,
} from './managed-policy-versions.ts';
import { migrations } from './migrations.ts';
import type { Iam } from './open-iam.ts';
import {
  createRole,
  deleteRole,
  getRole,
  listInstanceProfilesForRole,
  listRoles,
  updateAssumeRolePolicy,
  updateRole,
  updateRoleDescription,
} from './roles.ts';
import { createUser, deleteUser, getUser, listUsers, updateUser } from './users.ts';

/** IAM of an account: users, groups, roles, their keys and policies; and the temporary credentials of STS. */
export const iam = (services: {
  readonly box: SecretBox;
  readonly iam: Pick<Iam, 'authorize' | 'keysOf' | 'mintSession'>;
}): Feature => ({
  name: 'iam',
  migrations,
  operations: {
    iam: {
      CreateAccessKey: createAccessKey(services.box),
      ListAccessKeys: listAccessKeys,
      UpdateAccessKey: updateAccessKey,
      DeleteAccessKey: deleteAccessKey,
      GetAccessKeyLastUsed: getAccessKeyLastUsed,
      AttachUserPolicy: attachUserPolicy,
      AttachGroupPolicy: attachGroupPolicy,
      AttachRolePolicy: attachRolePolicy,
      DetachUserPolicy: detachUserPolicy,
      DetachGroupPolicy: detachGroupPolicy,
      DetachRolePolicy: detachRolePolicy,
      ListAttachedUserPolicies: listAttachedUserPolicies,
      ListAttachedGroupPolicies: listAttachedGroupPolicies,
      ListAttachedRolePolicies: listAttachedRolePolicies,
      ListEntitiesForPolicy: listEntitiesForPolicy,
      PutUserPermissionsBoundary: putUserPermissionsBoundary,
      PutRolePermissionsBoundary: putRolePermissionsBoundary,
      DeleteUserPermissionsBoundary: deleteUserPermissionsBoundary,
      DeleteRolePermissionsBoundary: deleteRolePermissionsBoundary,
      CreateGroup: createGroup,
      GetGroup: getGroup,
      UpdateGroup: updateGroup,
      DeleteGroup: deleteGroup,
      ListGroups: listGroups,
      ListGroupsForUser: listGroupsForUser,
      AddUserToGroup: addUserToGroup,
      RemoveUserFromGroup: removeUserFromGroup,
      TagUser: tagUser,
      UntagUser: untagUser,
      ListUserTags: listUserTags,
      TagRole: tagRole,
      UntagRole: untagRole,
      ListRoleTags: listRoleTags,
      TagPolicy: tagPolicy,
      UntagPolicy: untagPolicy,
      ListPolicyTags: listPolicyTags,
      PutUserPolicy: putUserPolicy,
      PutGroupPolicy: putGroupPolicy,
      PutRolePolicy: putRolePolicy,
      GetUserPolicy: getUserPolicy,
      GetGroupPolicy: getGroupPolicy,
      GetRolePolicy: getRolePolicy,
      DeleteUserPolicy: deleteUserPolicy,
      DeleteGroupPolicy: deleteGroupPolicy,
      DeleteRolePolicy: deleteRolePolicy,
      ListUserPolicies: listUserPolicies,
      ListGroupPolicies: listGroupPolicies,
      ListRolePolicies: listRolePolicies,
      CreatePolicy: createPolicy,
      GetPolicy: getPolicy,
      ListPolicies: listPolicies,
      DeletePolicy: deletePolicy,
      CreatePolicyVersion: createPolicyVersion,
      GetPolicyVersion: getPolicyVersion,
      ListPolicyVersions: listPolicyVersions,
      DeletePolicyVersion: deletePolicyVersion,
      SetDefaultPolicyVersion: setDefaultPolicyVersion,
      CreateRole: createRole,
      GetRole: getRole,
      ListRoles: listRoles,
      UpdateRole: updateRole,
      UpdateRoleDescription: updateRoleDescription,
      UpdateAssumeRolePolicy: updateAssumeRolePolicy,
      DeleteRole: deleteRole,
      ListInstanceProfilesForRole: listInstanceProfilesForRole,
      CreateUser: createUser,
      GetUser: getUser,
      UpdateUser: updateUser,
      DeleteUser: deleteUser,
      ListUsers: listUsers,
    },
    sts: {
      AssumeRole: assumeRole(services.iam),
      GetSessionToken: getSessionToken(services.iam),
    },
  },
});
