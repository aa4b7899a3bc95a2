/** Versions of managed policies: `v1`, `v2`, ..., five at a time, their numbers never given again. Source: IAM API reference, CreatePolicyVersion. */
import type { Db } from '../../store/store.ts';
import { findAwsManaged, type ManagedPolicy } from './aws-managed.ts';

interface IamPolicyVersionsTable {
  account_id: string;
  policy_id: string;
  version: number;
  document: string;
  created_at_ms: number;
}

declare module '../../store/tables.ts' {
  interface Tables {
    iam_policy_versions: IamPolicyVersionsTable;
  }
}

export interface ManagedPolicyVersion {
  readonly version: number;
  /** Byte for byte as it was submitted. */
  readonly document: string;
  readonly createdAtMs: number;
}

/** e.g. `v1`. */
export const versionIdOf = (version: number): string => `v${version}`;

/** The number of a version id; 0, which no version has, for what is none. */
export const versionOf = (versionId: string): number => {
  const [, digits] = /^v([1-9][0-9]{0,8})$/.exec(versionId) ?? [];
  return Number(digits ?? 0);
};

/** All versions of a policy, newest first. */
export const listVersions = async (
  db: Db,
  accountId: string,
  { policyId, arn, defaultVersion, createdAtMs }: ManagedPolicy,
): Promise<readonly ManagedPolicyVersion[]> => {
  const builtIn = findAwsManaged(arn);
  if (builtIn) return [{ version: defaultVersion, document: builtIn.document, createdAtMs }];
  const rows = await db
    .selectFrom('iam_policy_versions')
    .select(['version', 'document', 'created_at_ms'])
    .where('account_id', '=', accountId)
    .where('policy_id', '=', policyId)
    .orderBy('version', 'desc')
    .execute();
  return rows.map((row) => ({
    version: Number(row.version),
    document: row.document,
    createdAtMs: Number(row.created_at_ms),
  }));
};

/** One version of a policy. */
export const findVersion = async (
  db: Db,
  accountId: string,
  policy: ManagedPolicy,
  version: number,
): Promise<ManagedPolicyVersion | undefined> =>
  (await listVersions(db, accountId, policy)).find((each) => each.version === version);

export const insertVersion = async (
  db: Db,
  accountId: string,
  policyId: string,
  { version, document, createdAtMs }: ManagedPolicyVersion,
): Promise<void> => {
  await db
    .insertInto('iam_policy_versions')
    .values({ account_id: accountId, policy_id: policyId, version, document, created_at_ms: createdAtMs })
    .execute();
};

/** Removes one version, or all of a policy that goes. */
export const removeVersions = async (db: Db, accountId: string, policyId: string, version?: number): Promise<void> => {
  let query = db
    .deleteFrom('iam_policy_versions')
    .where('account_id', '=', accountId)
    .where('policy_id', '=', policyId);
  if (version !== undefined) query = query.where('version', '=', version);
  await query.execute();
};

/** The documents in force of the account's own policies with these ARNs and of those of AWS, by ARN; one that is gone is absent. */
export const readDefaultDocuments = async (
  db: Db,
  accountId: string,
  policies: readonly ManagedPolicy[],
): Promise<ReadonlyMap<string, string>> => {
  const own = policies.filter(({ ofAws }) => !ofAws);
  const documents = new Map<string, string>();
  for (const { arn } of policies) {
    const builtIn = findAwsManaged(arn);
    if (builtIn) documents.set(arn, builtIn.document);
  }
  if (own.length === 0) return documents;
  const rows = await db
    .selectFrom('iam_policy_versions')
    .select(['policy_id', 'document'])
    .where('account_id', '=', accountId)
    .where(({ or, and, eb }) =>
      or(own.map((policy) => and([eb('policy_id', '=', policy.policyId), eb('version', '=', policy.defaultVersion)]))),
    )
    .execute();
  const byId = new Map(rows.map((row) => [row.policy_id, row.document]));
  for (const { arn, policyId } of own) {
    const document = byId.get(policyId);
    if (document !== undefined) documents.set(arn, document);
  }
  return documents;
};
