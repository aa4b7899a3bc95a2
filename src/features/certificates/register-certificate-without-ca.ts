/**
 * Registers a certificate whoever signed it; its CA need not be known. It is held in SNI_ONLY mode, so that any number of accounts may hold it.
 * Source: API reference, RegisterCertificateWithoutCA; spec identity 2.1, 2.3.
 * Faults, in this order: CertificateValidationException, CertificateStateException, ResourceAlreadyExistsException.
 */
import { Fault } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import {
  assertRegistrable,
  CertificateProblem,
  type ParsedCertificate,
  parseCertificate,
} from '../../pki/certificate.ts';
import { type CertificateStatus, certificateArn, insertCertificate } from './certificate.ts';

const readRegistrable = (pem: string, nowMs: number): ParsedCertificate => {
  try {
    const certificate = parseCertificate(pem);
    assertRegistrable(certificate, nowMs);
    return certificate;
  } catch (cause) {
    if (!(cause instanceof CertificateProblem)) throw cause;
    throw new Fault('CertificateValidationException', cause.message, {}, { cause });
  }
};

/** The status at registration; the pending ones are reached in other ways (design 6: CertificateStateException). */
const initialStatus = (status: string): CertificateStatus => {
  if (status === 'ACTIVE' || status === 'INACTIVE' || status === 'REVOKED') return status;
  throw new Fault('CertificateStateException', `A certificate cannot be registered with the status ${status}`);
};

export const registerCertificateWithoutCA: Handler<'RegisterCertificateWithoutCA'> = async (input, call) => {
  const nowMs = call.now();
  const { certificateId, pem, notBeforeMs, notAfterMs } = readRegistrable(input.certificatePem ?? '', nowMs);
  const status = initialStatus(input.status ?? 'INACTIVE');
  const arn = certificateArn(call.account, certificateId);
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
  if (!inserted) {
    throw new Fault('ResourceAlreadyExistsException', 'The certificate is already provisioned or registered', {
      resourceId: certificateId,
      resourceArn: arn,
    });
  }
  call.changed('certificate', certificateId);
  return { certificateArn: arn, certificateId };
};
