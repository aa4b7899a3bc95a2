/**
 * Usages of a certificate's key in the words of ACM's API. Source: API reference, KeyUsage and ExtendedKeyUsage.
 * Observed: a certificate without extended key usage shows NONE (AWS CLI reference, example of list-certificates). Assumed, after that: ANY for one without key usage.
 */
import { firstPemBlock } from '../../pki/pem.ts';
import { type Usages, usagesOf } from '../../pki/usages.ts';

const keyUsageNames = {
  digitalSignature: 'DIGITAL_SIGNATURE',
  nonRepudiation: 'NON_REPUDIATION',
  keyEncipherment: 'KEY_ENCIPHERMENT',
  dataEncipherment: 'DATA_ENCIPHERMENT',
  keyAgreement: 'KEY_AGREEMENT',
  keyCertSign: 'CERTIFICATE_SIGNING',
  crlSign: 'CRL_SIGNING',
  encipherOnly: 'ENCIPHER_ONLY',
  decipherOnly: 'DECIPHER_ONLY',
} as const;

const extendedNames = {
  '1.3.6.1.5.5.7.3.1': 'TLS_WEB_SERVER_AUTHENTICATION',
  '1.3.6.1.5.5.7.3.2': 'TLS_WEB_CLIENT_AUTHENTICATION',
  '1.3.6.1.5.5.7.3.3': 'CODE_SIGNING',
  '1.3.6.1.5.5.7.3.4': 'EMAIL_PROTECTION',
  '1.3.6.1.5.5.7.3.8': 'TIME_STAMPING',
  '1.3.6.1.5.5.7.3.9': 'OCSP_SIGNING',
  '1.3.6.1.5.5.7.3.5': 'IPSEC_END_SYSTEM',
  '1.3.6.1.5.5.7.3.6': 'IPSEC_TUNNEL',
  '1.3.6.1.5.5.7.3.7': 'IPSEC_USER',
  '2.5.29.37.0': 'ANY',
} as const;

export type KeyUsageName = (typeof keyUsageNames)[keyof typeof keyUsageNames] | 'ANY';
export type ExtendedKeyUsageName = (typeof extendedNames)[keyof typeof extendedNames] | 'CUSTOM' | 'NONE';

export interface ExtendedKeyUsage {
  readonly Name: ExtendedKeyUsageName;
  readonly OID?: string;
}

export interface UsageNames {
  readonly keyUsages: readonly KeyUsageName[];
  readonly extendedKeyUsages: readonly ExtendedKeyUsage[];
}

const isKnown = (oid: string): oid is keyof typeof extendedNames => Object.hasOwn(extendedNames, oid);

const named = ({ keyUsages, extendedKeyUsages }: Usages): UsageNames => ({
  keyUsages: keyUsages?.map((usage) => keyUsageNames[usage]) ?? ['ANY'],
  extendedKeyUsages: extendedKeyUsages?.map((OID) => ({ Name: isKnown(OID) ? extendedNames[OID] : 'CUSTOM', OID })) ?? [
    { Name: 'NONE' },
  ],
});

/** Of a certificate in DER. Throws for extensions that cannot be read. */
export const usageNamesOf = (der: Uint8Array): UsageNames => named(usagesOf(der));

/** Of a certificate in PEM that this slice keeps; none for ''. */
export const usageNamesIn = (pem: string): UsageNames => {
  const der = firstPemBlock(pem, 'CERTIFICATE');
  return der ? usageNamesOf(der) : { keyUsages: [], extendedKeyUsages: [] };
};
