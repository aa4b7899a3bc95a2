/** Attaching managed policies: the same three operations for users, groups and roles, and the way back. Source: IAM API reference. */
import type { Call, Handler } from '../../feature.ts';
import { type Entity, type EntityKind, getEntity, listBounded } from './entity.ts';
import { noSuch } from './faults.ts';
import { cutIamPage, pageOf } from './iam-page.ts';
import { writeIam } from './iam-write.ts';
import { findManagedPolicy, getAttachablePolicy, getManagedPolicy } from './managed-policy.ts';
import { type AttachedPolicy, attach, attachedTo, bearersOf, detach } from './policy-attachment.ts';

/** To attach what is attached already changes nothing. Faults: NoSuchEntityException, InvalidInputException, LimitExceededException. */
const attachTo = async (call: Call, kind: EntityKind, name = '', arn = ''): Promise<object> => {
  const { accountId } = call.account;
  await writeIam(call, async (db) => {
    const entity = await getEntity(db, accountId, kind, name);
    await attach(db, accountId, entity, await getAttachablePolicy(db, accountId, arn));
  });
  return {};
};

/** Faults: NoSuchEntityException (also where it is not attached), InvalidInputException. */
const detachFrom = async (call: Call, kind: EntityKind, name = '', arn = ''): Promise<object> => {
  const { accountId } = call.account;
  await writeIam(call, async (db) => {
    const entity = await getEntity(db, accountId, kind, name);
    await findManagedPolicy(db, accountId, arn);
    if (!(await detach(db, accountId, entity.id, arn))) throw noSuch(`Policy ${arn} was not found.`);
  });
  return {};
};

const cursorOf = ({ policyName, arn }: AttachedPolicy): string =>
  `${policyName} ${arn.startsWith('arn:aws:iam::aws:') ? 'aws' : 'own'}`;
const pathOf = (arn: string): string => arn.slice(arn.indexOf(':policy/') + ':policy'.length, arn.lastIndexOf('/') + 1);

/** By name. Faults: NoSuchEntityException. */
const listOf = async (
  call: Call,
  [kind, name = '']: readonly [EntityKind, string | undefined],
  input: Parameters<typeof pageOf>[1] & { readonly PathPrefix?: string | undefined },
) => {
  const { accountId } = call.account;
  const page = pageOf(call, input);
  const entity = await getEntity(call.db, accountId, kind, name);
  const attached = await attachedTo(call.db, accountId, entity.id);
  const start = attached.findIndex((policy) => cursorOf(policy) === page.after) + 1;
  const rows = attached
    .slice(start)
    .filter(({ arn }) => pathOf(arn).startsWith(input.PathPrefix ?? '/'))
    .slice(0, page.limit);
  const { items, next } = cutIamPage(call, rows, page, cursorOf);
  return {
    AttachedPolicies: items.map(({ policyName, arn }) => ({ PolicyName: policyName, PolicyArn: arn })),
    ...next,
  };
};

export const attachUserPolicy: Handler<'AttachUserPolicy', 'iam'> = (input, call) =>
  attachTo(call, 'user', input.UserName, input.PolicyArn);
export const attachGroupPolicy: Handler<'AttachGroupPolicy', 'iam'> = (input, call) =>
  attachTo(call, 'group', input.GroupName, input.PolicyArn);
export const attachRolePolicy: Handler<'AttachRolePolicy', 'iam'> = (input, call) =>
  attachTo(call, 'role', input.RoleName, input.PolicyArn);

export const detachUserPolicy: Handler<'DetachUserPolicy', 'iam'> = (input, call) =>
  detachFrom(call, 'user', input.UserName, input.PolicyArn);
export const detachGroupPolicy: Handler<'DetachGroupPolicy', 'iam'> = (input, call) =>
  detachFrom(call, 'group', input.GroupName, input.PolicyArn);
export const detachRolePolicy: Handler<'DetachRolePolicy', 'iam'> = (input, call) =>
  detachFrom(call, 'role', input.RoleName, input.PolicyArn);

export const listAttachedUserPolicies: Handler<'ListAttachedUserPolicies', 'iam'> = (input, call) =>
  listOf(call, ['user', input.UserName], input);
export const listAttachedGroupPolicies: Handler<'ListAttachedGroupPolicies', 'iam'> = (input, call) =>
  listOf(call, ['group', input.GroupName], input);
export const listAttachedRolePolicies: Handler<'ListAttachedRolePolicies', 'iam'> = (input, call) =>
  listOf(call, ['role', input.RoleName], input);

const bearerCursor = ({ kind, name }: Entity): string => `${kind} ${name.toLowerCase()}`;
const kindOf: Readonly<Record<string, EntityKind>> = { User: 'user', Group: 'group', Role: 'role' };

/**
 * Groups, roles and users that a policy is attached to, or whose boundary it is: one page over all three, by kind and name.
 * Faults: InvalidInputException, NoSuchEntityException.
 */
export const listEntitiesForPolicy: Handler<'ListEntitiesForPolicy', 'iam'> = async (input, call) => {
  const { accountId } = call.account;
  const { EntityFilter, PathPrefix = '/', PolicyUsageFilter } = input;
  const page = pageOf(call, input);
  const { arn } = await getManagedPolicy(call.db, accountId, input.PolicyArn ?? '');
  const attached = PolicyUsageFilter === 'PermissionsBoundary' ? [] : await bearersOf(call.db, accountId, arn);
  const bounded = PolicyUsageFilter === 'PermissionsPolicy' ? [] : await listBounded(call.db, accountId, arn);
  const all = new Map([...attached, ...bounded].map((entity) => [bearerCursor(entity), entity]));
  const rows = [...all]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .filter(([cursor]) => cursor > page.after)
    .map(([, entity]) => entity)
    .filter(({ kind, path }) => path.startsWith(PathPrefix) && (!EntityFilter || kindOf[EntityFilter] === kind))
    .slice(0, page.limit);
  const { items, next } = cutIamPage(call, rows, page, bearerCursor);
  const of = (wanted: EntityKind) => items.filter(({ kind }) => kind === wanted);
  return {
    PolicyGroups: of('group').map(({ name, id }) => ({ GroupName: name, GroupId: id })),
    PolicyUsers: of('user').map(({ name, id }) => ({ UserName: name, UserId: id })),
    PolicyRoles: of('role').map(({ name, id }) => ({ RoleName: name, RoleId: id })),
    ...next,
  };
};
