/** Lists of CA certificates by creation. Source: spec identity 1.2, 3.4. */
import type { AccountRegion } from '../../aws/arn.ts';
import type { Db } from '../../store/store.ts';
import { afterCursor, type CreationPage } from '../creation-order.ts';
import type { CaCertificate } from './ca-certificate.ts';

export type ListedCa = Pick<CaCertificate, 'caCertificateId' | 'status' | 'createdAtMs'>;

/** CAs of one account and region; only those that name this template when one is given. */
export const listCas = async (
  db: Db,
  { accountId, region }: AccountRegion,
  page: CreationPage & { readonly templateName?: string | undefined },
): Promise<readonly ListedCa[]> => {
  const direction = page.ascending ? 'asc' : 'desc';
  let query = db
    .selectFrom('ca_certificates')
    .select(['ca_certificate_id', 'status', 'created_at_ms'])
    .where('account_id', '=', accountId)
    .where('region', '=', region);
  if (page.templateName !== undefined) query = query.where('template_name', '=', page.templateName);
  const after = afterCursor(page);
  if (after) {
    query = query.where(({ eb, refTuple, tuple }) =>
      eb(refTuple('created_at_ms', 'ca_certificate_id'), after.operator, tuple(after.createdAtMs, after.key)),
    );
  }
  const rows = await query
    .orderBy('created_at_ms', direction)
    .orderBy('ca_certificate_id', direction)
    .limit(page.limit)
    .execute();
  return rows.map((row) => ({
    caCertificateId: row.ca_certificate_id,
    // written by ca-certificate.ts only, from values of this type
    status: row.status as CaCertificate['status'],
    createdAtMs: Number(row.created_at_ms),
  }));
};

/** Whether a CA of this account names this template, which cannot be deleted then (spec provisioning 9). */
export const isTemplateOfCa = async (db: Db, account: AccountRegion, templateName: string): Promise<boolean> =>
  (await listCas(db, account, { after: '', limit: 1, ascending: true, templateName })).length > 0;
