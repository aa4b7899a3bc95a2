/**
 * One campaign: inputs are made, run and judged in this thread until the plan is fulfilled. A finding is an input on which something was thrown, which took
 * too long, or after which memory is not given back or a healthy client not served; findings of one cause are told once, with a small input.
 * What a thread cannot see of itself (that it hangs, that its memory is spent) is seen from outside: run.ts.
 */
import { setImmediate } from 'node:timers/promises';
import { type Coverage, watchCoverage } from './coverage.ts';
import { watchMemory } from './memory.ts';
import { type Material, mutate, Random } from './mutate.ts';
import type { Target } from './target.ts';
import { type Announce, causeOf, startTrial, type Trial } from './trial.ts';

export interface Plan {
  readonly seed: number;
  /** Ends at this number of inputs, or after this time, whichever comes first. */
  readonly executionsMax: number;
  readonly ms: number;
  /** Longest time one input may take. */
  readonly inputMsMax: number;
  /** Keep inputs that reach new code. */
  readonly guided: boolean;
  /** Run before anything else and changed further: the inputs of former findings, and what former campaigns kept. */
  readonly known: readonly Uint8Array[];
}

export interface Finding {
  readonly cause: string;
  readonly stack: string;
  readonly input: Uint8Array;
}

export interface Outcome {
  readonly executions: number;
  readonly findings: readonly Finding[];
  readonly slowestMs: number;
  /** Largest heap and buffers of the thread, in bytes, as seen after each batch. */
  readonly peakBytes: number;
  /** What became of the inputs, by the target's own words. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** Inputs kept because they reached new code. */
  readonly kept: readonly Uint8Array[];
}

const batchInputs = 256;
const healthEveryMs = 10_000;
/** A campaign that finds more than this is better mended than continued. */
const findingsMax = 20;
const corpusMax = 4_096;
/** Memory that may stay behind after a campaign's warm-up: caches have bounds, and none of them is larger. */
const growthBytesMax = 48 * 1_048_576;

/** Finds the inputs of a batch that reach new code, by halves. */
const newcomers = async (
  batch: readonly Buffer[],
  run: (input: Buffer) => Promise<boolean>,
  coverage: Coverage,
): Promise<Buffer[]> => {
  const [only] = batch;
  if (only === undefined) return [];
  if (batch.length === 1) return coverage.fresh() > 0 ? [only] : [];
  const middle = batch.length >> 1;
  const found: Buffer[] = [];
  for (const half of [batch.slice(0, middle), batch.slice(middle)]) {
    for (const input of half) if (!(await run(input))) return found;
    if (half.length === 1 || coverage.fresh({ look: true }) > 0) found.push(...(await newcomers(half, run, coverage)));
  }
  return found;
};

/** Findings by cause, the first input of each. */
class Findings {
  readonly byCause = new Map<string, Finding>();
  readonly #trial: Trial;
  constructor(trial: Trial) {
    this.#trial = trial;
  }

  add(error: unknown, prefix = ''): void {
    const cause = `${prefix}${causeOf(error)}`;
    if (this.byCause.has(cause)) return;
    const stack = error instanceof Error ? (error.stack ?? '') : '';
    this.byCause.set(cause, { cause, stack, input: this.#trial.current });
  }

  /** Runs an input and keeps what it causes, made small. */
  async judge(input: Buffer): Promise<void> {
    const error = await this.#trial.attempt(input);
    if (error === undefined || this.byCause.has(causeOf(error))) return;
    this.add(error);
    const cause = causeOf(error);
    const stack = this.byCause.get(cause)?.stack ?? '';
    this.byCause.set(cause, { cause, stack, input: await this.#trial.shrink(input, cause) });
  }

  /** Whether a healthy client is still served. */
  async checkHealth(target: Target): Promise<void> {
    try {
      await target.check?.();
    } catch (error) {
      this.add(error, 'afterwards: ');
    }
  }
}

export const campaign = async (
  open: () => Promise<Target> | Target,
  plan: Plan,
  announce: Announce = () => {},
): Promise<Outcome> => {
  const coverage = plan.guided ? watchCoverage() : undefined;
  const target = await open();
  const trial = startTrial(target, plan, announce);
  const findings = new Findings(trial);
  const memory = watchMemory();
  const random = new Random(plan.seed);
  const corpus = [...target.corpus, ...plan.known];
  const dictionary = target.dictionary.map((word) => Buffer.from(word));
  const material: Material = { corpus, dictionary, bytesMax: target.bytesMax };
  const kept: Buffer[] = [];
  const startedAt = performance.now();
  let checkedAt = startedAt;
  const share = (): number =>
    Math.max(trial.executions / plan.executionsMax, (performance.now() - startedAt) / plan.ms);
  const isDone = (): boolean => share() >= 1 || findings.byCause.size >= findingsMax;

  const batch = async (): Promise<void> => {
    const inputs: Buffer[] = [];
    while (inputs.length < batchInputs && !isDone()) {
      const input = mutate(random, material);
      inputs.push(input);
      await findings.judge(input);
    }
    memory.look(share());
    if (coverage === undefined || corpus.length >= corpusMax || coverage.fresh({ look: true }) === 0) return;
    const rerun = async (input: Buffer): Promise<boolean> => {
      if (!isDone()) await trial.attempt(input);
      return !isDone();
    };
    const found = await newcomers(inputs, rerun, coverage);
    corpus.push(...found);
    kept.push(...found);
  };

  try {
    for (const input of [...plan.known, ...target.corpus]) await findings.judge(Buffer.from(input));
    coverage?.fresh();
    while (!isDone()) {
      await batch();
      await setImmediate();
      if (performance.now() - checkedAt < healthEveryMs) continue;
      checkedAt = performance.now();
      await findings.checkHealth(target);
    }
    await findings.checkHealth(target);
    await setImmediate();
    const stray = trial.takeStray();
    if (stray !== undefined) findings.add(stray);
    const grownBytes = memory.grownBytes() - kept.length * target.bytesMax;
    if (grownBytes > growthBytesMax) findings.add(new Error(`memory grew by ${grownBytes} bytes in the second half`));
  } finally {
    await target.close?.();
    coverage?.close();
    trial.close();
  }
  const { executions, slowestMs, outcomes } = trial;
  const { peakBytes } = memory;
  return { executions, findings: [...findings.byCause.values()], slowestMs, peakBytes, outcomes, kept };
};
