/** Policy text taken apart: literal text, wildcards, variables. `${*}`, `${?}` and `${$}` are the characters themselves. */
import type { PolicyRequest } from './context.ts';
import { findVariable, unknownVariable, type Variable } from './variables.ts';

export interface VariablePiece {
  readonly variable: Variable;
  /** As written, `${...}`. */
  readonly source: string;
}

/** `*`: any run of characters. */
export const star = Symbol('*');
/** `?`: exactly one character. */
export const one = Symbol('?');

export type Piece = string | typeof star | typeof one | VariablePiece;

export interface Reading {
  /** `*` and `?` are wildcards; otherwise they are ordinary characters. */
  readonly wildcards: boolean;
  /** `${...}` is replaced: the document's Version is 2012-10-17. Otherwise it never has a value, escapes included. */
  readonly variables: boolean;
}

const tokens = /\$\{([^}]*)\}|[*?]|\$|[^*?$]+/g;
const escapes = new Set(['*', '?', '$']);

/** Every `${` must have been found closed before (document.ts); an open one is ordinary text. */
export function readPieces(source: string, reading: Reading): Piece[] {
  const pieces: Piece[] = [];
  const text = (characters: string): void => {
    const last = pieces.at(-1);
    if (typeof last === 'string') pieces[pieces.length - 1] = last + characters;
    else pieces.push(characters);
  };
  for (const [token, name] of source.matchAll(tokens)) {
    if (name !== undefined) {
      if (!reading.variables) pieces.push({ variable: unknownVariable(name), source: token });
      else if (escapes.has(name)) text(name);
      else pieces.push({ variable: findVariable(name), source: token });
    } else if (reading.wildcards && token === '*') {
      if (pieces.at(-1) !== star) pieces.push(star);
    } else if (reading.wildcards && token === '?') pieces.push(one);
    else text(token);
  }
  return pieces;
}

export const isVariable = (piece: Piece): piece is VariablePiece => typeof piece === 'object';

/** The text with every variable replaced, for pieces without wildcards; what has no value stays as written (spec policy.md 4.4). */
export function render(pieces: readonly Piece[], request: PolicyRequest): string {
  let text = '';
  for (const piece of pieces) {
    if (typeof piece === 'string') text += piece;
    else if (isVariable(piece)) text += piece.variable.text(request) ?? piece.source;
  }
  return text;
}
