/**
 * The receiving side of one connection: the iot:Receive decision, QoS 0 at once or dropped, QoS 1 through the inflight window.
 * Bounds, all `outboundBytesMax`, where a message that is kept counts for more than its bytes (`keptBytes`): beyond it in the outbox,
 * QoS 0 messages are dropped; beyond it in the inflight window, those who publish QoS 1 messages for this connection are held back (their
 * sockets are not read) until half of it has drained, but `holdBackMsMax` at most: then, or at twice the bound, QoS 1 messages for it are
 * dropped too, so that one stuck receiver cannot stop a fleet. A connection that is itself over its bound is never held back, because its
 * acknowledgements would not be read: so nobody waits in a circle.
 * Each drop ends in a SLOW_CONSUMER record, one when it begins and one with the count when it ends.
 */
import type { JournalRecord } from '../journal/record.ts';
import type { Authority } from './authority.ts';
import { Confirmations } from './confirmations.ts';
import { type BrokerContext, effortPerLook } from './context.ts';
import { HeldBack, type Publisher } from './held-back.ts';
import { type Awaited, Inflight } from './inflight.ts';
import {
  atSending,
  type EncodedPublish,
  type Extras,
  isExpired,
  keptBytes,
  type Message,
  type Qos,
} from './message.ts';
import type { Outlet } from './outbox.ts';
import { Pace } from './pace.ts';
import type { Version } from './packets/writer.ts';
import type { Past, Sink, Verdict } from './queue.ts';
import type { ConnectionRates } from './quotas.ts';
import type { Deliverable, SessionQueue } from './session-queue.ts';
import type { Match, MatchExtras } from './subscriptions.ts';
import type { TrafficLog } from './traffic-log.ts';

/** iot:Receive decisions remembered per connection; at the bound all are forgotten. */
export const decisionsPerConnectionMax = 256;

/** What a receiver is told about its connection. */
export interface ReceiverPlan {
  readonly version: Version;
  readonly authority: Authority;
  readonly outbox: Outlet;
  /** Largest packet that the client accepts. */
  readonly packetBytesMax: number;
  /** Most unacknowledged QoS 1 messages. */
  readonly sentMax: number;
  /** Undefined: no limit per unit of time is kept. */
  readonly rates: ConnectionRates | undefined;
  record(fields: Pick<JournalRecord, 'reason' | 'detail'>): void;
  readonly traffic: TrafficLog;
  /** iot:Receive on the topic was denied: the first time per topic and revision. */
  denied(topic: string): void;
  /** The inflight window went over its bound. */
  congested(): void;
  /** The rights could not be read again, or a delivery failed by a fault of our own: end the connection. */
  failed(error: unknown): void;
}

/** What became of a direct message at its receiver (control.ts says what each means). */
export type DirectDelivery = 'sent' | 'acknowledged' | 'forbidden' | 'unconfirmed' | 'tooLarge' | 'congested';

interface Undecided {
  readonly topic: string;
  readonly qos: Qos;
  readonly encoded: EncodedPublish;
  readonly awaited: Awaited | undefined;
}

/** What this message's copy has beside it; undefined = nothing. */
export const extrasOf = ({ retain }: Message, extras: MatchExtras | undefined): Extras | undefined => {
  if (extras === undefined) return undefined;
  const { retainAsPublished, identifiers } = extras;
  return identifiers !== undefined || (retain && retainAsPublished)
    ? { retain: retain && retainAsPublished, identifiers }
    : undefined;
};

export class Receiver implements Sink<Deliverable> {
  readonly #context: BrokerContext;
  readonly #plan: ReceiverPlan;
  readonly #inflight: Inflight;
  /** Limits per unit of time; undefined: none is kept. */
  readonly pace: Pace | undefined;
  readonly #decisions = new Map<string, boolean>();
  #decisionsRevision = Number.NaN;
  /** Deliveries that arrived while the rights were being read again, in order; undefined = nothing is being read. */
  #undecided: Undecided[] | undefined;
  #undecidedBytes = 0;
  /** What waits for the session; undefined unless it is persistent. */
  #queue: SessionQueue | undefined;
  readonly #heldBack: HeldBack;
  #dropped = 0;
  #closed = false;
  #roomAwaited: PromiseWithResolvers<void> | undefined;
  /** Made with the first message that wants one. */
  #confirmations: Confirmations | undefined;

  constructor(context: BrokerContext, plan: ReceiverPlan) {
    this.#context = context;
    this.#plan = plan;
    this.#heldBack = new HeldBack(context);
    const { rates, record } = plan;
    this.pace = rates && new Pace(context, { rates, record, resume: () => this.drained() });
    const { sentMax, version, outbox } = plan;
    this.#inflight = new Inflight(context, outbox, { sentMax, retries: version === 4, pace: this.pace });
  }

  /** What is held in memory for this client, beside what its socket was given. */
  get heldBytes(): number {
    return this.#inflight.bytes + this.#undecidedBytes + (this.#queue?.memoryBytes ?? 0);
  }

  get isCongested(): boolean {
    return this.#inflight.bytes > this.#context.limits.outboundBytesMax || this.#hasLongQueue(1 / 2);
  }

  /** More waits for the session than this part of what may. */
  #hasLongQueue(part: number): boolean {
    if (this.#queue === undefined) return false;
    const { queuedMessagesPerSessionMax, queuedBytesPerSessionMax } = this.#context.limits;
    return this.#queue.rows > part * queuedMessagesPerSessionMax || this.#queue.bytes > part * queuedBytesPerSessionMax;
  }

  /** From now on sends what waits for a persistent session; CONNACK is on its way. */
  drain(queue: SessionQueue): void {
    this.#queue = queue;
    this.#inflight.useIds({
      lend: () => queue.lend(),
      release: (packetId) => queue.release(packetId),
      settled: (packetId) => {
        queue.settled(packetId);
        queue.proceed();
      },
    });
    queue.attach(this);
  }

  /** Whether a message may be queued for this connection: it is asked again when it is sent. `from` is held back when too much waits. */
  accepts(message: Message, match: Match<unknown>, from?: Publisher): boolean {
    if (this.#closed || this.#undecided !== undefined || this.#plan.authority.stale() !== undefined) return true;
    if (!this.#isAllowed(message.topic, match)) return false;
    if (from !== undefined && this.#hasLongQueue(1 / 2)) {
      this.#plan.congested();
      this.#heldBack.hold(from);
    }
    return true;
  }

  take(message: Deliverable, packetId: number, past: Past): Verdict {
    try {
      return this.#take(message, packetId, past);
    } catch (error) {
      this.failed(error); // whose messages were stored together with this one is not concerned
      return 'later';
    }
  }

  #take({ topic, encoded }: Deliverable, packetId: number, { isRepeated, isStored, isReleased }: Past): Verdict {
    if (this.#closed || this.#undecided !== undefined) return 'later';
    if (isReleased) {
      if (!this.#inflight.isReady(encoded)) return 'later';
      this.#inflight.releaseAs(encoded, packetId);
      return 'taken';
    }
    const stale = this.#plan.authority.stale();
    if (stale !== undefined) {
      this.#undecided = [];
      this.#settleAfter(stale);
      return 'later';
    }
    if (!this.#mayReceive(topic)) {
      this.#context.metrics['PublishOut.AuthError']++;
      return 'gone';
    }
    if (isExpired(encoded, this.#context.now) || this.#isTooLarge(encoded.bytes.length)) return 'gone';
    if (isStored && this.pace?.mayDrain() === false) return 'later';
    if (!this.#hasMemoryFor(encoded) || !this.#inflight.isReady(encoded)) return 'later';
    if (isStored) this.pace?.drain();
    this.#context.metrics['PublishOut.Success']++;
    this.#inflight.sendAs(encoded, packetId, isRepeated);
    return 'taken';
  }

  /** What is unacknowledged of a session's queue is bounded in bytes too: the rest waits where it is. */
  #hasMemoryFor(encoded: EncodedPublish): boolean {
    const { limits, outbound } = this.#context;
    const { bytes } = this.#inflight;
    return bytes === 0 || (!outbound.isScarce && bytes + keptBytes(encoded) <= limits.outboundBytesMax);
  }

  /** Delivers one message; false when this connection does not get it. `from` is held back when a QoS 1 message is more than it takes. */
  receive(message: Message, match: Match<unknown>, from: Publisher | undefined, awaited?: Awaited): boolean {
    if (this.#closed) return false;
    const qos = message.qos < match.qos ? message.qos : match.qos;
    const { authority, version } = this.#plan;
    if (this.#undecided !== undefined) return this.#postpone(message, qos, match.extras, awaited);
    const stale = authority.stale();
    if (stale !== undefined) {
      this.#undecided = [];
      this.#settleAfter(stale);
      return this.#postpone(message, qos, match.extras, awaited);
    }
    if (!this.#isAllowed(message.topic, match)) return false;
    const extras = extrasOf(message, match.extras);
    const sent =
      qos !== 0
        ? this.#sendKept(message.encoded(version, qos, extras), from, awaited)
        : extras !== undefined || message.rawVersion !== version
          ? this.#sendQos0(message.encoded(version, 0, extras))
          : this.#forward(message);
    if (sent) this.#log(message.topic);
    return sent;
  }

  #log(topicName: string): void {
    const { traffic } = this.#plan;
    if (traffic.quietAt !== this.#context.logs.revision) traffic.write({ eventType: 'Publish-Out', topicName });
  }

  /** A delivery failed by a fault of our own. */
  failed(error: unknown): void {
    if (!this.#closed) this.#plan.failed(error);
  }

  /**
   * Sends a message to this client alone, subscribed or not: QoS 0, or QoS 1 when its acknowledgement is awaited for `confirmMs`. It is given up after
   * that time, sent or not, and never outlives the connection.
   */
  async direct(message: Message, confirmMs: number | undefined): Promise<DirectDelivery> {
    const { authority, version, packetBytesMax } = this.#plan;
    for (let stale = authority.stale(); stale !== undefined; stale = authority.stale()) await stale;
    if (this.#closed) return 'unconfirmed';
    if (!this.#mayReceive(message.topic)) {
      this.#context.metrics['PublishOut.AuthError']++;
      return 'forbidden';
    }
    const encoded = message.encoded(version, confirmMs === undefined ? 0 : 1);
    if (encoded.bytes.length > packetBytesMax) return 'tooLarge';
    if (confirmMs === undefined) return this.#sendQos0(encoded) ? 'sent' : 'congested';
    const bounded = { ...encoded, expiresAtMs: this.#context.now() + confirmMs };
    this.#confirmations ??= new Confirmations(this.#context);
    if (!this.#confirmations.hasRoom || !this.#sendKept(bounded, undefined)) return 'congested';
    return (await this.#confirmations.wait(bounded, confirmMs)) ? 'acknowledged' : 'unconfirmed';
  }

  acknowledge(packetId: number): void {
    const done = this.#inflight.acknowledge(packetId);
    if (done !== undefined) this.#confirmations?.acknowledged(done);
    this.#recover();
  }

  /** A PUBREC; false when no QoS 2 message has this identifier. */
  received(packetId: number): boolean {
    const durable = this.#inflight.received(packetId);
    if (durable === 'unknown') return false;
    durable?.catch((error: unknown) => this.failed(error));
    return true;
  }

  /** The socket takes bytes again. */
  drained(): void {
    if (this.#closed) return;
    this.#inflight.proceed();
    this.#queue?.proceed();
    this.#recover();
  }

  /** Resolves when less than half of what this connection is allowed waits for it, or when it is closed: for those who can choose their time. */
  async room(): Promise<void> {
    const bound = this.#context.limits.outboundBytesMax;
    const { outbox } = this.#plan;
    while (
      !this.#closed &&
      (this.#undecided ||
        this.#inflight.bytes > bound / 2 ||
        this.#hasLongQueue(1 / 2) ||
        !outbox.hasRoom(bound / 2, bound))
    ) {
      this.#roomAwaited ??= Promise.withResolvers();
      await this.#roomAwaited.promise;
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.pace?.close();
    this.#wake();
    for (const { awaited } of this.#undecided ?? []) awaited?.lost(false);
    this.#undecided = undefined;
    this.#inflight.close();
    this.#confirmations?.close();
    this.#heldBack.release();
    this.#reportDropped();
  }

  #isAllowed(topic: string, match: Match<unknown>): boolean {
    const { revision } = this.#plan.authority;
    if (match.revision !== revision) {
      match.allowed = this.#mayReceive(topic);
      match.revision = revision;
    }
    if (!match.allowed) this.#context.metrics['PublishOut.AuthError']++;
    return match.allowed;
  }

  #mayReceive(topic: string): boolean {
    const { authority } = this.#plan;
    if (this.#decisionsRevision !== authority.revision || this.#decisions.size >= decisionsPerConnectionMax) {
      this.#decisions.clear();
      this.#decisionsRevision = authority.revision;
    }
    const known = this.#decisions.get(topic);
    if (known !== undefined) return known;
    this.#context.effort.units += effortPerLook;
    const allowed = authority.allows('iot:Receive', `topic/${topic}`);
    this.#decisions.set(topic, allowed);
    if (!allowed) this.#plan.denied(topic);
    return allowed;
  }

  #postpone(message: Message, qos: Qos, extras: MatchExtras | undefined, awaited: Awaited | undefined): boolean {
    const encoded = message.encoded(this.#plan.version, qos, extrasOf(message, extras));
    const bytes = keptBytes(encoded);
    if (this.#undecidedBytes + bytes > this.#context.limits.outboundBytesMax) return this.#drop(qos);
    this.#undecidedBytes += bytes;
    this.#undecided?.push({ topic: message.topic, qos, encoded, awaited });
    return true;
  }

  #settleAfter(stale: Promise<void>): void {
    stale.then(
      () => this.#settle(),
      (error: unknown) => this.failed(error),
    );
  }

  #settle(): void {
    if (this.#closed) return;
    const stale = this.#plan.authority.stale();
    if (stale !== undefined) {
      this.#settleAfter(stale);
      return;
    }
    const undecided = this.#undecided ?? [];
    this.#undecided = undefined;
    this.#undecidedBytes = 0;
    for (const { topic, qos, encoded, awaited } of undecided) {
      let isSent = false;
      if (!this.#mayReceive(topic)) this.#context.metrics['PublishOut.AuthError']++;
      else if (qos !== 0) isSent = this.#sendKept(encoded, undefined, awaited);
      else isSent = this.#sendQos0(encoded);
      if (isSent) this.#log(topic);
      else awaited?.lost(false);
    }
    this.#queue?.proceed();
    this.#recover();
  }

  /** The received packet as it is: the same version, QoS 0, nothing to change in it. */
  #forward(message: Message): boolean {
    const bytes = message.rawEnd - message.rawStart;
    if (!this.#takesQos0(bytes)) return false;
    this.#plan.outbox.append(message.source, message.rawStart, message.rawEnd);
    return true;
  }

  #sendQos0(encoded: EncodedPublish): boolean {
    if (isExpired(encoded, this.#context.now) || !this.#takesQos0(encoded.bytes.length)) return false;
    const bytes = atSending(encoded, this.#context.now);
    this.#plan.outbox.append(bytes, 0, bytes.length);
    return true;
  }

  #takesQos0(bytes: number): boolean {
    if (this.#isTooLarge(bytes)) return false;
    const { limits, outbound } = this.#context;
    if (outbound.isScarce && !this.#plan.outbox.hasRoom(bytes, 0)) return this.#drop(0, 'outboundBytesPerNodeMax');
    if (!this.#plan.outbox.hasRoom(bytes, limits.outboundBytesMax)) return this.#drop(0);
    if (this.pace?.takeOrDrop() === false) return false;
    this.#context.metrics['PublishOut.Success']++;
    return true;
  }

  #sendKept(encoded: EncodedPublish, from: Publisher | undefined, awaited?: Awaited): boolean {
    const bound = this.#context.limits.outboundBytesMax;
    if (this.#isTooLarge(encoded.bytes.length)) return false;
    const after = this.#inflight.bytes + keptBytes(encoded);
    if (after > 2 * bound || (this.#heldBack.isInVain && after > bound)) return this.#drop(encoded.qos);
    this.#context.metrics['PublishOut.Success']++;
    this.#inflight.offer(encoded, awaited);
    if (!this.isCongested) return true;
    this.#plan.congested();
    if (from !== undefined) this.#heldBack.hold(from);
    return true;
  }

  /** [MQTT-3.1.2-24]: what exceeds the client's Maximum Packet Size is not sent, as if it had been delivered. */
  #isTooLarge(bytes: number): boolean {
    if (bytes <= this.#plan.packetBytesMax) return false;
    this.#context.metrics['PublishOut.ClientError']++;
    return true;
  }

  #wake(): void {
    this.#roomAwaited?.resolve();
    this.#roomAwaited = undefined;
  }

  #recover(): void {
    this.#wake();
    const half = this.#context.limits.outboundBytesMax / 2;
    if (this.#inflight.bytes > half || this.#hasLongQueue(1 / 4)) return;
    this.#heldBack.release();
    if (this.#dropped > 0 && this.#plan.outbox.queuedBytes <= half) this.#reportDropped();
  }

  #drop(qos: Qos, bound = 'outboundBytesMax'): false {
    this.#context.metrics['PublishOut.Throttle']++;
    this.#dropped++;
    if (this.#dropped === 1) {
      this.#plan.record({ reason: 'SLOW_CONSUMER', detail: `QoS ${qos} messages are dropped: ${bound}` });
    }
    return false;
  }

  #reportDropped(): void {
    if (this.#dropped > 1) {
      this.#plan.record({
        reason: 'SLOW_CONSUMER',
        detail: `${this.#dropped} messages were dropped: outboundBytesMax`,
      });
    }
    this.#dropped = 0;
  }
}
