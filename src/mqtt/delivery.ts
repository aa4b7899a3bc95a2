/**
 * One message, all its receivers on this node. Receivers on other nodes are reached from here too, once there are several: this is the
 * only place through which messages pass on their way from a publisher to subscriptions.
 */
import type { BrokerContext } from './context.ts';
import type { Message } from './message.ts';
import type { Publisher } from './receiver.ts';
import type { Session } from './session.ts';
import type { Match, Route } from './subscriptions.ts';

/** Who gets a message: a route, or what was looked up without one. */
export type Receivers = Pick<Route<Session>, 'matches' | 'groups'>;

/** Who published: for No Local and for back-pressure. */
export interface Sender {
  readonly session: Session;
  readonly publisher: Publisher;
}

/**
 * Hands a message to every receiver of its route; of each shared group to one member that takes it. `sender` is absent for the service. Resolves when it
 * is durable for every session that must not miss it; undefined = there is nothing to wait for.
 */
export const deliver = (
  context: BrokerContext,
  route: Receivers,
  message: Message,
  sender?: Sender,
): Promise<void> | undefined => {
  const { matches, groups } = route;
  context.effort.units += matches.length + groups.length;
  for (const match of matches) hand(message, match, sender);
  for (const members of groups) {
    const first = Math.floor(context.random() * members.length);
    for (let turn = 0; turn < members.length; turn++) {
      const member = members[(first + turn) % members.length];
      if (member !== undefined && hand(message, member, sender)) break;
    }
  }
  return undefined;
};

const hand = (message: Message, match: Match<Session>, sender: Sender | undefined): boolean => {
  const { receiver } = match.subscriber;
  const own = match.subscriber === sender?.session ? match.local : match;
  if (receiver === undefined || own === undefined) return false;
  try {
    return receiver.receive(message, own, sender?.publisher);
  } catch (error) {
    receiver.failed(error); // ends the receiver's connection: neither the publisher nor the next receiver is concerned
    return false;
  }
};
