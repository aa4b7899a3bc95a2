/** Inline policies: the same four operations for users, groups and roles. Source: IAM API reference, PutUserPolicy and its kin. */
import type { Call, Handler } from '../../feature.ts';
import { type EntityKind, getEntity } from './entity.ts';
import { cutIamPage, pageOf } from './iam-page.ts';
import { writeIam } from './iam-write.ts';
import {
  getInlinePolicy,
  listInlineNames,
  noSuchInline,
  putInlinePolicy,
  removeInlinePolicy,
} from './inline-policy.ts';
import { assertPolicyDocument, encodedDocument } from './policy-document.ts';

/** Whose policy, and which. */
interface Named {
  readonly kind: EntityKind;
  readonly name?: string | undefined;
  readonly policyName?: string | undefined;
}

/** Faults: MalformedPolicyDocumentException, NoSuchEntityException, LimitExceededException. */
const put = async (call: Call, { kind, name = '', policyName = '' }: Named, document = ''): Promise<object> => {
  const { accountId } = call.account;
  assertPolicyDocument(document, 'identity');
  await writeIam(call, async (db) => {
    const entity = await getEntity(db, accountId, kind, name);
    await putInlinePolicy(db, accountId, entity, { policyName, document });
  });
  return {};
};

/** Faults: NoSuchEntityException. */
const read = async ({ db, account }: Call, { kind, name = '', policyName = '' }: Named) => {
  const entity = await getEntity(db, account.accountId, kind, name);
  const { document } = await getInlinePolicy(db, account.accountId, entity, policyName);
  return { name: entity.name, PolicyName: policyName, PolicyDocument: encodedDocument(document) };
};

/** Faults: NoSuchEntityException. */
const remove = async (call: Call, { kind, name = '', policyName = '' }: Named): Promise<object> => {
  const { accountId } = call.account;
  await writeIam(call, async (db) => {
    const entity = await getEntity(db, accountId, kind, name);
    if (!(await removeInlinePolicy(db, accountId, entity.id, policyName))) throw noSuchInline(entity, policyName);
  });
  return {};
};

/** By name. Faults: NoSuchEntityException. */
const list = async (call: Call, { kind, name = '' }: Named, input: Parameters<typeof pageOf>[1]) => {
  const { accountId } = call.account;
  const page = pageOf(call, input);
  const entity = await getEntity(call.db, accountId, kind, name);
  const rows = await listInlineNames(call.db, accountId, entity.id, page);
  const { items, next } = cutIamPage(call, rows, page, (policyName) => policyName);
  return { PolicyNames: [...items], ...next };
};

const user = (input: { UserName?: string | undefined; PolicyName?: string | undefined }): Named => ({
  kind: 'user',
  name: input.UserName,
  policyName: input.PolicyName,
});
const group = (input: { GroupName?: string | undefined; PolicyName?: string | undefined }): Named => ({
  kind: 'group',
  name: input.GroupName,
  policyName: input.PolicyName,
});
const role = (input: { RoleName?: string | undefined; PolicyName?: string | undefined }): Named => ({
  kind: 'role',
  name: input.RoleName,
  policyName: input.PolicyName,
});

export const putUserPolicy: Handler<'PutUserPolicy', 'iam'> = (input, call) =>
  put(call, user(input), input.PolicyDocument);
export const putGroupPolicy: Handler<'PutGroupPolicy', 'iam'> = (input, call) =>
  put(call, group(input), input.PolicyDocument);
export const putRolePolicy: Handler<'PutRolePolicy', 'iam'> = (input, call) =>
  put(call, role(input), input.PolicyDocument);

export const getUserPolicy: Handler<'GetUserPolicy', 'iam'> = async (input, call) => {
  const { name, ...policy } = await read(call, user(input));
  return { UserName: name, ...policy };
};
export const getGroupPolicy: Handler<'GetGroupPolicy', 'iam'> = async (input, call) => {
  const { name, ...policy } = await read(call, group(input));
  return { GroupName: name, ...policy };
};
export const getRolePolicy: Handler<'GetRolePolicy', 'iam'> = async (input, call) => {
  const { name, ...policy } = await read(call, role(input));
  return { RoleName: name, ...policy };
};

export const deleteUserPolicy: Handler<'DeleteUserPolicy', 'iam'> = (input, call) => remove(call, user(input));
export const deleteGroupPolicy: Handler<'DeleteGroupPolicy', 'iam'> = (input, call) => remove(call, group(input));
export const deleteRolePolicy: Handler<'DeleteRolePolicy', 'iam'> = (input, call) => remove(call, role(input));

export const listUserPolicies: Handler<'ListUserPolicies', 'iam'> = (input, call) => list(call, user(input), input);
export const listGroupPolicies: Handler<'ListGroupPolicies', 'iam'> = (input, call) => list(call, group(input), input);
export const listRolePolicies: Handler<'ListRolePolicies', 'iam'> = (input, call) => list(call, role(input), input);
