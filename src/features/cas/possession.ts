/**
 * A CA as somebody brings it, and the proof that they have its key: a verification certificate, signed by the CA, whose common name is the account's registration code.
 * Source: developer guide, "Register your CA certificate"; spec identity 3.2.
 */
import { Fault } from '../../aws/fault.ts';
import {
  assertWithinValidity,
  CertificateProblem,
  type ParsedCertificate,
  parseCertificate,
} from '../../pki/certificate.ts';
import { isSignedBy, mayIssue, namesAsIssuer } from '../../pki/issued-by.ts';
import { readRegistrable, validating } from '../certificates/registrable.ts';

/** A certificate that may issue others, with a good key and signature, valid now. Faults: CertificateValidationException. */
export const readCa = (pem: string, nowMs: number): ParsedCertificate => {
  const ca = readRegistrable(pem, nowMs);
  if (!mayIssue(ca)) {
    throw new Fault(
      'CertificateValidationException',
      'The certificate is not one of a CA: it lacks basicConstraints CA:TRUE, or its key usage forbids to sign certificates',
    );
  }
  return ca;
};

/** Its own key plays no part and may be weak; its signature is the proof. */
const readVerification = (pem: string, nowMs: number): ParsedCertificate =>
  validating(() => {
    const certificate = parseCertificate(pem);
    if (!certificate.signatureAcceptable) {
      const message = `The signature algorithm ${certificate.signatureAlgorithm} of the verification certificate is not accepted`;
      throw new CertificateProblem('signature-algorithm', message);
    }
    assertWithinValidity(certificate, nowMs);
    return certificate;
  });

/**
 * Faults, in this order: CertificateValidationException (unreadable, signed with a weak algorithm, outside its validity, another issuer, another key),
 * RegistrationCodeValidationException (no code was asked for, or another common name).
 */
export const assertPossession = (
  ca: ParsedCertificate,
  verificationCertificate: string,
  { registrationCode, nowMs }: { readonly registrationCode: string | undefined; readonly nowMs: number },
): void => {
  const verification = readVerification(verificationCertificate, nowMs);
  if (!validating(() => namesAsIssuer(verification, ca))) {
    throw new Fault(
      'CertificateValidationException',
      `The verification certificate was issued by ${verification.issuer}, not by the CA ${ca.subject}`,
    );
  }
  if (!isSignedBy(verification, ca)) {
    throw new Fault(
      'CertificateValidationException',
      'The signature of the verification certificate does not verify with the key of the CA certificate',
    );
  }
  if (registrationCode === undefined) {
    throw new Fault(
      'RegistrationCodeValidationException',
      'There is no registration code yet: call GetRegistrationCode and use it as the common name of the verification certificate',
    );
  }
  const names = verification.policyFields.subject.CommonName ?? [];
  if (names.length !== 1 || names[0] !== registrationCode) {
    throw new Fault(
      'RegistrationCodeValidationException',
      'The common name of the verification certificate is not the registration code of this account and region',
    );
  }
};
