/**
 * The outbox of a v5 client that allows topic aliases: the first topics that it is sent get one each, and from then on travel without
 * their name. An alias belongs to a connection, so it is put in at the last moment, into a copy of what all receivers share. Only where the
 * dialect has it. Source: MQTT 5.0 3.1.2.11.5, 3.3.2.3.4.
 */
import type { Outlet } from './outbox.ts';
import { packetType } from './packets/codes.ts';
import { property } from './packets/properties.ts';
import { Cursor } from './packets/text.ts';
import { putVarint, varintBytes } from './packets/writer.ts';

/** A topic of this many bytes or fewer costs less than its alias. */
const topicBytesMin = 4;
/** Identifier and value of the property. */
const aliasBytes = 3;

export interface AliasBounds {
  /** Topic Alias Maximum of the client, or less. */
  readonly aliasesMax: number;
  /** Largest packet that the client accepts. */
  readonly packetBytesMax: number;
}

export class AliasingOutbox implements Outlet {
  readonly #outbox: Outlet;
  readonly #bounds: AliasBounds;
  /** By the bytes of the topic, as latin1. At most `aliasesMax`, never reassigned. */
  readonly #aliases = new Map<string, number>();

  constructor(outbox: Outlet, bounds: AliasBounds) {
    this.#outbox = outbox;
    this.#bounds = bounds;
  }

  get queuedBytes(): number {
    return this.#outbox.queuedBytes;
  }

  hasRoom(bytes: number, bytesMax: number): boolean {
    return this.#outbox.hasRoom(bytes, bytesMax);
  }

  append(source: Buffer, start: number, end: number): void {
    const aliased = this.#aliased(source, start, end);
    if (aliased === undefined) this.#outbox.append(source, start, end);
    else this.#outbox.append(aliased.bytes, 0, aliased.bytes.length);
  }

  appendWithId(source: Buffer, idAt: number, packetId: number): void {
    const aliased = this.#aliased(source, 0, source.length);
    if (aliased === undefined) this.#outbox.appendWithId(source, idAt, packetId);
    else this.#outbox.appendWithId(aliased.bytes, aliased.idAt, packetId);
  }

  /** The PUBLISH `source[start, end)` with its alias; undefined when it has none, or is another packet. */
  #aliased(source: Buffer, start: number, end: number): { bytes: Buffer; idAt: number } | undefined {
    const first = source[start]!;
    if (first >> 4 !== packetType.publish) return undefined;
    const cursor = new Cursor(source, start + 1, end);
    cursor.varint();
    const topicAt = cursor.at;
    const topicBytes = cursor.u16();
    const nameAt = cursor.skip(topicBytes);
    if (topicBytes <= topicBytesMin) return undefined;
    const topic = source.toString('latin1', nameAt, cursor.at);
    const known = this.#aliases.get(topic);
    if (known === undefined && this.#aliases.size >= this.#bounds.aliasesMax) return undefined;
    const alias = known ?? this.#aliases.size + 1;

    const idBytes = first & 0x06 ? 2 : 0;
    cursor.skip(idBytes);
    const propertyBytes = cursor.varint() + aliasBytes;
    const nameBytes = known === undefined ? 2 + topicBytes : 2;
    const length = nameBytes + idBytes + varintBytes(propertyBytes) + aliasBytes + cursor.left;
    const total = 1 + varintBytes(length) + length;
    if (total > this.#bounds.packetBytesMax) return undefined;
    this.#aliases.set(topic, alias);

    const bytes = Buffer.allocUnsafe(total);
    bytes[0] = first;
    let at = putVarint(bytes, length, 1);
    if (known === undefined) at += source.copy(bytes, at, topicAt, topicAt + nameBytes);
    else at = bytes.writeUInt16BE(0, at);
    const idAt = at;
    at += idBytes;
    at = putVarint(bytes, propertyBytes, at);
    bytes[at] = property.topicAlias;
    at = bytes.writeUInt16BE(alias, at + 1);
    source.copy(bytes, at, cursor.at, end);
    return { bytes, idAt };
  }
}
