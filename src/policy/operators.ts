/**
 * The condition operators: their names, and how one policy value compares with one value of the key.
 * Source: spec policy.md 5; IAM user guide, "IAM JSON policy elements: Condition operators". Names are matched exactly (Assumed).
 */
import { inRange, parseIp, parseIpRange } from './ip-range.ts';

/** Takes a policy value, answers the test of a key's value. */
export type Comparison = (policyValue: string) => (value: string) => boolean;

interface BaseOperator {
  /** How values compare; `glob`: the policy value is a pattern. */
  readonly compare: Comparison | 'glob' | 'presence';
  /** True when no policy value compares. */
  readonly negated: boolean;
}

const never = (): boolean => false;

const equal: Comparison = (policyValue) => (value) => value === policyValue;

const equalIgnoringCase: Comparison = (policyValue) => {
  const wanted = policyValue.toLowerCase();
  return (value) => value.toLowerCase() === wanted;
};

/** `true` or `false`, in any case. */
export const sameBoolean: Comparison = (policyValue) => {
  const wanted = policyValue.toLowerCase();
  return wanted === 'true' || wanted === 'false' ? (value) => value.toLowerCase() === wanted : never;
};

const inIpRange: Comparison = (policyValue) => {
  const range = parseIpRange(policyValue);
  if (!range) return never;
  return (value) => {
    const address = parseIp(value);
    return address !== undefined && inRange(range, address);
  };
};

type Order = (value: number, policyValue: number) => boolean;

/** What does not parse, on either side, does not compare. */
const ordered =
  (parse: (text: string) => number | undefined, holds: Order): Comparison =>
  (policyValue) => {
    const wanted = parse(policyValue);
    if (wanted === undefined) return never;
    return (value) => {
      const number = parse(value);
      return number !== undefined && holds(number, wanted);
    };
  };

const numberPattern = /^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?$/;
const parseNumber = (text: string): number | undefined => (numberPattern.test(text) ? Number(text) : undefined);

const secondsPattern = /^-?[0-9]{1,15}(?:\.[0-9]+)?$/;
const datePattern =
  /^[0-9]{4}-[0-9]{2}(?:-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:Z|[+-][0-9]{2}:[0-9]{2}))?)?$/;

/** Milliseconds since 1970 of an ISO 8601 date (a time needs its zone) or of seconds since 1970. */
function parseDate(text: string): number | undefined {
  if (secondsPattern.test(text)) return Number(text) * 1000;
  const ms = datePattern.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(ms) ? undefined : ms;
}

const orders: readonly [string, Order, boolean][] = [
  ['Equals', (value, wanted) => value === wanted, false],
  ['NotEquals', (value, wanted) => value === wanted, true],
  ['LessThan', (value, wanted) => value < wanted, false],
  ['LessThanEquals', (value, wanted) => value <= wanted, false],
  ['GreaterThan', (value, wanted) => value > wanted, false],
  ['GreaterThanEquals', (value, wanted) => value >= wanted, false],
];

const orderedOperators = (prefix: string, parse: (text: string) => number | undefined): [string, BaseOperator][] =>
  orders.map(([name, holds, negated]) => [`${prefix}${name}`, { compare: ordered(parse, holds), negated }]);

const baseOperators: ReadonlyMap<string, BaseOperator> = new Map([
  ['StringEquals', { compare: equal, negated: false }],
  ['StringNotEquals', { compare: equal, negated: true }],
  ['StringEqualsIgnoreCase', { compare: equalIgnoringCase, negated: false }],
  ['StringNotEqualsIgnoreCase', { compare: equalIgnoringCase, negated: true }],
  ['StringLike', { compare: 'glob', negated: false }],
  ['StringNotLike', { compare: 'glob', negated: true }],
  ['ArnEquals', { compare: 'glob', negated: false }],
  ['ArnLike', { compare: 'glob', negated: false }],
  ['ArnNotEquals', { compare: 'glob', negated: true }],
  ['ArnNotLike', { compare: 'glob', negated: true }],
  ['Bool', { compare: sameBoolean, negated: false }],
  ['BinaryEquals', { compare: equal, negated: false }],
  ['IpAddress', { compare: inIpRange, negated: false }],
  ['NotIpAddress', { compare: inIpRange, negated: true }],
  ...orderedOperators('Numeric', parseNumber),
  ...orderedOperators('Date', parseDate),
  ['Null', { compare: 'presence', negated: false }],
]);

export interface Operator extends BaseOperator {
  /** Its name without `ForAllValues:`, `ForAnyValue:` and `IfExists`. */
  readonly base: string;
  readonly set: 'all' | 'any' | undefined;
  readonly ifExists: boolean;
}

const operatorPattern = /^(?:(ForAllValues|ForAnyValue):)?([A-Za-z]+?)(IfExists)?$/;

/** The operator of that name; undefined when there is none. Null takes neither a set prefix nor IfExists (IAM user guide). */
export function findOperator(name: string): Operator | undefined {
  const [, prefix, baseName = '', suffix] = operatorPattern.exec(name) ?? [];
  const base = baseOperators.get(baseName);
  if (!base) return undefined;
  if (base.compare === 'presence' && (prefix !== undefined || suffix !== undefined)) return undefined;
  const set = prefix === 'ForAllValues' ? 'all' : prefix === 'ForAnyValue' ? 'any' : undefined;
  return { ...base, base: baseName, set, ifExists: suffix !== undefined };
}
