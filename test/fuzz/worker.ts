/** The thread of one campaign: run.ts starts it, watches it through shared memory, and ends it when it hangs. */
import { parentPort, workerData } from 'node:worker_threads';
import { campaign, type Plan } from './campaign.ts';
import type { OpenTarget } from './targets.ts';

/** What run.ts hands over. */
export interface Assignment {
  readonly target: string;
  /** URL of the module that exports it in its table `targets`. */
  readonly table: string;
  readonly plan: Plan;
  /** Two numbers, how many inputs were begun and how long the current one is, then the input itself. */
  readonly shared: SharedArrayBuffer;
}

export const headerBytes = 8;

if (parentPort !== null) {
  // run.ts is the only one who starts this file
  const { target: name, table, plan, shared } = workerData as Assignment;
  const { targets }: { targets: Readonly<Record<string, OpenTarget>> } = await import(table);
  const header = new Int32Array(shared, 0, 2);
  const bytes = new Uint8Array(shared, headerBytes);
  const open = targets[name];
  if (open === undefined) throw new Error(`No target is named ${name}`);
  const outcome = await campaign(open, plan, (input) => {
    const length = Math.min(input.length, bytes.length);
    bytes.set(input.subarray(0, length));
    Atomics.store(header, 1, length);
    Atomics.add(header, 0, 1);
  });
  parentPort.postMessage(outcome);
}
