/** One certificate of a ledger, and where it stands. */
import type { Position } from './lines.ts';

/** What one line asks for; the text of its columns as it stands there. */
export interface Wanted {
  /** A path, PEM, or base64 of DER. */
  readonly certificate: string;
  readonly thing?: string;
  readonly policy?: string;
  readonly status?: string;
}

export interface Entry {
  /** Its first line in the manifest, or its number in the folder; from 1. */
  readonly line: number;
  /** Where the next entry starts. */
  readonly next: Position;
  readonly wanted: Wanted | { readonly problem: string; readonly text?: string };
}

/** A manifest, or a folder as if it were one. */
export interface Ledger {
  /** Another text when the ledger may be another, or changed. */
  readonly identity: string;
  /** Where paths start, and the folder that they may not leave; absolute and free of links. */
  readonly folder: string;
  /** What `Position.offset` is at the end: bytes of a manifest, files of a folder. */
  readonly offsetEnd: number;
  /** What the user should know of how it is read: sentences. */
  readonly notes: readonly string[];
  entries(from: Position): AsyncGenerator<Entry>;
  close(): Promise<void>;
}

/** Why a line cannot be imported; `message` is a sentence. Other lines are none the worse. */
export class LineProblem extends Error {
  override readonly name = 'LineProblem';
}
