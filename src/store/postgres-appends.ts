/**
 * Appends: units that are lists of statements. Those that wait are committed together, in one transaction and with one fsync, in their order.
 * When one of them is at fault, the halves are tried by themselves, and so on, so that in the end its failure is its own.
 */
import type { Transactions } from './postgres-units.ts';
import { type Statement, StoreUnavailable, writeQueueMax } from './store.ts';

/** Appends, and statements of all of them, in one transaction; the next ones go into the next. */
const appendsPerCommitMax = 1000;
const statementsPerCommitMax = 10_000;

interface Waiting {
  readonly statements: readonly Statement[];
  resolve(): void;
  reject(error: unknown): void;
}

export const createAppends = (transactions: Pick<Transactions, 'run'>) => {
  const queue: Waiting[] = [];
  let running = false;

  const commit = (batch: readonly Waiting[]): Promise<void> =>
    transactions.run(
      async (run) => {
        // all of them travel at once; a failure of one is that of the transaction
        await Promise.all(batch.flatMap(({ statements }) => statements).map(async (statement) => run(statement)));
      },
      { alone: false },
    );

  const takeBatch = (): Waiting[] => {
    let statements = 0;
    let count = 0;
    for (const waiting of queue) {
      statements += waiting.statements.length;
      if (count > 0 && (statements > statementsPerCommitMax || count >= appendsPerCommitMax)) break;
      count++;
    }
    return queue.splice(0, count);
  };

  const settle = async (batch: readonly Waiting[]): Promise<void> => {
    try {
      await commit(batch);
      for (const { resolve } of batch) resolve();
    } catch (error) {
      if (batch.length > 1 && !(error instanceof StoreUnavailable)) {
        const middle = batch.length >> 1;
        await settle(batch.slice(0, middle));
        await settle(batch.slice(middle));
      } else for (const { reject } of batch) reject(error);
    }
  };

  const runAll = async (): Promise<void> => {
    running = true;
    while (queue.length > 0) await settle(takeBatch());
    running = false;
  };

  /** Resolves when the statements are committed. Faults: as `Store.append`. */
  return (statements: readonly Statement[]): Promise<void> => {
    if (queue.length >= writeQueueMax) {
      return Promise.reject(new StoreUnavailable(`More than ${writeQueueMax} writes wait for the database`));
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    queue.push({ statements, resolve, reject });
    // the next turn of the microtasks, so that appends of one turn go together
    if (!running) queueMicrotask(() => void (running || runAll()));
    return promise;
  };
};
