/**
 * Conditions, compiled: all keys of all operators must hold, the values of one key are alternatives. What a missing key means is in `holds`.
 * Source: spec policy.md 5; IAM user guide, "Conditions with multiple context keys or values".
 */
import type { PolicyRequest } from './context.ts';
import type { Condition } from './document.ts';
import { type Comparison, type Operator, sameBoolean } from './operators.ts';
import { compilePattern, matches } from './pattern.ts';
import { isVariable, readPieces, render, type TextVariable } from './template.ts';
import { findVariable, isPresent, type KeyValues, type Variable } from './variables.ts';

type ValueTest = (value: string, request: PolicyRequest) => boolean;

export interface CompiledCondition {
  /** Operator and key, e.g. `IpAddress aws:SourceIp`. */
  readonly name: string;
  readonly operator: Operator;
  readonly key: Variable;
  /** One test per policy value. */
  readonly tests: readonly ValueTest[];
  /** Variables that the policy values insert. */
  readonly variables: readonly TextVariable<PolicyRequest>[];
}

export function compileCondition(condition: Condition, substitutes: boolean): CompiledCondition {
  const key = findVariable(condition.key);
  const pieces = condition.values.flatMap((value) => readPieces(value, { wildcards: false, variables: true }));
  return {
    name: `${condition.operatorName} ${key.name}`,
    operator: condition.operator,
    key,
    tests: condition.values.map((value) => compileValue(condition.operator, value, substitutes)),
    variables: substitutes ? pieces.filter(isVariable).map(({ variable }) => variable) : [],
  };
}

const never: ValueTest = () => false;

function compileValue({ compare }: Operator, text: string, substitutes: boolean): ValueTest {
  if (!substitutes && text.includes('${')) return never;
  if (compare === 'presence') return compileComparison(sameBoolean, text);
  if (compare === 'glob') {
    const pattern = compilePattern(text, { variables: true });
    return (value, request) => matches(pattern, value, request, 'source');
  }
  return compileComparison(compare, text);
}

function compileComparison(compare: Comparison, text: string): ValueTest {
  const pieces = readPieces(text, { wildcards: false, variables: true });
  if (pieces.some(isVariable)) return (value, request) => compare(render(pieces, request))(value);
  return compare(pieces.join(''));
}

/** What a condition of any language must tell to be decided. */
export interface Decidable<R> {
  readonly operator: Operator;
  readonly key: { readonly key: (request: R) => KeyValues };
  readonly tests: readonly ((value: string, request: R) => boolean)[];
}

/** Whether the condition is met. */
export function holds<R>(condition: Decidable<R>, request: R): boolean {
  const { operator, tests } = condition;
  const values = condition.key.key(request);
  if (operator.compare === 'presence') return tests.some((test) => test(isPresent(values) ? 'false' : 'true', request));
  if (!isPresent(values)) return operator.ifExists || holdsWithoutKey(operator);
  const passes = (value: string): boolean => tests.some((test) => test(value, request)) !== operator.negated;
  if (typeof values === 'string') return passes(values);
  if (operator.set === 'any') return values.some(passes);
  if (operator.set === 'all') return values.every(passes);
  return operator.negated ? values.every(passes) : values.some(passes);
}

/** Source: spec policy.md 5, "Missing key". */
const holdsWithoutKey = ({ set, negated }: Operator): boolean => (set === undefined ? negated : set === 'all');

/** Names that the condition asks for and that have no value: its key, and the variables in its values. */
export function unresolvedOfCondition(condition: CompiledCondition, request: PolicyRequest): string[] {
  const names = condition.variables.filter((variable) => variable.text(request) === undefined).map(({ name }) => name);
  return isPresent(condition.key.key(request)) ? names : [condition.key.name, ...names];
}
