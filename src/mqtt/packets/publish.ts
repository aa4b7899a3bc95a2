/**
 * PUBLISH from a client, its rules in the order they fire; what the client is told then is in `publish-answers.ts`. Source: spec gateway.md 5.5, 6;
 * MQTT 5.0 3.3.
 *
 * The straight path allocates one Message: the topic is recognised by its bytes, the decision and the receivers are remembered per topic
 * (under the authority's revision and the subscriptions' generation), and the packet is passed on as it was received where it can be.
 */
import { accountKey } from '../../aws/arn.ts';
import type { Client, PublishRight } from '../client.ts';
import type { Connection } from '../connection.ts';
import { effortPerLook } from '../context.ts';
import { deliver, type Sender } from '../delivery.ts';
import { expiresAt, Message, messageExpirySecondsMax, messageExpirySecondsMin } from '../message.ts';
import { throttled } from '../quotas.ts';
import { unreleasedFactor } from '../receipts.ts';
import { takeRequest } from '../request.ts';
import type { Asked } from '../requests.ts';
import { isReserved, useOfTopic } from '../reserved.ts';
import { publishRetained, whyNotRetained } from '../retained-publish.ts';
import { allows, recordDenial } from '../rights.ts';
import { faultOfTopic, limitOf, retainedLimitOf } from '../topic.ts';
import { code, PacketFault } from './codes.ts';
import {
  acknowledge,
  answerRefused,
  couldNotBeStored,
  discard,
  notAvailable,
  refuse,
  unauthorized,
} from './publish-answers.ts';
import { noProperties, type PublishView, readPublish } from './publish-view.ts';
import type { PacketReader } from './reader.ts';
import { decodeText } from './text.ts';

/** Topics whose publish decision is remembered per connection; at the bound all are forgotten. */
export const publishRightsMax = 256;

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
