/**
 * PUBLISH from a client, its rules in the order they fire, and what answers when one does: v3 is closed, v5 gets a PUBACK with a reason
 * (QoS 1) or a DISCONNECT (QoS 0). Source: spec gateway.md 5.5, 6; MQTT 5.0 3.3.
 *
 * The straight path allocates one Message: the topic is recognised by its bytes, the decision and the receivers are remembered per topic
 * (under the authority's revision and the subscriptions' generation), and the packet is passed on as it was received where it can be.
 */
import { accountKey } from '../../aws/arn.ts';
import type { Reason } from '../../journal/record.ts';
import { Acknowledgements } from '../acknowledgements.ts';
import type { Client, PublishRight } from '../client.ts';
import type { Connection } from '../connection.ts';
import { effortPerLook } from '../context.ts';
import { deliver, type Sender } from '../delivery.ts';
import { endings } from '../ending.ts';
import { expiresAt, Message, messageExpirySecondsMax, messageExpirySecondsMin, type Qos } from '../message.ts';
import { throttled } from '../quotas.ts';
import { unreleasedFactor } from '../receipts.ts';
import { takeRequest } from '../request.ts';
import type { Asked } from '../requests.ts';
import { isReserved, useOfTopic } from '../reserved.ts';
import { publishRetained, whyNotRetained } from '../retained-publish.ts';
import { allows, recordDenial } from '../rights.ts';
import { faultOfTopic, limitOf, retainedLimitOf } from '../topic.ts';
import { code, malformed, PacketFault, protocolError } from './codes.ts';
import { carrier, type Properties, readProperties } from './properties.ts';
import type { PacketReader } from './reader.ts';
import { Cursor, decodeText } from './text.ts';
import { acknowledgementIdAt, acknowledgements, pubackRefused, pubrecRefused } from './writer.ts';

/** Topics whose publish decision is remembered per connection; at the bound all are forgotten. */
export const publishRightsMax = 256;

/** A PUBLISH as offsets into the reader's buffer. One object serves all packets: rules run synchronously. */
interface PublishView {
  qos: Qos;
  retain: boolean;
  topicStart: number;
  topicEnd: number;
  packetId: number;
  properties: Properties;
  payloadStart: number;
}

const noProperties: Properties = Object.freeze({});
const view: PublishView = {
  qos: 0,
  retain: false,
  topicStart: 0,
  topicEnd: 0,
  packetId: 0,
  properties: noProperties,
  payloadStart: 0,
};

/** Reads the PUBLISH that the reader stands on into the shared view. The reader has refused QoS 2 where the dialect does not know it. */
export const readPublish = (reader: PacketReader): PublishView => {
  const { buffer, bodyStart, end, first } = reader;
  view.qos = first & 0x02 ? 1 : first & 0x04 ? 2 : 0;
  view.retain = (first & 0x01) !== 0;
  if (end - bodyStart < 2) throw malformed('packet ends inside a field');
  view.topicStart = bodyStart + 2;
  let at = view.topicStart + ((buffer[bodyStart]! << 8) | buffer[bodyStart + 1]!);
  view.topicEnd = at;
  view.packetId = 0;
  if (at + (view.qos === 0 ? 0 : 2) > end) throw malformed('packet ends inside a field');
  if (view.qos !== 0) {
    view.packetId = (buffer[at]! << 8) | buffer[at + 1]!;
    at += 2;
    if (view.packetId === 0) throw protocolError('packet identifier 0'); // [MQTT-2.2.1-3]
  }
  view.properties = noProperties;
  if (reader.version === 5) {
    if (at < end && buffer[at] === 0) {
      at++;
    } else {
      const cursor = new Cursor(buffer, at, end);
      view.properties = readProperties(cursor, carrier.publish);
      at = cursor.at;
    }
  }
  view.payloadStart = at;
  return view;
};

/**
 * The rules of PUBLISH. The PUBACK leaves last [MQTT-4.3.2-4]: before the next packet is looked at, unless the message has to be durable for a session
 * first; only then can the client exceed our Receive Maximum or use a packet identifier twice.
 */
export const publish = (connection: Connection): void => {
  const { reader, context } = connection;
  const client = connection.client!;
  const packet = readPublish(reader);
  const receipt = packet.qos === 2 ? client.session.receipts?.find(packet.packetId) : undefined;
  if (receipt !== undefined) {
    repeated(connection, client, packet, receipt.taken);
    return;
  }
  if (packet.qos !== 0 && client.acknowledgements?.size && !isWithinWindow(connection, client, packet)) return;
  if (packet.qos === 2) checkUnreleased(connection, client);
  const right = recognised(client, packet, reader) ?? decide(connection, client, packet);
  if (right === undefined || (connection.rates !== undefined && isThrottled(connection, packet))) return;

  checkPayload(connection, packet);
  if (packet.retain) {
    publishKept(connection, client, right, packet);
    return;
  }

  const { messageExpiry } = packet.properties;
  const message = new Message({
    topic: right.topic,
    qos: packet.qos,
    source: reader.buffer,
    payloadStart: packet.payloadStart,
    payloadEnd: reader.end,
    properties: packet.properties.forwarded,
    expiresAtMs: messageExpiry === undefined ? Infinity : expiresAt(messageExpiry, context.now()),
  });
  if (reader.first === 0x30 && canForward(packet, reader)) {
    message.rawVersion = connection.version;
    message.rawStart = reader.start;
    message.rawEnd = reader.end;
  }
  context.metrics['PublishIn.Success']++;
  const { traffic } = connection;
  if (traffic.quietAt !== context.logs.revision) traffic.write({ eventType: 'Publish-In', topicName: right.topic });
  const durable =
    packet.qos === 2
      ? takeOnce(client, packet.packetId, (sender) => deliver(context, right.route, message, sender))
      : deliver(context, right.route, message, client.sender);
  if (packet.qos !== 0) acknowledge(connection, client, packet, durable);
  else durable?.catch(context.trouble);
};

/** Hands a QoS 2 message on and remembers its identifier until the PUBREL, so that the same message sent again is not another. */
const takeOnce = <Taken extends Promise<void> | undefined>(
  { scope, session, sender }: Client,
  packetId: number,
  hand: (sender: Sender) => Taken,
): Taken =>
  scope.receiptsOf(session).take(packetId, (receipt) => hand(receipt === undefined ? sender : { ...sender, receipt }));

const couldNotBeStored = 'The message could not be stored';

/** The message was accepted, or is when it is `durable`. Acknowledgements keep the order of the messages. */
const acknowledge = (connection: Connection, client: Client, packet: PublishView, durable?: Promise<void>): void => {
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

/** While messages of a v5 client are being written, it may not send more than Receive Maximum, nor use their identifiers again (spec gateway.md 5.5). */
const isWithinWindow = (
  connection: Connection,
  { acknowledgements: waiting }: Client,
  packet: PublishView,
): boolean => {
  if (connection.version === 4 || waiting === undefined) return true;
  if (waiting.size >= connection.context.limits.inflightMax) {
    throw new PacketFault(code.receiveMaximumExceeded, 'inflightMax', 'LIMIT_EXCEEDED');
  }
  if (!waiting.has(packet.packetId)) return true;
  connection.context.metrics['PublishIn.ClientError']++;
  const detail = 'packet identifier in use';
  connection.record('Publish-In', { status: 'Failure', reason: 'CLIENT_ERROR', detail });
  answerRefused(connection, packet, code.packetIdInUse, detail);
  return false;
};

/** A QoS 2 message that was accepted before, or is when it is durable: acknowledged again, delivered no more [MQTT-4.3.3-10]. */
const repeated = (
  connection: Connection,
  client: Client,
  packet: PublishView,
  taken: Promise<void> | undefined,
): void => {
  if (packet.properties.topicAlias !== undefined) topicOf(connection, client, packet); // the alias counts all the same
  // it may still be on its way from the connection that was lost: what follows it here does not overtake it [MQTT-4.6.0-1]
  if (taken !== undefined)
    connection.readAfter(
      taken.catch(() => undefined),
      'store',
    );
  acknowledge(connection, client, packet, taken);
};

/** A v5 client may have as many QoS 2 messages unreleased as Receive Maximum says. */
const checkUnreleased = ({ version, context }: Connection, { session }: Client): void => {
  const unreleasedMax = context.limits.inflightMax * (version === 5 ? 1 : unreleasedFactor);
  if ((session.receipts?.size ?? 0) >= unreleasedMax) {
    throw new PacketFault(code.receiveMaximumExceeded, 'inflightMax', 'LIMIT_EXCEEDED');
  }
};

/** Nothing in it is for this hop only: no topic alias, no message expiry that has to be moved into its bounds. */
const canForward = ({ topicStart, topicEnd, properties }: PublishView, reader: PacketReader): boolean => {
  if (!reader.minimal || topicStart === topicEnd) return false;
  const { topicAlias, messageExpiry = messageExpirySecondsMin } = properties;
  return (
    topicAlias === undefined && messageExpiry >= messageExpirySecondsMin && messageExpiry <= messageExpirySecondsMax
  );
};

/** The right for the same topic as last time, if nothing has changed since: no decoding, no lookup. */
const recognised = (client: Client, packet: PublishView, { buffer }: PacketReader): PublishRight | undefined => {
  const right = client.lastRight;
  if (right === undefined || right.revision !== client.authority.revision || packet.properties !== noProperties)
    return undefined;
  const { bytes } = right;
  const { topicStart, topicEnd } = packet;
  if (topicEnd - topicStart !== bytes.length) return undefined;
  // From the end: topics of one fleet begin alike.
  for (let index = bytes.length - 1; index >= 0; index--) {
    if (bytes[index] !== buffer[topicStart + index]) return undefined;
  }
  return right;
};

/** Judges the topic; undefined when the packet was refused or answered here. Faults: PacketFault for what ends the connection. */
const decide = (connection: Connection, client: Client, packet: PublishView): PublishRight | undefined => {
  const { authority, rights } = client;
  const topic = topicOf(connection, client, packet);
  const known = rights.get(topic);
  if (known !== undefined && known.revision === authority.revision) {
    client.lastRight = known;
    return known;
  }
  connection.context.effort.units += effortPerLook;
  if (!mayPublish(connection, client, packet, topic)) return undefined;
  const right: PublishRight = {
    topic,
    bytes: Buffer.from(topic),
    revision: authority.revision,
    route: client.scope.subscriptions.route(topic),
  };
  if (rights.size >= publishRightsMax) rights.clear();
  rights.set(topic, right);
  client.lastRight = right;
  return right;
};

/** The topic's text, by its alias if it has one. MQTT 5.0 3.3.2.3.4; codes: spec gateway.md 5.5. */
const topicOf = (connection: Connection, client: Client, packet: PublishView): string => {
  const { topicAlias } = packet.properties;
  const { topicAliasMax } = connection.context.limits;
  if (topicAlias !== undefined && topicAlias > topicAliasMax) {
    throw new PacketFault(code.topicAliasInvalid, 'topic alias above Topic Alias Maximum');
  }
  if (packet.topicEnd > packet.topicStart) {
    const topic = decodeText(connection.reader.buffer, packet.topicStart, packet.topicEnd);
    const fault = faultOfTopic(topic);
    if (fault !== undefined) throw new PacketFault(code.topicNameInvalid, fault);
    if (topicAlias !== undefined) client.aliases[topicAlias] = topic;
    return topic;
  }
  if (topicAlias === undefined) throw new PacketFault(code.topicNameInvalid, 'empty topic');
  const topic = client.aliases[topicAlias];
  if (topic === undefined) throw new PacketFault(code.topicAliasInvalid, 'unknown topic alias');
  return topic;
};

/** Whether an ordinary publish on this topic may go on; if not, it has been answered. */
const mayPublish = (connection: Connection, client: Client, packet: PublishView, topic: string): boolean => {
  const { authority } = client;
  const limit = limitOf(topic, connection.context.limits);
  if (limit !== undefined) {
    refuse(connection, packet, { reason: 'LIMIT_EXCEEDED', detail: limit, code: code.topicNameInvalid });
    return false;
  }
  const { dialect } = connection.context.limits;
  const topicUse = useOfTopic(topic, dialect);
  if (topicUse.use === 'closed') throw new PacketFault(code.topicNameInvalid, 'reserved topic');
  if (packet.retain && isReserved(topic, dialect))
    throw new PacketFault(code.topicNameInvalid, 'RETAIN on a reserved topic');
  if (!allows(authority, 'iot:Publish', topic)) {
    unauthorized(connection, packet, () =>
      recordDenial(connection, 'Publish-In', { authority, action: 'iot:Publish', name: topic }),
    );
    return false;
  }
  if (topicUse.use === 'open') return true;
  checkPayload(connection, packet);
  if (topicUse.use === 'service') {
    unauthorized(connection, packet, () =>
      connection.record('Publish-In', {
        status: 'Failure',
        reason: 'AUTHORIZATION_FAILURE',
        detail: 'only the service publishes on this topic',
        facts: { topic },
      }),
    );
  } else if (topicUse.use === 'request') {
    const asked = connection.context.requestTopics.find(topic);
    if (asked === undefined) notAvailable(connection, packet, topicUse.feature);
    else request(connection, client, packet, asked);
  } else if (topicUse.use === 'ingest') {
    // Basic Ingest to an unknown rule is acknowledged (spec gateway.md 6); in this version no rule can be known.
    connection.context.metrics.RuleNotFound++;
    connection.record('Publish-In', {
      status: 'Failure',
      reason: 'NOT_AVAILABLE',
      detail: 'rules: no rule of this name',
      facts: { ruleName: topicUse.ruleName },
    });
    if (packet.qos === 2) {
      const written = takeOnce(
        client,
        packet.packetId,
        ({ receipt }) => receipt && connection.context.sessions.appends.append([receipt.write]),
      );
      acknowledge(connection, client, packet, written);
    } else if (packet.qos === 1) acknowledge(connection, client, packet);
  }
  return false;
};

/** A request that a feature answers. It is acknowledged once it is answered: by then what it has done is durable. */
const request = (connection: Connection, client: Client, packet: PublishView, asked: Asked): void => {
  const { context, reader, traffic } = connection;
  if (connection.rates !== undefined && isThrottled(connection, packet)) return;
  context.metrics['PublishIn.Success']++;
  if (traffic.quietAt !== context.logs.revision) traffic.write({ eventType: 'Publish-In', topicName: asked.topic });
  const payload = Buffer.from(reader.buffer.subarray(packet.payloadStart, reader.end));
  const take = (): Promise<void> => takeRequest(connection, client, asked, payload);
  if (packet.qos === 0) void take();
  else if (packet.qos === 1) acknowledge(connection, client, packet, take());
  else {
    const taken = takeOnce(client, packet.packetId, async ({ receipt }) => {
      await take();
      if (receipt !== undefined) await context.sessions.appends.append([receipt.write]);
    });
    acknowledge(connection, client, packet, taken);
  }
};

const checkPayload = (connection: Connection, packet: PublishView): void => {
  if (connection.reader.end - packet.payloadStart > connection.context.limits.payloadBytesMax) {
    throw new PacketFault(code.quotaExceeded, 'payloadBytesMax', 'LIMIT_EXCEEDED');
  }
};

/** With RETAIN: the connection is not read on before its message is stored, so that its messages and acknowledgements keep their order. */
const publishKept = (
  connection: Connection,
  client: Client,
  { topic, route }: PublishRight,
  packet: PublishView,
): void => {
  const { context, reader } = connection;
  const { authority, sender } = client;
  const { account } = authority;
  const { quotas, metrics } = context;
  const limit = retainedLimitOf(topic, context.limits);
  if (limit !== undefined) {
    refuse(connection, packet, { reason: 'LIMIT_EXCEEDED', detail: limit, code: code.topicNameInvalid });
    return;
  }
  context.effort.units += effortPerLook;
  if (!allows(authority, 'iot:RetainPublish', topic)) {
    metrics['PublishRetained.AuthError']++;
    unauthorized(connection, packet, () =>
      recordDenial(connection, 'Publish-In', { authority, action: 'iot:RetainPublish', name: topic }),
    );
    return;
  }
  if (quotas !== undefined && !quotas.retains.take(`${accountKey(account)}/${topic}`, context.now())) {
    metrics['PublishRetained.Throttle']++;
    discard(connection, packet, 'retainIntervalMs');
    return;
  }
  const { messageExpiry, forwarded } = packet.properties;
  const source = Buffer.from(reader.buffer.subarray(packet.payloadStart, reader.end));
  const message = new Message({
    topic,
    qos: packet.qos,
    retain: true,
    source,
    payloadStart: 0,
    payloadEnd: source.length,
    properties: forwarded && Buffer.from(forwarded),
    expiresAtMs: expiresAt(messageExpiry, context.now()),
  });
  const kept = { ...packet }; // the view is another packet's when the message is stored
  const publishing = { account, message, metrics };
  const store = (from: Sender): Promise<void> =>
    publishRetained(context, publishing, () => deliver(context, route, message, from));
  const stored = packet.qos === 2 ? takeOnce(client, packet.packetId, store) : store(sender);
  connection.readAfter(
    stored.then(
      () => accepted(connection, client, kept, topic),
      (error: unknown) => notKept(connection, kept, error),
    ),
    'store',
  );
};

/** A message with RETAIN is stored and delivered. */
const accepted = (connection: Connection, client: Client, packet: PublishView, topic: string): void => {
  const { context, traffic } = connection;
  context.metrics['PublishIn.Success']++;
  if (traffic.quietAt !== context.logs.revision) {
    traffic.write({ eventType: 'Publish-In', topicName: topic, more: { retain: 'True' } });
  }
  if (packet.qos !== 0 && !connection.isEnded) acknowledge(connection, client, packet);
};

/** Neither stored nor delivered. Beyond the bound: discarded (spec gateway.md 5.5). Without a store: nobody may believe that it was taken. */
const notKept = (connection: Connection, packet: PublishView, error: unknown): void => {
  const { context, isEnded, version } = connection;
  const why = whyNotRetained(error);
  if (why.reason === 'LIMIT_EXCEEDED') {
    connection.record('Publish-In', { status: 'Failure', ...why });
    if (!isEnded) discard(connection, packet, why.detail);
    return;
  }
  context.metrics['PublishIn.ServerError']++;
  if (version === 4 && packet.qos !== 0) throw error;
  context.trouble(error);
  connection.record('Publish-In', { status: 'Failure', ...why });
  if (packet.qos !== 0 && !isEnded) answerRefused(connection, packet, code.unspecified, couldNotBeStored);
};

/** More PUBLISH packets per second than the quota are discarded, as `discard` says (spec gateway.md 5.5). */
const isThrottled = (connection: Connection, packet: PublishView): boolean => {
  const { rates, context } = connection;
  const nowMs = context.now();
  if (rates === undefined || rates.publishesIn.take(nowMs)) return false;
  const told = throttled(rates, 'publishesPerSecondMax', nowMs);
  if (told !== undefined) connection.record('Publish-In', told);
  discard(connection, packet, 'publishesPerSecondMax');
  return true;
};

/** Throttled: the message is lost and the connection stays. v5 is told with QoS 1, v3 gets no acknowledgement. */
const discard = (connection: Connection, packet: PublishView, limit: string): void => {
  connection.context.metrics['PublishIn.Throttle']++;
  if (connection.version === 5 && packet.qos !== 0) answerRefused(connection, packet, code.quotaExceeded, limit);
};

/** Tells a v5 client that its message was not accepted: PUBACK of QoS 1, PUBREC of QoS 2, after which there is no PUBREL. */
const answerRefused = (
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
const unauthorized = (connection: Connection, packet: PublishView, record: () => void): void => {
  connection.context.metrics['PublishIn.AuthError']++;
  record();
  if (connection.version === 4 || packet.qos === 0) {
    connection.end({ ...endings.unauthorized, text: 'Not authorized' });
    return;
  }
  answerRefused(connection, packet, code.notAuthorized, 'Not authorized');
};

/** The client's error: v3 is closed, v5 stays connected after a QoS 1 message only. */
const refuse = (
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
const notAvailable = (connection: Connection, packet: PublishView, feature: string): void => {
  connection.context.metrics['PublishIn.ServerError']++;
  connection.record('Publish-In', { status: 'Failure', reason: 'NOT_AVAILABLE', detail: feature });
  if (connection.version === 4 || packet.qos === 0) return;
  answerRefused(connection, packet, code.unspecified, `Not available in this version: ${feature}`);
};
