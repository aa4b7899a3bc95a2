/**
 * Registers a certificate whoever signed it; its CA need not be known. It is held in SNI_ONLY mode, so that any number of accounts may hold it.
 * Source: API reference, RegisterCertificateWithoutCA; spec identity 2.1, 2.3.
 * Faults, in this order: CertificateValidationException, CertificateStateException, ResourceAlreadyExistsException.
 */
import type { Handler } from '../../feature.ts';
import { certificateArn, insertCertificate } from './certificate.ts';
import { alreadyRegistered, initialStatus, readRegistrable } from './registrable.ts';

export const registerCertificateWithoutCA: Handler<'RegisterCertificateWithoutCA'> = async (input, call) => {
  const nowMs = call.now();
  const { certificateId, pem, notBeforeMs, notAfterMs } = readRegistrable(input.certificatePem ?? '', nowMs);
  const status = initialStatus(input.status ?? 'INACTIVE');
  const inserted = await call.write((db) =>
    insertCertificate(db, call.account, {
      certificateId,
      status,
      certificateMode: 'SNI_ONLY',
      pem,
      generationId: call.newId(),
      createdAtMs: nowMs,
      notBeforeMs,
      notAfterMs,
    }),
  );
  if (!inserted) throw alreadyRegistered(call.account, certificateId);
  call.changed('certificate', certificateId);
  return { certificateArn: certificateArn(call.account, certificateId), certificateId };
};
