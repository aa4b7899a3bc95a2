/**
 * The broker of one node: takes authenticated streams, speaks MQTT 3.1.1 and 5 on them, and carries messages between the clients of one
 * account and region, never between two. What a packet may do is decided in `packets/`, who may come in by `admission.ts`, and who gets a
 * message by `delivery.ts`.
 */
import type { Duplex } from 'node:stream';
import { type AccountRegion, accountKey, sameAccount } from '../aws/arn.ts';
import { type EventLogs, noLogs } from '../journal/log-event.ts';
import type { RecordAttempt } from '../journal/record.ts';
import type { Limits } from '../limits.ts';
import type { Store } from '../store/store.ts';
import { connect } from './admission.ts';
import type { Admit, Authority, Peer } from './authority.ts';
import type { Carrier } from './carrier.ts';
import { Connection, closeGraceMs, type Rules } from './connection.ts';
import type { BrokerContext } from './context.ts';
import { type Control, createControl } from './control.ts';
import { deliver } from './delivery.ts';
import { type Ending, endings } from './ending.ts';
import { createEvents } from './events.ts';
import { FanOutLine } from './fan-out.ts';
import { announceEnd, disconnected as recordEnd } from './lifecycle.ts';
import { expiresAt, Message, type Qos } from './message.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { Outbound } from './outbound.ts';
import { Turn } from './outbox.ts';
import { packetType } from './packets/codes.ts';
import type { ConnectWill } from './packets/connect.ts';
import { disconnected } from './packets/disconnect.ts';
import { Gathering } from './packets/gathering.ts';
import { pingreq } from './packets/pingreq.ts';
import { puback } from './packets/puback.ts';
import { pubcomp } from './packets/pubcomp.ts';
import { publish } from './packets/publish.ts';
import { pubrec } from './packets/pubrec.ts';
import { pubrel } from './packets/pubrel.ts';
import { subscribe } from './packets/subscribe.ts';
import { unsubscribe } from './packets/unsubscribe.ts';
import { encodeMessageProperties, type MessageProperties } from './packets/writer.ts';
import { createQuotas } from './quotas.ts';
import { ReadSlices } from './read-slices.ts';
import { RequestLine } from './request-line.ts';
import { type RequestTopic, RequestTopics } from './requests.ts';
import { Retained } from './retained.ts';
import { publishRetained, whyNotRetained } from './retained-publish.ts';
import { expiresAtMs, Scope } from './session.ts';
import { restore, sweepRows } from './session-restore.ts';
import { SessionStore } from './session-store.ts';
import { VersionNumbers } from './version-numbers.ts';
import { Wheel } from './wheel.ts';
import { Wills } from './wills.ts';

/** How often `sweep` is called. */
export const sweepEveryMs = 10_000;
/** How often time-outs are looked at. */
const tickMs = 1_000;

export interface BrokerOptions {
  readonly limits: Limits;
  readonly admit: Admit;
  readonly record: RecordAttempt;
  /** Told of what ended a connection and is nobody's fault but ours or the world's; for the log, which alone shows the whole error. */
  readonly trouble?: (error: unknown) => void;
  /** Milliseconds by the node's clock. */
  now(): number;
  newId(): string;
  /** Where sessions and retained messages are kept. `migrations` and `retainedMigrations` have run in it. */
  readonly store: Pick<Store, 'db' | 'write' | 'append'>;
  /** Default Math.random. */
  random?(): number;
  /** AWS's limits per unit of time are kept; default: not. */
  readonly rateQuotas?: boolean;
  /** AWS's log events; default: none. */
  readonly logs?: EventLogs;
  /** Reserved topics on which clients ask and features answer; default: none. */
  readonly requestTopics?: readonly RequestTopic[];
}

/** A message that the service itself publishes: no policy is asked for it, only iot:Receive of each receiver. */
export interface ServiceMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: Qos;
  /** Default false. */
  readonly retain?: boolean;
  readonly properties?: MessageProperties & { readonly messageExpirySeconds?: number };
}

/** What the broker holds at this moment, of all accounts. */
export interface BrokerSizes {
  /** Those being admitted among them. */
  readonly connections: number;
  /** Of clients that are connected, or kept for clients that are not. */
  readonly sessions: number;
  readonly retained: number;
  /** In memory for receivers that have not taken or acknowledged it yet; at most about `outboundBytesPerNodeMax`. */
  readonly outboundBytes: number;
}

/** What the broker says about a connected client. */
export interface ConnectedClient {
  readonly account: AccountRegion;
  readonly clientId: string;
  /** The certificateId. */
  readonly principalId: string;
  readonly sessionIdentifier: string;
  readonly connectedAtMs: number;
  readonly keepAliveSeconds: number;
  readonly sourceIp: string;
  readonly sourcePort: number;
}

export interface Broker {
  /** Of MQTT, over WebSocket too. */
  readonly metrics: Metrics;
  /** Of HTTPS publishing and the data API. */
  readonly httpMetrics: Metrics;
  /** Speaks MQTT with an authenticated peer from now on; owns the socket. */
  accept(socket: Carrier, peer: Peer): void;
  /** Resolves when the message is durable where it must be; undefined = there is nothing to wait for. */
  publish(account: AccountRegion, message: ServiceMessage): Promise<void> | undefined;
  /** What calls may do in one account and region. */
  control(account: AccountRegion): Control;
  /** Deletes retained messages that have expired. For the task runner. */
  sweepRetained(nowMs: number): Promise<void>;
  /** Clients whose CONNECT was accepted, of one account or of all. */
  connections(account?: AccountRegion): ConnectedClient[];
  sizes(): BrokerSizes;
  /** Reads the sessions that are kept. To be awaited before the first `accept`. Faults: StoreUnavailable. */
  open(): Promise<void>;
  /** Removes sessions and waiting messages that have expired; resolves when that is durable. For a task, and whoever moves the clock. */
  sweep(nowMs: number): Promise<void>;
  /** Acts on every time-out that is due at `nowMs`. The broker calls it each second; whoever moves the clock calls it too. */
  tick(nowMs: number): void;
  /** Says goodbye to all clients, publishes their wills, and resolves when the sockets are closed, after `graceMs` at the latest. */
  close(graceMs?: number): Promise<void>;
}

export const createBroker = ({
  random = Math.random,
  trouble = () => undefined,
  logs = noLogs,
  rateQuotas = false,
  requestTopics = [],
  store,
  ...options
}: BrokerOptions): Broker => {
  const metrics = createMetrics();
  const httpMetrics = createMetrics();
  const wheel = new Wheel();
  const wills = new Wills({ wheel, now: options.now, honoursDelay: options.limits.dialect.willDelay });
  const retained = new Retained({
    store,
    retainedPerAccountMax: options.limits.retainedPerAccountMax,
    hashMatchesParent: options.limits.dialect.hashMatchesParent,
    now: options.now,
  });
  const context: BrokerContext = {
    ...options,
    random,
    trouble,
    metrics,
    httpMetrics,
    logs,
    events: createEvents({
      now: options.now,
      publish: (account, topic, payload) => publishEvent(context, scopes.get(accountKey(account)), { topic, payload }),
    }),
    versionNumbers: new VersionNumbers(),
    retained,
    quotas: rateQuotas ? createQuotas() : undefined,
    wheel,
    wills,
    sessions: new SessionStore(store),
    turn: new Turn(),
    effort: { units: 0 },
    slices: new ReadSlices(),
    fanOuts: new FanOutLine(),
    requestTopics: new RequestTopics(requestTopics),
    requestLine: new RequestLine(),
    gathering: new Gathering(options.limits.partialPacketBytesPerNodeMax),
    outbound: new Outbound(options.limits.outboundBytesPerNodeMax, () => [...connections, ...lingering]),
  };
  const scopes = new Map<string, Scope>();
  const connections = new Set<Connection>();
  /** Ended, but their last bytes are still to be taken. */
  const lingering = new Set<Connection>();
  const sockets = new Set<Duplex>();
  let closing = false;

  /** Scopes live as long as they hold a session. */
  const scopeOf = (account: AccountRegion): Scope => {
    const key = accountKey(account);
    const known = scopes.get(key);
    if (known !== undefined) return known;
    const scope = new Scope(context, account);
    scopes.set(key, scope);
    return scope;
  };

  const rules: Readonly<Record<number, Rules>> = {
    [packetType.connect]: (connection) => connect(connection, scopeOf),
    [packetType.publish]: publish,
    [packetType.puback]: puback,
    [packetType.pubrec]: pubrec,
    [packetType.pubrel]: pubrel,
    [packetType.pubcomp]: pubcomp,
    [packetType.subscribe]: subscribe,
    [packetType.unsubscribe]: unsubscribe,
    [packetType.pingreq]: pingreq,
    [packetType.disconnect]: disconnected,
  };
  /** The reader lets no other type pass. */
  const apply: Rules = (connection) => rules[connection.reader.first >> 4]?.(connection);

  /** Delivers to whoever is there at this moment. */
  const deliverNow = (account: AccountRegion, message: Message): Promise<void> | undefined => {
    const scope = scopes.get(accountKey(account));
    return scope && deliver(context, scope.subscriptions.route(message.topic), message);
  };

  const publishWill = (connection: Connection, will: ConnectWill, { account }: Authority): void => {
    const message = messageOf(will, context.now());
    if (!will.retain) {
      deliverNow(account, message);
      return;
    }
    publishRetained(context, { account, message, metrics }, () => deliverNow(account, message)).catch(
      (error: unknown) => {
        connection.record('Publish-In', { status: 'Failure', ...whyNotRetained(error) });
        trouble(error);
      },
    );
  };

  const ended = (connection: Connection, ending: Ending): void => {
    connections.delete(connection);
    if (connection.heldBytes > 0) lingering.add(connection);
    recordEnd(connection, ending);
    const { client } = connection;
    if (client === undefined) return;
    const { will, scope, session } = client;
    client.receiver.close();
    scope.leave(session, connection, ending.disconnectReason);
    announceEnd(connection, ending, session.persistent ? expiresAtMs(session) : undefined);
    if (will !== undefined && !ending.withoutWill)
      wills.owe(session, will, () => publishWill(connection, will, client.authority));
    if (scope.isEmpty) scopes.delete(accountKey(client.authority.account));
  };

  const timer = setInterval(() => context.wheel.tick(context.now()), tickMs);
  timer.unref();

  const broker: Broker = {
    metrics,
    httpMetrics,
    accept(socket, peer) {
      if (closing || socket.destroyed) {
        socket.destroy();
        return;
      }
      sockets.add(socket);
      const connection = new Connection(context, { socket, peer }, apply, ended);
      connections.add(connection);
      socket.once('close', () => {
        sockets.delete(socket);
        lingering.delete(connection);
      });
    },
    publish(account, { topic, payload, qos, retain = false, properties = {} }) {
      if (!retain && !scopes.has(accountKey(account))) return undefined;
      const source = Buffer.from(payload);
      const message = new Message({
        topic,
        qos,
        retain,
        source,
        payloadStart: 0,
        payloadEnd: source.length,
        properties: encodeMessageProperties(properties),
        expiresAtMs: expiresAt(properties.messageExpirySeconds, context.now()),
      });
      if (!retain) return deliverNow(account, message);
      return publishRetained(context, { account, message, metrics: httpMetrics }, () => deliverNow(account, message));
    },
    control: (account) =>
      createControl({
        account,
        context,
        scope: () => scopes.get(accountKey(account)),
        publish: (message) => broker.publish(account, message),
      }),
    sweepRetained: (nowMs) => retained.sweep(nowMs),
    connections: (account) => [...connections].flatMap((connection) => describe(connection, account)),
    sizes: () => ({
      connections: connections.size,
      sessions: [...scopes.values()].reduce((sum, { size }) => sum + size, 0),
      retained: retained.size,
      outboundBytes: context.outbound.bytes,
    }),
    open: () => restore(context, scopeOf),
    async sweep(nowMs) {
      await Promise.all(Array.from(scopes.values(), (scope) => scope.sweep(nowMs)));
      await sweepRows(context, (account) => scopes.get(accountKey(account)));
      for (const [key, scope] of scopes) if (scope.isEmpty) scopes.delete(key);
    },
    tick: (nowMs) => context.wheel.tick(nowMs),
    async close(graceMs = closeGraceMs) {
      closing = true;
      context.fanOuts.finish();
      for (const connection of [...connections]) connection.end(endings.shutDown);
      wills.publishAll();
      context.fanOuts.finish();
      const closed = [...sockets].map(
        (socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())),
      );
      let late: NodeJS.Timeout | undefined;
      const grace = new Promise<void>((resolve) => {
        late = setTimeout(resolve, graceMs);
      });
      await Promise.race([Promise.all([...closed, retained.settled()]), grace]);
      clearTimeout(late);
      clearInterval(timer);
      for (const socket of sockets) socket.destroy();
      await context.sessions.appends.drained();
    },
  };
  return broker;
};

/** Looked up past the remembered routes: each client has event topics of its own, and hardly any is used twice. */
const publishEvent = (
  context: BrokerContext,
  scope: Scope | undefined,
  { topic, payload }: { readonly topic: string; payload(): Buffer },
): void => {
  const receivers = scope?.subscriptions.match(topic);
  if (receivers === undefined || (receivers.matches.length === 0 && receivers.groups.length === 0)) return;
  const source = payload();
  const message = new Message({
    topic,
    qos: 1,
    source,
    payloadStart: 0,
    payloadEnd: source.length,
    expiresAtMs: Number.POSITIVE_INFINITY,
  });
  deliver(context, receivers, message)?.catch(context.trouble);
};

/** A will becomes a message when it is published: its expiry begins then (spec gateway.md 5.7). */
const messageOf = (will: ConnectWill, nowMs: number): Message =>
  new Message({
    topic: will.topic,
    qos: will.qos,
    retain: will.retain,
    source: will.payload,
    payloadStart: 0,
    payloadEnd: will.payload.length,
    properties: will.properties.forwarded,
    expiresAtMs: expiresAt(will.properties.messageExpiry, nowMs),
  });

const describe = ({ client, peer }: Connection, account: AccountRegion | undefined): ConnectedClient[] => {
  if (client === undefined || (account !== undefined && !sameAccount(account, client.authority.account))) return [];
  const { clientId, authority, session, connectedAtMs, keepAliveSeconds } = client;
  return [
    {
      account: authority.account,
      clientId,
      principalId: authority.principalId,
      sessionIdentifier: session.sessionIdentifier,
      connectedAtMs,
      keepAliveSeconds,
      sourceIp: peer.remoteAddress,
      sourcePort: peer.remotePort,
    },
  ];
};
