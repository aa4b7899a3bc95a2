/**
 * What the world learns of connections coming and going: the journal, the counters, the account's log and the life-cycle events on
 * `$aws/events/...` (spec gateway.md 7, 8).
 */
import type { JournalRecord } from '../journal/record.ts';
import type { Connection } from './connection.ts';
import { type DisconnectReason, type Ending, peerText } from './ending.ts';
import { type EventSubject, noSession } from './events.ts';
import { versionKeptMs } from './version-numbers.ts';

const factsOf = ({ authority }: Connection): Pick<JournalRecord, 'facts'> =>
  authority ? { facts: authority.facts() } : {};

/** The connection as events name it. Its authority is known. */
const subjectOf = (connection: Connection): EventSubject => {
  const authority = connection.authority!;
  return {
    account: authority.account,
    clientId: connection.clientId,
    principalIdentifier: authority.principalId,
    sessionIdentifier: connection.client?.session.sessionIdentifier ?? noSession,
    thingName: () => authority.facts().exclusiveThingName,
  };
};

/** CONNECT was accepted and CONNACK is on its way. The record keeps what the registry had attached, so that a cure can bring it back when it is gone. */
export const connected = (connection: Connection): void => {
  const { context, clientId, peer } = connection;
  context.metrics['Connect.Success']++;
  connection.record('Connect', { status: 'Success', tls: peer.tls, ...factsOf(connection) });
  const subject = subjectOf(connection);
  connection.versionNumber = context.versionNumbers.next(subject.account, clientId, context.now());
  context.events.connected(subject, { ipAddress: peer.remoteAddress, versionNumber: connection.versionNumber });
};

/** A connection is gone. The record is a failure only when its cause is not in the journal yet: one failure per cause. */
export const disconnected = (connection: Connection, ending: Ending): void => {
  const { failure, disconnectReason, detail, successor } = ending;
  const eventType = connection.client === undefined ? 'Connect' : 'Disconnect';
  if (failure !== undefined) {
    connection.record(eventType, {
      status: 'Failure',
      reason: failure,
      detail: detail ?? disconnectReason,
      facts: { ...connection.authority?.facts(), ...(successor !== undefined && { successor }) },
    });
  } else if (connection.client !== undefined) {
    connection.record(eventType, { status: 'Success', detail: disconnectReason });
  }
};

/** Ends that nobody is to blame for. */
const isOrdinary = (reason: DisconnectReason): boolean =>
  reason === 'CLIENT_INITIATED_DISCONNECT' ||
  reason === 'API_INITIATED_DISCONNECT' ||
  reason === 'SERVER_INITIATED_DISCONNECT';

/**
 * A client is gone and no longer among the receivers: its log event, and the life-cycle event. `sessionUntilMs`: when the session that it leaves
 * behind expires; absent: it leaves none.
 */
export const announceEnd = (connection: Connection, ending: Ending, sessionUntilMs?: number): void => {
  const { context, clientId, peer, versionNumber } = connection;
  const subject = subjectOf(connection);
  const { account } = subject;
  const { disconnectReason, failure, detail, successor } = ending;
  const nowMs = context.now();
  const untilMs = sessionUntilMs ?? nowMs + versionKeptMs;
  context.versionNumbers.keep(account, clientId, { version: versionNumber, untilMs }, nowMs);
  const cause = failure ?? (isOrdinary(disconnectReason) ? undefined : disconnectReason);
  context.logs.log(account, {
    eventType: 'Disconnect',
    status: cause === undefined ? 'Success' : 'Failure',
    protocol: 'MQTT',
    clientId,
    principalId: subject.principalIdentifier,
    sourceIp: peer.remoteAddress,
    sourcePort: peer.remotePort,
    disconnectReason,
    reason: cause,
    details: successor ? `${detail}: ${successor} took it from ${peerText(peer, subject.principalIdentifier)}` : detail,
  });
  context.events.disconnected(subject, { disconnectReason, versionNumber });
};

/** A known device was refused at its CONNECT. */
export const connectFailed = (
  connection: Connection,
  why: Pick<JournalRecord, 'reason' | 'detail' | 'action' | 'resource'>,
): void => {
  const { context, peer } = connection;
  const denied = why.reason === 'AUTHORIZATION_FAILURE';
  const refused = why.reason === 'THROTTLED' ? 'Connect.ClientIDThrottle' : 'Connect.ClientError';
  context.metrics[denied ? 'Connect.AuthError' : refused]++;
  connection.record('Connect', { status: 'Failure', tls: peer.tls, ...why });
  if (denied) context.events.connectFailed(subjectOf(connection), { ipAddress: peer.remoteAddress });
};

/** Filters of one SUBSCRIBE were granted; its SUBACK is on its way. */
export const subscribed = (connection: Connection, filters: readonly string[]): void => {
  if (filters.length === 0) return;
  connection.context.events.subscribed(subjectOf(connection), filters);
  log(connection, 'Subscribe', filters);
};

/** Filters of one UNSUBSCRIBE were given up. */
export const unsubscribed = (connection: Connection, filters: readonly string[]): void => {
  if (filters.length === 0) return;
  connection.context.events.unsubscribed(subjectOf(connection), filters);
  log(connection, 'Unsubscribe', filters);
};

const log = (connection: Connection, eventType: 'Subscribe' | 'Unsubscribe', filters: readonly string[]): void => {
  const { traffic } = connection;
  if (traffic.quietAt === connection.context.logs.revision) return;
  traffic.write({ eventType, topicName: filters.join(','), more: { topics: filters } });
};
