/** Targets with a fault in them, to see that it is found. */
import { setImmediate } from 'node:timers/promises';
import type { Target } from './target.ts';
import type { OpenTarget } from './targets.ts';

const corpus = [Buffer.from('abcdefgh'.repeat(8))];
const planted = (run: Target['run']): OpenTarget => {
  const target: Target = { corpus, dictionary: ['#!'], bytesMax: 256, run };
  return () => Promise.resolve(target);
};
const isBad = (input: Buffer): boolean => input.includes('#!');

export const targets: Readonly<Record<string, OpenTarget>> = {
  sound: planted((input) => (isBad(input) ? 'refused' : 'accepted')),
  throws: planted((input) => {
    if (isBad(input)) throw new TypeError(`number ${input.length}`);
    return undefined;
  }),
  'throws later': planted(async (input) => {
    if (isBad(input)) process.nextTick(() => JSON.parse('{'));
    await setImmediate();
    return undefined;
  }),
  hangs: planted((input) => {
    while (isBad(input));
    return undefined;
  }),
  hoards: planted((input) => {
    const hoard: string[][] = [];
    while (isBad(input)) hoard.push(Array.from({ length: 100_000 }, String));
    return undefined;
  }),
};
