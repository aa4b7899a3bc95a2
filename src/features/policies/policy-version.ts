/** The versions of a policy: numbered from 1, at most five at a time, never renumbered, their documents kept byte for byte. Source: spec policy 1. */
import type { AccountRegion } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import { parsePolicyDocument } from '../../policy/document.ts';
import { MalformedPolicy } from '../../policy/malformed.ts';
import type { Db } from '../../store/store.ts';

interface PolicyVersionsTable {
  account_id: string;
  region: string;
  policy_name: string;
  version: number;
  document: string;
  created_at_ms: number;
}

declare module '../../store/tables.ts' {
  interface Tables {
    policy_versions: PolicyVersionsTable;
  }
}

/** Versions of one policy. Source: API reference, CreatePolicyVersion. */
export const policyVersionsMax = 5;

export interface PolicyVersion {
  readonly version: number;
  readonly document: string;
  readonly createdAtMs: number;
}

/** Faults: MalformedPolicyException with the sentence of policy/. */
export const assertPolicyDocument = (text: string): void => {
  try {
    parsePolicyDocument(text);
  } catch (cause) {
    if (!(cause instanceof MalformedPolicy)) throw cause;
    throw new Fault('MalformedPolicyException', cause.message, {}, { cause });
  }
};

const versionIdPattern = /^[1-9][0-9]{0,14}$/;

const unknownVersion = (policyName: string, policyVersionId: string): Fault =>
  new Fault(
    'ResourceNotFoundException',
    `Policy version not found (name=${policyName}, version=${policyVersionId.slice(0, 20)})`,
  );

/** Faults: ResourceNotFoundException. */
export const getPolicyVersionRow = async (
  db: Db,
  account: AccountRegion,
  policyName: string,
  policyVersionId: string,
): Promise<PolicyVersion> => {
  const row = versionIdPattern.test(policyVersionId)
    ? await db
        .selectFrom('policy_versions')
        .select(['version', 'document', 'created_at_ms'])
        .where('account_id', '=', account.accountId)
        .where('region', '=', account.region)
        .where('policy_name', '=', policyName)
        .where('version', '=', Number(policyVersionId))
        .executeTakeFirst()
    : undefined;
  if (!row) throw unknownVersion(policyName, policyVersionId);
  return { version: Number(row.version), document: row.document, createdAtMs: Number(row.created_at_ms) };
};

/** All versions of a policy, newest first, without their documents. */
export const listPolicyVersionRows = async (
  db: Db,
  account: AccountRegion,
  policyName: string,
): Promise<readonly Omit<PolicyVersion, 'document'>[]> => {
  const rows = await db
    .selectFrom('policy_versions')
    .select(['version', 'created_at_ms'])
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .where('policy_name', '=', policyName)
    .orderBy('version', 'desc')
    .execute();
  return rows.map((row) => ({ version: Number(row.version), createdAtMs: Number(row.created_at_ms) }));
};

export const insertPolicyVersion = async (
  db: Db,
  account: AccountRegion,
  policyName: string,
  { version, document, createdAtMs }: PolicyVersion,
): Promise<void> => {
  await db
    .insertInto('policy_versions')
    .values({
      account_id: account.accountId,
      region: account.region,
      policy_name: policyName,
      version,
      document,
      created_at_ms: createdAtMs,
    })
    .execute();
};

/** Deletes one version, or all of a policy that is being deleted itself. */
export const deletePolicyVersionRows = async (
  db: Db,
  account: AccountRegion,
  policyName: string,
  version?: number,
): Promise<void> => {
  let query = db
    .deleteFrom('policy_versions')
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .where('policy_name', '=', policyName);
  if (version !== undefined) query = query.where('version', '=', version);
  await query.execute();
};

/** One document that rights are made of. `text` is exactly what was submitted. */
export interface StoredDocument {
  readonly policyName: string;
  readonly version: number;
  readonly text: string;
}

/** The documents of several policies' versions; one that is gone is absent. */
export const readDocuments = async (
  db: Db,
  account: AccountRegion,
  wanted: readonly { policyName: string; version: number }[],
): Promise<readonly StoredDocument[]> => {
  if (wanted.length === 0) return [];
  const rows = await db
    .selectFrom('policy_versions')
    .select(['policy_name', 'version', 'document'])
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .where(({ or, and, eb }) =>
      or(
        wanted.map(({ policyName, version }) => and([eb('policy_name', '=', policyName), eb('version', '=', version)])),
      ),
    )
    .execute();
  return rows.map((row) => ({ policyName: row.policy_name, version: Number(row.version), text: row.document }));
};
