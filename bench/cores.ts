/** Which core the server gets and which the generators: their work must not be counted as the server's waiting. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

export interface Cores {
  /** Undefined where nothing can be pinned (no taskset, or one core). */
  readonly server: number | undefined;
  readonly generators: readonly (number | undefined)[];
}

/** Generator processes; more than this is never needed to saturate one core. */
const generatorsMax = 3;

/** `0-2,5` -> 0, 1, 2, 5. */
const listed = (text: string): number[] =>
  text.split(',').flatMap((part) => {
    const [first = 0, last = first] = part.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });

const hasTaskset = (): boolean => {
  try {
    execFileSync('taskset', ['-V'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};

/** The last core for the server, the others for the generators, one process each. */
export const shareCores = (): Cores => {
  const allowed = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  const cores = listed(allowed);
  if (cores.length < 2 || !hasTaskset()) return { server: undefined, generators: [undefined, undefined] };
  return { server: cores.at(-1), generators: cores.slice(0, -1).slice(0, generatorsMax) };
};

/** A command line that runs on one core. */
export const pinned = (core: number | undefined, command: readonly string[]): string[] =>
  core === undefined ? [...command] : ['taskset', '-c', String(core), ...command];
