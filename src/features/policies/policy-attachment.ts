/** Which policies are attached to which targets. A target is a certificate ARN in this version. Source: spec identity 4.1, policy 1. */
import { type AccountRegion, iotArn } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import type { Holder } from '../../feature.ts';
import { keepQuery } from '../../store/kept-query.ts';
import type { Db } from '../../store/store.ts';
import { afterCursor, type CreationPage } from '../creation-order.ts';

interface PolicyAttachmentsTable {
  account_id: string;
  region: string;
  target: string;
  policy_name: string;
  created_at_ms: number;
}

declare module '../../store/tables.ts' {
  interface Tables {
    policy_attachments: PolicyAttachmentsTable;
  }
}

/** Policies of one certificate. Source: spec policy 1. */
export const policiesPerCertificateMax = 10;

export interface PolicyAttachment {
  readonly policyName: string;
  readonly target: string;
  readonly createdAtMs: number;
}

const toAttachment = (
  row: Pick<PolicyAttachmentsTable, 'policy_name' | 'target' | 'created_at_ms'>,
): PolicyAttachment => ({ policyName: row.policy_name, target: row.target, createdAtMs: Number(row.created_at_ms) });

/** What is attached to a target, by the time of attaching; at most `policiesPerCertificateMax` exist. */
export const listPoliciesOfTarget = async (
  db: Db,
  account: AccountRegion,
  target: string,
  page: CreationPage,
): Promise<readonly PolicyAttachment[]> => {
  const after = afterCursor(page);
  const order = page.ascending ? 'asc' : 'desc';
  let query = db
    .selectFrom('policy_attachments')
    .select(['policy_name', 'target', 'created_at_ms'])
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .where('target', '=', target);
  if (after) {
    query = query.where(({ eb, refTuple, tuple }) =>
      eb(refTuple('created_at_ms', 'policy_name'), after.operator, tuple(after.createdAtMs, after.key)),
    );
  }
  const rows = await query.orderBy('created_at_ms', order).orderBy('policy_name', order).limit(page.limit).execute();
  return rows.map(toAttachment);
};

/** What a policy is attached to, by the time of attaching. */
export const listTargetsOfPolicy = async (
  db: Db,
  account: AccountRegion,
  policyName: string,
  page: CreationPage,
): Promise<readonly PolicyAttachment[]> => {
  const after = afterCursor(page);
  const order = page.ascending ? 'asc' : 'desc';
  let query = db
    .selectFrom('policy_attachments')
    .select(['policy_name', 'target', 'created_at_ms'])
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .where('policy_name', '=', policyName);
  if (after) {
    query = query.where(({ eb, refTuple, tuple }) =>
      eb(refTuple('created_at_ms', 'target'), after.operator, tuple(after.createdAtMs, after.key)),
    );
  }
  const rows = await query.orderBy('created_at_ms', order).orderBy('target', order).limit(page.limit).execute();
  return rows.map(toAttachment);
};

/** False when it was attached already. */
export const insertPolicyAttachment = async (
  db: Db,
  account: AccountRegion,
  { policyName, target, createdAtMs }: PolicyAttachment,
): Promise<boolean> => {
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('policy_attachments')
    .values({
      account_id: account.accountId,
      region: account.region,
      target,
      policy_name: policyName,
      created_at_ms: createdAtMs,
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return Number(numInsertedOrUpdatedRows) > 0;
};

/** The same within `policiesPerCertificateMax`, inside a unit. Faults: LimitExceededException. */
export const attachWithinLimit = async (
  db: Db,
  account: AccountRegion,
  attachment: PolicyAttachment,
): Promise<boolean> => {
  if (!(await insertPolicyAttachment(db, account, attachment))) return false;
  const page = { after: '', limit: policiesPerCertificateMax + 1, ascending: true };
  const attached = await listPoliciesOfTarget(db, account, attachment.target, page);
  if (attached.length > policiesPerCertificateMax) {
    throw new Fault(
      'LimitExceededException',
      `A certificate can have at most ${policiesPerCertificateMax} policies attached`,
    );
  }
  return true;
};

/** False when it was not attached. */
export const deletePolicyAttachment = async (
  db: Db,
  account: AccountRegion,
  { policyName, target }: Pick<PolicyAttachment, 'policyName' | 'target'>,
): Promise<boolean> => {
  const { numDeletedRows } = await db
    .deleteFrom('policy_attachments')
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .where('target', '=', target)
    .where('policy_name', '=', policyName)
    .executeTakeFirst();
  return Number(numDeletedRows) > 0;
};

/** The policies attached to a certificate, for whoever wants to delete it. */
export const policiesHolding = async (db: Db, account: AccountRegion, arn: string): Promise<readonly Holder[]> => {
  const attachments = await listPoliciesOfTarget(db, account, arn, {
    after: '',
    limit: policiesPerCertificateMax,
    ascending: true,
  });
  return attachments.map(({ policyName }) => ({ kind: 'policy', name: policyName }));
};

/** Detaches every policy from a certificate that is being deleted by force. */
export const releasePolicies = async (db: Db, account: AccountRegion, arn: string): Promise<void> => {
  await db
    .deleteFrom('policy_attachments')
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .where('target', '=', arn)
    .execute();
};

/** A policy as it counts for a certificate: its operative version, in the generation that tells namesakes apart. */
export interface OperativePolicy {
  readonly policyName: string;
  readonly generationId: string;
  readonly version: number;
}

const operativeRows = keepQuery((db, [accountId = '', region = '', ...targets]) =>
  db
    .selectFrom('policy_attachments')
    .innerJoin('policies', (join) =>
      join
        .onRef('policies.account_id', '=', 'policy_attachments.account_id')
        .onRef('policies.region', '=', 'policy_attachments.region')
        .onRef('policies.policy_name', '=', 'policy_attachments.policy_name'),
    )
    .select(['policy_attachments.target', 'policies.policy_name', 'policies.generation_id', 'policies.default_version'])
    .where('policy_attachments.account_id', '=', accountId)
    .where('policy_attachments.region', '=', region)
    .where('policy_attachments.target', 'in', targets)
    .orderBy('policy_attachments.target')
    .orderBy('policy_attachments.policy_name'),
);

/** The policies of many certificates in one query, by certificateId, each list in name order; a certificate without any is absent. */
export const readOperativePolicies = async (
  db: Db,
  account: AccountRegion,
  certificateIds: readonly string[],
): Promise<ReadonlyMap<string, readonly OperativePolicy[]>> => {
  const idOf = new Map(certificateIds.map((id) => [iotArn(account, 'cert', id), id]));
  const rows = await operativeRows(db, [account.accountId, account.region, ...idOf.keys()]);
  const policies = new Map<string, OperativePolicy[]>();
  for (const row of rows) {
    const id = idOf.get(row.target);
    if (id === undefined) continue;
    const list = policies.get(id) ?? [];
    list.push({
      policyName: row.policy_name,
      generationId: row.generation_id,
      version: Number(row.default_version),
    });
    policies.set(id, list);
  }
  return policies;
};
