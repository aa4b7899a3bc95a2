/**
 * Hot queries, built and compiled once: building and compiling costs several times what SQLite needs to run a point read (20 against 4 us), and
 * admission asks on every connect. Kept per engine and number of values, because a list of another length is another text.
 */
import type { Compilable, CompiledQuery } from 'kysely';
import type { Db } from './store.ts';

/** Numbers of values for which one query is kept; the rest is compiled anew each time. */
export const keptLengthsMax = 64;

/** What stands for a value while a query is compiled: where it comes out, the value goes in. */
const markOf = (index: number): string => `\u0000value ${index}\u0000`;

interface Kept {
  readonly compiled: CompiledQuery<unknown>;
  /** For each parameter the index of its value, or -1 for one that the query states itself. */
  readonly places: readonly number[];
}

const compile = <Row>(build: (db: Db, values: readonly string[]) => Compilable<Row>, db: Db, count: number): Kept => {
  const marks = Array.from({ length: count }, (_, index) => markOf(index));
  const compiled = build(db, marks).compile();
  return { compiled, places: compiled.parameters.map((parameter) => marks.indexOf(String(parameter))) };
};

/**
 * `build` makes the query from values that it must pass on as they are, as parameters; it is called with stand-ins. The answer asks it with real ones.
 */
export const keepQuery = <Row>(
  build: (db: Db, values: readonly string[]) => Compilable<Row>,
): ((db: Db, values: readonly string[]) => Promise<Row[]>) => {
  const keptOf = new WeakMap<Db, Map<number, Kept>>();
  return async (db, values) => {
    const byCount = keptOf.get(db) ?? new Map<number, Kept>();
    keptOf.set(db, byCount);
    const kept = byCount.get(values.length) ?? compile(build, db, values.length);
    if (byCount.size < keptLengthsMax) byCount.set(values.length, kept);
    const { compiled, places } = kept;
    const parameters = places.map((place, index) => (place < 0 ? compiled.parameters[index] : values[place]));
    const { rows } = await db.executeQuery({ ...compiled, parameters });
    // the rows of a query that `build` typed
    return rows as Row[];
  };
};
