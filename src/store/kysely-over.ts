/** Kysely over a function that runs one statement. Transactions are not Kysely's business here: a unit of writing is one (design 2.4). */
import assert from 'node:assert/strict';
import {
  type ConnectionProvider,
  type DatabaseConnection,
  DefaultQueryExecutor,
  type Dialect,
  type DialectAdapter,
  type Driver,
  Kysely,
  type QueryCompiler,
  type QueryResult,
} from 'kysely';
import type { Db, Statement } from './store.ts';
import type { Tables } from './tables.ts';

export interface StatementResult {
  readonly rows: readonly Record<string, unknown>[];
  /** Rows that a statement inserted, changed or deleted; absent for one that does none of that. */
  readonly changes?: number;
}

export type RunStatement = (statement: Statement) => StatementResult | Promise<StatementResult>;

const connectionOver = (run: RunStatement): DatabaseConnection => ({
  async executeQuery<R>(query: Statement): Promise<QueryResult<R>> {
    const { rows, changes } = await run(query);
    // The rows come from the database: their type is what the query's builder derived from Tables.
    const typed = rows as R[];
    return changes === undefined ? { rows: typed } : { rows: typed, numAffectedRows: BigInt(changes) };
  },
  // biome-ignore lint/correctness/useYield: the interface asks for a generator, and there is nothing to yield
  async *streamQuery() {
    assert.fail('The store does not stream: read pages by key');
  },
});

const refuseTransaction = async (): Promise<never> => assert.fail('A unit of writing is the transaction: store.write');
const nothing = async (): Promise<void> => {};
const driver: Driver = {
  init: nothing,
  acquireConnection: async () => assert.fail('Connections come from dbOver'),
  beginTransaction: refuseTransaction,
  commitTransaction: refuseTransaction,
  rollbackTransaction: refuseTransaction,
  releaseConnection: nothing,
  destroy: nothing,
};

/** What differs between the engines' SQL, as Kysely has it. */
export interface SqlOf {
  readonly adapter: DialectAdapter;
  readonly compiler: QueryCompiler;
  readonly createIntrospector: Dialect['createIntrospector'];
}

/** Makes `dbOver`: a `Db` whose statements go through `run`. Cheap: one is made per unit of writing. */
export const makeDbOver = ({ adapter, compiler, createIntrospector }: SqlOf): ((run: RunStatement) => Db) => {
  const dialect: Dialect = {
    createAdapter: () => adapter,
    createDriver: () => driver,
    createQueryCompiler: () => compiler,
    createIntrospector,
  };
  return (run) => {
    const connection = connectionOver(run);
    const provider: ConnectionProvider = { provideConnection: (consumer) => consumer(connection) };
    const executor = new DefaultQueryExecutor(compiler, adapter, provider, []);
    return new Kysely<Tables>({ config: { dialect }, driver, dialect, executor });
  };
};
