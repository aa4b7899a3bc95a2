/** Carries all rows of one store into another, whatever their engines: a backup, and its way back. */
import { sql } from 'kysely';
import type { Db } from './store.ts';

/** A table as SQLite describes it, which stands at one end of every copy. */
interface TableShape {
  readonly name: string;
  readonly columns: readonly string[];
  /** Columns of the primary key, in its order: pages follow it. */
  readonly key: readonly string[];
}

type Row = Readonly<Record<string, unknown>>;

/** Rows read at a time. */
const pageRows = 500;
/** Values bound to one statement; SQLite takes 32,766. */
const valuesPerStatementMax = 5000;

/** The tables that features own, of a SQLite store that all migrations have run in. */
export const readShapes = async (sqlite: Db): Promise<readonly TableShape[]> => {
  const tables = await sql<{ name: string }>`
    select name from sqlite_schema where type = 'table' and name not like 'sqlite%' and name not like 'backup%'
    and name <> 'schema_migrations' order by name`.execute(sqlite);
  const shapes: TableShape[] = [];
  for (const { name } of tables.rows) {
    const { rows } = await sql<{ name: string; pk: number }>`select name, pk from pragma_table_info(${name})`.execute(
      sqlite,
    );
    const key = rows.filter(({ pk }) => pk > 0).sort((a, b) => a.pk - b.pk);
    shapes.push({ name, columns: rows.map((column) => column.name), key: key.map((column) => column.name) });
  }
  return shapes;
};

const names = (columns: readonly string[]) => sql.join(columns.map((column) => sql.ref(column)));

async function* pages(from: Db, { name, columns, key }: TableShape): AsyncGenerator<readonly Row[]> {
  let last: Row | undefined;
  do {
    const after = last && sql`where (${names(key)}) > (${sql.join(key.map((column) => last?.[column]))})`;
    const { rows }: { rows: readonly Row[] } = await sql<Row>`
      select ${names(columns)} from ${sql.table(name)} ${after ?? sql``} order by ${names(key)} limit ${sql.lit(pageRows)}
    `.execute(from);
    yield rows;
    last = rows.length === pageRows ? rows.at(-1) : undefined;
  } while (last);
}

/** Copies every row of these tables; `into` is the inside of a unit of writing. Returns how many rows there were. */
export const copyRows = async (from: Db, into: Db, shapes: readonly TableShape[]): Promise<number> => {
  let count = 0;
  for (const shape of shapes) {
    const rowsPerStatement = Math.floor(valuesPerStatementMax / shape.columns.length);
    for await (const rows of pages(from, shape)) {
      for (let start = 0; start < rows.length; start += rowsPerStatement) {
        const some = rows.slice(start, start + rowsPerStatement);
        const values = some.map((row) => sql`(${sql.join(shape.columns.map((column) => row[column]))})`);
        await sql`insert into ${sql.table(shape.name)} (${names(shape.columns)}) values ${sql.join(values)}`.execute(
          into,
        );
        count += some.length;
      }
    }
  }
  return count;
};

/** The first of these tables that has a row. */
export const findOccupied = async (db: Db, shapes: readonly TableShape[]): Promise<string | undefined> => {
  for (const { name } of shapes) {
    const { rows } = await sql`select 1 from ${sql.table(name)} limit 1`.execute(db);
    if (rows.length > 0) return name;
  }
  return undefined;
};
