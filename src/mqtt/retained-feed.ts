/**
 * What a new subscription is sent of retained messages: after the SUBACK, with RETAIN set. Under AWS's dialect only a filter that is the topic itself
 * gets one; where wildcards do, topics are looked through page by page, and the next message is read when this connection has taken the last:
 * neither a large account nor a slow reader costs more memory than one message. Source: spec gateway.md 5.6, 5.9; MQTT 5.0 3.8.3.1.
 *
 * They pass through the same delivery as live messages, so that iot:Receive is asked, the QoS is the lower one, and what is said there of
 * sessions that outlive their connection holds for them as well.
 */
import { setImmediate } from 'node:timers/promises';
import type { Connection } from './connection.ts';
import { deliver } from './delivery.ts';
import { Message } from './message.ts';
import type { RetainedMessage } from './retained-rows.ts';
import { type Granted, matchOf } from './subscriptions.ts';

/** Messages after which other work gets its turn. */
const messagesPerTurn = 16;

/** A filter that was subscribed, not shared. */
export interface Wanted {
  readonly filter: string;
  readonly granted: Granted;
}

/** By connection: filters that wait for their retained messages, or are being served. */
const feeds = new WeakMap<Connection, Map<string, Wanted>>();

/** Sends what is retained for these filters, without holding anything up. A filter that still waits is not served twice. */
export const feedRetained = (connection: Connection, wanted: readonly Wanted[]): void => {
  const { context, client } = connection;
  if (wanted.length === 0 || !context.retained.mayHave(client!.authority.account)) return;
  const running = feeds.get(connection);
  const waiting = running ?? new Map<string, Wanted>();
  for (const each of wanted) {
    waiting.delete(each.filter); // to the end: one that is being served begins anew after it
    waiting.set(each.filter, each);
  }
  const { subscriptions } = client!.session;
  if (waiting.size > subscriptions.size) {
    for (const filter of waiting.keys()) if (!subscriptions.has(filter)) waiting.delete(filter);
  }
  if (running !== undefined) return;
  feeds.set(connection, waiting);
  feed(connection, waiting).catch((error: unknown) => connection.failed(error));
};

const feed = async (connection: Connection, waiting: Map<string, Wanted>): Promise<void> => {
  for (const [filter, wanted] of waiting) {
    await serve(connection, wanted);
    if (connection.isEnded) return;
    if (waiting.get(filter) === wanted) waiting.delete(filter);
  }
  feeds.delete(connection);
};

const serve = async (connection: Connection, wanted: Wanted): Promise<void> => {
  const { client, context } = connection;
  const { filter } = wanted;
  const { receiver, session, authority } = client!;
  let messages = 0;
  for await (const topics of topicsOf(connection, filter)) {
    for (const topic of topics) {
      if (++messages % messagesPerTurn === 0) await setImmediate();
      await receiver.room();
      if (connection.isEnded || !session.subscriptions.has(filter)) return;
      let durable: Promise<void> | undefined;
      await context.retained.read(authority.account, topic, (message) => {
        durable = send(connection, wanted, message);
      });
      await durable;
    }
    if (hasWildcard(filter)) await setImmediate();
  }
};

const hasWildcard = (filter: string): boolean => /[+#]/.test(filter);

const topicsOf = (
  connection: Connection,
  filter: string,
): Iterable<readonly string[]> | AsyncIterable<readonly string[]> =>
  hasWildcard(filter) ? connection.context.retained.topics(connection.client!.authority.account, filter) : [[filter]];

/** Whether retained messages may be sent for a filter at all. */
export const mayFeed = (
  filter: string,
  { retainedForWildcards }: { readonly retainedForWildcards: boolean },
): boolean => retainedForWildcards || !hasWildcard(filter);

const send = (connection: Connection, { granted }: Wanted, kept: RetainedMessage): Promise<void> | undefined => {
  const { client, context } = connection;
  const message = new Message({
    topic: kept.topic,
    qos: kept.qos,
    retain: true,
    source: kept.payload,
    payloadStart: 0,
    payloadEnd: kept.payload.length,
    properties: kept.properties,
    expiresAtMs: kept.messageExpiresAtMs,
  });
  const match = matchOf(client!.session, [{ ...granted, retainAsPublished: true }]);
  return deliver(context, { matches: [match], groups: [] }, message);
};
