/**
 * Looks for a run of characters, some of which may be any, in a text. Comparing at every place would cost text length times run length, and
 * a policy can hold a hundred runs that fail at their last character, each at every place. Here all places advance together, as bits of a
 * few words (Shift-And: Baeza-Yates and Gonnet, "A new approach to text searching", 1992), so a character costs one step per 32 of the run.
 */

/** A character of a run as its code point. */
export type RunCharacter = number;
/** Stands for any one character. */
export const anyCharacter: RunCharacter = -1;

const wordBits = 32;

/** Where the leftmost occurrence at or after `from` ends, in UTF-16 units; -1 when there is none. Characters are code points. */
export function endOfRun(run: readonly RunCharacter[], text: string, from: number): number {
  if (run.length === 0) return from;
  if (run.length > text.length - from) return -1;
  const words = Math.ceil(run.length / wordBits);
  const { masks, anyMask } = masksOf(run, words);
  const lastWord = words - 1;
  const lastBit = 1 << ((run.length - 1) % wordBits);
  /** Bit i: the run up to its character i has just been read. */
  const read = new Int32Array(words);
  for (let at = from; at < text.length; ) {
    const character = text.codePointAt(at) ?? 0;
    at += character > 0xffff ? 2 : 1;
    const mask = masks.get(character) ?? anyMask;
    let carry = 1; // the run may begin anywhere
    for (let word = 0; word < words; word++) {
      const before = read[word] ?? 0;
      read[word] = ((before << 1) | carry) & (mask[word] ?? 0);
      carry = before >>> (wordBits - 1);
    }
    if ((read[lastWord] ?? 0) & lastBit) return at;
  }
  return -1;
}

/** For each character of the run, and for all others, the places at which it may stand. */
function masksOf(run: readonly RunCharacter[], words: number) {
  const anyMask = new Int32Array(words);
  for (const [index, character] of run.entries()) if (character === anyCharacter) setBit(anyMask, index);
  const masks = new Map<RunCharacter, Int32Array>();
  for (const [index, character] of run.entries()) {
    if (character === anyCharacter) continue;
    const mask = masks.get(character) ?? anyMask.slice();
    setBit(mask, index);
    masks.set(character, mask);
  }
  return { masks, anyMask };
}

function setBit(mask: Int32Array, index: number): void {
  const word = Math.floor(index / wordBits);
  mask[word] = (mask[word] ?? 0) | (1 << (index % wordBits));
}
