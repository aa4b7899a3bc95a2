/**
 * Units of writing, one after another, on the writer thread's connection (design 2.4).
 *
 * The units that wait are run as a group: one transaction, one SAVEPOINT per unit, one COMMIT (one fsync) when nothing waits any more or a
 * bound is reached. Nobody is told anything before that: a success, because it is not durable yet; a failure, because it may rest on what a
 * neighbour wrote and may still lose (a name that is taken by a row which never comes to be). When the commit fails, all are StoreUnavailable.
 * Orders that need no answer (begin, savepoint, release) travel with the next statement; a list of statements is one message.
 */
import type { RunStatement } from './kysely-over.ts';
import { dbOver } from './sqlite-dialect.ts';
import { errorFrom } from './sqlite-failure.ts';
import type { Control, WriterReply, WriterRequest } from './sqlite-protocol.ts';
import type { WriterThread } from './sqlite-thread.ts';
import { type Statement, StoreUnavailable, type Unit, writeQueueMax } from './store.ts';
import { runUnit, unitIdleMsMax } from './unit.ts';

/** Units in one commit; the next ones go into the next. */
export const unitsPerCommitMax = 1000;
/** How long a group takes in further units, in milliseconds. */
export const groupMsMax = 20;

export interface WriterOptions {
  readonly thread: WriterThread;
  readonly file: string;
  /** Tests: a shorter `unitIdleMsMax`. */
  readonly unitIdleMs?: number;
}

export interface Writer {
  write<T>(unit: Unit<T>): Promise<T>;
  append(statements: readonly Statement[]): Promise<void>;
  readonly writable: boolean;
  /** Groups committed so far. */
  readonly commits: number;
  /** Waits for what was accepted, then refuses everything. */
  close(): Promise<void>;
}

/** What becomes of a unit when its group is committed, or is not. */
interface Outcome {
  settle(): void;
  reject(error: Error): void;
}
type Job = (group: Group) => Promise<Outcome> | Outcome;
interface Group {
  begun: boolean;
  /** Why nothing of the group will be committed. */
  lost: Error | undefined;
  /** One of its units failed by the world's fault, though the others may be committed. */
  hurt: boolean;
}

export const startWriter = ({ thread, file, unitIdleMs = unitIdleMsMax }: WriterOptions): Writer => {
  const queue: Job[] = [];
  let running: Promise<void> | undefined;
  let writable = true;
  let commits = 0;
  let closed = false;
  let controls: Control[] = [];

  const begin = (group: Group): void => {
    if (!group.begun) controls = ['begin'];
    group.begun = true;
  };

  const ask = async (group: Group, kind: WriterRequest['kind'], statements: readonly Statement[]) => {
    begin(group);
    const sent = controls;
    controls = [];
    const reply: WriterReply = await thread.ask(kind, sent, statements);
    if (!reply.failure) return reply.result;
    const error = errorFrom(file, reply.failure);
    if (error instanceof StoreUnavailable) group.hurt = true;
    if (reply.groupLost) {
      group.lost ??=
        error instanceof StoreUnavailable ? error : new StoreUnavailable('The transaction was lost', { cause: error });
    }
    throw error;
  };

  const runInGroup = async <T>(group: Group, unit: Unit<T>): Promise<T> => {
    let begun = false;
    const run: RunStatement = async (statement) => {
      if (!begun) {
        begin(group);
        controls.push('savepoint');
        begun = true;
      }
      return (await ask(group, 'run', [statement])) ?? { rows: [] };
    };
    try {
      const value = await runUnit(unit, { dbOver, run, idleMs: unitIdleMs });
      if (begun) controls.push('release');
      return value;
    } catch (error) {
      if (begun) controls.push('undo');
      throw error;
    }
  };

  const runGroup = async (): Promise<void> => {
    const group: Group = { begun: false, lost: undefined, hurt: false };
    const outcomes: Outcome[] = [];
    const end = performance.now() + groupMsMax;
    controls = [];
    do {
      const job = queue.shift();
      if (job) outcomes.push(await job(group));
    } while (!group.lost && queue.length > 0 && outcomes.length < unitsPerCommitMax && performance.now() < end);
    if (group.begun && !group.lost) {
      await ask(group, 'commit', []).catch(() => {});
      if (!group.lost) commits++;
    }
    if (group.begun) writable = !group.lost && !group.hurt;
    for (const outcome of outcomes) {
      if (group.lost) outcome.reject(group.lost);
      else outcome.settle();
    }
  };

  const runAll = async (): Promise<void> => {
    await undefined; // so that `running` is set before the first unit starts, which may enqueue another
    thread.setBusy(true);
    while (queue.length > 0) await runGroup();
    running = undefined;
    thread.setBusy(false);
  };

  const enqueue = (job: Job): void => {
    if (closed) throw new StoreUnavailable('The store is closed');
    if (queue.length >= writeQueueMax)
      throw new StoreUnavailable(`More than ${writeQueueMax} writes wait for the disk`);
    queue.push(job);
    running ??= runAll();
  };

  return {
    async write<T>(unit: Unit<T>): Promise<T> {
      const { promise, resolve, reject } = Promise.withResolvers<T>();
      enqueue(async (group) => {
        try {
          const value = await runInGroup(group, unit);
          return { settle: () => resolve(value), reject };
        } catch (error) {
          return { settle: () => reject(error), reject };
        }
      });
      return promise;
    },
    async append(statements) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      enqueue((group) => {
        let failure: unknown;
        // Not awaited: its answer comes before that of the commit.
        ask(group, 'append', statements).catch((error: unknown) => {
          failure = error;
        });
        return { settle: () => (failure ? reject(failure) : resolve()), reject };
      });
      return promise;
    },
    get writable() {
      return writable;
    },
    get commits() {
      return commits;
    },
    async close() {
      closed = true;
      await running;
    },
  };
};
