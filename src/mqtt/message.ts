/**
 * One message on its way to its receivers. Its bytes stand in the chunk it arrived in; it is encoded at most once per version, QoS and
 * RETAIN, however many receive it, and not at all for a receiver that can take the received packet as it is. Only a receiver that gave its
 * subscription an identifier has an encoding of its own.
 */
import { property } from './packets/properties.ts';
import { putVarint, type Version, varintBytes } from './packets/writer.ts';

/** QoS 2 only where the dialect has it. */
export type Qos = 0 | 1 | 2;

/** Bounds of the Message Expiry Interval, seconds (spec gateway.md 5.7): values outside are moved to the bound. */
export const messageExpirySecondsMin = 1;
export const messageExpirySecondsMax = 604_800;

/** What a message that is kept costs beside its bytes: without it, a bound in bytes would let small messages cost thirty times as much. */
export const keptMessageBytes = 256;
/** What keeping a message costs. */
export const keptBytes = ({ bytes }: EncodedPublish): number => bytes.length + keptMessageBytes;

/** A PUBLISH ready for one kind of receiver. It owns its bytes and is shared by all of them. */
export interface EncodedPublish {
  readonly qos: Qos;
  readonly bytes: Buffer;
  /** Where the packet identifier stands; -1 for QoS 0. */
  readonly idAt: number;
  /** Where the Message Expiry Interval stands; -1 when there is none. */
  readonly expiryAt: number;
  /** When the message expires, in ms of the node's clock; Infinity = never. */
  readonly expiresAtMs: number;
  /** How many keep it (`Outbound`). */
  keepers: number;
}

/** Where a message came from: a received packet or a call. Positions are offsets into `source`. */
export interface MessageOrigin {
  readonly topic: string;
  readonly qos: Qos;
  readonly source: Buffer;
  readonly payloadStart: number;
  readonly payloadEnd: number;
  /** As it was published: kept only for receivers that asked to see it (v5 Retain As Published). Absent = false. */
  readonly retain?: boolean;
  /** v5 properties that travel on, without topic alias and message expiry. */
  readonly properties?: Buffer | undefined;
  /** Infinity = never. */
  readonly expiresAtMs: number;
}

/** Payload and v5 properties as copies that own their whole buffer. */
export interface MessageParts {
  readonly payload: Uint8Array;
  readonly properties: Uint8Array | undefined;
}

/** What a receiver's copy has beside the message. */
export interface Extras {
  readonly retain: boolean;
  /** v5 Subscription Identifiers as properties, one after the other. */
  readonly identifiers?: Buffer | undefined;
}

export class Message {
  readonly topic: string;
  readonly qos: Qos;
  readonly retain: boolean;
  readonly expiresAtMs: number;
  /** The received packet, when a QoS 0 receiver of `rawVersion` may be sent it unchanged: `source[rawStart, rawEnd)`. */
  rawVersion: Version | 0 = 0;
  rawStart = 0;
  rawEnd = 0;
  readonly source: Buffer;
  readonly #payloadStart: number;
  readonly #payloadEnd: number;
  readonly #properties: Buffer | undefined;
  /** By RETAIN, version and QoS: 0 to 2 of v3, then of v5, then the same with RETAIN. */
  #encoded: (EncodedPublish | undefined)[] | undefined;
  #parts: MessageParts | undefined;

  constructor(origin: MessageOrigin) {
    this.topic = origin.topic;
    this.qos = origin.qos;
    this.retain = origin.retain ?? false;
    this.expiresAtMs = origin.expiresAtMs;
    this.source = origin.source;
    this.#payloadStart = origin.payloadStart;
    this.#payloadEnd = origin.payloadEnd;
    this.#properties = origin.properties;
  }

  get payload(): Buffer {
    return this.source.subarray(this.#payloadStart, this.#payloadEnd);
  }

  /** v5 properties that travel on, as they are encoded. */
  get properties(): Buffer | undefined {
    return this.#properties;
  }

  /** Without extras RETAIN and DUP are clear, as on every live forward of AWS (spec gateway.md 5.5, 5.6). */
  encoded(version: Version, qos: Qos, extras?: Extras): EncodedPublish {
    if (extras?.identifiers !== undefined && version === 5) return this.#encode(version, qos, extras);
    const kind = (version === 5 ? 3 : 0) + qos + (extras?.retain ? 6 : 0);
    this.#encoded ??= [undefined, undefined, undefined, undefined, undefined, undefined];
    const known = this.#encoded[kind];
    if (known !== undefined) return known;
    const encoded = this.#encode(version, qos, extras);
    this.#encoded[kind] = encoded;
    return encoded;
  }

  /** What has to be kept of it beyond the turn in which it arrived; shared by all that keep it. */
  get parts(): MessageParts {
    this.#parts ??= {
      payload: new Uint8Array(this.source.subarray(this.#payloadStart, this.#payloadEnd)),
      properties: this.#properties && new Uint8Array(this.#properties),
    };
    return this.#parts;
  }

  #encode(version: Version, qos: Qos, extras: Extras | undefined): EncodedPublish {
    const topicBytes = Buffer.byteLength(this.topic);
    const payloadBytes = this.#payloadEnd - this.#payloadStart;
    const expires = version === 5 && this.expiresAtMs !== Infinity;
    const identifiers = extras?.identifiers;
    const propertyBytes =
      version === 5 ? (this.#properties?.length ?? 0) + (identifiers?.length ?? 0) + (expires ? 5 : 0) : 0;
    const sectionBytes = version === 5 ? varintBytes(propertyBytes) + propertyBytes : 0;
    const length = 2 + topicBytes + (qos === 0 ? 0 : 2) + sectionBytes + payloadBytes;
    const bytes = Buffer.allocUnsafe(1 + varintBytes(length) + length);

    bytes[0] = 0x30 | (qos << 1) | (extras?.retain ? 1 : 0);
    let at = putVarint(bytes, length, 1);
    at = bytes.writeUInt16BE(topicBytes, at);
    at += bytes.write(this.topic, at, topicBytes, 'utf8');
    const idAt = qos === 0 ? -1 : at;
    if (qos !== 0) at = bytes.writeUInt16BE(0, at);
    let expiryAt = -1;
    if (version === 5) {
      at = putVarint(bytes, propertyBytes, at);
      if (expires) {
        bytes[at] = property.messageExpiry;
        expiryAt = at + 1;
        at = bytes.writeUInt32BE(0, expiryAt);
      }
      if (this.#properties !== undefined) at += this.#properties.copy(bytes, at);
      if (identifiers !== undefined) at += identifiers.copy(bytes, at);
    }
    this.source.copy(bytes, at, this.#payloadStart, this.#payloadEnd);
    return { qos, bytes, idAt, expiryAt, expiresAtMs: this.expiresAtMs, keepers: 0 };
  }
}

/** When a message published at `nowMs` expires; Infinity without an interval. */
export const expiresAt = (intervalSeconds: number | undefined, nowMs: number): number =>
  intervalSeconds === undefined
    ? Infinity
    : nowMs + 1000 * Math.min(Math.max(intervalSeconds, messageExpirySecondsMin), messageExpirySecondsMax);

/** Seconds that a message may still live, possibly 0; spec gateway.md 5.7. */
const secondsLeft = (expiresAtMs: number, nowMs: number): number =>
  Math.max(0, Math.floor((expiresAtMs - nowMs) / 1000));

/** The bytes of a message as they leave now: with what is left of its expiry, if it has one. */
export const atSending = ({ bytes, expiryAt, expiresAtMs }: EncodedPublish, now: () => number): Buffer => {
  if (expiryAt < 0) return bytes;
  const copy = Buffer.from(bytes);
  copy.writeUInt32BE(secondsLeft(expiresAtMs, now()), expiryAt);
  return copy;
};

/** Nobody is to get it any more, v3 receivers neither (spec gateway.md 5.7). */
export const isExpired = ({ expiresAtMs }: EncodedPublish, now: () => number): boolean => isPast(expiresAtMs, now);

/** The clock is asked only where there is an expiry. */
export const isPast = (expiresAtMs: number, now: () => number): boolean =>
  expiresAtMs !== Infinity && expiresAtMs <= now();
