/**
 * AssumeRole: temporary credentials of a role, for whoever its trust policy lets and whose own policies do not forbid it.
 * Source: STS API reference, AssumeRole; IAM user guide, "Roles terms and concepts" (role chaining), "Cross-account policy evaluation logic".
 */
import { Fault } from '../../aws/fault.ts';
import type { SessionPolicies } from '../../aws/iam-principal.ts';
import type { Operations } from '../../aws/operations.ts';
import type { Call, Handler } from '../../feature.ts';
import { decideKeptTrust } from '../../iam/trust.ts';
import { denialRecord, principalFacts } from './denial.ts';
import { invalid } from './faults.ts';
import { findManagedPolicies } from './managed-policy.ts';
import type { Iam } from './open-iam.ts';
import { assertPolicyDocument } from './policy-document.ts';
import { callerOf, type IamCaller } from './principal.ts';
import { sessionPolicyArnsMax, sessionPolicyCharactersMax } from './quotas.ts';
import { requestKeys } from './request-keys.ts';
import { describeEntity } from './resource-facts.ts';
import { findRoleByArn, type Role } from './role.ts';
import { credentialsOf } from './session-token.ts';

type Input = Operations['sts']['AssumeRole']['input'];

const durationSecondsDefault = 3600;
/** A session of a role that assumes another; temporary credentials of a user do not count as one. Source: user guide, "Role chaining". */
const chainedSecondsMax = 3600;

/** What this version has not, by member. */
const notBuilt = [
  ...['SerialNumber', 'TokenCode', 'SourceIdentity', 'Tags', 'TransitiveTagKeys', 'ProvidedContexts'],
  'MinimumSessionTokenSize',
];

/** Faults: NotImplementedException, which names the member. */
export const assertBuilt = (operation: string, input: object, members: readonly string[]): void => {
  const given: { readonly [member: string]: unknown } = { ...input };
  const member = members.find((name) => {
    const value = given[name];
    return value !== undefined && value !== 0 && !(Array.isArray(value) && value.length === 0);
  });
  if (member === undefined) return;
  throw new Fault(
    'NotImplementedException',
    `${operation} with ${member} is not available in this version of Fleetgate`,
  );
};

/** What the journal keeps of a refusal; why, the caller does not learn. */
type Denial = ReturnType<typeof denialRecord>;

/** Also where there is no such role: who may not assume it does not learn which. */
const refused = (call: Call, roleArn: string, denial: Denial): Fault => {
  call.record('ApiCall', { status: 'Failure', ...denial });
  return new Fault(
    'AccessDeniedException',
    `User: ${call.caller.arn} is not authorized to perform: ${action} on resource: ${roleArn}`,
  );
};

const action = 'sts:AssumeRole';

/** Said no by the role, or there is none. Of a role of another account the journal of the caller's does not learn which. */
const ofTrust = (
  call: Call,
  roleArn: string,
  {
    role,
    by,
    roleArn: own,
  }: {
    readonly role?: Role;
    readonly by?: { readonly statement: number } | undefined;
    /** Of the role whose session asks. */
    readonly roleArn?: string | undefined;
  },
): Denial => {
  const isOwn = roleArn.startsWith(`arn:aws:iam::${call.account.accountId}:`);
  const [where = '', trust] = isOwn ? (role ? ['trust', role] : ['none']) : ['elsewhere'];
  return {
    ...{ reason: 'AUTHORIZATION_FAILURE', action, resource: roleArn },
    decision: isOwn && by ? 'EXPLICIT_DENY' : 'IMPLICIT_DENY',
    facts: {
      ...principalFacts(callerOf(call)),
      ...{ policyType: 'trust', trustingRole: where },
      ...(own !== undefined && { roleArn: own }),
      ...(trust && { trustedRole: trust.name, decidingDocument: trust.trustPolicy }),
      ...(trust && by && { decidingStatement: String(by.statement) }),
    },
  };
};

/** Of a user, or of the role whose session it is. */
const idOf = ({ iam }: IamCaller): string | undefined =>
  iam?.kind === 'user' ? iam.userId : iam?.kind === 'role' ? iam.roleId : undefined;

/** Faults: InvalidRequestException, MalformedPolicyDocumentException. */
const readSessionPolicies = async (
  { db }: Call,
  accountId: string,
  { Policy: document, PolicyArns = [] }: Input,
): Promise<SessionPolicies | undefined> => {
  const arns = [...new Set(PolicyArns.map(({ arn = '' }) => arn))];
  if (document === undefined && arns.length === 0) return undefined;
  if (arns.length > sessionPolicyArnsMax) {
    throw invalid(`The number of policy ARNs is above the limit of ${sessionPolicyArnsMax}`);
  }
  if (document !== undefined) {
    if (document.length > sessionPolicyCharactersMax) {
      throw invalid(
        `1 validation error detected: Value at 'policy' failed to satisfy constraint: Member must have length less than or equal to ${sessionPolicyCharactersMax}`,
      );
    }
    assertPolicyDocument(document, 'identity');
  }
  const found = new Set((await findManagedPolicies(db, accountId, arns)).map(({ arn }) => arn));
  const missing = arns.find((arn) => !found.has(arn));
  if (missing !== undefined) throw invalid(`Policy ${missing} does not exist or is not attachable.`);
  return { ...(document !== undefined && { document }), arns };
};

/** Faults: InvalidRequestException. */
const durationOf = ({ DurationSeconds = durationSecondsDefault }: Input, { caller }: Call, role: Role): number => {
  if (caller.iam?.kind === 'role' && DurationSeconds > chainedSecondsMax) {
    throw invalid('The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.');
  }
  if (DurationSeconds > role.maxSessionSeconds) {
    throw invalid('The requested DurationSeconds exceeds the MaxSessionDuration set for this role.');
  }
  return DurationSeconds;
};

/**
 * Why trust and rights do not come together; undefined: they do. In one account either of them may be enough, where the trust policy names the principal itself;
 * everywhere else both must say yes, and no always counts.
 */
const whyNot = async (
  iam: Pick<Iam, 'rightsOf' | 'keysOf'>,
  call: Call,
  target: { readonly accountId: string; readonly role: Role },
  input: Input,
): Promise<Denial | undefined> => {
  const caller = callerOf(call);
  const { arn: resource, keys: roleKeys } = await describeEntity(call.db, target.accountId, target.role);
  const { RoleSessionName, ExternalId } = input;
  const own = {
    ...(RoleSessionName !== undefined && { 'sts:RoleSessionName': RoleSessionName }),
    ...(ExternalId !== undefined && { 'sts:ExternalId': ExternalId }),
    ...requestKeys(call),
    'aws:ResourceAccount': target.accountId,
    ...roleKeys,
  };
  const keys = await iam.keysOf(caller);
  const trust = decideKeptTrust(target.role.trustPolicy, {
    principalArn: caller.arn,
    accountId: caller.accountId,
    ...{ principalId: idOf(caller), trustedIds: target.role.trustedIds },
    action,
    context: { ...own, ...keys },
  });
  if (!trust.allowed) {
    const roleArn = caller.iam?.kind === 'role' ? keys['aws:PrincipalArn'] : undefined;
    return ofTrust(call, resource, { role: target.role, by: trust.by, roleArn });
  }
  const rights = await iam.rightsOf(caller);
  const request = { action, resource, context: own };
  const { allowed, reason, isBounded } = rights.decide(request);
  // a role that is named gives its sessions no more than they and its boundary may; a user or session that is named gets it by itself
  const isGiven = trust.named === 'principal' || (trust.named !== 'account' && !isBounded);
  const isNamed = caller.accountId === target.accountId && isGiven;
  if (allowed || (reason !== 'EXPLICIT_DENY' && isNamed)) return undefined;
  return denialRecord(caller, { action, resource, weighed: rights.weigh(request) });
};

/**
 * Faults, in this order: NotImplementedException (MFA, session tags, source identity), InvalidRequestException (no ARN of a role), AccessDeniedException (the
 * root, and whoever is not let), MalformedPolicyDocumentException, InvalidRequestException (policies, duration), PackedPolicyTooLargeException.
 */
export const assumeRole =
  (iam: Pick<Iam, 'rightsOf' | 'keysOf' | 'mintSession'>): Handler<'AssumeRole', 'sts'> =>
  async (input, call) => {
    const { RoleArn = '', RoleSessionName: sessionName = '' } = input;
    assertBuilt('AssumeRole', input, notBuilt);
    if (!/^arn:aws:iam::[0-9]{12}:role\/./.test(RoleArn)) throw invalid(`${RoleArn} is invalid`);
    if (call.caller.iam?.kind === 'root') {
      throw new Fault('AccessDeniedException', 'Roles may not be assumed by root accounts.');
    }
    const target = await findRoleByArn(call.db, RoleArn);
    if (!target) throw refused(call, RoleArn, ofTrust(call, RoleArn, {}));
    const denial = await whyNot(iam, call, target, input);
    if (denial) throw refused(call, RoleArn, denial);
    const { accountId, role } = target;
    const sessionPolicies = await readSessionPolicies(call, accountId, input);
    const durationSeconds = durationOf(input, call, role);
    const made = iam.mintSession({
      accountId,
      principal: {
        ...{ kind: 'role', roleName: role.name, roleId: role.id, sessionName },
        ...(sessionPolicies && { sessionPolicies }),
      },
      durationSeconds,
    });
    return {
      ...credentialsOf(made),
      AssumedRoleUser: {
        AssumedRoleId: `${role.id}:${sessionName}`,
        Arn: `arn:aws:sts::${accountId}:assumed-role/${role.name}/${sessionName}`,
      },
      ...(sessionPolicies && { PackedPolicySize: made.packedPolicySize }),
    };
  };
