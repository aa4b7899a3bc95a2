/** Policies that are part of one user, group or role. Source: IAM API reference, PutUserPolicy, PutGroupPolicy, PutRolePolicy. */
import { Fault } from '../../aws/fault.ts';
import type { Db } from '../../store/store.ts';
import type { Entity } from './entity.ts';
import { noSuch } from './faults.ts';
import type { IamPage } from './iam-page.ts';
import { charactersOf } from './policy-document.ts';
import { inlineCharactersMax } from './quotas.ts';

interface IamInlinePoliciesTable {
  account_id: string;
  entity_id: string;
  policy_name: string;
  document: string;
}

declare module '../../store/tables.ts' {
  interface Tables {
    iam_inline_policies: IamInlinePoliciesTable;
  }
}

export interface InlinePolicy {
  readonly policyName: string;
  /** Byte for byte as it was submitted. */
  readonly document: string;
}

const rowsOf = (db: Db, accountId: string, entityId: string) =>
  db
    .selectFrom('iam_inline_policies')
    .select(['policy_name', 'document'])
    .where('account_id', '=', accountId)
    .where('entity_id', '=', entityId);

/** All of one, by name. */
export const inlinePoliciesOf = async (
  db: Db,
  accountId: string,
  entityId: string,
): Promise<readonly InlinePolicy[]> => {
  const rows = await rowsOf(db, accountId, entityId).orderBy('policy_name').execute();
  return rows.map((row) => ({ policyName: row.policy_name, document: row.document }));
};

/** Names of a page. */
export const listInlineNames = async (
  db: Db,
  accountId: string,
  entityId: string,
  { after, limit }: IamPage,
): Promise<readonly string[]> => {
  const rows = await rowsOf(db, accountId, entityId)
    .where('policy_name', '>', after)
    .orderBy('policy_name')
    .limit(limit)
    .execute();
  return rows.map((row) => row.policy_name);
};

export const noSuchInline = ({ kind }: Entity, policyName: string): Fault =>
  noSuch(`The ${kind} policy with name ${policyName} cannot be found.`);

/** Faults: NoSuchEntityException. */
export const getInlinePolicy = async (
  db: Db,
  accountId: string,
  entity: Entity,
  policyName: string,
): Promise<InlinePolicy> => {
  const row = await rowsOf(db, accountId, entity.id).where('policy_name', '=', policyName).executeTakeFirst();
  if (!row) throw noSuchInline(entity, policyName);
  return { policyName, document: row.document };
};

/** Adds a policy, or takes the place of the one of this name. Faults: LimitExceededException when all of them together are too long. */
export const putInlinePolicy = async (
  db: Db,
  accountId: string,
  { kind, name, id }: Entity,
  { policyName, document }: InlinePolicy,
): Promise<void> => {
  await db
    .insertInto('iam_inline_policies')
    .values({ account_id: accountId, entity_id: id, policy_name: policyName, document })
    .onConflict((conflict) => conflict.columns(['account_id', 'entity_id', 'policy_name']).doUpdateSet({ document }))
    .execute();
  const all = await inlinePoliciesOf(db, accountId, id);
  const max = inlineCharactersMax[kind];
  if (all.reduce((sum, policy) => sum + charactersOf(policy.document), 0) <= max) return;
  throw new Fault('LimitExceededException', `Maximum policy size of ${max} bytes exceeded for ${kind} ${name}`);
};

/** False when there is none of this name. */
export const removeInlinePolicy = async (
  db: Db,
  accountId: string,
  entityId: string,
  policyName: string,
): Promise<boolean> => {
  const { numDeletedRows } = await db
    .deleteFrom('iam_inline_policies')
    .where('account_id', '=', accountId)
    .where('entity_id', '=', entityId)
    .where('policy_name', '=', policyName)
    .executeTakeFirst();
  return numDeletedRows > 0n;
};
