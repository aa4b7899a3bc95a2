/** Distinguished names: as one line of text for people, and by the field names that policy variables use. */
import { AsnConvert } from '@peculiar/asn1-schema';
import {
  AttributeTypeAndValue,
  AttributeValue,
  GeneralNames,
  Name,
  RelativeDistinguishedName,
} from '@peculiar/asn1-x509';

/** Attribute types by the names of the variables iot:Certificate.Subject.<name> (spec policy.md 4.4). */
const fieldNames = {
  '2.5.4.46': 'DistinguishedNameQualifier',
  '2.5.4.6': 'Country',
  '2.5.4.10': 'Organization',
  '2.5.4.11': 'OrganizationalUnit',
  '2.5.4.8': 'State',
  '2.5.4.3': 'CommonName',
  '2.5.4.5': 'SerialNumber',
  '2.5.4.12': 'Title',
  '2.5.4.4': 'Surname',
  '2.5.4.42': 'GivenName',
  '2.5.4.43': 'Initials',
  '2.5.4.65': 'Pseudonym',
  '2.5.4.44': 'GenerationQualifier',
} as const;

/** Kinds of alternative names by the names of the variables iot:Certificate.Subject.AlternativeName.<kind>. */
const alternativeNameKinds = {
  rfc822Name: 'RFC822Name',
  dNSName: 'DNSName',
  directoryName: 'DirectoryName',
  uniformResourceIdentifier: 'UniformResourceIdentifier',
  iPAddress: 'IPAddress',
} as const;

type Values<Key extends string> = { readonly [K in Key]?: readonly string[] };

/** All values of the fields of a name that policies may ask for, as encoded, without escaping; absent where there are none. */
export type NameFields = Values<(typeof fieldNames)[keyof typeof fieldNames]>;
export type AlternativeNameFields = Values<(typeof alternativeNameKinds)[keyof typeof alternativeNameKinds]>;

/** The short names that OpenSSL prints; RFC 4514 section 3 for the first ones. */
const shortNames: Readonly<Record<string, string>> = {
  '2.5.4.3': 'CN',
  '2.5.4.4': 'SN',
  '2.5.4.5': 'serialNumber',
  '2.5.4.6': 'C',
  '2.5.4.7': 'L',
  '2.5.4.8': 'ST',
  '2.5.4.10': 'O',
  '2.5.4.11': 'OU',
  '2.5.4.12': 'title',
  '2.5.4.42': 'GN',
  '2.5.4.43': 'initials',
  '2.5.4.44': 'generationQualifier',
  '2.5.4.46': 'dnQualifier',
  '2.5.4.65': 'pseudonym',
  '1.2.840.113549.1.9.1': 'emailAddress',
  '0.9.2342.19200300.100.1.1': 'UID',
  '0.9.2342.19200300.100.1.25': 'DC',
};

/** Escapes what RFC 4514 section 2.4 escapes; control characters become their hex pair. */
const escapeValue = (value: string): string =>
  value
    .replaceAll(/[\\",+<>;=]/g, '\\$&')
    .replaceAll(/[\u0000-\u001f\u007f]/g, (char) => `\\${char.charCodeAt(0).toString(16).padStart(2, '0')}`);

/** `Object.keys` with the type that a literal table deserves: nothing adds to these tables. */
const typesOf = <Table extends object>(table: Table): (keyof Table)[] => Object.keys(table) as (keyof Table)[];

/** One line in the order of the encoding, e.g. `C=DE, O=Acme, CN=dev1`; parts of one RDN are joined by ` + `. */
export const nameText = (name: Name): string =>
  name
    .map((rdn) =>
      rdn
        .map(({ type, value }) => {
          const text = value.anyValue ? `#${value.toString()}` : escapeValue(value.toString());
          return `${shortNames[type] ?? type}=${text}`;
        })
        .join(' + '),
    )
    .join(', ');

/** The fields that policy variables can name, in the order of the encoding; values that are no text are left out. */
export const nameFields = (name: Name): NameFields => {
  const values = new Map<string, string[]>();
  for (const { type, value } of name.flat()) {
    if (value.anyValue) continue;
    values.set(type, [...(values.get(type) ?? []), value.toString()]);
  }
  const fields: { -readonly [Field in keyof NameFields]: NameFields[Field] } = {};
  for (const type of typesOf(fieldNames)) {
    const found = values.get(type);
    if (found) fields[fieldNames[type]] = found;
  }
  return fields;
};

/** The alternative names that policy variables can name, of the DER of a GeneralNames. Throws when it cannot be read. */
export const alternativeNameFields = (der: ArrayBuffer): AlternativeNameFields => {
  const names = Array.from(AsnConvert.parse(der, GeneralNames));
  const fields: { -readonly [Field in keyof AlternativeNameFields]: AlternativeNameFields[Field] } = {};
  for (const kind of typesOf(alternativeNameKinds)) {
    const found = names.map((name) => name[kind]).filter((value) => value !== undefined);
    if (found.length > 0) {
      fields[alternativeNameKinds[kind]] = found.map((value) => (typeof value === 'string' ? value : nameText(value)));
    }
  }
  return fields;
};

/** A name of UTF8String attributes, one RDN each, e.g. `newName(['2.5.4.3', 'dev1'])`. */
export const newName = (...attributes: readonly (readonly [type: string, value: string])[]): Name =>
  new Name(
    attributes.map(
      ([type, value]) =>
        new RelativeDistinguishedName([
          new AttributeTypeAndValue({ type, value: new AttributeValue({ utf8String: value }) }),
        ]),
    ),
  );

export const commonName = '2.5.4.3';
export const organization = '2.5.4.10';
export const organizationalUnit = '2.5.4.11';
