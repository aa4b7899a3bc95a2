/** What every scenario is given, and the one way in which a peer is measured. */
import type { Cores } from './cores.ts';
import { countInstructions, cpuMicros, machineMicros } from './counters.ts';
import type { Generators } from './generators.ts';
import type { Identities } from './identities.ts';
import type { Job, Outcome } from './jobs.ts';
import type { Peer, Place } from './peers.ts';
import type { Figure, Sample } from './results.ts';

export interface Bench {
  readonly folder: string;
  readonly cores: Cores;
  readonly identities: Identities;
  readonly generators: Generators;
  readonly rounds: number;
  /** Whether instructions can be counted here. */
  readonly counts: boolean;
  /** Where servers are started. */
  readonly place: Place;
  sample(sample: Sample): void;
  figure(figure: Figure): void;
  /** One line for who watches. */
  say(text: string): void;
}

/** Measures one job that all generators do against one server. `perDone` is how many operations one thing done is. */
export const measure = async (
  bench: Bench,
  server: Pick<Peer, 'name' | 'pid'>,
  { scenario, round, jobOf }: { scenario: string; round: number; jobOf: (index: number) => Job | undefined },
): Promise<void> => {
  const count = bench.counts ? await countInstructions(server.pid) : undefined;
  const [server0, machine0, startedMs] = [cpuMicros(server.pid), machineMicros(), performance.now()];
  const outcomes: readonly Outcome[] = await bench.generators.each(jobOf);
  const wallMs = performance.now() - startedMs;
  const serverMicros = cpuMicros(server.pid) - server0;
  const machine = machineMicros() - machine0;
  const instructions = await count?.stop();
  const generatorMs = outcomes.map((one) => one.generatorMs);
  const ours = serverMicros + generatorMs.reduce((sum, ms) => sum + 1000 * ms, 0);
  const failure = outcomes.find((one) => one.failure !== undefined)?.failure;
  if (failure !== undefined) bench.say(`  ${server.name}: ${failure}`);
  bench.sample({
    scenario,
    peer: server.name,
    round,
    done: outcomes.reduce((sum, { done }) => sum + done, 0),
    failed: outcomes.reduce((sum, { failed }) => sum + failed, 0),
    wallMs,
    serverMicros,
    ...(instructions !== undefined && { instructions }),
    generatorBusy: Math.max(...generatorMs) / wallMs,
    othersBusy: Math.max(0, machine - ours) / (1000 * wallMs),
  });
};

/** What every job against a peer has in common. */
export const targetOf = ({ identities }: Bench, { port, echo }: Peer, name: string) => ({
  port,
  echo,
  name,
  caFile: identities.caFile,
  devices: identities.devices,
});

/** `total` shared out to `parts`, as evenly as it goes. */
export const shareOf = (total: number, parts: number, index: number): number =>
  Math.floor(total / parts) + (index < total % parts ? 1 : 0);
