/**
 * Sessions of one account and region, by client id. A session is what outlives a connection: its subscriptions and, if it is persistent, what waits for
 * it. Persistent sessions are in memory and in the store, messages mostly in the store alone (`queue.ts`); the others live as long as their
 * connection and never touch the store. In memory a change happens at once; whoever must not say so before it is durable is given a promise.
 * `epoch` grows with every connection that takes a session: whoever holds one of an older epoch has lost it. Source: spec gateway.md 5.3, 5.4, 5.10.
 */
import { setImmediate } from 'node:timers/promises';
import type { AccountRegion } from '../aws/arn.ts';
import type { Authority, Peer } from './authority.ts';
import type { BrokerContext } from './context.ts';
import type { DisconnectReason, Ending } from './ending.ts';
import { GroupQueue } from './group-queue.ts';
import type { Version } from './packets/writer.ts';
import { type Left, nothingLeft, type Tally } from './queue.ts';
import { Receipts } from './receipts.ts';
import type { Receiver } from './receiver.ts';
import { SessionQueue, sessionQueues } from './session-queue.ts';
import type { KeptSession } from './session-store.ts';
import { type Changes, type Granted, Subscriptions } from './subscriptions.ts';
import { parseShared } from './topic.ts';
import { type Timed, Wheel } from './wheel.ts';

/** Expired sessions that are ended before others get their turn: a fleet that was lost at once expires at once. */
const endedPerTurn = 128;

/** The connection that holds a session, as far as the session knows it. */
export interface Holder {
  readonly peer: Peer;
  readonly authority: Authority | undefined;
  end(ending: Ending): void;
}

export interface Session {
  readonly clientId: string;
  /** For the life of the session; the sessionIdentifier of life-cycle events. */
  readonly sessionIdentifier: string;
  /** Grows with every connection that takes the session. */
  epoch: number;
  /** Of every connection that it has had: the other version never resumes it. */
  readonly protocolVersion: Version;
  /** It is in the store and outlives its connection. */
  readonly persistent: boolean;
  /** v3 Clean Session or v5 Clean Start of its last CONNECT. */
  cleanStart: boolean;
  /** How long it outlives a connection; 0 = not at all. */
  expirySeconds: number;
  keepAliveSeconds: number;
  connectedAtMs: number;
  /** Undefined while connected. */
  disconnectedAtMs: number | undefined;
  disconnectReason: DisconnectReason | undefined;
  /** By filter, as the client wrote it. At most `subscriptionsPerConnectionMax`. */
  readonly subscriptions: Map<string, Granted>;
  /** What waits for it; undefined unless it is persistent. */
  queue: SessionQueue | undefined;
  /** QoS 2 messages that were taken from this client and not released by it yet; made with the first. */
  receipts: Receipts | undefined;
  /** Where deliveries go; undefined while nothing is connected. */
  receiver: Receiver | undefined;
  /** Undefined while nothing is connected. */
  holder: Holder | undefined;
  readonly scope: Scope;
  /** Its appointment with its end. */
  readonly expiry: Timed;
}

/** A CONNECT that was accepted. */
export interface Claim {
  readonly clientId: string;
  /** Of the session that begins, if none is resumed. */
  readonly sessionIdentifier: string;
  readonly version: Version;
  readonly cleanStart: boolean;
  readonly expirySeconds: number;
  readonly keepAliveSeconds: number;
  readonly nowMs: number;
  readonly holder: Holder;
}

export interface Claimed {
  readonly session: Session;
  /** An earlier session goes on. */
  readonly isPresent: boolean;
  /** Until then the client must not be told; undefined = there is nothing to wait for. */
  readonly durable: Promise<void> | undefined;
}

/** When a session ends if nobody connects; undefined while somebody is. */
export const expiresAtMs = ({ disconnectedAtMs, expirySeconds }: Session): number | undefined =>
  disconnectedAtMs === undefined ? undefined : disconnectedAtMs + 1000 * expirySeconds;

const keptOf = (session: Session): KeptSession => session;

/** Everything of one account and region that the broker holds. */
export class Scope {
  readonly account: AccountRegion;
  readonly subscriptions: Subscriptions<Session>;
  readonly #context: BrokerContext;
  readonly #sessions = new Map<string, Session>();
  #persistentCount = 0;
  /** A connection makes room for another of the same client id. */
  #isClaiming = false;
  /** What all queues of the account cost together. */
  readonly #tally: Tally = { bytes: 0 };
  readonly #queues: ReturnType<typeof sessionQueues>;
  /** By shared subscription, as it was written. At most `sharedGroupsMax`. */
  readonly #groups = new Map<string, GroupQueue>();
  readonly #expiry = new Wheel();
  /** Sessions that have expired, while the sweep ends them. */
  readonly #expired: Session[] = [];
  /** Ends of persistent sessions that are not durable yet, by client id. */
  readonly #ending = new Map<string, Promise<void>>();
  /** Client ids whose ended session may still be in the store, because the store failed. At most one per session that there was. */
  readonly #unended = new Set<string>();

  constructor(context: BrokerContext, account: AccountRegion) {
    this.account = account;
    this.#context = context;
    this.#queues = sessionQueues(context, this.#tally);
    this.subscriptions = new Subscriptions(context.limits.dialect);
  }

  /** Sessions of clients that are connected, or kept for clients that are not. */
  get size(): number {
    return this.#sessions.size;
  }

  /** Nothing is lost when it is forgotten. */
  get isEmpty(): boolean {
    return !this.#isClaiming && this.#sessions.size + this.#ending.size + this.#unended.size === 0;
  }

  /** The session of a client that is connected, or that is kept for it. */
  session(clientId: string): Session | undefined {
    const session = this.#sessions.get(clientId);
    if (session === undefined || (expiresAtMs(session) ?? Number.POSITIVE_INFINITY) > this.#context.now())
      return session;
    void this.end(session);
    return undefined;
  }

  /**
   * Resumes or makes the session of a client id, after ending the connection that held it (spec gateway.md 5.4). Undefined when there are too many
   * persistent sessions; then nothing has happened.
   */
  claim(claim: Claim, takenOver: Ending): Claimed | undefined {
    const { clientId, expirySeconds, version, cleanStart } = claim;
    const known = this.session(clientId);
    const isNewcomer = expirySeconds > 0 && !known?.persistent;
    if (isNewcomer && this.#persistentCount >= this.#context.limits.sessionsPerAccountMax) return undefined;
    this.#isClaiming = true;
    known?.holder?.end(takenOver);
    this.#isClaiming = false;
    const former = this.#sessions.get(clientId); // one without expiry ended with its connection
    if (former?.persistent && !cleanStart && former.protocolVersion === version) return this.#resume(former, claim);
    if (former !== undefined) void this.end(former);
    const session = this.#create(
      {
        ...claim,
        epoch: (known?.epoch ?? 0) + 1,
        protocolVersion: version,
        connectedAtMs: claim.nowMs,
        disconnectedAtMs: undefined,
        disconnectReason: undefined,
      },
      expirySeconds > 0 ? nothingLeft : undefined,
    );
    session.holder = claim.holder;
    if (!session.persistent) return { session, isPresent: false, durable: this.#ended(clientId) };
    const durable = this.#context.sessions.keep(this.account, keptOf(session), { isNew: true });
    return { session, isPresent: false, durable };
  }

  #resume(session: Session, { expirySeconds, keepAliveSeconds, nowMs, holder }: Claim): Claimed {
    this.#expiry.cancel(session.expiry);
    session.epoch++;
    session.cleanStart = false;
    session.expirySeconds = expirySeconds;
    session.keepAliveSeconds = keepAliveSeconds;
    session.connectedAtMs = nowMs;
    session.disconnectedAtMs = undefined;
    session.disconnectReason = undefined;
    session.holder = holder;
    const durable = this.#context.sessions.keep(this.account, keptOf(session), { isNew: false });
    return { session, isPresent: true, durable };
  }

  #create(kept: KeptSession, left: Left | undefined): Session {
    const session: Session = {
      clientId: kept.clientId,
      sessionIdentifier: kept.sessionIdentifier,
      epoch: kept.epoch,
      protocolVersion: kept.protocolVersion,
      persistent: left !== undefined,
      cleanStart: kept.cleanStart,
      expirySeconds: kept.expirySeconds,
      keepAliveSeconds: kept.keepAliveSeconds,
      connectedAtMs: kept.connectedAtMs,
      disconnectedAtMs: kept.disconnectedAtMs,
      disconnectReason: kept.disconnectReason,
      subscriptions: new Map(),
      queue: undefined,
      receipts: undefined,
      receiver: undefined,
      holder: undefined,
      scope: this,
      expiry: { slot: 0, due: () => void this.#expired.push(session) },
    };
    if (left !== undefined) {
      this.#persistentCount++;
      session.queue = this.#queueOf(session, left);
    }
    this.#sessions.set(session.clientId, session);
    return session;
  }

  #queueOf({ clientId, protocolVersion }: Session, left: Left): SessionQueue {
    return new SessionQueue(this.#queues, { account: this.account, owner: clientId, version: protocolVersion }, left);
  }

  /** CONNACK is on its way: what waits for the session, or for a group that it is a member of, follows. */
  open(session: Session, receiver: Receiver): void {
    session.receiver = receiver;
    if (session.queue !== undefined) receiver.drain(session.queue);
    for (const filter of session.subscriptions.keys()) this.#groups.get(filter)?.drain();
  }

  /** The claim could not be made durable: a session that began with it ends again, another is left as it was. */
  abandon({ session, isPresent }: Claimed, holder: Holder): void {
    if (session.holder !== holder) return;
    if (!isPresent) session.expirySeconds = 0;
    this.leave(session, holder, 'SERVER_ERROR');
  }

  /** Its connection is gone, unless another has taken it meanwhile. */
  leave(session: Session, holder: Holder, reason: DisconnectReason): void {
    if (session.holder !== holder) return;
    session.receiver = undefined;
    session.holder = undefined;
    session.queue?.detach();
    session.disconnectedAtMs = this.#context.now();
    session.disconnectReason = reason;
    if (!session.persistent || session.expirySeconds === 0) {
      void this.end(session);
      return;
    }
    this.#expiry.schedule(session.expiry, expiresAtMs(session)!);
    this.#context.sessions.keep(this.account, keptOf(session), { isNew: false }).catch(this.#context.trouble);
  }

  /**
   * Ends a session: its subscriptions and what waits for it go, its client id is free. Whoever is connected has to be sent away before. Resolves when
   * that is durable; undefined = there is nothing to wait for.
   */
  end(session: Session): Promise<void> | undefined {
    const { clientId } = session;
    if (this.#sessions.get(clientId) !== session) return this.#ending.get(clientId);
    this.#sessions.delete(clientId);
    this.#expiry.cancel(session.expiry);
    for (const filter of [...session.subscriptions.keys()]) this.unsubscribe(session, filter);
    this.#context.wills.sessionEnded(session);
    session.holder = undefined; // one that still waits for its CONNACK has lost it
    if (!session.persistent) return undefined;
    this.#persistentCount--;
    session.queue?.discard();
    session.queue = undefined; // a message that is still being handed out must not reach it
    return this.#endInStore(clientId);
  }

  /** Resolves when nothing of an ended session is in the store; undefined = nothing is. */
  #ended(clientId: string): Promise<void> | undefined {
    return this.#unended.has(clientId) ? this.#endInStore(clientId) : this.#ending.get(clientId);
  }

  #endInStore(clientId: string): Promise<void> {
    const ended = this.#context.sessions.end(this.account, clientId);
    this.#ending.set(clientId, ended);
    this.#unended.delete(clientId);
    const settle = (): void => {
      if (this.#ending.get(clientId) === ended) this.#ending.delete(clientId);
    };
    ended.then(settle, (error: unknown) => {
      settle();
      if (!this.#sessions.get(clientId)?.persistent) this.#unended.add(clientId);
      this.#context.trouble(error);
    });
    return ended;
  }

  /** Subscribes or replaces; false when a bound of shared groups is reached. The filter is well formed. */
  subscribe(session: Session, filter: string, granted: Granted): boolean {
    const shared = parseShared(filter);
    const added = this.subscriptions.add(session, filter, typeof shared === 'string' ? undefined : shared, granted);
    if (added) session.subscriptions.set(filter, granted);
    if (added && session.receiver !== undefined) this.#groups.get(filter)?.drain();
    return added;
  }

  /** Nothing happens for a filter that is not subscribed. */
  unsubscribe(session: Session, filter: string): void {
    if (!session.subscriptions.delete(filter)) return;
    const shared = parseShared(filter);
    this.subscriptions.remove(session, filter, typeof shared === 'string' ? undefined : shared);
    const group = this.#groups.get(filter);
    if (group !== undefined && !this.#isKept(filter)) {
      this.#groups.delete(filter);
      group.discard();
    }
  }

  receiptsOf(session: Session): Receipts {
    const { persistent, clientId } = session;
    session.receipts ??= new Receipts(
      persistent ? this.#context.sessions.receiptRows(this.account, clientId) : undefined,
    );
    return session.receipts;
  }

  /**
   * Makes subscriptions as durable as their session; `before`: those that were added, replaced or given up, as they were. When the store does not take that,
   * they are so again. Undefined = there is nothing to wait for.
   */
  keepSubscriptions(session: Session, before: Changes): Promise<void> | undefined {
    const { persistent, clientId, subscriptions } = session;
    if (!persistent || before.size === 0) return undefined;
    const after = new Map(Array.from(before.keys(), (filter) => [filter, subscriptions.get(filter)] as const));
    return this.#context.sessions.subscribe(this.account, clientId, after).catch((error: unknown) => {
      this.#takeBack(session, before, after);
      throw error;
    });
  }

  /** What was changed meanwhile stays. Whether the store has the change may be unknown, so that is taken back as well. */
  #takeBack(session: Session, before: Changes, after: Changes): void {
    const { clientId, subscriptions } = session;
    if (this.#sessions.get(clientId) !== session) return;
    const undone = new Map([...before].filter(([filter]) => subscriptions.get(filter) === after.get(filter)));
    for (const [filter, granted] of undone) {
      if (granted === undefined) this.unsubscribe(session, filter);
      else this.subscribe(session, filter, granted);
    }
    if (undone.size > 0) this.#context.sessions.subscribe(this.account, clientId, undone).catch(this.#context.trouble);
  }

  /** What waits for a shared subscription that has a persistent member; undefined for one that has none. */
  group(filter: string): GroupQueue | undefined {
    const known = this.#groups.get(filter);
    if (known !== undefined || !this.#isKept(filter)) return known;
    return this.#openGroup(filter, nothingLeft);
  }

  #openGroup(filter: string, left: Left): GroupQueue {
    const owner = { account: this.account, owner: filter };
    const group = new GroupQueue(this.#context, owner, {
      left,
      tally: this.#tally,
      members: () => this.subscriptions.members(filter),
    });
    this.#groups.set(filter, group);
    return group;
  }

  #isKept(filter: string): boolean {
    return this.subscriptions.members(filter).some(({ subscriber }) => subscriber.persistent);
  }

  /** At the start of the node: a session that the store has. One that was connected counts as disconnected now. */
  restore(kept: KeptSession, nowMs: number): void {
    const session = this.#create({ ...kept, disconnectedAtMs: kept.disconnectedAtMs ?? nowMs }, nothingLeft);
    this.#expiry.schedule(session.expiry, expiresAtMs(session)!);
  }

  restoreReceipt(clientId: string, packetId: number): void {
    const session = this.#sessions.get(clientId);
    if (session?.persistent) this.receiptsOf(session).restore(packetId);
  }

  restoreSubscription(clientId: string, filter: string, granted: Granted): void {
    const session = this.#sessions.get(clientId);
    if (session !== undefined) this.subscribe(session, filter, granted);
  }

  /** What waits for a session or group of the store; what waits for nobody is removed. */
  restoreQueue(owner: string, left: Left): void {
    const session = this.#sessions.get(owner);
    if (session?.persistent) session.queue = this.#queueOf(session, left);
    else if (this.#isKept(owner)) this.#openGroup(owner, left);
    else this.#context.sessions.endQueue({ account: this.account, owner }).catch(this.#context.trouble);
  }

  /** A row of a queue was found to have expired; whether it may be removed. */
  expireRow(owner: string, position: number, cost: number): boolean {
    const queue = this.#sessions.get(owner)?.queue ?? this.#groups.get(owner);
    return queue === undefined || queue.expire(position, cost);
  }

  /** Ends the sessions that have expired, also those whose end the store did not take. Resolves when all that is durable. */
  async sweep(nowMs: number): Promise<void> {
    this.#expiry.tick(nowMs);
    while (this.#expired.length > 0) {
      for (const { clientId } of this.#expired.splice(0, endedPerTurn)) this.session(clientId);
      await setImmediate();
    }
    for (const clientId of [...this.#unended]) {
      if (this.#sessions.get(clientId)?.persistent) this.#unended.delete(clientId);
      else void this.#endInStore(clientId);
    }
    for (const group of this.#groups.values()) group.drain();
    await Promise.all(this.#ending.values());
  }
}
