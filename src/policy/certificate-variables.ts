/**
 * Policy variables that come out of a device certificate. A field may hold several values: the bare name means the first, `.N` the value at
 * index N counted from zero, `.List` all of them, and only the first five exist. Values carry a backslash before the characters that
 * a distinguished name's text form escapes. Source: developer guide, "X.509 certificate policy variables"; spec policy.md 4.4.
 */
import {
  type AlternativeNameField,
  alternativeNameFields,
  type CertificateFacts,
  type NameField,
  nameFields,
  type PolicyRequest,
} from './context.ts';

/** Values of one field beyond these are not visible. Source: guide, "X.509 certificate policy variable limitations". */
export const certificateValuesMax = 5;
/** A longer value is not substituted, in UTF-16 code units. Source: as above. */
export const certificateValueCharactersMax = 1024;

const notSubstituted = /[*$+?#]/;
const escapedCharacters = /[,"\\+=<>;]/g;

const escaped = (value: string): string => value.replace(escapedCharacters, '\\$&');

const substituted = (value: string | undefined): string | undefined =>
  value === undefined || value.length > certificateValueCharactersMax || notSubstituted.test(value)
    ? undefined
    : escaped(value);

type Party = 'subject' | 'issuer';
type Values = (certificate: CertificateFacts) => readonly string[] | undefined;

const partyNames: readonly [Party, string][] = [
  ['subject', 'iot:Certificate.Subject'],
  ['issuer', 'iot:Certificate.Issuer'],
];

const nameValues =
  (party: Party, field: NameField): Values =>
  (certificate) =>
    certificate[party]?.[field];

const alternativeNameValues =
  (party: Party, field: AlternativeNameField): Values =>
  (certificate) =>
    certificate[party]?.AlternativeName?.[field];

/** Every field by its canonical variable name. */
const fields: readonly { readonly name: string; readonly values: Values }[] = partyNames.flatMap(([party, prefix]) => [
  ...nameFields.map((field) => ({ name: `${prefix}.${field}`, values: nameValues(party, field) })),
  ...alternativeNameFields.map((field) => ({
    name: `${prefix}.AlternativeName.${field}`,
    values: alternativeNameValues(party, field),
  })),
]);

const fieldsByLowerName = new Map(fields.map((field) => [field.name.toLowerCase(), field]));

const visible = (values: Values, request: PolicyRequest): readonly string[] => {
  const certificate = request.context.certificate;
  return (certificate && values(certificate))?.slice(0, certificateValuesMax) ?? [];
};

/** The names of the certificate variables that have a value. Assumed: full names, the certificate id among them. */
export function availableKeys(request: PolicyRequest): readonly string[] | undefined {
  const certificate = request.context.certificate;
  if (!certificate) return undefined;
  const names = fields.filter(({ values }) => visible(values, request).length > 0).map(({ name }) => name);
  if (certificate.serialNumber !== undefined) names.push('iot:Certificate.SerialNumber');
  return ['iot:CertificateId', ...names];
}

/** How a certificate field is read, as a condition key and as inserted text. */
export interface CertificateVariable {
  readonly name: string;
  readonly key: (request: PolicyRequest) => string | readonly string[] | undefined;
  readonly text: (request: PolicyRequest) => string | undefined;
}

const suffixed = /^(.+)\.(list|0|[1-9][0-9]{0,8})$/;

/** The variable of a subject, issuer or alternative name field, with or without suffix; undefined when `lowerName` names none. */
export function findCertificateVariable(lowerName: string): CertificateVariable | undefined {
  const plain = fieldsByLowerName.get(lowerName);
  if (plain) return indexed(plain.name, plain.values, 0);
  const [, base = '', suffix = ''] = suffixed.exec(lowerName) ?? [];
  const field = fieldsByLowerName.get(base);
  if (!field) return undefined;
  return suffix === 'list'
    ? listed(`${field.name}.List`, field.values)
    : indexed(`${field.name}.${suffix}`, field.values, Number(suffix));
}

function indexed(name: string, values: Values, index: number): CertificateVariable {
  const at = (request: PolicyRequest): string | undefined => {
    const certificate = request.context.certificate;
    return certificate && index < certificateValuesMax ? values(certificate)?.[index] : undefined;
  };
  return {
    name,
    key: (request) => {
      const value = at(request);
      return value === undefined ? undefined : escaped(value);
    },
    text: (request) => substituted(at(request)),
  };
}

/** A list is for conditions; inserted as text it has no value. Assumed: the guide does not say. */
const listed = (name: string, values: Values): CertificateVariable => ({
  name,
  key: (request) => visible(values, request).map(escaped),
  text: () => undefined,
});
