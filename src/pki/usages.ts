/** What a certificate says that its key may be used for. Source: RFC 5280 sections 4.2.1.3 and 4.2.1.12. */
import { AsnConvert } from '@peculiar/asn1-schema';
import { Certificate, ExtendedKeyUsage, KeyUsage, type KeyUsageType } from '@peculiar/asn1-x509';

export interface Usages {
  /** Absent where the certificate has no such extension. */
  readonly keyUsages?: readonly KeyUsageType[];
  /** Object identifiers, in the order of the certificate; absent where it has no such extension. */
  readonly extendedKeyUsages?: readonly string[];
}

/** Reads both extensions of a certificate in DER. Throws for one that cannot be read. */
export const usagesOf = (der: Uint8Array): Usages => {
  const { extensions } = AsnConvert.parse(der, Certificate).tbsCertificate;
  const find = (id: string): ArrayBuffer | undefined =>
    extensions?.find(({ extnID }) => extnID === id)?.extnValue.buffer;
  const [keyUsage, extendedKeyUsage] = [find('2.5.29.15'), find('2.5.29.37')];
  return {
    ...(keyUsage && { keyUsages: AsnConvert.parse(keyUsage, KeyUsage).toJSON() }),
    ...(extendedKeyUsage && { extendedKeyUsages: [...AsnConvert.parse(extendedKeyUsage, ExtendedKeyUsage)] }),
  };
};
