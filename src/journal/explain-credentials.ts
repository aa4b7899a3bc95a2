/**
 * Why a device was not given credentials of a role, and how it gets them: see `explain.ts`. What its policies refuse is told by authorization.ts.
 * Source: developer guide, "Authorizing direct calls to AWS services using AWS IoT Core credential provider".
 *
 * Facts that it reads, by their names in `JournalRecord.facts`: `roleAlias` (as asked for), `similarAlias` (the same name in another case), `namedThing` (by the
 * request), `thingName`, `exclusiveThingName` (attached to the certificate), `roleArn`, `sameNameRoleArn` (of the same name under another path), `trustedRole` (its
 * name), `decidingDocument` (its trust policy), `decidingStatement` (the place of the Deny in it), `credentialDurationSeconds`, `maxSessionSeconds`.
 */
import {
  attachThing,
  certificateArn,
  certificateIdOf,
  type Explanation,
  type Surroundings,
  shortId,
} from './cure-lines.ts';
import { amendTrust } from './explain-trust.ts';
import type { Reason } from './record.ts';
import { command, script } from './shell.ts';
import { printableJson, type StoredRecord } from './stored-record.ts';

export type CredentialsReason = Extract<
  Reason,
  | 'CREDENTIALS_ENDPOINT_MISMATCH'
  | 'THING_NOT_ATTACHED'
  | 'ROLE_ALIAS_NOT_FOUND'
  | 'ROLE_NOT_FOUND'
  | 'ROLE_NOT_TRUSTING'
  | 'CREDENTIAL_DURATION_EXCEEDED'
>;

const fact = ({ facts }: StoredRecord, name: string): string => facts?.[name] ?? '';
const isWhole = ({ altered = [] }: StoredRecord, ...names: readonly string[]): boolean =>
  names.every((name) => !altered.includes(`facts.${name}`));

const device = ({ certificateId }: StoredRecord): string =>
  certificateId === undefined ? 'A device' : `The device with certificate ${shortId(certificateId)}`;
const asked = (record: StoredRecord): string =>
  `${device(record)} asked for credentials by the role alias "${fact(record, 'roleAlias')}"`;

/** What a trust policy has to say for devices. */
const trustStatement = {
  Effect: 'Allow',
  Principal: { Service: 'credentials.iot.amazonaws.com' },
  Action: 'sts:AssumeRole',
};
const trustPolicy = printableJson({ Version: '2012-10-17', Statement: [trustStatement] });

const withoutRights = 'It may do nothing until it has a policy (aws iam put-role-policy)';

const wrongEndpoint = (record: StoredRecord): Explanation => ({
  sentence: `${asked(record)} under the host "${record.tls?.serverName ?? ''}", which is not that of the credentials provider.`,
  cure: 'Let the device ask, on the port for HTTPS, the host that this prints:',
  commands: ['aws iot describe-endpoint --endpoint-type iot:CredentialProvider --query endpointAddress --output text'],
});

const thingNameShape = /^[a-zA-Z0-9:_-]{1,128}$/;

const thingNotAttached = (record: StoredRecord, surroundings: Surroundings): Explanation => {
  const [named, attached, exclusive] = ['namedThing', 'thingName', 'exclusiveThingName'].map((name) =>
    fact(record, name),
  );
  const sentence = `${asked(record)} for the thing "${named}" (x-amzn-iot-thingname), which is not attached to that certificate.`;
  const other = attached ? `Let it name "${attached}", the thing that is attached` : '';
  const certificateId = certificateIdOf(record);
  const fits = named !== undefined && thingNameShape.test(named) && isWhole(record, 'namedThing');
  const commands =
    !fits || exclusive || certificateId === undefined
      ? []
      : attachThing(named, certificateArn(record, certificateId, surroundings));
  if (commands.length > 0) {
    return {
      sentence,
      cure: `${other ? `${other}; or, if it is that thing too` : 'If it is that thing'}, attach it:`,
      commands,
    };
  }
  const only = exclusive ? ' and may have no other beside it' : '';
  return { sentence, cure: `${other || 'Let it name a thing that is attached to its certificate'}${only}.`, commands };
};

const aliasMissing = (record: StoredRecord): Explanation => {
  const [alias, similar] = [fact(record, 'roleAlias'), fact(record, 'similarAlias')];
  const sentence = `${asked(record)}, and there is none of that name in this account and region.`;
  const instead = similar ? `Let it ask for "${similar}": names are told apart by case` : '';
  // a role's name is shorter, and all characters of an alias may be in it
  const roleName = alias.slice(0, 64);
  const commands = /^[\w=,@-]{1,128}$/.test(alias)
    ? script(
        command`aws iam get-role --role-name=${roleName} > /dev/null 2>&1 || aws iam create-role --role-name=${roleName} --assume-role-policy-document ${trustPolicy}`,
        command`aws iot create-role-alias --role-alias=${alias} --role-arn "$(aws iam get-role --role-name=${roleName} --query Role.Arn --output text)"`,
      )
    : [];
  if (commands.length === 0) return { sentence, cure: `${instead || 'Let it ask for one that exists'}.`, commands };
  return {
    sentence,
    cure: `${instead ? `${instead}. Or make` : 'If it should be there, make'} the role alias, here with a role of the same name. ${withoutRights}:`,
    commands,
  };
};

const roleMissing = (record: StoredRecord): Explanation => {
  const [alias, roleArn, sameName] = ['roleAlias', 'roleArn', 'sameNameRoleArn'].map((name) => fact(record, name));
  const sentence = `${asked(record)}, which stands for the role "${roleArn}", and that does not exist.`;
  const whole = isWhole(record, 'roleAlias', 'roleArn', 'sameNameRoleArn');
  if (sameName) {
    return {
      sentence: `${sentence.slice(0, -1)}: the role of that name is "${sameName}".`,
      cure: 'If that one is meant, let the role alias stand for it:',
      commands: whole
        ? script(command`aws iot update-role-alias --role-alias=${alias ?? ''} --role-arn ${sameName}`)
        : [],
    };
  }
  const [, path, name] = /:role(\/(?:.+\/)?)([^/]+)$/.exec(roleArn ?? '') ?? [];
  const commands =
    whole && path !== undefined && name !== undefined
      ? script(
          command`aws iam create-role --role-name=${name} --path ${path} --assume-role-policy-document ${trustPolicy}`,
        )
      : [];
  return {
    sentence,
    cure: `Let the role alias stand for a role that exists (aws iot update-role-alias), or make this one. ${withoutRights}${commands.length > 0 ? ':' : '.'}`,
    commands,
  };
};

const notTrusting = (record: StoredRecord): Explanation => {
  const role = fact(record, 'trustedRole');
  const isDenied = record.decision === 'EXPLICIT_DENY' && record.facts?.['decidingStatement'] !== undefined;
  const place = Number(fact(record, 'decidingStatement'));
  const why = isDenied
    ? `Statement[${place}] of its trust policy denies it`
    : 'its trust policy does not let credentials.iot.amazonaws.com do so';
  const document = amendTrust(fact(record, 'decidingDocument'), trustStatement, isDenied ? place : undefined);
  const commands =
    document !== undefined && isWhole(record, 'trustedRole')
      ? script(command`aws iam update-assume-role-policy --role-name=${role} --policy-document ${document}`)
      : [];
  const change = isDenied ? 'this takes the Deny out and lets it be' : 'this adds to its trust policy that it may be';
  return {
    sentence: `${asked(record)}, which stands for the role "${role}", and the credentials provider may not assume that: ${why}.`,
    cure:
      commands.length > 0
        ? `If the role is meant for devices, ${change} assumed for them:`
        : 'If the role is meant for devices, let its trust policy allow sts:AssumeRole to the service credentials.iot.amazonaws.com.',
    commands,
  };
};

const tooLong = (record: StoredRecord): Explanation => {
  const [alias, role, given, max] = ['roleAlias', 'trustedRole', 'credentialDurationSeconds', 'maxSessionSeconds'].map(
    (name) => fact(record, name),
  );
  return {
    sentence: `${asked(record)}, whose credentials last ${given} seconds, while sessions of its role "${role}" last ${max} at most.`,
    cure: `Let sessions of the role last longer (aws iam update-role --max-session-duration), or the credentials as long as they may:`,
    commands: isWhole(record, 'roleAlias')
      ? script(
          command`aws iot update-role-alias --role-alias=${alias ?? ''} --credential-duration-seconds ${max ?? ''}`,
        )
      : [],
  };
};

export const explainCredentials = (
  reason: CredentialsReason,
  record: StoredRecord,
  surroundings: Surroundings,
): Explanation => {
  switch (reason) {
    case 'CREDENTIALS_ENDPOINT_MISMATCH':
      return wrongEndpoint(record);
    case 'THING_NOT_ATTACHED':
      return thingNotAttached(record, surroundings);
    case 'ROLE_ALIAS_NOT_FOUND':
      return aliasMissing(record);
    case 'ROLE_NOT_FOUND':
      return roleMissing(record);
    case 'ROLE_NOT_TRUSTING':
      return notTrusting(record);
    case 'CREDENTIAL_DURATION_EXCEEDED':
      return tooLong(record);
  }
};

/** What a device was given; undefined for any other record. */
export const explainCredentialsGiven = (record: StoredRecord): string | undefined =>
  record.eventType === 'AssumeRoleWithCertificate'
    ? `${device(record)} was given credentials of the role "${fact(record, 'roleArn')}" by the role alias "${fact(record, 'roleAlias')}".`
    : undefined;
