/**
 * Sessions of one account and region, by client id. A session is what outlives a connection; in this version none does, so a session
 * ends with its connection. `epoch` grows with every take-over of a client id: whoever holds a session of an older epoch has lost it.
 */
import type { Authority, Peer } from './authority.ts';
import type { DisconnectReason, Ending } from './ending.ts';
import type { Version } from './packets/writer.ts';
import type { Receiver } from './receiver.ts';
import { type Granted, type MatchingRules, Subscriptions } from './subscriptions.ts';
import { parseShared } from './topic.ts';

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
  /** Packet identifiers of QoS 2 messages that were taken from this client and not released by it yet; at most 65535. */
  received: Set<number> | undefined;
  /** Where deliveries go; undefined while nothing is connected. */
  receiver: Receiver | undefined;
  /** Undefined while nothing is connected. */
  holder: Holder | undefined;
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

/** Everything of one account and region that the broker holds. */
export class Scope {
  readonly subscriptions: Subscriptions<Session>;
  readonly #sessions = new Map<string, Session>();

  readonly #ended: (session: Session) => void;

  /** `ended` is told of every session that ends. */
  constructor(rules: MatchingRules, ended: (session: Session) => void = () => {}) {
    this.subscriptions = new Subscriptions(rules);
    this.#ended = ended;
  }

  /** Sessions of clients that are connected, or kept for clients that are not. */
  get size(): number {
    return this.#sessions.size;
  }

  get isEmpty(): boolean {
    return this.#sessions.size === 0;
  }

  /** The session of a client that is connected, or that is kept for it. */
  session(clientId: string): Session | undefined {
    return this.#sessions.get(clientId);
  }

  /** Makes the session of a client id and ends the connection that held it (spec gateway.md 5.4). */
  claim(claim: Claim, takenOver: Ending): Session {
    const former = this.#sessions.get(claim.clientId);
    const { clientId, sessionIdentifier, version, cleanStart, keepAliveSeconds, nowMs, holder } = claim;
    const session: Session = {
      clientId,
      sessionIdentifier,
      epoch: (former?.epoch ?? 0) + 1,
      protocolVersion: version,
      persistent: false,
      cleanStart,
      expirySeconds: 0,
      keepAliveSeconds,
      connectedAtMs: nowMs,
      disconnectedAtMs: undefined,
      disconnectReason: undefined,
      subscriptions: new Map(),
      received: undefined,
      receiver: undefined,
      holder,
    };
    this.#sessions.set(clientId, session);
    former?.holder?.end(takenOver);
    return session;
  }

  /** Its connection is gone. */
  leave(session: Session): void {
    session.receiver = undefined;
    session.holder = undefined;
    void this.end(session);
  }

  /**
   * Ends a session: its subscriptions and what waits for it go, its client id is free. Whoever is connected has to be sent away before. Resolves when
   * that is durable; undefined = there is nothing to wait for.
   */
  end(session: Session): Promise<void> | undefined {
    for (const filter of session.subscriptions.keys()) this.unsubscribe(session, filter);
    if (this.#sessions.get(session.clientId) === session) this.#sessions.delete(session.clientId);
    this.#ended(session);
    return undefined;
  }

  /** Subscribes or replaces; false when a bound of shared groups is reached. The filter is well formed. */
  subscribe(session: Session, filter: string, granted: Granted): boolean {
    const shared = parseShared(filter);
    const added = this.subscriptions.add(session, filter, typeof shared === 'string' ? undefined : shared, granted);
    if (added) session.subscriptions.set(filter, granted);
    return added;
  }

  /** Nothing happens for a filter that is not subscribed. */
  unsubscribe(session: Session, filter: string): void {
    if (!session.subscriptions.delete(filter)) return;
    const shared = parseShared(filter);
    this.subscriptions.remove(session, filter, typeof shared === 'string' ? undefined : shared);
  }
}
