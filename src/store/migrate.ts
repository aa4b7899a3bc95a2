import { createHash } from 'node:crypto';
import { CompiledQuery, sql } from 'kysely';
import { type Db, type Store, StoreUnavailable } from './store.ts';

/** One step of the schema's history. Once merged it is never edited: a changed text is refused at start. */
export interface Migration {
  /** `<feature>-<four digits>`, counting from 0001 without a gap, e.g. `cas-0001`. */
  readonly name: string;
  /** Statements in the part of SQL that SQLite and PostgreSQL both speak. Column types: text, bigint, bytea. */
  readonly sql: readonly string[];
}

interface SchemaMigrationsTable {
  name: string;
  /** Hex SHA-256 over the statements. */
  checksum: string;
  applied_at_ms: number;
}

declare module './tables.ts' {
  interface Tables {
    schema_migrations: SchemaMigrationsTable;
  }
}

const namePattern = /^([a-z][a-z0-9]*(?:-[a-z][a-z0-9]*)*)-([0-9]{4})$/;
const createTablePattern = /\bcreate\s+table\s+(?:if\s+not\s+exists\s+)?["`[]?(\w+)/gi;

const checksum = (migration: Migration): string =>
  createHash('sha256').update(JSON.stringify(migration.sql)).digest('hex');

/** Faults in the list itself, which no store is needed to see: an odd name, a gap, a table created by two features. */
const checkHistory = (migrations: readonly Migration[]): void => {
  const counts = new Map<string, number>();
  const owners = new Map<string, string>([['schema_migrations', 'the store']]);
  for (const migration of migrations) {
    const [, feature, digits] = namePattern.exec(migration.name) ?? [];
    if (!feature || !digits) throw new Error(`Migration ${migration.name} is not named <feature>-<four digits>`);
    const count = (counts.get(feature) ?? 0) + 1;
    counts.set(feature, count);
    if (Number(digits) !== count) {
      const expected = `${feature}-${String(count).padStart(4, '0')}`;
      throw new Error(`Migration ${migration.name} stands where ${expected} is expected`);
    }
    for (const statement of migration.sql) {
      for (const [, table = ''] of statement.matchAll(createTablePattern)) {
        const owner: string = owners.get(table.toLowerCase()) ?? feature;
        if (owner !== feature) throw new Error(`Table ${table} is created by ${owner} and by ${feature}`);
        owners.set(table.toLowerCase(), feature);
      }
    }
  }
};

/** Faults between the list and what the store has seen. */
const checkApplied = (applied: ReadonlyMap<string, string>, migrations: readonly Migration[]): void => {
  const known = new Map(migrations.map((migration) => [migration.name, checksum(migration)]));
  const unknown = [...applied.keys()].filter((name) => !known.has(name));
  if (unknown.length > 0) {
    throw new StoreUnavailable(
      `The store was written by a newer Fleetgate (it has ${unknown.join(', ')}): start that version, or use another data folder (--data) or database (--store).`,
    );
  }
  const changed = [...applied].find(([name, sum]) => known.get(name) !== sum);
  if (changed)
    throw new Error(`The text of migration ${changed[0]} was changed after it had been applied to this store`);
  const open = new Set<string>();
  for (const { name } of migrations) {
    const feature = name.slice(0, -5);
    if (!applied.has(name)) open.add(feature);
    else if (open.has(feature))
      throw new Error(`Migration ${name} is applied, but an earlier one of ${feature} is not`);
  }
};

const apply = async (db: Db, migrations: readonly Migration[], nowMs: number): Promise<string[]> => {
  await db.executeQuery(
    CompiledQuery.raw(
      'create table if not exists schema_migrations (name text not null primary key, checksum text not null, applied_at_ms bigint not null)',
    ),
  );
  const rows = await db.selectFrom('schema_migrations').select(['name', 'checksum']).orderBy('name').execute();
  const applied = new Map(rows.map((row) => [row.name, row.checksum]));
  checkApplied(applied, migrations);
  const due = migrations.filter(({ name }) => !applied.has(name));
  for (const migration of due) {
    for (const statement of migration.sql) await sql.raw(statement).execute(db);
    await db
      .insertInto('schema_migrations')
      .values({ name: migration.name, checksum: checksum(migration), applied_at_ms: nowMs })
      .execute();
  }
  return due.map(({ name }) => name);
};

/**
 * Brings the store's schema up to the given history, in one unit: all of it or nothing. Returns the names that were applied.
 * Faults: StoreUnavailable for a store that a newer Fleetgate has written; Error for a gap, a changed text, a table of two features.
 */
export const migrate = async (
  store: Pick<Store, 'write'>,
  migrations: readonly Migration[],
  nowMs = Date.now(),
): Promise<readonly string[]> => {
  checkHistory(migrations);
  return store.write((db) => apply(db, migrations, nowMs), { alone: true }); // two nodes that start at once: one after the other
};
