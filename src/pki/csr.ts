/** PKCS#10 certificate signing requests (RFC 2986). */
import { AsnConvert, AsnProp, AsnPropTypes } from '@peculiar/asn1-schema';
import { AlgorithmIdentifier, Name, SubjectPublicKeyInfo } from '@peculiar/asn1-x509';
import { keyFacts, keyProblem, publicKeyFrom, signatureAlgorithm, signatureVerifies } from './algorithms.ts';
import { parseCertificate } from './certificate.ts';
import { commonName, nameText, newName } from './name.ts';
import { firstPemBlock } from './pem.ts';

/** A signing request that cannot be accepted; `message` is a sentence for whoever sent it. */
export class CsrProblem extends Error {
  override readonly name = 'CsrProblem';
}

class CertificationRequestInfo {
  version = 0;
  subject = new Name();
  subjectPKInfo = new SubjectPublicKeyInfo();
  subjectPKInfoRaw?: ArrayBuffer;
  subjectRaw?: ArrayBuffer;
  attributes: ArrayBuffer[] = [];
}
// The schema package is made for decorators, which are not erasable syntax: they are called by hand.
AsnProp({ type: AsnPropTypes.Integer })(CertificationRequestInfo.prototype, 'version');
AsnProp({ type: Name, raw: true })(CertificationRequestInfo.prototype, 'subject');
AsnProp({ type: SubjectPublicKeyInfo, raw: true })(CertificationRequestInfo.prototype, 'subjectPKInfo');
AsnProp({ type: AsnPropTypes.Any, implicit: true, context: 0, repeated: 'set', optional: true })(
  CertificationRequestInfo.prototype,
  'attributes',
);

class CertificationRequest {
  certificationRequestInfo = new CertificationRequestInfo();
  certificationRequestInfoRaw?: ArrayBuffer;
  signatureAlgorithm = new AlgorithmIdentifier();
  signature = new ArrayBuffer(0);
}
AsnProp({ type: CertificationRequestInfo, raw: true })(CertificationRequest.prototype, 'certificationRequestInfo');
AsnProp({ type: AlgorithmIdentifier })(CertificationRequest.prototype, 'signatureAlgorithm');
AsnProp({ type: AsnPropTypes.BitString })(CertificationRequest.prototype, 'signature');

/** What of a signing request goes into the certificate. */
export interface ParsedCsr {
  /** DER of the SubjectPublicKeyInfo: the key that is certified is the requester's own. */
  readonly publicKeyDer: Uint8Array;
  /** DER of the subject as the requester encoded it; `CN=AWS IoT Certificate` when it was empty (spec identity 2.2). */
  readonly subjectDer: Uint8Array;
  /** One line of text. */
  readonly subject: string;
}

/** DER of the subject of a certificate that nobody named (spec identity 2.2). */
export const defaultSubjectDer = new Uint8Array(AsnConvert.serialize(newName([commonName, 'AWS IoT Certificate'])));

/** Characters of PEM text; the API's own bound for a signing request is the same (spec identity 1.4). */
export const csrCharactersMax = 4096;

const sameBytes = (a: ArrayBuffer, b: ArrayBuffer): boolean => Buffer.from(a).equals(Buffer.from(b));

/** The request, and what goes into the certificate as we would write it: what is not DER differs from what was sent, or cannot be written at all. */
const readCsr = (
  der: Uint8Array,
): { request: CertificationRequest; publicKeyDer: ArrayBuffer; subjectDer: ArrayBuffer } => {
  try {
    const request = AsnConvert.parse(der, CertificationRequest);
    const { subject, subjectPKInfo } = request.certificationRequestInfo;
    return { request, publicKeyDer: AsnConvert.serialize(subjectPKInfo), subjectDer: AsnConvert.serialize(subject) };
  } catch (cause) {
    throw new CsrProblem('The certificate signing request cannot be parsed as PKCS#10', { cause });
  }
};

/** Everything of a certificate but its subject, key and signature: version 3, serial number 1, no issuer, valid in 2020. */
const frame = {
  before: Buffer.from(
    'a003020102020101300a06082a8648ce3d0403023000301e170d3230303130313030303030305a170d3230303130323030303030305a',
    'hex',
  ),
  after: Buffer.from('300a06082a8648ce3d040302030100', 'hex'),
};

/** The DER of a SEQUENCE that holds 128 to 65535 bytes: every certificate does, and its inner part. */
const sequence = (...parts: readonly Uint8Array[]): Buffer => {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(0x30, ...size), content]);
};

/**
 * Refuses a subject that a certificate cannot have, such as one whose value is of a type that no name has: OpenSSL reads no certificate with it, so that it
 * would be issued and be of no use. Asked by reading such a certificate, which nobody signed.
 */
const assertNamesSubject = (subjectDer: Uint8Array, publicKeyDer: Uint8Array): void => {
  try {
    parseCertificate(sequence(sequence(frame.before, subjectDer, publicKeyDer), frame.after));
  } catch (cause) {
    throw new CsrProblem('The subject of the certificate signing request cannot stand in a certificate', { cause });
  }
};

/**
 * Reads a signing request and proves that the requester holds its key. Attributes and requested extensions are not looked at (spec identity 2.2).
 * SHA-1 signatures are accepted here: they prove possession now and end up in no certificate (AWS's older mobile SDKs send them).
 * Throws CsrProblem with a sentence. Costs one signature check.
 */
export const parseCsr = (pem: string): ParsedCsr => {
  if (pem.length > csrCharactersMax) {
    throw new CsrProblem(`The certificate signing request has more than ${csrCharactersMax} characters`);
  }
  const der = firstPemBlock(pem, 'CERTIFICATE REQUEST') ?? firstPemBlock(pem, 'NEW CERTIFICATE REQUEST');
  if (!der) throw new CsrProblem('The text holds no readable PEM block "BEGIN CERTIFICATE REQUEST"');
  const { request, publicKeyDer, subjectDer } = readCsr(der);
  const { certificationRequestInfo: info, certificationRequestInfoRaw: signed, ...csr } = request;
  if (
    !signed ||
    !sameBytes(publicKeyDer, info.subjectPKInfoRaw ?? new ArrayBuffer(0)) ||
    !sameBytes(subjectDer, info.subjectRaw ?? new ArrayBuffer(0))
  ) {
    throw new CsrProblem('The certificate signing request is not DER');
  }
  try {
    const key = publicKeyFrom(new Uint8Array(publicKeyDer));
    const problem = keyProblem(keyFacts(info.subjectPKInfo, key));
    if (problem) throw new CsrProblem(problem);
    const algorithm = signatureAlgorithm(csr.signatureAlgorithm);
    if (algorithm.digest === undefined || algorithm.digest === 'md5') {
      throw new CsrProblem(
        `The signature algorithm ${algorithm.name} of the certificate signing request is not accepted`,
      );
    }
    if (!signatureVerifies(algorithm, key, new Uint8Array(signed), new Uint8Array(csr.signature))) {
      throw new CsrProblem('The signature of the certificate signing request does not verify with its own key');
    }
  } catch (cause) {
    if (cause instanceof CsrProblem) throw cause;
    throw new CsrProblem('The public key or the signature of the certificate signing request cannot be used', {
      cause,
    });
  }
  assertNamesSubject(new Uint8Array(subjectDer), new Uint8Array(publicKeyDer));
  return info.subject.length === 0
    ? { publicKeyDer: new Uint8Array(publicKeyDer), subjectDer: defaultSubjectDer, subject: 'CN=AWS IoT Certificate' }
    : {
        publicKeyDer: new Uint8Array(publicKeyDer),
        subjectDer: new Uint8Array(subjectDer),
        subject: nameText(info.subject),
      };
};
