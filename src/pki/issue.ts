/** Certificates that the service issues to devices. Source: spec identity 2.2; developer guide, "Create AWS IoT client certificates". */
import { AsnConvert } from '@peculiar/asn1-schema';
import { KeyUsageFlags } from '@peculiar/asn1-x509';
import {
  authorityKeyIdentifier,
  basicConstraints,
  buildCertificate,
  type Issuer,
  keyIdentifierOf,
  keyUsage,
  subjectKeyIdentifier,
} from './build.ts';
import { fingerprint } from './certificate.ts';
import { defaultSubjectDer } from './csr.ts';
import { newName, organizationalUnit } from './name.ts';
import { toPem } from './pem.ts';

/**
 * Subject of the device CA. As on AWS one OU holds the whole text; the text is our own, because we do not imitate another CA (design 2.7).
 * C is a code that ISO 3166 keeps for private use.
 */
export const deviceIssuerNameDer = new Uint8Array(
  AsnConvert.serialize(newName([organizationalUnit, 'Fleetgate O=Fleetgate L=Self-hosted ST=Self-hosted C=ZZ'])),
);

/** 2049-12-31T23:59:59Z: the end of every certificate that the service issues, whatever the request. */
export const deviceNotAfterMs = Date.UTC(2049, 11, 31, 23, 59, 59);

/** A device whose clock is a little behind can use its certificate at once. */
const backdatedMs = 2 * 60 * 1000;

export interface IssueRequest {
  /** DER of the SubjectPublicKeyInfo of the device. */
  readonly publicKeyDer: Uint8Array;
  /** DER of the subject; `CN=AWS IoT Certificate` when absent. */
  readonly subjectDer?: Uint8Array;
  readonly nowMs: number;
  /** When it ends, cut to whole seconds; default `deviceNotAfterMs`. */
  readonly notAfterMs?: number;
}

export interface IssuedCertificate {
  readonly certificateId: string;
  /** Ends in a newline. */
  readonly pem: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export type IssueDeviceCertificate = (request: IssueRequest) => Promise<IssuedCertificate>;

/** Issues device certificates in the name of `issuer`. One RSA signature each, on the thread pool. */
export const deviceIssuance =
  (issuer: Issuer): IssueDeviceCertificate =>
  async ({ publicKeyDer, subjectDer = defaultSubjectDer, nowMs, notAfterMs: asked = deviceNotAfterMs }) => {
    const notBeforeMs = Math.floor((nowMs - backdatedMs) / 1000) * 1000;
    const notAfterMs = Math.floor(asked / 1000) * 1000;
    const der = await buildCertificate(issuer, {
      subjectDer,
      publicKeyDer,
      notBeforeMs,
      notAfterMs,
      extensions: [
        authorityKeyIdentifier(issuer.keyIdentifier),
        subjectKeyIdentifier(keyIdentifierOf(publicKeyDer)),
        basicConstraints({ cA: false }),
        keyUsage(KeyUsageFlags.digitalSignature),
      ],
    });
    return {
      certificateId: fingerprint(der),
      pem: toPem('CERTIFICATE', der),
      notBeforeMs,
      notAfterMs,
    };
  };
