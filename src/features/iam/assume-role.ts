/**
 * AssumeRole: temporary credentials of a role, for whoever its trust policy lets and whose own policies do not forbid it.
 * Source: STS API reference, AssumeRole; IAM user guide, "Roles terms and concepts" (role chaining), "Cross-account policy evaluation logic".
 */
import { Fault } from '../../aws/fault.ts';
import type { SessionPolicies } from '../../aws/iam-principal.ts';
import type { Operations } from '../../aws/operations.ts';
import type { Call, Handler } from '../../feature.ts';
import { parseIamPolicy } from '../../iam/document.ts';
import { trustDecision } from '../../iam/trust.ts';
import { findRoleByArn, type Role } from './entity.ts';
import { invalid } from './faults.ts';
import { findManagedPolicies } from './managed-policy.ts';
import type { Iam } from './open-iam.ts';
import { assertPolicyDocument } from './policy-document.ts';
import { callerOf, type IamCaller } from './principal.ts';
import { sessionPolicyArnsMax, sessionPolicyCharactersMax } from './quotas.ts';
import { requestKeys } from './request-keys.ts';
import { describeEntity } from './resource-facts.ts';
import { credentialsOf } from './session-token.ts';

type Input = Operations['sts']['AssumeRole']['input'];

const durationSecondsDefault = 3600;
/** Whoever has temporary credentials already gets no longer ones. Source: user guide, "Role chaining". */
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

/** Also where there is no such role: who may not assume it does not learn which. */
const refused = ({ caller }: Call, roleArn: string): Fault =>
  new Fault(
    'AccessDeniedException',
    `User: ${caller.arn} is not authorized to perform: sts:AssumeRole on resource: ${roleArn}`,
  );

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
  if (caller.session && DurationSeconds > chainedSecondsMax) {
    throw invalid('The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.');
  }
  if (DurationSeconds > role.maxSessionSeconds) {
    throw invalid('The requested DurationSeconds exceeds the MaxSessionDuration set for this role.');
  }
  return DurationSeconds;
};

/**
 * Whether trust and rights come together: in one account either of them may be enough, where the trust policy names the principal itself; everywhere else both
 * must say yes, and no always counts.
 */
const mayAssume = async (
  iam: Pick<Iam, 'authorize' | 'keysOf'>,
  call: Call,
  target: { readonly accountId: string; readonly role: Role },
  input: Input,
): Promise<boolean> => {
  const caller = callerOf(call);
  const { arn: resource, keys: roleKeys } = await describeEntity(call.db, target.accountId, target.role);
  const { RoleSessionName, ExternalId } = input;
  const own = {
    ...(RoleSessionName !== undefined && { 'sts:RoleSessionName': RoleSessionName }),
    ...(ExternalId !== undefined && { 'sts:ExternalId': ExternalId }),
    ...requestKeys(call),
    ...roleKeys,
  };
  const action = 'sts:AssumeRole';
  const trust = trustDecision(parseIamPolicy(target.role.trustPolicy, 'trust'), {
    principalArn: caller.arn,
    accountId: caller.accountId,
    ...{ principalId: idOf(caller), trustedIds: target.role.trustedIds },
    action,
    context: { ...own, ...(await iam.keysOf(caller)) },
  });
  if (!trust.allowed) return false;
  const rights = await iam.authorize(caller, { action, resource, context: own });
  if (rights.allowed) return true;
  return rights.reason !== 'EXPLICIT_DENY' && caller.accountId === target.accountId && trust.named === 'principal';
};

/**
 * Faults, in this order: NotImplementedException (MFA, session tags, source identity), InvalidRequestException (no ARN of a role), AccessDeniedException (the
 * root, and whoever is not let), MalformedPolicyDocumentException, InvalidRequestException (policies, duration), PackedPolicyTooLargeException.
 */
export const assumeRole =
  (iam: Pick<Iam, 'authorize' | 'keysOf' | 'mintSession'>): Handler<'AssumeRole', 'sts'> =>
  async (input, call) => {
    const { RoleArn = '', RoleSessionName: sessionName = '' } = input;
    assertBuilt('AssumeRole', input, notBuilt);
    if (!/^arn:aws:iam::[0-9]{12}:role\/./.test(RoleArn)) throw invalid(`${RoleArn} is invalid`);
    if (call.caller.iam?.kind === 'root') {
      throw new Fault('AccessDeniedException', 'Roles may not be assumed by root accounts.');
    }
    const target = await findRoleByArn(call.db, RoleArn);
    if (!target || !(await mayAssume(iam, call, target, input))) throw refused(call, RoleArn);
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
