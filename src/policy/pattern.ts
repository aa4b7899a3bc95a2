/**
 * Globs over whole strings, compiled once. `*` is any run of characters, `/` and `:` included, `?` exactly one character; whatever a variable
 * brings in is literal. Source: spec policy.md 4.2-4.4.
 *
 * The stars cut a pattern into runs, none of which contains a star. The first run must stand at the beginning of the text and the last at its
 * end; each run between is taken at its leftmost place after the one before. That is enough: a run's end only moves right as its start does,
 * so a later place could never help what follows. No backtracking, and the search for one run does not compare it at every place either
 * (find-run.ts).
 */
import type { PolicyRequest } from './context.ts';
import { anyCharacter, endOfRun, type RunCharacter } from './find-run.ts';
import { isVariable, one, type Piece, type Reading, readPieces, star, type VariablePiece } from './template.ts';

/** A unit within a run: literal text, one character, or the index of a variable of the pattern. */
type Unit = string | typeof one | number;
type Run = readonly Unit[];

/** `R`: what a decision is asked of, a PolicyRequest here, another in the language of IAM. */
export interface Pattern<R = PolicyRequest> {
  readonly pieces: readonly Piece<R>[];
  readonly kind: 'any' | 'exact' | 'prefix' | 'glob';
  /** Literal text that every match begins with. */
  readonly head: string;
  readonly runs: readonly Run[];
  readonly variables: readonly VariablePiece<R>[];
}

export const compilePattern = (source: string, reading: Omit<Reading, 'wildcards'>): Pattern =>
  fromPieces(readPieces(source, { ...reading, wildcards: true }));

export function fromPieces<R>(pieces: readonly Piece<R>[]): Pattern<R> {
  const variables: VariablePiece<R>[] = [];
  const runs: Unit[][] = [[]];
  for (const piece of pieces) {
    if (piece === star) runs.push([]);
    else if (isVariable(piece)) runs.at(-1)?.push(variables.push(piece) - 1);
    else runs.at(-1)?.push(piece);
  }
  const first = pieces[0];
  const head = typeof first === 'string' ? first : '';
  return { pieces, kind: kindOf(pieces), head, runs, variables };
}

function kindOf<R>(pieces: readonly Piece<R>[]): Pattern['kind'] {
  const [first, second] = pieces;
  if (pieces.length === 0) return 'exact';
  if (pieces.length === 1 && first === star) return 'any';
  if (pieces.length === 1 && typeof first === 'string') return 'exact';
  if (pieces.length === 2 && typeof first === 'string' && second === star) return 'prefix';
  return 'glob';
}

/**
 * Whether `text` matches. A variable without a value: with `unresolved` = `nothing` the pattern matches nothing, with `source` its
 * `${...}` stands for itself.
 */
export function matches<R>(pattern: Pattern<R>, text: string, request: R, unresolved: 'nothing' | 'source'): boolean {
  switch (pattern.kind) {
    case 'any':
      return true;
    case 'exact':
      return text === pattern.head;
    case 'prefix':
      return text.startsWith(pattern.head);
    default:
      return text.startsWith(pattern.head) && matchesRuns(pattern, text, request, unresolved);
  }
}

const noValues: readonly string[] = [];

function valuesOf<R>(pattern: Pattern<R>, request: R, unresolved: 'nothing' | 'source'): readonly string[] | undefined {
  if (pattern.variables.length === 0) return noValues;
  const values: string[] = [];
  for (const { variable, source } of pattern.variables) {
    const value = variable.text(request) ?? (unresolved === 'source' ? source : undefined);
    if (value === undefined) return undefined;
    values.push(value);
  }
  return values;
}

function matchesRuns<R>(pattern: Pattern<R>, text: string, request: R, unresolved: 'nothing' | 'source'): boolean {
  const values = valuesOf(pattern, request, unresolved);
  if (!values) return false;
  const { runs } = pattern;
  const last = runs.length - 1;
  let at = forward(runs[0] ?? [], text, 0, values);
  if (last === 0) return at === text.length;
  const end = backward(runs[last] ?? [], text, values);
  if (at < 0 || end < at) return false;
  for (let i = 1; i < last; i++) {
    at = leftmost(runs[i] ?? [], text, at, values);
    if (at < 0 || at > end) return false;
  }
  return true;
}

const isHighSurrogate = (code: number): boolean => code >= 0xd800 && code <= 0xdbff;
const isLowSurrogate = (code: number): boolean => code >= 0xdc00 && code <= 0xdfff;

/** A character is a code point: a surrogate pair counts as one. */
const isPair = (text: string, at: number): boolean =>
  isHighSurrogate(text.charCodeAt(at)) && isLowSurrogate(text.charCodeAt(at + 1));

const literalOf = (unit: string | number, values: readonly string[]): string =>
  typeof unit === 'number' ? (values[unit] ?? '') : unit;

/** Where the run ends when it begins at `at`; -1 when it does not stand there. */
function forward(run: Run, text: string, at: number, values: readonly string[]): number {
  for (const unit of run) {
    if (unit === one) {
      if (at >= text.length) return -1;
      at += isPair(text, at) ? 2 : 1;
    } else {
      const literal = literalOf(unit, values);
      if (!text.startsWith(literal, at)) return -1;
      at += literal.length;
    }
  }
  return at;
}

/** Where the run begins when it ends with the text; -1 when it does not. */
function backward(run: Run, text: string, values: readonly string[]): number {
  let at = text.length;
  for (let i = run.length - 1; i >= 0; i--) {
    const unit = run[i] ?? '';
    if (unit === one) {
      if (at === 0) return -1;
      at -= at > 1 && isPair(text, at - 2) ? 2 : 1;
    } else {
      const literal = literalOf(unit, values);
      if (!text.endsWith(literal, at)) return -1;
      at -= literal.length;
    }
  }
  return at;
}

/** The end of the run at its leftmost place at or after `from`; -1 when it stands nowhere. */
function leftmost(run: Run, text: string, from: number, values: readonly string[]): number {
  if (run.includes(one)) {
    const characters = charactersOf(run, values, text.length - from);
    return characters === undefined ? -1 : endOfRun(characters, text, from);
  }
  let literal = '';
  for (const unit of run) if (unit !== one) literal += literalOf(unit, values);
  const at = text.indexOf(literal, from);
  return at < 0 ? -1 : at + literal.length;
}

/** The characters of a run; undefined when there are more than `max`. */
function charactersOf(run: Run, values: readonly string[], max: number): RunCharacter[] | undefined {
  const characters: RunCharacter[] = [];
  for (const unit of run) {
    if (unit === one) characters.push(anyCharacter);
    else for (const character of literalOf(unit, values)) characters.push(character.codePointAt(0) ?? 0);
    if (characters.length > max) return undefined;
  }
  return characters;
}

/** The variables of the pattern that have no value for this request. */
export const unresolvedOf = <R>(pattern: Pattern<R>, request: R): string[] =>
  pattern.variables.filter(({ variable }) => variable.text(request) === undefined).map(({ variable }) => variable.name);

/** Whether the pattern could match if its unresolved variables had the right values: tells a missing value from a mere mismatch. */
export function mightMatch<R>(pattern: Pattern<R>, text: string, request: R): boolean {
  const open = pattern.pieces.map((piece) =>
    isVariable(piece) && piece.variable.text(request) === undefined ? star : piece,
  );
  return matches(fromPieces(open), text, request, 'nothing');
}
