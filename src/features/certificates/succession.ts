/**
 * Certificates that follow others: a thing that was given a new one has an old one, which is retired when the device has shown that it can use the new one. And
 * certificates whose account honours them for a shorter time than they state. Both are ours, and asked for by a template (docs/divergences.md).
 */
import type { AccountRegion } from '../../aws/arn.ts';
import type { Db } from '../../store/store.ts';

/** What a certificate retires when its device first connects with it. */
export interface Predecessors {
  /** All of them were attached to it when the certificate was. */
  readonly thingName: string;
  readonly certificateIds: readonly string[];
}

const rowOf = (db: Db, { accountId, region }: AccountRegion, certificateId: string) =>
  db
    .updateTable('certificates')
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('certificate_id', '=', certificateId);

/** Ends what the account honours a certificate for; it never ends later than it did. `not_after_ms` is what admission and DescribeCertificate go by. */
export const endNoLaterThan = async (
  db: Db,
  account: AccountRegion,
  { certificateId, notAfterMs }: { readonly certificateId: string; readonly notAfterMs: number },
): Promise<void> => {
  await rowOf(db, account, certificateId)
    .where('not_after_ms', '>', notAfterMs)
    .set({ not_after_ms: notAfterMs })
    .execute();
};

/** Undefined forgets what was kept. */
export const savePredecessors = async (
  db: Db,
  account: AccountRegion,
  certificateId: string,
  predecessors: Predecessors | undefined,
): Promise<void> => {
  await rowOf(db, account, certificateId)
    .set({ predecessors: predecessors ? JSON.stringify(predecessors) : null })
    .execute();
};

export const findPredecessors = async (
  db: Db,
  { accountId, region }: AccountRegion,
  certificateId: string,
): Promise<Predecessors | undefined> => {
  const row = await db
    .selectFrom('certificates')
    .select('predecessors')
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('certificate_id', '=', certificateId)
    .executeTakeFirst();
  // written by this file only, from values of this type
  return row?.predecessors ? (JSON.parse(row.predecessors) as Predecessors) : undefined;
};

/** Which of these are ACTIVE, in no order. */
export const activeAmong = async (
  db: Db,
  { accountId, region }: AccountRegion,
  certificateIds: readonly string[],
): Promise<readonly string[]> => {
  if (certificateIds.length === 0) return [];
  const rows = await db
    .selectFrom('certificates')
    .select('certificate_id')
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('certificate_id', 'in', certificateIds)
    .where('status', '=', 'ACTIVE')
    .execute();
  return rows.map(({ certificate_id }) => certificate_id);
};

/** Keeps, with a certificate that was just made INACTIVE, which one has taken its place; forgotten when its status is changed again. */
export const saveRetiredBy = async (
  db: Db,
  account: AccountRegion,
  certificateId: string,
  successorId: string,
): Promise<void> => {
  await rowOf(db, account, certificateId).set({ retired_by: successorId }).execute();
};

/** The certificate that has taken the place of a retired one. */
export const findSuccessor = async (
  db: Db,
  { accountId, region }: AccountRegion,
  certificateId: string,
): Promise<string | undefined> => {
  const row = await db
    .selectFrom('certificates')
    .select('retired_by')
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('certificate_id', '=', certificateId)
    .executeTakeFirst();
  return row?.retired_by ?? undefined;
};
