/** Valid inputs that are bytes: what real clients sent, and what OpenSSL wrote. */
import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../fixtures/corpus', import.meta.url));

/** The files of one folder in a fixed order. */
export const corpusOf = (name: string): readonly Buffer[] =>
  globSync(`${folder}/${name}/*`)
    .sort()
    .map((file) => readFileSync(file));

/** `bytes` cut into pieces of 1 to `longest` bytes, by a seed. */
export const cut = (bytes: Buffer, longest: number, seed: number): readonly Buffer[] => {
  const pieces: Buffer[] = [];
  let state = seed;
  for (let at = 0; at < bytes.length; ) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    const length = 1 + ((state >> 8) % longest);
    pieces.push(bytes.subarray(at, at + length));
    at += length;
  }
  return pieces;
};
