/**
 * Server certificates for names that are not the service's own: what ACM issues. They come from the same roots as the server certificates of the endpoints, so
 * that whoever trusts those trusts these. Source: ACM user guide, "ACM certificate characteristics" (usages, lifetime).
 */
import { AsnConvert } from '@peculiar/asn1-schema';
import { ExtendedKeyUsage, KeyUsageFlags } from '@peculiar/asn1-x509';
import { type Authorities, backdatedMs } from './authorities.ts';
import {
  authorityKeyIdentifier,
  basicConstraints,
  buildCertificate,
  keyIdentifierOf,
  keyUsage,
  plainExtension,
  subjectKeyIdentifier,
} from './build.ts';
import { commonName, newName } from './name.ts';
import { toPem } from './pem.ts';
import { alternativeNames, type ServerKeyKind } from './server-certificate.ts';

const dayMs = 24 * 60 * 60 * 1000;
/** 13 months. */
export const issuedLifetimeMs = 395 * dayMs;
/** Characters of a common name (RFC 5280 appendix A, ub-common-name). */
export const commonNameMax = 64;

export interface ServerIssueRequest {
  /** DNS names, the first of which is the subject; that one has at most `commonNameMax` characters. */
  readonly names: readonly string[];
  readonly kind: ServerKeyKind;
  /** DER of the SubjectPublicKeyInfo. */
  readonly publicKeyDer: Uint8Array;
  readonly nowMs: number;
}

export interface IssuedServerCertificate {
  /** The leaf alone. */
  readonly certificatePem: string;
  /** What stands above it, up to and with the RSA root. */
  readonly chainPem: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export type IssueServerCertificate = (request: ServerIssueRequest) => Promise<IssuedServerCertificate>;

const wholeSeconds = (ms: number): number => Math.floor(ms / 1000) * 1000;

/** `realNow`: where the clock of `nowMs` is ahead of the real one, the certificate is valid by both. */
export const serverIssuance =
  ({ rsaRoot, ecRoot, ecRootByRsaRootPem }: Authorities, realNow: () => number): IssueServerCertificate =>
  async ({ names, kind, publicKeyDer, nowMs }) => {
    const { issuer, notAfterMs: issuerEndsMs } = kind === 'ec' ? ecRoot : rsaRoot;
    const notBeforeMs = wholeSeconds(Math.min(nowMs, realNow()) - backdatedMs);
    const notAfterMs = wholeSeconds(Math.min(nowMs + issuedLifetimeMs, issuerEndsMs));
    const der = await buildCertificate(issuer, {
      subjectDer: new Uint8Array(AsnConvert.serialize(newName([commonName, names[0] ?? '']))),
      publicKeyDer,
      notBeforeMs,
      notAfterMs,
      extensions: [
        authorityKeyIdentifier(issuer.keyIdentifier),
        subjectKeyIdentifier(keyIdentifierOf(publicKeyDer)),
        basicConstraints({ cA: false }),
        keyUsage(KeyUsageFlags.digitalSignature | (kind === 'rsa' ? KeyUsageFlags.keyEncipherment : 0)),
        plainExtension('2.5.29.37', new ExtendedKeyUsage(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'])),
        plainExtension('2.5.29.17', alternativeNames(names)),
      ],
    });
    return {
      certificatePem: toPem('CERTIFICATE', der),
      chainPem: (kind === 'ec' ? ecRootByRsaRootPem : '') + rsaRoot.certificatePem,
      notBeforeMs,
      notAfterMs,
    };
  };
