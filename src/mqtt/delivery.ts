/**
 * One message, all its receivers on this node. Receivers on other nodes are reached from here too, once there are several: this is the
 * only place through which messages pass on their way from a publisher to subscriptions.
 *
 * A message of QoS 1 or 2 for a persistent session goes through its queue, connected or not: it is written, then sent, then acknowledged to its
 * publisher. All others are served at once, and what nobody keeps never touches the store.
 */
import { type BrokerContext, effortPerLook } from './context.ts';
import { Enqueuing } from './enqueue.ts';
import { fanOutSliceMs } from './fan-out.ts';
import type { Publisher } from './held-back.ts';
import type { Message } from './message.ts';
import type { ReceiptRow } from './receipts.ts';
import { extrasOf, type Receiver } from './receiver.ts';
import type { Session } from './session.ts';
import type { SessionQueue } from './session-queue.ts';
import type { GroupMatch, Match, Route } from './subscriptions.ts';

/** Who gets a message: a route, or what was looked up without one. */
export type Receivers = Pick<Route<Session>, 'matches' | 'groups'>;

/** Who published: for No Local and for back-pressure. */
export interface Sender {
  readonly session: Session;
  readonly publisher: Publisher;
  /** Of a QoS 2 message: written together with all that is kept of it. */
  readonly receipt?: ReceiptRow | undefined;
}

/**
 * Hands a message to every receiver of its route; of each shared group to one member that takes it. `sender` is absent for the service. Resolves when it
 * is durable for every session that must not miss it; undefined = there is nothing to wait for. Rejects when it is not kept for some of them: for none, unless
 * it had more receivers than are served at once (`fan-out.ts`).
 */
export const deliver = (
  context: BrokerContext,
  { matches, groups }: Receivers,
  message: Message,
  sender?: Sender,
): Promise<void> | undefined => {
  const { effort, fanOuts } = context;
  const count = matches.length + groups.length;
  const delivery = new Delivery(context, message, sender);
  let lookAt = effort.units + effortPerLook;
  let startedAtMs = 0;
  for (let index = 0; index < count; index++) {
    effort.units++;
    delivery.serve(matches, groups, index);
    if (effort.units < lookAt) continue;
    lookAt = effort.units + effortPerLook;
    const nowMs = performance.now();
    if (startedAtMs === 0) startedAtMs = nowMs;
    else if (nowMs - startedAtMs >= fanOutSliceMs && index + 1 < count && fanOuts.hasRoom) {
      return serveLater(delivery, { matches, groups }, index + 1);
    }
  }
  return delivery.commit();
};

/** The rest of the receivers get the message slice by slice, and `sender` is not read meanwhile. What has to be written is so after each slice. */
const serveLater = (delivery: Delivery, { matches, groups }: Receivers, first: number): Promise<void> => {
  const { context, sender } = delivery;
  const { promise: served, resolve, reject } = Promise.withResolvers<void>();
  const count = matches.length + groups.length;
  const written: (Promise<void> | undefined)[] = [];
  const commit = (): void => {
    if (sender?.receipt !== undefined && index < count) return; // all or nothing
    const durable = delivery.commit();
    durable?.catch(() => undefined); // it is looked at in the end
    written.push(durable);
  };
  let index = first;
  commit();
  context.fanOuts.add({
    proceed(isOver) {
      try {
        do delivery.serve(matches, groups, index++);
        while (index < count && !isOver());
        commit();
        if (index === count) resolve();
      } catch (error) {
        index = count;
        reject(error);
      }
      return index === count;
    },
  });
  sender?.publisher.pauseFor(served);
  return served.then(async () => {
    await Promise.all(written);
  });
};

/** One message, as it is given to its receivers. */
class Delivery {
  readonly context: BrokerContext;
  readonly message: Message;
  readonly sender: Sender | undefined;
  /** What sessions and groups are to keep of it, until it is committed. */
  #enqueuing: Enqueuing | undefined;

  constructor(context: BrokerContext, message: Message, sender: Sender | undefined) {
    this.context = context;
    this.message = message;
    this.sender = sender;
  }

  /** Gives it to a match, or behind those to a group. */
  serve(matches: Receivers['matches'], groups: Receivers['groups'], index: number): void {
    if (index < matches.length) this.#toMatch(matches[index]!);
    else this.#toGroup(groups[index - matches.length]!);
  }

  /** Resolves when what was kept so far is durable; undefined = nothing was. */
  commit(): Promise<void> | undefined {
    const { receipt, session } = this.sender ?? {};
    if (receipt !== undefined && session?.queue?.isDiscarded === false)
      this.#kept().also(receipt.write, receipt.remove);
    const enqueuing = this.#enqueuing;
    this.#enqueuing = undefined;
    return enqueuing?.commit();
  }

  #toMatch(match: Match<Session>): void {
    const { subscriber } = match;
    const own = subscriber === this.sender?.session ? match.local : match;
    if (own === undefined) return;
    const { queue, receiver } = subscriber;
    if (this.message.qos !== 0 && queue !== undefined && own.qos !== 0) this.#enqueue(queue, own);
    else if (receiver !== undefined) this.#hand(receiver, own);
  }

  #toGroup(group: GroupMatch<Session>): void {
    const first = Math.floor(this.context.random() * group.members.length);
    if (!this.#toOneOf(group, first) && this.message.qos !== 0) this.#toShelf(group);
  }

  #hand(receiver: Receiver, match: Match<Session>): boolean {
    try {
      return receiver.receive(this.message, match, this.sender?.publisher);
    } catch (error) {
      receiver.failed(error); // ends the receiver's connection: neither the publisher nor the next receiver is concerned
      return false;
    }
  }

  /** False when this session does not get the message. */
  #enqueue(queue: SessionQueue, match: Match<Session>): boolean {
    const { message } = this;
    const { receiver } = match.subscriber;
    if (receiver !== undefined && !this.#isAccepted(receiver, match)) return false;
    const qos = message.qos < match.qos ? message.qos : match.qos;
    return this.#kept().toSession(queue, qos, extrasOf(message, match.extras));
  }

  #isAccepted(receiver: Receiver, match: Match<Session>): boolean {
    try {
      return receiver.accepts(this.message, match, this.sender?.publisher);
    } catch (error) {
      receiver.failed(error); // its message waits for its next connection
      return true;
    }
  }

  /** Whether a member that is connected takes the message. `first`: who is asked first. */
  #toOneOf({ members }: GroupMatch<Session>, first: number): boolean {
    for (let turn = 0; turn < members.length; turn++) {
      const member = members[(first + turn) % members.length]!;
      const { receiver, queue } = member.subscriber;
      if (receiver === undefined) continue;
      const isKept = this.message.qos !== 0 && queue !== undefined && member.qos !== 0;
      if (isKept ? this.#enqueue(queue, member) : this.#hand(receiver, member)) return true;
    }
    return false;
  }

  /** Nobody of a group is connected: its message waits if a member's session is kept. */
  #toShelf({ filter, members }: GroupMatch<Session>): void {
    const kept = members.find(({ subscriber, qos }) => subscriber.persistent && qos !== 0);
    const group = kept?.subscriber.scope.group(filter);
    if (group !== undefined) this.#kept().toGroup(group);
  }

  #kept(): Enqueuing {
    this.#enqueuing ??= new Enqueuing(this.context, this.message);
    return this.#enqueuing;
  }
}
