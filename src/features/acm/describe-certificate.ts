/** Everything about one certificate but its keys. Source: API reference, DescribeCertificate, CertificateDetail; spec identity 10. Faults: ResourceNotFoundException. */
import type { Operations } from '../../aws/operations.ts';
import type { Handler } from '../../feature.ts';
import { type ParsedCertificate, parseCertificate } from '../../pki/certificate.ts';
import { type AcmCertificate, getAcmCertificate } from './acm-certificate.ts';
import { usageNamesIn } from './usage-names.ts';
import type { DomainValidation } from './validation.ts';

type Detail = NonNullable<Operations['acm']['DescribeCertificate']['output']['Certificate']>;

/** What a status is called: one that was issued and has ended is EXPIRED. */
export const shownStatus = (
  { status, notAfterMs }: Pick<AcmCertificate, 'status' | 'notAfterMs'>,
  nowMs: number,
): AcmCertificate['status'] | 'EXPIRED' =>
  status === 'ISSUED' && notAfterMs !== undefined && notAfterMs < nowMs ? 'EXPIRED' : status;

/** All names that a certificate shows: the common name is among them. */
export const shownNames = ({ domainName, names }: Pick<AcmCertificate, 'domainName' | 'names'>): string[] => [
  ...new Set([domainName, ...names].filter((name) => name !== '')),
];

/** `0a:1b:...`: pairs of digits. */
const serialOf = ({ serialNumberHex }: ParsedCertificate): string => {
  const digits = serialNumberHex.replace(/^-/, '');
  return (digits.padStart(digits.length + (digits.length % 2), '0').match(/../g) ?? []).join(':');
};

/** Who issued it, in one word. Assumed: the organization (AWS shows `Amazon` for what it issued itself), else the common name, else the whole name. */
const issuerOf = ({ policyFields, issuer }: ParsedCertificate): string =>
  policyFields.issuer.Organization?.[0] ?? policyFields.issuer.CommonName?.[0] ?? issuer;

/** Imported certificates are their owner's to renew. */
export const renewalEligibility = ({
  type,
  status,
}: Pick<AcmCertificate, 'type' | 'status'>): 'ELIGIBLE' | 'INELIGIBLE' =>
  type === 'AMAZON_ISSUED' && status === 'ISSUED' ? 'ELIGIBLE' : 'INELIGIBLE';

const shownValidation = (validation: readonly DomainValidation[]) =>
  validation.map(({ domainName, status, recordName, recordValue }) => ({
    DomainName: domainName,
    ValidationDomain: domainName,
    ValidationStatus: status,
    ResourceRecord: { Name: recordName, Type: 'CNAME' as const, Value: recordValue },
    ValidationMethod: 'DNS' as const,
  }));

/** What only certificates have that were requested here. */
const requested = ({ type, validation, renewal, transparencyPreference }: AcmCertificate): Partial<Detail> => {
  const Options = { CertificateTransparencyLoggingPreference: transparencyPreference, Export: 'DISABLED' } as const;
  if (type === 'IMPORTED') return { Options };
  return {
    Options: { ...Options, ValidationMethod: 'DNS' },
    DomainValidationOptions: shownValidation(validation),
    ...(renewal && {
      RenewalSummary: {
        RenewalStatus: renewal.status,
        DomainValidationOptions: shownValidation(renewal.validation),
        UpdatedAt: new Date(renewal.updatedAtMs),
      },
    }),
  };
};

/** What can be read in the certificate itself, once there is one. */
const material = ({ certificatePem }: AcmCertificate): Partial<Detail> => {
  if (certificatePem === undefined) return {};
  const parsed = parseCertificate(certificatePem);
  const { keyUsages, extendedKeyUsages } = usageNamesIn(certificatePem);
  return {
    Serial: serialOf(parsed),
    Subject: parsed.subject.replaceAll(', ', ','),
    Issuer: issuerOf(parsed),
    NotBefore: new Date(parsed.notBeforeMs),
    NotAfter: new Date(parsed.notAfterMs),
    SignatureAlgorithm: parsed.signatureAlgorithm,
    KeyUsages: keyUsages.map((Name) => ({ Name })),
    ExtendedKeyUsages: extendedKeyUsages.map((usage) => ({ ...usage })),
  };
};

export const describeCertificate: Handler<'DescribeCertificate', 'acm'> = async ({ CertificateArn }, call) => {
  const certificate = await getAcmCertificate(call.db, call.account, CertificateArn);
  const { arn, type, domainName, keyAlgorithm, createdAtMs, issuedAtMs } = certificate;
  const holders = await call.holdersOf(call.db, arn);
  return {
    Certificate: {
      CertificateArn: arn,
      ...(domainName !== '' && { DomainName: domainName }),
      SubjectAlternativeNames: shownNames(certificate),
      CreatedAt: new Date(createdAtMs),
      ...(issuedAtMs !== undefined && { [type === 'IMPORTED' ? 'ImportedAt' : 'IssuedAt']: new Date(issuedAtMs) }),
      Status: shownStatus(certificate, call.now()),
      KeyAlgorithm: keyAlgorithm,
      ...material(certificate),
      ...requested(certificate),
      InUseBy: holders.map(({ name }) => name),
      Type: type,
      RenewalEligibility: renewalEligibility(certificate),
      CertificateKeyPairOrigin: type === 'IMPORTED' ? 'CUSTOMER_PROVIDED' : 'AWS_MANAGED',
    },
  };
};
