/**
 * Sends an inactive certificate to another account of the region, where it waits for being accepted.
 * Source: API reference, TransferCertificate; spec identity 2.6. Assumed: only INACTIVE certificates in DEFAULT mode move; a target that has the certificate
 * already is refused like any that cannot be, and one that nobody has opened yet is none of the sender's business.
 * Faults, in this order: InvalidRequestException (to oneself), ResourceNotFoundException, CertificateStateException, InvalidRequestException (mode),
 * TransferConflictException (things, then policies), InvalidRequestException (the target has it).
 */
import { Fault } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import { type Certificate, certificateArn, getCertificate } from './certificate.ts';
import { startTransfer } from './transfer.ts';

/** Whether a certificate may leave at all, whoever shall get it. */
const assertMovable = ({ certificateId, status, certificateMode }: Certificate): void => {
  if (status !== 'INACTIVE') {
    throw new Fault(
      'CertificateStateException',
      `Only an INACTIVE certificate can be transferred; this one is ${status}. Id: ${certificateId}`,
    );
  }
  if (certificateMode !== 'DEFAULT') {
    throw new Fault(
      'InvalidRequestException',
      `A certificate in ${certificateMode} mode cannot be transferred; the other account can register it itself`,
    );
  }
};

export const transferCertificate: Handler<'TransferCertificate'> = async (input, call) => {
  const { targetAwsAccount = '', transferMessage } = input;
  const certificateId = (input.certificateId ?? '').toLowerCase();
  const arn = certificateArn(call.account, certificateId);
  if (targetAwsAccount === call.account.accountId) {
    throw new Fault('InvalidRequestException', 'A certificate cannot be transferred to its own account');
  }
  await call.write(async (db) => {
    const certificate = await getCertificate(db, call.account, certificateId);
    assertMovable(certificate);
    const holders = await call.holdersOf(db, arn);
    if (holders.length > 0) {
      const what = holders.some(({ kind }) => kind === 'thing') ? 'Things' : 'Policies';
      throw new Fault('TransferConflictException', `${what} must be detached before the transfer (arn: ${arn})`);
    }
    const transfer = { targetAccountId: targetAwsAccount, transferMessage, nowMs: call.now() };
    if (!(await startTransfer(db, call.account, certificate, transfer))) {
      throw new Fault('InvalidRequestException', 'The certificate cannot be transferred to this account');
    }
  });
  call.changed('certificate', certificateId);
  const target = { ...call.account, accountId: targetAwsAccount };
  return { transferredCertificateArn: certificateArn(target, certificateId) };
};
