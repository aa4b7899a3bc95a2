/**
 * Units of writing as transactions of PostgreSQL, many at once, each as if it were alone: SERIALIZABLE. Of units that get in each other's way
 * PostgreSQL lets one commit and fails the others, which are run again (manual, 13.5). One that keeps losing is run alone: every unit, on every node,
 * holds the table `store_turn` in a mode that lets others hold it too, and one that is to run alone asks for it in a mode that waits for
 * all of them and holds the next ones up. The lock comes before the transaction's snapshot, so what is run alone collides with no unit.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunStatement } from './kysely-over.ts';
import { errorFrom, isUniqueViolation, type Place, type Verdict, verdictOf } from './postgres-failure.ts';
import type { ConnectionPool } from './postgres-pool.ts';
import { StoreUnavailable } from './store.ts';

/** Attempts beside others, before a unit runs alone. */
export const attemptsTogetherMax = 4;
/** Attempts in all: alone, a unit can still lose against programs that are not Fleetgate. */
export const attemptsMax = 8;
/** Attempts on a fresh connection after one was lost. */
const reconnectsMax = 1;
/** The pause before an attempt is random, up to this after the first collision, then twice as much each time. */
const pauseMs = 4;
/** How long a statement may take that runs alone by request: a migration of large tables. */
export const aloneStatementMs = 600_000;

export interface TransactionOptions {
  /** No other unit runs meanwhile, on any node. */
  readonly alone: boolean;
}

/** What is done between begin and commit. Run again after a collision. */
export type Body<T> = (run: RunStatement) => Promise<T>;

export interface Transactions {
  run<T>(body: Body<T>, options: TransactionOptions): Promise<T>;
  /** Collisions so far. */
  readonly collisions: number;
}

type Outcome<T> =
  | { readonly value: T }
  | { readonly error: unknown; readonly verdict: Verdict; readonly isUniqueViolation: boolean };

const failed = (error: unknown, verdict: Verdict): Outcome<never> => ({
  error,
  verdict,
  isUniqueViolation: isUniqueViolation(error),
});

export const createTransactions = (pool: ConnectionPool, place: Place): Transactions => {
  let collisions = 0;

  /** Nobody knows whether it happened: it must not be tried again, and never be called a success. */
  const unknownOutcome = (cause: unknown): StoreUnavailable =>
    new StoreUnavailable(
      `The connection to PostgreSQL at ${place.server} was lost while a change was being committed: it may have happened or not. Look before you repeat it.`,
      { cause },
    );

  const attempt = async <T>(body: Body<T>, opening: string, statementMs: number | undefined): Promise<Outcome<T>> => {
    const connection = await pool.borrow();
    let begun: Promise<unknown> | undefined;
    /** The first statement that failed: it decides, whatever the unit made of it. */
    let failure: { readonly error: unknown } | undefined;
    let broken = false;
    const run: RunStatement = async (statement) => {
      begun ??= connection.command(opening, statementMs); // the statement goes along
      const result = connection.run(statement, statementMs);
      result.catch(() => undefined); // when the begin fails, so does this
      try {
        await begun;
        return await result;
      } catch (error) {
        failure ??= { error };
        throw errorFrom(place, error);
      }
    };
    const rollBack = async (): Promise<void> => {
      if (!begun) return;
      await connection.command('rollback').catch(() => {
        broken = true;
      });
    };
    try {
      let value: T;
      try {
        value = await body(run);
      } catch (error) {
        await rollBack();
        // the unit's own decision, on a state that was committed when it began
        if (!failure) return failed(error, 'final');
        const verdict = verdictOf(failure.error);
        broken ||= verdict === 'lost';
        return {
          ...failed(failure.error, verdict),
          error: verdict === 'lost' ? errorFrom(place, failure.error) : error,
        };
      }
      if (!begun) return { value };
      try {
        const done = await connection.command('commit');
        assert.equal(done, 'COMMIT');
        return { value };
      } catch (error) {
        const verdict = verdictOf(error);
        broken = verdict !== 'collision';
        return verdict === 'lost' ? failed(unknownOutcome(error), 'final') : failed(errorFrom(place, error), verdict);
      }
    } finally {
      connection.giveBack(broken);
    }
  };

  const run = async <T>(body: Body<T>, options: TransactionOptions): Promise<T> => {
    let reconnects = 0;
    for (let attempts = 1; ; attempts++) {
      const alone = options.alone || attempts > attemptsTogetherMax;
      const statementMs = options.alone ? aloneStatementMs : undefined;
      const outcome = await attempt(body, alone ? beginAlone(statementMs) : beginTogether, statementMs);
      if ('value' in outcome) return outcome.value;
      const { error, verdict } = outcome;
      if (verdict === 'final') throw error;
      // nothing else runs: the row in the way was there before
      if (alone && outcome.isUniqueViolation) throw error;
      if (verdict === 'lost' && ++reconnects > reconnectsMax) throw error;
      if (attempts >= attemptsMax) {
        throw new StoreUnavailable(
          `A change collided ${attempts} times with other programs in PostgreSQL at ${place.server}.`,
          { cause: error },
        );
      }
      if (verdict === 'lost') continue;
      collisions++;
      await sleep(Math.random() * pauseMs * 2 ** Math.min(attempts - 1, 4));
    }
  };
  return {
    run,
    get collisions() {
      return collisions;
    },
  };
};

const begin = 'begin isolation level serializable, read write';
const beginTogether = `${begin}; lock table store_turn in row share mode`;
const beginAlone = (statementMs: number | undefined): string =>
  `${begin}; ${
    statementMs === undefined ? '' : `set local statement_timeout = ${statementMs}; `
  }lock table store_turn in exclusive mode`;
