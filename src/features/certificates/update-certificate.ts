/**
 * Changes the status of a certificate. Source: API reference, UpdateCertificate; spec identity 2.4.
 * Faults, in this order: InvalidRequestException (a status that nobody may set), ResourceNotFoundException, CertificateStateException.
 */
import { Fault } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import { type CertificateStatus, getCertificate, saveStatus } from './certificate.ts';

/** The status that a caller may ask for; the pending ones belong to transfer and provisioning, REGISTER_INACTIVE to the past. */
const settableStatus = (status: string | undefined): CertificateStatus => {
  if (status === 'ACTIVE' || status === 'INACTIVE' || status === 'REVOKED') return status;
  throw new Fault('InvalidRequestException', `The certificate status cannot be set to ${status}`);
};

/**
 * Whether the step is a change; false for one that stays where it is. Assumed: a revocation is final (the guide says so, the API page is silent).
 * Faults: CertificateStateException.
 */
export const assertStatusChange = (from: CertificateStatus, to: CertificateStatus, certificateId: string): boolean => {
  if (from === 'PENDING_TRANSFER') {
    throw new Fault('CertificateStateException', `The certificate is being transferred. Id: ${certificateId}`);
  }
  if (from === 'REVOKED' && to !== 'REVOKED') {
    throw new Fault('CertificateStateException', `A revoked certificate stays revoked. Id: ${certificateId}`);
  }
  return from !== to;
};

export const updateCertificate: Handler<'UpdateCertificate'> = async (input, call) => {
  const status = settableStatus(input.newStatus);
  const certificateId = (input.certificateId ?? '').toLowerCase();
  const changed = await call.write(async (db) => {
    const certificate = await getCertificate(db, call.account, certificateId);
    if (!assertStatusChange(certificate.status, status, certificateId)) return false;
    await saveStatus(db, call.account, { certificateId, status, nowMs: call.now() });
    return true;
  });
  if (changed) call.changed('certificate', certificateId);
  return {};
};
