/**
 * One campaign: inputs are made, run and judged in this thread until the plan is fulfilled. A finding is an input on which something was thrown, which took
 * too long, or after which memory is not given back; findings of one cause are told once, made as small as a few hundred tries allow.
 * What a thread cannot see of itself (that it hangs, that its memory is spent) is seen from outside: run.ts.
 */
import { setImmediate } from 'node:timers/promises';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { watchCoverage } from './coverage.ts';
import { type Material, mutate, Random } from './mutate.ts';
import type { Target } from './target.ts';

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

/** Told of every input before it runs, so that what stops the thread is known outside. */
export type Announce = (input: Uint8Array) => void;

const batchInputs = 256;
/** A campaign that finds more than this is better mended than continued. */
const findingsMax = 20;
const shrinkRunsMax = 400;
const shrinkMs = 3_000;
const corpusMax = 4_096;
/** Memory that may stay behind after a campaign's warm-up: caches have bounds, and none of them is larger. */
const growthBytesMax = 48 * 1_048_576;
const outcomesMax = 64;

/** Numbers and quoted parts differ from input to input; the cause is the same. */
const causeOf = (error: unknown): string => {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return text
    .split('\n', 1)[0]!
    .replaceAll(/'[^']*'|"[^"]*"|\d+/g, '#')
    .slice(0, 160);
};

/** The thread's garbage collector, which Node keeps to itself unless asked. */
const collector = (): (() => void) => {
  setFlagsFromString('--expose-gc');
  // a function without arguments, by V8's own documentation of the flag
  return runInNewContext('gc') as () => void;
};

const usedBytes = (): number => {
  const { used_heap_size: heap, external_memory: external } = getHeapStatistics();
  return heap + external;
};

export const campaign = async (
  open: () => Promise<Target> | Target,
  plan: Plan,
  announce: Announce = () => {},
): Promise<Outcome> => {
  const coverage = plan.guided ? watchCoverage() : undefined;
  const target = await open();
  const random = new Random(plan.seed);
  const corpus = [...target.corpus, ...plan.known];
  const dictionary = target.dictionary.map((word) => Buffer.from(word));
  const material: Material = { corpus, dictionary, bytesMax: target.bytesMax };
  const findings = new Map<string, Finding>();
  const outcomes: Record<string, number> = {};
  let executions = 0;
  let slowestMs = 0;
  let peakBytes = 0;
  const kept: Buffer[] = [];
  let current: Uint8Array = Buffer.alloc(0);
  /** What was thrown where nobody waits for it. */
  let stray: unknown;

  /** Runs one input; the error that it caused, if any. */
  const attempt = async (input: Buffer): Promise<unknown> => {
    executions++;
    current = input;
    announce(input);
    const startedAt = performance.now();
    try {
      const answer = target.run(Buffer.from(input));
      const outcome = (answer instanceof Promise ? await answer : answer) ?? 'done';
      if (outcome in outcomes || Object.keys(outcomes).length < outcomesMax) {
        outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      }
    } catch (error) {
      return error ?? new Error('threw nothing');
    }
    const tookMs = performance.now() - startedAt;
    slowestMs = Math.max(slowestMs, tookMs);
    const thrown = stray;
    stray = undefined;
    if (thrown !== undefined) return thrown;
    return tookMs > plan.inputMsMax ? new Error(`took longer than ${plan.inputMsMax} ms`) : undefined;
  };

  /** The input without every part that the cause does not need. */
  const shrink = async (input: Buffer, cause: string): Promise<Buffer> => {
    let smallest = input;
    let runs = 0;
    const untilMs = performance.now() + shrinkMs;
    for (let size = Math.ceil(smallest.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
      for (let at = 0; at < smallest.length && runs < shrinkRunsMax && performance.now() < untilMs; ) {
        runs++;
        const shorter = Buffer.concat([smallest.subarray(0, at), smallest.subarray(at + size)]);
        const error = await attempt(shorter);
        if (error !== undefined && causeOf(error) === cause) smallest = shorter;
        else at += size;
      }
    }
    return smallest;
  };

  const judge = async (input: Buffer): Promise<void> => {
    const error = await attempt(input);
    if (error === undefined) return;
    const cause = causeOf(error);
    if (findings.has(cause)) return;
    const stack = error instanceof Error ? (error.stack ?? '') : '';
    findings.set(cause, { cause, stack, input });
    findings.set(cause, { cause, stack, input: await shrink(input, cause) });
  };

  const startedAt = performance.now();
  const isDone = (): boolean =>
    executions >= plan.executionsMax || performance.now() - startedAt >= plan.ms || findings.size >= findingsMax;
  /** Finds the inputs of a batch that reached new code, by halves. */
  const keep = async (batch: readonly Buffer[]): Promise<void> => {
    if (coverage === undefined || corpus.length >= corpusMax) return;
    const [only] = batch;
    if (batch.length <= 1) {
      if (only !== undefined && coverage.fresh() > 0) {
        corpus.push(only);
        kept.push(only);
      }
      return;
    }
    const middle = batch.length >> 1;
    for (const half of [batch.slice(0, middle), batch.slice(middle)]) {
      for (const input of half) {
        if (isDone()) return;
        await attempt(input);
      }
      if (half.length === 1 || coverage.fresh({ look: true }) > 0) await keep(half);
    }
  };

  const onStray = (error: unknown): void => {
    stray ??= error;
  };
  process.on('uncaughtException', onStray);
  process.on('unhandledRejection', onStray);
  const collect = collector();
  const health = async (): Promise<void> => {
    const error = await target.check?.().catch((reason: unknown) => reason ?? new Error('not healthy'));
    if (error !== undefined) {
      const cause = `afterwards: ${causeOf(error)}`;
      findings.set(cause, { cause, stack: error instanceof Error ? (error.stack ?? '') : '', input: current });
    }
  };
  let warmBytes: number | undefined;
  let checkedAt = startedAt;
  try {
    for (const input of [...plan.known, ...target.corpus]) await judge(Buffer.from(input));
    coverage?.fresh();
    while (!isDone()) {
      const batch: Buffer[] = [];
      while (batch.length < batchInputs && !isDone()) {
        const input = mutate(random, material);
        batch.push(input);
        await judge(input);
      }
      peakBytes = Math.max(peakBytes, usedBytes());
      if (coverage !== undefined && coverage.fresh({ look: true }) > 0) await keep(batch);
      await setImmediate();
      const now = performance.now();
      const share = Math.max(executions / plan.executionsMax, (now - startedAt) / plan.ms);
      if (warmBytes === undefined && share > 0.5) {
        collect();
        warmBytes = usedBytes();
      }
      if (now - checkedAt > 10_000) {
        checkedAt = now;
        await health();
      }
    }
    await health();
    await setImmediate();
    collect();
    const grown = usedBytes() - (warmBytes ?? usedBytes());
    if (grown > growthBytesMax + kept.length * target.bytesMax) {
      const cause = `memory grew by ${Math.round(grown / 1_048_576)} MB in the second half`;
      findings.set('memory', { cause, stack: '', input: current });
    }
    if (stray !== undefined) {
      const cause = causeOf(stray);
      findings.set(cause, { cause, stack: stray instanceof Error ? (stray.stack ?? '') : '', input: current });
    }
  } finally {
    await target.close?.();
    coverage?.close();
    process.off('uncaughtException', onStray);
    process.off('unhandledRejection', onStray);
  }
  return { executions, findings: [...findings.values()], slowestMs, peakBytes, outcomes, kept };
};
