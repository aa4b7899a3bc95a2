/**
 * What the operations of the data plane ask of the broker, for one account and region at a time: publish, look at retained messages, and look at, end
 * or speak to one client by its id. Nothing here asks who wants to know: that is decided before (spec gateway.md 3, 4).
 */
import { type AccountRegion, accountKey } from '../aws/arn.ts';
import type { Limits } from '../limits.ts';
import type { BrokerContext } from './context.ts';
import { type DisconnectReason, endings } from './ending.ts';
import { Message, type Qos } from './message.ts';
import type { Metrics } from './metrics.ts';
import { readUserProperties } from './packets/properties.ts';
import { encodeMessageProperties, type MessageProperties } from './packets/writer.ts';
import type { DirectDelivery } from './receiver.ts';
import { RetainedFull } from './retained-publish.ts';
import type { Scope, Session } from './session.ts';

/** A message that comes in by a call. Its topic is well formed and not reserved. */
export interface CalledMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: Qos;
  readonly retain: boolean;
  readonly properties: MessageProperties & { readonly messageExpirySeconds?: number };
}

/** A retained message, as it is now. */
export interface Retained {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: number;
  readonly updatedAtMs: number;
  /** In order; names may repeat. */
  readonly userProperties: readonly (readonly [name: string, value: string])[];
}

/** A retained message without its payload. */
export interface RetainedSummary {
  readonly topic: string;
  readonly payloadBytes: number;
  readonly qos: number;
  readonly updatedAtMs: number;
}

/** A client that is connected, or whose session is kept. */
export interface ClientState {
  readonly clientId: string;
  /** Its session ends with its connection. */
  readonly isClean: boolean;
  /** How long the session outlives a connection; 0 for a clean one. */
  readonly sessionExpirySeconds: number;
  /** Undefined while nothing is connected. */
  readonly connection:
    | {
        /** The thing that is attached to its certificate, if there is one. */
        readonly thingName: string | undefined;
        readonly keepAliveSeconds: number;
        readonly connectedAtMs: number;
        readonly sourceIp: string;
        readonly sourcePort: number;
        /** This end of the connection, where the listener told. */
        readonly targetIp: string | undefined;
        readonly targetPort: number | undefined;
      }
    | undefined;
  /** Of a session without a connection, as far as it is remembered. */
  readonly disconnected: { readonly atMs: number; readonly reason: DisconnectReason | undefined } | undefined;
}

export interface SubscriptionState {
  /** As the client wrote it, with `$share/...`. */
  readonly filter: string;
  readonly qos: number;
}

/**
 * What became of a direct message. `sent`: handed to the connection (QoS 0). `acknowledged`: the client said so. `forbidden`: the client may not receive
 * on this topic. `offline`: nobody is connected by that id; `dormant`: nobody is, but its session is kept. `unconfirmed`: no acknowledgement in time,
 * or the connection ended before it. `tooLarge`: larger than the client takes. `congested`: the client reads too slowly.
 */
export type DirectOutcome = DirectDelivery | 'offline' | 'dormant';

/** `full`: the account keeps as many messages as it may. `tooSoon`: the topic was retained less than a second ago, under `--rate-quotas aws`. */
export type PublishOutcome = 'published' | 'full' | 'tooSoon';

/** The broker as the calls of one account and region see it: nothing of another is within reach. */
export interface Control {
  readonly limits: Limits;
  readonly metrics: Metrics;
  /** Resolves when the message is as durable as its receivers need it, and is on its way to them; or else nothing has happened. */
  publish(message: CalledMessage): Promise<PublishOutcome>;
  findRetained(topic: string): Promise<Retained | undefined>;
  /** In topic order, the first after `after` ('' starts at the first). */
  listRetained(page: { readonly after: string; readonly limit: number }): Promise<readonly RetainedSummary[]>;
  findClient(clientId: string): ClientState | undefined;
  /** In filter order; undefined when there is no such client. */
  findSubscriptions(clientId: string): readonly SubscriptionState[] | undefined;
  /** Ends the connection of a client and, if asked, its session. False when there was neither. */
  disconnect(
    clientId: string,
    how: { readonly cleanSession: boolean; readonly preventWillMessage: boolean },
  ): Promise<boolean>;
  /** Sends a message to one client, subscribed or not. QoS 1 and an acknowledgement within `confirmMs`, or without it QoS 0. */
  send(
    clientId: string,
    message: Omit<CalledMessage, 'qos' | 'retain'>,
    confirmMs: number | undefined,
  ): Promise<DirectOutcome>;
}

/** What a control needs of the broker that it belongs to. */
export interface ControlParts {
  readonly account: AccountRegion;
  readonly context: BrokerContext;
  /** The scope of its account and region; undefined while nothing is there. */
  readonly scope: () => Scope | undefined;
  readonly publish: (message: CalledMessage) => Promise<void> | undefined;
}

export const createControl = ({ account, context, scope, publish }: ControlParts): Control => {
  /** A client that is there, in a session that has not expired. */
  const find = (clientId: string): Session | undefined => scope()?.session(clientId);

  return {
    limits: context.limits,
    metrics: context.httpMetrics,
    async publish(message) {
      const { quotas, now } = context;
      const key = `${accountKey(account)}/${message.topic}`;
      if (message.retain && quotas?.retains.take(key, now()) === false) {
        context.httpMetrics['PublishRetained.Throttle']++;
        return 'tooSoon';
      }
      try {
        await publish(message);
        return 'published';
      } catch (error) {
        if (error instanceof RetainedFull) return 'full';
        throw error;
      }
    },
    async findRetained(topic) {
      const found = await context.retained.find(account, topic);
      return found && { ...found, userProperties: readUserProperties(found.properties) };
    },
    listRetained: (page) => context.retained.list(account, page),
    findClient(clientId) {
      const session = find(clientId);
      return session && stateOf(session);
    },
    findSubscriptions: (clientId) => {
      const session = find(clientId);
      return session && subscriptionsOf(session);
    },
    async disconnect(clientId, { cleanSession, preventWillMessage }) {
      const session = find(clientId);
      if (session === undefined) return false;
      session.holder?.end({ ...endings.byCall, withoutWill: preventWillMessage });
      if (cleanSession && session.persistent) await scope()?.end(session);
      return true;
    },
    async send(clientId, message, confirmMs) {
      const session = find(clientId);
      if (session === undefined) return 'offline';
      return session.receiver?.direct(messageOf(message), confirmMs) ?? 'dormant';
    },
  };
};

/** A direct message does not expire for its receiver, who gets it now or never. */
const messageOf = ({ topic, payload, properties }: Omit<CalledMessage, 'qos' | 'retain'>): Message => {
  const source = Buffer.from(payload);
  return new Message({
    topic,
    qos: 1,
    source,
    payloadStart: 0,
    payloadEnd: source.length,
    properties: encodeMessageProperties(properties),
    expiresAtMs: Number.POSITIVE_INFINITY,
  });
};

const stateOf = (session: Session): ClientState => {
  const { clientId, persistent, expirySeconds, holder, disconnectedAtMs } = session;
  const { peer, authority } = holder ?? {};
  return {
    clientId,
    isClean: !persistent,
    sessionExpirySeconds: persistent ? expirySeconds : 0,
    connection: peer && {
      thingName: authority?.facts()['thingName'],
      keepAliveSeconds: session.keepAliveSeconds,
      connectedAtMs: session.connectedAtMs,
      sourceIp: peer.remoteAddress,
      sourcePort: peer.remotePort,
      targetIp: peer.local?.address,
      targetPort: peer.local?.port,
    },
    disconnected:
      holder === undefined && disconnectedAtMs !== undefined
        ? { atMs: disconnectedAtMs, reason: session.disconnectReason }
        : undefined,
  };
};

const subscriptionsOf = ({ subscriptions }: Session): readonly SubscriptionState[] =>
  [...subscriptions].map(([filter, { qos }]) => ({ filter, qos })).sort((a, b) => (a.filter < b.filter ? -1 : 1));
