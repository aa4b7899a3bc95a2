/**
 * DER, element by element (X.690 sections 8.1 and 10.1): for what must be taken byte by byte as it was signed or named, and for short messages that we write.
 * Tags of one byte only; lengths below 2^24.
 */

/** Bytes that are not what they should be. */
export class NotDer extends Error {
  override readonly name = 'NotDer';
}

/** Places in the bytes that it was read from. */
export interface Element {
  readonly tag: number;
  readonly start: number;
  /** Where the content begins. */
  readonly at: number;
  /** Where the next element begins. */
  readonly end: number;
}

/** Tags of the universal types that we meet (X.690 section 8.1.2). */
export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectIdentifier: 0x06,
  enumerated: 0x0a,
  generalizedTime: 0x18,
  sequence: 0x30,
} as const;

/** The element that begins at `at` and ends at `limit` at the latest. Throws NotDer. */
export const elementAt = (bytes: Uint8Array, at: number, limit: number): Element => {
  const [tag, first] = [bytes[at], bytes[at + 1]];
  const lengthBytes = first === undefined || first < 0x80 ? 0 : first & 0x7f;
  let length = first === undefined || first < 0x80 ? (first ?? 0) : 0;
  for (let i = 0; i < lengthBytes; i++) length = length * 256 + (bytes[at + 2 + i] ?? 0);
  const content = at + 2 + lengthBytes;
  const end = content + length;
  if (tag === undefined || first === undefined || first === 0x80 || lengthBytes > 3 || end > limit) {
    throw new NotDer('An element does not fit');
  }
  if ((tag & 0x1f) === 0x1f) throw new NotDer('A tag has more than one byte');
  return { tag, start: at, at: content, end };
};

/** The one element that all of the bytes are. Throws NotDer, also when something follows it. */
export const onlyElement = (bytes: Uint8Array): Element => {
  const element = elementAt(bytes, 0, bytes.length);
  if (element.end !== bytes.length) throw new NotDer('Something follows the element');
  return element;
};

export const contentOf = (bytes: Uint8Array, { at, end }: Element): Uint8Array => bytes.subarray(at, end);
/** Tag and length included. */
export const wholeOf = (bytes: Uint8Array, { start, end }: Element): Uint8Array => bytes.subarray(start, end);

/** The elements inside of another one, each taken when its turn comes. All throw NotDer. */
export interface Fields {
  /** The next one, which must have this tag; any tag when none is given. */
  take(tag?: number): Element;
  /** The next one if it has this tag. */
  find(tag: number): Element | undefined;
  /** Whether there is a next one. */
  more(): boolean;
  /** Nothing may follow. */
  end(): void;
}

export const fieldsIn = (bytes: Uint8Array, { at: first, end: limit }: Element): Fields => {
  let at = first;
  return {
    take(tag) {
      const element = elementAt(bytes, at, limit);
      if (tag !== undefined && element.tag !== tag) throw new NotDer('An element has another type than it should');
      at = element.end;
      return element;
    },
    find(tag) {
      if (at === limit || bytes[at] !== tag) return undefined;
      return this.take(tag);
    },
    more: () => at < limit,
    end() {
      if (at !== limit) throw new NotDer('There is more than there should be');
    },
  };
};

/** Writes one element. Throws NotDer for a content of 2^24 bytes or more. */
export const derOf = (tag: number, ...contents: readonly Uint8Array[]): Uint8Array => {
  const content = Buffer.concat(contents);
  const { length } = content;
  if (length >= 2 ** 24) throw new NotDer('An element would be too long');
  const lengthBytes = [length >> 16, (length >> 8) & 0xff, length & 0xff];
  while (lengthBytes[0] === 0) lengthBytes.shift();
  const size = length < 0x80 ? [length] : [0x80 | lengthBytes.length, ...lengthBytes];
  return Buffer.concat([Buffer.of(tag, ...size), content]);
};
