/** UNSUBSCRIBE: every well-formed filter is answered with success, subscribed or not. Source: spec gateway.md 5.6; MQTT 3.10. */
import type { Connection } from '../connection.ts';
import { unsubscribed } from '../lifecycle.ts';
import type { Granted } from '../subscriptions.ts';
import { faultOfFilter, parseShared } from '../topic.ts';
import { code, PacketFault, protocolError } from './codes.ts';
import { carrier, readProperties } from './properties.ts';
import { Cursor } from './text.ts';
import { unsuback } from './writer.ts';

export const unsubscribe = (connection: Connection): void => {
  const { reader, version, context } = connection;
  const { scope, session } = connection.client!;
  const cursor = new Cursor(reader.buffer, reader.bodyStart, reader.end);
  const packetId = cursor.u16();
  if (packetId === 0) throw protocolError('packet identifier 0');
  if (version === 5) readProperties(cursor, carrier.unsubscribe);
  const filters: string[] = [];
  while (cursor.left > 0) {
    if (filters.length === context.limits.filtersPerUnsubscribeMax) {
      throw new PacketFault(code.quotaExceeded, 'filtersPerUnsubscribeMax', 'LIMIT_EXCEEDED');
    }
    filters.push(cursor.text());
  }
  if (filters.length === 0) throw protocolError('UNSUBSCRIBE without a filter'); // [MQTT-3.10.3-2]
  for (const filter of filters) {
    const shared = parseShared(filter);
    const fault = typeof shared === 'string' ? shared : faultOfFilter(shared?.filter ?? filter);
    if (fault !== undefined) throw new PacketFault(code.topicFilterInvalid, fault);
  }
  const before = new Map<string, Granted>();
  for (const filter of filters) {
    const granted = session.subscriptions.get(filter);
    if (granted === undefined) continue;
    before.set(filter, granted);
    scope.unsubscribe(session, filter);
  }
  const answer = (): void => {
    if (connection.isEnded) return;
    context.metrics['Unsubscribe.Success']++;
    connection.send(
      unsuback(
        version,
        packetId,
        Array.from(filters, () => code.success),
      ),
    );
    unsubscribed(connection, [...before.keys()]);
  };
  const durable = scope.keepSubscriptions(session, before);
  if (durable === undefined) answer();
  else connection.readAfter(durable.then(answer), 'store');
};
