/**
 * AcceptCertificateTransfer and RejectCertificateTransfer in the target account, CancelCertificateTransfer in the source's. Source: API reference; spec identity 2.6.
 * Faults, in this order: ResourceNotFoundException (never was here), TransferAlreadyCompletedException (accepted or rejected before),
 * InvalidRequestException (not on its way, or the other account's to end).
 */
import type { AccountRegion } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import type { Db } from '../../store/store.ts';
import { type Certificate, type CertificateTransfer, findCertificate, getCertificate } from './certificate.ts';
import { acceptTransfer, cancelTransfer, rejectTransfer, wasTransferred } from './transfer.ts';

type Waiting = Certificate & { readonly transfer: CertificateTransfer };
/** Which end of the transfer the caller must be. */
type End = 'source' | 'target';

/** The certificate on its way, as the caller's account sees it. */
const getWaiting = async (db: Db, account: AccountRegion, certificateId: string, end: End): Promise<Waiting> => {
  const completed = (): Fault =>
    new Fault('TransferAlreadyCompletedException', `The transfer of ${certificateId} is already complete`);
  const found = await findCertificate(db, account, certificateId);
  if (!found && (await wasTransferred(db, account, certificateId))) throw completed();
  const { transfer, ...certificate } = found ?? (await getCertificate(db, account, certificateId));
  if (transfer?.acceptedAtMs !== undefined || transfer?.rejectedAtMs !== undefined) throw completed();
  const isSource = certificate.ownedBy === account.accountId;
  if (!transfer || isSource !== (end === 'source')) {
    const whose = end === 'source' ? 'by' : 'to';
    throw new Fault('InvalidRequestException', `The certificate is not being transferred ${whose} this account`);
  }
  return { ...certificate, transfer };
};

const idOf = (input: { readonly certificateId: string | undefined }): string =>
  (input.certificateId ?? '').toLowerCase();

/** Makes the certificate this account's own: INACTIVE unless `setAsActive`. */
export const acceptCertificateTransfer: Handler<'AcceptCertificateTransfer'> = async (input, call) => {
  const certificateId = idOf(input);
  const status = input.setAsActive ? 'ACTIVE' : 'INACTIVE';
  await call.write(async (db) => {
    const certificate = await getWaiting(db, call.account, certificateId, 'target');
    await acceptTransfer(db, call.account, certificate, { status, nowMs: call.now() });
  });
  call.changed('certificate', certificateId);
  return {};
};

/** Gives the certificate back to its owner, INACTIVE. */
export const rejectCertificateTransfer: Handler<'RejectCertificateTransfer'> = async (input, call) => {
  const certificateId = idOf(input);
  await call.write(async (db) => {
    const certificate = await getWaiting(db, call.account, certificateId, 'target');
    await rejectTransfer(db, call.account, certificate, { rejectReason: input.rejectReason, nowMs: call.now() });
  });
  call.changed('certificate', certificateId);
  return {};
};

/** Takes the certificate back, INACTIVE. */
export const cancelCertificateTransfer: Handler<'CancelCertificateTransfer'> = async (input, call) => {
  const certificateId = idOf(input);
  await call.write(async (db) => {
    const { transfer } = await getWaiting(db, call.account, certificateId, 'source');
    const { transferredTo } = transfer;
    await cancelTransfer(db, call.account, { certificateId, transferredTo }, call.now());
  });
  call.changed('certificate', certificateId);
  return {};
};
