/** A device certificate as one account and region holds it: its record, its queries, and the rules of its status. Source: spec identity 2. */
import { type AccountRegion, iotArn } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import type { Db } from '../../store/store.ts';

interface CertificatesTable {
  account_id: string;
  region: string;
  certificate_id: string;
  status: string;
  certificate_mode: string;
  pem: string;
  ca_certificate_id: string | null;
  owned_by: string;
  previous_owned_by: string | null;
  customer_version: number;
  generation_id: string;
  created_at_ms: number;
  last_modified_at_ms: number;
  not_before_ms: number;
  not_after_ms: number;
  transferred_to: string | null;
  transfer_message: string | null;
  transferred_at_ms: number | null;
  accepted_at_ms: number | null;
  rejected_at_ms: number | null;
  reject_reason: string | null;
  predecessors: string | null;
  retired_by: string | null;
}

declare module '../../store/tables.ts' {
  interface Tables {
    certificates: CertificatesTable;
  }
}

export type CertificateStatus = 'ACTIVE' | 'INACTIVE' | 'REVOKED' | 'PENDING_TRANSFER' | 'PENDING_ACTIVATION';
/** DEFAULT: issued by the service, or registered under a CA in that mode. SNI_ONLY: only the SNI of a connection says which account is meant. */
export type CertificateMode = 'DEFAULT' | 'SNI_ONLY';

/** The latest transfer between accounts; one that was cancelled leaves nothing. */
export interface CertificateTransfer {
  /** An account id. */
  readonly transferredTo: string;
  readonly transferMessage: string | undefined;
  readonly transferredAtMs: number;
  readonly acceptedAtMs: number | undefined;
  readonly rejectedAtMs: number | undefined;
  readonly rejectReason: string | undefined;
}

export interface Certificate {
  /** Lower-case hex SHA-256 of the DER. */
  readonly certificateId: string;
  readonly status: CertificateStatus;
  readonly certificateMode: CertificateMode;
  /** Ends in a newline. */
  readonly pem: string;
  readonly caCertificateId: string | undefined;
  /** An account id: another than that which sees it while the certificate waits for being accepted there. */
  readonly ownedBy: string;
  /** An account id. */
  readonly previousOwnedBy: string | undefined;
  /** From 1, one more at every change of status. */
  readonly customerVersion: number;
  /** A UUID, new at every registration. */
  readonly generationId: string;
  readonly createdAtMs: number;
  readonly lastModifiedAtMs: number;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly transfer: CertificateTransfer | undefined;
}

const toTransfer = (row: CertificatesTable): CertificateTransfer | undefined =>
  row.transferred_to === null
    ? undefined
    : {
        transferredTo: row.transferred_to,
        transferMessage: row.transfer_message ?? undefined,
        transferredAtMs: Number(row.transferred_at_ms),
        acceptedAtMs: row.accepted_at_ms === null ? undefined : Number(row.accepted_at_ms),
        rejectedAtMs: row.rejected_at_ms === null ? undefined : Number(row.rejected_at_ms),
        rejectReason: row.reject_reason ?? undefined,
      };

const toCertificate = (row: CertificatesTable): Certificate => ({
  certificateId: row.certificate_id,
  // The columns are written by this file only, from values of these types.
  status: row.status as CertificateStatus,
  certificateMode: row.certificate_mode as CertificateMode,
  pem: row.pem,
  caCertificateId: row.ca_certificate_id ?? undefined,
  ownedBy: row.owned_by,
  previousOwnedBy: row.previous_owned_by ?? undefined,
  customerVersion: Number(row.customer_version),
  generationId: row.generation_id,
  createdAtMs: Number(row.created_at_ms),
  lastModifiedAtMs: Number(row.last_modified_at_ms),
  notBeforeMs: Number(row.not_before_ms),
  notAfterMs: Number(row.not_after_ms),
  transfer: toTransfer(row),
});

export const certificateArn = (account: AccountRegion, certificateId: string): string =>
  iotArn(account, 'cert', certificateId);

/** The certificate of this account and region, whatever its status. The id is compared as it is: lower case. */
export const findCertificate = async (
  db: Db,
  { accountId, region }: AccountRegion,
  certificateId: string,
): Promise<Certificate | undefined> => {
  const row = await db
    .selectFrom('certificates')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('certificate_id', '=', certificateId)
    .executeTakeFirst();
  return row && toCertificate(row);
};

/** The same for an operation that names it. Faults: ResourceNotFoundException. */
export const getCertificate = async (db: Db, account: AccountRegion, certificateId: string): Promise<Certificate> => {
  const found = await findCertificate(db, account, certificateId);
  if (!found) throw new Fault('ResourceNotFoundException', `The certificate ${certificateId} does not exist`);
  return found;
};

/**
 * Refuses to attach anything to a certificate that is on its way to another account, in either of the two: nothing of the one may come to the other.
 * Faults: InvalidRequestException.
 */
export const assertNotInTransfer = async (db: Db, account: AccountRegion, certificateId: string): Promise<void> => {
  const found = await findCertificate(db, account, certificateId);
  if (found?.status === 'PENDING_TRANSFER') {
    throw new Fault('InvalidRequestException', `The certificate ${certificateId} is being transferred`);
  }
};

/** One account that holds a certificate. */
export interface CertificateHolder {
  readonly account: AccountRegion;
  readonly certificateMode: CertificateMode;
}

/** Holders of one certificate that are looked at. */
export const certificateHoldersMax = 10;

/**
 * Which accounts of a region hold a certificate: the one in DEFAULT mode, if any, comes first; at most `certificateHoldersMax`.
 * For connections without SNI only, where the DEFAULT holder is meant; no answer to a caller may tell of other accounts (design 4).
 */
export const findHoldersOfCertificate = async (
  db: Db,
  region: string,
  certificateId: string,
): Promise<readonly CertificateHolder[]> => {
  const rows = await db
    .selectFrom('certificates')
    .select(['account_id', 'certificate_mode'])
    .where('region', '=', region)
    .where('certificate_id', '=', certificateId)
    // not the account that it waits in to be accepted
    .whereRef('owned_by', '=', 'account_id')
    // 'DEFAULT' sorts before 'SNI_ONLY'
    .orderBy('certificate_mode')
    .orderBy('account_id')
    .limit(certificateHoldersMax)
    .execute();
  return rows.map((row) => ({
    account: { accountId: row.account_id, region },
    certificateMode: row.certificate_mode as CertificateMode,
  }));
};

export interface NewCertificate {
  readonly certificateId: string;
  readonly status: CertificateStatus;
  readonly certificateMode: CertificateMode;
  readonly pem: string;
  readonly caCertificateId?: string;
  readonly generationId: string;
  readonly createdAtMs: number;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** False when the account holds it already, or another account of the region holds it in DEFAULT mode and so would this one. */
export const insertCertificate = async (
  db: Db,
  { accountId, region }: AccountRegion,
  certificate: NewCertificate,
): Promise<boolean> => {
  const result = await db
    .insertInto('certificates')
    .values({
      account_id: accountId,
      region,
      certificate_id: certificate.certificateId,
      status: certificate.status,
      certificate_mode: certificate.certificateMode,
      pem: certificate.pem,
      ca_certificate_id: certificate.caCertificateId ?? null,
      owned_by: accountId,
      previous_owned_by: null,
      customer_version: 1,
      generation_id: certificate.generationId,
      created_at_ms: certificate.createdAtMs,
      last_modified_at_ms: certificate.createdAtMs,
      not_before_ms: certificate.notBeforeMs,
      not_after_ms: certificate.notAfterMs,
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return result.numInsertedOrUpdatedRows === 1n;
};

/** Changes the status: a new customerVersion. */
export const saveStatus = async (
  db: Db,
  { accountId, region }: AccountRegion,
  change: { readonly certificateId: string; readonly status: CertificateStatus; readonly nowMs: number },
): Promise<void> => {
  await db
    .updateTable('certificates')
    .set((column) => ({
      status: change.status,
      retired_by: null,
      customer_version: column('customer_version', '+', 1),
      last_modified_at_ms: change.nowMs,
    }))
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('certificate_id', '=', change.certificateId)
    .execute();
};

export const removeCertificate = async (
  db: Db,
  { accountId, region }: AccountRegion,
  certificateId: string,
): Promise<void> => {
  await db
    .deleteFrom('certificates')
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('certificate_id', '=', certificateId)
    .execute();
};
