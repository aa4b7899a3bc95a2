/**
 * A second evaluator of IAM's policies: slow, short and written from the IAM user guide alone, as the oracle for src/iam. It must share no code with it. It takes
 * documents as parsed JSON, believes them well-formed and builds no intermediate form. Chapters of the guide are named where their rule stands.
 */
import { comparesValues } from './naive-values.ts';

type OneOrMany<T> = T | T[];
type Verdict = 'ALLOWED' | 'EXPLICIT_DENY' | 'IMPLICIT_DENY';

export interface NaiveIamStatement {
  Effect: 'Allow' | 'Deny';
  Principal?: '*' | Record<string, OneOrMany<string>>;
  Action?: OneOrMany<string>;
  NotAction?: OneOrMany<string>;
  Resource?: OneOrMany<string>;
  NotResource?: OneOrMany<string>;
  Condition?: Record<string, Record<string, OneOrMany<string | number | boolean>>>;
}

export interface NaiveIamPolicy {
  Version?: string;
  Statement: OneOrMany<NaiveIamStatement>;
}

export interface NaiveIamRequest {
  action: string;
  resource: string;
  context: Record<string, OneOrMany<string>>;
}

const list = <T>(value: OneOrMany<T>): T[] => (Array.isArray(value) ? value : [value]);

/** "Policy evaluation for requests within a single account": a Deny anywhere decides, then every kind of policy that is there must allow. */
export function naiveIam(
  identity: NaiveIamPolicy[],
  boundary: NaiveIamPolicy | undefined,
  session: NaiveIamPolicy[] | undefined,
  request: NaiveIamRequest,
): Verdict {
  const kinds = [identity, ...(boundary ? [[boundary]] : []), ...(session ? [session] : [])];
  const effects = kinds.map((policies) => policies.flatMap((policy) => effectsOf(policy, request)));
  if (effects.flat().includes('Deny')) return 'EXPLICIT_DENY';
  return effects.every((kind) => kind.includes('Allow')) ? 'ALLOWED' : 'IMPLICIT_DENY';
}

export interface NaiveTrustRequest {
  /** One of these two. */
  caller?: { arn: string; accountId: string };
  service?: string;
  action: string;
  context: NaiveIamRequest['context'];
}

/** "AWS JSON policy elements: Principal". How the role trusts the caller, the closest way first. */
export function naiveTrust(
  policy: NaiveIamPolicy,
  request: NaiveTrustRequest,
): Verdict | 'principal' | 'role' | 'account' | 'everybody' {
  const ways = namesOf(request);
  const hits = list(policy.Statement).flatMap((statement) => {
    const way = ways.find(([, names]) => names.some((name) => namedIn(statement.Principal ?? {}).includes(name)))?.[0];
    const asked = { action: request.action, resource: 'the role', context: request.context };
    const hit = way !== undefined && actionHit(statement, asked) && conditionsHit(statement, policy, asked);
    return hit ? [{ effect: statement.Effect, way }] : [];
  });
  if (hits.some(({ effect }) => effect === 'Deny')) return 'EXPLICIT_DENY';
  return ways.find(([way]) => hits.some((hit) => hit.way === way))?.[0] ?? 'IMPLICIT_DENY';
}

/** Everything that a Principal element may call the caller; roles are named with any path. */
function namesOf({ caller, service }: NaiveTrustRequest): ['principal' | 'role' | 'account' | 'everybody', string[]][] {
  if (!caller)
    return [
      ['principal', [`Service ${service}`]],
      ['everybody', ['AWS *']],
    ];
  const session = /^arn:aws:sts::(\d+):assumed-role\/(.+)\/.+$/.exec(caller.arn);
  return [
    ['principal', [`AWS ${caller.arn}`]],
    ['role', session ? [`AWS arn:aws:iam::${session[1]}:role/...${session[2]}`] : []],
    ['everybody', ['AWS *']],
    ['account', [`AWS ${caller.accountId}`, `AWS arn:aws:iam::${caller.accountId}:root`]],
  ];
}

function namedIn(principal: '*' | Record<string, OneOrMany<string>>): string[] {
  if (principal === '*') return ['AWS *'];
  return Object.entries(principal).flatMap(([kind, names]) =>
    list(names).flatMap((name) => [`${kind} ${name}`, `${kind} ${name.replace(/:role\/(.*\/)?/, ':role/...')}`]),
  );
}

function effectsOf(policy: NaiveIamPolicy, request: NaiveIamRequest): string[] {
  const hits = list(policy.Statement).filter(
    (statement) =>
      actionHit(statement, request) &&
      resourceHit(statement, policy, request) &&
      conditionsHit(statement, policy, request),
  );
  return hits.map(({ Effect }) => Effect);
}

/** "Action": names are told apart without regard to case. */
function actionHit({ Action, NotAction }: NaiveIamStatement, { action }: NaiveIamRequest): boolean {
  const names = (patterns: OneOrMany<string>) =>
    list(patterns).some((pattern) => glob(wild(pattern.toLowerCase()), action.toLowerCase()));
  return Action !== undefined ? names(Action) : !names(NotAction ?? []);
}

/** "Variables and tags", "Policy variables with no value": what holds one matches no resource, in Resource as in NotResource. */
function resourceHit(
  { Resource, NotResource }: NaiveIamStatement,
  policy: NaiveIamPolicy,
  request: NaiveIamRequest,
): boolean {
  const names = (patterns: OneOrMany<string>) =>
    list(patterns).some((pattern) => {
      const tokens = tokensOf(pattern, policy, request);
      return tokens !== undefined && glob(pattern.startsWith('arn:') ? confine(tokens) : tokens, request.resource);
    });
  return Resource !== undefined ? names(Resource) : !names(NotResource ?? []);
}

/** A literal character, or what stands for others; `within`: for none but those of one component of an ARN. */
type Token = { literal: string } | { many: boolean; within: boolean };

const literals = (text: string): Token[] => [...text].map((literal) => ({ literal }));
const wild = (text: string): Token[] =>
  [...text].map((c) => (c === '*' || c === '?' ? { many: c === '*', within: false } : { literal: c }));

/** Follows all readings of the pattern at once: where in the text it may stand after each token. */
function glob(pattern: Token[], text: string): boolean {
  const characters = [...text];
  let places = new Set([0]);
  for (const token of pattern) {
    const next = new Set<number>();
    for (const from of places) {
      if ('literal' in token) {
        if (characters[from] === token.literal) next.add(from + 1);
      } else if (token.many) {
        next.add(from);
        for (let at = from; at < characters.length && !(token.within && characters[at] === ':'); at++) next.add(at + 1);
      } else if (from < characters.length && !(token.within && characters[from] === ':')) next.add(from + 1);
    }
    places = next;
  }
  return places.has(characters.length);
}

/** "Resource": wildcards work within a component, but a `*` at the end of one may go on after its colon; from there on, and after the last colon, they are free. */
function confine(tokens: Token[]): Token[] {
  const isColon = (token: Token | undefined) => token !== undefined && 'literal' in token && token.literal === ':';
  const colons = tokens.flatMap((token, index) => (isColon(token) ? [index] : [])).slice(0, 5);
  const runsOn = colons.find((colon) => {
    const before = tokens[colon - 1];
    return before !== undefined && 'many' in before && before.many;
  });
  const end = runsOn === undefined ? (colons.at(-1) ?? 0) : runsOn - 1;
  return tokens.map((token, index) => ('many' in token && index < end ? { ...token, within: true } : token));
}

/** "Variables and tags": only in documents of 2012; undefined when a variable has no value. Values are literal. */
function tokensOf(
  text: string,
  policy: NaiveIamPolicy,
  request: NaiveIamRequest,
  wildcards = true,
): Token[] | undefined {
  const plain = wildcards ? wild : literals;
  const start = text.indexOf('${');
  const end = text.indexOf('}', start);
  if (policy.Version !== '2012-10-17' || start < 0 || end < 0) return plain(text);
  const value = variable(text.slice(start + 2, end), request);
  const tail = tokensOf(text.slice(end + 1), policy, request, wildcards);
  return value === undefined || tail === undefined
    ? undefined
    : [...plain(text.slice(0, start)), ...literals(value), ...tail];
}

/** "Special characters", "Specifying default values". */
function variable(written: string, { context }: NaiveIamRequest): string | undefined {
  if (['*', '?', '$'].includes(written)) return written;
  const [key = '', ...rest] = written.split(',');
  const byDefault = /^\s*'([^']*)'\s*$/.exec(rest.join(','))?.[1];
  const values = keyValues((byDefault === undefined ? written : key).trim(), context);
  return typeof values === 'string' ? values : byDefault;
}

/** "Condition": key names have no case. */
const keyValues = (key: string, context: NaiveIamRequest['context']): OneOrMany<string> | undefined =>
  Object.entries(context).find(([name]) => name.toLowerCase() === key.toLowerCase())?.[1];

function conditionsHit(
  { Condition = {} }: NaiveIamStatement,
  policy: NaiveIamPolicy,
  request: NaiveIamRequest,
): boolean {
  return Object.entries(Condition).every(([operator, keys]) =>
    Object.entries(keys).every(([key, wanted]) =>
      conditionHit(operator, key, list(wanted).map(String), policy, request),
    ),
  );
}

/** "Condition operators"; "Multivalued context keys"; "IfExists"; "Null". */
function conditionHit(
  operator: string,
  key: string,
  wanted: string[],
  policy: NaiveIamPolicy,
  request: NaiveIamRequest,
): boolean {
  const found = keyValues(key, request.context);
  const values = found === undefined ? [] : list(found);
  if (operator === 'Null') return wanted.some((value) => value.toLowerCase() === String(values.length === 0));
  const [, set, base = '', ifExists] = /^(ForAllValues:|ForAnyValue:)?(.*?)(IfExists)?$/.exec(operator) ?? [];
  const negated = base.includes('Not');
  if (values.length === 0) {
    if (set === 'ForAnyValue:') return false;
    return set === 'ForAllValues:' || ifExists !== undefined || negated;
  }
  const equal = base === 'NotIpAddress' ? 'IpAddress' : base.replace('Not', '');
  const passes = (value: string) => wanted.some((each) => compares(equal, value, each, policy, request)) !== negated;
  // several values without a set operator are nowhere described: any will do, and none for what is negated
  const all = set === undefined ? negated : set === 'ForAllValues:';
  return all ? values.every(passes) : values.some(passes);
}

function compares(
  base: string,
  value: string,
  wanted: string,
  policy: NaiveIamPolicy,
  request: NaiveIamRequest,
): boolean {
  if (base === 'ArnEquals' || base === 'ArnLike') {
    const [pattern, components] = [colonsOf(wanted, policy), value.split(':')];
    const sixth = [...components.slice(0, 5), ...(components.length > 5 ? [components.slice(5).join(':')] : [])];
    return (
      pattern.length === sixth.length &&
      pattern.every((part, index) => compares('StringLike', sixth[index] ?? '', part, policy, request))
    );
  }
  if (base.startsWith('String')) {
    const tokens = tokensOf(wanted, policy, request, base === 'StringLike');
    if (tokens === undefined) return false;
    if (base === 'StringLike') return glob(tokens, value);
    const text = tokens.map((token) => ('literal' in token ? token.literal : '')).join('');
    return base === 'StringEqualsIgnoreCase' ? value.toLowerCase() === text.toLowerCase() : value === text;
  }
  if (base === 'BinaryEquals') return value === wanted;
  return comparesValues(base, value, wanted);
}

/** The six components; colons in variables separate nothing. */
function colonsOf(text: string, { Version }: NaiveIamPolicy): string[] {
  const hidden = Version === '2012-10-17' ? text.replace(/\$\{[^}]*\}/g, (name) => '_'.repeat(name.length)) : text;
  const parts: string[] = [];
  let from = 0;
  for (const { index } of [...hidden.matchAll(/:/g)].slice(0, 5)) {
    parts.push(text.slice(from, index));
    from = index + 1;
  }
  return [...parts, text.slice(from)];
}
