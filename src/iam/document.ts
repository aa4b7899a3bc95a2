/**
 * The policy language of IAM: identity policies, which say what whoever has them may do, and trust policies, which say who may assume a role. Read once,
 * into a form that is quick to ask. Source: IAM user guide, "IAM JSON policy elements reference", "Grammar of the IAM JSON policy language".
 * The sentences of refusals are AWS's as users have seen them, as far as they are known.
 */
import { checkKeys } from '../aws/json-keys.ts';
import { type ConditionTest, readConditions } from './conditions.ts';
import { isObject, type Json, MalformedIamPolicy, shown, syntax, textsOf } from './malformed.ts';
import { globTest, resourceTest, type TextTest } from './policy-text.ts';

export type PolicyKind = 'identity' | 'trust';

/** `Action` or `NotAction`, `Resource` or `NotResource`. */
export interface Patterns {
  readonly negated: boolean;
  readonly tests: readonly TextTest[];
}

/** Who a trust policy names. */
export interface Principals {
  readonly everybody: boolean;
  /** Account ids, and ARNs. */
  readonly aws: readonly string[];
  readonly services: readonly string[];
  readonly federated: readonly string[];
}

export interface IamStatement {
  readonly sid?: string;
  readonly effect: 'Allow' | 'Deny';
  readonly actions: Patterns;
  /** Trust policies have none: the role is the resource. */
  readonly resources?: Patterns;
  readonly principals?: Principals;
  readonly conditions: readonly ConditionTest[];
}

export interface IamPolicy {
  readonly statements: readonly IamStatement[];
}

/** Characters of a document that are looked at; the largest that IAM takes is 10,240 without white space. */
const documentCharactersMax = 131_072;
/** Open brackets at any place; the grammar needs 6. */
const nestingMax = 8;

const members: Readonly<Record<PolicyKind, ReadonlySet<string>>> = {
  identity: new Set(['Sid', 'Effect', 'Action', 'NotAction', 'Resource', 'NotResource', 'Condition']),
  trust: new Set(['Sid', 'Effect', 'Action', 'NotAction', 'Principal', 'NotPrincipal', 'Condition']),
};

/** Reads a document. Faults: MalformedIamPolicy. */
export const parseIamPolicy = (text: string, kind: PolicyKind): IamPolicy => {
  const document = readDocument(text);
  const variables = document['Version'] === '2012-10-17';
  const given = document['Statement'];
  const statements: readonly unknown[] = Array.isArray(given) ? given : [given];
  if (statements.length === 0) throw new MalformedIamPolicy('Missing required field Statement cannot be empty!');
  const read = statements.map((statement) => readStatement(statement, kind, variables));
  const sids = read.map(({ sid }) => sid).filter((sid) => sid !== undefined && sid !== '');
  if (new Set(sids).size < sids.length) {
    throw new MalformedIamPolicy('Statement IDs (SID) in a single policy must be unique.');
  }
  return { statements: read };
};

const readDocument = (text: string): Json => {
  if (text.length > documentCharactersMax) throw syntax();
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    throw syntax();
  }
  // JSON.parse keeps the last of two equal keys: what decides would not be what a reader sees first
  checkKeys(text, nestingMax, () => {
    throw syntax();
  });
  if (!isObject(document)) throw syntax();
  const known = ['Version', 'Id', 'Statement'];
  if (Object.keys(document).some((member) => !known.includes(member))) throw syntax();
  const { Version: version = '2008-10-17', Id: id = '' } = document;
  if (version !== '2012-10-17' && version !== '2008-10-17') throw syntax();
  if (typeof id !== 'string' || document['Statement'] === undefined) throw syntax();
  return document;
};

const readStatement = (statement: unknown, kind: PolicyKind, variables: boolean): IamStatement => {
  if (!isObject(statement)) throw syntax();
  for (const member of Object.keys(statement)) {
    if (members[kind].has(member)) continue;
    if (kind === 'identity' && /^(Not)?Principal$/.test(member)) {
      throw new MalformedIamPolicy('Policy document should not specify a principal.');
    }
    if (kind === 'trust' && /^(Not)?Resource$/.test(member)) {
      throw new MalformedIamPolicy('Has prohibited field Resource');
    }
    throw syntax();
  }
  const { Sid: sid, Effect: effect } = statement;
  if (sid !== undefined && typeof sid !== 'string') throw syntax();
  if (sid !== undefined && !/^[0-9A-Za-z]*$/.test(sid)) {
    throw new MalformedIamPolicy(
      'Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*',
    );
  }
  if (effect !== 'Allow' && effect !== 'Deny') throw syntax();
  return {
    ...(sid !== undefined && sid !== '' && { sid }),
    effect,
    actions: readActions(statement, kind),
    ...(kind === 'identity' && { resources: readResources(statement, variables) }),
    ...(kind === 'trust' && { principals: readPrincipals(statement) }),
    conditions: readConditions(statement['Condition'], variables),
  };
};

/** The one of the two members that is there, and whether it is the second. */
const eitherOf = (
  statement: Json,
  name: string,
): { readonly negated: boolean; readonly value: unknown } | undefined => {
  const [value, opposite] = [statement[name], statement[`Not${name}`]];
  if (value !== undefined && opposite !== undefined) throw syntax();
  if (value !== undefined) return { negated: false, value };
  return opposite === undefined ? undefined : { negated: true, value: opposite };
};

const actionForm = /^[a-z0-9-]{1,64}:[A-Za-z0-9*?]{1,128}$/i;

const readActions = (statement: Json, kind: PolicyKind): Patterns => {
  const given = eitherOf(statement, 'Action');
  const texts = given ? textsOf(given.value) : [];
  if (!given || texts.length === 0) throw new MalformedIamPolicy('Policy statement must contain actions.');
  for (const text of texts) {
    if (text === '*' && kind === 'identity') continue;
    if (!actionForm.test(text)) {
      throw new MalformedIamPolicy(
        text.includes(':') || text === '*'
          ? 'The policy failed legacy parsing'
          : 'Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.',
      );
    }
    if (kind === 'trust' && !/^sts:/i.test(text)) {
      throw new MalformedIamPolicy('AssumeRole policy may only specify STS AssumeRole actions.');
    }
  }
  // names of actions are told apart whatever their case
  return { negated: given.negated, tests: texts.map((text) => globTest(text.toLowerCase(), false)) };
};

const readResources = (statement: Json, variables: boolean): Patterns => {
  const given = eitherOf(statement, 'Resource');
  const texts = given ? textsOf(given.value) : [];
  if (!given || texts.length === 0) throw new MalformedIamPolicy('Policy statement must contain resources.');
  for (const text of texts) {
    if (text !== '*' && !/^arn:|^\*/.test(text)) {
      throw new MalformedIamPolicy(`Resource ${shown(text)} must be in ARN format or "*".`);
    }
    if (text.startsWith('arn:') && text.split(':').length < 6 && !text.includes('*')) {
      throw new MalformedIamPolicy('The policy failed legacy parsing');
    }
  }
  return { negated: given.negated, tests: texts.map((text) => resourceTest(text, variables)) };
};

const principalForm =
  /^([0-9]{12}|arn:aws:(iam|sts)::[0-9]{12}:(root|user\/\S+|role\/\S+|assumed-role\/\S+|federated-user\/\S+))$/;

/** Source: "AWS JSON policy elements: NotPrincipal", key points. Observed: the messages, in github.com/versity/versitygw, iamapi. */
const refuseNotPrincipal = ({ Effect: effect, NotPrincipal: given }: Json): void => {
  if (given === undefined) return;
  throw new MalformedIamPolicy(
    effect === 'Allow'
      ? 'Allow with NotPrincipal is not allowed.'
      : 'AssumeRole policy must not contain NotPrincipal field.',
  );
};

const readPrincipals = (statement: Json): Principals => {
  refuseNotPrincipal(statement);
  const { Principal: value } = statement;
  if (value === undefined) throw new MalformedIamPolicy('Missing required field Principal cannot be empty!');
  const none = { aws: [], services: [], federated: [] };
  if (value === '*') return { ...none, everybody: true };
  if (!isObject(value) || Object.keys(value).length === 0) throw syntax();
  const listOf = (member: string): readonly string[] => (value[member] === undefined ? [] : textsOf(value[member]));
  const known = ['AWS', 'Service', 'Federated', 'CanonicalUser'];
  if (Object.keys(value).some((member) => !known.includes(member))) throw syntax();
  const aws = listOf('AWS');
  const wrong = aws.find((name) => name !== '*' && !principalForm.test(name));
  if (wrong !== undefined) throw new MalformedIamPolicy(`Invalid principal in policy: "AWS":"${shown(wrong)}"`);
  const services = listOf('Service');
  const strange = services.find((name) => !/^[a-z0-9.-]+\.(amazonaws\.com|aws\.internal)$/.test(name));
  if (strange !== undefined) throw new MalformedIamPolicy(`Invalid principal in policy: "SERVICE":"${shown(strange)}"`);
  return { everybody: aws.includes('*'), aws, services, federated: listOf('Federated') };
};
