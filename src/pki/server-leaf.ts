/** A server certificate as its names and purposes: what a TLS client goes by. RFC 5280 4.2.1.12; RFC 6125 6.4. */
import { X509Certificate } from 'node:crypto';
import { AsnConvert } from '@peculiar/asn1-schema';
import { Certificate, ExtendedKeyUsage, SubjectAlternativeName } from '@peculiar/asn1-x509';
import { signatureAlgorithm } from './algorithms.ts';
import { nameFields } from './name.ts';

const serverAuth = '1.3.6.1.5.5.7.3.1';
const anyUsage = '2.5.29.37.0';

/** What the rules need of a leaf. */
export interface ServerLeaf {
  /** DNS names of the subject alternative name, or else the common name; lower case. */
  readonly names: readonly string[];
  readonly hasServerAuth: boolean;
  readonly signatureAlgorithm: string;
  readonly commonName: string | undefined;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** Throws when the bytes are no certificate. */
export const readServerLeaf = (der: Uint8Array): ServerLeaf => {
  const x509 = new X509Certificate(der);
  const { tbsCertificate: tbs, signatureAlgorithm: signedWith } = AsnConvert.parse(der, Certificate);
  const extension = (id: string): ArrayBuffer | undefined =>
    tbs.extensions?.find(({ extnID }) => extnID === id)?.extnValue.buffer;
  const usage = extension('2.5.29.37');
  const alternative = extension('2.5.29.17');
  const alternatives = alternative ? [...AsnConvert.parse(alternative, SubjectAlternativeName)] : [];
  const commonName = nameFields(tbs.subject).CommonName?.at(-1)?.toLowerCase();
  const names =
    alternatives.length > 0
      ? alternatives.map(({ dNSName }) => dNSName?.toLowerCase()).filter((name) => name !== undefined)
      : commonName === undefined
        ? []
        : [commonName];
  const usages: readonly string[] = usage ? [...AsnConvert.parse(usage, ExtendedKeyUsage)] : [];
  return {
    names,
    hasServerAuth: usages.includes(serverAuth) || usages.includes(anyUsage),
    signatureAlgorithm: signatureAlgorithm(signedWith).name,
    commonName,
    notBeforeMs: x509.validFromDate.getTime(),
    notAfterMs: x509.validToDate.getTime(),
  };
};
