/**
 * Sessions of one account and region, by client id. A session is what outlives a connection; in this version none does, so a session
 * ends with its connection. `epoch` grows with every take-over of a client id: whoever holds a session of an older epoch has lost it.
 */
import type { Receiver } from './receiver.ts';
import { type Granted, Subscriptions } from './subscriptions.ts';
import { parseShared } from './topic.ts';

export interface Session {
  readonly clientId: string;
  /** For the life of the session; the sessionIdentifier of life-cycle events. */
  readonly sessionIdentifier: string;
  readonly epoch: number;
  /** By filter, as the client wrote it. At most `subscriptionsPerConnectionMax`. */
  readonly subscriptions: Map<string, Granted>;
  /** Where deliveries go; undefined while nothing is connected. */
  receiver: Receiver | undefined;
}

interface Owner {
  readonly session: Session;
  readonly takenOver: () => void;
}

/** Everything of one account and region that the broker holds. */
export class Scope {
  readonly subscriptions = new Subscriptions<Session>();
  readonly #owners = new Map<string, Owner>();

  get isEmpty(): boolean {
    return this.#owners.size === 0;
  }

  /** Makes the session of a client id and ends whoever held it, by `takenOver` of the former owner (spec gateway.md 5.4). */
  claim(clientId: string, sessionIdentifier: string, takenOver: () => void): Session {
    const former = this.#owners.get(clientId);
    const session: Session = {
      clientId,
      sessionIdentifier,
      epoch: (former?.session.epoch ?? 0) + 1,
      subscriptions: new Map(),
      receiver: undefined,
    };
    this.#owners.set(clientId, { session, takenOver });
    former?.takenOver();
    return session;
  }

  /** Ends a session: its subscriptions go, its client id is free. */
  leave(session: Session): void {
    session.receiver = undefined;
    for (const filter of session.subscriptions.keys()) this.unsubscribe(session, filter);
    if (this.#owners.get(session.clientId)?.session === session) this.#owners.delete(session.clientId);
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
