/** A CA certificate as one account and region holds it: its record and its queries. Source: spec identity 3. */
import { type AccountRegion, iotArn } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import { fingerprint } from '../../pki/certificate.ts';
import type { Db } from '../../store/store.ts';
import type { CertificateMode } from '../certificates/certificate.ts';

interface CaCertificatesTable {
  account_id: string;
  region: string;
  ca_certificate_id: string;
  subject_hash: string;
  status: string;
  certificate_mode: string;
  pem: string;
  auto_registration_status: string;
  template_body: string | null;
  template_name: string | null;
  role_arn: string | null;
  customer_version: number;
  generation_id: string;
  created_at_ms: number;
  last_modified_at_ms: number;
  not_before_ms: number;
  not_after_ms: number;
}

declare module '../../store/tables.ts' {
  interface Tables {
    ca_certificates: CaCertificatesTable;
  }
}

/** What is run for a device whose certificate is registered at its first connection: a template given here, or one by name. Source: spec provisioning 3. */
export type RegistrationConfig =
  | { readonly templateBody: string; readonly templateName?: never; readonly roleArn: string }
  | { readonly templateName: string; readonly templateBody?: never; readonly roleArn?: string };

export interface CaCertificate {
  /** Lower-case hex SHA-256 of the DER. */
  readonly caCertificateId: string;
  /** Ends in a newline. */
  readonly certificatePem: string;
  /** INACTIVE: no new certificate is registered under it; those that are registered go on working. */
  readonly status: 'ACTIVE' | 'INACTIVE';
  /** DEFAULT: somebody proved to have its key. SNI_ONLY: only the SNI of a connection says which account is meant. */
  readonly certificateMode: CertificateMode;
  /** Whether a certificate of this CA is registered at its first connection. */
  readonly autoRegistrationStatus: 'ENABLE' | 'DISABLE';
  readonly registrationConfig: RegistrationConfig | undefined;
  /** From 1, one more at every change. */
  readonly customerVersion: number;
  /** A UUID, new at every registration. */
  readonly generationId: string;
  readonly createdAtMs: number;
  readonly lastModifiedAtMs: number;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

const toRegistrationConfig = (
  row: Pick<CaCertificatesTable, 'template_body' | 'template_name' | 'role_arn'>,
): RegistrationConfig | undefined => {
  const { template_body: templateBody, template_name: templateName, role_arn: roleArn } = row;
  if (templateBody !== null) return { templateBody, roleArn: roleArn ?? '' };
  if (templateName !== null) return { templateName, ...(roleArn !== null && { roleArn }) };
  return undefined;
};

const fromRegistrationConfig = (config: RegistrationConfig | undefined) => ({
  template_body: config?.templateBody ?? null,
  template_name: config?.templateName ?? null,
  role_arn: config?.roleArn ?? null,
});

const toCaCertificate = (row: CaCertificatesTable): CaCertificate => ({
  caCertificateId: row.ca_certificate_id,
  certificatePem: row.pem,
  // The columns are written by this file only, from values of these types.
  status: row.status as CaCertificate['status'],
  certificateMode: row.certificate_mode as CertificateMode,
  autoRegistrationStatus: row.auto_registration_status as CaCertificate['autoRegistrationStatus'],
  registrationConfig: toRegistrationConfig(row),
  customerVersion: Number(row.customer_version),
  generationId: row.generation_id,
  createdAtMs: Number(row.created_at_ms),
  lastModifiedAtMs: Number(row.last_modified_at_ms),
  notBeforeMs: Number(row.not_before_ms),
  notAfterMs: Number(row.not_after_ms),
});

export const caCertificateArn = (account: AccountRegion, caCertificateId: string): string =>
  iotArn(account, 'cacert', caCertificateId);

/** The CA of this account and region, whatever its status. The id is compared as it is: lower case. */
export const findCaCertificate = async (
  db: Db,
  { accountId, region }: AccountRegion,
  caCertificateId: string,
): Promise<CaCertificate | undefined> => {
  const row = await db
    .selectFrom('ca_certificates')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('ca_certificate_id', '=', caCertificateId)
    .executeTakeFirst();
  return row && toCaCertificate(row);
};

/** The same for an operation that names it. Faults: ResourceNotFoundException. */
export const getCaCertificate = async (
  db: Db,
  account: AccountRegion,
  caCertificateId: string,
): Promise<CaCertificate> => {
  const found = await findCaCertificate(db, account, caCertificateId);
  if (!found) throw new Fault('ResourceNotFoundException', `The CA certificate ${caCertificateId} does not exist`);
  return found;
};

/** CAs of one account and region with the same subject. Source: spec identity 3.2. */
export const casPerSubjectMax = 10;

/** The CAs of this account and region whose subject is this issuer, oldest first: at most `casPerSubjectMax`. Who signed is another question. */
export const findCasOfIssuer = async (
  db: Db,
  { accountId, region }: AccountRegion,
  issuerDer: Uint8Array,
): Promise<readonly CaCertificate[]> => {
  const rows = await db
    .selectFrom('ca_certificates')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('subject_hash', '=', fingerprint(issuerDer))
    .orderBy('created_at_ms')
    .orderBy('ca_certificate_id')
    .limit(casPerSubjectMax)
    .execute();
  return rows.map(toCaCertificate);
};

/** One account's holding of a CA. */
export interface CaHolder {
  readonly account: AccountRegion;
  readonly ca: CaCertificate;
}

/** Holdings with one subject that are looked at: whoever names many CAs like somebody else's is not let in their way, as the oldest come first. */
export const caHoldersMax = 50;

/**
 * Every account's CAs of a region whose subject is this issuer: those in DEFAULT mode first, of these the oldest; at most `caHoldersMax`. For connections without SNI
 * only, where the DEFAULT holder of the CA that signed is meant; no answer to a caller may tell of other accounts (design 4).
 */
export const findCaHolders = async (db: Db, region: string, issuerDer: Uint8Array): Promise<readonly CaHolder[]> => {
  const rows = await db
    .selectFrom('ca_certificates')
    .selectAll()
    .where('region', '=', region)
    .where('subject_hash', '=', fingerprint(issuerDer))
    // 'DEFAULT' sorts before 'SNI_ONLY'
    .orderBy('certificate_mode')
    .orderBy('created_at_ms')
    .orderBy('account_id')
    .orderBy('ca_certificate_id')
    .limit(caHoldersMax)
    .execute();
  return rows.map((row) => ({ account: { accountId: row.account_id, region }, ca: toCaCertificate(row) }));
};

export interface NewCaCertificate extends Omit<CaCertificate, 'customerVersion' | 'lastModifiedAtMs'> {
  readonly subjectDer: Uint8Array;
}

/** False when the account holds it already, or another account of the region holds it in DEFAULT mode and so would this one. */
export const insertCaCertificate = async (
  db: Db,
  { accountId, region }: AccountRegion,
  ca: NewCaCertificate,
): Promise<boolean> => {
  const result = await db
    .insertInto('ca_certificates')
    .values({
      account_id: accountId,
      region,
      ca_certificate_id: ca.caCertificateId,
      subject_hash: fingerprint(ca.subjectDer),
      status: ca.status,
      certificate_mode: ca.certificateMode,
      pem: ca.certificatePem,
      auto_registration_status: ca.autoRegistrationStatus,
      ...fromRegistrationConfig(ca.registrationConfig),
      customer_version: 1,
      generation_id: ca.generationId,
      created_at_ms: ca.createdAtMs,
      last_modified_at_ms: ca.createdAtMs,
      not_before_ms: ca.notBeforeMs,
      not_after_ms: ca.notAfterMs,
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return result.numInsertedOrUpdatedRows === 1n;
};

export type CaSettings = Pick<CaCertificate, 'status' | 'autoRegistrationStatus' | 'registrationConfig'>;

/** Replaces the settings of a CA: a new customerVersion. */
export const saveCaSettings = async (
  db: Db,
  { accountId, region }: AccountRegion,
  { caCertificateId, ...settings }: CaSettings & { readonly caCertificateId: string },
  nowMs: number,
): Promise<void> => {
  await db
    .updateTable('ca_certificates')
    .set((column) => ({
      status: settings.status,
      auto_registration_status: settings.autoRegistrationStatus,
      ...fromRegistrationConfig(settings.registrationConfig),
      customer_version: column('customer_version', '+', 1),
      last_modified_at_ms: nowMs,
    }))
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('ca_certificate_id', '=', caCertificateId)
    .execute();
};

export const removeCaCertificate = async (
  db: Db,
  { accountId, region }: AccountRegion,
  caCertificateId: string,
): Promise<void> => {
  await db
    .deleteFrom('ca_certificates')
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('ca_certificate_id', '=', caCertificateId)
    .execute();
};
