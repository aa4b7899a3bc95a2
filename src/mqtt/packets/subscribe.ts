/** SUBSCRIBE, its rules in the order they fire: the packet as a whole, then each filter. Source: spec gateway.md 5.6, 5.10; MQTT 3.8. */
import type { JournalRecord } from '../../journal/record.ts';
import type { Dialect } from '../../limits.ts';
import type { Client } from '../client.ts';
import type { Connection } from '../connection.ts';
import { effortPerLook } from '../context.ts';
import { subscribed } from '../lifecycle.ts';
import type { Qos } from '../message.ts';
import { isReserved, isSubscribable } from '../reserved.ts';
import { feedRetained, mayFeed, type Wanted } from '../retained-feed.ts';
import { allows, denial } from '../rights.ts';
import type { Granted } from '../subscriptions.ts';
import { faultOfFilter, limitOf, parseShared, shareNameCharsMax } from '../topic.ts';
import { code, malformed, PacketFault, protocolError } from './codes.ts';
import { carrier, readProperties } from './properties.ts';
import { Cursor } from './text.ts';
import { suback } from './writer.ts';

/** One filter of a SUBSCRIBE, well formed. */
export interface Request {
  /** As written, with `$share/{name}/`. */
  readonly filter: string;
  /** What is subscribed: without the share. */
  readonly inner: string;
  readonly shareName: string | undefined;
  readonly qos: Qos;
  readonly noLocal: boolean;
  /** v5 Retain Handling: 0 = send retained messages, 1 = if the subscription is new, 2 = never. */
  readonly retainHandling: number;
  /** v5 Retain As Published, where the dialect has it. */
  readonly retainAsPublished: boolean;
  /** v5 Subscription Identifier; 0 = none. */
  readonly identifier: number;
}

export const subscribe = (connection: Connection): void => {
  const { packetId, requests } = readSubscribe(connection);
  const client = connection.client!;
  const { namesDenials } = connection.context.limits.dialect;
  const codes: number[] = [];
  let excess = false;
  const wanted: Wanted[] = [];
  const before = new Map<string, Granted | undefined>();
  for (const request of requests) {
    const former = client.session.subscriptions.get(request.filter);
    const isNew = former === undefined;
    const refusal = refusalOf(connection, client, request);
    if (refusal === undefined) {
      codes.push(request.qos);
      if (!before.has(request.filter)) before.set(request.filter, former);
      if (wantsRetained(request, isNew, connection.context.limits.dialect))
        wanted.push({ filter: request.filter, granted: request });
      continue;
    }
    const { v5, ...why } = refusal;
    codes.push(connection.version === 5 && (namesDenials || v5 !== code.notAuthorized) ? v5 : code.unspecified);
    excess ||= why.detail === 'subscriptionsPerConnectionMax';
    connection.context.metrics[v5 === code.notAuthorized ? 'Subscribe.AuthError' : 'Subscribe.ClientError']++;
    connection.record('Subscribe', { status: 'Failure', ...why });
  }
  const granted = requests.flatMap(({ filter }, index) => (codes[index]! < 0x80 ? [filter] : []));
  const answer = (): void => {
    if (connection.isEnded) return;
    if (granted.length > 0) connection.context.metrics['Subscribe.Success']++;
    connection.send(suback(connection.version, packetId, codes));
    feedRetained(connection, wanted);
    subscribed(connection, granted);
    if (excess)
      connection.end({
        disconnectReason: 'CLIENT_ERROR',
        code: code.quotaExceeded,
        text: 'subscriptionsPerConnectionMax',
      });
  };
  const durable = client.scope.keepSubscriptions(client.session, before);
  if (durable === undefined) answer();
  else connection.readAfter(durable.then(answer), 'store');
};

const wantsRetained = ({ inner, shareName, retainHandling }: Request, isNew: boolean, dialect: Dialect): boolean =>
  shareName === undefined && // [MQTT-4.8.2]
  (retainHandling === 0 || (retainHandling === 1 && isNew)) &&
  !isReserved(inner, dialect) &&
  mayFeed(inner, dialect);

/** Reads and judges the packet as a whole: whatever is wrong ends the connection. */
const readSubscribe = ({
  reader,
  context,
  version,
}: Connection): { packetId: number; requests: readonly Request[] } => {
  const cursor = new Cursor(reader.buffer, reader.bodyStart, reader.end);
  const packetId = cursor.u16();
  if (packetId === 0) throw protocolError('packet identifier 0');
  const properties = version === 5 ? readProperties(cursor, carrier.subscribe) : {};
  const { filtersPerSubscribeMax } = context.limits;
  const filters: { filter: string; options: number }[] = [];
  while (cursor.left > 0) {
    if (filters.length === filtersPerSubscribeMax) {
      throw new PacketFault(code.quotaExceeded, 'filtersPerSubscribeMax', 'LIMIT_EXCEEDED');
    }
    filters.push({ filter: cursor.text(), options: cursor.u8() });
  }
  if (filters.length === 0) throw protocolError('SUBSCRIBE without a filter'); // [MQTT-3.8.3-2]
  const { dialect } = context.limits;
  for (const { options } of filters) checkOptions(options, version, dialect);
  const { subscriptionIdentifier: identifier = 0 } = properties;
  if (identifier !== 0 && !dialect.subscriptionIdentifiers) {
    throw new PacketFault(
      code.subscriptionIdentifiersNotSupported,
      'Subscription Id is not supported now',
      'NOT_AVAILABLE',
    );
  }
  return { packetId, requests: filters.map((asked) => toRequest({ ...asked, identifier }, dialect)) };
};

const checkOptions = (options: number, version: 4 | 5, { qosMax }: Dialect): void => {
  const qos = options & 0x03;
  if (qos === 3) throw malformed('QoS 3');
  if (options & (version === 5 ? 0xc0 : 0xfc)) throw malformed('reserved subscription options'); // [MQTT-3.8.3-5], v3 [MQTT-3-8.3-4]
  if (((options >> 4) & 0x03) === 3) throw protocolError('Retain Handling 3');
  if (qos > qosMax) throw new PacketFault(code.qosNotSupported, 'QoS 2');
};

/** Takes a filter apart. Faults: malformed, or reserved without a use for clients. */
const toRequest = (
  { filter, options, identifier }: { filter: string; options: number; identifier: number },
  dialect: Dialect,
): Request => {
  const shared = parseShared(filter);
  const inner = typeof shared === 'object' ? shared.filter : filter;
  const fault = typeof shared === 'string' ? shared : faultOfFilter(inner);
  if (fault !== undefined) throw new PacketFault(code.topicFilterInvalid, fault);
  if (!isSubscribable(inner, dialect)) throw new PacketFault(code.topicFilterInvalid, 'reserved topic filter');
  const noLocal = (options & 0x04) !== 0;
  if (noLocal && shared !== undefined) throw protocolError('No Local on a shared subscription'); // [MQTT-3.8.3-4]
  return {
    filter,
    inner,
    shareName: typeof shared === 'object' ? shared.shareName : undefined,
    qos: options & 0x01 ? 1 : options & 0x02 ? 2 : 0,
    noLocal,
    retainHandling: (options >> 4) & 0x03,
    retainAsPublished: dialect.retainAsPublished && (options & 0x08) !== 0,
    identifier,
  };
};

type Refusal = Partial<JournalRecord> & { readonly v5: number };

/** Subscribes, or says why not. Delivery starts at once, before the SUBACK leaves. */
const refusalOf = (connection: Connection, client: Client, request: Request): Refusal | undefined => {
  const { limits } = connection.context;
  const { filter, inner, shareName, qos, noLocal, retainAsPublished, identifier } = request;
  const isTooLong = client.session.persistent && Buffer.byteLength(filter) > limits.keptFilterBytesMax;
  const limit =
    limitOf(inner, limits) ??
    ((shareName?.length ?? 0) > shareNameCharsMax ? 'shareNameCharsMax' : undefined) ??
    (isTooLong ? 'keptFilterBytesMax' : undefined);
  if (limit !== undefined) return { v5: code.topicFilterInvalid, reason: 'LIMIT_EXCEEDED', detail: limit };
  connection.context.effort.units += effortPerLook;
  if (!allows(client.authority, 'iot:Subscribe', inner)) {
    return { v5: code.notAuthorized, ...denial(client.authority, 'iot:Subscribe', inner) };
  }
  const { subscriptions } = client.session;
  if (!subscriptions.has(filter) && subscriptions.size >= limits.subscriptionsPerConnectionMax) {
    return { v5: code.quotaExceeded, reason: 'LIMIT_EXCEEDED', detail: 'subscriptionsPerConnectionMax' };
  }
  if (client.scope.subscribe(client.session, filter, { qos, noLocal, retainAsPublished, identifier })) return undefined;
  return { v5: code.quotaExceeded, reason: 'LIMIT_EXCEEDED', detail: 'sharedGroupsMax or sharedMembersMax' };
};
