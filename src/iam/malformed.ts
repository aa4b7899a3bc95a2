/** What the readers of policy documents have in common: how a document is refused, and its members. */

/** A document that IAM would not take; `message` is the sentence for its author. */
export class MalformedIamPolicy extends Error {
  override readonly name = 'MalformedIamPolicy';
}

export const syntax = (): MalformedIamPolicy => new MalformedIamPolicy('Syntax errors in policy.');

/** Longer than any ARN that means something. */
const shownCharactersMax = 512;

/** A text of a document as a refusal shows it: of bounded length. */
export const shown = (text: string): string =>
  text.length > shownCharactersMax ? `${text.slice(0, shownCharactersMax)}...` : text;

/** Values of one condition key, actions and resources of one statement: hostile documents cost no more than this. */
const valuesMax = 5000;

export type Json = Readonly<Record<string, unknown>>;

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** One text or a list of texts. Faults: MalformedIamPolicy. */
export const textsOf = (value: unknown): readonly string[] => {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (list.length > valuesMax || !list.every((item) => typeof item === 'string')) throw syntax();
  return list;
};
