/**
 * Managed policies: an account's own, with up to five versions, and those of AWS, which have one. Source: IAM API reference, CreatePolicy,
 * CreatePolicyVersion; user guide, "Managed policies and inline policies".
 */
import { Fault } from '../../aws/fault.ts';
import type { Db } from '../../store/store.ts';
import { findAwsManaged, type ManagedPolicy } from './aws-managed.ts';
import { alreadyExists, noSuch, overQuota } from './faults.ts';
import type { IamPage } from './iam-page.ts';
import { newIamId } from './ids.ts';
import { policiesPerAccountMax } from './quotas.ts';

interface IamPoliciesTable {
  account_id: string;
  policy_id: string;
  policy_name: string;
  name_key: string;
  path: string;
  description: string | null;
  default_version: number;
  last_version: number;
  created_at_ms: number;
  updated_at_ms: number;
}

declare module '../../store/tables.ts' {
  interface Tables {
    iam_policies: IamPoliciesTable;
  }
}

const policyArn = (accountId: string, path: string, name: string): string =>
  `arn:aws:iam::${accountId}:policy${path}${name}`;

const toPolicy = (row: IamPoliciesTable): ManagedPolicy => ({
  arn: policyArn(row.account_id, row.path, row.policy_name),
  policyName: row.policy_name,
  path: row.path,
  policyId: row.policy_id,
  description: row.description ?? undefined,
  defaultVersion: Number(row.default_version),
  lastVersion: Number(row.last_version),
  createdAtMs: Number(row.created_at_ms),
  updatedAtMs: Number(row.updated_at_ms),
  ofAws: false,
});

/** Owner, path and name in the ARN of a policy. */
const arnPattern = /^arn:aws:iam::(aws|[0-9]{12}):policy(\/(?:[\x21-\x7e]+\/)?)([\w+=,.@-]{1,128})$/;

/**
 * The policy of this account, or of AWS, that an ARN names; undefined for another account's, as for one that does not exist.
 * Faults: InvalidInputException for what is no ARN of a policy.
 */
export const findManagedPolicy = async (db: Db, accountId: string, arn: string): Promise<ManagedPolicy | undefined> => {
  const [, owner, path, name = ''] = arnPattern.exec(arn) ?? [];
  if (owner === undefined) throw new Fault('InvalidInputException', `ARN ${arn} is not valid.`);
  if (owner === 'aws') return findAwsManaged(arn)?.policy;
  if (owner !== accountId) return undefined;
  const row = await db
    .selectFrom('iam_policies')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('name_key', '=', name.toLowerCase())
    .where('policy_name', '=', name)
    .executeTakeFirst();
  return row && row.path === path ? toPolicy(row) : undefined;
};

/** Several at once, in any order, for deciding: what is no ARN of a policy of this account or of AWS is absent, like what does not exist. */
export const findManagedPolicies = async (
  db: Db,
  accountId: string,
  arns: readonly string[],
): Promise<readonly ManagedPolicy[]> => {
  const builtIn = arns.map((arn) => findAwsManaged(arn)?.policy).filter((policy) => policy !== undefined);
  const names = arns.flatMap((arn) => {
    const [, owner, , name] = arnPattern.exec(arn) ?? [];
    return owner === accountId && name !== undefined ? [name.toLowerCase()] : [];
  });
  if (names.length === 0) return builtIn;
  const rows = await db
    .selectFrom('iam_policies')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('name_key', 'in', names)
    .execute();
  return [...builtIn, ...rows.map(toPolicy).filter(({ arn }) => arns.includes(arn))];
};

/** Faults: InvalidInputException, NoSuchEntityException. */
export const getManagedPolicy = async (db: Db, accountId: string, arn: string): Promise<ManagedPolicy> => {
  const policy = await findManagedPolicy(db, accountId, arn);
  if (!policy) throw noSuch(`Policy ${arn} was not found.`);
  return policy;
};

/** One that may be attached, or set as a boundary. Faults: InvalidInputException, NoSuchEntityException. */
export const getAttachablePolicy = async (db: Db, accountId: string, arn: string): Promise<ManagedPolicy> => {
  const policy = await findManagedPolicy(db, accountId, arn);
  if (!policy) throw noSuch(`Policy ${arn} does not exist or is not attachable.`);
  return policy;
};

/** One of the account's own, for a change. Faults: InvalidInputException, NoSuchEntityException, AccessDeniedException (a policy of AWS). */
export const getOwnPolicy = async (db: Db, accountId: string, arn: string): Promise<ManagedPolicy> => {
  const policy = await getManagedPolicy(db, accountId, arn);
  if (policy.ofAws) throw new Fault('AccessDeniedException', `Policy ${arn} is managed by AWS and can not be changed`);
  return policy;
};

/** The account's own policies by name. */
export const listOwnPolicies = async (
  db: Db,
  accountId: string,
  { after, limit, pathPrefix }: IamPage & { readonly pathPrefix: string },
): Promise<readonly ManagedPolicy[]> => {
  const rows = await db
    .selectFrom('iam_policies')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('name_key', '>', after)
    .where(({ eb, fn, val }) => eb(fn('substr', ['path', val(1), val(pathPrefix.length)]), '=', pathPrefix))
    .orderBy('name_key')
    .limit(limit)
    .execute();
  return rows.map(toPolicy);
};

export interface NewManagedPolicy {
  readonly policyName: string;
  readonly path?: string | undefined;
  readonly description?: string | undefined;
  readonly createdAtMs: number;
}

/** A policy whose only version is 1. Faults: EntityAlreadyExistsException, LimitExceededException. */
export const insertManagedPolicy = async (
  db: Db,
  accountId: string,
  policy: NewManagedPolicy,
): Promise<ManagedPolicy> => {
  const row: IamPoliciesTable = {
    account_id: accountId,
    policy_id: newIamId('policy'),
    policy_name: policy.policyName,
    name_key: policy.policyName.toLowerCase(),
    path: policy.path ?? '/',
    description: policy.description ?? null,
    default_version: 1,
    last_version: 1,
    created_at_ms: policy.createdAtMs,
    updated_at_ms: policy.createdAtMs,
  };
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('iam_policies')
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  if (numInsertedOrUpdatedRows === 0n) {
    throw alreadyExists(`A policy called ${policy.policyName} already exists. Duplicate names are not allowed.`);
  }
  const { count } = await db
    .selectFrom('iam_policies')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('account_id', '=', accountId)
    .executeTakeFirstOrThrow();
  if (Number(count) > policiesPerAccountMax) throw overQuota('PoliciesPerAccount', policiesPerAccountMax);
  return toPolicy(row);
};

export const saveManagedPolicy = async (
  db: Db,
  accountId: string,
  policy: Pick<ManagedPolicy, 'policyId' | 'defaultVersion' | 'lastVersion' | 'updatedAtMs'>,
): Promise<void> => {
  await db
    .updateTable('iam_policies')
    .set({
      default_version: policy.defaultVersion,
      last_version: policy.lastVersion,
      updated_at_ms: policy.updatedAtMs,
    })
    .where('account_id', '=', accountId)
    .where('policy_id', '=', policy.policyId)
    .execute();
};

export const removeManagedPolicy = async (db: Db, accountId: string, policyId: string): Promise<void> => {
  await db.deleteFrom('iam_policies').where('account_id', '=', accountId).where('policy_id', '=', policyId).execute();
};
