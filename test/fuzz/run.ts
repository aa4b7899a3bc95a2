/**
 * Runs a campaign in a thread of its own, which may hang or spend its memory without harm: both are findings, and the input that did it is known because the
 * thread writes each input into shared memory before it takes it.
 */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Finding, Outcome, Plan } from './campaign.ts';
import { type Assignment, headerBytes } from './worker.ts';

/** Loading the rooms of a target, and closing them. */
const idleMsMax = 60_000;
const inputBytesMax = 4_194_304;

export interface Guard {
  /** The module with the table of targets. */
  readonly table: URL;
  /** An input that keeps the thread this long hangs. */
  readonly hangMs: number;
  /** Heap of the thread; a node with all its rooms needs less than half of it. */
  readonly heapMegabytesMax: number;
}
const ordinary: Guard = { table: new URL('./targets.ts', import.meta.url), hangMs: 15_000, heapMegabytesMax: 512 };

const fixturesFolder = fileURLToPath(new URL('../fixtures/fuzz', import.meta.url));

/** The inputs of former findings, by name, in a fixed order. */
export const fixturesOf = (target: string): readonly (readonly [name: string, input: Uint8Array])[] =>
  globSync('*', { cwd: join(fixturesFolder, target) })
    .sort()
    .map((name) => [name, readFileSync(join(fixturesFolder, target, name))] as const);

const nothing: Outcome = { executions: 0, findings: [], slowestMs: 0, peakBytes: 0, outcomes: {}, kept: [] };

/** Never rejects because of the target: what it does wrong is in `findings`. */
export const runCampaign = async (target: string, plan: Plan, guard: Partial<Guard> = {}): Promise<Outcome> => {
  const { table, hangMs, heapMegabytesMax } = { ...ordinary, ...guard };
  const shared = new SharedArrayBuffer(headerBytes + inputBytesMax);
  const header = new Int32Array(shared, 0, 2);
  const assignment: Assignment = { target, table: table.href, plan, shared };
  const worker = new Worker(new URL('./worker.ts', import.meta.url), {
    workerData: assignment,
    resourceLimits: { maxOldGenerationSizeMb: heapMegabytesMax },
  });
  const seen = (cause: string, stack: string): Outcome => {
    const input = Buffer.from(new Uint8Array(shared, headerBytes, Atomics.load(header, 1)));
    const finding: Finding = { cause, stack, input };
    return { ...nothing, executions: Atomics.load(header, 0), findings: [finding] };
  };
  const ended = new Promise<Outcome>((resolve) => {
    worker.on('message', resolve);
    worker.on('error', (error: Error) => resolve(seen(`the thread ended: ${error.message}`, error.stack ?? '')));
    worker.on('exit', (code) => resolve(seen(`the thread ended with code ${code}`, '')));
  });
  const watching = new AbortController();
  const watched = async (): Promise<Outcome> => {
    let [count, since] = [0, performance.now()];
    for (;;) {
      await wait(500, undefined, { signal: watching.signal, ref: false });
      const now = performance.now();
      const begun = Atomics.load(header, 0);
      if (begun !== count) [count, since] = [begun, now];
      else if (now - since > (begun === 0 ? idleMsMax : hangMs)) return seen(`hangs for ${hangMs} ms`, '');
    }
  };
  try {
    return await Promise.race([ended, watched()]);
  } finally {
    watching.abort();
    await worker.terminate();
  }
};
