/**
 * CBOR as the fleet provisioning topics use it (RFC 8949): values that JSON has too. Maps have text keys; lengths may be indefinite on the way in and
 * are definite on the way out. Each item costs its reader at least one byte of input, so work and memory follow the size of the input, whatever
 * lengths it states. Tags are passed over; byte strings, which JSON has not, and numbers beyond 2^53 are refused.
 */

export type CborValue = string | number | boolean | null | readonly CborValue[] | { readonly [key: string]: CborValue };

/** Levels of maps and lists. */
export const cborNestingMax = 16;

/** Bytes that are not one CBOR value of this kind. `message` quotes nothing of them. */
export class CborProblem extends Error {
  override readonly name = 'CborProblem';
}

const major = { unsigned: 0, negative: 1, bytes: 2, text: 3, list: 4, map: 5, tag: 6, simple: 7 } as const;
const indefinite = 31;
const breakByte = 0xff;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get isDone(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** Goes past the next bytes and answers where they begin. */
  #skip(count: number): number {
    const at = this.#at;
    if (count > this.#bytes.length - at) throw new CborProblem('ends inside a value');
    this.#at += count;
    return at;
  }

  /** The number that an initial byte announces: a length, a count or the value itself. */
  #argument(info: number): number {
    if (info < 24) return info;
    if (info === 24) return this.#view.getUint8(this.#skip(1));
    if (info === 25) return this.#view.getUint16(this.#skip(2));
    if (info === 26) return this.#view.getUint32(this.#skip(4));
    if (info !== 27) throw new CborProblem('malformed length');
    const value = this.#view.getBigUint64(this.#skip(8));
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new CborProblem('number or length beyond 2^53');
    return Number(value);
  }

  /** Whether the break of an indefinite length comes; if so, it is passed. */
  #breaks(): boolean {
    if (this.#bytes[this.#at] !== breakByte) return false;
    this.#at++;
    return true;
  }

  /** Calls `item` for each item of a list or map. */
  #each(info: number, item: () => void): void {
    if (info === indefinite) {
      while (!this.#breaks()) item();
      return;
    }
    const count = this.#argument(info);
    // the shortest item is one byte
    if (count > this.#bytes.length - this.#at) throw new CborProblem('ends inside a value');
    for (let index = 0; index < count; index++) item();
  }

  value(nesting = 0): CborValue {
    const initial = this.#view.getUint8(this.#skip(1));
    const info = initial & 0x1f;
    switch (initial >> 5) {
      case major.unsigned:
        return this.#argument(info);
      case major.negative:
        return -1 - this.#argument(info);
      case major.text:
        return this.#text(info);
      case major.list:
        return this.#list(info, nesting);
      case major.map:
        return this.#map(info, nesting);
      case major.tag:
        this.#argument(info);
        if (nesting >= cborNestingMax) throw new CborProblem('nested too deep');
        return this.value(nesting + 1);
      case major.simple:
        return this.#simple(info);
      default:
        throw new CborProblem('byte string');
    }
  }

  #text(info: number): string {
    if (info !== indefinite) return this.#chunk(info);
    const chunks: string[] = [];
    while (!this.#breaks()) {
      const initial = this.#view.getUint8(this.#skip(1));
      const chunkInfo = initial & 0x1f;
      if (initial >> 5 !== major.text || chunkInfo === indefinite) throw new CborProblem('malformed text');
      chunks.push(this.#chunk(chunkInfo));
    }
    return chunks.join('');
  }

  #chunk(info: number): string {
    const length = this.#argument(info);
    const at = this.#skip(length);
    try {
      return utf8.decode(this.#bytes.subarray(at, at + length));
    } catch {
      throw new CborProblem('ill-formed UTF-8');
    }
  }

  #list(info: number, nesting: number): CborValue {
    if (nesting >= cborNestingMax) throw new CborProblem('nested too deep');
    const items: CborValue[] = [];
    this.#each(info, () => items.push(this.value(nesting + 1)));
    return items;
  }

  #map(info: number, nesting: number): CborValue {
    if (nesting >= cborNestingMax) throw new CborProblem('nested too deep');
    const entries = new Map<string, CborValue>();
    this.#each(info, () => {
      const initial = this.#view.getUint8(this.#skip(1));
      if (initial >> 5 !== major.text) throw new CborProblem('key that is not text');
      const key = this.#text(initial & 0x1f);
      if (entries.has(key)) throw new CborProblem('key that occurs twice');
      entries.set(key, this.value(nesting + 1));
    });
    return Object.fromEntries(entries);
  }

  #simple(info: number): CborValue {
    if (info === 20 || info === 21) return info === 21;
    if (info === 22 || info === 23) return null;
    if (info === 25) return this.#view.getFloat16(this.#skip(2));
    if (info === 26) return this.#view.getFloat32(this.#skip(4));
    if (info === 27) return this.#view.getFloat64(this.#skip(8));
    throw new CborProblem('unknown simple value');
  }
}

/** The one value that these bytes are; maps as objects whose keys are own properties. Faults: CborProblem. */
export const readCbor = (bytes: Uint8Array): CborValue => {
  const reader = new Reader(bytes);
  const value = reader.value();
  if (!reader.isDone) throw new CborProblem('bytes behind the value');
  return value;
};

const header = (type: number, argument: number): Buffer => {
  const initial = type << 5;
  if (argument < 24) return Buffer.of(initial | argument);
  const length = argument < 2 ** 8 ? 1 : argument < 2 ** 16 ? 2 : argument < 2 ** 32 ? 4 : 8;
  const bytes = Buffer.alloc(1 + length);
  bytes[0] = initial | (24 + Math.log2(length));
  if (length === 8) bytes.writeBigUInt64BE(BigInt(argument), 1);
  else bytes.writeUIntBE(argument, 1, length);
  return bytes;
};

const parts = (value: CborValue): Buffer[] => {
  if (value === null) return [Buffer.of(0xf6)];
  if (typeof value === 'boolean') return [Buffer.of(value ? 0xf5 : 0xf4)];
  if (typeof value === 'string') {
    const text = Buffer.from(value);
    return [header(major.text, text.length), text];
  }
  if (typeof value === 'number') {
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
      return [value < 0 ? header(major.negative, -1 - value) : header(major.unsigned, value)];
    }
    const double = Buffer.alloc(9, 0xfb);
    double.writeDoubleBE(value, 1);
    return [double];
  }
  if (isList(value)) return [header(major.list, value.length), ...value.flatMap(parts)];
  const entries = Object.entries(value);
  return [header(major.map, entries.length), ...entries.flatMap(([key, item]) => [...parts(key), ...parts(item)])];
};
const isList = (value: CborValue): value is readonly CborValue[] => Array.isArray(value);

/** With definite lengths, each number and length in its shortest form. */
export const writeCbor = (value: CborValue): Buffer => Buffer.concat(parts(value));
