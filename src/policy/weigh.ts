/** A decision with its reasons: for the journal and the simulator. The decision itself is `evaluate`'s. */
import type { AuthDecision, StatementOutcome, WeighedStatement, Weighing } from '../aws/decision.ts';
import { holds, unresolvedOfCondition } from './conditions.ts';
import type { PolicyRequest } from './context.ts';
import { coversResource, decidingLists, evaluate } from './evaluate.ts';
import { mightMatch, unresolvedOf } from './pattern.ts';
import { type CompiledStatement, matchesAction, type PolicySet } from './policy-set.ts';

const sortedUnique = (names: readonly string[]): string[] => [...new Set(names)].sort();

/**
 * Decides one request and tells what became of every statement that had a say. `unresolved` names the variables and condition keys without
 * a value in the statements whose action matched.
 */
export function weigh(set: PolicySet, request: PolicyRequest): Weighing {
  const weighed = decidingLists(set, request)
    .flatMap(({ statements }) => statements)
    .map((statement) => ({ statement, weighing: weighStatement(statement, request) }));
  const decision = evaluate(set, request);
  const statements = weighed.map(({ weighing }) => weighing);
  const decidedBy = statements.findIndex(({ effect, outcome }) => outcome === 'matched' && decides(effect, decision));
  const asked = weighed.filter(({ weighing }) => weighing.outcome !== 'action').map(({ statement }) => statement);
  return {
    decision,
    statements,
    ...(decidedBy >= 0 && { decidedBy }),
    unresolved: sortedUnique(asked.flatMap((statement) => unresolvedOfStatement(statement, request))),
  };
}

const decides = (effect: 'Allow' | 'Deny', decision: AuthDecision): boolean =>
  decision === (effect === 'Deny' ? 'EXPLICIT_DENY' : 'ALLOWED');

function weighStatement(statement: CompiledStatement, request: PolicyRequest): WeighedStatement {
  const { policy, index, sid, effect } = statement;
  return { ...policy, index, ...(sid !== undefined && { sid }), effect, ...outcomeOf(statement, request) };
}

type Outcome = Pick<WeighedStatement, 'outcome' | 'unresolved' | 'condition'>;

function outcomeOf(statement: CompiledStatement, request: PolicyRequest): Outcome {
  if (!matchesAction(statement, request.action)) return { outcome: 'action' };
  if (!coversResource(statement, request)) return resourceOutcome(statement, request);
  const unmet = statement.conditions.find((condition) => !holds(condition, request));
  if (!unmet) return { outcome: 'matched' };
  return { ...withUnresolved('condition', unresolvedOfCondition(unmet, request)), condition: unmet.name };
}

/** A missing value is to blame only where the resource might have been covered with it. */
function resourceOutcome({ resources }: CompiledStatement, request: PolicyRequest): Outcome {
  const blamed = resources.negated
    ? resources.patterns
    : resources.patterns.filter(
        (pattern) => pattern.variables.length > 0 && mightMatch(pattern, request.resource, request),
      );
  const unresolved = blamed.flatMap((pattern) => unresolvedOf(pattern, request));
  return withUnresolved(unresolved.length > 0 ? 'unresolved' : 'resource', unresolved);
}

const withUnresolved = (outcome: StatementOutcome, names: readonly string[]): Outcome =>
  names.length > 0 ? { outcome, unresolved: sortedUnique(names) } : { outcome };

const unresolvedOfStatement = ({ resources, conditions }: CompiledStatement, request: PolicyRequest): string[] => [
  ...resources.patterns.flatMap((pattern) => unresolvedOf(pattern, request)),
  ...conditions.flatMap((condition) => unresolvedOfCondition(condition, request)),
];

/**
 * The variables and condition keys that the set's deciding policies mention anywhere and that have no value for this request; sorted, unique.
 * Source: spec policy.md 8, `missingContextValues`.
 */
export const missingContextValues = (set: PolicySet, request: PolicyRequest): string[] =>
  sortedUnique(
    decidingLists(set, request)
      .flatMap(({ statements }) => statements)
      .flatMap((statement) => unresolvedOfStatement(statement, request)),
  );
