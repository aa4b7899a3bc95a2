/**
 * Which of the two server certificates suits a client: AWS presents an ECDSA P-256 or an RSA-2048 chain by what the client can verify
 * (spec gateway.md 1.4). OpenSSL could choose by itself if both were in one context, but Node's contexts with SNI hold one.
 */

import type { SecurityPolicy, TlsVersion } from '../tls/security-policy.ts';
import type { ClientHello } from './client-hello.ts';

export type ServerKind = 'ec' | 'rsa';

const tls12 = 0x0303;
const tls13 = 0x0304;

/** The version that the handshake will have; undefined when client and policy have none in common. RFC 8446 4.2.1. */
export const negotiatedVersion = (hello: ClientHello, policy: SecurityPolicy): TlsVersion | undefined => {
  const offered = hello.supportedVersions;
  if (policy.maxVersion === 'TLSv1.3' && offered?.includes(tls13)) return 'TLSv1.3';
  const old = offered ? offered.includes(tls12) : hello.legacyVersion >= tls12;
  return policy.minVersion === 'TLSv1.2' && old ? 'TLSv1.2' : undefined;
};

const secp256r1 = 0x0017;
/** ecdsa_secp256r1_sha256; in TLS 1.2 the same number means ECDSA with SHA-256 on any curve. */
const ecdsaSha256 = 0x0403;
const rsaPkcs1Sha256 = 0x0401;
/** TLS 1.2: the curve is not tied to the hash. */
const ecdsaHashes = [ecdsaSha256, 0x0503, 0x0603];
/** rsa_pss_rsae_sha256, -384, -512: what an RSA key signs with in TLS 1.3. */
const rsaPss = [0x0804, 0x0805, 0x0806];
/** rsa_pkcs1 with SHA-256, -384, -512. */
const rsaPkcs1 = [rsaPkcs1Sha256, 0x0501, 0x0601];

/** The ECDHE-ECDSA and the RSA suites (ECDHE-RSA and static RSA) of the security policies, by IANA number. */
const ecdsaSuites = [0xc02b, 0xc02c, 0xc023, 0xc024, 0xc009, 0xc00a];
const rsaSuites = [0xc02f, 0xc030, 0xc027, 0xc028, 0xc013, 0xc014, 0x9c, 0x9d, 0x3c, 0x3d, 0x2f, 0x35];

const share = (offered: readonly number[], ours: readonly number[]): boolean => ours.some((it) => offered.includes(it));

/**
 * EC when the client can verify it, because it costs the server a fraction of RSA's signature; else RSA. A client that can verify neither gets
 * RSA and OpenSSL's alert. Assumed: the chains are signed with SHA-256 throughout, as our own CA does.
 */
export const serverKind = (hello: ClientHello, version: TlsVersion): ServerKind => {
  const signatures = hello.signatureAlgorithms;
  const inCertificates = hello.certificateSignatureAlgorithms ?? signatures;
  if (version === 'TLSv1.3') {
    // RFC 8446 4.2.3: the extension is mandatory, and each ECDSA value names its curve
    const ec = signatures?.includes(ecdsaSha256) && inCertificates?.includes(ecdsaSha256);
    return ec ? 'ec' : 'rsa';
  }
  const rsaPossible =
    share(hello.cipherSuites, rsaSuites) && (!signatures || share(signatures, rsaPss) || share(signatures, rsaPkcs1));
  if (!share(hello.cipherSuites, ecdsaSuites)) return 'rsa';
  // RFC 8422 4: without the extension any curve will do; with it, the certificate's own curve must be in it
  if (hello.groups && !hello.groups.includes(secp256r1)) return 'rsa';
  // RFC 5246 7.4.1.4.1: without the extension SHA-1 is meant, which a modern OpenSSL does not sign with: static RSA, if offered, needs no signature
  if (!signatures) return rsaPossible ? 'rsa' : 'ec';
  if (!share(signatures, ecdsaHashes)) return 'rsa';
  return inCertificates?.includes(ecdsaSha256) || !rsaPossible ? 'ec' : 'rsa';
};
