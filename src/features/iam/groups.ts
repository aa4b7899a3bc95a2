/** The operations on groups and who is in them. Source: IAM API reference. */
import type { Call, Handler } from '../../feature.ts';
import { type Entity, entityCursor, getEntity, insertEntity, listEntities, removeEntity } from './entity.ts';
import { assertBare } from './entity-deletion.ts';
import { entityItem, entityPage, rename } from './entity-operations.ts';
import { deleteConflict, noSuch } from './faults.ts';
import { addMember, groupsOf, membersOf, removeMember } from './group-member.ts';
import type { IamPage } from './iam-page.ts';
import { writeIam } from './iam-write.ts';
import { userItem } from './users.ts';

const groupItem = (accountId: string, group: Entity) => ({
  ...entityItem(accountId, group),
  GroupName: group.name,
  GroupId: group.id,
});

/** Faults: EntityAlreadyExistsException, LimitExceededException. */
export const createGroup: Handler<'CreateGroup', 'iam'> = async (input, call) => {
  const { accountId } = call.account;
  const given = { name: input.GroupName ?? '', path: input.Path, createdAtMs: call.now() };
  const group = await writeIam(call, (db) => insertEntity(db, accountId, 'group', given));
  return { Group: groupItem(accountId, group) };
};

/** The group and a page of its users. Faults: NoSuchEntityException. */
export const getGroup: Handler<'GetGroup', 'iam'> = async (input, call) => {
  const { accountId } = call.account;
  const group = await getEntity(call.db, accountId, 'group', input.GroupName ?? '');
  const read = (page: IamPage) => membersOf(call.db, accountId, group.id, page);
  const { items: Users, next } = await entityPage(call, input, read, userItem);
  return { Group: groupItem(accountId, group), Users, ...next };
};

/** Faults: NoSuchEntityException, EntityAlreadyExistsException. */
export const updateGroup: Handler<'UpdateGroup', 'iam'> = ({ GroupName, NewGroupName, NewPath }, call) =>
  rename(call, 'group', GroupName, { name: NewGroupName, path: NewPath });

/** Faults: NoSuchEntityException; DeleteConflictException while it has users or policies. */
export const deleteGroup: Handler<'DeleteGroup', 'iam'> = async (input, call) => {
  const { accountId } = call.account;
  await writeIam(call, async (db) => {
    const group = await getEntity(db, accountId, 'group', input.GroupName ?? '');
    if ((await membersOf(db, accountId, group.id, { after: '', limit: 1 })).length > 0) {
      throw deleteConflict('Cannot delete entity, must remove users from group first.');
    }
    await assertBare(db, accountId, group.id);
    await removeEntity(db, accountId, group.id);
  });
  return {};
};

/** By name. */
export const listGroups: Handler<'ListGroups', 'iam'> = async (input, call) => {
  const read = (page: IamPage) =>
    listEntities(call.db, call.account.accountId, 'group', { ...page, pathPrefix: input.PathPrefix });
  const { items: Groups, next } = await entityPage(call, input, read, groupItem);
  return { Groups, ...next };
};

/** By name. Faults: NoSuchEntityException. */
export const listGroupsForUser: Handler<'ListGroupsForUser', 'iam'> = async (input, call) => {
  const { accountId } = call.account;
  const user = await getEntity(call.db, accountId, 'user', input.UserName ?? '');
  const read = async ({ after, limit }: IamPage) =>
    (await groupsOf(call.db, accountId, user.id)).filter((group) => entityCursor(group) > after).slice(0, limit);
  const { items: Groups, next } = await entityPage(call, input, read, groupItem);
  return { Groups, ...next };
};

/** Group and user that an operation names. Faults: NoSuchEntityException. */
const both = async (
  db: Call['db'],
  accountId: string,
  { GroupName = '', UserName = '' }: { GroupName?: string | undefined; UserName?: string | undefined },
) => ({
  group: await getEntity(db, accountId, 'group', GroupName),
  user: await getEntity(db, accountId, 'user', UserName),
});

/** Faults: NoSuchEntityException, LimitExceededException. */
export const addUserToGroup: Handler<'AddUserToGroup', 'iam'> = async (input, call) => {
  const { accountId } = call.account;
  await writeIam(call, async (db) => {
    const { group, user } = await both(db, accountId, input);
    await addMember(db, accountId, user.id, group.id);
  });
  return {};
};

/** Faults: NoSuchEntityException, also for a user that is not in the group. */
export const removeUserFromGroup: Handler<'RemoveUserFromGroup', 'iam'> = async (input, call) => {
  const { accountId } = call.account;
  await writeIam(call, async (db) => {
    const { group, user } = await both(db, accountId, input);
    if (await removeMember(db, accountId, user.id, group.id)) return;
    throw noSuch(`User with name ${user.name} is not in group ${group.name}.`);
  });
  return {};
};
