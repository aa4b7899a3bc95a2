/**
 * One message, all its receivers on this node. Receivers on other nodes are reached from here too, once there are several: this is the
 * only place through which messages pass on their way from a publisher to subscriptions.
 *
 * A message of QoS 1 or 2 for a persistent session goes through its queue, connected or not: it is written, then sent, then acknowledged to its
 * publisher. All others are served at once, and what nobody keeps never touches the store.
 */
import type { BrokerContext } from './context.ts';
import { Enqueuing } from './enqueue.ts';
import type { Message } from './message.ts';
import { extrasOf, type Publisher, type Receiver } from './receiver.ts';
import type { Session } from './session.ts';
import type { SessionQueue } from './session-queue.ts';
import type { GroupMatch, Match, Route } from './subscriptions.ts';

/** Who gets a message: a route, or what was looked up without one. */
export type Receivers = Pick<Route<Session>, 'matches' | 'groups'>;

/** Who published: for No Local and for back-pressure. */
export interface Sender {
  readonly session: Session;
  readonly publisher: Publisher;
}

/**
 * Hands a message to every receiver of its route; of each shared group to one member that takes it. `sender` is absent for the service. Resolves when it
 * is durable for every session that must not miss it; undefined = there is nothing to wait for. Rejects when it is kept for none of them.
 */
export const deliver = (
  context: BrokerContext,
  route: Receivers,
  message: Message,
  sender?: Sender,
): Promise<void> | undefined => {
  const { matches, groups } = route;
  context.effort.units += matches.length + groups.length;
  let enqueuing: Enqueuing | undefined;
  const isKept = message.qos !== 0;
  for (const match of matches) {
    const { subscriber } = match;
    const own = subscriber === sender?.session ? match.local : match;
    if (own === undefined) continue;
    if (isKept && subscriber.queue !== undefined && own.qos !== 0) {
      enqueuing ??= new Enqueuing(context, message);
      enqueue(enqueuing, subscriber.queue, message, own, sender);
    } else if (subscriber.receiver !== undefined) hand(subscriber.receiver, message, own, sender);
  }
  if (groups.length === 0) return enqueuing?.commit();
  if (isKept) enqueuing ??= new Enqueuing(context, message);
  for (const group of groups) {
    const first = Math.floor(context.random() * group.members.length);
    if (handToOne(enqueuing, group, { message, first, sender }) || enqueuing === undefined) continue;
    enqueueForGroup(enqueuing, group);
  }
  return enqueuing?.commit();
};

const hand = (receiver: Receiver, message: Message, match: Match<Session>, sender: Sender | undefined): boolean => {
  try {
    return receiver.receive(message, match, sender?.publisher);
  } catch (error) {
    receiver.failed(error); // ends the receiver's connection: neither the publisher nor the next receiver is concerned
    return false;
  }
};

/** False when this session does not get the message. */
const enqueue = (
  enqueuing: Enqueuing,
  queue: SessionQueue,
  message: Message,
  match: Match<Session>,
  sender: Sender | undefined,
): boolean => {
  const { receiver } = match.subscriber;
  if (receiver !== undefined && !receiver.accepts(message, match, sender?.publisher)) return false;
  const qos = message.qos < match.qos ? message.qos : match.qos;
  return enqueuing.toSession(queue, qos, extrasOf(message, match.extras));
};

/** Whether a member that is connected takes the message. `first`: who is asked first. */
const handToOne = (
  enqueuing: Enqueuing | undefined,
  { members }: GroupMatch<Session>,
  {
    message,
    first,
    sender,
  }: { readonly message: Message; readonly first: number; readonly sender: Sender | undefined },
): boolean => {
  for (let turn = 0; turn < members.length; turn++) {
    const member = members[(first + turn) % members.length]!;
    const { receiver, queue } = member.subscriber;
    if (receiver === undefined) continue;
    const isKept = enqueuing !== undefined && queue !== undefined && member.qos !== 0;
    const isTaken = isKept
      ? enqueue(enqueuing, queue, message, member, sender)
      : hand(receiver, message, member, sender);
    if (isTaken) return true;
  }
  return false;
};

/** Nobody of a group is connected: its message waits if a member's session is kept. */
const enqueueForGroup = (enqueuing: Enqueuing, { filter, members }: GroupMatch<Session>): void => {
  const kept = members.find(({ subscriber, qos }) => subscriber.persistent && qos !== 0);
  const group = kept?.subscriber.scope.group(filter);
  if (group !== undefined) enqueuing.toGroup(group);
};
