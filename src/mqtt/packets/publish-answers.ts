/**
 * What a client is told of its PUBLISH: acknowledged when its message is as durable as it must be, in the order of the messages, or refused: v3 is closed,
 * v5 gets a PUBACK or PUBREC with a reason, or with QoS 0 a DISCONNECT. Source: spec gateway.md 5.5; MQTT 5.0 3.3, 3.4, 3.5.
 */
import type { Reason } from '../../journal/record.ts';
import { Acknowledgements } from '../acknowledgements.ts';
import type { Client } from '../client.ts';
import type { Connection } from '../connection.ts';
import { endings } from '../ending.ts';
import type { Qos } from '../message.ts';
import { whyNotRetained } from '../retained-publish.ts';
import { code, PacketFault } from './codes.ts';
import type { PublishView } from './publish-view.ts';
import { acknowledgementIdAt, acknowledgements, pubackRefused, pubrecRefused } from './writer.ts';

export const couldNotBeStored = 'The message could not be stored';

/** The message was accepted, or is when it is `durable`. Acknowledgements keep the order of the messages. */
export const acknowledge = (
  connection: Connection,
  client: Client,
  packet: PublishView,
  durable?: Promise<void>,
): void => {
  const { qos, packetId } = packet;
  if (durable === undefined && !client.acknowledgements?.size) {
    sendAcknowledgement(connection, qos, packetId);
    return;
  }
  client.acknowledgements ??= new Acknowledgements();
  const waiting = client.acknowledgements;
  const { context } = connection;
  const done = waiting.add(packetId, durable, {
    send: () => sendAcknowledgement(connection, qos, packetId),
    refuse: (error) => notQueued(connection, { qos, packetId }, error),
  });
  const areTooMany = (): boolean =>
    context.sessions.appends.isFull || (connection.version === 4 && waiting.size >= context.limits.inflightMax);
  if (areTooMany()) connection.waitForAcknowledgements(true);
  done?.then(() => {
    if (waiting.size === 0 || !areTooMany()) connection.waitForAcknowledgements(false);
  }, context.trouble);
};

const sendAcknowledgement = (connection: Connection, qos: Qos, packetId: number): void => {
  if (connection.isEnded) return;
  const bytes = qos === 2 ? acknowledgements.pubrec : acknowledgements.puback;
  connection.outbox.appendWithId(bytes, acknowledgementIdAt, packetId);
};

/** The store did not take the message for the sessions that are kept: v5 is told so, v3 can only be closed. */
const notQueued = (connection: Connection, { qos, packetId }: { qos: Qos; packetId: number }, error: unknown): void => {
  const { context, isEnded, version } = connection;
  if (isEnded) return;
  context.metrics['PublishIn.ServerError']++;
  if (version === 4) {
    connection.failed(error);
    return;
  }
  context.trouble(error);
  connection.record('Publish-In', { status: 'Failure', ...whyNotRetained(error) });
  const refused = qos === 2 ? pubrecRefused : pubackRefused;
  connection.reply((reason) => refused(packetId, code.unspecified, reason), couldNotBeStored);
};

/** Throttled: the message is lost and the connection stays. v5 is told with QoS 1, v3 gets no acknowledgement. */
export const discard = (connection: Connection, packet: PublishView, limit: string): void => {
  connection.context.metrics['PublishIn.Throttle']++;
  if (connection.version === 5 && packet.qos !== 0) answerRefused(connection, packet, code.quotaExceeded, limit);
};

/** Tells a v5 client that its message was not accepted: PUBACK of QoS 1, PUBREC of QoS 2, after which there is no PUBREL. */
export const answerRefused = (
  connection: Connection,
  { qos, packetId }: PublishView,
  reasonCode: number,
  text: string,
): void => {
  const refused = qos === 2 ? pubrecRefused : pubackRefused;
  const send = (): void => connection.reply((reason) => refused(packetId, reasonCode, reason), text);
  const waiting = connection.client?.acknowledgements;
  if (waiting?.size) waiting.add(packetId, undefined, { send, refuse: send });
  else send();
};

/** Not authorized: v3 is closed, v5 stays connected after a QoS 1 message only. */
export const unauthorized = (connection: Connection, packet: PublishView, record: () => void): void => {
  connection.context.metrics['PublishIn.AuthError']++;
  record();
  if (connection.version === 4 || packet.qos === 0) {
    connection.end({ ...endings.unauthorized, text: 'Not authorized' });
    return;
  }
  answerRefused(connection, packet, code.notAuthorized, 'Not authorized');
};

/** The client's error: v3 is closed, v5 stays connected after a QoS 1 message only. */
export const refuse = (
  connection: Connection,
  packet: PublishView,
  why: { reason: Reason; detail: string; code: number },
): void => {
  if (connection.version === 4 || packet.qos === 0) throw new PacketFault(why.code, why.detail, why.reason);
  connection.context.metrics['PublishIn.ClientError']++;
  connection.record('Publish-In', { status: 'Failure', reason: why.reason, detail: why.detail });
  answerRefused(connection, packet, why.code, why.detail);
};

/**
 * A request to a feature that this version does not have. The message is discarded: v5 learns it from the PUBACK of QoS 1, nobody gets an
 * acknowledgement of success, and the connection stays, so that a device can live without the feature.
 */
export const notAvailable = (connection: Connection, packet: PublishView, feature: string): void => {
  connection.context.metrics['PublishIn.ServerError']++;
  connection.record('Publish-In', { status: 'Failure', reason: 'NOT_AVAILABLE', detail: feature });
  if (connection.version === 4 || packet.qos === 0) return;
  answerRefused(connection, packet, code.unspecified, `Not available in this version: ${feature}`);
};
