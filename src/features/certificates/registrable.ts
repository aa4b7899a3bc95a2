/** What every way of registering a certificate asks of it. Source: spec identity 2.1, 2.3. */
import type { AccountRegion } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import {
  assertRegistrable,
  CertificateProblem,
  type ParsedCertificate,
  parseCertificate,
} from '../../pki/certificate.ts';
import { type CertificateStatus, certificateArn } from './certificate.ts';

/** Does what may find a certificate wanting; a problem of a certificate becomes CertificateValidationException with the same sentence. */
export const validating = <Result>(look: () => Result): Result => {
  try {
    return look();
  } catch (cause) {
    if (!(cause instanceof CertificateProblem)) throw cause;
    throw new Fault('CertificateValidationException', cause.message, {}, { cause });
  }
};

/** Reads a certificate that is fit to be registered now. Faults: CertificateValidationException. */
export const readRegistrable = (pem: string, nowMs: number): ParsedCertificate =>
  validating(() => {
    const certificate = parseCertificate(pem);
    assertRegistrable(certificate, nowMs);
    return certificate;
  });

/** The status at registration; the pending ones are reached in other ways (design 6). Faults: CertificateStateException. */
export const initialStatus = (status: string): CertificateStatus => {
  if (status === 'ACTIVE' || status === 'INACTIVE' || status === 'REVOKED') return status;
  throw new Fault('CertificateStateException', `A certificate cannot be registered with the status ${status}`);
};

/** The account has this certificate already. */
export const alreadyRegistered = (account: AccountRegion, certificateId: string): Fault =>
  new Fault('ResourceAlreadyExistsException', 'The certificate is already provisioned or registered', {
    resourceId: certificateId,
    resourceArn: certificateArn(account, certificateId),
  });
