/**
 * The policy language of IAM: identity policies, which say what whoever has them may do, and trust policies, which say who may assume a role. Read once,
 * into a form that is quick to ask. Source: IAM user guide, "IAM JSON policy elements reference", "Grammar of the IAM JSON policy language".
 * The sentences of refusals are AWS's as users have seen them, as far as they are known.
 */
import { holds } from '../policy/conditions.ts';
import { findOperator, type Operator } from '../policy/operators.ts';
import { fromPieces, matches, type Pattern } from '../policy/pattern.ts';
import { isVariable, type Piece, readTemplate, type TextVariable } from '../policy/template.ts';
import { type IamRequest, valuesOfKey } from './request.ts';

/** A document that IAM would not take; `message` is the sentence for its author. */
export class MalformedIamPolicy extends Error {
  override readonly name = 'MalformedIamPolicy';
}

export type PolicyKind = 'identity' | 'trust';

/** `Action` or `NotAction`, `Resource` or `NotResource`. */
export interface Patterns {
  readonly negated: boolean;
  readonly patterns: readonly Pattern<IamRequest>[];
}

/** Who a trust policy names. */
export interface Principals {
  readonly negated: boolean;
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
  readonly conditions: readonly ((request: IamRequest) => boolean)[];
}

export interface IamPolicy {
  readonly statements: readonly IamStatement[];
}

/** Characters of a document that are looked at; the largest that IAM takes is 10,240 without white space. */
const documentCharactersMax = 131_072;
/** Values of one condition key, actions and resources of one statement: hostile documents cost no more than this. */
const valuesMax = 5000;

const syntax = (): MalformedIamPolicy => new MalformedIamPolicy('Syntax errors in policy.');

type Json = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** One text or a list of texts. */
const textsOf = (value: unknown): readonly string[] => {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (list.length > valuesMax || !list.every((item) => typeof item === 'string')) throw syntax();
  return list;
};

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
  return { negated: given.negated, patterns: texts.map((text) => patternOf(text.toLowerCase(), undefined)) };
};

const readResources = (statement: Json, variables: boolean): Patterns => {
  const given = eitherOf(statement, 'Resource');
  const texts = given ? textsOf(given.value) : [];
  if (!given || texts.length === 0) throw new MalformedIamPolicy('Policy statement must contain resources.');
  for (const text of texts) {
    if (text !== '*' && !/^arn:|^\*/.test(text)) {
      throw new MalformedIamPolicy(`Resource ${text} must be in ARN format or "*".`);
    }
    if (text.startsWith('arn:') && text.split(':').length < 6 && !text.includes('*')) {
      throw new MalformedIamPolicy('The policy failed legacy parsing');
    }
  }
  return { negated: given.negated, patterns: texts.map((text) => patternOf(text, variables)) };
};

const principalForm =
  /^([0-9]{12}|arn:aws:(iam|sts)::[0-9]{12}:(root|user\/\S+|role\/\S+|assumed-role\/\S+|federated-user\/\S+))$/;

const readPrincipals = (statement: Json): Principals => {
  const given = eitherOf(statement, 'Principal');
  if (!given) throw new MalformedIamPolicy('Missing required field Principal cannot be empty!');
  const { negated, value } = given;
  const none = { negated, aws: [], services: [], federated: [] };
  if (value === '*') return { ...none, everybody: true };
  if (!isObject(value) || Object.keys(value).length === 0) throw syntax();
  const listOf = (member: string): readonly string[] => (value[member] === undefined ? [] : textsOf(value[member]));
  const known = ['AWS', 'Service', 'Federated', 'CanonicalUser'];
  if (Object.keys(value).some((member) => !known.includes(member))) throw syntax();
  const aws = listOf('AWS');
  const wrong = aws.find((name) => name !== '*' && !principalForm.test(name));
  if (wrong !== undefined) throw new MalformedIamPolicy(`Invalid principal in policy: "AWS":"${wrong}"`);
  const services = listOf('Service');
  const strange = services.find((name) => !/^[a-z0-9.-]+\.(amazonaws\.com|aws\.internal)$/.test(name));
  if (strange !== undefined) throw new MalformedIamPolicy(`Invalid principal in policy: "SERVICE":"${strange}"`);
  return { negated, everybody: aws.includes('*'), aws, services, federated: listOf('Federated') };
};

/** `variables`: undefined where `$` means nothing at all, false in a document of 2008, whose `${...}` is ordinary text. */
const patternOf = (text: string, variables: boolean | undefined): Pattern<IamRequest> =>
  fromPieces(piecesOf(text, variables, true));

const piecesOf = (text: string, variables: boolean | undefined, wildcards: boolean): readonly Piece<IamRequest>[] => {
  const find = variables ? variableOf : (name: string): TextVariable<IamRequest> => literal(name);
  return readTemplate<IamRequest>(text, { wildcards, escapes: variables === true, find });
};

const literal = (name: string): TextVariable<IamRequest> => ({ name, text: () => `\${${name}}` });

/** `aws:username`, or with a default `aws:PrincipalTag/team, 'none'`. */
const variableForm = /^\s*([^,\s]+)\s*(?:,\s*'([^']*)'\s*)?$/;

const variableOf = (source: string): TextVariable<IamRequest> => {
  const [, name = source, byDefault] = variableForm.exec(source) ?? [];
  const key = name.toLowerCase();
  return {
    name,
    text({ context }) {
      const values = valuesOfKey(context, key);
      return typeof values === 'string' ? values : byDefault;
    },
  };
};

const readConditions = (given: unknown, variables: boolean): readonly ((request: IamRequest) => boolean)[] => {
  if (given === undefined) return [];
  if (!isObject(given)) throw syntax();
  return Object.entries(given).flatMap(([operatorName, keys]) => {
    const operator = findOperator(operatorName);
    if (!operator) throw new MalformedIamPolicy(`Invalid Condition type : ${operatorName}.`);
    if (!isObject(keys) || Object.keys(keys).length === 0) throw syntax();
    return Object.entries(keys).map(([key, values]) => conditionOf(operator, key, values, variables));
  });
};

/** JSON's numbers and booleans count as their text. */
const valueTexts = (values: unknown): readonly string[] => {
  const list: readonly unknown[] = Array.isArray(values) ? values : [values];
  return textsOf(
    list.map((value) => (typeof value === 'number' || typeof value === 'boolean' ? String(value) : value)),
  );
};

const conditionOf = (operator: Operator, key: string, values: unknown, variables: boolean) => {
  if (!key.includes(':')) {
    throw new MalformedIamPolicy('Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.');
  }
  const lowerCase = key.toLowerCase();
  const condition = {
    operator,
    key: { key: ({ context }: IamRequest) => valuesOfKey(context, lowerCase) },
    tests: valueTexts(values).map((text) => testOf(operator, text, variables)),
  };
  return (request: IamRequest): boolean => holds(condition, request);
};

type ValueTest = (value: string, request: IamRequest) => boolean;

const testOf = ({ compare, base }: Operator, text: string, variables: boolean): ValueTest => {
  if (compare === 'presence') return (value) => value === text.toLowerCase();
  if (compare === 'glob') return base.startsWith('Arn') ? arnTest(text, variables) : globTest(text, variables);
  const pieces = piecesOf(text, variables, false);
  if (!pieces.some(isVariable)) return compare(pieces.join(''));
  return (value, request) => {
    let policyValue = '';
    for (const piece of pieces) {
      const part = isVariable(piece) ? piece.variable.text(request) : String(piece);
      if (part === undefined) return false;
      policyValue += part;
    }
    return compare(policyValue)(value);
  };
};

const globTest = (text: string, variables: boolean): ValueTest => {
  const pattern = patternOf(text, variables);
  return (value, request) => matches(pattern, value, request, 'nothing');
};

/** Each of the six components of an ARN is compared by itself; the last one holds all the rest. Source: "Condition operators", ARN. */
const arnTest = (text: string, variables: boolean): ValueTest => {
  const tests = componentsOf(text).map((component) => globTest(component, variables));
  return (value, request) => {
    const components = componentsOf(value);
    return components.length === tests.length && tests.every((test, index) => test(components[index] ?? '', request));
  };
};

/** Colons within `${...}` separate nothing. */
const componentsOf = (text: string): readonly string[] => {
  const components: string[] = [];
  let from = 0;
  let depth = 0;
  for (let at = 0; at < text.length && components.length < 5; at++) {
    if (text[at] === '$' && text[at + 1] === '{') depth++;
    else if (text[at] === '}' && depth > 0) depth--;
    else if (text[at] === ':' && depth === 0) {
      components.push(text.slice(from, at));
      from = at + 1;
    }
  }
  return [...components, text.slice(from)];
};
