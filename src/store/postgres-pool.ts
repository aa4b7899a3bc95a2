/**
 * Connections to one PostgreSQL: at most `max` of them, each lent to one borrower at a time. Whoever finds all of them lent waits in turn, in a
 * queue with a bound, for a bounded time. A connection that failed is thrown away, and the next borrower gets a new one: that is all that
 * resuming after an outage needs. Statements of one borrower travel without waiting for each other's answers.
 */
import { type ClientBase, Pool, type PoolClient, types } from 'pg';
import type { StatementResult } from './kysely-over.ts';
import { errorFrom, type Place } from './postgres-failure.ts';
import { type Statement, StoreUnavailable } from './store.ts';

/** Statements that a connection keeps prepared: the first so many texts. Others are planned at each use. */
export const preparedStatementsMax = 256;
/** A statement with more parameters is not prepared: its text depends on a number of rows, and there are many of those. */
const preparedParametersMax = 16;
/** Between the server's bound for a statement and ours, after which the connection is given up: the server's answer may be under way. */
const answerMs = 5000;
/** A connection that nobody borrowed for so long is closed. */
const idleConnectionMs = 60_000;

export interface PoolOptions {
  /** `postgres://...`, with the password if there is one. */
  readonly url: string;
  readonly place: Place;
  /** Settings of every connection, by PostgreSQL's names. */
  readonly settings: Readonly<Record<string, string>>;
  /** Connections. */
  readonly max: number;
  /** Borrowers that may wait; one more is refused. */
  readonly queueMax: number;
  /** How long a borrower waits, and how long a new connection may take to be made. */
  readonly acquireMs: number;
  /** How long a statement may take. */
  readonly statementMs: number;
}

/** A connection while it is lent. */
export interface Lent {
  /** Rejects with what `pg` rejects with. `ms`: a longer bound than the pool's. */
  run(statement: Statement, ms?: number): Promise<StatementResult>;
  /** Statements without parameters, as one text; resolves with the command that was carried out last, e.g. `COMMIT`. */
  command(text: string, ms?: number): Promise<string>;
  /** Ends the loan; `broken`: the connection is thrown away. */
  giveBack(broken: boolean): void;
}

export interface ConnectionPool {
  /** Faults: StoreUnavailable when the server cannot be reached, or all connections stay lent. */
  borrow(): Promise<Lent>;
  /** Waits for what is lent, then closes. */
  close(): Promise<void>;
}

/** Integers as numbers; those beyond 2^53 are refused, as SQLite's driver does. The parsers are of our pools only: others may use `pg` beside us. */
const int8 = 20;
const toInteger = (text: string): number => {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`${text} is too large for a number`);
  return value;
};
const parsers = {
  getTypeParser: ((oid: number, format?: 'text') =>
    oid === int8 ? toInteger : types.getTypeParser(oid, format)) as typeof types.getTypeParser, // an overload per format; ours is the text one
};

/** What SQLite binds, PostgreSQL does, and nothing else: the driver itself would turn objects into JSON and undefined into null. */
const assertBindable = ({ parameters }: Statement): void => {
  for (const value of parameters) {
    if (value === null || typeof value === 'string' || typeof value === 'bigint' || value instanceof Uint8Array)
      continue;
    if (typeof value === 'number' && Number.isFinite(value)) continue;
    throw new TypeError(`A value of type ${typeof value} cannot be bound to a statement`);
  }
};

/** Names for the texts worth preparing. */
const createNames = () => {
  const names = new Map<string, string>();
  return ({ sql, parameters }: Statement): string | undefined => {
    const known = names.get(sql);
    if (known !== undefined || names.size >= preparedStatementsMax) return known;
    if (parameters.length === 0 || parameters.length > preparedParametersMax) return undefined;
    const name = `s${names.size}`;
    names.set(sql, name);
    return name;
  };
};

/** At most `max` at once; the others wait in turn. */
const createSlots = ({ place, max, queueMax, acquireMs }: PoolOptions) => {
  const queue = new Set<() => void>();
  let taken = 0;
  return {
    async take(): Promise<void> {
      if (taken < max) {
        taken++;
        return;
      }
      const busy = `All ${max} connections to PostgreSQL at ${place.server} are busy`;
      if (queue.size >= queueMax) throw new StoreUnavailable(`${busy}, and ${queueMax} requests wait for one.`);
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      queue.add(resolve);
      const timer = setTimeout(() => {
        queue.delete(resolve);
        reject(new StoreUnavailable(`${busy}: a request waited ${acquireMs} ms for one.`));
      }, acquireMs);
      await promise.finally(() => clearTimeout(timer));
    },
    free(): void {
      for (const next of queue) {
        queue.delete(next);
        next(); // the slot goes from hand to hand
        return;
      }
      taken--;
    },
  };
};

const settingsText = (settings: Readonly<Record<string, string>>): string =>
  Object.entries(settings)
    .map(([name, value]) => `set ${name} = ${value}`)
    .join('; ');

/** A lost connection is told to its borrower by the statement that fails; what `pg` says beside that would end the process. */
const ignore = (): void => {};

export const createPool = (options: PoolOptions): ConnectionPool => {
  const { url, place, acquireMs, statementMs } = options;
  const settings = settingsText({ ...options.settings, statement_timeout: String(statementMs) });
  const pool = new Pool({
    connectionString: url,
    max: options.max,
    connectionTimeoutMillis: acquireMs,
    idleTimeoutMillis: idleConnectionMs,
    allowExitOnIdle: true,
    keepAlive: true,
    fallback_application_name: 'fleetgate',
    pipeline: true,
    types: parsers,
    onConnect: async (client: ClientBase) => {
      client.on('error', ignore);
      await client.query({ text: settings, ...bound(acquireMs) });
    },
  });
  pool.on('error', ignore);
  const slots = createSlots(options);
  const nameOf = createNames();

  const lend = (client: PoolClient): Lent => ({
    async run(statement, ms = statementMs) {
      assertBindable(statement);
      const name = nameOf(statement);
      const { command, rowCount, rows } = await client.query<Record<string, unknown>>({
        text: statement.sql,
        values: [...statement.parameters],
        ...(name !== undefined && { name }),
        ...bound(ms + answerMs),
      });
      return changing.has(command) ? { rows, changes: rowCount ?? 0 } : { rows };
    },
    async command(text, ms = statementMs) {
      const { command } = await client.query({ text, ...bound(ms + answerMs) });
      return command;
    },
    giveBack(broken) {
      client.release(broken);
      slots.free();
    },
  });

  return {
    async borrow() {
      await slots.take();
      try {
        return lend(await pool.connect());
      } catch (error) {
        slots.free();
        throw errorFrom(place, error);
      }
    },
    close: () => pool.end(),
  };
};

const changing: ReadonlySet<string> = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE']);

/** `pg` takes a bound in milliseconds per query, which its types do not know; when it passes in a pipeline, the connection is destroyed. */
const bound = (ms: number): Record<string, unknown> => ({ query_timeout: ms });
