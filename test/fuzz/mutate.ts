/**
 * Hostile inputs out of valid ones. Everything depends on the seed alone: the same seed, corpus and dictionary make the same inputs, so a finding can be
 * made again. An input is a corpus entry changed by one to eight steps; the steps are those at which parsers break: flipped bits, values at the edges
 * of their type, lengths that lie, parts that are missing, repeated, moved or taken from another input, and words of the format where they do not belong.
 */

/** Reproducible random numbers (mulberry32): not for secrets. */
export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 32 random bits. */
  bits(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  /** An integer in [0, bound); 0 for a bound below 1. */
  below(bound: number): number {
    return bound < 1 ? 0 : Math.floor((this.bits() / 0x1_0000_0000) * bound);
  }

  /** True once in `times`. */
  oneIn(times: number): boolean {
    return this.below(times) === 0;
  }

  /** An entry of a list that is not empty. */
  pick<T>(list: readonly [T, ...T[]] | readonly T[]): T {
    // the callers' lists are not empty, so the index is always one of theirs
    return list[this.below(list.length)] as T;
  }

  /** A length that is mostly short. */
  length(longest: number): number {
    return this.oneIn(4) ? this.below(longest + 1) : this.below(Math.min(longest, 16) + 1);
  }
}

export interface Material {
  /** Valid inputs; not empty. */
  readonly corpus: readonly Uint8Array[];
  /** Words of the format; may be empty. */
  readonly dictionary: readonly Uint8Array[];
  /** No input is longer. */
  readonly bytesMax: number;
}

type Step = (input: Buffer, random: Random, material: Material) => Buffer;

const edges8 = [0, 1, 0x7f, 0x80, 0xff, 0x20, 0x2f, 0x22, 0x0a, 0x0d, 0x25, 0x30, 0x2b, 0x23, 0x24] as const;
const edges16 = [0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xfffe, 0xffff] as const;
const edges32 = [0, 1, 0xff, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] as const;
/** Numbers in digits, as texts have them. */
const numbers = [
  '-1',
  '0',
  '1',
  '9007199254740993',
  '1e400',
  '0x10',
  '00',
  '4294967296',
  '99999999999999999999',
] as const;

/** A part of the input: where it begins and ends. */
const part = (input: Buffer, random: Random): [start: number, end: number] => {
  const start = random.below(input.length + 1);
  return [start, start + random.length(input.length - start)];
};

const spliced = (input: Buffer, start: number, end: number, middle: Uint8Array): Buffer =>
  Buffer.concat([input.subarray(0, start), middle, input.subarray(end)]);

const noise = (random: Random, length: number): Buffer => {
  const bytes = Buffer.allocUnsafe(length);
  for (let at = 0; at < length; at++) bytes[at] = random.bits() & 0xff;
  return bytes;
};

const changeByte =
  (change: (byte: number, random: Random) => number): Step =>
  (input, random) => {
    if (input.length === 0) return input;
    const at = random.below(input.length);
    input[at] = change(input[at] ?? 0, random) & 0xff;
    return input;
  };

/** A number of two or four bytes somewhere becomes one at the edge, or a little more or less than it was: mostly that is a length that lies. */
const lie: Step = (input, random) => {
  const width = random.oneIn(3) ? 4 : 2;
  if (input.length < width) return input;
  const at = random.below(input.length - width + 1);
  const bits = 2 ** (8 * width);
  const was = input.readUIntBE(at, width);
  const edge = random.pick(width === 2 ? edges16 : edges32);
  const moved = was + random.below(9) - 4;
  const left = input.length - at - width;
  const value = random.pick([edge, moved, left, left + 1, left - 1]);
  input.writeUIntBE(((value % bits) + bits) % bits, at, width);
  return input;
};

/** A run of digits becomes another number. */
const renumber: Step = (input, random) => {
  const runs = [...input.toString('latin1').matchAll(/\d+/g)];
  if (runs.length === 0) return input;
  const run = random.pick(runs);
  return spliced(input, run.index, run.index + run[0].length, Buffer.from(random.pick(numbers)));
};

const remove: Step = (input, random) => {
  const [start, end] = part(input, random);
  return spliced(input, start, end, Buffer.alloc(0));
};

const insert: Step = (input, random) => {
  const at = random.below(input.length + 1);
  return spliced(input, at, at, noise(random, 1 + random.length(32)));
};

const truncate: Step = (input, random) => input.subarray(0, random.below(input.length + 1));

/** A part comes twice, or very often. */
const repeat: Step = (input, random, { bytesMax }) => {
  const [start, end] = part(input, random);
  if (start === end) return input;
  const room = Math.floor((bytesMax - input.length) / (end - start));
  const times = Math.min(random.oneIn(8) ? random.below(4096) : 1 + random.below(4), room);
  if (times < 1) return input;
  const copies = Buffer.alloc(times * (end - start), input.subarray(start, end));
  return spliced(input, end, end, copies);
};

const move: Step = (input, random) => {
  const [start, end] = part(input, random);
  const piece = Buffer.from(input.subarray(start, end));
  const rest = spliced(input, start, end, Buffer.alloc(0));
  const at = random.below(rest.length + 1);
  return spliced(rest, at, at, piece);
};

/** A part of another input stands in place of a part of this one. */
const splice: Step = (input, random, { corpus }) => {
  const other = Buffer.from(random.pick(corpus));
  const [from, to] = part(other, random);
  const [start, end] = random.oneIn(2) ? part(input, random) : [random.below(input.length + 1), input.length];
  return spliced(input, start, end, other.subarray(from, random.oneIn(2) ? other.length : to));
};

/** A word of the format is put in, or over what stands there. */
const word: Step = (input, random, { dictionary }) => {
  if (dictionary.length === 0) return input;
  const bytes = random.pick(dictionary);
  const at = random.below(input.length + 1);
  return spliced(input, at, random.oneIn(2) ? at : Math.min(at + bytes.length, input.length), bytes);
};

const steps: readonly Step[] = [
  changeByte((byte, random) => byte ^ (1 << random.below(8))),
  changeByte((byte, random) => byte ^ (1 << random.below(8))),
  changeByte((_, random) => random.bits()),
  changeByte((_, random) => random.pick(edges8)),
  changeByte((byte, random) => byte + random.below(9) - 4),
  lie,
  lie,
  renumber,
  remove,
  remove,
  insert,
  truncate,
  repeat,
  move,
  splice,
  splice,
  word,
  word,
];

/** The next hostile input. Once in 64 times it is a corpus entry as it is: valid inputs between hostile ones. */
export const mutate = (random: Random, material: Material): Buffer => {
  const { corpus, bytesMax } = material;
  let input: Buffer = Buffer.from(random.pick(corpus));
  if (random.oneIn(64)) return input;
  for (let left = 1 + random.below(random.oneIn(4) ? 8 : 3); left > 0; left--) {
    input = random.pick(steps)(input, random, material);
  }
  return input.subarray(0, bytesMax);
};
