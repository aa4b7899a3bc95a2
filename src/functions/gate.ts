/**
 * Bounded concurrency: who enters runs, the next ones wait in the order in which they came, and one more is refused. No account may take
 * all places, neither of those that run nor of those that wait, so a slow function of one account does not stop the others.
 */
import { FunctionFailure } from './failure.ts';

export interface GateBounds {
  /** Of this node. */
  readonly runningMax: number;
  readonly runningPerAccountMax: number;
  readonly waitingMax: number;
  readonly waitingPerAccountMax: number;
}

export interface Gate {
  /**
   * Waits for a place; the answer gives it back, once. Faults: FunctionFailure `busy`, at once when too many wait, after `waitMs` when no
   * place came free, and when the gate is closed.
   */
  enter(accountId: string, waitMs: number): Promise<() => void>;
  /** Sends away who waits, and lets nobody in. */
  close(): void;
}

interface Waiter {
  readonly accountId: string;
  readonly admit: () => void;
  readonly refuse: (failure: FunctionFailure) => void;
}

export const closedFailure = (): FunctionFailure =>
  new FunctionFailure('busy', 'Fleetgate is stopping, so no function is asked any more.');

export const createGate = (bounds: GateBounds): Gate => {
  const running = new Map<string, number>();
  const waiting: Waiter[] = [];
  let runningInAll = 0;
  let closed = false;

  const hasPlace = (accountId: string): boolean =>
    runningInAll < bounds.runningMax && (running.get(accountId) ?? 0) < bounds.runningPerAccountMax;

  const take = (accountId: string): (() => void) => {
    runningInAll++;
    running.set(accountId, (running.get(accountId) ?? 0) + 1);
    let given = false;
    return () => {
      if (given) return;
      given = true;
      runningInAll--;
      const left = (running.get(accountId) ?? 1) - 1;
      if (left === 0) running.delete(accountId);
      else running.set(accountId, left);
      const next = waiting.findIndex((waiter) => hasPlace(waiter.accountId));
      if (next >= 0) waiting.splice(next, 1)[0]?.admit();
    };
  };

  return {
    enter(accountId, waitMs) {
      if (closed) return Promise.reject(closedFailure());
      // Whoever has a place may go first: those before it wait for places of their own account.
      if (hasPlace(accountId)) return Promise.resolve(take(accountId));
      const ofAccount = waiting.reduce((count, waiter) => count + (waiter.accountId === accountId ? 1 : 0), 0);
      if (waiting.length >= bounds.waitingMax || ofAccount >= bounds.waitingPerAccountMax) {
        return Promise.reject(
          new FunctionFailure('busy', 'Too many invocations of functions wait already, so this one was not made.'),
        );
      }
      return new Promise((resolve, reject) => {
        const late = setTimeout(() => {
          waiting.splice(waiting.indexOf(waiter), 1);
          reject(new FunctionFailure('busy', 'No invocation before this one ended in time, so it was not made.'));
        }, waitMs);
        const waiter: Waiter = {
          accountId,
          admit: () => {
            clearTimeout(late);
            resolve(take(accountId));
          },
          refuse: (failure) => {
            clearTimeout(late);
            reject(failure);
          },
        };
        waiting.push(waiter);
      });
    },
    close() {
      closed = true;
      for (const waiter of waiting.splice(0)) waiter.refuse(closedFailure());
    },
  };
};
