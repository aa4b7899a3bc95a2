/** A scenario that needs no second process to load it: runs in a child on the server's core and hands its results back. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Bench } from './bench.ts';
import { pinned } from './cores.ts';
import type { Figure, Sample } from './results.ts';

/** A child that takes longer has hung. */
const childMsMax = 180_000;

export type Result = { readonly sample: Sample } | { readonly figure: Figure };

/** Runs `file` (beside this one) with `args`; it reports with `report`. */
export const runChild = async (bench: Bench, file: string, args: readonly string[]): Promise<void> => {
  const program = fileURLToPath(new URL(file, import.meta.url));
  const [command = '', ...rest] = pinned(bench.cores.server, [process.execPath, '--expose-gc', program, ...args]);
  const child = spawn(command, rest, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], timeout: childMsMax });
  // Structured clone keeps the shape that `report` was given, not its type.
  child.on('message', (result: Result) => {
    if ('sample' in result) bench.sample(result.sample);
    else bench.figure(result.figure);
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${file} ended with ${code}`);
};

/** In the child. */
export const report = (result: Result): void => {
  process.send?.(result);
};
