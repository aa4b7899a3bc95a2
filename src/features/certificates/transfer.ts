/**
 * A certificate on its way to another account of the region. While it waits it has two rows: the source's, PENDING_TRANSFER, and one in the target account that the
 * source still owns, so that it is seen there and nothing can be done with it but to accept or reject it. Accepting removes the first row and makes the second its
 * account's own. What became of a transfer stands in the row that is left. Source: API reference, TransferCertificate; spec identity 2.6.
 */
import type { AccountRegion } from '../../aws/arn.ts';
import type { Db } from '../../store/store.ts';
import { afterCursor, type CreationPage } from '../creation-order.ts';
import { type Certificate, type CertificateTransfer, removeCertificate } from './certificate.ts';

/** `transferData` of DescribeCertificate: empty when there was none. */
export const transferData = (transfer: CertificateTransfer | undefined) => {
  if (!transfer) return {};
  const { transferMessage, transferredAtMs, acceptedAtMs, rejectedAtMs, rejectReason } = transfer;
  return {
    ...(transferMessage !== undefined && { transferMessage }),
    transferDate: new Date(transferredAtMs),
    ...(acceptedAtMs !== undefined && { acceptDate: new Date(acceptedAtMs) }),
    ...(rejectedAtMs !== undefined && { rejectDate: new Date(rejectedAtMs) }),
    ...(rejectReason !== undefined && { rejectReason }),
  };
};

const noTransfer = {
  transferred_to: null,
  transfer_message: null,
  transferred_at_ms: null,
  accepted_at_ms: null,
  rejected_at_ms: null,
  reject_reason: null,
};

const rowOf = (db: Db, { accountId, region }: AccountRegion, certificateId: string) =>
  db
    .updateTable('certificates')
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('certificate_id', '=', certificateId);

export interface NewTransfer {
  readonly targetAccountId: string;
  readonly transferMessage: string | undefined;
  readonly nowMs: number;
}

/** Sends a certificate of this account on its way. False when the target account has it already; then nothing was written. */
export const startTransfer = async (
  db: Db,
  { accountId, region }: AccountRegion,
  certificate: Certificate,
  { targetAccountId, transferMessage, nowMs }: NewTransfer,
): Promise<boolean> => {
  const changes = {
    ...noTransfer,
    status: 'PENDING_TRANSFER',
    customer_version: certificate.customerVersion + 1,
    last_modified_at_ms: nowMs,
    transferred_to: targetAccountId,
    transfer_message: transferMessage ?? null,
    transferred_at_ms: nowMs,
  };
  const inserted = await db
    .insertInto('certificates')
    .values({
      ...changes,
      account_id: targetAccountId,
      region,
      certificate_id: certificate.certificateId,
      certificate_mode: certificate.certificateMode,
      pem: certificate.pem,
      ca_certificate_id: certificate.caCertificateId ?? null,
      owned_by: accountId,
      previous_owned_by: certificate.previousOwnedBy ?? null,
      generation_id: certificate.generationId,
      created_at_ms: certificate.createdAtMs,
      not_before_ms: certificate.notBeforeMs,
      not_after_ms: certificate.notAfterMs,
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  if (inserted.numInsertedOrUpdatedRows !== 1n) return false;
  await rowOf(db, { accountId, region }, certificate.certificateId).set(changes).execute();
  return true;
};

/** Makes a certificate that waits in this account its own. */
export const acceptTransfer = async (
  db: Db,
  account: AccountRegion,
  { certificateId, ownedBy }: Certificate,
  { status, nowMs }: { readonly status: 'ACTIVE' | 'INACTIVE'; readonly nowMs: number },
): Promise<void> => {
  await removeCertificate(db, { ...account, accountId: ownedBy }, certificateId);
  await rowOf(db, account, certificateId)
    .set((column) => ({
      status,
      owned_by: account.accountId,
      previous_owned_by: ownedBy,
      customer_version: column('customer_version', '+', 1),
      last_modified_at_ms: nowMs,
      accepted_at_ms: nowMs,
    }))
    .execute();
};

/** Gives a certificate that waits in this account back to its owner. */
export const rejectTransfer = async (
  db: Db,
  account: AccountRegion,
  { certificateId, ownedBy }: Certificate,
  { rejectReason, nowMs }: { readonly rejectReason: string | undefined; readonly nowMs: number },
): Promise<void> => {
  await removeCertificate(db, account, certificateId);
  await rowOf(db, { ...account, accountId: ownedBy }, certificateId)
    .set((column) => ({
      status: 'INACTIVE',
      customer_version: column('customer_version', '+', 1),
      last_modified_at_ms: nowMs,
      rejected_at_ms: nowMs,
      reject_reason: rejectReason ?? null,
    }))
    .execute();
};

/** Takes a certificate of this account back from where it waits. */
export const cancelTransfer = async (
  db: Db,
  account: AccountRegion,
  { certificateId, transferredTo }: { readonly certificateId: string; readonly transferredTo: string },
  nowMs: number,
): Promise<void> => {
  await removeCertificate(db, { ...account, accountId: transferredTo }, certificateId);
  await rowOf(db, account, certificateId)
    .set((column) => ({
      ...noTransfer,
      status: 'INACTIVE',
      customer_version: column('customer_version', '+', 1),
      last_modified_at_ms: nowMs,
    }))
    .execute();
};

/** Whether a transfer of this certificate from or to the account was accepted or rejected, though the account does not have it now. */
export const wasTransferred = async (
  db: Db,
  { accountId, region }: AccountRegion,
  certificateId: string,
): Promise<boolean> => {
  const row = await db
    .selectFrom('certificates')
    .select('account_id')
    .where('region', '=', region)
    .where('certificate_id', '=', certificateId)
    .where(({ and, eb, or }) =>
      or([
        and([eb('previous_owned_by', '=', accountId), eb('accepted_at_ms', 'is not', null)]),
        and([eb('transferred_to', '=', accountId), eb('rejected_at_ms', 'is not', null)]),
      ]),
    )
    .executeTakeFirst();
  return row !== undefined;
};

interface OutgoingCertificate {
  readonly certificateId: string;
  readonly createdAtMs: number;
  readonly transferredTo: string;
  readonly transferredAtMs: number;
  readonly transferMessage: string | undefined;
}

/** Certificates of one account and region that wait in another account, by creation. */
export const listOutgoing = async (
  db: Db,
  { accountId, region }: AccountRegion,
  page: CreationPage,
): Promise<readonly OutgoingCertificate[]> => {
  const direction = page.ascending ? 'asc' : 'desc';
  let query = db
    .selectFrom('certificates')
    .select(['certificate_id', 'created_at_ms', 'transferred_to', 'transferred_at_ms', 'transfer_message'])
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('owned_by', '=', accountId)
    .where('status', '=', 'PENDING_TRANSFER')
    .where('transferred_to', 'is not', null);
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
    createdAtMs: Number(row.created_at_ms),
    transferredTo: row.transferred_to ?? '',
    transferredAtMs: Number(row.transferred_at_ms),
    transferMessage: row.transfer_message ?? undefined,
  }));
};
