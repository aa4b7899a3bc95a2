/** Kysely's PostgreSQL, over a function that runs one statement. */
import { PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from 'kysely';
import { makeDbOver } from './kysely-over.ts';

export const dbOver = makeDbOver({
  adapter: new PostgresAdapter(),
  compiler: new PostgresQueryCompiler(),
  createIntrospector: (db) => new PostgresIntrospector(db),
});
