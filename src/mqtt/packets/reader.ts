/**
 * Finds packets in what a socket received: offsets into the received chunk, no copy. Only a packet that is split over chunks is gathered
 * in a buffer of its own, which grows with what has really arrived, so that a declared length costs nothing. Type, flags and size are
 * judged from the fixed header, before anything is buffered; QoS 2 and its packets pass only where the dialect knows them.
 * Source: MQTT 5.0 2.1, MQTT 3.1.1 2.2.
 */
import { code, malformed, PacketFault, packetType, protocolError } from './codes.ts';
import type { Gathering } from './gathering.ts';

const nothing = Buffer.alloc(0);
/** Smallest allocation for a packet that is split over chunks. */
const gatherBytesMin = 64;

const faultOfFirstByte = (first: number, qosMax: 1 | 2): (() => PacketFault) | undefined => {
  const flags = first & 0x0f;
  switch (first >> 4) {
    case packetType.publish:
      if ((flags & 0x06) === 0x06) return () => malformed('QoS 3'); // [MQTT-3.3.1-4]
      return (flags & 0x06) > qosMax << 1 ? () => new PacketFault(code.qosNotSupported, 'QoS 2') : undefined;
    case packetType.pubrec:
    case packetType.pubrel:
    case packetType.pubcomp:
      if (qosMax === 1) return () => protocolError('PUBREC, PUBREL and PUBCOMP are not supported (QoS 2)');
      return flags === (first >> 4 === packetType.pubrel ? 2 : 0)
        ? undefined
        : () => malformed('reserved flags of the fixed header'); // [MQTT-3.6.1-1]
    case packetType.subscribe:
    case packetType.unsubscribe:
      return flags === 2 ? undefined : () => malformed('reserved flags of the fixed header'); // [MQTT-2.1.3-1]
    case packetType.connect:
    case packetType.puback:
    case packetType.pingreq:
    case packetType.disconnect:
      return flags === 0 ? undefined : () => malformed('reserved flags of the fixed header');
    case 15:
      return () => protocolError('AUTH is not supported');
    case 0:
      return () => malformed('packet type 0');
    default:
      return () => protocolError(`packet type ${first >> 4} comes from servers only`);
  }
};
const faultsOf = (qosMax: 1 | 2) => Array.from({ length: 256 }, (_, first) => faultOfFirstByte(first, qosMax));
const faultsByQosMax = { 1: faultsOf(1), 2: faultsOf(2) } as const;

export class PacketReader {
  /** The packet found by `next`: `buffer[start, end)`, its body from `bodyStart`. Valid until `next` is called again. */
  buffer: Buffer = nothing;
  start = 0;
  bodyStart = 0;
  end = 0;
  /** First byte of the packet that was looked at last: type and flags; also of one that faulted. */
  first = 0;
  /** The remaining length stands in as few bytes as possible; only such a packet may be passed on as it is. */
  minimal = true;
  /** 4 or 5 once CONNECT was read; 0 before: then nothing else may come. */
  version: 0 | 4 | 5 = 0;

  readonly #packetBytesMax: number;
  readonly #faults: readonly ((() => PacketFault) | undefined)[];
  #chunk: Buffer = nothing;
  #at = 0;
  /** The beginning of a packet whose end has not arrived. */
  #gathered: Buffer | undefined;
  #gatheredBytes = 0;
  /** Shared by all connections of a node. */
  readonly #gathering: Gathering | undefined;

  constructor(packetBytesMax: number, qosMax: 1 | 2, gathering?: Gathering) {
    this.#packetBytesMax = packetBytesMax;
    this.#gathering = gathering;
    this.#faults = faultsByQosMax[qosMax];
  }

  /** Takes a received chunk. Whoever pauses calls this only with what the socket had already read. */
  push(chunk: Buffer): void {
    const left = this.#chunk.length - this.#at;
    this.#chunk = left === 0 ? chunk : Buffer.concat([this.#chunk.subarray(this.#at), chunk]);
    this.#at = 0;
  }

  /** Moves to the next complete packet; false when more bytes are needed. Faults: PacketFault. */
  next(): boolean {
    if (this.#gathered !== undefined) return this.#gather(this.#gathered);
    const chunk = this.#chunk;
    const start = this.#at;
    if (start === chunk.length) {
      this.#chunk = this.buffer = nothing;
      this.#at = 0;
      return false;
    }
    const bodyStart = this.#header(chunk, start, chunk.length);
    if (bodyStart === 0 || this.end > chunk.length) return this.#keep(start);
    this.buffer = chunk;
    this.start = start;
    this.bodyStart = bodyStart;
    this.#at = this.end;
    return true;
  }

  /** Reads the fixed header; 0 when it is not complete, else where the body begins, with `end` and `minimal` set. */
  #header(buffer: Buffer, start: number, limit: number): number {
    const first = buffer[start]!;
    this.first = first;
    this.#judge(first);
    let at = start + 1;
    let length = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      if (at === limit) return 0;
      const byte = buffer[at++]!;
      length |= (byte & 0x7f) << shift;
      if (byte >= 0x80) continue;
      this.minimal = byte !== 0 || shift === 0;
      if (!this.minimal && this.version === 5) throw malformed('remaining length in more bytes than needed'); // [MQTT-1.5.5-1]
      this.end = at + length;
      if (this.end - start > this.#packetBytesMax) {
        throw new PacketFault(code.packetTooLarge, 'packetBytesMax', 'LIMIT_EXCEEDED');
      }
      return at;
    }
    throw malformed('remaining length longer than four bytes');
  }

  #judge(first: number): void {
    const isConnect = first >> 4 === packetType.connect;
    if (this.version === 0 && !isConnect) throw protocolError('the first packet is not CONNECT'); // [MQTT-3.1.0-1]
    if (this.version !== 0 && isConnect) throw protocolError('a second CONNECT'); // [MQTT-3.1.0-2]
    const fault = this.#faults[first];
    if (fault !== undefined) throw fault();
  }

  /** Copies the beginning of a packet out of the chunk: a view would pin the whole chunk until the rest arrives. */
  #keep(start: number): false {
    const bytes = this.#chunk.length - start;
    const gathered = this.#allocate(Math.max(bytes, gatherBytesMin), 0);
    this.#gathered = gathered;
    this.#chunk.copy(gathered, 0, start);
    this.#gatheredBytes = bytes;
    this.#chunk = this.buffer = nothing;
    this.#at = 0;
    return false;
  }

  #gather(gathered: Buffer): boolean {
    let bodyStart = this.#header(gathered, 0, this.#gatheredBytes);
    while (bodyStart === 0) {
      if (this.#at === this.#chunk.length) return this.#wait();
      gathered[this.#gatheredBytes++] = this.#chunk[this.#at++]!;
      bodyStart = this.#header(gathered, 0, this.#gatheredBytes);
    }
    const bytes = Math.min(this.end - this.#gatheredBytes, this.#chunk.length - this.#at);
    const whole = this.#room(gathered, this.#gatheredBytes + bytes);
    this.#chunk.copy(whole, this.#gatheredBytes, this.#at, this.#at + bytes);
    this.#gatheredBytes += bytes;
    this.#at += bytes;
    if (this.#gatheredBytes < this.end) return this.#wait();
    this.discard();
    this.buffer = whole;
    this.start = 0;
    this.bodyStart = bodyStart;
    return true;
  }

  #wait(): false {
    this.#chunk = nothing;
    this.#at = 0;
    return false;
  }

  /** Memory for a packet that is gathered, in place of `before` bytes of it. */
  #allocate(bytes: number, before: number): Buffer {
    if (this.#gathering?.take(bytes - before, this.version !== 0) === false) {
      throw new PacketFault(code.quotaExceeded, 'partialPacketBytesPerNodeMax', 'LIMIT_EXCEEDED');
    }
    return Buffer.allocUnsafeSlow(bytes);
  }

  /** Forgets the packet whose end has not arrived: it is whole, or its connection is over. */
  discard(): void {
    if (this.#gathered === undefined) return;
    this.#gathering?.giveBack(this.#gathered.length);
    this.#gathered = undefined;
  }

  /** The gathering buffer with room for `bytes`: at least doubled, never beyond the packet. */
  #room(gathered: Buffer, bytes: number): Buffer {
    if (bytes <= gathered.length) return gathered;
    const larger = this.#allocate(Math.min(this.end, Math.max(bytes, gathered.length * 2)), gathered.length);
    gathered.copy(larger, 0, 0, this.#gatheredBytes);
    this.#gathered = larger;
    return larger;
  }
}
