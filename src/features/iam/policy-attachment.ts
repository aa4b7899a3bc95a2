/** Which managed policies are attached to which users, groups and roles. Source: IAM API reference, AttachUserPolicy, ListEntitiesForPolicy. */
import type { Db } from '../../store/store.ts';
import type { ManagedPolicy } from './aws-managed.ts';
import { type Entity, findEntities } from './entity.ts';
import { overQuota } from './faults.ts';
import { attachmentsMax } from './quotas.ts';

interface IamAttachmentsTable {
  account_id: string;
  entity_id: string;
  policy_arn: string;
  policy_name: string;
}

declare module '../../store/tables.ts' {
  interface Tables {
    iam_attachments: IamAttachmentsTable;
  }
}

export interface AttachedPolicy {
  readonly arn: string;
  readonly policyName: string;
}

/** What is attached to one, by name; ten at most. */
export const attachedTo = async (db: Db, accountId: string, entityId: string): Promise<readonly AttachedPolicy[]> => {
  const rows = await db
    .selectFrom('iam_attachments')
    .select(['policy_arn', 'policy_name'])
    .where('account_id', '=', accountId)
    .where('entity_id', '=', entityId)
    .orderBy('policy_name')
    .orderBy('policy_arn')
    .execute();
  return rows.map((row) => ({ arn: row.policy_arn, policyName: row.policy_name }));
};

/** Does nothing where it is attached already. Faults: LimitExceededException. */
export const attach = async (
  db: Db,
  accountId: string,
  { kind, id }: Entity,
  { arn, policyName }: ManagedPolicy,
): Promise<void> => {
  const attached = await attachedTo(db, accountId, id);
  if (attached.some((each) => each.arn === arn)) return;
  const [quota, max] = attachmentsMax[kind];
  if (attached.length >= max) throw overQuota(quota, max);
  await db
    .insertInto('iam_attachments')
    .values({ account_id: accountId, entity_id: id, policy_arn: arn, policy_name: policyName })
    .execute();
};

/** False where it was not attached. */
export const detach = async (db: Db, accountId: string, entityId: string, arn: string): Promise<boolean> => {
  const { numDeletedRows } = await db
    .deleteFrom('iam_attachments')
    .where('account_id', '=', accountId)
    .where('entity_id', '=', entityId)
    .where('policy_arn', '=', arn)
    .executeTakeFirst();
  return numDeletedRows > 0n;
};

/** Everything that a policy is attached to. */
export const bearersOf = async (db: Db, accountId: string, arn: string): Promise<readonly Entity[]> => {
  const rows = await db
    .selectFrom('iam_attachments')
    .select('entity_id')
    .where('account_id', '=', accountId)
    .where('policy_arn', '=', arn)
    .execute();
  return findEntities(
    db,
    accountId,
    rows.map((row) => row.entity_id),
  );
};

/** How often each policy of an account is attached, and how often it is a boundary. */
export const countUses = async (
  db: Db,
  accountId: string,
): Promise<{ readonly attached: ReadonlyMap<string, number>; readonly bounding: ReadonlyMap<string, number> }> => {
  const attached = await db
    .selectFrom('iam_attachments')
    .select('policy_arn')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('account_id', '=', accountId)
    .groupBy('policy_arn')
    .execute();
  const bounding = await db
    .selectFrom('iam_entities')
    .select('boundary_arn')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('account_id', '=', accountId)
    .where('boundary_arn', 'is not', null)
    .groupBy('boundary_arn')
    .execute();
  return {
    attached: new Map(attached.map((row) => [row.policy_arn, Number(row.count)])),
    bounding: new Map(bounding.map((row) => [row.boundary_arn ?? '', Number(row.count)])),
  };
};
