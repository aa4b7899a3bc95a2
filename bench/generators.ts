/** The generator processes, one per core that the server does not have, and one job given to all of them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { pinned } from './cores.ts';
import type { Job, Outcome } from './jobs.ts';

const program = fileURLToPath(new URL('generator.ts', import.meta.url));
/** A job that takes longer has hung. */
const jobMsMax = 120_000;

export interface Generators {
  readonly count: number;
  /** Gives each generator its job; the outcomes in their order. Rejects when one failed altogether. */
  each(jobOf: (index: number) => Job | undefined): Promise<readonly Outcome[]>;
  close(): void;
}

const ask = async (child: ChildProcess, job: Job): Promise<Outcome> => {
  const timer = AbortSignal.timeout(jobMsMax);
  child.send(job);
  // Structured clone keeps the shape that generator.ts sent, not its type.
  const [outcome] = (await once(child, 'message', { signal: timer })) as [Outcome];
  if (outcome.done === 0 && outcome.failed > 0) throw new Error(`${job.job}: ${outcome.failure ?? 'nothing arrived'}`);
  return outcome;
};

export const startGenerators = (cores: readonly (number | undefined)[]): Generators => {
  const children = cores.map((core) => {
    const [command = '', ...args] = pinned(core, [process.execPath, program]);
    return spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  });
  return {
    count: children.length,
    async each(jobOf) {
      const jobs = children.map((child, index) => ({ child, job: jobOf(index) }));
      return Promise.all(jobs.flatMap(({ child, job }) => (job ? [ask(child, job)] : [])));
    },
    close() {
      for (const child of children) child.kill();
    },
  };
};
