/** What a policy decision costs, and what it adds to a PUBLISH. In one process, without sockets. */
import type { Bench } from './bench.ts';
import { runChild } from './child.ts';

export const authorize = async (bench: Bench): Promise<void> => {
  bench.say('authorize');
  await runChild(bench, 'authorize-child.ts', [String(bench.rounds)]);
};
