/** What holds for a unit of writing on every engine: it awaits the store and nothing else, has an end, and fails when one of its statements does. */
import assert, { AssertionError } from 'node:assert/strict';
import type { RunStatement } from './kysely-over.ts';
import type { Db, Unit } from './store.ts';

/** How long a unit may be busy with something else than the store; beyond it the unit is taken back, since others wait for what it holds. */
export const unitIdleMsMax = 2000;
/** Statements of one unit. */
export const statementsPerUnitMax = 100_000;

export interface UnitRun {
  /** Makes the `Db` that the unit is given. */
  readonly dbOver: (run: RunStatement) => Db;
  readonly run: RunStatement;
  /** `unitIdleMsMax`, or less in tests. */
  readonly idleMs: number;
}

/**
 * Runs a unit once, between the begin and the end of its transaction, which are the engine's business. Rejects with what the unit threw, or
 * with the failure of a statement, also when the unit caught that: on PostgreSQL a transaction does not outlive it.
 */
export const runUnit = async <T>(unit: Unit<T>, { dbOver, run, idleMs }: UnitRun): Promise<T> => {
  let open = true;
  let outstanding = 0;
  let statements = 0;
  let idleSince = performance.now();
  let failure: { readonly error: unknown } | undefined;
  const db = dbOver(async (statement) => {
    assert(open, 'A unit of writing used its db after its end');
    assert(++statements <= statementsPerUnitMax, `A unit of writing has more than ${statementsPerUnitMax} statements`);
    outstanding++;
    try {
      return await run(statement);
    } catch (error) {
      failure ??= { error };
      throw error;
    } finally {
      outstanding--;
      idleSince = performance.now();
    }
  });
  const overdue = Promise.withResolvers<never>();
  const watch = setInterval(() => {
    if (outstanding > 0 || performance.now() - idleSince < idleMs) return;
    const message = `A unit of writing waited ${idleMs} ms for something else than the store`;
    overdue.reject(new AssertionError({ message }));
  }, idleMs);
  try {
    const value = await Promise.race([unit(db), overdue.promise]);
    assert(outstanding === 0, 'A unit of writing ended before its statements');
    if (failure) throw failure.error;
    return value;
  } finally {
    open = false;
    clearInterval(watch);
  }
};
