/** The rows of certificates that ACM issues: from the request on, through validation and issue, to each renewal. */
import type { AccountRegion } from '../../aws/arn.ts';
import type { SecretBox } from '../../pki/secret-box.ts';
import type { Db } from '../../store/store.ts';
import {
  type AcmCertificate,
  type AcmCertificateStatus,
  type AcmCertificateType,
  acmArn,
  type CertificateMaterial,
  findAcmCertificate,
  materialColumns,
  type Renewal,
  type TransparencyPreference,
  wordsColumn,
} from './acm-certificate.ts';
import type { KeyAlgorithm } from './key-algorithm.ts';
import type { DomainValidation } from './validation.ts';

/** How long a request that is repeated with its token is known. Source: API reference, RequestCertificate. */
export const idempotencyMs = 60 * 60 * 1000;

export interface NewRequest {
  readonly uuid: string;
  readonly domainName: string;
  readonly names: readonly string[];
  readonly keyAlgorithm: KeyAlgorithm;
  readonly validation: readonly DomainValidation[];
  readonly transparencyPreference: TransparencyPreference;
  /** Of the caller's token with all that was asked for. */
  readonly idempotencyKey: string | undefined;
  readonly nowMs: number;
}

/** Keeps a request; false when one with its key is there that is not an hour old. */
export const insertRequest = async (
  db: Db,
  { accountId, region }: AccountRegion,
  request: NewRequest,
): Promise<boolean> => {
  const { idempotencyKey, nowMs } = request;
  if (idempotencyKey !== undefined) {
    await db
      .updateTable('acm_certificates')
      .set({ idempotency_key: null })
      .where('account_id', '=', accountId)
      .where('region', '=', region)
      .where('idempotency_key', '=', idempotencyKey)
      .where('created_at_ms', '<=', nowMs - idempotencyMs)
      .execute();
  }
  const result = await db
    .insertInto('acm_certificates')
    .values({
      account_id: accountId,
      region,
      certificate_uuid: request.uuid,
      certificate_type: 'AMAZON_ISSUED' satisfies AcmCertificateType,
      status: 'PENDING_VALIDATION' satisfies AcmCertificateStatus,
      domain_name: request.domainName,
      names: JSON.stringify(request.names),
      key_algorithm: request.keyAlgorithm,
      key_usages: wordsColumn([]),
      extended_key_usages: wordsColumn([]),
      created_at_ms: nowMs,
      validation: JSON.stringify(request.validation),
      next_action_ms: nowMs,
      idempotency_key: idempotencyKey ?? null,
      transparency_preference: request.transparencyPreference,
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return result.numInsertedOrUpdatedRows === 1n;
};

/** The ARN of the request with this key. */
export const findRequest = async (
  db: Db,
  account: AccountRegion,
  idempotencyKey: string,
): Promise<string | undefined> => {
  const row = await db
    .selectFrom('acm_certificates')
    .select('certificate_uuid')
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .where('idempotency_key', '=', idempotencyKey)
    .executeTakeFirst();
  return row && acmArn(account, row.certificate_uuid);
};

/** What a look at a certificate has changed; what is left out stays. */
export interface Outcome {
  readonly status?: AcmCertificateStatus;
  readonly material?: CertificateMaterial;
  readonly issuedAtMs?: number;
  readonly validation?: readonly DomainValidation[];
  readonly renewal?: Renewal;
  /** When to look again; undefined: never. */
  readonly nextActionMs: number | undefined;
}

const renewalColumns = ({ status, validation, updatedAtMs }: Renewal) => ({
  renewal_status: status,
  renewal_validation: JSON.stringify(validation),
  renewal_updated_ms: updatedAtMs,
});

const isUnchanged = (now: AcmCertificate | undefined, before: AcmCertificate): boolean =>
  now?.status === before.status && now.certificatePem === before.certificatePem;

/** Keeps the outcome of a look at `before`; false when that was deleted, issued or renewed by somebody else meanwhile. */
export const saveOutcome = async (
  db: Db,
  box: SecretBox,
  account: AccountRegion,
  { before, outcome }: { readonly before: AcmCertificate; readonly outcome: Outcome },
): Promise<boolean> => {
  if (!isUnchanged(await findAcmCertificate(db, account, before.arn), before)) return false;
  const { status, material, issuedAtMs, validation, renewal, nextActionMs } = outcome;
  await db
    .updateTable('acm_certificates')
    .set({
      next_action_ms: nextActionMs ?? null,
      ...(status && { status }),
      ...(material && materialColumns(box, account, before.uuid, material)),
      ...(issuedAtMs !== undefined && { issued_at_ms: issuedAtMs }),
      ...(validation && { validation: JSON.stringify(validation) }),
      ...(renewal && renewalColumns(renewal)),
    })
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .where('certificate_uuid', '=', before.uuid)
    .execute();
  return true;
};

/** Has a renewal begin at once. */
export const saveRenewal = async (
  db: Db,
  { accountId, region }: AccountRegion,
  { uuid, renewal }: { readonly uuid: string; readonly renewal: Renewal },
): Promise<void> => {
  await db
    .updateTable('acm_certificates')
    .set({ ...renewalColumns(renewal), next_action_ms: renewal.updatedAtMs })
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('certificate_uuid', '=', uuid)
    .execute();
};

export const saveTransparency = async (
  db: Db,
  { accountId, region }: AccountRegion,
  { uuid, preference }: { readonly uuid: string; readonly preference: TransparencyPreference },
): Promise<void> => {
  await db
    .updateTable('acm_certificates')
    .set({ transparency_preference: preference })
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('certificate_uuid', '=', uuid)
    .execute();
};
