/** A policy: its record and its queries. The operative text is that of the default version. Source: spec policy 1, identity 5. */
import { type AccountRegion, iotArn } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import type { Db } from '../../store/store.ts';
import { afterCursor, type CreationPage } from '../creation-order.ts';

interface PoliciesTable {
  account_id: string;
  region: string;
  policy_name: string;
  generation_id: string;
  default_version: number;
  last_version: number;
  created_at_ms: number;
  modified_at_ms: number;
}

declare module '../../store/tables.ts' {
  interface Tables {
    policies: PoliciesTable;
  }
}

export interface Policy {
  readonly policyName: string;
  /** A lower-case UUID, new whenever a policy of this name is created. */
  readonly generationId: string;
  readonly defaultVersion: number;
  /** The highest version ever given, whether it still exists or not. */
  readonly lastVersion: number;
  readonly createdAtMs: number;
  readonly modifiedAtMs: number;
}

/** Items per page when the caller names no number. Source: spec identity 1.2 (undocumented; recommended). */
export const pageDefault = 25;

const columns = [
  'policy_name',
  'generation_id',
  'default_version',
  'last_version',
  'created_at_ms',
  'modified_at_ms',
] as const;

const toPolicy = (row: Pick<PoliciesTable, (typeof columns)[number]>): Policy => ({
  policyName: row.policy_name,
  generationId: row.generation_id,
  defaultVersion: Number(row.default_version),
  lastVersion: Number(row.last_version),
  createdAtMs: Number(row.created_at_ms),
  modifiedAtMs: Number(row.modified_at_ms),
});

/** How listings name a policy. */
export const policyItem = (account: AccountRegion, policyName: string) => ({
  policyName,
  policyArn: iotArn(account, 'policy', policyName),
});

export const findPolicy = async (db: Db, account: AccountRegion, policyName: string): Promise<Policy | undefined> => {
  const row = await db
    .selectFrom('policies')
    .select(columns)
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .where('policy_name', '=', policyName)
    .executeTakeFirst();
  return row && toPolicy(row);
};

/** Faults: ResourceNotFoundException. */
export const getPolicyRow = async (db: Db, account: AccountRegion, policyName: string): Promise<Policy> => {
  const policy = await findPolicy(db, account, policyName);
  if (!policy) throw new Fault('ResourceNotFoundException', `Policy not found (name=${policyName})`);
  return policy;
};

/** The record of a new policy, whose only version is 1; false when the name is taken. */
export const insertPolicy = async (
  db: Db,
  account: AccountRegion,
  policy: { policyName: string; generationId: string; createdAtMs: number },
): Promise<boolean> => {
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('policies')
    .values({
      account_id: account.accountId,
      region: account.region,
      policy_name: policy.policyName,
      generation_id: policy.generationId,
      default_version: 1,
      last_version: 1,
      created_at_ms: policy.createdAtMs,
      modified_at_ms: policy.createdAtMs,
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return Number(numInsertedOrUpdatedRows) > 0;
};

export const savePolicy = async (
  db: Db,
  account: AccountRegion,
  policy: Pick<Policy, 'policyName' | 'defaultVersion' | 'lastVersion' | 'modifiedAtMs'>,
): Promise<void> => {
  await db
    .updateTable('policies')
    .set({
      default_version: policy.defaultVersion,
      last_version: policy.lastVersion,
      modified_at_ms: policy.modifiedAtMs,
    })
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .where('policy_name', '=', policy.policyName)
    .execute();
};

export const deletePolicyRow = async (db: Db, account: AccountRegion, policyName: string): Promise<void> => {
  await db
    .deleteFrom('policies')
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .where('policy_name', '=', policyName)
    .execute();
};

/** Policies of one account and region by their creation. */
export const listPolicyRows = async (
  db: Db,
  account: AccountRegion,
  page: CreationPage,
): Promise<readonly Policy[]> => {
  const after = afterCursor(page);
  const order = page.ascending ? 'asc' : 'desc';
  let query = db
    .selectFrom('policies')
    .select(columns)
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region);
  if (after) {
    query = query.where(({ eb, refTuple, tuple }) =>
      eb(refTuple('created_at_ms', 'policy_name'), after.operator, tuple(after.createdAtMs, after.key)),
    );
  }
  const rows = await query.orderBy('created_at_ms', order).orderBy('policy_name', order).limit(page.limit).execute();
  return rows.map(toPolicy);
};
