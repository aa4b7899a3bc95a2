/** One step of the schema's history. Once merged it is never edited: a changed text is refused at start. */
export interface Migration {
  /** `<feature>-<four digits>`, counting from 0001 without a gap, e.g. `cas-0001`. */
  readonly name: string;
  /** Statements in the part of SQL that SQLite and PostgreSQL both speak. Column types: text, bigint, bytea. */
  readonly sql: readonly string[];
}
