/**
 * The words for a domain configuration that was not created, or not deleted: see `explain.ts`.
 *
 * Facts that it reads, by their names in `JournalRecord.facts`: `domainConfigurationName`, `domainName`, `serverCertificateArn`, `validationCertificateArn` (as
 * the caller named them); `pendingCertificateArn`; `deletionDays`: how long it must be DISABLED; `deletableAt`: when it has been, where it is.
 */
import { type Explanation, option } from './cure-lines.ts';
import type { Reason } from './record.ts';
import { command, quote, script } from './shell.ts';
import type { StoredRecord } from './stored-record.ts';

export type DomainCallReason = Extract<
  Reason,
  'CERTIFICATE_PENDING' | 'SERVER_CERTIFICATE_UNFIT' | 'VALIDATION_CERTIFICATE_UNFIT' | 'DOMAIN_CONFIGURATION_KEPT'
>;

type Line = string | undefined;

/** A cause within a sentence. */
const because = ({ detail = '' }: StoredRecord): string => `${detail.slice(0, 1).toLowerCase()}${detail.slice(1)}`;

/** A value of a command: what a variable of the lines before holds, or what the caller wrote. */
const held = (variable: string): string => `"$${variable}"`;
const written = (value: string | undefined): Line => (value === undefined ? undefined : quote(value));

const createAgain = (
  { facts = {} }: StoredRecord,
  certificates: { readonly server: Line; readonly validation: Line },
): Line => {
  const name = option('--domain-configuration-name', facts['domainConfigurationName'] ?? '');
  const domainName = command`--domain-name ${facts['domainName'] ?? ''}`;
  if (name === undefined || domainName === undefined || certificates.server === undefined) return undefined;
  const validation =
    certificates.validation === undefined ? '' : ` --validation-certificate-arn ${certificates.validation}`;
  return `aws iot create-domain-configuration ${name} ${domainName} --server-certificate-arns ${certificates.server}${validation}`;
};

/** With the files of docs/custom-domains.md. Everything that can be wrong with a server certificate is right with the new one. */
const anotherServerCertificate = (record: StoredRecord): readonly string[] => {
  const { domainName = '', validationCertificateArn } = record.facts ?? {};
  return script(
    command`printf ${`extendedKeyUsage = serverAuth\\nsubjectAltName = DNS:${domainName}\\n`} > server.ext`,
    'openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 -extfile server.ext > server.crt',
    'serverCertificateArn=$(aws acm import-certificate --certificate fileb://server.crt --private-key fileb://server.key --certificate-chain fileb://ca.crt --query CertificateArn --output text)',
    createAgain(record, { server: held('serverCertificateArn'), validation: written(validationCertificateArn) }),
  );
};

const validationCertificate = (record: StoredRecord): readonly string[] => {
  const { domainName = '', serverCertificateArn } = record.facts ?? {};
  const variable = 'validationCertificateArn';
  return script(
    command`validationCertificateArn=$(aws acm request-certificate --domain-name ${domainName} --validation-method DNS --query CertificateArn --output text)`,
    `aws acm describe-certificate --certificate-arn ${held(variable)} --query 'Certificate.DomainValidationOptions[0].ResourceRecord.[Name,Type,Value]' --output text`,
    `aws acm wait certificate-validated --certificate-arn ${held(variable)}`,
    createAgain(record, { server: written(serverCertificateArn), validation: held(variable) }),
  );
};

/** A sentence where no command could be written. */
const withCommands = (sentence: string, cure: string, commands: readonly string[]): Explanation => ({
  ...{ sentence, commands },
  cure: commands.length > 0 ? `${cure}:` : `${cure}.`,
});

const explainKept = (record: StoredRecord): Explanation => {
  const { domainConfigurationName = '', deletionDays = '0', deletableAt } = record.facts ?? {};
  const sentence = `The domain configuration "${domainConfigurationName}" was not deleted: ${record.detail ?? ''}.`;
  if (deletableAt !== undefined) {
    return {
      sentence,
      cure: `Delete it from ${deletableAt} on. A server that was started with --dev, for trying things out, lets its clock be moved there, by \`fleetgate clock --advance ${deletionDays}d\`.`,
      commands: [],
    };
  }
  const name = option('--domain-configuration-name', domainConfigurationName);
  const disable = name && `aws iot update-domain-configuration ${name} --domain-configuration-status DISABLED`;
  const remove = name && `aws iot delete-domain-configuration ${name}`;
  return deletionDays === '0'
    ? withCommands(sentence, 'If no client needs its name any more, disable it first', script(disable, remove))
    : withCommands(
        sentence,
        `If no client needs its name any more, disable it, and delete it ${deletionDays} days later`,
        script(disable),
      );
};

export const explainDomainCall = (reason: DomainCallReason, record: StoredRecord): Explanation => {
  const { domainConfigurationName = '', domainName = '' } = record.facts ?? {};
  const sentence = `The domain configuration "${domainConfigurationName}" for ${domainName} was not created: ${because(record)}.`;
  switch (reason) {
    case 'CERTIFICATE_PENDING':
      return {
        sentence,
        cure: 'It is issued once its names are proven: put the records that this prints into DNS, and create the domain configuration some seconds later:',
        commands: script(
          command`aws acm describe-certificate --certificate-arn ${record.facts?.['pendingCertificateArn'] ?? ''} --query 'Certificate.DomainValidationOptions[].ResourceRecord.[Name,Type,Value]' --output text`,
        ),
      };
    case 'SERVER_CERTIFICATE_UNFIT':
      return withCommands(
        sentence,
        'Have its CA sign another one, import that, and create the domain configuration with it: with openssl, where the request is server.csr, its key server.key and the CA ca.crt and ca.key (it writes server.ext and server.crt into the current folder)',
        anotherServerCertificate(record),
      );
    case 'VALIDATION_CERTIFICATE_UNFIT':
      return withCommands(
        sentence,
        'Request one from ACM, put the record that is printed into the DNS zone of the name, and create the domain configuration when it has been found',
        validationCertificate(record),
      );
    case 'DOMAIN_CONFIGURATION_KEPT':
      return explainKept(record);
  }
};
