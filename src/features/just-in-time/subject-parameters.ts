/** What a certificate's subject gives to a template of just-in-time provisioning. Source: spec provisioning.md 3. */
import type { ParsedCertificate } from '../../pki/certificate.ts';
import type { NameFields } from '../../pki/name.ts';
import { subjectParameters } from '../../templates/certificate-parameters.ts';

/** The fields of a subject by the types that parameters are defined by. */
const fields: Readonly<Record<string, keyof NameFields>> = {
  '2.5.4.3': 'CommonName',
  '2.5.4.5': 'SerialNumber',
  '2.5.4.6': 'Country',
  '2.5.4.8': 'State',
  '2.5.4.10': 'Organization',
  '2.5.4.11': 'OrganizationalUnit',
  '2.5.4.46': 'DistinguishedNameQualifier',
};

/**
 * The parameters `AWS::IoT::Certificate::*` that the subject has a value for. Assumed: of several values of one attribute the first counts. SerialNumber is the
 * attribute serialNumber, never the number that the issuer gave to the certificate.
 */
export const parametersOfSubject = ({
  policyFields: { subject },
}: Pick<ParsedCertificate, 'policyFields'>): Readonly<Record<string, string>> => {
  const parameters: Record<string, string> = {};
  for (const [name, { type }] of subjectParameters) {
    const field = fields[type];
    const value = field && subject[field]?.[0];
    if (value !== undefined) parameters[name] = value;
  }
  return parameters;
};
