/** Which users stand in which groups. Source: IAM API reference, AddUserToGroup. */
import type { Db } from '../../store/store.ts';
import { type Entity, findEntities } from './entity.ts';
import { overQuota } from './faults.ts';
import { groupsPerUserMax } from './quotas.ts';

interface IamGroupMembersTable {
  account_id: string;
  user_id: string;
  group_id: string;
}

declare module '../../store/tables.ts' {
  interface Tables {
    iam_group_members: IamGroupMembersTable;
  }
}

const inOrder = (entities: readonly Entity[]): readonly Entity[] =>
  entities.toSorted((a, b) => (a.name.toLowerCase() < b.name.toLowerCase() ? -1 : 1));

/** The groups of a user, by name. */
export const groupsOf = async (db: Db, accountId: string, userId: string): Promise<readonly Entity[]> => {
  const rows = await db
    .selectFrom('iam_group_members')
    .select('group_id')
    .where('account_id', '=', accountId)
    .where('user_id', '=', userId)
    .execute();
  return inOrder(
    await findEntities(
      db,
      accountId,
      rows.map((row) => row.group_id),
    ),
  );
};

/** Users of a group by name, those whose name in lower case is above `after`. */
export const membersOf = async (
  db: Db,
  accountId: string,
  groupId: string,
  { after, limit }: { readonly after: string; readonly limit: number },
): Promise<readonly Entity[]> => {
  const rows = await db
    .selectFrom('iam_group_members')
    .innerJoin('iam_entities', (join) =>
      join
        .onRef('iam_entities.account_id', '=', 'iam_group_members.account_id')
        .onRef('iam_entities.entity_id', '=', 'iam_group_members.user_id'),
    )
    .select('iam_entities.entity_id')
    .where('iam_group_members.account_id', '=', accountId)
    .where('iam_group_members.group_id', '=', groupId)
    .where('iam_entities.name_key', '>', after)
    .orderBy('iam_entities.name_key')
    .limit(limit)
    .execute();
  return inOrder(
    await findEntities(
      db,
      accountId,
      rows.map((row) => row.entity_id),
    ),
  );
};

/** Does nothing for a user that is there already. Faults: LimitExceededException. */
export const addMember = async (db: Db, accountId: string, userId: string, groupId: string): Promise<void> => {
  const groups = await groupsOf(db, accountId, userId);
  if (groups.some(({ id }) => id === groupId)) return;
  if (groups.length >= groupsPerUserMax) throw overQuota('GroupsPerUser', groupsPerUserMax);
  await db
    .insertInto('iam_group_members')
    .values({ account_id: accountId, user_id: userId, group_id: groupId })
    .execute();
};

/** False for a user that is not in the group. */
export const removeMember = async (db: Db, accountId: string, userId: string, groupId: string): Promise<boolean> => {
  const { numDeletedRows } = await db
    .deleteFrom('iam_group_members')
    .where('account_id', '=', accountId)
    .where('user_id', '=', userId)
    .where('group_id', '=', groupId)
    .executeTakeFirst();
  return numDeletedRows > 0n;
};
