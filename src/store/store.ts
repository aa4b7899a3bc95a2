import type { Kysely } from 'kysely';
import type { Tables } from './tables.ts';

/** Typed access to the store. Reads see what is committed; inside a unit, also what the unit has written. */
export type Db = Kysely<Tables>;

/**
 * One unit of writing. It awaits the store and nothing else, so that units of other callers are not held up. Each acts as if it ran alone; to
 * keep that so it may be run more than once, of which all but the last leave nothing behind: what it tells others, it tells by what it returns.
 * A statement that fails is the end of its unit, also when the unit catches that.
 */
export type Unit<T> = (db: Db) => Promise<T>;

/** A compiled query, as Kysely's `compile()` gives it. */
export interface Statement {
  readonly sql: string;
  readonly parameters: readonly unknown[];
}

export interface UnitOptions {
  /** No other unit runs meanwhile, on any node of the store, and its statements may take long: for migrations. */
  readonly alone?: boolean;
}

export interface Store {
  /** The reading connection. */
  readonly db: Db;
  /**
   * Runs a unit; resolves once what it wrote is durable. A unit that throws leaves nothing behind and rejects with what it threw.
   * Faults of the world: StoreUnavailable (full disk, read-only folder, corrupt file, lost server, more than `writeQueueMax` units waiting).
   */
  write<T>(unit: Unit<T>, options?: UnitOptions): Promise<T>;
  /** A unit that is nothing but these statements, for hot appends: one hop to the writer, the same durability and isolation. */
  append(statements: readonly Statement[]): Promise<void>;
  /**
   * Whether the last write could be committed; false from a StoreUnavailable until a write succeeds again. Also false, and every write refused, from a
   * read or write that found the file damaged or unreadable until a check of the file passes.
   */
  readonly writable: boolean;
  close(): Promise<void>;
}

/** The store cannot serve just now. `message` is a sentence for the operator; service resumes when the cause is gone. */
export class StoreUnavailable extends Error {
  override readonly name = 'StoreUnavailable';
}

/** Units that may wait for the writer or a connection; one more is refused with StoreUnavailable. */
export const writeQueueMax = 10_000;
