/** What `fleetgate doctor` looks at in the certificates of ACM that an account has requested: whether they are proven, and renewed. */
import { CommandProblem, type Io } from './io.ts';
import { fieldsOf, listOf, textOf } from './journal-answer.ts';
import { ask, type Server } from './server.ts';
import { shellWord } from './terminal.ts';

interface Trouble {
  readonly sentence: string;
  readonly cure: string;
}

interface Surroundings {
  readonly server: Server;
  readonly io: Io;
}

/** Certificates that are looked at; an account of AWS begins with 2500. */
const certificatesMax = 200;
const keyTypes = ['RSA_1024', 'RSA_2048', 'RSA_3072', 'RSA_4096', 'EC_prime256v1', 'EC_secp384r1', 'EC_secp521r1'];

const askAcm = async ({ server, io }: Surroundings, operation: string, input: object) =>
  fieldsOf(
    JSON.parse(
      await ask(server, '/', io, {
        ...{ service: 'acm', target: `CertificateManager.${operation}`, body: JSON.stringify(input) },
      }),
    ),
  );

/** The records that are not found in DNS, as an answer of ACM tells them; a name and its wildcard have one. */
const missingRecords = (options: unknown): string => {
  const records = listOf(options)
    .map(fieldsOf)
    .filter((option) => option['ValidationStatus'] !== 'SUCCESS')
    .map((option) => fieldsOf(option['ResourceRecord']))
    .map((record) => `${textOf(record['Name'])} CNAME ${textOf(record['Value'])}`);
  return [...new Set(records)].slice(0, 3).join(', ');
};

const showRecords = (arn: string): string =>
  `aws acm describe-certificate --certificate-arn ${shellWord(arn)} --query 'Certificate.DomainValidationOptions[].ResourceRecord.[Name,Type,Value]' --output text   # into the zone of the name`;

/** As it was requested: its other names and its kind of key, too. */
const requestAgain = (arn: string, name: string, certificate: Readonly<Record<string, unknown>>): string => {
  const others = listOf(certificate['SubjectAlternativeNames'])
    .map(textOf)
    .filter((other) => other !== name);
  const key = textOf(certificate['KeyAlgorithm'])?.replace('-', '_') ?? '';
  return [
    `aws acm delete-certificate --certificate-arn ${shellWord(arn)} &&`,
    `aws acm request-certificate --domain-name ${shellWord(name)} --validation-method DNS`,
    ...(others.length > 0
      ? [`--subject-alternative-names ${others.map((other) => shellWord(other ?? '')).join(' ')}`]
      : []),
    ...(key.startsWith('EC_') ? [`--key-algorithm ${shellWord(key)}`] : []),
  ].join(' ');
};

const troubleOf = (certificate: Readonly<Record<string, unknown>>): Trouble | undefined => {
  const [arn, name, status] = ['CertificateArn', 'DomainName', 'Status'].map((member) => textOf(certificate[member]));
  if (arn === undefined || name === undefined || textOf(certificate['Type']) === 'IMPORTED') return undefined;
  const named = `The certificate that was requested for ${name}`;
  if (status === 'PENDING_VALIDATION') {
    const records = missingRecords(certificate['DomainValidationOptions']);
    return { sentence: `${named} is not issued: DNS does not have ${records}`, cure: showRecords(arn) };
  }
  if (status === 'VALIDATION_TIMED_OUT' || status === 'FAILED') {
    return {
      sentence: `${named} was never issued: its names were not proven within 72 hours. Request it again, and put the record into DNS:`,
      cure: requestAgain(arn, name, certificate),
    };
  }
  const renewal = fieldsOf(certificate['RenewalSummary']);
  if (renewal['RenewalStatus'] === 'PENDING_VALIDATION' || renewal['RenewalStatus'] === 'FAILED') {
    const records = missingRecords(renewal['DomainValidationOptions']);
    return {
      sentence: `${named} is not renewed: DNS does not have ${records || 'its record'} any more.`,
      cure: showRecords(arn),
    };
  }
  return undefined;
};

/** A line to show when all is well, or the first trouble. */
export const checkCertificates = async (around: Surroundings): Promise<string | Trouble> => {
  try {
    const { CertificateSummaryList } = await askAcm(around, 'ListCertificates', {
      ...{ MaxItems: certificatesMax, Includes: { keyTypes } },
    });
    const arns = listOf(CertificateSummaryList).map((it) => textOf(fieldsOf(it)['CertificateArn']));
    for (const CertificateArn of arns) {
      const { Certificate } = await askAcm(around, 'DescribeCertificate', { CertificateArn });
      const trouble = troubleOf(fieldsOf(Certificate));
      if (trouble) return trouble;
    }
    return arns.length === 0 ? 'ACM has none of this account' : `${arns.length} in ACM, issued and renewed`;
  } catch (error) {
    // the right to look at them is not needed to work with the server
    if (error instanceof CommandProblem) return `not looked at: ${error.message.split('\n')[0]}`;
    throw error;
  }
};
