/** Pages of certificates, of an account or of one CA. Source: spec identity 1.2. */
import type { AccountRegion } from '../../aws/arn.ts';
import type { Call } from '../../feature.ts';
import type { Db } from '../../store/store.ts';
import { afterCursor, type CreationPage, cursorOf, cutPage } from '../creation-order.ts';
import { type Certificate, type CertificateMode, type CertificateStatus, certificateArn } from './certificate.ts';

/** Certificates of a page when the caller names no number. Source: spec identity 1.2. */
export const pageDefault = 25;

type ListedCertificate = Pick<Certificate, 'certificateId' | 'status' | 'certificateMode' | 'createdAtMs'>;

/** Certificates of one account and region by creation; only those registered under a CA when one is given. */
const listCertificates = async (
  db: Db,
  { accountId, region }: AccountRegion,
  page: CreationPage & { readonly caCertificateId: string | undefined },
): Promise<readonly ListedCertificate[]> => {
  const direction = page.ascending ? 'asc' : 'desc';
  let query = db
    .selectFrom('certificates')
    .select(['certificate_id', 'status', 'certificate_mode', 'created_at_ms'])
    .where('account_id', '=', accountId)
    .where('region', '=', region);
  if (page.caCertificateId !== undefined) query = query.where('ca_certificate_id', '=', page.caCertificateId);
  const after = afterCursor(page);
  if (after) {
    query = query.where(({ eb, refTuple, tuple }) =>
      eb(refTuple('created_at_ms', 'certificate_id'), after.operator, tuple(after.createdAtMs, after.key)),
    );
  }
  const rows = await query
    .orderBy('created_at_ms', direction)
    .orderBy('certificate_id', direction)
    .limit(page.limit)
    .execute();
  return rows.map((row) => ({
    certificateId: row.certificate_id,
    // written by this slice only, from values of these types
    status: row.status as CertificateStatus,
    certificateMode: row.certificate_mode as CertificateMode,
    createdAtMs: Number(row.created_at_ms),
  }));
};

interface PageInput {
  readonly pageSize?: number | undefined;
  readonly marker?: string | undefined;
  readonly ascendingOrder?: boolean | undefined;
}

/** A page as ListCertificates and ListCertificatesByCA answer it. Faults: InvalidRequestException for a marker that is not ours. */
export const certificatesPage = async (
  { pageSize: limit = pageDefault, marker, ascendingOrder: ascending = false }: PageInput,
  call: Call,
  caCertificateId?: string,
) => {
  const page = { after: call.openMarker(marker), limit: limit + 1, ascending, caCertificateId };
  const rows = await listCertificates(call.db, call.account, page);
  const { items, next } = cutPage(rows, limit, call.sealMarker, ({ createdAtMs, certificateId }) =>
    cursorOf(createdAtMs, certificateId),
  );
  return {
    certificates: items.map(({ certificateId, status, certificateMode, createdAtMs }) => ({
      certificateArn: certificateArn(call.account, certificateId),
      certificateId,
      status,
      certificateMode,
      creationDate: new Date(createdAtMs),
    })),
    ...next,
  };
};
