/**
 * OCSP (RFC 6960): what a CA says about one certificate. The request is what responders of RFC 5019 expect: one certificate, SHA-1 names, no nonce,
 * no signature. A response is taken byte by byte, because the bytes are signed and go on to TLS clients as they are; clients that are sent a
 * bad one end their handshake, so everything that they would refuse is refused here.
 */
import { createHash, X509Certificate } from 'node:crypto';
import { AsnConvert } from '@peculiar/asn1-schema';
import { AlgorithmIdentifier, AuthorityInfoAccessSyntax, Certificate } from '@peculiar/asn1-x509';
import { acceptableSignature, signatureAlgorithm, signatureVerifies } from './algorithms.ts';
import { assertRegistrable, CertificateProblem, parseCertificate } from './certificate.ts';
import { contentOf, derOf, type Element, fieldsIn, NotDer, onlyElement, tags } from './der.ts';
import { type CertificateNames, isSignedBy, namesAsIssuer, namesIn } from './issued-by.ts';
import {
  type BasicResponse,
  basicResponseIn,
  OcspProblem,
  type ResponseData,
  readResponseData,
  type SingleResponse,
} from './ocsp-message.ts';

/** Bytes of a response. Source: API reference, ServerCertificateConfig. */
export const ocspResponseBytesMax = 4096;
/** A response that names no next update ends so long after its own update. Source: chosen; NSS's default. */
export const withoutNextUpdateMs = 24 * 3_600_000;
/** How far the responder's clock may be ahead of ours. */
const skewMs = 5 * 60_000;

/** A certificate and the CA that issued it. */
export interface OcspSubject {
  /** DER. */
  readonly leaf: Uint8Array;
  readonly issuer: Uint8Array;
}

/** Refuses a pair of which the second did not issue the first. Throws OcspProblem. */
export const ocspSubject = (leaf: Uint8Array, issuer: Uint8Array): OcspSubject => {
  const [below, above] = [{ der: leaf }, { der: issuer }];
  if (namesAsIssuer(below, above) && isSignedBy(below, above)) return { leaf, issuer };
  throw new OcspProblem('responder', 'The CA that issued the certificate does not follow it in its chain');
};

const digest = (algorithm: string, bytes: Uint8Array): Buffer => createHash(algorithm).update(bytes).digest();
const isSame = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** The bits of a SubjectPublicKeyInfo's key, which is what hashes of keys are over (RFC 6960 section 4.1.1). */
const keyBitsOf = (publicKeyDer: Uint8Array): Uint8Array => {
  const fields = fieldsIn(publicKeyDer, onlyElement(publicKeyDer));
  fields.take(tags.sequence);
  return contentOf(publicKeyDer, fields.take(tags.bitString)).subarray(1);
};

/** AlgorithmIdentifier: SHA-1 without parameters but NULL. */
const sha1Identifier = Buffer.from('300906052b0e03021a0500', 'hex');

/** The DER of the request. */
export const ocspRequest = ({ leaf, issuer }: OcspSubject): Uint8Array => {
  const { issuerDer, serialNumber } = namesIn(leaf);
  const certificateId = derOf(
    tags.sequence,
    sha1Identifier,
    derOf(tags.octetString, digest('sha1', issuerDer)),
    derOf(tags.octetString, digest('sha1', keyBitsOf(namesIn(issuer).publicKeyDer))),
    derOf(tags.integer, serialNumber),
  );
  // OCSPRequest { TBSRequest { requestList { Request { reqCert } } } }
  return [1, 2, 3, 4].reduce((inner) => derOf(tags.sequence, inner), certificateId);
};

/** The URLs of OCSP responders in a certificate, as they stand there, in its order; none when there are none, or they cannot be read. */
export const ocspAddresses = (der: Uint8Array): readonly string[] => {
  try {
    const { extensions } = AsnConvert.parse(der, Certificate).tbsCertificate;
    const access = extensions?.find(({ extnID }) => extnID === '1.3.6.1.5.5.7.1.1');
    if (!access) return [];
    return [...AsnConvert.parse(access.extnValue.buffer, AuthorityInfoAccessSyntax)]
      .filter(({ accessMethod }) => accessMethod === '1.3.6.1.5.5.7.48.1')
      .map(({ accessLocation }) => accessLocation.uniformResourceIdentifier)
      .filter((address) => address !== undefined);
  } catch {
    return [];
  }
};

/** What a response says that may be shown to clients. */
export interface OcspStatus {
  readonly status: 'good' | 'revoked';
  readonly producedAtMs: number;
  readonly thisUpdateMs: number;
  readonly nextUpdateMs: number | undefined;
  /** From then on it may not be shown. */
  readonly endMs: number;
}

export interface OcspReading {
  readonly nowMs: number;
  /** DER of the one certificate whose key may sign. Absent: the issuer's, and that of whom it certified as its responder (RFC 6960 section 4.2.2.2). */
  readonly authorizedResponder?: Uint8Array;
}

/** Reads a response and proves it. Throws OcspProblem. Costs at most two signature checks. */
export const readOcspResponse = (der: Uint8Array, subject: OcspSubject, reading: OcspReading): OcspStatus => {
  if (der.length > ocspResponseBytesMax) {
    throw new OcspProblem('unreadable', `The OCSP response has more than ${ocspResponseBytesMax / 1024} KiB`);
  }
  try {
    const basic = basicResponseIn(der);
    const data = readResponseData(basic.signed);
    const status = statusOf(data, subject, reading.nowMs);
    assertSigned(basic, data.responder, subject, reading);
    return status;
  } catch (cause) {
    if (!(cause instanceof NotDer)) throw cause;
    throw new OcspProblem('unreadable', 'The answer is not an OCSP response', { cause });
  }
};

/** Names of hashes by the content of their identifier. */
const hashes: Readonly<Record<string, string>> = {
  '2b0e03021a': 'sha1',
  '608648016503040201': 'sha256',
  '608648016503040202': 'sha384',
  '608648016503040203': 'sha512',
};

/** Whether a CertID names the certificate; with whatever hash the responder took. */
const isAbout = (bytes: Uint8Array, certificateId: Element, leaf: CertificateNames, issuerKey: Uint8Array): boolean => {
  const fields = fieldsIn(bytes, certificateId);
  const identifier = fieldsIn(bytes, fields.take(tags.sequence)).take(tags.objectIdentifier);
  const hash = hashes[Buffer.from(contentOf(bytes, identifier)).toString('hex')];
  const nameHash = contentOf(bytes, fields.take(tags.octetString));
  const keyHash = contentOf(bytes, fields.take(tags.octetString));
  const serialNumber = contentOf(bytes, fields.take(tags.integer));
  fields.end();
  return (
    hash !== undefined &&
    isSame(serialNumber, leaf.serialNumber) &&
    isSame(nameHash, digest(hash, leaf.issuerDer)) &&
    isSame(keyHash, digest(hash, issuerKey))
  );
};

/** What is said about the certificate. Said more than once, the worst counts, and for as long as all of it does. */
const statusOf = (data: ResponseData, subject: OcspSubject, nowMs: number): OcspStatus => {
  const leaf = namesIn(subject.leaf);
  const issuerKey = keyBitsOf(namesIn(subject.issuer).publicKeyDer);
  const said = data.responses.filter(({ certificateId }) => isAbout(data.bytes, certificateId, leaf, issuerKey));
  const [first] = said;
  if (!first) throw new OcspProblem('other-certificate', 'The OCSP response is about another certificate');
  if (said.some(({ status }) => status === 'unknown')) {
    throw new OcspProblem('other-certificate', 'The OCSP responder does not know the certificate');
  }
  const endOf = ({ thisUpdateMs, nextUpdateMs }: SingleResponse) => nextUpdateMs ?? thisUpdateMs + withoutNextUpdateMs;
  const endMs = Math.min(...said.map(endOf));
  const thisUpdateMs = Math.max(...said.map((each) => each.thisUpdateMs));
  if (thisUpdateMs > nowMs + skewMs) {
    throw new OcspProblem(
      'time',
      `The OCSP response is not in force before ${new Date(thisUpdateMs).toISOString()}: compare the clocks`,
    );
  }
  if (endMs <= nowMs) throw new OcspProblem('time', `The OCSP response has ended at ${new Date(endMs).toISOString()}`);
  const status = said.some((each) => each.status === 'revoked') ? 'revoked' : 'good';
  return { status, producedAtMs: data.producedAtMs, thisUpdateMs, nextUpdateMs: first.nextUpdateMs, endMs };
};

const namesResponder = (responder: ResponseData['responder'], certificate: Uint8Array): boolean => {
  const { subjectDer, publicKeyDer } = namesIn(certificate);
  return 'nameDer' in responder
    ? isSame(responder.nameDer, subjectDer)
    : isSame(responder.keyHash, digest('sha1', keyBitsOf(publicKeyDer)));
};

/** Whether it is at least a certificate, in DER: whatever is asked about it then cannot throw. */
const isReadable = (der: Uint8Array): boolean => {
  try {
    parseCertificate(der);
    return true;
  } catch {
    return false;
  }
};

const ocspSigning = '1.3.6.1.5.5.7.3.9';

/** Refuses a certificate that came with a response and is not the issuer's word that its key may sign (RFC 6960 section 4.2.2.2). */
const assertDelegated = (responder: Uint8Array, { issuer }: OcspSubject): void => {
  if (!namesAsIssuer({ der: responder }, { der: issuer }) || !isSignedBy({ der: responder }, { der: issuer })) {
    throw new OcspProblem('responder', 'The OCSP responder was not certified by the CA that issued the certificate');
  }
  if (!new X509Certificate(responder).keyUsage?.includes(ocspSigning)) {
    throw new OcspProblem('responder', 'The certificate of the OCSP responder lacks the usage OCSPSigning');
  }
};

/** The certificate of whoever says to have signed, if it may. */
const signerOf = (
  { certificates }: BasicResponse,
  responder: ResponseData['responder'],
  subject: OcspSubject,
  { authorizedResponder, nowMs }: OcspReading,
): Uint8Array => {
  if (!authorizedResponder && namesResponder(responder, subject.issuer)) return subject.issuer;
  const found = (authorizedResponder ? [authorizedResponder] : certificates.filter(isReadable)).find((certificate) =>
    namesResponder(responder, certificate),
  );
  if (!found) {
    throw new OcspProblem(
      'responder',
      authorizedResponder
        ? 'The OCSP response is of another responder than the authorized one'
        : 'The OCSP response is neither of the CA that issued the certificate nor of a responder whose certificate came with it',
    );
  }
  if (!authorizedResponder) assertDelegated(found, subject);
  try {
    assertRegistrable(parseCertificate(found), nowMs);
  } catch (cause) {
    if (!(cause instanceof CertificateProblem)) throw cause;
    throw new OcspProblem('responder', `The certificate of the OCSP responder is of no use: ${cause.message}`, {
      cause,
    });
  }
  return found;
};

const assertSigned = (
  basic: BasicResponse,
  responder: ResponseData['responder'],
  subject: OcspSubject,
  reading: OcspReading,
): void => {
  const signer = signerOf(basic, responder, subject, reading);
  try {
    const algorithm = signatureAlgorithm(AsnConvert.parse(basic.algorithm, AlgorithmIdentifier));
    if (!acceptableSignature(algorithm)) {
      throw new OcspProblem(
        'signature',
        `The signature algorithm ${algorithm.name} of the OCSP response is not accepted`,
      );
    }
    const { publicKey } = new X509Certificate(signer);
    if (signatureVerifies(algorithm, publicKey, basic.signed, basic.signature)) return;
  } catch (cause) {
    if (cause instanceof OcspProblem) throw cause;
    throw new OcspProblem('signature', 'The signature of the OCSP response cannot be checked', { cause });
  }
  throw new OcspProblem('signature', 'The signature of the OCSP response does not verify');
};
