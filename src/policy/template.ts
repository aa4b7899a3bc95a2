/** Policy text taken apart: literal text, wildcards, variables. `${*}`, `${?}` and `${$}` are the characters themselves. */
import type { PolicyRequest } from './context.ts';
import { findVariable, unknownVariable } from './variables.ts';

/** What a name in `${...}` stands for. `R`: what a decision is asked of, a PolicyRequest here, another in the language of IAM. */
export interface TextVariable<R> {
  readonly name: string;
  /** What it is replaced by; undefined: it is unresolved. */
  readonly text: (request: R) => string | undefined;
}

export interface VariablePiece<R = PolicyRequest> {
  readonly variable: TextVariable<R>;
  /** As written, `${...}`. */
  readonly source: string;
}

/** `*`: any run of characters. */
export const star = Symbol('*');
/** `?`: exactly one character. */
export const one = Symbol('?');

export type Piece<R = PolicyRequest> = string | typeof star | typeof one | VariablePiece<R>;

export interface Reading {
  /** `*` and `?` are wildcards; otherwise they are ordinary characters. */
  readonly wildcards: boolean;
  /** `${...}` is replaced: the document's Version is 2012-10-17. Otherwise it never has a value, escapes included. */
  readonly variables: boolean;
}

const tokens = /\$\{([^}]*)\}|[*?]|\$|[^*?$]+/g;
/** Where no variable can end any more: looking for the end of each `${` there would cost length times length. */
const tokensWithoutVariables = /[*?]|[^*?]+/g;
const escaped = new Set(['*', '?', '$']);

/** Every `${` must have been found closed before (document.ts); an open one is ordinary text. */
export const readPieces = (source: string, { wildcards, variables }: Reading): Piece[] =>
  readTemplate(source, { wildcards, escapes: variables, find: variables ? findVariable : unknownVariable });

/** How a text is taken apart whose variables are those of another language. */
export interface TemplateReading<R> {
  readonly wildcards: boolean;
  /** `${*}`, `${?}` and `${$}` are the characters; otherwise they are names. */
  readonly escapes: boolean;
  /** What stands between `${` and the next `}`. */
  readonly find: (name: string) => TextVariable<R>;
}

/** A `${` that no `}` follows is ordinary text. */
export function readTemplate<R>(source: string, { wildcards, escapes, find }: TemplateReading<R>): Piece<R>[] {
  const pieces: Piece<R>[] = [];
  const text = (characters: string): void => {
    const last = pieces.at(-1);
    if (typeof last === 'string') pieces[pieces.length - 1] = last + characters;
    else pieces.push(characters);
  };
  const plain = (token: string): void => {
    if (wildcards && token === '*') {
      if (pieces.at(-1) !== star) pieces.push(star);
    } else if (wildcards && token === '?') pieces.push(one);
    else text(token);
  };
  const end = source.lastIndexOf('}') + 1;
  for (const [token, name] of source.slice(0, end).matchAll(tokens)) {
    if (name === undefined) plain(token);
    else if (escapes && escaped.has(name)) text(name);
    else pieces.push({ variable: find(name), source: token });
  }
  for (const [token] of source.slice(end).matchAll(tokensWithoutVariables)) plain(token);
  return pieces;
}

export const isVariable = <R>(piece: Piece<R>): piece is VariablePiece<R> => typeof piece === 'object';

/** The text with every variable replaced, for pieces without wildcards; what has no value stays as written (spec policy.md 4.4). */
export function render(pieces: readonly Piece[], request: PolicyRequest): string {
  let text = '';
  for (const piece of pieces) {
    if (typeof piece === 'string') text += piece;
    else if (isVariable(piece)) text += piece.variable.text(request) ?? piece.source;
  }
  return text;
}
