/**
 * Policy documents: from the text that a caller sent to statements in one shape, or the precise place where it is malformed. Nothing that merely
 * never matches is malformed: foreign accounts, unknown actions, variables and condition keys pass. Source: spec policy.md 2 and 2.1.
 */
import { checkKeys } from '../aws/json-keys.ts';
import { quoted } from '../aws/quoted.ts';
import { MalformedPolicy } from './malformed.ts';
import { findOperator, type Operator } from './operators.ts';

/** Characters of a document without white space. Source: AWS general reference, IoT Core quotas. */
export const policyCharactersMax = 2048;
/** Characters of a document as sent. Source: service model, PolicyDocument. */
export const policyTextCharactersMax = 404_600;
/** Open brackets at any place; the grammar needs 6. */
export const policyNestingMax = 8;

/** Action or NotAction, Resource or NotResource. */
export interface Entries {
  /** The `Not...` form: what it does not name. */
  readonly negated: boolean;
  readonly entries: readonly string[];
}

export interface Condition {
  /** As written, e.g. `ForAnyValue:StringEquals`. */
  readonly operatorName: string;
  readonly operator: Operator;
  readonly key: string;
  readonly values: readonly string[];
}

export interface Statement {
  /** Position in the document, from 0. */
  readonly index: number;
  readonly sid: string | undefined;
  readonly effect: 'Allow' | 'Deny';
  readonly actions: Entries;
  readonly resources: Entries;
  readonly conditions: readonly Condition[];
}

export interface PolicyDocument {
  /** `${...}` is replaced: Version is 2012-10-17. */
  readonly substitutes: boolean;
  readonly statements: readonly Statement[];
}

/** Reads a policy document. Faults: MalformedPolicy, with the place. Work is bounded by `policyTextCharactersMax`. */
export function parsePolicyDocument(text: string): PolicyDocument {
  checkSize(text);
  const document = readJson(text);
  if (!isObject(document)) throw new MalformedPolicy('', 'the document must be a JSON object');
  checkMembers('', document, ['Version', 'Id', 'Statement']);
  const version = document['Version'];
  if (version !== undefined && version !== '2012-10-17' && version !== '2008-10-17') {
    throw new MalformedPolicy('Version', `must be "2012-10-17" or "2008-10-17", not ${quoted(version)}`);
  }
  optionalText('Id', document['Id']);
  return { substitutes: version === '2012-10-17', statements: readStatements(document['Statement']) };
}

function checkSize(text: string): void {
  if (text.length > policyTextCharactersMax) {
    throw new MalformedPolicy('', `longer than ${policyTextCharactersMax} characters`);
  }
  let characters = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code !== 0x20 && (code < 0x09 || code > 0x0d)) characters++;
  }
  if (characters > policyCharactersMax) {
    throw new MalformedPolicy(
      '',
      `${characters} characters without white space, at most ${policyCharactersMax} are allowed`,
    );
  }
}

function readJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new MalformedPolicy('', 'the document is not JSON', { cause });
  }
  checkKeys(text, policyNestingMax, (place, problem) => {
    throw new MalformedPolicy(place, problem);
  });
  return value;
}

type JsonObject = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function checkMembers(place: string, value: JsonObject, allowed: readonly string[]): void {
  for (const key of Object.keys(value)) {
    if (key === 'Principal' || key === 'NotPrincipal') {
      throw new MalformedPolicy(place, `${key} is not allowed: the policy belongs to what it is attached to`);
    }
    if (!allowed.includes(key)) throw new MalformedPolicy(place, `unknown element ${quoted(key)}`);
  }
}

function optionalText(place: string, value: unknown): string | undefined {
  if (value !== undefined && typeof value !== 'string') throw new MalformedPolicy(place, 'must be a string');
  return value;
}

function readStatements(value: unknown): Statement[] {
  if (value === undefined) throw new MalformedPolicy('Statement', 'is missing');
  if (!Array.isArray(value)) return [readStatement('Statement', value, 0)];
  if (value.length === 0) throw new MalformedPolicy('Statement', 'must not be empty');
  const statements = value.map((statement, index) => readStatement(`Statement[${index}]`, statement, index));
  const sids = new Set<string>();
  for (const { sid, index } of statements) {
    if (sid === undefined) continue;
    if (sids.has(sid)) throw new MalformedPolicy(`Statement[${index}].Sid`, `${quoted(sid)} is already used`);
    sids.add(sid);
  }
  return statements;
}

const statementElements = ['Sid', 'Effect', 'Action', 'NotAction', 'Resource', 'NotResource', 'Condition'];

function readStatement(place: string, value: unknown, index: number): Statement {
  if (!isObject(value)) throw new MalformedPolicy(place, 'must be an object');
  checkMembers(place, value, statementElements);
  const effect = value['Effect'];
  if (effect === undefined) throw new MalformedPolicy(`${place}.Effect`, 'is missing');
  if (effect !== 'Allow' && effect !== 'Deny') {
    throw new MalformedPolicy(`${place}.Effect`, `must be "Allow" or "Deny", not ${quoted(effect)}`);
  }
  return {
    index,
    // An empty Sid names nothing: Terraform wrote one into every statement for years.
    sid: optionalText(`${place}.Sid`, value['Sid']) || undefined,
    effect,
    actions: readEntries(place, value, 'Action', checkAction),
    resources: readEntries(place, value, 'Resource', checkResource),
    conditions: readConditions(`${place}.Condition`, value['Condition']),
  };
}

type CheckEntry = (place: string, entry: string) => void;

function readEntries(place: string, statement: JsonObject, element: 'Action' | 'Resource', check: CheckEntry): Entries {
  const positive = statement[element];
  const negative = statement[`Not${element}`];
  if (positive !== undefined && negative !== undefined) {
    throw new MalformedPolicy(place, `has both ${element} and Not${element}`);
  }
  const negated = positive === undefined;
  const value = negated ? negative : positive;
  if (value === undefined) throw new MalformedPolicy(place, `has neither ${element} nor Not${element}`);
  const name = `${place}.${negated ? 'Not' : ''}${element}`;
  const isList = Array.isArray(value);
  const list: readonly unknown[] = isList ? value : [value];
  if (list.length === 0) throw new MalformedPolicy(name, 'must not be empty');
  const entries = list.map((entry, i) => {
    const entryPlace = isList ? `${name}[${i}]` : name;
    if (typeof entry !== 'string') throw new MalformedPolicy(entryPlace, 'must be a string');
    check(entryPlace, entry);
    return entry;
  });
  return { negated, entries };
}

const actionPattern = /^(?:\*|[A-Za-z0-9*?-]+:[A-Za-z0-9*?_-]+)$/;

function checkAction(place: string, action: string): void {
  if (!actionPattern.test(action)) {
    throw new MalformedPolicy(place, `${quoted(action)} is neither "*" nor "<service>:<action>"`);
  }
}

const resourcePattern = /^(?:arn:|\*|\$\{)/;

function checkResource(place: string, resource: string): void {
  if (!resourcePattern.test(resource)) {
    throw new MalformedPolicy(place, `${quoted(resource)} is neither "*" nor an ARN`);
  }
  checkVariables(place, resource);
}

function checkVariables(place: string, text: string): void {
  const open = text.lastIndexOf('${');
  if (open >= 0 && !text.includes('}', open)) {
    throw new MalformedPolicy(place, `\${ without } in ${quoted(text)}`);
  }
}

function readConditions(place: string, value: unknown): Condition[] {
  if (value === undefined) return [];
  if (!isObject(value)) throw new MalformedPolicy(place, 'must be an object');
  return Object.entries(value).flatMap(([operatorName, keys]) => {
    const operator = findOperator(operatorName);
    if (!operator) throw new MalformedPolicy(place, `unknown operator ${quoted(operatorName)}`);
    const operatorPlace = `${place}.${operatorName}`;
    if (!isObject(keys)) throw new MalformedPolicy(operatorPlace, 'must be an object');
    return Object.entries(keys).map(([key, values]) => ({
      operatorName,
      operator,
      key,
      values: readConditionValues(`${operatorPlace}[${quoted(key)}]`, values),
    }));
  });
}

function readConditionValues(place: string, value: unknown): string[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  return list.map((item) => {
    if (typeof item !== 'string' && typeof item !== 'number' && typeof item !== 'boolean') {
      throw new MalformedPolicy(place, 'must be a string or a list of strings');
    }
    const text = String(item);
    checkVariables(place, text);
    return text;
  });
}
