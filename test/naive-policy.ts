/**
 * A second policy evaluator: slow, short and written from spec policy.md alone, as the oracle for src/policy. It must share no code with it, only the
 * types of its input. It takes policies as parsed JSON, believes them well-formed and builds no intermediate form.
 */
import type { AuthDecision } from '../src/aws/decision.ts';
import type { PolicyRequest } from '../src/policy/context.ts';
import { comparesValues } from './naive-values.ts';

type OneOrMany<T> = T | T[];

export interface NaiveStatement {
  Sid?: string;
  Effect: 'Allow' | 'Deny';
  Action?: OneOrMany<string>;
  NotAction?: OneOrMany<string>;
  Resource?: OneOrMany<string>;
  NotResource?: OneOrMany<string>;
  Condition?: Record<string, Record<string, OneOrMany<string>>>;
}

export interface NaivePolicy {
  Version?: string;
  Statement: OneOrMany<NaiveStatement>;
}

const list = <T>(value: OneOrMany<T>): T[] => (Array.isArray(value) ? value : [value]);

/** Section 6: which policies count. */
export function naiveDecision(
  policies: NaivePolicy[],
  rolePolicies: NaivePolicy[],
  request: PolicyRequest,
): AuthDecision {
  const kind = request.context.principalType ?? 'certificate';
  if (kind === 'certificate' || kind === 'custom_auth') return union(policies, request);
  const role = union(rolePolicies, request);
  const both = /^iot:(Connect|Publish|Subscribe|Receive|(Get|Update|Delete)ThingShadow)$/.test(request.action);
  if (kind === 'cognito_unauthenticated' || !both) return role;
  const decisions = [role, union(policies, request)];
  if (decisions.includes('EXPLICIT_DENY')) return 'EXPLICIT_DENY';
  return decisions.includes('IMPLICIT_DENY') ? 'IMPLICIT_DENY' : 'ALLOWED';
}

function union(policies: NaivePolicy[], request: PolicyRequest): AuthDecision {
  const hits = policies.flatMap((policy) =>
    list(policy.Statement).filter((statement) => hit(statement, policy.Version === '2012-10-17', request)),
  );
  if (hits.some((statement) => statement.Effect === 'Deny')) return 'EXPLICIT_DENY';
  return hits.length > 0 ? 'ALLOWED' : 'IMPLICIT_DENY';
}

function hit(statement: NaiveStatement, substitutes: boolean, request: PolicyRequest): boolean {
  return (
    actionHit(statement, request) &&
    resourceHit(statement, substitutes, request) &&
    Object.entries(statement.Condition ?? {}).every(([operator, keys]) =>
      Object.entries(keys).every(([key, values]) => conditionHit(operator, key, list(values), substitutes, request)),
    )
  );
}

function actionHit(statement: NaiveStatement, request: PolicyRequest): boolean {
  const names = (patterns: OneOrMany<string>): boolean =>
    list(patterns).some((pattern) => glob(wild(pattern.toLowerCase()), [...request.action.toLowerCase()]));
  return statement.Action !== undefined ? names(statement.Action) : !names(statement.NotAction ?? []);
}

function resourceHit(statement: NaiveStatement, substitutes: boolean, request: PolicyRequest): boolean {
  const text = [...request.resource];
  const entries = list(statement.Resource ?? statement.NotResource ?? []).map((entry) =>
    substitute(entry, substitutes, true, request),
  );
  const covered = entries.some((entry) => entry !== 'unresolved' && glob(entry, text));
  if (statement.Resource !== undefined) return covered;
  return entries.includes('unresolved') ? statement.Effect === 'Deny' : !covered;
}

/** One character of a pattern: `*`, `?`, or a literal character `=x`. */
type Token = string;

const wild = (pattern: string): Token[] => [...pattern].map((c) => (c === '*' || c === '?' ? c : `=${c}`));
const literal = (text: string): Token[] => [...text].map((c) => `=${c}`);

/** Follows all readings of the pattern at once: where in the text it may stand after each token. */
function glob(pattern: Token[], text: string[]): boolean {
  let places = [0];
  for (const token of pattern) {
    const [first] = places;
    if (first === undefined) return false;
    places =
      token === '*'
        ? Array.from({ length: text.length + 1 - first }, (_, more) => first + more)
        : places.filter((at) => at < text.length && (token === '?' || token === `=${text[at]}`)).map((at) => at + 1);
  }
  return places.includes(text.length);
}

/** Sections 4.3 and 4.4. With `strict`, a variable without a value makes the whole entry unresolved; otherwise it stays as written. */
function substitute(
  entry: string,
  substitutes: boolean,
  strict: boolean,
  request: PolicyRequest,
): Token[] | 'unresolved' {
  const start = entry.indexOf('${');
  if (start < 0) return wild(entry);
  if (!substitutes) return 'unresolved';
  const end = entry.indexOf('}', start);
  const name = entry.slice(start + 2, end);
  const value = ['*', '?', '$'].includes(name) ? name : variable(name, request);
  if (value === undefined && strict) return 'unresolved';
  const tail = substitute(entry.slice(end + 1), substitutes, strict, request);
  if (tail === 'unresolved') return tail;
  return [...wild(entry.slice(0, start)), ...literal(value ?? `\${${name}}`), ...tail];
}

/** The text that a variable inserts. */
function variable(name: string, request: PolicyRequest): string | undefined {
  const lower = name.toLowerCase();
  if (/^iot:certificate\.(subject|issuer)\./.test(lower)) {
    if (lower.endsWith('.list')) return undefined;
    const raw = certificateValues(lower, request, false);
    const value = raw[0];
    if (value === undefined || value.length > 1024 || /[*$+?#]/.test(value)) return undefined;
    return certificateValues(lower, request, true)[0];
  }
  const notVariables =
    /^(iot:certificate\.availablekeys|iot:connectattributes|iot:lastwilltopic|iot:topic|aws:currenttime|aws:epochtime)$/;
  if (notVariables.test(lower)) return undefined;
  return keyValues(name, request)[0];
}

function certificateValues(lower: string, request: PolicyRequest, escaped: boolean): string[] {
  const match = /^iot:certificate\.(subject|issuer)\.(alternativename\.)?([a-z0-9]+)(?:\.(list|\d+))?$/.exec(lower);
  const certificate = request.context.certificate;
  if (!match || !certificate) return [];
  const party = match[1] === 'subject' ? certificate.subject : certificate.issuer;
  const names = Object.entries((match[2] ? party?.AlternativeName : party) ?? {});
  const found = names.find(([field]) => field.toLowerCase() === match[3])?.[1];
  const all = (Array.isArray(found) ? found : []).slice(0, 5).map(String);
  const shown = escaped
    ? all.map((value) => [...value].map((c) => (',"\\+=<>;'.includes(c) ? `\\${c}` : c)).join(''))
    : all;
  if (match[4] === 'list') return shown;
  return shown.slice(Number(match[4] ?? 0), Number(match[4] ?? 0) + 1);
}

/** Section 5: the values of a key; none when it is absent. */
function keyValues(name: string, { action, resource, context }: PolicyRequest): string[] {
  const lower = name.toLowerCase();
  const mqtt = context.protocol !== 'https' && context.clientId !== undefined;
  const { thing } = context;
  const ofConnection = mqtt && thing !== undefined && (thing.exclusive || thing.name === context.clientId);
  const connection = thing?.attached && (thing.named || ofConnection) ? thing : undefined;
  const present = (value: string | undefined): string[] => (value === undefined ? [] : [value]);
  const attribute = /^iot:connection\.thing\.attributes\[(.*)\]$/i.exec(name)?.[1];
  if (attribute !== undefined) return present(new Map(Object.entries(connection?.attributes ?? {})).get(attribute));
  switch (lower) {
    case 'iot:clientid':
      return mqtt ? present(context.clientId) : [];
    case 'aws:sourceip':
      return present(context.sourceIp);
    case 'iot:domainname':
      return present(context.domainName);
    case 'iot:certificateid':
      return present(context.certificate?.id);
    case 'iot:certificate.serialnumber':
      return present(context.certificate?.serialNumber);
    case 'iot:connection.thing.thingname':
    case 'iot:thing.thingname':
      return present(connection?.name);
    case 'iot:connection.thing.thingtypename':
      return present(connection?.type);
    case 'iot:connection.thing.isattached':
      return mqtt || thing?.named ? [String(connection !== undefined)] : [];
    case 'iot:connectattributes':
      return action === 'iot:Connect' ? [...(context.connectAttributes ?? [])] : [];
    case 'iot:lastwilltopic':
      return action === 'iot:Connect' && context.lastWillTopic !== undefined
        ? [`${resource.split(':').slice(0, 5).join(':')}:topic/${context.lastWillTopic}`]
        : [];
    case 'iot:topic':
      return action === 'iot:SendDirectMessage' ? present(context.topic) : [];
    case 'aws:currenttime':
      return context.now ? [new Date(Math.floor(context.now() / 1000) * 1000).toISOString().replace('.000', '')] : [];
    case 'aws:epochtime':
      return context.now ? [`${Math.floor(context.now() / 1000)}`] : [];
    default:
      return certificateValues(lower, { action, resource, context }, true);
  }
}

function conditionHit(
  operator: string,
  key: string,
  wanted: string[],
  substitutes: boolean,
  request: PolicyRequest,
): boolean {
  const values = keyValues(key, request);
  const absent = values.length === 0;
  if (operator === 'Null') return wanted.some((value) => value.toLowerCase() === String(absent));
  const set = /^ForA(?:ll|ny)Values?:/.exec(operator)?.[0];
  const ifExists = operator.endsWith('IfExists');
  const base = operator.slice(set?.length ?? 0, ifExists ? -'IfExists'.length : undefined);
  const negated = base.includes('Not');
  if (absent) {
    if (ifExists) return true;
    if (set !== undefined) return set === 'ForAllValues:';
    return negated;
  }
  const positive = base.replace('Not', '').replace(/^(?=Address)/, 'Ip');
  const passes = (value: string): boolean =>
    wanted.some((policyValue) => compares(positive, value, policyValue, substitutes, request)) !== negated;
  const all = set === undefined ? negated : set === 'ForAllValues:';
  return all ? values.every(passes) : values.some(passes);
}

function compares(
  base: string,
  value: string,
  policyValue: string,
  substitutes: boolean,
  request: PolicyRequest,
): boolean {
  const tokens = substitute(policyValue, substitutes, false, request);
  if (tokens === 'unresolved') return false;
  if (base === 'StringLike' || base === 'ArnLike' || base === 'ArnEquals') return glob(tokens, [...value]);
  const text = tokens.map((token) => (token.startsWith('=') ? token.slice(1) : token)).join('');
  if (base === 'StringEquals' || base === 'BinaryEquals') return value === text;
  if (base === 'StringEqualsIgnoreCase') return value.toLowerCase() === text.toLowerCase();
  return comparesValues(base, value, text);
}
