/**
 * A role alias: the name by which devices ask for credentials of a role, so that the role can be replaced without telling them. Names count by case.
 * Source: developer guide, "Authorizing direct calls to AWS services"; spec identity 9.
 */
import { type AccountRegion, iotArn } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import type { Db } from '../../store/store.ts';

interface RoleAliasesTable {
  account_id: string;
  region: string;
  role_alias: string;
  role_arn: string;
  credential_duration_seconds: number;
  created_at_ms: number;
  modified_at_ms: number;
}

declare module '../../store/tables.ts' {
  interface Tables {
    role_aliases: RoleAliasesTable;
  }
}

export interface RoleAlias {
  readonly roleAlias: string;
  readonly roleArn: string;
  readonly credentialDurationSeconds: number;
  readonly createdAtMs: number;
  readonly modifiedAtMs: number;
}

/** Role aliases of one account and region. Source: AWS general reference, IoT Core quotas. */
export const roleAliasesMax = 100;
/** Source: API reference, CreateRoleAlias. */
export const durationSecondsDefault = 3600;

const toRoleAlias = (row: RoleAliasesTable): RoleAlias => ({
  roleAlias: row.role_alias,
  roleArn: row.role_arn,
  credentialDurationSeconds: Number(row.credential_duration_seconds),
  createdAtMs: Number(row.created_at_ms),
  modifiedAtMs: Number(row.modified_at_ms),
});

/** How operations name a role alias. */
export const roleAliasItem = (account: AccountRegion, roleAlias: string) => ({
  roleAlias,
  roleAliasArn: iotArn(account, 'rolealias', roleAlias),
});

export const findRoleAlias = async (
  db: Db,
  { accountId, region }: AccountRegion,
  roleAlias: string,
): Promise<RoleAlias | undefined> => {
  const row = await db
    .selectFrom('role_aliases')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('role_alias', '=', roleAlias)
    .executeTakeFirst();
  return row && toRoleAlias(row);
};

/** Faults: ResourceNotFoundException. */
export const getRoleAlias = async (db: Db, account: AccountRegion, roleAlias: string): Promise<RoleAlias> => {
  const found = await findRoleAlias(db, account, roleAlias);
  // Observed: the credentials provider's words; the API's own are not documented
  if (!found) throw new Fault('ResourceNotFoundException', 'Role alias does not exist');
  return found;
};

/** False when the name is taken. Faults: LimitExceededException. */
export const insertRoleAlias = async (
  db: Db,
  { accountId, region }: AccountRegion,
  alias: RoleAlias,
): Promise<boolean> => {
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('role_aliases')
    .values({
      account_id: accountId,
      region,
      role_alias: alias.roleAlias,
      role_arn: alias.roleArn,
      credential_duration_seconds: alias.credentialDurationSeconds,
      created_at_ms: alias.createdAtMs,
      modified_at_ms: alias.modifiedAtMs,
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  if (Number(numInsertedOrUpdatedRows) === 0) return false;
  const { count } = await db
    .selectFrom('role_aliases')
    .select(({ fn }) => fn.countAll().as('count'))
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .executeTakeFirstOrThrow();
  if (Number(count) > roleAliasesMax) {
    throw new Fault('LimitExceededException', `An account can have at most ${roleAliasesMax} role aliases`);
  }
  return true;
};

/** Writes all that may change. */
export const saveRoleAlias = async (
  db: Db,
  { accountId, region }: AccountRegion,
  alias: Omit<RoleAlias, 'createdAtMs'>,
): Promise<void> => {
  await db
    .updateTable('role_aliases')
    .set({
      role_arn: alias.roleArn,
      credential_duration_seconds: alias.credentialDurationSeconds,
      modified_at_ms: alias.modifiedAtMs,
    })
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('role_alias', '=', alias.roleAlias)
    .execute();
};

export const removeRoleAlias = async (
  db: Db,
  { accountId, region }: AccountRegion,
  roleAlias: string,
): Promise<void> => {
  await db
    .deleteFrom('role_aliases')
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('role_alias', '=', roleAlias)
    .execute();
};

export interface RoleAliasPage {
  /** The name after which the page starts; '' at the beginning. */
  readonly after: string;
  readonly limit: number;
  readonly ascending: boolean;
}

/** Names in the order of their characters. */
export const listRoleAliasNames = async (
  db: Db,
  { accountId, region }: AccountRegion,
  { after, limit, ascending }: RoleAliasPage,
): Promise<readonly string[]> => {
  let query = db
    .selectFrom('role_aliases')
    .select('role_alias')
    .where('account_id', '=', accountId)
    .where('region', '=', region);
  if (after !== '') query = query.where('role_alias', ascending ? '>' : '<', after);
  const rows = await query
    .orderBy('role_alias', ascending ? 'asc' : 'desc')
    .limit(limit)
    .execute();
  return rows.map((row) => row.role_alias);
};
