/** Durable writes through the store, beside the same rows through node:sqlite alone and beside what the disk can do. */
import { join } from 'node:path';
import type { Bench } from './bench.ts';
import { runChild } from './child.ts';

export const durable = async (bench: Bench): Promise<void> => {
  bench.say('durable writes');
  await runChild(bench, 'durable-child.ts', [String(bench.rounds), join(bench.folder, 'durable')]);
};
