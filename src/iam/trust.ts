/** Whether a role may be assumed: what its trust policy says to a principal. Source: IAM user guide, "AWS JSON policy elements: Principal". */
import { applies } from './decide.ts';
import type { IamPolicy, Principals } from './document.ts';
import type { IamContext } from './request.ts';

/** Either a principal of an account or a service of AWS. */
export interface TrustRequest {
  /** Of a user, of a session of a role, or of an account's root. */
  readonly principalArn?: string;
  readonly accountId?: string;
  /** e.g. `credentials.iot.amazonaws.com`. */
  readonly service?: string;
  /** e.g. `sts:AssumeRole`. */
  readonly action: string;
  readonly context: IamContext;
}

export interface TrustDecision {
  readonly allowed: boolean;
  readonly reason: 'ALLOWED' | 'EXPLICIT_DENY' | 'IMPLICIT_DENY';
  /** How an Allow names the caller: itself, or its whole account, which leaves the choice to the account's own policies. */
  readonly named?: 'principal' | 'account';
  /** The statement that denies, by its place from 0. */
  readonly by?: { readonly sid?: string; readonly statement: number };
}

export const trustDecision = (trust: IamPolicy, request: TrustRequest): TrustDecision => {
  const { context } = request;
  const asked = { action: request.action.toLowerCase(), resource: '*', context };
  let named: TrustDecision['named'];
  for (const [index, statement] of trust.statements.entries()) {
    const how = statement.principals && namedBy(statement.principals, request);
    if (how === undefined || !applies(statement, asked)) continue;
    if (statement.effect === 'Deny') {
      const { sid } = statement;
      return { allowed: false, reason: 'EXPLICIT_DENY', by: { statement: index, ...(sid !== undefined && { sid }) } };
    }
    if (named !== 'principal') named = how;
  }
  return named === undefined
    ? { allowed: false, reason: 'IMPLICIT_DENY' }
    : { allowed: true, reason: 'ALLOWED', named };
};

const namedBy = (principals: Principals, request: TrustRequest): 'principal' | 'account' | undefined => {
  const how = nameAmong(principals, request);
  if (!principals.negated) return how;
  return how === undefined ? 'principal' : undefined;
};

const nameAmong = (
  { everybody, aws, services }: Principals,
  { principalArn, accountId, service }: TrustRequest,
): 'principal' | 'account' | undefined => {
  if (service !== undefined) return everybody || services.includes(service) ? 'principal' : undefined;
  if (everybody) return 'principal';
  if (principalArn !== undefined && aws.some((name) => isPrincipal(name, principalArn))) return 'principal';
  const isAccount =
    accountId !== undefined && aws.some((name) => name === accountId || name === `arn:aws:iam::${accountId}:root`);
  return isAccount ? 'account' : undefined;
};

const sessionForm = /^arn:aws:sts::([0-9]{12}):assumed-role\/([^/]+)\/[^/]+$/;

/** A session is its role too, which is named with its path. */
const isPrincipal = (name: string, principalArn: string): boolean => {
  if (name === principalArn) return true;
  const [, accountId, roleName] = sessionForm.exec(principalArn) ?? [];
  if (roleName === undefined) return false;
  const prefix = `arn:aws:iam::${accountId}:role/`;
  return name.startsWith(prefix) && name.slice(name.lastIndexOf('/') + 1) === roleName;
};
