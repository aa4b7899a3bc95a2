/** Which keys and signatures are good enough for a device, and how a signature is checked. Source: spec identity 2.1. */
import { constants, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { AsnConvert, AsnProp, AsnPropTypes } from '@peculiar/asn1-schema';
import { AlgorithmIdentifier, type SubjectPublicKeyInfo } from '@peculiar/asn1-x509';

/** The parameters of RSASSA-PSS; the hash is SHA-1 when it is absent (RFC 4055 section 3.1). */
class PssParams {
  hashAlgorithm?: AlgorithmIdentifier;
  maskGenAlgorithm?: AlgorithmIdentifier;
  saltLength?: number;
  trailerField?: number;
}
// The schema package is made for decorators, which are not erasable syntax: they are called by hand.
AsnProp({ type: AlgorithmIdentifier, context: 0, optional: true })(PssParams.prototype, 'hashAlgorithm');
AsnProp({ type: AlgorithmIdentifier, context: 1, optional: true })(PssParams.prototype, 'maskGenAlgorithm');
AsnProp({ type: AsnPropTypes.Integer, context: 2, optional: true })(PssParams.prototype, 'saltLength');
AsnProp({ type: AsnPropTypes.Integer, context: 3, optional: true })(PssParams.prototype, 'trailerField');

type Digest = 'md5' | 'sha1' | 'sha256' | 'sha384' | 'sha512';

/** A signature algorithm, by the name that AWS's tools print, e.g. `SHA256WITHRSA`. */
export interface SignatureAlgorithm {
  readonly name: string;
  /** Absent for an algorithm that we do not know. */
  readonly digest?: Digest;
  readonly scheme?: 'rsa' | 'pss' | 'ecdsa' | 'dsa';
}

const known: Readonly<Record<string, SignatureAlgorithm>> = {
  '1.2.840.113549.1.1.4': { name: 'MD5WITHRSA', digest: 'md5', scheme: 'rsa' },
  '1.2.840.113549.1.1.5': { name: 'SHA1WITHRSA', digest: 'sha1', scheme: 'rsa' },
  '1.2.840.113549.1.1.11': { name: 'SHA256WITHRSA', digest: 'sha256', scheme: 'rsa' },
  '1.2.840.113549.1.1.12': { name: 'SHA384WITHRSA', digest: 'sha384', scheme: 'rsa' },
  '1.2.840.113549.1.1.13': { name: 'SHA512WITHRSA', digest: 'sha512', scheme: 'rsa' },
  '1.2.840.10045.4.1': { name: 'SHA1WITHECDSA', digest: 'sha1', scheme: 'ecdsa' },
  '1.2.840.10045.4.3.2': { name: 'SHA256WITHECDSA', digest: 'sha256', scheme: 'ecdsa' },
  '1.2.840.10045.4.3.3': { name: 'SHA384WITHECDSA', digest: 'sha384', scheme: 'ecdsa' },
  '1.2.840.10045.4.3.4': { name: 'SHA512WITHECDSA', digest: 'sha512', scheme: 'ecdsa' },
  '1.2.840.10040.4.3': { name: 'SHA1WITHDSA', digest: 'sha1', scheme: 'dsa' },
  '2.16.840.1.101.3.4.3.2': { name: 'SHA256WITHDSA', digest: 'sha256', scheme: 'dsa' },
};
const pssHashes: Readonly<Record<string, Digest>> = {
  '1.3.14.3.2.26': 'sha1',
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
};

/** Names the algorithm; an unknown one goes by its OID. Throws for PSS parameters that cannot be read. */
export const signatureAlgorithm = ({ algorithm, parameters }: AlgorithmIdentifier): SignatureAlgorithm => {
  if (algorithm !== '1.2.840.113549.1.1.10') return known[algorithm] ?? { name: algorithm };
  const hash = parameters ? AsnConvert.parse(parameters, PssParams).hashAlgorithm : undefined;
  const digest = hash ? pssHashes[hash.algorithm] : 'sha1';
  return digest
    ? { name: `${digest.toUpperCase()}WITHRSAANDMGF1`, digest, scheme: 'pss' }
    : { name: `RSASSA-PSS with ${hash?.algorithm}` };
};

/** Whether a registered certificate may be signed so. SHA-1 and MD5 are refused (spec identity 2.1, R). */
export const acceptableSignature = ({ digest }: SignatureAlgorithm): boolean =>
  digest !== undefined && digest !== 'md5' && digest !== 'sha1';

/**
 * Checks a signature with the signer's key; false for an algorithm that we do not know. Costs one public key operation.
 * Throws when key and algorithm do not belong together.
 */
export const signatureVerifies = (
  { digest, scheme }: SignatureAlgorithm,
  key: KeyObject,
  signed: Uint8Array,
  signature: Uint8Array,
): boolean => {
  if (digest === undefined) return false;
  return scheme === 'pss'
    ? verify(
        digest,
        signed,
        { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_AUTO },
        signature,
      )
    : verify(digest, signed, key, signature);
};

/** What kind of key a certificate or a signing request holds. */
export interface KeyFacts {
  /** `rsa`, `ec`, or the OID of something else. */
  readonly keyType: string;
  /** RSA only: bits of the modulus. */
  readonly keyBits?: number;
  /** EC only: `P-256`, `P-384`, `P-521`, or the OID of another curve; `explicit` for a curve that is spelled out. */
  readonly curve?: string;
  /** RSA only. */
  readonly publicExponent?: bigint;
}

const namedCurves: Readonly<Record<string, string>> = {
  '06082a8648ce3d030107': 'P-256',
  '06052b81040022': 'P-384',
  '06052b81040023': 'P-521',
};

/** Bits of the longest RSA modulus: OpenSSL verifies nothing longer. */
export const rsaBitsMax = 16_384;

/** Reads a public key; OpenSSL checks that it is one (a point on its curve). Throws when it is not. */
export const keyFacts = (info: SubjectPublicKeyInfo, key: KeyObject): KeyFacts => {
  const { algorithm, parameters } = info.algorithm;
  if (algorithm === '1.2.840.113549.1.1.1') {
    const { modulusLength, publicExponent } = key.asymmetricKeyDetails ?? {};
    return {
      keyType: 'rsa',
      ...(modulusLength === undefined ? {} : { keyBits: modulusLength }),
      ...(publicExponent === undefined ? {} : { publicExponent }),
    };
  }
  if (algorithm === '1.2.840.10045.2.1') {
    const hex = Buffer.from(parameters ?? new ArrayBuffer(0)).toString('hex');
    return { keyType: 'ec', curve: namedCurves[hex] ?? (hex.startsWith('06') ? 'another named curve' : 'explicit') };
  }
  return { keyType: algorithm };
};

/** Why a key is not accepted, as a sentence; undefined when it is. */
export const keyProblem = ({ keyType, keyBits = 0, curve, publicExponent = 0n }: KeyFacts): string | undefined => {
  if (keyType === 'ec') {
    if (curve !== undefined && Object.values(namedCurves).includes(curve)) return undefined;
    return 'The EC key is not on the named curve P-256, P-384 or P-521';
  }
  if (keyType !== 'rsa') return `The key is neither RSA nor EC (${keyType})`;
  if (keyBits < 2048) return `The RSA key has ${keyBits} bits; at least 2048 are required`;
  if (keyBits > rsaBitsMax) return `The RSA key has ${keyBits} bits; at most ${rsaBitsMax} are supported`;
  if (publicExponent < 3n || publicExponent % 2n === 0n) return 'The public exponent of the RSA key is not usable';
  return undefined;
};

/** The public key in an encoded SubjectPublicKeyInfo. Throws when OpenSSL cannot use it. */
export const publicKeyFrom = (spki: Uint8Array): KeyObject =>
  createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
