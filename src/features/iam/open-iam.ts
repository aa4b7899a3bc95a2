/**
 * IAM as a node asks it at every request: whose key is this, and may they do that? What was read is remembered under the revision of its account
 * (revisions.ts): a hot answer costs no statement, and a change acts within a second.
 */
import { Fault } from '../../aws/fault.ts';
import type { IamSession, SessionPolicies } from '../../aws/iam-principal.ts';
import type { CredentialFacts, Identity, KnownIdentity } from '../../aws/identity.ts';
import type { Bus } from '../../bus/bus.ts';
import { decideIam, type IamDecision, type IamRequest } from '../../iam/decide.ts';
import type { SecretBox } from '../../pki/secret-box.ts';
import type { Store } from '../../store/store.ts';
import { findSealedKey, lastUsedEveryMs, openSecret, saveKeyUses } from './access-key.ts';
import { entityArn } from './entity.ts';
import { type IamCaller, identityOf, principalKeys } from './principal.ts';
import { createRevisions } from './revisions.ts';
import { type EntityRights, readRights, readSessionPolicies } from './rights.ts';
import { createSessionTokens, type NewSession, type OpenedSession, type SessionCredentials } from './session-token.ts';
import { type DecidingPolicies, type HeldPolicy, type WeighedDenial, weighDenial } from './weigh-denial.ts';

export interface IamOptions {
  readonly store: Pick<Store, 'db' | 'write'>;
  readonly bus: Bus;
  readonly box: SecretBox;
  /** Of the box: 32 bytes. */
  readonly key: Uint8Array;
  readonly now: () => number;
  /** Milliseconds by a clock that nobody moves. Default: that of the process. */
  readonly elapsedMs?: () => number;
  /** Told when the use of a key could not be noted. */
  readonly trouble: (error: unknown) => void;
}

/** What a caller may do, as it was when it was read. */
export interface IamRights {
  /** Undefined while this still holds; after a change, or a second without a look, a promise of what holds now. */
  stale(): Promise<IamRights> | undefined;
  /** False once the user or role is gone. */
  readonly exists: boolean;
  /** False: what is decided does not depend on the tags of the resource. */
  readonly asksForTags: boolean;
  decide(request: IamRequest): IamDecision;
  /** Why a request is denied. */
  weigh(request: IamRequest): WeighedDenial;
}

export interface Iam {
  /**
   * Whom an access key stands for: a user's, or a session's with its token. Undefined for none, one that is not Active, and a session whose role or user is gone.
   * Faults: ExpiredTokenException; SecretUnreadable (an operator's trouble).
   */
  findKey(accessKeyId: string, facts: CredentialFacts, sessionToken?: string): Promise<Identity | undefined>;
  /** The same, keys that count no more included. Faults: SecretUnreadable. */
  findAnyKey(accessKeyId: string, facts: CredentialFacts, sessionToken?: string): Promise<KnownIdentity | undefined>;
  /** Temporary credentials of a principal, who was seen to be there. Faults: PackedPolicyTooLargeException. */
  mintSession(session: NewSession): SessionCredentials;
  rightsOf(caller: IamCaller): Promise<IamRights>;
  /** Values of the condition keys that tell of a caller and the time. */
  keysOf(caller: IamCaller): Promise<Readonly<Record<string, string>>>;
  /** May the caller do this? Keys of the principal and the time are added to those of the request. */
  authorize(caller: IamCaller, request: IamRequest): Promise<IamDecision>;
  /** Notes that a key has proven a request. */
  used(accessKeyId: string, service: string, region: string): void;
  /** Waits for what is being noted. */
  close(): Promise<void>;
}

/** Keys, principals and session policies that are remembered, of each kind. At the bound the one read first is forgotten, and read again. */
const rememberedMax = 10_000;

const allowed: IamDecision = { allowed: true, reason: 'ALLOWED' };
const denied: IamDecision = { allowed: false, reason: 'IMPLICIT_DENY' };
/** What a policy says that cannot be read, or is gone, nobody knows: it counts as a Deny, which no trust policy outweighs. */
const unread: IamDecision = { allowed: false, reason: 'EXPLICIT_DENY' };

/** A map that forgets its oldest entry at the bound. */
const remember = <Value>(map: Map<string, Value>, key: string, value: Value): Value => {
  map.delete(key);
  const [oldest] = map.keys();
  if (map.size >= rememberedMax && oldest !== undefined) map.delete(oldest);
  map.set(key, value);
  return value;
};

interface Remembered<Value> {
  readonly revision: number;
  readonly value: Value;
}

interface KnownKey {
  readonly accountId: string;
  readonly userId: string;
  readonly active: boolean;
  readonly secretAccessKey: string;
}

export const openIam = (options: IamOptions): Iam => {
  const { store, bus, box, key, now, elapsedMs = () => performance.now(), trouble } = options;
  const { db } = store;
  const revisions = createRevisions({ db, bus, elapsedMs });
  const tokens = createSessionTokens({ key, now });
  const keys = new Map<string, Remembered<KnownKey>>();
  const entities = new Map<string, Remembered<EntityRights | undefined>>();
  const sessions = new Map<string, Remembered<readonly HeldPolicy[] | undefined>>();
  const usedAtMs = new Map<string, number>();
  const noting = new Set<Promise<void>>();

  /** What is remembered under `id`, or what `read` finds: rows that are read are at least as new as the revision that was asked for before. */
  const recall = async <Value>(
    map: Map<string, Remembered<Value>>,
    [accountId, id]: readonly [string, string],
    read: () => Promise<Value>,
  ): Promise<Remembered<Value>> => {
    const revision = await revisions.current(accountId);
    const key = `${accountId}/${id}`;
    const known = map.get(key);
    if (known?.revision === revision) return known;
    return remember(map, key, { revision, value: await read() });
  };

  const entityRights = (accountId: string, entityId: string) =>
    recall(entities, [accountId, entityId], () => readRights(db, accountId, entityId));

  const findUserKey = async (accessKeyId: string): Promise<KnownKey | undefined> => {
    const accountId = keys.get(accessKeyId)?.value.accountId ?? (await findSealedKey(db, accessKeyId))?.accountId;
    if (accountId === undefined) return undefined;
    const revision = await revisions.current(accountId);
    const known = keys.get(accessKeyId);
    if (known?.revision === revision) return known.value;
    const sealed = await findSealedKey(db, accessKeyId);
    if (!sealed) {
      keys.delete(accessKeyId);
      return undefined;
    }
    const active = sealed.status === 'Active';
    const secretAccessKey = openSecret(box, accessKeyId, sealed);
    const value = { accountId: sealed.accountId, userId: sealed.userId, active, secretAccessKey };
    return remember(keys, accessKeyId, { revision, value }).value;
  };

  const ofUser = async (accessKeyId: string): Promise<KnownIdentity | undefined> => {
    const found = await findUserKey(accessKeyId);
    if (!found) return undefined;
    const { accountId, userId, secretAccessKey, active } = found;
    const rights = (await entityRights(accountId, userId)).value;
    if (!rights) return undefined;
    const iam = { kind: 'user', userName: rights.entity.name, userId } as const;
    const identity = { accountId, secretAccessKey, ...identityOf(accountId, iam, rights.entity), iam };
    return active ? identity : { ...identity, over: 'INACTIVE' };
  };

  /** The principal of a session as it is now, or as it was when it is gone. */
  const principalNow = async ({ accountId, principal }: OpenedSession) => {
    if (principal.kind === 'root') return { iam: principal, ...identityOf(accountId, principal, undefined) };
    const id = principal.kind === 'user' ? principal.userId : principal.roleId;
    const rights = (await entityRights(accountId, id)).value;
    if (!rights) return { iam: principal, arn: '', userId: id, over: 'GONE' as const };
    const { name } = rights.entity;
    const iam = principal.kind === 'user' ? { ...principal, userName: name } : { ...principal, roleName: name };
    const roleArn = iam.kind === 'role' && entityArn(accountId, rights.entity);
    return { iam, ...identityOf(accountId, iam, rights.entity), ...(roleArn && { roleArn }) };
  };

  const ofSession = async (
    accessKeyId: string,
    { loopback, forwarded }: CredentialFacts,
    sessionToken: string,
  ): Promise<KnownIdentity | undefined> => {
    const opened = tokens.open(accessKeyId, sessionToken);
    if (!opened) return undefined;
    const { accountId, secretAccessKey, principal, issuedAtMs, expiresAtMs } = opened;
    if (principal.kind === 'root' && principal.development && (!loopback || forwarded)) return undefined;
    const session: IamSession = { issuedAtMs, expiresAtMs };
    const found = await principalNow(opened);
    const { roleArn, ...identity } = { roleArn: undefined, ...found };
    const over = now() >= expiresAtMs && { ...{ over: 'EXPIRED' as const }, ...(roleArn && { roleArn }) };
    return { accountId, secretAccessKey, sessionToken, session, ...identity, ...over };
  };

  const sessionPolicies = async (accountId: string, given: SessionPolicies) => {
    const id = JSON.stringify([given.document, given.arns]);
    return (await recall(sessions, [accountId, id], () => readSessionPolicies(db, accountId, given))).value;
  };

  const rightsOf = async (caller: IamCaller): Promise<IamRights> => {
    const { accountId, iam } = caller;
    if (!iam || iam.kind === 'root') {
      return {
        stale: () => undefined,
        exists: iam !== undefined,
        asksForTags: false,
        decide: () => (iam ? allowed : denied),
        weigh: (request) => weighDenial(undefined, request),
      };
    }
    const { revision, value: rights } = await entityRights(accountId, iam.kind === 'user' ? iam.userId : iam.roleId);
    const given = iam.kind === 'role' ? iam.sessionPolicies : undefined;
    const session = given && (await sessionPolicies(accountId, given));
    const isBroken = !rights || rights.broken || (given !== undefined && session === undefined);
    const policies: DecidingPolicies | undefined = isBroken
      ? undefined
      : {
          identity: rights.identity,
          ...(rights.boundary && { boundary: rights.boundary }),
          ...(session && { session }),
        };
    const asked = ({ action, resource, context }: IamRequest): IamRequest => ({
      ...{ action, resource },
      context: { ...context, ...principalKeys(caller, rights, now()) },
    });
    return {
      stale: () => (revisions.current(accountId) === revision ? undefined : rightsOf(caller)),
      exists: rights !== undefined,
      asksForTags: [...(policies?.identity ?? []), policies?.boundary, ...(policies?.session ?? [])].some(
        (policy) => policy?.asksForTags,
      ),
      decide: (request) => (policies ? decideIam(policies, asked(request)) : unread),
      weigh: (request) => ({
        ...weighDenial(policies, asked(request)),
        ...(iam.kind === 'role' && rights && { roleArn: entityArn(accountId, rights.entity) }),
      }),
    };
  };

  /** What the store knows of a user or of a session's role. */
  const knownOf = async ({ accountId, iam }: IamCaller): Promise<Remembered<EntityRights | undefined> | undefined> =>
    iam === undefined || iam.kind === 'root'
      ? undefined
      : entityRights(accountId, iam.kind === 'user' ? iam.userId : iam.roleId);

  const findAnyKey: Iam['findAnyKey'] = async (accessKeyId, facts, sessionToken) =>
    sessionToken === undefined ? ofUser(accessKeyId) : ofSession(accessKeyId, facts, sessionToken);

  return {
    async findKey(...asked) {
      const found = await findAnyKey(...asked);
      if (found?.over === 'EXPIRED') {
        throw new Fault('ExpiredTokenException', 'The security token included in the request is expired');
      }
      return found?.over ? undefined : found;
    },
    findAnyKey,
    mintSession: tokens.mint,
    rightsOf,
    keysOf: async (caller) => principalKeys(caller, (await knownOf(caller))?.value, now()),
    authorize: async (caller, request) => (await rightsOf(caller)).decide(request),
    used(accessKeyId, service, region) {
      const atMs = now();
      const last = usedAtMs.get(accessKeyId);
      // only keys that were found, and have no token, are users'
      if (!keys.has(accessKeyId) || (last !== undefined && atMs - last < lastUsedEveryMs)) return;
      remember(usedAtMs, accessKeyId, atMs);
      const noted = store
        .write((unit) => saveKeyUses(unit, [{ accessKeyId, atMs, service, region }]))
        .catch(trouble)
        .finally(() => noting.delete(noted));
      noting.add(noted);
    },
    async close() {
      revisions.close();
      await Promise.all(noting);
    },
  };
};
