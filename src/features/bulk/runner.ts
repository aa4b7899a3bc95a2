/**
 * Which tasks this node works at. At most `runningMax` at once, of all accounts; those beyond wait, and whoever has worked for a slice of time while others
 * waited goes behind them. Each has at most one unit of writing under way and lets other work go first after each line, so that the node serves
 * everybody else meanwhile. Nothing but the store says how far a task is: a node that dies leaves nothing to mend.
 */

import type { Store } from '../../store/store.ts';
import { StoreUnavailable } from '../../store/store.ts';
import { InputProblem } from './bulk-input.ts';
import { changeStatus, findTask, listRunningTasks, noteServed, type OwnedTask, TaskMoved } from './bulk-task.ts';
import { runTask, type TaskWork } from './run-task.ts';
import { sweepTasks } from './task-retention.ts';

/** Tasks that this node works at at once. */
const runningMax = 4;
/** How long one may work while others wait. */
const sliceMsDefault = 1000;
/** Tasks that are looked at to find one that can be worked at. */
const lookMax = 100;
/** Attempts in a row, `retryMs` apart, at a file that cannot be read just now. */
const attemptsMax = 5;
/** Also how long a task is left to another node that was found at work on it. */
const retryMs = 10_000;

export interface RunnerOptions extends Omit<TaskWork, 'pauses'> {
  readonly store: Pick<Store, 'db' | 'write'>;
  readonly now: () => number;
  readonly sliceMs?: number;
}

export interface BulkRunner {
  /** There may be something to do: a task was started or stopped. */
  wake(): void;
  /** Looks what there is to do, and clears away what is too old; the tasks themselves go on behind it. For the task runner, every `retryMs`. */
  turn(nowMs: number): Promise<void>;
  /** Resolves when no task is being worked at. */
  idle(): Promise<void>;
  /** Takes up nothing any more, and resolves when the lines under way are done. */
  close(): Promise<void>;
}

/** A task that is not looked at for a while. */
interface Rest {
  readonly untilMs: number;
  /** Attempts in a row at the file, and where it was to be read; 0 when that is not why. */
  readonly attempts: number;
  readonly position: number;
}

export const createBulkRunner = ({ store, sliceMs = sliceMsDefault, ...services }: RunnerOptions): BulkRunner => {
  const { now, trouble } = services;
  const working = new Map<string, Promise<void>>();
  /** By task, at most `lookMax`; at the bound all are looked at again. */
  const rests = new Map<string, Rest>();
  let someWait = false;
  let closed = false;
  let looking: Promise<void> | undefined;
  let isAwaited = false;

  const cancel = (task: OwnedTask) =>
    store.write((db) => changeStatus(db, task, { from: 'Cancelling', to: 'Cancelled', nowMs: now() }));

  const rest = (taskId: string, attempts: number, position: number): void => {
    if (rests.size >= lookMax) rests.clear();
    rests.set(taskId, { untilMs: now() + retryMs, attempts, position });
  };

  /** The file cannot be read just now: again later, a few times. */
  const retryLater = async ({ account, taskId }: OwnedTask, problem: InputProblem): Promise<void> => {
    const task = await findTask(store.db, account, taskId);
    if (!task) return;
    const { position } = task.progress;
    const before = rests.get(taskId);
    const attempts = before?.position === position ? before.attempts + 1 : 1;
    // a file that was never read is the caller's mistake rather than a passing trouble
    if (attempts < attemptsMax && task.input) return rest(taskId, attempts, position);
    rests.delete(taskId);
    const { message } = problem;
    await store.write((db) => changeStatus(db, task, { from: 'InProgress', to: 'Failed', message, nowMs: now() }));
  };

  /** Whether there may be more to do at once. */
  const work = async (task: OwnedTask): Promise<boolean> => {
    const until = performance.now() + sliceMs;
    try {
      if (task.status === 'Cancelling') await cancel(task);
      else {
        const pauses = () => closed || (someWait && performance.now() > until);
        await runTask({ ...services, pauses }, task);
        if (someWait) await store.write((db) => noteServed(db, task, now()));
      }
      return true;
    } catch (error) {
      if (error instanceof TaskMoved) {
        // it was stopped, which the next look sees, or another node is at it
        rest(task.taskId, 0, task.progress.position);
        return true;
      }
      if (closed && (error instanceof InputProblem || error instanceof StoreUnavailable)) return false;
      if (error instanceof InputProblem) await retryLater(task, error);
      else trouble(error);
      return false;
    }
  };

  const take = (task: OwnedTask): void => {
    const done = work(task)
      .catch((error: unknown) => {
        if (!closed) trouble(error);
        return false;
      })
      .then((goesOn) => {
        working.delete(task.taskId);
        if (goesOn) wake();
      });
    working.set(task.taskId, done);
  };

  const look = async (): Promise<void> => {
    const tasks = await listRunningTasks(store.db, lookMax);
    const ready = tasks.filter(
      ({ taskId, status }) =>
        !working.has(taskId) && (status === 'Cancelling' || (rests.get(taskId)?.untilMs ?? 0) <= now()),
    );
    for (const task of ready) {
      if (!closed && (task.status === 'Cancelling' || working.size < runningMax)) take(task);
    }
    someWait = ready.some(({ taskId }) => !working.has(taskId));
  };

  /** One look at a time; one that is wished for meanwhile follows. */
  const lookAgain = async (): Promise<void> => {
    if (closed) return;
    isAwaited = true;
    looking ??= (async () => {
      try {
        while (isAwaited && !closed) {
          isAwaited = false;
          await look();
        }
      } finally {
        looking = undefined;
      }
    })();
    await looking;
  };

  const wake = (): void => {
    if (closed) return;
    lookAgain().catch((error: unknown) => {
      if (!closed) trouble(error);
    });
  };

  return {
    wake,
    async turn(nowMs) {
      await lookAgain();
      await sweepTasks(store, nowMs, () => closed);
    },
    async idle() {
      for (;;) {
        await looking;
        if (working.size === 0 && !looking) return;
        await Promise.all(working.values());
      }
    },
    async close() {
      closed = true;
      await looking?.catch(() => undefined);
      await Promise.all(working.values());
    },
  };
};
