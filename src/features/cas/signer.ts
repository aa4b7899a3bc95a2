/** Which registered CA signed a certificate. Source: spec identity 2.3 (candidates, conflicts, order). */
import { Fault } from '../../aws/fault.ts';
import { type ParsedCertificate, parseCertificate } from '../../pki/certificate.ts';
import { isSignedBy } from '../../pki/issued-by.ts';
import type { CaCertificate } from './ca-certificate.ts';

const stateFault = (message: string): Fault => new Fault('CertificateStateException', message);

export const noCa = (): Fault => stateFault('No CA certificate exists for the given certificate');
export const inactiveCa = (caCertificateId: string): Fault =>
  stateFault(`The CA certificate ${caCertificateId} is not ACTIVE`);

/** Those of the CAs whose key verifies the signature of the certificate. Costs some 0.5 ms for each. */
export const signersOf = (
  certificate: ParsedCertificate,
  candidates: readonly CaCertificate[],
): readonly CaCertificate[] =>
  candidates.filter(({ certificatePem }) => isSignedBy(certificate, parseCertificate(certificatePem)));

/**
 * The one ACTIVE CA under which a certificate is registered, out of those that have its issuer's name.
 * Faults, in this order: CertificateStateException (no candidate, none ACTIVE), CertificateValidationException (none of them signed it),
 * CertificateConflictException (several with the same key), CertificateStateException (the signer is INACTIVE).
 */
export const chooseSigner = (certificate: ParsedCertificate, candidates: readonly CaCertificate[]): CaCertificate => {
  const [first] = candidates;
  if (!first) throw noCa();
  if (candidates.every(({ status }) => status !== 'ACTIVE')) throw inactiveCa(first.caCertificateId);
  const [signer, ...others] = signersOf(certificate, candidates);
  if (!signer) {
    throw new Fault(
      'CertificateValidationException',
      'The signature of the certificate does not verify with the key of the CA that it names as its issuer',
    );
  }
  if (others.length > 0) {
    throw new Fault(
      'CertificateConflictException',
      'Several registered CA certificates have the subject and the key that signed the certificate: name one with caCertificatePem',
    );
  }
  if (signer.status !== 'ACTIVE') throw inactiveCa(signer.caCertificateId);
  return signer;
};
