/** The operations on roles. Source: IAM API reference, CreateRole, UpdateRole, DeleteRole. */
import type { Call, Handler } from '../../feature.ts';
import { boundaryOf, givenBoundary } from './boundary.ts';
import { removeEntity } from './entity.ts';
import { assertBare } from './entity-deletion.ts';
import { entityItem, entityPage } from './entity-operations.ts';
import { overQuota } from './faults.ts';
import type { IamPage } from './iam-page.ts';
import { listIamTags, removeIamTags, saveIamTags } from './iam-tag.ts';
import { writeIam } from './iam-write.ts';
import { assertPolicyDocument, charactersOf, encodedDocument } from './policy-document.ts';
import { trustPolicyCharactersMax } from './quotas.ts';
import { getRoleRow, insertRole, listRoleRows, type Role, saveRole } from './role.ts';
import { readTrustedIds } from './trusted.ts';

/** Sessions of a role that says nothing else last an hour at most. Source: API reference, CreateRole. */
const maxSessionSecondsDefault = 3600;

/** A role as lists have it. */
const roleItem = (accountId: string, role: Role) => ({
  ...entityItem(accountId, role),
  RoleName: role.name,
  RoleId: role.id,
  AssumeRolePolicyDocument: encodedDocument(role.trustPolicy),
  ...(role.description !== undefined && { Description: role.description }),
  MaxSessionDuration: role.maxSessionSeconds,
});

/** A role with all that is known of it. */
const whole = async ({ db, account: { accountId } }: Call, role: Role) => {
  const Tags = await listIamTags(db, accountId, role.id);
  return { ...roleItem(accountId, role), ...boundaryOf(role), ...(Tags.length > 0 && { Tags: [...Tags] }) };
};

const assertTrust = (document: string): void => {
  assertPolicyDocument(document, 'trust');
  if (charactersOf(document) > trustPolicyCharactersMax) throw overQuota('ACLSizePerRole', trustPolicyCharactersMax);
};

/**
 * Faults: MalformedPolicyDocumentException, LimitExceededException (size, number), EntityAlreadyExistsException, NoSuchEntityException (the boundary),
 * InvalidInputException (a tag, an ARN).
 */
export const createRole: Handler<'CreateRole', 'iam'> = async (input, call) => {
  const { accountId } = call.account;
  const { AssumeRolePolicyDocument: trustPolicy = '' } = input;
  assertTrust(trustPolicy);
  const createdAtMs = call.now();
  const role = await writeIam(call, async (db) => {
    const made = await insertRole(db, accountId, {
      name: input.RoleName ?? '',
      path: input.Path,
      createdAtMs,
      boundaryArn: await givenBoundary(db, accountId, input.PermissionsBoundary),
      description: input.Description,
      trustPolicy,
      trustedIds: await readTrustedIds(db, trustPolicy),
      maxSessionSeconds: input.MaxSessionDuration ?? maxSessionSecondsDefault,
    });
    await saveIamTags(db, accountId, made.id, input.Tags);
    return made;
  });
  return { Role: await whole(call, role) };
};

/** When a role was last used is not noted. Faults: NoSuchEntityException. */
export const getRole: Handler<'GetRole', 'iam'> = async (input, call) => ({
  Role: await whole(call, await getRoleRow(call.db, call.account.accountId, input.RoleName ?? '')),
});

/** By name. */
export const listRoles: Handler<'ListRoles', 'iam'> = async (input, call) => {
  const read = (page: IamPage) =>
    listRoleRows(call.db, call.account.accountId, { ...page, pathPrefix: input.PathPrefix });
  const { items: Roles, next } = await entityPage(call, input, read, roleItem);
  return { Roles, ...next };
};

type Changes = Partial<Pick<Role, 'description' | 'trustPolicy' | 'maxSessionSeconds'>>;

/** Faults: NoSuchEntityException, MalformedPolicyDocumentException (whom a new trust policy names). */
const change = (call: Call, name: string, changes: Changes): Promise<Role> =>
  writeIam(call, async (db) => {
    const { accountId } = call.account;
    const { trustPolicy } = changes;
    const trusted = trustPolicy !== undefined && { trustedIds: await readTrustedIds(db, trustPolicy) };
    const role = { ...(await getRoleRow(db, accountId, name)), ...changes, ...trusted };
    await saveRole(db, accountId, role);
    return role;
  });

/** A description that is not given stays; a duration that is not given is an hour again (API reference). Faults: NoSuchEntityException. */
export const updateRole: Handler<'UpdateRole', 'iam'> = async (input, call) => {
  await change(call, input.RoleName ?? '', {
    ...(input.Description !== undefined && { description: input.Description }),
    maxSessionSeconds: input.MaxSessionDuration ?? maxSessionSecondsDefault,
  });
  return {};
};

/** Faults: NoSuchEntityException. */
export const updateRoleDescription: Handler<'UpdateRoleDescription', 'iam'> = async (input, call) => ({
  Role: await whole(call, await change(call, input.RoleName ?? '', { description: input.Description })),
});

/** Sessions that have begun go on. Faults: MalformedPolicyDocumentException, LimitExceededException, NoSuchEntityException. */
export const updateAssumeRolePolicy: Handler<'UpdateAssumeRolePolicy', 'iam'> = async (input, call) => {
  const { PolicyDocument: trustPolicy = '' } = input;
  assertTrust(trustPolicy);
  await change(call, input.RoleName ?? '', { trustPolicy });
  return {};
};

/** Its sessions end with it. Faults: NoSuchEntityException; DeleteConflictException while it has policies. */
export const deleteRole: Handler<'DeleteRole', 'iam'> = async (input, call) => {
  const { accountId } = call.account;
  await writeIam(call, async (db) => {
    const role = await getRoleRow(db, accountId, input.RoleName ?? '');
    await assertBare(db, accountId, role.id);
    await removeIamTags(db, accountId, role.id);
    await removeEntity(db, accountId, role.id);
  });
  return {};
};

/** There are no instances here, and so no profiles of them; clients ask before they delete a role. Faults: NoSuchEntityException. */
export const listInstanceProfilesForRole: Handler<'ListInstanceProfilesForRole', 'iam'> = async (input, call) => {
  await getRoleRow(call.db, call.account.accountId, input.RoleName ?? '');
  return { InstanceProfiles: [], IsTruncated: false };
};
