/**
 * X.509 certificates as facts. OpenSSL (through node:crypto) says whether the bytes are a certificate and what its key is; names,
 * alternative names and algorithms are read with the ASN.1 schemas. Versions 1 and 3 are read alike: what `openssl x509 -req`
 * writes without extensions is version 1, and devices have such certificates (spec identity 2.1).
 */
import { hash, X509Certificate } from 'node:crypto';
import { AsnConvert } from '@peculiar/asn1-schema';
import { Certificate, type Extensions } from '@peculiar/asn1-x509';
import { acceptableSignature, type KeyFacts, keyFacts, keyProblem, signatureAlgorithm } from './algorithms.ts';
import { type AlternativeNameFields, alternativeNameFields, type NameFields, nameFields, nameText } from './name.ts';
import { firstPemBlock, toPem } from './pem.ts';

/** The rule that a certificate broke. */
export type CertificateRule = 'unreadable' | 'key' | 'signature-algorithm' | 'not-yet-valid' | 'expired';

/** A certificate that cannot be accepted; `message` is a sentence for whoever sent it. */
export class CertificateProblem extends Error {
  override readonly name = 'CertificateProblem';
  readonly rule: CertificateRule;
  constructor(rule: CertificateRule, message: string, options?: ErrorOptions) {
    super(message, options);
    this.rule = rule;
  }
}

/** The name and the alternative names of the subject or the issuer. */
export type PartyFields = NameFields & { readonly AlternativeName?: AlternativeNameFields };

/** What policies may ask about a certificate; the values are as encoded, without any escaping (spec policy.md 4.4). */
export interface CertificateFields {
  /** The certificateId. */
  readonly id: string;
  readonly serialNumber: string;
  readonly subject: PartyFields;
  readonly issuer: PartyFields;
}

export interface ParsedCertificate extends KeyFacts {
  /** Lower-case hex SHA-256 of the DER. */
  readonly certificateId: string;
  readonly der: Uint8Array;
  /** Ends in a newline. */
  readonly pem: string;
  /** One line, e.g. `C=DE, CN=dev1`. */
  readonly subject: string;
  readonly issuer: string;
  /** Both bounds belong to the validity (RFC 5280 section 4.1.2.5). */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Lower-case hex without separators; after a minus where a careless issuer made it negative (RFC 5280 section 4.1.2.2 forbids that). */
  readonly serialNumberHex: string;
  readonly version: 1 | 2 | 3;
  /** e.g. `SHA256WITHRSA`; the OID of an unknown one. */
  readonly signatureAlgorithm: string;
  /** Whether the signature algorithm is one that a registration accepts. */
  readonly signatureAcceptable: boolean;
  readonly policyFields: CertificateFields;
}

/** Characters of PEM text that are looked at; the API's own bound for a certificate is the same (spec identity 1.4). */
export const pemCharactersMax = 65_536;

const unreadable = (message: string, cause?: unknown): CertificateProblem =>
  new CertificateProblem('unreadable', message, cause === undefined ? undefined : { cause });

/** The lower-case hex SHA-256 of a certificate's DER: its certificateId, and the fingerprint that OpenSSL prints. */
export const fingerprint = (der: Uint8Array): string => hash('sha256', der, 'hex');

const derOf = (input: string | Uint8Array): Uint8Array => {
  if (typeof input !== 'string') return input;
  if (input.length > pemCharactersMax) throw unreadable(`The certificate has more than ${pemCharactersMax} characters`);
  const der = firstPemBlock(input, 'CERTIFICATE');
  if (!der) throw unreadable('The text holds no readable PEM block "BEGIN CERTIFICATE"');
  return der;
};

/** The alternative names in an extension; none when it is absent or cannot be read (a policy variable then has no value). */
const alternativeNames = (extensions: Extensions | undefined, extensionId: string): PartyFields => {
  const extension = extensions?.find(({ extnID }) => extnID === extensionId);
  if (!extension) return {};
  try {
    return { AlternativeName: alternativeNameFields(extension.extnValue.buffer) };
  } catch {
    return {};
  }
};

/**
 * Reads a certificate: DER, or text whose first CERTIFICATE block counts.
 * Throws CertificateProblem (`unreadable`) with a sentence. Costs about 0.4 ms.
 */
export const parseCertificate = (input: string | Uint8Array): ParsedCertificate => {
  const der = derOf(input);
  try {
    const x509 = new X509Certificate(der);
    if (!x509.raw.equals(der)) throw unreadable('The certificate is not DER, or something follows it');
    const { tbsCertificate: tbs, signatureAlgorithm: signedWith } = AsnConvert.parse(der, Certificate);
    const notBeforeMs = x509.validFromDate.getTime();
    const notAfterMs = x509.validToDate.getTime();
    if (Number.isNaN(notBeforeMs) || Number.isNaN(notAfterMs))
      throw unreadable('The validity of the certificate is no date');
    const certificateId = fingerprint(der);
    const serialNumberHex = x509.serialNumber.toLowerCase();
    const signature = signatureAlgorithm(signedWith);
    return {
      certificateId,
      der,
      pem: toPem('CERTIFICATE', der),
      subject: nameText(tbs.subject),
      issuer: nameText(tbs.issuer),
      notBeforeMs,
      notAfterMs,
      serialNumberHex,
      version: tbs.version === 0 ? 1 : tbs.version === 1 ? 2 : 3,
      ...keyFacts(tbs.subjectPublicKeyInfo, x509.publicKey),
      signatureAlgorithm: signature.name,
      signatureAcceptable: acceptableSignature(signature),
      policyFields: {
        id: certificateId,
        serialNumber: serialNumberHex,
        subject: { ...nameFields(tbs.subject), ...alternativeNames(tbs.extensions, '2.5.29.17') },
        issuer: { ...nameFields(tbs.issuer), ...alternativeNames(tbs.extensions, '2.5.29.18') },
      },
    };
  } catch (cause) {
    if (cause instanceof CertificateProblem) throw cause;
    throw unreadable('The certificate cannot be parsed as X.509', cause);
  }
};

/** Refuses a certificate that is outside its validity at `nowMs`. */
export const assertWithinValidity = (certificate: ParsedCertificate, nowMs: number): void => {
  const { notBeforeMs, notAfterMs } = certificate;
  if (nowMs < notBeforeMs) {
    throw new CertificateProblem(
      'not-yet-valid',
      `The certificate is not valid before ${new Date(notBeforeMs).toISOString()}`,
    );
  }
  if (nowMs > notAfterMs) {
    throw new CertificateProblem('expired', `The certificate expired on ${new Date(notAfterMs).toISOString()}`);
  }
};

/**
 * Refuses what may not be registered: a weak or strange key, then a weak signature algorithm, then a time outside the validity.
 * Extensions are not looked at. Source: spec identity 2.1; developer guide, "X.509 client certificates".
 */
export const assertRegistrable = (certificate: ParsedCertificate, nowMs: number): void => {
  const problem = keyProblem(certificate);
  if (problem) throw new CertificateProblem('key', problem);
  if (!certificate.signatureAcceptable) {
    throw new CertificateProblem(
      'signature-algorithm',
      `The signature algorithm ${certificate.signatureAlgorithm} of the certificate is not accepted`,
    );
  }
  assertWithinValidity(certificate, nowMs);
};
