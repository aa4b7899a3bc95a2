/**
 * What an IAM user or role may do on the data plane, while it is connected: its policies are asked for iot:Connect, iot:Publish and the like, as they are now. A
 * notice of change marks whoever it may concern as stale, which holds up every decision until it has been read again; a lost notice is healed by age. Whoever is
 * gone, or whose key is no longer active, is closed. An account's root may do everything.
 * Source: developer guide, "IAM policies" (AWS IoT identity-based policies); design 5: changes reach live connections within one second.
 */
import type { Weighing } from '../../aws/decision.ts';
import type { Bus } from '../../bus/bus.ts';
import { onChange } from '../../bus/changes.ts';
import type { Reason } from '../../journal/record.ts';
import type { Admission, AskedKeys, Authority, Peer, Signer } from '../../mqtt/authority.ts';
import type { Keys } from './actions/demand.ts';
import { decisionFacts, principalFacts } from './denial.ts';
import type { Iam, IamRights } from './open-iam.ts';
import type { IamCaller } from './principal.ts';

export interface LiveSignersOptions {
  readonly iam: Pick<Iam, 'rightsOf' | 'findKey'>;
  readonly bus: Bus;
  /** Milliseconds since the epoch, by the node's clock: decides when credentials have expired. */
  readonly now: () => number;
  /** Between two rounds of re-reading, by real time. Default 1000. */
  readonly recheckMs?: number;
  /** Told of a reading that failed; it is tried again. */
  readonly failed?: (cause: unknown) => void;
}

export interface LiveSigners {
  /** Lets a signer in, whose rights are followed until it is released; over HTTPS they are those of one request. Rejects when the store cannot be asked. */
  admit(signer: Signer, peer: Pick<Peer, 'remoteAddress' | 'transport'>): Promise<Admission>;
  /** One round of what otherwise happens every `recheckMs`. Resolves when it is done. */
  recheck(): Promise<void>;
  /** Those that are followed, for tests. */
  size(): number;
  close(): Promise<void>;
}

/** Signers that one round reads again, in turn. */
export const sweptSignersMax = 1000;

/** Before a reading that failed is tried again by whoever waits for it. */
const retryMs = 250;

/** One signer of one connection or request. */
interface Live {
  readonly signer: Signer;
  readonly caller: IamCaller;
  rights: IamRights;
  /** Moves with every reading: a policy may ask for the time, so that no decision is remembered for longer. */
  revision: number;
  isOver: boolean;
  /** Counts notices; a reading counts only if it stood still meanwhile. */
  marks: number;
  /** A change is known that has not been read. */
  isStale: boolean;
  reading: Promise<void> | undefined;
  onLost: ((reason: Reason) => void) | undefined;
  /** Told while nobody could be: why it is over. */
  lost: Reason | undefined;
}

/** Access keys of users; temporary ones begin otherwise, and end with whom they stand for. Source: IAM user guide, "IAM identifiers". */
const isLongTerm = ({ accessKeyId, session }: Signer): boolean =>
  session === undefined && accessKeyId.startsWith('AKIA');

/** Of whoever may not stay, with the key that it came with. */
const lostFacts = ({ caller, signer: { accessKeyId } }: Live): Readonly<Record<string, string>> => ({
  ...principalFacts(caller),
  accessKeyId,
});

/** Only development keys depend on them, and those are root's. */
const anywhere = { loopback: false, forwarded: false };

const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });

export const createLiveSigners = (options: LiveSignersOptions): LiveSigners => {
  const { iam, now, failed = () => undefined } = options;
  const live = new Set<Live>();
  const byAccount = new Map<string, Set<Live>>();
  let rotation = live.values();
  const under = new Set<Promise<void>>();

  const follow = (one: Live): void => {
    const { accountId } = one.signer.account;
    live.add(one);
    byAccount.set(accountId, (byAccount.get(accountId) ?? new Set()).add(one));
  };

  const leave = (one: Live): void => {
    one.isOver = true;
    live.delete(one);
    const { accountId } = one.signer.account;
    const others = byAccount.get(accountId);
    others?.delete(one);
    if (others?.size === 0) byAccount.delete(accountId);
  };

  const lose = (one: Live, reason: Reason): void => {
    if (one.isOver) return;
    leave(one);
    one.lost = reason;
    one.onLost?.(reason);
  };

  /** Why a signer may not stay; undefined: it may. */
  const reasonToLose = async ({ signer }: Live, rights: IamRights): Promise<Reason | undefined> => {
    if (signer.session && now() >= signer.session.expiresAtMs) return 'SECURITY_TOKEN_EXPIRED';
    if (!rights.exists) return 'ACCESS_KEY_NO_LONGER_ACTIVE';
    if (!isLongTerm(signer)) return undefined;
    return (await iam.findKey(signer.accessKeyId, anywhere)) ? undefined : 'ACCESS_KEY_NO_LONGER_ACTIVE';
  };

  const readOnce = async (one: Live): Promise<void> => {
    const { marks } = one;
    const rights = await iam.rightsOf(one.caller);
    const reason = await reasonToLose(one, rights);
    if (reason) return lose(one, reason);
    one.rights = rights;
    one.revision += 1;
    if (one.marks === marks) one.isStale = false;
  };

  /** Reads until nothing that is known to have changed remains unread; what fails is tried again by who waits for it, or at the next round. */
  const read = (one: Live): Promise<void> => {
    one.reading ??= (async () => {
      try {
        do await readOnce(one);
        while (one.isStale && !one.isOver);
      } catch (cause) {
        failed(cause);
        await pause(retryMs);
      } finally {
        one.reading = undefined;
      }
    })();
    const { reading } = one;
    under.add(reading);
    void reading.finally(() => under.delete(reading));
    return reading;
  };

  const endNotices = onChange(options.bus, ({ kind, account }) => {
    if (kind !== 'iam') return;
    for (const one of byAccount.get(account.accountId) ?? []) {
      one.marks += 1;
      one.isStale = true;
      void read(one);
    }
  });

  const sweep = (): void => {
    const nowMs = now();
    for (const one of live) {
      const { session } = one.signer;
      if (session && nowMs >= session.expiresAtMs) lose(one, 'SECURITY_TOKEN_EXPIRED');
    }
    for (let left = Math.min(sweptSignersMax, live.size); left > 0; left -= 1) {
      let next = rotation.next();
      if (next.done) {
        rotation = live.values();
        next = rotation.next();
      }
      if (next.done) break;
      void read(next.value);
    }
  };
  const timer = setInterval(sweep, options.recheckMs ?? 1000);
  timer.unref();

  return {
    async admit(signer, { remoteAddress, transport }) {
      const caller: IamCaller = { ...signer, accountId: signer.account.accountId };
      const rights = await iam.rightsOf(caller);
      const one: Live = {
        ...{ signer, caller, rights, revision: 1, isOver: false, marks: 0, isStale: false },
        ...{ reading: undefined, onLost: undefined, lost: undefined },
      };
      const refusal = await reasonToLose(one, rights);
      if (refusal) return { refusal, account: signer.account, facts: lostFacts(one) };
      // a request is over before anything could be followed
      if (transport !== 'https') follow(one);
      return { authority: authorityOf(one, remoteAddress, { read, leave }) };
    },
    async recheck() {
      sweep();
      await Promise.all(under);
    },
    size: () => live.size,
    async close() {
      clearInterval(timer);
      endNotices();
      for (const one of [...live]) leave(one);
      await Promise.all(under);
    },
  };
};

interface Following {
  read(one: Live): Promise<void>;
  leave(one: Live): void;
}

/** Nothing applies: the connection is over. */
const nothingWeighed: Weighing = { decision: 'IMPLICIT_DENY', statements: [], unresolved: [] };

const askedKeys = ({ topic, includeSocketInformation }: AskedKeys): Keys => ({
  ...(topic !== undefined && { 'iot:Topic': topic }),
  ...(includeSocketInformation !== undefined && {
    'iot:IncludeSocketInformation': String(includeSocketInformation),
  }),
});

const authorityOf = (one: Live, remoteAddress: string, { read, leave }: Following): Authority => {
  const { signer, caller } = one;
  const { account } = signer;
  const prefix = `arn:aws:iot:${account.region}:${account.accountId}:`;
  const keys: Keys = {
    'aws:RequestedRegion': account.region,
    'aws:ResourceAccount': account.accountId,
    'aws:SourceIp': remoteAddress,
    'aws:SecureTransport': 'true',
  };
  const ask = (action: string, resource: string, asked: AskedKeys | undefined) => ({
    action,
    resource: resource === '*' ? resource : prefix + resource,
    context: asked ? { ...keys, ...askedKeys(asked) } : keys,
  });
  /** Of the decision that was just weighed, until they are asked for. */
  let weighedFacts: Readonly<Record<string, string>> = {};

  return {
    account,
    principalId: signer.userId,
    get revision() {
      return one.revision;
    },
    stale: () => (one.isStale && !one.isOver ? (one.reading ?? read(one)) : undefined),
    allows: (action, resource, asked) => !one.isOver && one.rights.decide(ask(action, resource, asked)).allowed,
    weigh(action, resource, asked) {
      weighedFacts = {};
      if (one.isOver) return nothingWeighed;
      const request = ask(action, resource, asked);
      if (one.rights.decide(request).allowed) return { decision: 'ALLOWED', statements: [], unresolved: [] };
      const weighed = one.rights.weigh(request);
      const { facts, statements = [], ...decided } = decisionFacts(weighed);
      weighedFacts = facts;
      return { decision: weighed.decision, statements, ...decided, unresolved: [] };
    },
    facts() {
      const facts = { ...(one.isOver ? lostFacts(one) : principalFacts(caller)), ...weighedFacts };
      weighedFacts = {};
      return facts;
    },
    onLost(close) {
      one.onLost = close;
      const { lost } = one;
      if (lost) queueMicrotask(() => close(lost));
    },
    release: () => leave(one),
  };
};
