/**
 * What policies of IAM say to a request. An explicit Deny of any of them wins; then every kind that is there must allow it: the policies of the identity,
 * its permissions boundary, those of its session. Source: IAM user guide, "Policy evaluation logic".
 */
import { matches } from '../policy/pattern.ts';
import type { IamPolicy, IamStatement, Patterns } from './document.ts';
import type { IamRequest } from './request.ts';

export type { IamContext, IamRequest } from './request.ts';

/** A policy and what it is called where it decides. */
export interface NamedIamPolicy {
  readonly policyName: string;
  readonly policy: IamPolicy;
}

/** Everything that bears on one caller; what is absent restricts nothing. */
export interface IamPolicies {
  readonly identity: readonly NamedIamPolicy[];
  readonly boundary?: NamedIamPolicy;
  readonly session?: readonly NamedIamPolicy[];
}

export interface IamDecision {
  readonly allowed: boolean;
  readonly reason: 'ALLOWED' | 'EXPLICIT_DENY' | 'IMPLICIT_DENY';
  /** The statement that decided, by its place from 0; absent when none did. */
  readonly by?: { readonly policyName: string; readonly sid?: string; readonly statement: number };
}

const implicitDeny: IamDecision = Object.freeze({ allowed: false, reason: 'IMPLICIT_DENY' });

export const decideIam = ({ identity, boundary, session }: IamPolicies, request: IamRequest): IamDecision => {
  const asked = { ...request, action: request.action.toLowerCase() };
  const kinds = [identity, ...(boundary ? [[boundary]] : []), ...(session ? [session] : [])];
  let allowing: IamDecision | undefined;
  let isAllowed = true;
  for (const policies of kinds) {
    const decision = decideAlone(policies, asked);
    if (decision.reason === 'EXPLICIT_DENY') return decision;
    isAllowed &&= decision.allowed;
    allowing ??= decision;
  }
  return isAllowed && allowing ? allowing : implicitDeny;
};

const decideAlone = (policies: readonly NamedIamPolicy[], request: IamRequest): IamDecision => {
  let allowed: IamDecision | undefined;
  for (const { policyName, policy } of policies) {
    for (const [index, statement] of policy.statements.entries()) {
      if (allowed && statement.effect === 'Allow') continue;
      if (!applies(statement, request)) continue;
      const { sid } = statement;
      const by = { policyName, statement: index, ...(sid !== undefined && { sid }) };
      if (statement.effect === 'Deny') return { allowed: false, reason: 'EXPLICIT_DENY', by };
      allowed = { allowed: true, reason: 'ALLOWED', by };
    }
  }
  return allowed ?? implicitDeny;
};

const among = ({ negated, patterns }: Patterns, text: string, request: IamRequest): boolean =>
  patterns.some((pattern) => matches(pattern, text, request, 'nothing')) !== negated;

/** `request.action` is in lower case. */
export const applies = ({ actions, resources, conditions }: IamStatement, request: IamRequest): boolean =>
  among(actions, request.action, request) &&
  (resources === undefined || among(resources, request.resource, request)) &&
  conditions.every((condition) => condition(request));
