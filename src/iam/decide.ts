/**
 * What policies of IAM say to a request. An explicit Deny of any of them wins; then every kind that is there must allow it: the policies of the identity,
 * its permissions boundary, those of its session. Source: IAM user guide, "Policy evaluation logic".
 */
import type { IamPolicy, IamStatement, Patterns } from './document.ts';
import { type AskedRequest, type IamRequest, readingsOf } from './request.ts';

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
  /** Of an IMPLICIT_DENY: a boundary or the policies of a session do not allow it, so that more rights of the identity would not help. */
  readonly isBounded?: true;
}

const implicitDeny: IamDecision = Object.freeze({ allowed: false, reason: 'IMPLICIT_DENY' });
const boundedDeny: IamDecision = Object.freeze({ ...implicitDeny, isBounded: true });

/** Allowed is what is allowed however it is read. */
export const decideIam = (policies: IamPolicies, request: IamRequest): IamDecision => {
  let least: IamDecision | undefined;
  for (const asked of readingsOf(request)) {
    const decision = decideReading(policies, asked);
    if (decision.reason === 'EXPLICIT_DENY') return decision;
    if (least === undefined || least.allowed) least = decision;
  }
  return least ?? implicitDeny;
};

const decideReading = ({ identity, boundary, session }: IamPolicies, asked: AskedRequest): IamDecision => {
  const own = decideAlone(identity, asked);
  if (own.reason === 'EXPLICIT_DENY') return own;
  let isBounded = false;
  for (const policies of [...(boundary ? [[boundary]] : []), ...(session ? [session] : [])]) {
    const decision = decideAlone(policies, asked);
    if (decision.reason === 'EXPLICIT_DENY') return decision;
    isBounded ||= !decision.allowed;
  }
  return isBounded ? boundedDeny : own;
};

const decideAlone = (policies: readonly NamedIamPolicy[], request: AskedRequest): IamDecision => {
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

const among = ({ negated, tests }: Patterns, text: string, request: AskedRequest): boolean =>
  tests.some((test) => test(text, request)) !== negated;

export const applies = ({ actions, resources, conditions }: IamStatement, request: AskedRequest): boolean =>
  among(actions, request.action, request) &&
  (resources === undefined || among(resources, request.resource, request)) &&
  conditions.every((condition) => condition(request));
