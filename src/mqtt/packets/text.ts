/** MQTT's UTF-8 encoded strings and the other field types, read with bounds. Source: MQTT 5.0 1.5, MQTT 3.1.1 1.5. */
import { isUtf8 } from 'node:buffer';
import { malformed } from './codes.ts';

/**
 * The string in `buffer[start, end)`. A byte order mark stays in it [MQTT-1.5.4-3].
 * Faults: ill-formed UTF-8, encoded surrogates, U+0000 [MQTT-1.5.4-1, MQTT-1.5.4-2].
 */
export const decodeText = (buffer: Buffer, start: number, end: number): string => {
  let ascii = true;
  for (let at = start; at < end; at++) {
    const byte = buffer[at]!;
    if (byte === 0) throw malformed('NUL character in a string');
    if (byte >= 0x80) ascii = false;
  }
  if (ascii) return buffer.toString('latin1', start, end);
  if (!isUtf8(buffer.subarray(start, end))) throw malformed('ill-formed UTF-8');
  return buffer.toString('utf8', start, end);
};

/** Walks the fields of one packet body. Every read faults when it would leave `[at, end)`. */
export class Cursor {
  readonly buffer: Buffer;
  at: number;
  readonly end: number;

  constructor(buffer: Buffer, at: number, end: number) {
    this.buffer = buffer;
    this.at = at;
    this.end = end;
  }

  get left(): number {
    return this.end - this.at;
  }

  /** Moves over `bytes` and returns where they begin. */
  skip(bytes: number): number {
    const start = this.at;
    if (bytes > this.end - start) throw malformed('packet ends inside a field');
    this.at = start + bytes;
    return start;
  }

  u8(): number {
    return this.buffer[this.skip(1)]!;
  }

  u16(): number {
    return this.buffer.readUInt16BE(this.skip(2));
  }

  u32(): number {
    return this.buffer.readUInt32BE(this.skip(4));
  }

  /** A Variable Byte Integer in as few bytes as possible [MQTT-1.5.5-1], at most 268 435 455. */
  varint(): number {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.u8();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (byte === 0 && shift > 0) throw malformed('integer in more bytes than needed');
        return value;
      }
    }
    throw malformed('integer longer than four bytes');
  }

  text(): string {
    const bytes = this.u16();
    const start = this.skip(bytes);
    return decodeText(this.buffer, start, this.at);
  }

  /** Binary data as a view: copy what outlives the packet. */
  binary(): Buffer {
    const bytes = this.u16();
    const start = this.skip(bytes);
    return this.buffer.subarray(start, this.at);
  }
}
