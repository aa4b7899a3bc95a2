/**
 * QoS 1 and 2 towards one connection: what is sent and unacknowledged, within the client's Receive Maximum, and what waits for its turn.
 * Unacknowledged messages are sent again on v3 every 20 s with the same packet identifier (DUP set where the dialect has it), on v5 never
 * while connected [MQTT-4.4.0-1, v5]; after one hour they are given up, where the dialect does so. Of a QoS 2 message that the client has
 * received, only the PUBREL is sent again [MQTT-4.3.3-7]. Source: spec gateway.md 5.7.
 */
import type { BrokerContext } from './context.ts';
import { atSending, type EncodedPublish, isExpired, keptBytes } from './message.ts';
import type { Outlet } from './outbox.ts';
import type { Pace } from './pace.ts';
import { acknowledgementIdAt, acknowledgements } from './packets/writer.ts';
import type { Timed } from './wheel.ts';

export const retryMs = 20_000;
export const giveUpMs = 3_600_000;
const packetIdMax = 65_535;

/** Somebody waits for the acknowledgement of one message. */
export interface Awaited {
  settled(): void;
  /** The connection ended before. `isSent`: perhaps the client has it. */
  lost(isSent: boolean): void;
}

interface Offered extends EncodedPublish {
  readonly awaited?: Awaited;
}

interface Sent {
  readonly encoded: Offered;
  readonly firstSentAtMs: number;
  sentAtMs: number;
  /** QoS 2: the client has it (PUBREC), and once that is durable it was told to release it; PUBCOMP is awaited. */
  progress: 'sent' | 'received' | 'released';
}

/** Where packet identifiers come from, if not from the connection itself. */
export interface PacketIds {
  lend(): number;
  /** The client has received a QoS 2 message. Resolves when it may be told to release it; undefined = at once. */
  release(packetId: number): Promise<void> | undefined;
  settled(packetId: number): void;
}

const duplicateBit = 0x08;

export class Inflight implements Timed {
  slot = 0;
  /** What all messages cost that are unacknowledged or waiting. */
  bytes = 0;
  readonly #context: BrokerContext;
  readonly #outbox: Outlet;
  readonly #sentMax: number;
  readonly #retries: boolean;
  readonly #pace: Pace | undefined;
  /** By packet identifier, the longest unsent-again first. */
  readonly #sent = new Map<number, Sent>();
  #waiting: Offered[] = [];
  /** Index of the first that waits: what stands before it is sent. */
  #first = 0;
  #lastId = 0;
  /** Identifiers come from the queue of a persistent session, which is told when one is free again. */
  #ids: PacketIds | undefined;

  constructor(
    context: BrokerContext,
    outbox: Outlet,
    window: { readonly sentMax: number; readonly retries: boolean; readonly pace?: Pace | undefined },
  ) {
    this.#context = context;
    this.#outbox = outbox;
    this.#sentMax = window.sentMax;
    this.#retries = window.retries;
    this.#pace = window.pace;
  }

  useIds(ids: PacketIds): void {
    this.#ids = ids;
  }

  /** Whether one more message could be sent at once. */
  isReady(encoded: EncodedPublish): boolean {
    return this.#first === this.#waiting.length && this.#hasRoom(encoded);
  }

  /** Sends a message that `isReady` was asked about, under an identifier that its session knows. */
  sendAs(encoded: EncodedPublish, packetId: number, isRepeated: boolean): void {
    this.#hold(encoded);
    this.#keep(encoded, packetId);
    if (isRepeated) this.#writeAgain(encoded, packetId);
    else this.#write(encoded, packetId);
  }

  /** The same for a QoS 2 message that the client has received on an earlier connection: only its PUBREL is sent again. */
  releaseAs(encoded: EncodedPublish, packetId: number): void {
    this.#hold(encoded);
    this.#keep(encoded, packetId).progress = 'released';
    this.#writeRelease(packetId);
  }

  /** Sends now or as soon as the window and the outbox have room. The caller bounds `bytes`. */
  offer(encoded: EncodedPublish, awaited?: Awaited): void {
    const offered: Offered = awaited === undefined ? encoded : { ...encoded, keepers: 0, awaited };
    this.#hold(offered);
    if (this.isReady(encoded)) this.#send(offered);
    else this.#waiting.push(offered);
  }

  /** A PUBACK or PUBCOMP arrived, or a PUBREC that refuses: the message that is done; undefined for an unknown identifier. */
  acknowledge(packetId: number): EncodedPublish | undefined {
    const sent = this.#sent.get(packetId);
    if (sent === undefined) return undefined;
    this.#sent.delete(packetId);
    this.#letGo(sent.encoded);
    sent.encoded.awaited?.settled();
    this.proceed();
    this.#ids?.settled(packetId); // then its queue goes on, behind what waits here
    return sent.encoded;
  }

  /**
   * A PUBREC arrived: the PUBREL is sent, when that is durable for a session that is kept, which the promise tells. 'unknown': no QoS 2 message
   * has this identifier.
   */
  received(packetId: number): Promise<void> | undefined | 'unknown' {
    const sent = this.#sent.get(packetId);
    if (sent?.encoded.qos !== 2) return 'unknown';
    if (sent.progress === 'received') return undefined; // its PUBREL is on its way
    const durable = this.#ids?.release(packetId);
    if (durable === undefined) {
      this.#release(sent, packetId);
      return undefined;
    }
    sent.progress = 'received';
    return durable.then(() => this.#release(sent, packetId));
  }

  /** Sends what waits, as far as there is room. */
  proceed(): void {
    while (this.#first < this.#waiting.length) {
      const encoded = this.#waiting[this.#first]!;
      if (!this.#hasRoom(encoded)) break;
      this.#first++;
      if (isExpired(encoded, this.#context.now)) {
        this.#letGo(encoded);
        encoded.awaited?.settled();
      } else this.#send(encoded);
    }
    if (this.#first === this.#waiting.length || this.#first >= 1024) {
      this.#waiting = this.#waiting.slice(this.#first);
      this.#first = 0;
    }
  }

  due(nowMs: number): void {
    for (const [packetId, sent] of [...this.#sent]) {
      if (this.#context.limits.dialect.givesUpDeliveries && nowMs - sent.firstSentAtMs >= giveUpMs) {
        this.acknowledge(packetId);
      } else if (this.#retries && nowMs - sent.sentAtMs >= retryMs && this.#fits(sent.encoded)) {
        this.#sent.delete(packetId);
        this.#sent.set(packetId, sent);
        sent.sentAtMs = nowMs;
        if (sent.progress === 'released') this.#writeRelease(packetId);
        else if (sent.progress === 'sent' && !isExpired(sent.encoded, this.#context.now))
          this.#writeAgain(sent.encoded, packetId);
      }
    }
    this.#appoint(nowMs);
  }

  /** The connection is gone: nothing is sent any more. */
  close(): void {
    this.#context.wheel.cancel(this);
    const sent = [...this.#sent.values()];
    const waiting = this.#waiting.slice(this.#first);
    this.#sent.clear();
    this.#waiting = [];
    this.#first = 0;
    for (const { encoded } of sent) this.#letGo(encoded);
    for (const encoded of waiting) this.#letGo(encoded);
    for (const { encoded } of sent) encoded.awaited?.lost(true);
    for (const { awaited } of waiting) awaited?.lost(false);
  }

  #hold(encoded: Offered): void {
    this.bytes += keptBytes(encoded);
    this.#context.outbound.hold(encoded);
  }

  #letGo(encoded: Offered): void {
    this.bytes -= keptBytes(encoded);
    this.#context.outbound.release(encoded);
  }

  #fits(encoded: EncodedPublish): boolean {
    return this.#outbox.hasRoom(encoded.bytes.length, this.#context.limits.outboundBytesMax);
  }

  #hasRoom(encoded: EncodedPublish): boolean {
    if (this.#sent.size >= this.#sentMax || !this.#fits(encoded)) return false;
    return this.#pace === undefined || this.#pace.mayLeave();
  }

  #send(encoded: Offered): void {
    const packetId = this.#ids?.lend() ?? this.#nextId();
    this.#keep(encoded, packetId);
    this.#write(encoded, packetId);
  }

  #nextId(): number {
    do this.#lastId = this.#lastId === packetIdMax ? 1 : this.#lastId + 1;
    while (this.#sent.has(this.#lastId));
    return this.#lastId;
  }

  #keep(encoded: Offered, packetId: number): Sent {
    const nowMs = this.#context.now();
    this.#pace?.leave();
    const sent: Sent = { encoded, firstSentAtMs: nowMs, sentAtMs: nowMs, progress: 'sent' };
    this.#sent.set(packetId, sent);
    if (this.slot === 0) this.#appoint(nowMs);
    return sent;
  }

  #write(encoded: EncodedPublish, packetId: number): void {
    this.#outbox.appendWithId(atSending(encoded, this.#context.now), encoded.idAt, packetId);
  }

  #writeAgain(encoded: EncodedPublish, packetId: number): void {
    const bytes = Buffer.from(atSending(encoded, this.#context.now));
    if (this.#context.limits.dialect.duplicateFlag) bytes[0]! |= duplicateBit;
    this.#outbox.appendWithId(bytes, encoded.idAt, packetId);
  }

  #release(sent: Sent, packetId: number): void {
    if (this.#sent.get(packetId) !== sent) return; // the connection has ended
    sent.progress = 'released';
    this.#writeRelease(packetId);
  }

  #writeRelease(packetId: number): void {
    this.#outbox.appendWithId(acknowledgements.pubrel, acknowledgementIdAt, packetId);
  }

  /** Asks to be called when the oldest of what was sent needs attention. */
  #appoint(nowMs: number): void {
    const oldest = this.#sent.values().next().value;
    if (oldest === undefined || (!this.#retries && !this.#context.limits.dialect.givesUpDeliveries)) return;
    const dueMs = this.#retries ? oldest.sentAtMs + retryMs : oldest.firstSentAtMs + giveUpMs;
    this.#context.wheel.schedule(this, Math.max(dueMs, nowMs + 1000));
  }
}
