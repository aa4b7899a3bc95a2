/** Whether a role may be assumed: what its trust policy says to a principal. Source: IAM user guide, "AWS JSON policy elements: Principal". */
import { applies } from './decide.ts';
import { type IamPolicy, type Principals, parseIamPolicy } from './document.ts';
import { MalformedIamPolicy } from './malformed.ts';
import { type IamContext, readingsOf } from './request.ts';

/** Either a principal of an account or a service of AWS. */
export interface TrustRequest {
  /** Of a user, of a session of a role, or of an account's root. */
  readonly principalArn?: string;
  readonly accountId?: string;
  /** Of the user, or of the role whose session it is. */
  readonly principalId?: string | undefined;
  /** Ids of whom the policy names, by ARN: who has the id is meant, whatever the name is now. Without an entry the ARN alone counts. */
  readonly trustedIds?: Readonly<Record<string, string>> | undefined;
  /** e.g. `credentials.iot.amazonaws.com`. */
  readonly service?: string;
  /** e.g. `sts:AssumeRole`. */
  readonly action: string;
  readonly context: IamContext;
}

type Naming = 'principal' | 'role' | 'everybody' | 'account';

/** What names more closely comes first: it gives more. */
const closest: readonly Naming[] = ['principal', 'role', 'everybody', 'account'];

export interface TrustDecision {
  readonly allowed: boolean;
  readonly reason: 'ALLOWED' | 'EXPLICIT_DENY' | 'IMPLICIT_DENY';
  /**
   * How an Allow names the caller: by its own ARN; with others, as the role of its session or as everybody; or as its whole account, which leaves the choice to the
   * account's own policies.
   */
  readonly named?: Naming;
  /** The statement that denies, by its place from 0. */
  readonly by?: { readonly sid?: string; readonly statement: number };
}

export const trustDecision = (trust: IamPolicy, request: TrustRequest): TrustDecision => {
  const { action, context } = request;
  // all tags here are IAM's own, no two of which differ in case only
  const [asked] = readingsOf({ action, resource: '*', context });
  if (!asked) return { allowed: false, reason: 'IMPLICIT_DENY' };
  let named: TrustDecision['named'];
  for (const [index, statement] of trust.statements.entries()) {
    const how = statement.principals && namingOf(statement.principals, request);
    if (how === undefined || !applies(statement, asked)) continue;
    if (statement.effect === 'Deny') {
      const { sid } = statement;
      return { allowed: false, reason: 'EXPLICIT_DENY', by: { statement: index, ...(sid !== undefined && { sid }) } };
    }
    if (named === undefined || closest.indexOf(how) < closest.indexOf(named)) named = how;
  }
  return named === undefined
    ? { allowed: false, reason: 'IMPLICIT_DENY' }
    : { allowed: true, reason: 'ALLOWED', named };
};

/** Of a trust policy as it is kept: one that cannot be read, because an older version took it, lets nobody. */
export const decideKeptTrust = (text: string, request: TrustRequest): TrustDecision => {
  try {
    return trustDecision(parseIamPolicy(text, 'trust'), request);
  } catch (error) {
    if (error instanceof MalformedIamPolicy) return { allowed: false, reason: 'IMPLICIT_DENY' };
    throw error;
  }
};

const namingOf = (
  { everybody, aws, services }: Principals,
  { principalArn, accountId, principalId, trustedIds = {}, service }: TrustRequest,
): Naming | undefined => {
  if (service !== undefined) return services.includes(service) ? 'principal' : everybody ? 'everybody' : undefined;
  if (principalArn !== undefined) {
    const meant = aws.filter((name) => trustedIds[name] === undefined || trustedIds[name] === principalId);
    const isSelf = (name: string): boolean =>
      name === principalArn || (trustedIds[name] !== undefined && userForm.test(name));
    if (meant.some(isSelf)) return 'principal';
    if (meant.some((name) => isRoleOf(name, principalArn))) return 'role';
  }
  if (everybody) return 'everybody';
  const isAccount =
    accountId !== undefined && aws.some((name) => name === accountId || name === `arn:aws:iam::${accountId}:root`);
  return isAccount ? 'account' : undefined;
};

/** Users may get another name and path, and keep their id; roles do not. */
const userForm = /^arn:aws:iam::[0-9]{12}:user\//;
const sessionForm = /^arn:aws:sts::([0-9]{12}):assumed-role\/([^/]+)\/[^/]+$/;

/** A session is its role too, which is named with its path. */
const isRoleOf = (name: string, principalArn: string): boolean => {
  const [, accountId, roleName] = sessionForm.exec(principalArn) ?? [];
  if (roleName === undefined) return false;
  const prefix = `arn:aws:iam::${accountId}:role/`;
  return name.startsWith(prefix) && name.slice(name.lastIndexOf('/') + 1) === roleName;
};
