/** One moment of a store, to be read at leisure while others go on writing. Takes no lock that a running server would notice. */
import { openConnection } from './sqlite-connection.ts';
import { dbOver } from './sqlite-dialect.ts';
import { errorFrom, failureOf } from './sqlite-failure.ts';
import type { Db } from './store.ts';

export interface Snapshot {
  readonly db: Db;
  close(): Promise<void>;
}

/** Faults: StoreUnavailable for a file that is missing, damaged or not readable. */
export const openFileSnapshot = (file: string): Snapshot => {
  const faulty = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      throw errorFrom(file, failureOf(error));
    }
  };
  const connection = faulty(() => openConnection(file, 'read'));
  faulty(() => {
    connection.exec('begin');
    connection.run({ sql: 'select count(*) from sqlite_schema', parameters: [] }); // the moment is that of the first read
  });
  return {
    db: dbOver((statement) => faulty(() => connection.run(statement))),
    async close() {
      connection.close();
    },
  };
};
