/**
 * Why IAM refused a user or role, and how to let it through: the words for what is decided by IAM policies, whether it was a call of the API or something on
 * the data plane. Source: IAM user guide, "Policy evaluation logic", "Troubleshoot access denied error messages".
 *
 * Facts that it reads, by their names in `JournalRecord.facts`: `principalArn`; `userName`, or `roleName` with `sessionName`; `policyType` (identity, boundary,
 * session, trust): what kind of policy decided; `heldBy` (`user`, `role`, `group NAME`): who has the policy whose Deny decided; `boundaryArn`; `decidingDocument` (of
 * the policy whose Deny decided, or of the boundary that does not allow); `unallowed`: nothing would allow it if that Deny were not there; `operation`: what was
 * called, where `action` is not its name; `passedTo`: the service that a role is passed to; `roleArn`: that of a session.
 */
import { createHash } from 'node:crypto';
import type { WeighedStatement } from '../aws/decision.ts';
import type { Explanation } from './cure-lines.ts';
import { explainTrust } from './explain-trust.ts';
import { command, script } from './shell.ts';
import { printableJson, type StoredRecord } from './stored-record.ts';

/** Whether it was decided by IAM. */
export const isIamDenial = ({ facts }: StoredRecord): boolean =>
  facts?.['userName'] !== undefined || facts?.['roleName'] !== undefined;

type Kind = 'user' | 'role' | 'group';

/** Whoever bears policies, as the commands of IAM name it. */
interface Bearer {
  readonly kind: Kind;
  readonly name: string;
}

const principalOf = ({ facts }: StoredRecord): Bearer => {
  const userName = facts?.['userName'];
  return userName === undefined ? { kind: 'role', name: facts?.['roleName'] ?? '' } : { kind: 'user', name: userName };
};

const subject = (record: StoredRecord): string => {
  const { kind, name } = principalOf(record);
  if (kind === 'user') return `User "${name}"`;
  return `Role "${name}" (session "${record.facts?.['sessionName'] ?? ''}")`;
};

const asked = ({ action, resource = '', facts }: StoredRecord): string => {
  const operation = facts?.['operation'];
  const why = operation === undefined ? '' : `, which ${operation} needs as well`;
  return `${action ?? 'an action'} on "${resource.replace(/^arn:[^:]*:iot:[^:]*:[^:]*:/, '')}"${why}`;
};

const named = ({ sid, index, policyName, policyVersionId }: WeighedStatement): string =>
  `${sid === undefined ? `Statement[${index}]` : `statement "${sid}"`} of policy "${policyName}"${
    policyVersionId === '' ? '' : ` version v${policyVersionId}`
  }`;

/** No command may be built from a value that was cut or escaped. */
const isAltered = ({ altered = [] }: StoredRecord, ...fields: readonly string[]): boolean =>
  fields.some((field) => altered.includes(field));

/**
 * In a policy `*`, `?` and `${` mean more than themselves. What is still to be made is asked about as `certificate/*`: there the asterisk means itself and what
 * it will be called. Source: IAM user guide, "IAM policy elements: Variables and tags".
 */
const literalResource = (resource: string): string => {
  if (resource === '*' || /:(?:certificate|domainconfiguration\/[^/]+)\/\*$/.test(resource)) return resource;
  return resource.replace(/\*|\?|\$(?=\{)/g, (character) => `\${${character}}`);
};

/** A statement that allows exactly what was asked; undefined when the record does not hold it whole. */
const allowing = (record: StoredRecord): object | undefined => {
  const { action, resource, facts } = record;
  if (action === undefined || resource === undefined || isAltered(record, 'action', 'resource')) return undefined;
  const passedTo = facts?.['passedTo'];
  return {
    Effect: 'Allow',
    Action: action,
    Resource: literalResource(resource),
    ...(passedTo !== undefined && { Condition: { StringEquals: { 'iam:PassedToService': passedTo } } }),
  };
};

const put = ({ kind, name }: Bearer, policyName: string, document: string): string | undefined => {
  switch (kind) {
    case 'user':
      return command`aws iam put-user-policy --user-name=${name} --policy-name=${policyName} --policy-document ${document}`;
    case 'role':
      return command`aws iam put-role-policy --role-name=${name} --policy-name=${policyName} --policy-document ${document}`;
    case 'group':
      return command`aws iam put-group-policy --group-name=${name} --policy-name=${policyName} --policy-document ${document}`;
  }
};

const remove = ({ kind, name }: Bearer, policyName: string): string | undefined => {
  switch (kind) {
    case 'user':
      return command`aws iam delete-user-policy --user-name=${name} --policy-name=${policyName}`;
    case 'role':
      return command`aws iam delete-role-policy --role-name=${name} --policy-name=${policyName}`;
    case 'group':
      return command`aws iam delete-group-policy --group-name=${name} --policy-name=${policyName}`;
  }
};

const detach = ({ kind, name }: Bearer, policyArn: string): string | undefined => {
  switch (kind) {
    case 'user':
      return command`aws iam detach-user-policy --user-name=${name} --policy-arn ${policyArn}`;
    case 'role':
      return command`aws iam detach-role-policy --role-name=${name} --policy-arn ${policyArn}`;
    case 'group':
      return command`aws iam detach-group-policy --group-name=${name} --policy-arn ${policyArn}`;
  }
};

const saveVersion = (policyArn: string, document: string): string | undefined =>
  command`aws iam create-policy-version --policy-arn ${policyArn} --set-as-default --policy-document ${document}`;

/** Lines that give the principal a policy of its own with that statement; empty when they cannot be written. */
const allowExactly = (record: StoredRecord): readonly string[] => {
  const statement = allowing(record);
  if (statement === undefined || isAltered(record, 'facts.userName', 'facts.roleName')) return [];
  const document = printableJson({ Version: '2012-10-17', Statement: [statement] });
  const policyName = `fleetgate-allow-${createHash('sha256').update(document).digest('hex').slice(0, 12)}`;
  return script(put(principalOf(record), policyName, document));
};

const unsafe = 'No command is printed because the request holds characters that are not safe to paste.';

interface Document {
  readonly Statement: readonly unknown[];
}

/** A policy document, its statements as a list; undefined when the text is none. */
const readDocument = (text: string): Document | undefined => {
  try {
    const document: unknown = JSON.parse(text);
    if (typeof document !== 'object' || document === null || !('Statement' in document)) return undefined;
    return { ...document, Statement: Array.isArray(document.Statement) ? document.Statement : [document.Statement] };
  } catch {
    return undefined;
  }
};

/** A policy of the service cannot be changed. Source: IAM user guide, "Managed policies and inline policies". */
const isOfAws = (policyArn: string): boolean => policyArn.startsWith('arn:aws:iam::aws:');

const noAllow = (record: StoredRecord): Explanation => {
  const commands = allowExactly(record);
  return {
    sentence: `${subject(record)} was refused ${asked(record)}: no statement of its policies allows it.`,
    cure:
      commands.length === 0
        ? `If it should be allowed, give it a policy that does. ${unsafe}`
        : 'If it should be allowed, this allows exactly that and nothing more:',
    commands,
  };
};

const ofBoundary = (record: StoredRecord): Explanation => {
  const { facts } = record;
  const boundaryArn = facts?.['boundaryArn'] ?? '';
  const document = readDocument(facts?.['decidingDocument'] ?? '');
  const statement = allowing(record);
  const commands =
    statement && document && boundaryArn !== '' && !isOfAws(boundaryArn) && !isAltered(record, 'facts.boundaryArn')
      ? script(saveVersion(boundaryArn, printableJson({ ...document, Statement: [...document.Statement, statement] })))
      : [];
  return {
    sentence: `${subject(record)} was refused ${asked(record)}: its permissions boundary${boundaryArn && ` "${boundaryArn}"`} does not allow it, and nothing beyond the boundary counts.`,
    cure:
      commands.length === 0
        ? 'If it should be allowed, give it another boundary, or add the statement to this one.'
        : 'If the boundary should reach that far, this makes a version of it with exactly that in addition (for everybody whom it bounds):',
    commands,
  };
};

const assumeAgain = ({ facts, altered = [] }: StoredRecord): readonly string[] => {
  const [, accountId] = /^arn:aws:sts::([0-9]{12}):assumed-role\//.exec(facts?.['principalArn'] ?? '') ?? [];
  const roleArn = facts?.['roleArn'];
  const sessionName = facts?.['sessionName'];
  if (accountId === undefined || roleArn === undefined || sessionName === undefined || altered.length > 0) return [];
  return script(command`aws sts assume-role --role-arn ${roleArn} --role-session-name=${sessionName}`);
};

const ofSession = (record: StoredRecord): Explanation => {
  const commands = assumeAgain(record);
  return {
    sentence: `${subject(record)} was refused ${asked(record)}: the session policy that the session was begun with does not let it.`,
    cure: `A session policy only narrows, and cannot be changed: begin another session without it, or with one that allows this${commands.length === 0 ? '.' : ', under the key of whoever may assume the role (the root of an account may not):'}`,
    commands,
  };
};

/** Who has the policy that decided. */
const holderOf = (record: StoredRecord): Bearer => {
  const heldBy = record.facts?.['heldBy'] ?? '';
  return heldBy.startsWith('group ') ? { kind: 'group', name: heldBy.slice('group '.length) } : principalOf(record);
};

interface Lifting {
  readonly advice: string;
  readonly line: string | undefined;
}

/** How the policy is freed of the statement that decided; undefined where that cannot be said. */
const lifting = (record: StoredRecord, { policyName, policyArn, index }: WeighedStatement): Lifting | undefined => {
  if ((record.altered ?? []).length > 0) return undefined;
  const holder = holderOf(record);
  const isBoundary = record.facts?.['policyType'] === 'boundary';
  if (isOfAws(policyArn)) {
    return isBoundary ? undefined : { advice: `detach that policy`, line: detach(holder, policyArn) };
  }
  const document = readDocument(record.facts?.['decidingDocument'] ?? '');
  if (!document) return undefined;
  const kept = document.Statement.filter((_, at) => at !== index);
  const isInline = policyArn === '';
  if (kept.length === 0) {
    if (isBoundary) return undefined;
    const line = isInline ? remove(holder, policyName) : detach(holder, policyArn);
    return { advice: `${isInline ? 'delete' : 'detach'} that policy, which says nothing else`, line };
  }
  const without = printableJson({ ...document, Statement: kept });
  return isInline
    ? { advice: 'let the policy be without it', line: put(holder, policyName, without) }
    : { advice: 'make a version of the policy without it', line: saveVersion(policyArn, without) };
};

const explicitDeny = (record: StoredRecord): Explanation => {
  const deciding = record.statements?.[record.decidedBy ?? 0];
  if (!deciding) {
    return {
      sentence: `${subject(record)} was refused ${asked(record)} by an explicit Deny.`,
      cure: 'Find the Deny among its policies and take it out, if it is not meant.',
      commands: [],
    };
  }
  const holder = holderOf(record);
  const isBoundary = record.facts?.['policyType'] === 'boundary';
  const whose = isBoundary
    ? ', its permissions boundary,'
    : holder.kind === 'group'
      ? `, which it has from the group "${holder.name}",`
      : '';
  const sentence = `${subject(record)} was refused ${asked(record)}: ${named(deciding)}${whose} denies it, and a Deny outweighs every Allow.`;
  const lift = lifting(record, deciding);
  const unallowed = record.facts?.['unallowed'] !== undefined;
  const commands = lift ? script(lift.line, ...(unallowed ? allowExactly(record) : [])) : [];
  if (!lift || commands.length === 0) {
    return { sentence, cure: `If it is not meant, take ${named(deciding)} out of the policy.`, commands: [] };
  }
  const also = unallowed ? ', and allow what was asked, as nothing else does' : '';
  const reach =
    holder.kind === 'user' && !lift.advice.startsWith('make') ? '' : ' (it counts for everybody who has it)';
  return { sentence, cure: `If the Deny is not meant, ${lift.advice}${also}${reach}:`, commands };
};

/** Explains a refusal of IAM. */
export const explainIam = (record: StoredRecord): Explanation => {
  const policyType = record.facts?.['policyType'];
  if (policyType === 'trust') return explainTrust(`${subject(record)} was refused ${asked(record)}`, record);
  if (policyType === 'session') return ofSession(record);
  if (record.decision === 'EXPLICIT_DENY') return explicitDeny(record);
  return policyType === 'boundary' ? ofBoundary(record) : noAllow(record);
};

/** A user or role that is no longer let stay, or was not let in: its key, or itself, is gone since the signature. */
export const explainLostKey = (record: StoredRecord): Explanation => {
  const { kind, name } = principalOf(record);
  const was = record.eventType === 'Disconnect' ? 'was disconnected' : 'was refused';
  const client = record.clientId === undefined ? 'A client' : `The client "${record.clientId}"`;
  if (kind === 'role') {
    return {
      sentence: `${client} ${was}: the role "${name}" that it had assumed is gone.`,
      cure: 'Let it assume a role that is there, and connect again.',
      commands: [],
    };
  }
  const accessKeyId = record.facts?.['accessKeyId'] ?? '';
  const isWhole = accessKeyId !== '' && !isAltered(record, 'facts.userName', 'facts.accessKeyId');
  return {
    sentence: `${client} ${was}: the access key of the user "${name}" is no longer active, or the user is gone.`,
    cure: isWhole
      ? `If the client may connect, let its key be active again, or give it another one, which this makes where the key was deleted:`
      : 'If the client may connect, give it an active key of a user.',
    commands: isWhole
      ? script(
          command`aws iam update-access-key --user-name=${name} --access-key-id=${accessKeyId} --status Active || aws iam create-access-key --user-name=${name}`,
        )
      : [],
  };
};
