/** The command lines that several cures share. All run as printed in a shell that has evaluated `fleetgate env`, in an empty folder. */
import { createHash } from 'node:crypto';
import { type AccountRegion, iotArn } from '../aws/arn.ts';
import { command, quote, script } from './shell.ts';
import { printableJson, type StoredRecord } from './stored-record.ts';

/** A name that the reader's account serves. */
export interface KnownDomain {
  /** Of the domain configuration. */
  readonly name: string;
  readonly domainName: string;
}

/** What a cure must know beside the record: about this server, and about whoever reads it. */
export interface Surroundings {
  /** The reader's account: where commands act when the record itself proved none. */
  readonly account: AccountRegion;
  /** e.g. `http://127.0.0.1:4566`. */
  readonly apiUrl: string;
  /** Policies that the journal has seen with this certificate in this account, for one that has none now. */
  readonly policyNames?: readonly string[];
  /** When a certificate that is not registered was made for a claim; absent if it was not, or has been provisioned since. */
  readonly issuedAtMs?: number;
  /** The names of its own that the reader's account serves; told for a server name that is none. */
  readonly domains?: readonly KnownDomain[];
}

export interface Explanation {
  /** The first cause. */
  readonly sentence: string;
  /** What to do; ends in a colon when commands follow. */
  readonly cure: string;
  /** Shell lines, in order. May be empty. */
  readonly commands: readonly string[];
}

type Line = string | undefined;

/** How sentences show a certificate: the first digits of its id, enough for `fleetgate explain`. */
export const shortId = (certificateId: string): string => certificateId.slice(0, 8);

/** Of certificates, and of CAs. */
export const certificateIdShape = /^[0-9a-f]{64}$/;

/** The certificateId, if commands may be built from it. */
export const certificateIdOf = (record: StoredRecord): string | undefined =>
  record.certificateId !== undefined && certificateIdShape.test(record.certificateId)
    ? record.certificateId
    : undefined;

export const certificateArn = (record: StoredRecord, certificateId: string, { account }: Surroundings): string =>
  iotArn(record.account ?? account, 'cert', certificateId);

/** `--name value`; with `=` where the value begins with a dash and would be read as an option. */
export const option = (name: string, value: string): Line => {
  const word = quote(value);
  return word && `${name}${value.startsWith('-') ? '=' : ' '}${word}`;
};

const join = (...parts: readonly Line[]): Line =>
  parts.some((part) => part === undefined) ? undefined : parts.join(' ');

export const activate = (certificateId: string): Line =>
  command`aws iot update-certificate --certificate-id ${certificateId} --new-status ACTIVE`;

export const attachPolicy = (policyName: string, target: string): Line =>
  join('aws iot attach-policy', option('--policy-name', policyName), command`--target ${target}`);

/** Makes the thing unless it is there, and attaches it: harmless to run twice. */
export const attachThing = (thingName: string, target: string): readonly string[] => {
  const name = option('--thing-name', thingName);
  return script(
    name && `aws iot describe-thing ${name} > /dev/null 2>&1 || aws iot create-thing ${name}`,
    join('aws iot attach-thing-principal', name, command`--principal ${target}`),
  );
};

interface AllowDocument {
  readonly Version: '2012-10-17';
  readonly Statement: readonly { Effect: 'Allow'; Action: string | readonly string[]; Resource: string }[];
}

/** Makes a policy with that document unless it is there, under a name drawn from the document, and attaches it. */
const allow = (document: AllowDocument, target: Line): readonly string[] => {
  const text = printableJson(document);
  const policyName = `fleetgate-allow-${createHash('sha256').update(text).digest('hex').slice(0, 12)}`;
  const create = command`aws iot create-policy --policy-name ${policyName} --policy-document ${text}`;
  return script(
    create && `aws iot get-policy --policy-name ${policyName} > /dev/null 2>&1 || ${create}`,
    target && `aws iot attach-policy --policy-name ${policyName} --target ${target}`,
  );
};

/** In a policy `*`, `?` and `${` mean more than themselves; `${*}`, `${?}` and `${$}` do not. Source: spec policy.md 4.3. */
const literalResource = (resource: string): string =>
  resource.replace(/\*|\?|\$(?=\{)/g, (character) => `\${${character}}`);

/** The least privilege that allows exactly this: one action on one resource. */
export const allowExactly = (action: string, resource: string, target: string): readonly string[] =>
  allow(
    {
      Version: '2012-10-17',
      // an action without a resource is allowed on everything or not at all
      Statement: [
        { Effect: 'Allow', Action: action, Resource: resource === '*' ? resource : literalResource(resource) },
      ],
    },
    quote(target),
  );

/**
 * What goes with one request of fleet provisioning: to ask, to subscribe to its replies and to receive them. `topic` is what stands before its format, e.g.
 * `$aws/certificates/create`. Source: spec provisioning.md 4.4.
 */
export const allowRequest = (
  topic: string,
  { accountId, region }: AccountRegion,
  target: string,
): readonly string[] => {
  const on = (type: string): string => `arn:aws:iot:${region}:${accountId}:${type}/${literalResource(topic)}/*`;
  return allow(
    {
      Version: '2012-10-17',
      Statement: [
        { Effect: 'Allow', Action: ['iot:Publish', 'iot:Receive'], Resource: on('topic') },
        { Effect: 'Allow', Action: 'iot:Subscribe', Resource: on('topicfilter') },
      ],
    },
    quote(target),
  );
};

const everything: AllowDocument = {
  Version: '2012-10-17',
  Statement: [
    { Effect: 'Allow', Action: ['iot:Connect', 'iot:Publish', 'iot:Subscribe', 'iot:Receive'], Resource: '*' },
  ],
};

/** Makes a policy of this name that lets its devices talk about everything. */
export const createOpenPolicy = (policyName: string): readonly string[] =>
  script(
    join(
      'aws iot create-policy',
      option('--policy-name', policyName),
      command`--policy-document ${printableJson(everything)}`,
    ),
  );

/** The variable in which a script keeps the ARN of the certificate it has made; unset, it stops the line that needs it. */
const newArn = '"${certificateArn:?}"';

/** A key and an active certificate as device.key and device.pem; an existing device.key is not overwritten. */
const createIdentity =
  'test ! -e device.key && certificateArn=$(aws iot create-keys-and-certificate --set-as-active' +
  ' --certificate-pem-outfile device.pem --private-key-outfile device.key --query certificateArn --output text)';

/** A first identity, with a policy that lets it talk about everything. */
export const firstIdentity = (): readonly string[] => [createIdentity, ...allow(everything, newArn)];

const forEachPolicyOf = (arn: string, run: string): Line => {
  const list = command`aws iot list-attached-policies --target ${arn} --query 'policies[].policyName' --output text`;
  return list && `for policy in $(${list}); do ${run}; done`;
};
const forEachThingOf = (arn: string, run: string): Line => {
  const list = command`aws iot list-principal-things --principal ${arn} --query 'things[]' --output text`;
  return list && `for thing in $(${list}); do ${run}; done`;
};

/** A new identity that may do what the old certificate may: its policies and its things. */
export const successorIdentity = (oldArn: string): readonly string[] =>
  script(
    createIdentity,
    forEachPolicyOf(oldArn, `aws iot attach-policy --policy-name="$policy" --target ${newArn}`),
    forEachThingOf(oldArn, `aws iot attach-thing-principal --thing-name="$thing" --principal ${newArn}`),
  );

const savedAs = (certificateId: string): string => `device-${shortId(certificateId)}.pem`;

/** Registers the certificate that the journal has kept. */
export const registerAgain = (certificateId: string): readonly string[] =>
  script(
    command`fleetgate explain ${certificateId} --certificate > ${savedAs(certificateId)}`,
    `aws iot register-certificate-without-ca --certificate-pem file://${savedAs(certificateId)} --status ACTIVE`,
  );

/** Deletes a registered certificate and registers it again with the policies and things it had. */
export const replaceRegistration = (certificateId: string, arn: string): readonly string[] => {
  const [save, register] = registerAgain(certificateId);
  return script(
    save,
    command`policies=$(aws iot list-attached-policies --target ${arn} --query 'policies[].policyName' --output text)`,
    command`things=$(aws iot list-principal-things --principal ${arn} --query 'things[]' --output text)`,
    command`for thing in $(echo "$things"); do aws iot detach-thing-principal --thing-name="$thing" --principal ${arn}; done`,
    command`aws iot delete-certificate --certificate-id ${certificateId} --force-delete`,
    register,
    command`for policy in $(echo "$policies"); do aws iot attach-policy --policy-name="$policy" --target ${arn}; done`,
    command`for thing in $(echo "$things"); do aws iot attach-thing-principal --thing-name="$thing" --principal ${arn}; done`,
  );
};

export const askEndpoint = (): readonly string[] => [
  'aws iot describe-endpoint --endpoint-type iot:Data-ATS --query endpointAddress --output text',
];

export const fetchRoot = ({ apiUrl }: Surroundings): readonly string[] =>
  script(command`curl -fsS -o root-ca.pem ${`${apiUrl}/root-ca.pem`}`);
