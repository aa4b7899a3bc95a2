/**
 * What the world learns of connections coming and going: the journal and the counters. Life-cycle events on `$aws/events/...` belong to
 * these three moments (spec gateway.md 7).
 */
import type { JournalRecord } from '../journal/record.ts';
import type { Connection } from './connection.ts';
import type { Ending } from './ending.ts';

const factsOf = ({ authority }: Connection): Pick<JournalRecord, 'facts'> =>
  authority ? { facts: authority.facts() } : {};

/** CONNECT was accepted. The record keeps what the registry had attached, so that a cure can bring it back when it is gone. */
export const connected = (connection: Connection): void => {
  connection.context.metrics['Connect.Success']++;
  connection.record('Connect', { status: 'Success', tls: connection.peer.tls, ...factsOf(connection) });
};

/** A connection is gone. The record is a failure only when its cause is not in the journal yet: one failure per cause. */
export const disconnected = (connection: Connection, ending: Ending): void => {
  const { failure, disconnectReason, detail } = ending;
  const eventType = connection.client === undefined ? 'Connect' : 'Disconnect';
  if (failure !== undefined) {
    connection.record(eventType, {
      status: 'Failure',
      reason: failure,
      detail: detail ?? disconnectReason,
      ...factsOf(connection),
    });
  } else if (connection.client !== undefined) {
    connection.record(eventType, { status: 'Success', detail: disconnectReason });
  }
};

/** A known device was refused at its CONNECT. */
export const connectFailed = (
  connection: Connection,
  why: Pick<JournalRecord, 'reason' | 'detail' | 'action' | 'resource'>,
): void => {
  const denied = why.reason === 'AUTHORIZATION_FAILURE';
  connection.context.metrics[denied ? 'Connect.AuthError' : 'Connect.ClientError']++;
  connection.record('Connect', { status: 'Failure', tls: connection.peer.tls, ...why });
};
