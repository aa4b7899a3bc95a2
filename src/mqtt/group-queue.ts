/**
 * What waits for a shared subscription that has a persistent member while none of its members is connected. Messages are in the store alone; when a
 * member comes online or joins they are handed out, page by page, each to one member at random: to a persistent one by moving the row into its
 * queue, to another until it acknowledges; a message that such a member left unacknowledged goes to the next. Who does not acknowledge holds up what it
 * was handed, at most `handedPerMemberMax` messages, and nothing else. Source: spec gateway.md 5.10.
 */
import { StoreUnavailable } from '../store/store.ts';
import type { BrokerContext } from './context.ts';
import { Enqueuing } from './enqueue.ts';
import { isPast, type Message } from './message.ts';
import type { Left, Stored, Tally } from './queue.ts';
import { extrasOf, type Receiver } from './receiver.ts';
import type { SessionQueue } from './session-queue.ts';
import { type KeptMessage, messageOf, type Owner } from './session-store.ts';
import type { Match } from './subscriptions.ts';
import type { Timed } from './wheel.ts';

/** Bytes of messages that are handed out at once. */
const pageBytesMax = 1_048_576;
/** Messages that a member whose session is not kept may have unacknowledged. */
export const handedPerMemberMax = 100;
/** Until members are asked again that have had what the quota lets them have, milliseconds. */
const heldMs = 500;
/** Until the store is asked again to take back what may have been moved, milliseconds. */
const putBackMs = 1_000;

/** A message that is being written. */
export interface GroupEntry {
  readonly position: number;
  readonly cost: number;
}

/** A session, as far as a group knows it. */
export interface Member {
  readonly queue: SessionQueue | undefined;
  /** Undefined while nothing is connected. */
  readonly receiver: Receiver | undefined;
}

export interface GroupOptions {
  readonly left: Left;
  readonly tally: Tally;
  readonly members: () => readonly Match<Member>[];
}

export class GroupQueue {
  readonly owner: Owner;
  rows: number;
  bytes: number;
  /** Positions never run out: a group has no packet identifiers. */
  readonly isExhausted = false;
  isDropping = false;
  /** It has no persistent member any more. */
  isDiscarded = false;
  readonly #context: BrokerContext;
  readonly #options: GroupOptions;
  #newest: number;
  readonly #writing = new Set<GroupEntry>();
  /** Up to here, everything was handed out or is gone. */
  #cursor = 0;
  /** Positions that were handed to members whose sessions are not kept, until they are gone from the store; and how many each of these has. */
  readonly #handed = new Set<number>();
  readonly #loads = new Map<Receiver, number>();
  #isDraining = false;
  /** Something has changed since the draining looked. */
  #isAsked = false;
  /** Every member has had as many as the quota lets it have in a second. */
  readonly #wake: Timed = { slot: 0, due: () => this.drain() };

  constructor(context: BrokerContext, owner: Owner, options: GroupOptions) {
    this.#context = context;
    this.owner = owner;
    this.#options = options;
    this.rows = options.left.rows;
    this.bytes = options.left.bytes;
    this.#newest = options.left.newest;
    options.tally.bytes += this.bytes;
  }

  get tally(): Tally {
    return this.#options.tally;
  }

  add(cost: number): GroupEntry {
    const entry = { position: ++this.#newest, cost };
    this.rows++;
    this.bytes += cost;
    this.#options.tally.bytes += cost;
    this.#writing.add(entry);
    return entry;
  }

  durable(entry: GroupEntry): void {
    this.#writing.delete(entry);
    this.drain();
  }

  failed(entry: GroupEntry): void {
    this.#writing.delete(entry);
    this.#forget(entry.cost);
  }

  expire(position: number, cost: number): boolean {
    if (this.#isDraining || this.#handed.has(position)) return false;
    this.#forget(cost);
    return true;
  }

  /** It has no persistent member any more: nothing is kept for it. */
  discard(): void {
    this.isDiscarded = true;
    this.#context.wheel.cancel(this.#wake);
    this.#options.tally.bytes -= this.bytes;
    this.rows = 0;
    this.bytes = 0;
    this.#context.sessions.endQueue(this.owner).catch(this.#context.trouble);
  }

  /** Hands out what waits, if anybody is connected. */
  drain(): void {
    this.#isAsked = true;
    if (this.#isDraining || this.rows <= this.#handed.size || this.#online().length === 0) return;
    this.#isDraining = true;
    this.#handOut()
      .catch(this.#context.trouble)
      .finally(() => {
        this.#isDraining = false;
      });
  }

  #online(): readonly Match<Member>[] {
    return this.#options.members().filter(({ subscriber }) => subscriber.receiver !== undefined);
  }

  async #handOut(): Promise<void> {
    for (;;) {
      this.#isAsked = false;
      const page = { after: this.#cursor, upTo: this.#writtenUpTo(), bytes: pageBytesMax };
      const { messages, isWhole } = await this.#context.sessions.read(this.owner, page);
      if (this.isDiscarded) return;
      this.#cursor = messages.at(-1)?.position ?? this.#cursor;
      // whom the quota lets have no more of this page: a later message must not be handed where an earlier one was not, though time goes on
      const held = new Set<Receiver>();
      const taken = await Promise.all(
        messages.map((each) => this.#handed.has(each.position) || this.#tryToHand(each, held)),
      );
      if ((isWhole || taken.includes(false)) && !this.#isAsked) return;
    }
  }

  async #tryToHand(stored: Stored<KeptMessage>, held: Set<Receiver>): Promise<boolean> {
    try {
      if (await this.#hand(stored, held)) return true;
    } catch (error) {
      this.#context.trouble(error);
    }
    this.#giveBack(stored.position);
    return false;
  }

  /** False when nobody takes it now. */
  async #hand(stored: Stored<KeptMessage>, held: Set<Receiver>): Promise<boolean> {
    const { random, now } = this.#context;
    const message = messageOf(stored.message);
    if (isPast(message.expiresAtMs, now)) {
      await this.#remove(stored);
      return true;
    }
    const online = this.#online();
    const first = Math.floor(random() * online.length);
    for (let turn = 0; turn < online.length; turn++) {
      const member = online[(first + turn) % online.length]!;
      const { queue, receiver } = member.subscriber;
      if (receiver && (held.has(receiver) || receiver.pace?.takeFromGroup() === false)) {
        held.add(receiver);
        if (this.#wake.slot === 0) this.#context.wheel.schedule(this.#wake, now() + heldMs);
        continue;
      }
      const qos = message.qos < member.qos ? message.qos : member.qos;
      if (queue === undefined || qos === 0) {
        if (this.#lend(stored, message, member)) return true;
        continue;
      }
      if (!receiver?.accepts(message, member)) continue;
      const enqueuing = new Enqueuing(this.#context, message);
      if (!enqueuing.toSession(queue, qos, extrasOf(message, member.extras))) continue;
      await this.#move(stored, enqueuing);
      return true;
    }
    return false;
  }

  /** Into the queue of a session: a row there instead of the one here. */
  async #move({ position, cost, message }: Stored<KeptMessage>, enqueuing: Enqueuing): Promise<void> {
    const { sessions } = this.#context;
    enqueuing.also(sessions.removalOf(this.owner, position));
    try {
      await enqueuing.commit();
      this.#forget(cost);
    } catch (error) {
      await this.#putBack(position, message);
      throw error;
    }
  }

  /** It may have been moved or not, and does not stay where it was moved to: here it is again, or still. */
  async #putBack(position: number, message: KeptMessage): Promise<void> {
    const { sessions, wheel, now } = this.#context;
    while (!this.isDiscarded) {
      try {
        await sessions.appends.append([sessions.row(this.owner, position, message)]);
        return;
      } catch (error) {
        if (!(error instanceof StoreUnavailable)) return; // the row is there
      }
      await new Promise<void>((resolve) => wheel.schedule({ slot: 0, due: () => resolve() }, now() + putBackMs));
    }
  }

  /** To a member whose session is not kept, or that wants it with QoS 0: gone when that is settled. */
  #lend(stored: Stored<KeptMessage>, message: Message, member: Match<Member>): boolean {
    const { receiver } = member.subscriber;
    const load = receiver === undefined ? 0 : (this.#loads.get(receiver) ?? 0);
    if (receiver === undefined || load >= handedPerMemberMax) return false;
    const isKept = message.qos !== 0 && member.qos !== 0;
    this.#handed.add(stored.position);
    this.#loads.set(receiver, load + 1);
    const settle = (isDone: boolean): void => this.#settle(stored, receiver, isDone);
    // What was begun with QoS 2 goes to nobody else [MQTT-4.8.2-5].
    const lost = (isSent: boolean): void => settle(isSent && message.qos === 2 && member.qos === 2);
    if (receiver.receive(message, member, undefined, isKept ? { settled: () => settle(true), lost } : undefined)) {
      if (!isKept) settle(true);
      return true;
    }
    this.#handed.delete(stored.position);
    this.#unload(receiver);
    return false;
  }

  #settle(stored: Stored<KeptMessage>, receiver: Receiver, isDone: boolean): void {
    const load = this.#unload(receiver);
    if (this.isDiscarded) return;
    if (isDone) {
      this.#remove(stored).then(
        () => {
          this.#handed.delete(stored.position);
          if (load <= handedPerMemberMax / 2) this.drain();
        },
        (error: unknown) => {
          this.#context.trouble(error);
          this.#giveBack(stored.position);
        },
      );
    } else {
      this.#giveBack(stored.position);
      this.drain();
    }
  }

  #unload(receiver: Receiver): number {
    const load = (this.#loads.get(receiver) ?? 1) - 1;
    if (load === 0) this.#loads.delete(receiver);
    else this.#loads.set(receiver, load);
    return load;
  }

  /** It waits again. */
  #giveBack(position: number): void {
    this.#handed.delete(position);
    this.#cursor = Math.min(this.#cursor, position - 1);
  }

  async #remove({ position, cost }: Stored<KeptMessage>): Promise<void> {
    const { sessions } = this.#context;
    await sessions.appends.append([sessions.removalOf(this.owner, position)]);
    this.#forget(cost);
  }

  #writtenUpTo(): number {
    for (const { position } of this.#writing) return position - 1;
    return this.#newest;
  }

  #forget(cost: number): void {
    const counted = Math.min(cost, this.bytes);
    this.rows = Math.max(0, this.rows - 1);
    this.bytes -= counted;
    this.#options.tally.bytes -= counted;
  }
}
