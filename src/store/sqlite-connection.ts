import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import type { StatementResult } from './kysely-over.ts';
import type { Statement } from './store.ts';

/** Prepared statements kept per connection; beyond it the one that was not used for longest is prepared again at its next use. */
export const preparedStatementsMax = 256;

/** How long a statement waits for another program's lock, e.g. a backup tool's, before it fails as locked. Reads hold up the main thread. */
const busyMs = { create: 5000, write: 5000, read: 100 };

/** One connection of node:sqlite with its prepared statements. Integers are numbers: those beyond 2^53 are refused by the driver. */
export interface SqliteConnection {
  run(statement: Statement): StatementResult;
  exec(sql: string): void;
  readonly inTransaction: boolean;
  close(): void;
}

interface Prepared {
  readonly statement: StatementSync;
  readonly returnsRows: boolean;
}

/** `create` makes the file when it is missing; without it a missing file is an error. */
export const openConnection = (file: string, mode: 'create' | 'write' | 'read'): SqliteConnection => {
  const url = pathToFileURL(file);
  if (mode !== 'create') url.searchParams.set('mode', mode === 'write' ? 'rw' : 'ro');
  const database = new DatabaseSync(url, { readOnly: mode === 'read', timeout: busyMs[mode] });
  const prepared = new Map<string, Prepared>();
  const prepare = (sql: string): Prepared => {
    let found = prepared.get(sql);
    if (found) {
      prepared.delete(sql);
    } else {
      const statement = database.prepare(sql);
      found = { statement, returnsRows: statement.columns().length > 0 };
      if (prepared.size >= preparedStatementsMax) {
        for (const oldest of prepared.keys()) {
          prepared.delete(oldest);
          break;
        }
      }
    }
    prepared.set(sql, found);
    return found;
  };
  return {
    run({ sql, parameters }) {
      const { statement, returnsRows } = prepare(sql);
      // Kysely types parameters as unknown; the driver checks each and throws a TypeError for what cannot be bound.
      const values = parameters as readonly SQLInputValue[];
      if (returnsRows) return { rows: statement.all(...values) };
      return { rows: [], changes: Number(statement.run(...values).changes) };
    },
    exec: (sql) => database.exec(sql),
    get inTransaction() {
      return database.isTransaction;
    },
    close: () => database.close(),
  };
};
