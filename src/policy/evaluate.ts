/**
 * The decision: an explicit Deny wins, then any Allow, else nothing is granted. Source: spec policy.md 6 and 9. `weigh` (weigh.ts) tells the
 * same decision with everything that was looked at.
 */
import type { AuthDecision } from '../aws/decision.ts';
import { holds } from './conditions.ts';
import type { PolicyRequest } from './context.ts';
import { matches, unresolvedOf } from './pattern.ts';
import { type CompiledStatement, type PolicySet, type StatementList, split } from './policy-set.ts';

/** Decides one request. Work: at most the length of the set's documents times the length of the ARN. */
export function evaluate(set: PolicySet, request: PolicyRequest): AuthDecision {
  let decision: AuthDecision = 'ALLOWED';
  for (const list of decidingLists(set, request)) {
    const decided = decide(list, request);
    if (decided === 'EXPLICIT_DENY') return decided;
    if (decided === 'IMPLICIT_DENY') decision = decided;
  }
  return decision;
}

/** Actions for which an authenticated Cognito identity needs an attached policy as well as its role. Source: spec policy.md 6. */
const attachedPolicyActions = new Set([
  'iot:Connect',
  'iot:Publish',
  'iot:Subscribe',
  'iot:Receive',
  'iot:GetThingShadow',
  'iot:UpdateThingShadow',
  'iot:DeleteThingShadow',
]);

/** The lists that must all allow the request. */
export function decidingLists(set: PolicySet, { action, context }: PolicyRequest): readonly StatementList[] {
  switch (context.principalType) {
    case 'cognito_unauthenticated':
      return set.role;
    case 'cognito_authenticated':
      return attachedPolicyActions.has(action) ? set.attachedAndRole : set.role;
    default:
      return set.attached;
  }
}

function decide(list: StatementList, request: PolicyRequest): AuthDecision {
  const { denies, allows } = split(list, request.action);
  for (const statement of denies) if (applies(statement, request)) return 'EXPLICIT_DENY';
  for (const statement of allows) if (applies(statement, request)) return 'ALLOWED';
  return 'IMPLICIT_DENY';
}

/** Whether a statement whose action matches takes effect. */
function applies(statement: CompiledStatement, request: PolicyRequest): boolean {
  if (!coversResource(statement, request)) return false;
  for (const condition of statement.conditions) if (!holds(condition, request)) return false;
  return true;
}

/**
 * Whether the statement's resources cover the requested one. An entry with an unresolved variable matches nothing; under NotResource it makes
 * an Allow cover nothing and a Deny everything, so that a missing value never widens access (spec policy.md 4.4).
 */
export function coversResource({ resources, effect }: CompiledStatement, request: PolicyRequest): boolean {
  const { negated, patterns } = resources;
  if (negated) {
    for (const pattern of patterns) {
      if (pattern.variables.length > 0 && unresolvedOf(pattern, request).length > 0) return effect === 'Deny';
    }
  }
  for (const pattern of patterns) if (matches(pattern, request.resource, request, 'nothing')) return !negated;
  return negated;
}
