/**
 * The words for calls of the API that a rule of the service refused, rights apart: see `explain.ts`. A cure belongs to an operation and a fault; where one fault stands for
 * several mistakes, the sentence says which it was, in the words that the caller got.
 *
 * Facts that it reads, by their names in `JournalRecord.facts`: `fault`; members of the input by the names that the API has for them; `correctedInput`: the input as this
 * server would take it; `malformed`: it broke a constraint of its input, which no cure for rules helps against.
 */
import type { Explanation } from './cure-lines.ts';
import { command, quote, script } from './shell.ts';
import type { StoredRecord } from './stored-record.ts';

type Line = string | undefined;

interface Cure {
  /** Ends in a colon. */
  readonly advice: string;
  readonly lines: readonly Line[];
}

const of = ({ facts }: StoredRecord, member: string): string => facts?.[member] ?? '';

/** `aws iam delete-user` of `iam:DeleteUser`. */
const programOf = (action: string): string => {
  const [service = '', operation = ''] = action.split(':');
  return `aws ${service} ${operation.replace(/(?<=[a-z0-9])(?=[A-Z])/g, '-').toLowerCase()}`;
};

const askAgain = (record: StoredRecord): readonly Line[] => {
  const word = quote(of(record, 'correctedInput'));
  return [
    word === undefined || word === "''" ? undefined : `${programOf(record.action ?? '')} --cli-input-json ${word}`,
  ];
};

const corrected =
  (advice: string) =>
  (record: StoredRecord): Cure => ({ advice, lines: askAgain(record) });

/** `list`: what prints names; `run`: what is done with each, as "$it". Names of IAM hold nothing that a shell splits or expands. */
const forEach = (list: Line, run: Line): Line => list && run && `for it in $(${list} --output text); do ${run}; done`;

/** `--option=value`; undefined where the call did not name it. */
const given = (option: string, value: string): Line => {
  const word = quote(value);
  return value === '' || word === undefined ? undefined : `${option}=${word}`;
};
const user = (record: StoredRecord): Line => given('--user-name', of(record, 'UserName') || of(record, 'userName'));
const group = (record: StoredRecord): Line => given('--group-name', of(record, 'GroupName'));
const role = (record: StoredRecord): Line => given('--role-name', of(record, 'RoleName'));
const policy = (record: StoredRecord): Line => given('--policy-arn', of(record, 'PolicyArn'));
const certificate = (record: StoredRecord): Line => given('--certificate-arn', of(record, 'CertificateArn'));

/** Policies of a user, group or role: those attached, and its own. */
const takePolicies = (kind: 'user' | 'group' | 'role', name: Line): readonly Line[] => [
  forEach(
    name && `aws iam list-attached-${kind}-policies ${name} --query 'AttachedPolicies[].PolicyArn'`,
    `aws iam detach-${kind}-policy ${name} --policy-arn "$it"`,
  ),
  forEach(
    name && `aws iam list-${kind}-policies ${name} --query 'PolicyNames[]'`,
    `aws iam delete-${kind}-policy ${name} --policy-name="$it"`,
  ),
];

const detachEverywhere = (arn: Line): readonly Line[] =>
  (['user', 'group', 'role'] as const).map((kind) => {
    const [members, name] = {
      user: ['PolicyUsers', 'UserName'],
      group: ['PolicyGroups', 'GroupName'],
      role: ['PolicyRoles', 'RoleName'],
    }[kind];
    return forEach(
      arn &&
        `aws iam list-entities-for-policy ${arn} --policy-usage-filter PermissionsPolicy --query '${members}[].${name}'`,
      `aws iam detach-${kind}-policy --${kind}-name="$it" ${arn}`,
    );
  });

const otherVersions = (arn: Line, pick: string): string =>
  `aws iam list-policy-versions ${arn} --query 'sort_by(Versions[?!IsDefaultVersion], &CreateDate)${pick}'`;

/** Every domain configuration with its name, its domain and whether it is enabled. */
const listDomains: readonly Line[] = [
  forEach(
    "aws iot list-domain-configurations --query 'domainConfigurations[].domainConfigurationName'",
    `aws iot describe-domain-configuration --domain-configuration-name="$it" --query '[domainConfigurationName,domainName,domainConfigurationStatus]' --output text`,
  ),
];

const keyTypes = 'RSA_1024,RSA_2048,RSA_3072,RSA_4096,EC_prime256v1,EC_secp384r1,EC_secp521r1';

/** What is there of everything that the call named. */
const listNamed = (record: StoredRecord): readonly Line[] => {
  const { facts = {} } = record;
  return [
    ...(facts['UserName'] === undefined ? [] : ["aws iam list-users --query 'Users[].UserName' --output text"]),
    ...(facts['GroupName'] === undefined ? [] : ["aws iam list-groups --query 'Groups[].GroupName' --output text"]),
    ...(facts['RoleName'] === undefined ? [] : ["aws iam list-roles --query 'Roles[].RoleName' --output text"]),
    ...(facts['PolicyArn'] === undefined && facts['PolicyName'] === undefined
      ? []
      : ["aws iam list-policies --scope Local --query 'Policies[].Arn' --output text"]),
  ];
};

const assumer = (record: StoredRecord): readonly Line[] => {
  const document = JSON.stringify({
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Action: 'sts:AssumeRole', Resource: of(record, 'RoleArn') }],
  });
  const name = 'role-user';
  return [
    `aws iam get-user --user-name ${name} > /dev/null 2>&1 || aws iam create-user --user-name ${name}`,
    command`aws iam put-user-policy --user-name ${name} --policy-name assume --policy-document ${document}`,
    `aws iam create-access-key --user-name ${name}`,
  ];
};

const copyOf = (record: StoredRecord): readonly Line[] => {
  const arn = policy(record);
  const name = given('--policy-name', of(record, 'PolicyArn').replace(/^.*\//, ''));
  return [
    arn &&
      name &&
      `aws iam create-policy ${name} --policy-document "$(aws iam get-policy-version ${arn} --version-id "$(aws iam get-policy ${arn} --query Policy.DefaultVersionId --output text)" --query PolicyVersion.Document --output json)"`,
  ];
};

const listings = { advice: 'Compare with what is there:' };
const namesAreThere = 'Use what is there, or choose another name (names that differ in case only are one):';
/** In a folder of its own: in that of whoever was refused there is a server.key, most likely. */
const ownImport: readonly Line[] = [
  'made=$(mktemp -d) && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -keyout "$made/server.key" -out "$made/server.crt" -subj /CN=server.example.test -addext subjectAltName=DNS:server.example.test -addext extendedKeyUsage=serverAuth',
  'aws acm import-certificate --certificate "fileb://${made:?}/server.crt" --private-key "fileb://$made/server.key"',
];

/** Operation and fault -> what helps. */
export const callCures = {
  'iot:CreateDomainConfiguration InvalidRequestException': corrected(
    'This asks for the same without what does not fit:',
  ),
  'iot:UpdateDomainConfiguration InvalidRequestException': corrected(
    'This asks for the same without what does not fit:',
  ),
  'iot:CreateDomainConfiguration ResourceAlreadyExistsException': () => ({
    advice:
      'Change the one that is there (aws iot update-domain-configuration), delete it, or choose another name. This shows all, each with its domain:',
    lines: listDomains,
  }),
  'iot:CreateDomainConfiguration LimitExceededException': () => ({
    advice: 'Delete what is not needed any more (disable it first). This shows all, each with its domain:',
    lines: listDomains,
  }),
  'iot:UpdateDomainConfiguration ResourceNotFoundException': () => ({ ...listings, lines: listDomains }),
  'iot:DeleteDomainConfiguration ResourceNotFoundException': () => ({ ...listings, lines: listDomains }),
  'iot:CreateRoleAlias ResourceAlreadyExistsException': (record) => ({
    advice: 'It is there already. If it is to stand for that role from now on:',
    lines: [
      command`aws iot update-role-alias --role-alias=${of(record, 'roleAlias')} --role-arn=${of(record, 'roleArn')}`,
    ],
  }),
  'iot:CreateRoleAlias InvalidRequestException': () => ({
    advice: 'If it is the role, name one of this account by its ARN. These are there:',
    lines: ["aws iam list-roles --query 'Roles[].Arn' --output text"],
  }),
  'iot:UpdateRoleAlias ResourceNotFoundException': () => ({
    ...listings,
    lines: ["aws iot list-role-aliases --query 'roleAliases[]' --output text"],
  }),
  'iot:DeleteRoleAlias ResourceNotFoundException': () => ({
    ...listings,
    lines: ["aws iot list-role-aliases --query 'roleAliases[]' --output text"],
  }),
  'acm:RequestCertificate InvalidParameterException': corrected('This asks for what this server has:'),
  'acm:ImportCertificate ValidationException': () => ({
    advice:
      'ACM takes one certificate in PEM, of version 3 (openssl x509 -req makes one when it is given -extfile), its key in clear (openssl pkey takes a passphrase away), and above it the chain without the certificate itself; under an ARN that is there, nothing that has another kind of key or other usages. This makes and imports one that it takes, signed by itself (its files are in a new folder, $made):',
    lines: ownImport,
  }),
  'acm:DeleteCertificate ResourceInUseException': (record) => ({
    advice:
      'If those domain configurations are not needed any more, this deletes them (one with a name of this server a week after it was disabled):',
    lines: [
      forEach(
        certificate(record) && `aws acm describe-certificate ${certificate(record)} --query 'Certificate.InUseBy[]'`,
        'it=${it#*:domainconfiguration/}; aws iot update-domain-configuration --domain-configuration-name="${it%/*}" --domain-configuration-status DISABLED && aws iot delete-domain-configuration --domain-configuration-name="${it%/*}"',
      ),
    ],
  }),
  'acm:* RequestInProgressException': (record) => ({
    advice:
      'It is issued once its names are proven: put the records that this prints into DNS, and ask again some seconds later:',
    lines: [
      certificate(record) &&
        `aws acm describe-certificate ${certificate(record)} --query 'Certificate.DomainValidationOptions[].ResourceRecord.[Name,Type,Value]' --output text`,
    ],
  }),
  'acm:* ResourceNotFoundException': () => ({
    ...listings,
    lines: [
      `aws acm list-certificates --includes keyTypes=${keyTypes} --query 'CertificateSummaryList[].[CertificateArn,DomainName,Status]' --output text`,
    ],
  }),
  'iam:DeleteUser DeleteConflictException': (record) => ({
    advice: 'Take from the user what keeps it; its keys count no more at once:',
    lines: [
      forEach(
        user(record) && `aws iam list-access-keys ${user(record)} --query 'AccessKeyMetadata[].AccessKeyId'`,
        `aws iam delete-access-key ${user(record)} --access-key-id="$it"`,
      ),
      forEach(
        user(record) && `aws iam list-groups-for-user ${user(record)} --query 'Groups[].GroupName'`,
        `aws iam remove-user-from-group ${user(record)} --group-name="$it"`,
      ),
      ...takePolicies('user', user(record)),
    ],
  }),
  'iam:DeleteGroup DeleteConflictException': (record) => ({
    advice: 'Take from the group what keeps it; its users lose the rights that they had from it at once:',
    lines: [
      forEach(
        group(record) && `aws iam get-group ${group(record)} --query 'Users[].UserName'`,
        `aws iam remove-user-from-group ${group(record)} --user-name="$it"`,
      ),
      ...takePolicies('group', group(record)),
    ],
  }),
  'iam:DeleteRole DeleteConflictException': (record) => ({
    advice: 'Take from the role what keeps it; its sessions lose those rights at once:',
    lines: takePolicies('role', role(record)),
  }),
  'iam:DeletePolicy DeleteConflictException': (record) => ({
    advice:
      'Detach it from all who have it, and delete its other versions; from those whom it bounds it is taken by hand (aws iam delete-user-permissions-boundary), as that widens what they may:',
    lines: [
      ...detachEverywhere(policy(record)),
      forEach(
        policy(record) && otherVersions(policy(record), '[].VersionId'),
        `aws iam delete-policy-version ${policy(record)} --version-id "$it"`,
      ),
    ],
  }),
  'iam:DeletePolicyVersion DeleteConflictException': (record) => ({
    advice: 'Another version must be the default first; this takes the newest of the others, which counts at once:',
    lines: [
      policy(record) &&
        `aws iam set-default-policy-version ${policy(record)} --version-id "$(${otherVersions(policy(record), '[-1].VersionId')} --output text)"`,
    ],
  }),
  'iam:CreatePolicyVersion LimitExceededException': (record) => ({
    advice: 'If the policy has five versions, the oldest that is not the default makes room for another:',
    lines: [
      policy(record) &&
        `aws iam delete-policy-version ${policy(record)} --version-id "$(${otherVersions(policy(record), '[0].VersionId')} --output text)"`,
    ],
  }),
  'iam:CreateAccessKey LimitExceededException': (record) => ({
    advice:
      'A user has two keys at most. If the older one is not used any more (aws iam get-access-key-last-used), this deletes it:',
    lines: [
      user(record) &&
        `aws iam delete-access-key ${user(record)} --access-key-id="$(aws iam list-access-keys ${user(record)} --query 'sort_by(AccessKeyMetadata, &CreateDate)[0].AccessKeyId' --output text)"`,
    ],
  }),
  'iam:* EntityAlreadyExistsException': (record) => ({ advice: namesAreThere, lines: listNamed(record) }),
  'iam:* NoSuchEntityException': (record) => ({
    advice: 'Compare with what is there; upper and lower case count:',
    lines: [
      ...listNamed(record),
      ...(record.facts?.['AccessKeyId'] !== undefined && record.facts['UserName'] !== undefined
        ? [
            user(record) &&
              `aws iam list-access-keys ${user(record)} --query 'AccessKeyMetadata[].[AccessKeyId,Status]' --output text`,
          ]
        : []),
    ],
  }),
  'iam:* AccessDeniedException': (record) => ({
    advice: 'A policy of AWS stays as it is. This makes one of your own of the same name, which can be changed:',
    lines: copyOf(record),
  }),
  'sts:AssumeRole AccessDeniedException': (record) => ({
    advice:
      'Ask under the key of a user, or of a session. This makes a user who may, and prints its key (the only time that it is shown); the role must trust it, or its account:',
    lines: assumer(record),
  }),
  'sts:AssumeRole InvalidRequestException': corrected(
    'This begins a session for one hour, which every role allows; aws iam update-role --max-session-duration allows more:',
  ),
} as const satisfies Readonly<Record<string, (record: StoredRecord) => Cure>>;

const cureOf = (record: StoredRecord): Cure | undefined => {
  const cures: Readonly<Record<string, (of: StoredRecord) => Cure>> = callCures;
  const { action = '' } = record;
  const fault = of(record, 'fault');
  const [service] = action.split(':');
  return (cures[`${action} ${fault}`] ?? cures[`${service}:* ${fault}`])?.(record);
};

const adviceWithout = (record: StoredRecord): string =>
  of(record, 'fault') === 'NotImplementedException'
    ? 'This version of Fleetgate does not have it: the README lists what it has.'
    : 'Correct the call as the message says.';

export const explainCall = (record: StoredRecord): Explanation => {
  const { action = '', detail, altered = [] } = record;
  const why = detail === undefined ? of(record, 'fault') : detail.replace(/\.$/, '');
  const sentence = `The call ${action} was refused${why && `: ${why}`}.`;
  const isMalformed = of(record, 'malformed') !== '';
  const cure = isMalformed || altered.some((field) => field.startsWith('facts.')) ? undefined : cureOf(record);
  const commands = cure ? script(...cure.lines) : [];
  return cure && commands.length > 0
    ? { sentence, cure: cure.advice, commands }
    : { sentence, cure: adviceWithout(record), commands: [] };
};
