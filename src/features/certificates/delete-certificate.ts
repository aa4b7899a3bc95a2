/**
 * Deletes a certificate that is neither active nor on its way to another account, and that nothing holds. By force its policies let go; a thing never does.
 * Source: API reference, DeleteCertificate; spec identity 2.5.
 * Faults, in this order: ResourceNotFoundException, CertificateStateException, DeleteConflictException (things, then policies).
 */
import { Fault } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import { certificateArn, getCertificate, removeCertificate } from './certificate.ts';

export const deleteCertificate: Handler<'DeleteCertificate'> = async (input, call) => {
  const certificateId = (input.certificateId ?? '').toLowerCase();
  const arn = certificateArn(call.account, certificateId);
  await call.write(async (db) => {
    const { status } = await getCertificate(db, call.account, certificateId);
    if (status === 'ACTIVE') {
      throw new Fault(
        'CertificateStateException',
        `Certificate must be deactivated (not ACTIVE) before deletion. Id: ${certificateId}`,
      );
    }
    if (status === 'PENDING_TRANSFER') {
      throw new Fault(
        'CertificateStateException',
        `Certificate transfer must be ended before deletion. Id: ${certificateId}`,
      );
    }
    const holders = await call.holdersOf(db, arn);
    if (holders.some(({ kind }) => kind === 'thing')) {
      throw new Fault('DeleteConflictException', `Things must be detached before deletion (arn: ${arn})`);
    }
    if (holders.length > 0 && !input.forceDelete) {
      throw new Fault('DeleteConflictException', `Certificate policies must be detached before deletion (arn: ${arn})`);
    }
    if (holders.length > 0) await call.release(db, arn);
    await removeCertificate(db, call.account, certificateId);
  });
  call.changed('certificate', certificateId);
  return {};
};
