/**
 * What a process has cost: CPU time of all its threads, memory, and instructions where the machine lets us count them. CPU time moves with what
 * the neighbours do to caches and clock; instructions hardly do, but most virtual machines hide the counters.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';

const threadsOf = (pid: number): string[] => readdirSync(`/proc/${pid}/task`);

/** A thread may end between the listing and the reading: what it used is then missing. */
const readOr = (file: string, otherwise: string): string => {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return otherwise;
  }
};

/** Microseconds of CPU time, user and kernel, of all threads. From schedstat (nanoseconds), else from stat (ticks of 10 ms). */
export const cpuMicros = (pid: number): number => {
  const fine = threadsOf(pid).reduce(
    (sum, thread) => sum + Number(readOr(`/proc/${pid}/task/${thread}/schedstat`, '0').split(' ')[0]),
    0,
  );
  if (fine > 0) return fine / 1000;
  const [, user = 0, system = 0] =
    /\) (?:\S+ ){11}(\d+) (\d+)/.exec(readOr(`/proc/${pid}/stat`, ''))?.map(Number) ?? [];
  return (user + system) * 10_000;
};

/** Resident memory in bytes. */
export const residentBytes = (pid: number): number =>
  1024 * Number(/^VmRSS:\s+(\d+) kB/m.exec(readOr(`/proc/${pid}/status`, ''))?.[1] ?? 0);

/** CPU time of the whole machine in microseconds, without idling and waiting for disks. */
export const machineMicros = (): number => {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = readFileSync('/proc/stat', 'utf8')
    .split('\n', 1)[0]!
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return (user + nice + system + irq + softirq) * 10_000;
};

const events = 'instructions:u,instructions:k';

/** Whether instructions can be counted here, or why not. */
export const countersState = (): 'readable' | string => {
  const { error, stderr } = spawnSync('perf', ['stat', '-x,', '-e', events, 'true'], { encoding: 'utf8' });
  if (error) return 'perf is not installed';
  return /^\d+,/m.test(stderr) ? 'readable' : 'this machine hides its hardware counters';
};

export interface Count {
  /** Ends the count; undefined when perf could not follow the process. */
  stop(): Promise<number | undefined>;
}

/** Counts the instructions of a process from now on; resolves when counting has begun. Needs readable counters. */
export const countInstructions = async (pid: number): Promise<Count> => {
  const args = ['stat', '-x,', '-e', events, '-D', '-1', '--control', 'fd:3,4', '-p', String(pid)];
  const perf: ChildProcess = spawn('perf', args, { stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'] });
  const [, , stderr, control, acknowledged] = perf.stdio;
  let printed = '';
  stderr?.on('data', (chunk: Buffer) => {
    printed += chunk.toString();
  });
  const ended = once(perf, 'close');
  if (control && 'write' in control) control.write('enable\n');
  if (acknowledged) await Promise.race([once(acknowledged, 'data'), ended]);
  return {
    async stop() {
      perf.kill('SIGINT');
      await ended;
      const counts = [...printed.matchAll(/^(\d+),/gm)].map(([, count]) => Number(count));
      return counts.length === 0 ? undefined : counts.reduce((sum, count) => sum + count, 0);
    },
  };
};
