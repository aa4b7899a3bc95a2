/**
 * Text that knows which of its characters came from parameters. Functions join, cut and select text before it gets into a policy document, so what must be
 * escaped there cannot be told from the finished text: `${*}` cut in two would be a wildcard again.
 */
import { refuseParameters } from './fault.ts';

export interface Fragment {
  readonly text: string;
  /** From a parameter, by its value or its Default; otherwise the author of the template wrote it. */
  readonly given: boolean;
}

/** Fragments that are not empty, and of which no two neighbours are alike. */
export type Text = readonly Fragment[];

export const written = (text: string): Text => (text === '' ? [] : [{ text, given: false }]);
export const given = (text: string): Text => (text === '' ? [] : [{ text, given: true }]);

/** The characters, wherever they came from. */
export const charactersOf = (text: Text): string => text.map((fragment) => fragment.text).join('');

/**
 * What one evaluation may make in all, counted in characters of every text that a function makes, and one more for each text that went into it. A template of
 * 10240 characters can ask for more than any machine has: Fn::Sub may insert its variable a thousand times, and variables may be Fn::Sub themselves.
 */
export const evaluationCharactersMax = 524_288;

/** Counts down from `evaluationCharactersMax`. */
export class Budget {
  #left = evaluationCharactersMax;

  spend(characters: number, place: string): void {
    this.#left -= characters + 1;
    if (this.#left < 0) refuseParameters(place, `more than ${evaluationCharactersMax} characters would be made in all`);
  }
}

const lengthOf = (text: Text): number => text.reduce((sum, fragment) => sum + fragment.text.length, 0);

/** One text after the other. Neighbours of one origin become one fragment, so that there are never more fragments than characters. */
export function concatenate(texts: Iterable<Text>, budget: Budget, place: string): Text {
  const fragments: { text: string; given: boolean }[] = [];
  for (const text of texts) {
    budget.spend(lengthOf(text), place);
    for (const fragment of text) {
      const last = fragments.at(-1);
      if (last?.given === fragment.given) last.text += fragment.text;
      else fragments.push({ ...fragment });
    }
  }
  return fragments;
}

/** The pieces between the delimiters, each character keeping its origin. The delimiter is not empty. */
export function split(text: Text, delimiter: string, budget: Budget, place: string): Text[] {
  const pieces: Text[] = [];
  let at = 0;
  let index = 0;
  let passed = 0;
  for (const piece of charactersOf(text).split(delimiter)) {
    budget.spend(piece.length, place);
    const end = at + piece.length;
    const fragments: Fragment[] = [];
    for (let fragment = text[index]; fragment !== undefined && passed < end; fragment = text[index]) {
      const from = Math.max(at - passed, 0);
      const part = fragment.text.slice(from, end - passed);
      if (part !== '') fragments.push({ text: part, given: fragment.given });
      if (passed + fragment.text.length > end) break;
      passed += fragment.text.length;
      index++;
    }
    pieces.push(fragments);
    at = end + delimiter.length;
  }
  return pieces;
}

/**
 * The text as a policy document must hold it: what a parameter brings in stands for itself, so its `*`, `?` and `$` become `${*}`, `${?}` and `${$}`. Otherwise a
 * device that may choose its serial number would choose `*`. A `$` that the author wrote in front of a brace that a parameter brings is one character as well,
 * and not the beginning of a policy variable.
 */
export function policyText(text: Text): string {
  return text
    .map((fragment, i) => {
      const [next, { text: characters }] = [text[i + 1], fragment];
      if (fragment.given) return characters.replaceAll(/[*?$]/g, '${$&}');
      const beginsVariable = characters.endsWith('$') && next?.given === true && next.text.startsWith('{');
      return beginsVariable ? `${characters.slice(0, -1)}\${$}` : characters;
    })
    .join('');
}

/** Whether `policyText` would escape anything. */
export const needsEscapes = (text: Text): boolean => policyText(text) !== charactersOf(text);
