/** What a caller is to policies: the values of the condition keys that tell of a principal. Source: IAM user guide, "AWS global condition context keys". */
import type { IamPrincipal, IamSession, SessionDevice } from '../../aws/iam-principal.ts';
import type { Call } from '../../feature.ts';
import { type Entity, entityArn } from './entity.ts';
import type { IamTag } from './iam-tag.ts';

/** A caller as `Caller` of the contract has it, with the account that its credentials belong to. */
export interface IamCaller {
  readonly accountId: string;
  readonly arn: string;
  readonly userId: string;
  /** Absent for a device, which no policy of IAM allows anything. */
  readonly iam?: IamPrincipal | undefined;
  readonly session?: IamSession | undefined;
}

/** Who calls an operation. */
export const callerOf = ({ account, caller }: Pick<Call, 'account' | 'caller'>): IamCaller => ({
  accountId: account.accountId,
  arn: caller.arn,
  userId: caller.userId,
  iam: caller.iam,
  session: caller.session,
});

/** A principal as the store knows it. */
export interface KnownEntity {
  readonly entity: Entity;
  readonly tags: readonly IamTag[];
}

/** Root of an account, as an ARN. */
const rootArn = (accountId: string): string => `arn:aws:iam::${accountId}:root`;

/** What GetCallerIdentity tells of a principal. Source: STS API reference, GetCallerIdentity; IAM user guide, "aws:userid". */
export const identityOf = (
  accountId: string,
  principal: IamPrincipal,
  entity: Entity | undefined,
): { readonly arn: string; readonly userId: string } => {
  if (principal.kind === 'root' || !entity) return { arn: rootArn(accountId), userId: accountId };
  if (principal.kind === 'user') return { arn: entityArn(accountId, entity), userId: entity.id };
  const { sessionName } = principal;
  return {
    arn: `arn:aws:sts::${accountId}:assumed-role/${entity.name}/${sessionName}`,
    userId: `${entity.id}:${sessionName}`,
  };
};

const types = { root: 'Account', user: 'User', role: 'AssumedRole' } as const;

/** Keys of a session that a device got by its certificate. Source: IoT developer guide, "Authorizing direct calls to AWS services". */
const deviceKeys = ({ certificateId, thingName, thingTypeName }: SessionDevice): Readonly<Record<string, string>> => ({
  'credentials-iot:AwsCertificateId': certificateId,
  ...(thingName !== undefined && { 'credentials-iot:ThingName': thingName }),
  ...(thingTypeName !== undefined && { 'credentials-iot:ThingTypeName': thingTypeName }),
});

/** Keys of the principal and of the time; those of the request are for whoever asks. */
export const principalKeys = (
  { accountId, userId, iam, session }: IamCaller,
  known: KnownEntity | undefined,
  nowMs: number,
): Readonly<Record<string, string>> => {
  const now = new Date(nowMs);
  const keys: Record<string, string> = {
    'aws:PrincipalAccount': accountId,
    'aws:userid': userId,
    'aws:CurrentTime': now.toISOString(),
    'aws:EpochTime': String(Math.floor(nowMs / 1000)),
    'aws:ViaAWSService': 'false',
    'aws:PrincipalIsAWSService': 'false',
  };
  if (!iam) return keys;
  keys['aws:PrincipalType'] = types[iam.kind];
  keys['aws:PrincipalArn'] = known ? entityArn(accountId, known.entity) : rootArn(accountId);
  if (iam.kind === 'user' && known) keys['aws:username'] = known.entity.name;
  if (iam.kind === 'role' && iam.device) Object.assign(keys, deviceKeys(iam.device));
  for (const { Key, Value } of known?.tags ?? []) keys[`aws:PrincipalTag/${Key}`] = Value;
  if (session) {
    keys['aws:TokenIssueTime'] = new Date(session.issuedAtMs).toISOString();
    keys['aws:MultiFactorAuthPresent'] = 'false';
  }
  return keys;
};
