/** The shared store: one database of PostgreSQL for one node or several. */
import { Client } from 'pg';
import type { StatementResult } from './kysely-over.ts';
import { createAppends } from './postgres-appends.ts';
import { prepareDatabase } from './postgres-check.ts';
import { dbOver } from './postgres-dialect.ts';
import { errorFrom, type Place, verdictOf } from './postgres-failure.ts';
import { type ConnectionPool, createPool } from './postgres-pool.ts';
import { createTransactions } from './postgres-units.ts';
import type { Snapshot } from './snapshot.ts';
import { type Statement, type Store, StoreUnavailable, writeQueueMax } from './store.ts';
import { runUnit, unitIdleMsMax } from './unit.ts';

export interface PostgresOptions {
  /** `postgres://user:password@host:port/database`; `?host=/folder` for a socket, `?sslmode=verify-full` for TLS. */
  readonly url: string;
  /** Everything stands in this schema, which is made when it is missing. Lower-case letters, digits and underscores. Default `fleetgate`. */
  readonly schema?: string;
  /** Default true: what was acknowledged survives the server's machine. False: a crash may lose the last moments (the journal). */
  readonly durable?: boolean;
  /** Connections for units, and as many again for reading. Default 10. */
  readonly poolMax?: number;
  /** How long a request waits for a connection, and a connection for the server. Default 5000. */
  readonly acquireMs?: number;
  /** How long one statement may take, waiting for locks included. Default 20,000. */
  readonly statementMs?: number;
  /** Tests: a shorter `unitIdleMsMax`. */
  readonly unitIdleMs?: number;
}

export interface PostgresStore extends Store {
  /** Attempts of units that another unit was in the way of; they were run again. */
  readonly collisions: number;
}

/** How often a store that could not write tries again by itself, so that `writable` recovers without a caller. */
export const probeEveryMs = 1000;
/** Makes the server write to its log on disk, and changes nothing. */
const probe: Statement = { sql: 'select txid_current()', parameters: [] };

const schemaName = /^[a-z_][a-z0-9_]{0,59}$/;

/** What sentences say of a URL: never the password. Faults: StoreUnavailable. */
const placeOf = (url: string): Place => {
  try {
    const { host, port, database = '', user = '' } = new Client({ connectionString: url });
    return { server: host.startsWith('/') ? `${host}, port ${port}` : `${host}:${port}`, database, user };
  } catch {
    // the cause would carry the URL
    throw new StoreUnavailable('The URL of the store cannot be understood: postgres://user@host:5432/database');
  }
};

/** Reads run beside each other, each statement for itself; a connection that turns out to be lost is replaced once. */
const readThrough =
  (pool: ConnectionPool, place: Place) =>
  async (statement: Statement): Promise<StatementResult> => {
    for (let attempts = 1; ; attempts++) {
      const connection = await pool.borrow();
      let broken = false;
      try {
        return await connection.run(statement);
      } catch (error) {
        broken = verdictOf(error) === 'lost';
        if (!broken || attempts > 1) throw errorFrom(place, error);
      } finally {
        connection.giveBack(broken);
      }
    }
  };

/**
 * Opens the store. Faults: StoreUnavailable for a server that cannot be reached or does not let us in, a database that is missing, has
 * another collation than C or another encoding than UTF8.
 */
export const openPostgresStore = async (options: PostgresOptions): Promise<PostgresStore> => {
  const { url, schema = 'fleetgate', durable = true, poolMax = 10, acquireMs = 5000 } = options;
  const { statementMs = 20_000, unitIdleMs: idleMs = unitIdleMsMax } = options;
  if (!schemaName.test(schema)) throw new TypeError(`${JSON.stringify(schema)} is no name for a schema`);
  const place = placeOf(url);
  const common = { url, place, max: poolMax, queueMax: writeQueueMax, acquireMs, statementMs };
  const settings = {
    search_path: schema,
    // only what stands between begin and commit may write, so a statement whose begin failed on the way cannot commit by itself
    default_transaction_read_only: 'on',
    // a process that was stopped in the middle of a unit holds nobody up for longer
    idle_in_transaction_session_timeout: String(Math.max(10 * idleMs, 10_000)),
    synchronous_commit: durable ? 'on' : 'off',
    // a scan of a whole table would collide with every unit that writes to it (manual, 13.2.3); every query has its index
    enable_seqscan: 'off',
  };
  const writers = createPool({ ...common, settings });
  const readers = createPool({
    ...common,
    settings: {
      search_path: schema,
      default_transaction_read_only: 'on',
      default_transaction_isolation: `'read committed'`,
    },
  });

  let writable = true;
  let closed = false;
  const underWay = new Set<Promise<unknown>>();
  /** Keeps account of what runs, and of what it says about the server. */
  const watch = async <T>(work: () => Promise<T>, isWrite: boolean): Promise<T> => {
    if (closed) throw new StoreUnavailable('The store is closed');
    const running = work();
    underWay.add(running);
    try {
      const value = await running;
      if (isWrite) writable = true;
      return value;
    } catch (error) {
      if (error instanceof StoreUnavailable) writable = false;
      throw error;
    } finally {
      underWay.delete(running);
    }
  };

  const transactions = createTransactions(writers, place);
  const appendAll = createAppends(transactions);
  const append = (statements: readonly Statement[]) => watch(() => appendAll(statements), true);
  const read = readThrough(readers, place);

  try {
    const connection = await writers.borrow();
    let broken = true;
    try {
      await prepareDatabase(connection, place, schema);
      broken = false;
    } finally {
      connection.giveBack(broken);
    }
  } catch (error) {
    await Promise.all([writers.close(), readers.close()]);
    throw errorFrom(place, error);
  }

  let probing = false;
  const timer = setInterval(() => {
    if (writable || probing) return;
    probing = true;
    append([probe])
      .catch(() => undefined) // it stays as it is
      .finally(() => {
        probing = false;
      });
  }, probeEveryMs).unref();

  let closing: Promise<void> | undefined;
  const closeAll = async (): Promise<void> => {
    clearInterval(timer);
    closed = true;
    await Promise.allSettled(underWay);
    await Promise.all([writers.close(), readers.close()]);
  };
  return {
    db: dbOver((statement) => watch(() => read(statement), false)),
    write: (unit, { alone = false } = {}) =>
      watch(() => transactions.run((run) => runUnit(unit, { dbOver, run, idleMs }), { alone }), true),
    append,
    get writable() {
      return writable;
    },
    get collisions() {
      return transactions.collisions;
    },
    close() {
      closing ??= closeAll();
      return closing;
    },
  };
};

/** One moment of the store, to be read while others go on writing. Faults: StoreUnavailable. */
export const openPostgresSnapshot = async ({
  url,
  schema = 'fleetgate',
  acquireMs = 5000,
  statementMs = 20_000,
}: PostgresOptions): Promise<Snapshot> => {
  const place = placeOf(url);
  const settings = { search_path: schema, default_transaction_read_only: 'on' };
  const pool = createPool({ url, place, settings, max: 1, queueMax: 1, acquireMs, statementMs });
  try {
    const connection = await pool.borrow();
    await connection.command('begin transaction isolation level repeatable read, read only');
    const read = (statement: Statement): Promise<StatementResult> =>
      connection.run(statement).catch((error: unknown) => {
        throw errorFrom(place, error);
      });
    return {
      db: dbOver(read),
      async close() {
        connection.giveBack(true); // and with it the transaction
        await pool.close();
      },
    };
  } catch (error) {
    await pool.close();
    throw errorFrom(place, error);
  }
};
