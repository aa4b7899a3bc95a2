/** Makes X.509 v3 certificates. Where the issuer's key lies is hidden behind one function type, so that an HSM or a KMS can hold it. */
import { hash, type KeyObject, randomBytes, sign } from 'node:crypto';
import { promisify } from 'node:util';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import {
  AlgorithmIdentifier,
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  Extension,
  Extensions,
  KeyIdentifier,
  KeyUsage,
  Name,
  SubjectKeyIdentifier,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
} from '@peculiar/asn1-x509';

/** Signs the DER of a TBSCertificate; answers the signature as X.509 wants it (ECDSA: the DER pair). */
export type Signer = (toBeSigned: Uint8Array) => Promise<Uint8Array>;

/** Whoever signs certificates. */
export interface Issuer {
  /** DER of its subject. */
  readonly nameDer: Uint8Array;
  /** Its SubjectKeyIdentifier. */
  readonly keyIdentifier: Uint8Array;
  /** By the kind of its key; the hash is SHA-256. */
  readonly keyKind: 'rsa' | 'ec';
  readonly sign: Signer;
}

export interface CertificateContent {
  readonly subjectDer: Uint8Array;
  /** DER of the SubjectPublicKeyInfo. */
  readonly publicKeyDer: Uint8Array;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** In the order in which they shall stand. */
  readonly extensions: readonly Extension[];
}

const signatureAlgorithms = {
  rsa: { algorithm: '1.2.840.113549.1.1.11', parameters: null },
  ec: { algorithm: '1.2.840.10045.4.3.2' },
} as const;

const signAsync = promisify(sign);

/** A signer over a key in this process; the work runs on the thread pool. */
export const keySigner =
  (privateKey: KeyObject): Signer =>
  (toBeSigned) =>
    signAsync('sha256', toBeSigned, privateKey);

/** The key identifier of a public key: RFC 5280 section 4.2.1.2, method 1. */
export const keyIdentifierOf = (publicKeyDer: Uint8Array): Uint8Array =>
  hash('sha1', new Uint8Array(AsnConvert.parse(publicKeyDer, SubjectPublicKeyInfo).subjectPublicKey), 'buffer');

const extension = (extnID: string, critical: boolean, value: unknown): Extension =>
  new Extension({ extnID, critical, extnValue: new OctetString(AsnConvert.serialize(value)) });

export const authorityKeyIdentifier = (keyIdentifier: Uint8Array): Extension =>
  extension('2.5.29.35', false, new AuthorityKeyIdentifier({ keyIdentifier: new KeyIdentifier(keyIdentifier) }));
export const subjectKeyIdentifier = (keyIdentifier: Uint8Array): Extension =>
  extension('2.5.29.14', false, new SubjectKeyIdentifier(keyIdentifier));
export const basicConstraints = (constraints: { cA: boolean; pathLenConstraint?: number }): Extension =>
  extension('2.5.29.19', true, new BasicConstraints(constraints));
/** `flags` is a union of KeyUsageFlags. */
export const keyUsage = (flags: number): Extension => extension('2.5.29.15', true, new KeyUsage(flags));
/** An extension that is not critical. */
export const plainExtension = (extnID: string, value: unknown): Extension => extension(extnID, false, value);

/** 20 random bytes that read as a positive integer in its shortest form (RFC 5280 section 4.1.2.2). */
const newSerialNumber = (): ArrayBuffer => {
  const bytes = new Uint8Array(randomBytes(20));
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x01;
  return bytes.buffer;
};

/** Issues a v3 certificate with a random serial number; answers its DER. Times until 2049 are UTCTime, later ones GeneralizedTime (RFC 5280 section 4.1.2.5). */
export const buildCertificate = async (issuer: Issuer, content: CertificateContent): Promise<Uint8Array> => {
  const signature = new AlgorithmIdentifier(signatureAlgorithms[issuer.keyKind]);
  const tbsCertificate = new TBSCertificate({
    version: Version.v3,
    serialNumber: newSerialNumber(),
    signature,
    issuer: AsnConvert.parse(issuer.nameDer, Name),
    validity: new Validity({ notBefore: new Date(content.notBeforeMs), notAfter: new Date(content.notAfterMs) }),
    subject: AsnConvert.parse(content.subjectDer, Name),
    subjectPublicKeyInfo: AsnConvert.parse(content.publicKeyDer, SubjectPublicKeyInfo),
    extensions: new Extensions([...content.extensions]),
  });
  const signed = await issuer.sign(new Uint8Array(AsnConvert.serialize(tbsCertificate)));
  return new Uint8Array(
    AsnConvert.serialize(
      new Certificate({
        tbsCertificate,
        signatureAlgorithm: signature,
        signatureValue: new Uint8Array(signed).buffer,
      }),
    ),
  );
};
