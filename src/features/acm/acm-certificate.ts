/**
 * A server certificate as ACM holds it for one account and region: its record and its queries. Imported by the account, or requested from ACM and then
 * issued here. Source: spec identity 10.
 */
import { type AccountRegion, parseArn, sameAccount } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import type { SecretBox } from '../../pki/secret-box.ts';
import type { Db } from '../../store/store.ts';
import type { KeyAlgorithm } from './key-algorithm.ts';
import type { DomainValidation } from './validation.ts';

interface AcmCertificatesTable {
  account_id: string;
  region: string;
  certificate_uuid: string;
  certificate_type: string;
  status: string;
  domain_name: string;
  /** JSON. */
  names: string;
  key_algorithm: string;
  key_usages: string;
  extended_key_usages: string;
  certificate_pem: string | null;
  chain_pem: string | null;
  private_key: string | null;
  not_before_ms: number | null;
  not_after_ms: number | null;
  created_at_ms: number;
  issued_at_ms: number | null;
  validation: string | null;
  renewal_status: string | null;
  renewal_validation: string | null;
  renewal_updated_ms: number | null;
  next_action_ms: number | null;
  idempotency_key: string | null;
  transparency_preference: string | null;
}

declare module '../../store/tables.ts' {
  interface Tables {
    acm_certificates: AcmCertificatesTable;
  }
}

export type AcmCertificateType = 'IMPORTED' | 'AMAZON_ISSUED';
/** As it is kept. Whoever shows it says EXPIRED of one that was issued and has ended. */
export type AcmCertificateStatus = 'PENDING_VALIDATION' | 'ISSUED' | 'VALIDATION_TIMED_OUT' | 'FAILED';

export interface AcmCertificate {
  readonly arn: string;
  /** A UUID, the last part of the ARN. */
  readonly uuid: string;
  readonly type: AcmCertificateType;
  readonly status: AcmCertificateStatus;
  /** The common name, or the first alternative name where there is none; '' where there is neither. */
  readonly domainName: string;
  /** What TLS clients go by, lower case: the DNS names among the alternative names, or the common name where there are no alternative names. */
  readonly names: readonly string[];
  readonly keyAlgorithm: KeyAlgorithm;
  /** The leaf alone; absent until it is issued. */
  readonly certificatePem: string | undefined;
  /** What stands between the leaf and a root, and perhaps the root; the leaf's issuer first. Absent for a self-signed one. */
  readonly chainPem: string | undefined;
  /** Opens with `openAcmPrivateKey`; belongs to this very `certificatePem`. */
  readonly sealedPrivateKey: string | undefined;
  readonly notBeforeMs: number | undefined;
  readonly notAfterMs: number | undefined;
  readonly createdAtMs: number;
  /** When it was first issued, or imported last. */
  readonly issuedAtMs: number | undefined;
  /** What had to be proven, name by name; empty for what was imported. */
  readonly validation: readonly DomainValidation[];
  readonly renewal: Renewal | undefined;
  /** When somebody must look at it again (issuance.ts); undefined: never. */
  readonly nextActionMs: number | undefined;
  readonly transparencyPreference: TransparencyPreference;
}

/** Whether the certificate should stand in a transparency log. There is none here: it is kept and shown. */
export type TransparencyPreference = 'ENABLED' | 'DISABLED';

/** The latest renewal of a certificate that was issued here. */
export interface Renewal {
  /** PENDING_AUTO_RENEWAL: it will be tried; PENDING_VALIDATION: a name could not be proven; FAILED: the certificate has ended meanwhile. */
  readonly status: 'PENDING_AUTO_RENEWAL' | 'PENDING_VALIDATION' | 'SUCCESS' | 'FAILED';
  readonly validation: readonly DomainValidation[];
  readonly updatedAtMs: number;
}

export const acmArn = ({ accountId, region }: AccountRegion, uuid: string): string =>
  `arn:aws:acm:${region}:${accountId}:certificate/${uuid}`;

/** A list of words in one column, so that `like '%,WORD,%'` finds one of them. */
export const wordsColumn = (words: readonly string[]): string => `,${words.join(',')},`;
export const wordsOf = (column: string): readonly string[] => column.split(',').filter((word) => word !== '');

const orUndefined = (value: number | null): number | undefined => (value === null ? undefined : Number(value));

const toRenewal = (row: AcmCertificatesTable): Renewal | undefined =>
  row.renewal_status === null
    ? undefined
    : {
        status: row.renewal_status as Renewal['status'],
        validation: JSON.parse(row.renewal_validation ?? '[]') as readonly DomainValidation[],
        updatedAtMs: Number(row.renewal_updated_ms),
      };

const toCertificate = (account: AccountRegion, row: AcmCertificatesTable): AcmCertificate => ({
  arn: acmArn(account, row.certificate_uuid),
  uuid: row.certificate_uuid,
  // The columns are written by this slice only, from values of these types.
  type: row.certificate_type as AcmCertificateType,
  status: row.status as AcmCertificateStatus,
  domainName: row.domain_name,
  names: JSON.parse(row.names) as readonly string[],
  keyAlgorithm: row.key_algorithm as KeyAlgorithm,
  certificatePem: row.certificate_pem ?? undefined,
  chainPem: row.chain_pem ?? undefined,
  sealedPrivateKey: row.private_key ?? undefined,
  notBeforeMs: orUndefined(row.not_before_ms),
  notAfterMs: orUndefined(row.not_after_ms),
  createdAtMs: Number(row.created_at_ms),
  issuedAtMs: orUndefined(row.issued_at_ms),
  validation: JSON.parse(row.validation ?? '[]') as readonly DomainValidation[],
  renewal: toRenewal(row),
  nextActionMs: orUndefined(row.next_action_ms),
  transparencyPreference: row.transparency_preference === 'ENABLED' ? 'ENABLED' : 'DISABLED',
});

/** The UUID in the ARN of a certificate of this account and region; undefined for every other ARN. */
const uuidIn = (account: AccountRegion, arn: string): string | undefined => {
  const parsed = parseArn(arn);
  if (!parsed || !sameAccount(parsed, account) || arn !== acmArn(account, parsed.resourceName)) return undefined;
  return parsed.resourceName;
};

/** The certificate with this ARN, whatever its status; undefined also for the ARN of another account or region. */
export const findAcmCertificate = async (
  db: Db,
  account: AccountRegion,
  arn: string,
): Promise<AcmCertificate | undefined> => {
  const uuid = uuidIn(account, arn);
  if (uuid === undefined) return undefined;
  const row = await db
    .selectFrom('acm_certificates')
    .selectAll()
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .where('certificate_uuid', '=', uuid)
    .executeTakeFirst();
  return row && toCertificate(account, row);
};

/** The same for an operation that names it. Faults: ResourceNotFoundException, InvalidArnException. */
export const getAcmCertificate = async (
  db: Db,
  account: AccountRegion,
  arn: string | undefined = '',
): Promise<AcmCertificate> => {
  const found = await findAcmCertificate(db, account, arn);
  if (found) return found;
  const { service, resourceType } = parseArn(arn) ?? {};
  if (service !== 'acm' || resourceType !== 'certificate') {
    throw new Fault('InvalidArnException', `${arn} is no ARN of a certificate.`);
  }
  throw new Fault('ResourceNotFoundException', `Could not find certificate ${arn}.`);
};

const keyRow = ({ accountId, region }: AccountRegion, uuid: string) => ({
  accountId,
  kind: 'acm-private-key',
  id: `${region}/${uuid}`,
});

/** The private key of a certificate that was read, and of no later import: PKCS #8 in PEM. Undefined until it is issued. Faults: SecretUnreadable. */
export const openAcmPrivateKey = (
  box: SecretBox,
  account: AccountRegion,
  { uuid, sealedPrivateKey }: Pick<AcmCertificate, 'uuid' | 'sealedPrivateKey'>,
): string | undefined =>
  sealedPrivateKey === undefined ? undefined : box.open(sealedPrivateKey, keyRow(account, uuid)).toString();

/** What comes to a row when its certificate is imported or issued. */
export interface CertificateMaterial {
  readonly domainName: string;
  readonly names: readonly string[];
  readonly keyAlgorithm: KeyAlgorithm;
  readonly keyUsages: readonly string[];
  readonly extendedKeyUsages: readonly string[];
  readonly certificatePem: string;
  readonly chainPem: string | undefined;
  /** PKCS #8 in PEM. */
  readonly privateKeyPem: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export const materialColumns = (
  box: SecretBox,
  account: AccountRegion,
  uuid: string,
  material: CertificateMaterial,
) => ({
  domain_name: material.domainName,
  names: JSON.stringify(material.names),
  key_algorithm: material.keyAlgorithm,
  key_usages: wordsColumn(material.keyUsages),
  extended_key_usages: wordsColumn(material.extendedKeyUsages),
  certificate_pem: material.certificatePem,
  chain_pem: material.chainPem ?? null,
  private_key: box.seal(material.privateKeyPem, keyRow(account, uuid)),
  not_before_ms: material.notBeforeMs,
  not_after_ms: material.notAfterMs,
});

/** Keeps a certificate under a new ARN. */
export const insertImported = async (
  db: Db,
  box: SecretBox,
  account: AccountRegion,
  { uuid, nowMs, ...material }: CertificateMaterial & { readonly uuid: string; readonly nowMs: number },
): Promise<void> => {
  await db
    .insertInto('acm_certificates')
    .values({
      account_id: account.accountId,
      region: account.region,
      certificate_uuid: uuid,
      certificate_type: 'IMPORTED' satisfies AcmCertificateType,
      status: 'ISSUED' satisfies AcmCertificateStatus,
      ...materialColumns(box, account, uuid, material),
      created_at_ms: nowMs,
      issued_at_ms: nowMs,
    })
    .execute();
};

/** Puts another certificate, with its key, in the place of the one that was imported under this ARN. */
export const saveMaterial = async (
  db: Db,
  box: SecretBox,
  account: AccountRegion,
  { uuid, nowMs, ...material }: CertificateMaterial & { readonly uuid: string; readonly nowMs: number },
): Promise<void> => {
  await db
    .updateTable('acm_certificates')
    .set({ ...materialColumns(box, account, uuid, material), issued_at_ms: nowMs })
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .where('certificate_uuid', '=', uuid)
    .execute();
};

/** Certificates of an account and region, whatever their status. */
export const countAcmCertificates = async (db: Db, { accountId, region }: AccountRegion): Promise<number> => {
  const row = await db
    .selectFrom('acm_certificates')
    .select(({ fn }) => fn.countAll().as('count'))
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .executeTakeFirstOrThrow();
  return Number(row.count);
};

export const removeAcmCertificate = async (
  db: Db,
  { accountId, region }: AccountRegion,
  uuid: string,
): Promise<void> => {
  await db
    .deleteFrom('acm_certificates')
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('certificate_uuid', '=', uuid)
    .execute();
};
