/** What admission asks of registered certificates: many at once, and without their text. Source: spec gateway 1.5. */
import { X509Certificate } from 'node:crypto';
import type { AccountRegion } from '../../aws/arn.ts';
import { keepQuery } from '../../store/kept-query.ts';
import type { Db } from '../../store/store.ts';
import type { CertificateStatus } from './certificate.ts';

/** Whether a certificate may be used now, and whether it could not in the meantime. */
export interface CertificateStanding {
  readonly status: CertificateStatus;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Others are to be retired when its device connects with it. */
  readonly hasPredecessors: boolean;
  /** Differs after every registration and every change of status, also one that was taken back. */
  readonly version: string;
}

const standingRows = keepQuery((db, [accountId = '', region = '', ...certificateIds]) =>
  db
    .selectFrom('certificates')
    .select(['certificate_id', 'status', 'not_before_ms', 'not_after_ms', 'generation_id', 'customer_version'])
    .select((eb) => eb('predecessors', 'is not', null).as('has_predecessors'))
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('certificate_id', 'in', certificateIds),
);

/** The standings of several certificates of one account, by certificateId; one that is not registered there is absent. */
export const readCertificateStandings = async (
  db: Db,
  { accountId, region }: AccountRegion,
  certificateIds: readonly string[],
): Promise<ReadonlyMap<string, CertificateStanding>> => {
  const rows = await standingRows(db, [accountId, region, ...certificateIds]);
  return new Map(
    rows.map((row) => [
      row.certificate_id,
      {
        // written by certificate.ts only, from values of this type
        status: row.status as CertificateStatus,
        notBeforeMs: Number(row.not_before_ms),
        notAfterMs: Number(row.not_after_ms),
        hasPredecessors: Boolean(row.has_predecessors),
        version: `${row.generation_id}/${row.customer_version}`,
      },
    ]),
  );
};

/** Certificates that a search for a twin reads, newest first. Each costs some 50 microseconds. */
const twinCandidatesMax = 50;

/**
 * A registered certificate of this account that bears the same subject as `der`: what a device was probably meant to show.
 * Looks at the newest `twinCandidatesMax` only. Undefined when there is none, or the subject is empty or unreadable.
 */
export const findTwin = async (
  db: Db,
  { accountId, region }: AccountRegion,
  der: Uint8Array,
): Promise<string | undefined> => {
  const subject = subjectOf(der);
  if (!subject) return undefined;
  const rows = await db
    .selectFrom('certificates')
    .select(['certificate_id', 'pem'])
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .orderBy('created_at_ms', 'desc')
    .orderBy('certificate_id', 'desc')
    .limit(twinCandidatesMax)
    .execute();
  return rows.find(({ pem }) => subjectOf(pem) === subject)?.certificate_id;
};

const subjectOf = (certificate: string | Uint8Array): string | undefined => {
  try {
    return new X509Certificate(certificate).subject;
  } catch {
    return undefined;
  }
};
