/**
 * What waits for a shared subscription that has a persistent member while none of its members is connected. Messages are in the store alone; when a
 * member comes online or joins they are handed out, page by page, each to one member at random: to a persistent one by moving the row into its
 * queue, to another until it acknowledges; a message that such a member left unacknowledged goes to the next. Source: spec gateway.md 5.10.
 */
import type { Statement } from '../store/store.ts';
import type { BrokerContext } from './context.ts';
import { Enqueuing } from './enqueue.ts';
import { isPast } from './message.ts';
import type { Left, Stored, Tally } from './queue.ts';
import { extrasOf, type Receiver } from './receiver.ts';
import type { SessionQueue } from './session-queue.ts';
import { type KeptMessage, messageOf, type Owner } from './session-store.ts';
import type { Match } from './subscriptions.ts';
import type { Timed } from './wheel.ts';

/** Bytes of messages that are handed out at once. */
const pageBytesMax = 1_048_576;
/** Until members are asked again that have had what the quota lets them have, milliseconds. */
const heldMs = 500;

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
  readonly #context: BrokerContext;
  readonly #options: GroupOptions;
  #newest: number;
  readonly #writing = new Set<GroupEntry>();
  #isDraining = false;
  /** Something has changed since the draining looked. */
  #isAsked = false;
  #isDiscarded = false;
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

  expire(_position: number, cost: number): boolean {
    if (this.#isDraining) return false;
    this.#forget(cost);
    return true;
  }

  /** It has no persistent member any more: nothing is kept for it. */
  discard(): void {
    this.#isDiscarded = true;
    this.#context.wheel.cancel(this.#wake);
    this.#options.tally.bytes -= this.bytes;
    this.rows = 0;
    this.bytes = 0;
    this.#context.sessions.endQueue(this.owner).catch(this.#context.trouble);
  }

  /** Hands out what waits, if anybody is connected. */
  drain(): void {
    this.#isAsked = true;
    if (this.#isDraining || this.rows === 0 || this.#online().length === 0) return;
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
    let after = 0;
    while (!this.#isDiscarded) {
      this.#isAsked = false;
      const until = { after, upTo: this.#writtenUpTo(), bytes: pageBytesMax };
      const { messages, isWhole } = await this.#context.sessions.read(this.owner, until);
      const outcomes = await Promise.all(messages.map((stored) => this.#hand(stored)));
      after = messages.at(-1)?.position ?? 0;
      if (outcomes.includes('lost')) after = 0;
      else if (outcomes.includes('nobody') || isWhole) {
        if (!this.#isAsked) return;
        after = 0;
      }
    }
  }

  /** `lost`: its receiver went without acknowledging it. */
  async #hand({ position, cost, message: kept }: Stored<KeptMessage>): Promise<'done' | 'lost' | 'nobody'> {
    const { sessions, random, now } = this.#context;
    const removal = sessions.removalOf(this.owner, position);
    const message = messageOf(kept);
    const online = isPast(kept.expiresAtMs, now) ? [] : this.#online();
    const first = Math.floor(random() * online.length);
    let isHeld = false;
    for (let turn = 0; turn < online.length; turn++) {
      const member = online[(first + turn) % online.length]!;
      const { queue, receiver } = member.subscriber;
      if (receiver?.pace?.takeFromGroup() === false) {
        isHeld = true;
        continue;
      }
      const qos = message.qos < member.qos ? message.qos : member.qos;
      if (queue !== undefined && qos !== 0) {
        if (!receiver?.accepts(message, member)) continue;
        const enqueuing = new Enqueuing(this.#context, message);
        if (!enqueuing.toSession(queue, qos, extrasOf(message, member.extras))) continue;
        enqueuing.also(removal);
        await enqueuing.commit();
        this.#forget(cost);
        return 'done';
      }
      const { promise, resolve } = Promise.withResolvers<boolean>();
      // What was begun with QoS 2 goes to nobody else [MQTT-4.8.2-5].
      const awaited = { settled: () => resolve(true), lost: (isSent: boolean) => resolve(isSent && qos === 2) };
      if (!receiver?.receive(message, member, undefined, awaited)) continue;
      if (qos !== 0 && !(await promise)) return 'lost';
      return this.#done(removal, cost);
    }
    if (isHeld && this.#wake.slot === 0) this.#context.wheel.schedule(this.#wake, now() + heldMs);
    return isPast(kept.expiresAtMs, now) ? this.#done(removal, cost) : 'nobody';
  }

  async #done(removal: Statement, cost: number): Promise<'done'> {
    await this.#context.sessions.appends.append([removal]);
    this.#forget(cost);
    return 'done';
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
