/** PKCS#10 certificate signing requests (RFC 2986). */
import { AsnConvert, AsnProp, AsnPropTypes } from '@peculiar/asn1-schema';
import { AlgorithmIdentifier, Name, SubjectPublicKeyInfo } from '@peculiar/asn1-x509';
import { keyFacts, keyProblem, publicKeyFrom, signatureAlgorithm, signatureVerifies } from './algorithms.ts';
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

const readCsr = (der: Uint8Array): CertificationRequest => {
  try {
    return AsnConvert.parse(der, CertificationRequest);
  } catch (cause) {
    throw new CsrProblem('The certificate signing request cannot be parsed as PKCS#10', { cause });
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
  const { certificationRequestInfo: info, certificationRequestInfoRaw: signed, ...csr } = readCsr(der);
  const publicKeyDer = AsnConvert.serialize(info.subjectPKInfo);
  const subjectDer = AsnConvert.serialize(info.subject);
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
  return info.subject.length === 0
    ? { publicKeyDer: new Uint8Array(publicKeyDer), subjectDer: defaultSubjectDer, subject: 'CN=AWS IoT Certificate' }
    : {
        publicKeyDer: new Uint8Array(publicKeyDer),
        subjectDer: new Uint8Array(subjectDer),
        subject: nameText(info.subject),
      };
};
