/**
 * From a CONNECT packet to a client, or to a refusal, in this order: who is it (the registry), may anybody ask for this (limits, versions,
 * features), may this principal (policies), and only then is a former owner of the client id dropped. v5 is refused with a CONNACK, v3
 * mostly by a close. Source: spec gateway.md 1.5, 5.1 to 5.4.
 */
import { type AccountRegion, accountKey } from '../aws/arn.ts';
import type { JournalRecord, Reason } from '../journal/record.ts';
import { AliasingOutbox } from './aliasing-outbox.ts';
import type { ConnectFacts } from './authority.ts';
import type { Client } from './client.ts';
import type { Connection } from './connection.ts';
import { endings, takenOverBy } from './ending.ts';
import { connected, connectFailed } from './lifecycle.ts';
import type { Outlet } from './outbox.ts';
import { code } from './packets/codes.ts';
import { type ConnectPacket, type ConnectWill, readConnect, UnsupportedVersion } from './packets/connect.ts';
import { connackAccepted, connackRefused } from './packets/writer.ts';
import { connectionRates } from './quotas.ts';
import { Receiver } from './receiver.ts';
import { isReserved } from './reserved.ts';
import { allows, denial, recordDenial } from './rights.ts';
import type { Claim, Claimed, Scope } from './session.ts';
import { faultOfTopic, limitOf, retainedLimitOf } from './topic.ts';

/** Finds or makes the scope of an account and region. */
export type ScopeOf = (account: AccountRegion) => Scope;

/** A refusal after admission: v5 CONNACK reason code; v3 CONNACK return code, or a silent close when absent. */
interface Refusal extends Partial<JournalRecord> {
  readonly reason: Reason;
  readonly v5: number;
  readonly v3?: number;
}

const v3UnacceptableVersion = 1;
const v3IdentifierRejected = 2;
const v3ServerUnavailable = 3;

/** The rules of CONNECT: reads it and starts admission; reading goes on when it is decided. */
export const connect = (connection: Connection, scopeOf: ScopeOf): void => {
  let packet: ConnectPacket;
  try {
    packet = readConnect(connection.reader);
  } catch (error) {
    if (error instanceof UnsupportedVersion) {
      const refused = connackRefused(4, v3UnacceptableVersion);
      connection.outbox.append(refused, 0, refused.length);
    }
    throw error;
  }
  const { properties } = packet;
  connection.wantsReasons = properties.requestProblemInformation !== 0;
  connection.packetBytesMax = properties.maximumPacketSize ?? Number.POSITIVE_INFINITY;
  connection.readAfter(admitted(connection, packet, scopeOf), 'admission');
};

const admitted = async (connection: Connection, packet: ConnectPacket, scopeOf: ScopeOf): Promise<void> => {
  try {
    const assigned = packet.clientId === '' && (packet.version === 5 || packet.clean);
    const clientId = assigned ? `$GEN/${connection.context.newId()}` : packet.clientId;
    connection.clientId = clientId;
    if (!(await authenticated(connection, factsOf(clientId, packet)))) return;
    const refusal = await judged(connection, packet, assigned);
    if (connection.isEnded) return;
    if (refusal === undefined) await open(connection, packet, { assigned, scopeOf });
    else refuse(connection, refusal);
  } catch (error) {
    if (connection.isEnded) return;
    const { version } = connection;
    connection.send(connackRefused(version, version === 4 ? v3ServerUnavailable : code.unspecified));
    connection.failed(error);
  }
};

const isPersistent = ({ version, clean, properties }: ConnectPacket): boolean =>
  version === 4 ? !clean : (properties.sessionExpiry ?? 0) > 0;

/** How long the session outlives its connection (spec gateway.md 5.3). */
const expiryOf = (packet: ConnectPacket, { sessionExpirySecondsMax }: Connection['context']['limits']): number => {
  if (!isPersistent(packet)) return 0;
  return Math.min(packet.properties.sessionExpiry ?? sessionExpirySecondsMax, sessionExpirySecondsMax);
};

const factsOf = (clientId: string, packet: ConnectPacket): ConnectFacts => ({
  clientId,
  connectAttributes: [
    ...(isPersistent(packet) ? (['PersistentConnect'] as const) : []),
    ...(packet.will ? (['LastWill'] as const) : []),
  ],
  lastWillTopic: packet.will?.topic,
});

/** Asks who the peer is. A refused one is closed before any CONNACK. */
const authenticated = async (connection: Connection, facts: ConnectFacts): Promise<boolean> => {
  const admission = await connection.context.admit(connection.peer, facts);
  if ('authority' in admission) {
    const { authority } = admission;
    if (connection.isEnded) {
      authority.release();
      return false;
    }
    connection.authority = authority;
    authority.onLost((failure) => connection.end({ ...endings.unauthorized, failure }));
    return !connection.isEnded;
  }
  if (connection.isEnded) return false;
  connection.context.metrics['Connection.AuthNError']++;
  const { refusal, account, detail, steps, facts: known } = admission;
  connection.record('Connection.AuthNError', {
    status: 'Failure',
    reason: refusal,
    tls: connection.peer.tls,
    ...(account && { account }),
    ...(detail !== undefined && { detail }),
    ...(steps && { steps }),
    ...(known && { facts: known }),
  });
  connection.end({ disconnectReason: 'AUTH_ERROR' });
  return false;
};

/** What is wrong with the request, by the first rule that it breaks; undefined = nothing. */
const judged = async (
  connection: Connection,
  packet: ConnectPacket,
  assigned: boolean,
): Promise<Refusal | undefined> => {
  const { clientId, context } = connection;
  const authority = connection.authority!;
  const { will } = packet;
  if (packet.properties.authenticationMethod !== undefined) {
    return { reason: 'NOT_AVAILABLE', detail: 'Authentication Method', v5: code.badAuthenticationMethod };
  }
  const badClientId = assigned ? undefined : faultOfClientId(clientId, isPersistent(packet), context.limits);
  if (badClientId !== undefined) {
    return { reason: 'CLIENT_ID_INVALID', detail: badClientId, v5: code.clientIdInvalid, v3: v3IdentifierRejected };
  }
  const badWill = will && faultOfWill(will, context.limits);
  if (badWill !== undefined) return badWill;

  for (let stale = authority.stale(); stale !== undefined; stale = authority.stale()) {
    await stale;
    if (connection.isEnded) return undefined;
  }
  if (!allows(authority, 'iot:Connect', clientId)) {
    return { ...denial(authority, 'iot:Connect', clientId), v5: code.notAuthorized };
  }
  if (will !== undefined && !allows(authority, 'iot:Publish', will.topic)) {
    return { ...denial(authority, 'iot:Publish', will.topic), v5: code.notAuthorized };
  }
  if (will?.retain && !allows(authority, 'iot:RetainPublish', will.topic)) {
    return { ...denial(authority, 'iot:RetainPublish', will.topic), v5: code.notAuthorized };
  }
  // Assumed: v3 is told to come back later.
  if (context.quotas?.connects.take(`${accountKey(authority.account)} ${clientId}`, context.now()) === false) {
    return { reason: 'THROTTLED', detail: 'connectIntervalMs', v5: code.quotaExceeded, v3: v3ServerUnavailable };
  }
  return undefined;
};

const faultOfClientId = (
  clientId: string,
  isKept: boolean,
  { clientIdBytesMax, keptClientIdBytesMax }: Connection['context']['limits'],
): string | undefined => {
  if (clientId === '') return 'empty client id without clean session'; // [MQTT-3.1.3-8]
  if (clientId.startsWith('$')) return 'a client id may not begin with $';
  const bytes = Buffer.byteLength(clientId);
  if (bytes > clientIdBytesMax) return 'clientIdBytesMax';
  return isKept && bytes > keptClientIdBytesMax ? 'keptClientIdBytesMax' : undefined;
};

const faultOfWill = (will: ConnectWill, limits: Connection['context']['limits']): Refusal | undefined => {
  if (will.qos > limits.dialect.qosMax) {
    return { reason: 'CLIENT_ERROR', detail: 'will QoS 2', v5: code.qosNotSupported };
  }
  const fault =
    faultOfTopic(will.topic) ?? (isReserved(will.topic, limits.dialect) ? 'will on a reserved topic' : undefined);
  if (fault !== undefined) return { reason: 'CLIENT_ERROR', detail: `will: ${fault}`, v5: code.topicNameInvalid };
  const limit = limitOf(will.topic, limits) ?? (will.retain ? retainedLimitOf(will.topic, limits) : undefined);
  if (limit !== undefined) return { reason: 'LIMIT_EXCEEDED', detail: limit, v5: code.topicNameInvalid };
  if (will.payload.length <= limits.payloadBytesMax) return undefined;
  return { reason: 'LIMIT_EXCEEDED', detail: 'payloadBytesMax', v5: code.quotaExceeded };
};

const refuse = (connection: Connection, { v5, v3, ...why }: Refusal): void => {
  connectFailed(connection, why);
  if (connection.version === 5) connection.reply((reason) => connackRefused(5, v5, reason), why.detail ?? why.reason);
  else if (v3 !== undefined) connection.send(connackRefused(4, v3));
  connection.end({ disconnectReason: why.reason === 'AUTHORIZATION_FAILURE' ? 'AUTH_ERROR' : 'CLIENT_ERROR' });
};

/** Seconds that the server lets a client be silent, before the factor 1.5 (spec gateway.md 5.2); 0 = any time. */
const effectiveKeepAlive = (asked: number, { limits }: Connection['context']): number => {
  if (asked === 0) return limits.dialect.keepAliveMayBeOff ? 0 : limits.keepAliveSecondsMax;
  return Math.min(Math.max(asked, limits.keepAliveSecondsMin), limits.keepAliveSecondsMax);
};

/** Where messages for the client go: with topic aliases if it allows them and the dialect has them. */
const outletOf = ({ outbox, packetBytesMax, context }: Connection, { properties }: ConnectPacket): Outlet => {
  const { dialect, topicAliasMax } = context.limits;
  const aliasesMax = dialect.outboundTopicAliases ? Math.min(properties.topicAliasMaximum ?? 0, topicAliasMax) : 0;
  return aliasesMax === 0 ? outbox : new AliasingOutbox(outbox, { aliasesMax, packetBytesMax });
};

/** The client gets its session, and then its CONNACK: later, if the store has to know before. */
const open = async (
  connection: Connection,
  packet: ConnectPacket,
  { assigned, scopeOf }: { assigned: boolean; scopeOf: ScopeOf },
): Promise<void> => {
  const { context, clientId } = connection;
  const { limits } = context;
  const authority = connection.authority!;
  const keepAliveSeconds = effectiveKeepAlive(packet.keepAliveSeconds, context);
  const expirySeconds = expiryOf(packet, limits);
  const asked = packet.properties.sessionExpiry ?? 0;
  const accepted = (sessionPresent: boolean): Buffer =>
    connackAccepted(packet.version, {
      sessionPresent,
      qosMax: limits.dialect.qosMax,
      subscriptionIdentifiers: limits.dialect.subscriptionIdentifiers,
      receiveMaximum: limits.inflightMax,
      packetBytesMax: limits.packetBytesMax,
      topicAliasMax: limits.topicAliasMax,
      keepAliveSeconds,
      ...(asked !== expirySeconds && { sessionExpirySeconds: expirySeconds }),
      ...(assigned && { assignedClientId: clientId }),
    });
  if (accepted(false).length > connection.packetBytesMax) {
    connectFailed(connection, { reason: 'CLIENT_ERROR', detail: 'Maximum Packet Size has no room for CONNACK' });
    connection.end({ disconnectReason: 'CLIENT_ERROR' });
    return;
  }
  const scope = scopeOf(authority.account);
  const claim: Claim = {
    clientId,
    sessionIdentifier: context.newId(),
    version: packet.version,
    cleanStart: packet.clean,
    expirySeconds,
    keepAliveSeconds,
    nowMs: context.now(),
    holder: connection,
  };
  const claimed = scope.claim(claim, takenOverBy(connection.peer, authority.principalId));
  if (claimed === undefined) {
    const why = { reason: 'LIMIT_EXCEEDED', detail: 'sessionsPerAccountMax' } as const;
    refuse(connection, { ...why, v5: code.quotaExceeded, v3: v3ServerUnavailable });
    return;
  }
  const { session, isPresent, durable } = claimed;
  if (isPresent) context.wills.resumed(session);
  if (durable !== undefined && !(await isDurable(connection, scope, claimed))) return;
  if (context.quotas !== undefined) connection.rates = connectionRates(context.now());
  const receiver = new Receiver(context, {
    version: packet.version,
    authority,
    outbox: outletOf(connection, packet),
    packetBytesMax: connection.packetBytesMax,
    sentMax: Math.min(packet.properties.receiveMaximum ?? 65_535, limits.inflightMax),
    traffic: connection.traffic,
    rates: connection.rates,
    record: (fields) => connection.record('Publish-Out', { status: 'Failure', ...fields }),
    denied: (topic) => recordDenial(connection, 'Publish-Out', { authority, action: 'iot:Receive', name: topic }),
    congested: () => connection.congested(),
    failed: (error) => connection.failed(error),
  });
  const client: Client = {
    clientId,
    authority,
    scope,
    session,
    receiver,
    sender: { session, publisher: connection },
    will: packet.will,
    keepAliveSeconds,
    connectedAtMs: context.now(),
    rights: new Map(),
    lastRight: undefined,
    acknowledgements: undefined,
    requests: undefined,
    aliases: [],
  };
  connection.send(accepted(isPresent));
  connection.opened(client);
  connected(connection);
  authority.connected?.();
  scope.open(session, receiver);
};

/** Waits for the store; false when the connection has ended meanwhile. */
const isDurable = async (connection: Connection, scope: Scope, claimed: Claimed): Promise<boolean> => {
  try {
    await claimed.durable;
  } catch (error) {
    scope.abandon(claimed, connection);
    throw error;
  }
  if (!connection.isEnded) return true;
  scope.leave(claimed.session, connection, 'CONNECTION_LOST');
  return false;
};
