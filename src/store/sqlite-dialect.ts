/** Kysely's SQLite, over a function that runs one statement. */
import { SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler } from 'kysely';
import { makeDbOver } from './kysely-over.ts';

export const dbOver = makeDbOver({
  adapter: new SqliteAdapter(),
  compiler: new SqliteQueryCompiler(),
  createIntrospector: (db) => new SqliteIntrospector(db),
});
