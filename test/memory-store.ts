/** A store in this process's memory: SQLite without file, thread and fsync, opened at its first statement. Its appends take a turn, as real ones do. */
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { setImmediate as turn } from 'node:timers/promises';
import type { Migration } from '../src/store/migrate.ts';
import { dbOver } from '../src/store/sqlite-dialect.ts';
import type { Statement, Store } from '../src/store/store.ts';

export interface MemoryStore extends Pick<Store, 'db' | 'write' | 'append'> {
  /** Statements so far. */
  readonly statements: number;
  /** Set: every append fails with it. */
  failure: Error | undefined;
  /** While set, appends wait for it before they are carried out. */
  held: Promise<void> | undefined;
}

export const memoryStore = (migrations: readonly Migration[]): MemoryStore => {
  let database: DatabaseSync | undefined;
  let statements = 0;
  const open = (): DatabaseSync => {
    const opened = new DatabaseSync(':memory:');
    for (const { sql } of migrations) for (const statement of sql) opened.exec(statement);
    return opened;
  };
  const run = ({ sql, parameters }: Statement) => {
    database ??= open();
    statements++;
    const prepared = database.prepare(sql);
    // Kysely types parameters as unknown; the driver checks each
    const values = parameters as readonly SQLInputValue[];
    if (prepared.columns().length > 0) return { rows: prepared.all(...values) };
    return { rows: [], changes: Number(prepared.run(...values).changes) };
  };
  let last: Promise<unknown> = Promise.resolve();
  /** One after the other, each in a transaction of its own. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const done = last.then(async () => {
      await turn();
      await store.held;
      if (store.failure !== undefined) throw store.failure;
      database ??= open();
      database.exec('begin');
      try {
        const value = await work();
        database.exec('commit');
        return value;
      } catch (error) {
        database.exec('rollback');
        throw error;
      }
    });
    last = done.catch(() => undefined);
    return done;
  };
  const store: MemoryStore = {
    db: dbOver(run),
    write: (unit) => inTurn(() => unit(store.db)),
    append: (list) =>
      inTurn(async () => {
        for (const statement of list) run(statement);
      }),
    get statements() {
      return statements;
    },
    failure: undefined,
    held: undefined,
  };
  return store;
};
