/** The messages between the store and its writer thread. Every request is answered once, in order. */
import type { StatementResult } from './kysely-over.ts';
import type { SqliteFailure } from './sqlite-failure.ts';
import type { Statement } from './store.ts';

/**
 * What happens to the transaction before a request's own work. They need no answer and travel with the next request:
 * `begin` the group's transaction; `savepoint` before a unit; `release` it when the unit is done, or `undo` it.
 */
export type Control = 'begin' | 'savepoint' | 'release' | 'undo';

export interface WriterRequest {
  readonly id: number;
  readonly controls: readonly Control[];
  /**
   * `run`: one statement of a unit. `append`: a whole unit of statements under its own savepoint. `commit`: the group.
   * `check`: reads the file as it is on disk now, beside any group, and has the writer open it anew when it is sound.
   */
  readonly kind: 'run' | 'append' | 'commit' | 'check';
  readonly statements: readonly Statement[];
}

export interface WriterReply {
  readonly id: number;
  /** Of a `run`. */
  readonly result?: StatementResult;
  readonly failure?: SqliteFailure;
  /** The whole group's transaction is gone: SQLite rolled it back, or it could not begin. */
  readonly groupLost?: true;
}

/** The first message of the thread: open, or why not. */
export interface WriterReady {
  readonly failure?: SqliteFailure;
}

export interface WriterSettings {
  readonly file: string;
  /** At start the file is made when it is missing; a thread that replaces a crashed one must find it. */
  readonly mode: 'create' | 'write';
  /**
   * Syncs at every commit, or only where the write-ahead log is folded into the file, before and after: without those the file may hold pages of a
   * transaction whose log the power took along, and be damaged. Source: SQLite, "PRAGMA synchronous". OFF is for tests.
   */
  readonly synchronous: 'FULL' | 'NORMAL' | 'OFF';
  /** Tests: SQLite's `max_page_count`, beyond which the file is full. */
  readonly pageCountMax?: number;
}
