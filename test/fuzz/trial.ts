/** One input at a time: what it causes, how long it takes, and the smallest input that causes the same. */
import type { Plan } from './campaign.ts';
import type { Target } from './target.ts';

/** Told of every input before it runs, so that what stops the thread is known outside. */
export type Announce = (input: Uint8Array) => void;

export interface Trial {
  /** Runs one input; the error that it caused, if any. */
  attempt(input: Buffer): Promise<unknown>;
  /** The same input without every part that the cause does not need, as far as some hundred tries go. */
  shrink(input: Buffer, cause: string): Promise<Buffer>;
  /** What was thrown where nobody waited for it, since the last attempt. */
  takeStray(): unknown;
  readonly executions: number;
  readonly slowestMs: number;
  readonly outcomes: Readonly<Record<string, number>>;
  /** The input that ran last. */
  readonly current: Uint8Array;
  close(): void;
}

const shrinkRunsMax = 400;
const shrinkMs = 3_000;
/** Words of a target that are counted; further ones are not. */
const outcomesMax = 64;

/** Numbers and quoted parts differ from input to input; the cause is the same. */
export const causeOf = (error: unknown): string => {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const [line = ''] = text.split('\n', 1);
  return line.replaceAll(/'[^']*'|"[^"]*"|\d+/g, '#').slice(0, 160);
};

/** Watches this thread's stray errors until it is closed. */
export const startTrial = (target: Target, { inputMsMax }: Pick<Plan, 'inputMsMax'>, announce: Announce): Trial => {
  const outcomes: Record<string, number> = {};
  let executions = 0;
  let slowestMs = 0;
  let current: Uint8Array = Buffer.alloc(0);
  let stray: unknown;
  const onStray = (error: unknown): void => {
    stray ??= error;
  };
  process.on('uncaughtException', onStray);
  process.on('unhandledRejection', onStray);
  const takeStray = (): unknown => {
    const taken = stray;
    stray = undefined;
    return taken;
  };

  const count = (outcome: string): void => {
    if (!(outcome in outcomes) && Object.keys(outcomes).length >= outcomesMax) return;
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  };

  const attempt = async (input: Buffer): Promise<unknown> => {
    executions++;
    current = input;
    announce(input);
    const startedAt = performance.now();
    try {
      const answer = target.run(Buffer.from(input));
      // targets that answer at once are not made to wait for a turn
      count((answer instanceof Promise ? await answer : answer) ?? 'done');
    } catch (error) {
      return error ?? new Error('threw nothing');
    }
    const tookMs = performance.now() - startedAt;
    slowestMs = Math.max(slowestMs, tookMs);
    return takeStray() ?? (tookMs > inputMsMax ? new Error(`took longer than ${inputMsMax} ms`) : undefined);
  };

  const shrink = async (input: Buffer, cause: string): Promise<Buffer> => {
    let smallest = input;
    let runs = 0;
    const untilMs = performance.now() + shrinkMs;
    for (let size = Math.ceil(smallest.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
      for (let at = 0; at < smallest.length && runs < shrinkRunsMax && performance.now() < untilMs; runs++) {
        const shorter = Buffer.concat([smallest.subarray(0, at), smallest.subarray(at + size)]);
        const error = await attempt(shorter);
        if (error !== undefined && causeOf(error) === cause) smallest = shorter;
        else at += size;
      }
    }
    return smallest;
  };

  return {
    attempt,
    shrink,
    takeStray,
    get executions() {
      return executions;
    },
    get slowestMs() {
      return slowestMs;
    },
    outcomes,
    get current() {
      return current;
    },
    close() {
      process.off('uncaughtException', onStray);
      process.off('unhandledRejection', onStray);
    },
  };
};
