/**
 * - `not-found`: there is no such function for this account;
 * - `busy`: it was not asked, because too many invocations run or wait;
 * - `timeout`: it did not answer in time, and was ended where we run it;
 * - `error`: it ran, or should have, and failed;
 * - `bad-answer`: it answered what is no JSON, or more than is read.
 */
export type FailureKind = 'not-found' | 'timeout' | 'error' | 'bad-answer' | 'busy';

const detailCharactersMax = 1000;

/** Text of a function, for a person to read: bounded, control characters but the line feed and the tab escaped. */
export const readable = (text: string, charactersMax: number): string => {
  const cut = text.length > charactersMax ? `${text.slice(0, charactersMax)}...` : text;
  return cut.replaceAll(
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
};

/**
 * An invocation brought no answer. `message` is one sentence of ours, or two with the cure; it repeats nothing that the function was given
 * or said, so the journal may hold it. `detail` is what the function said of its failure, for the operator's log alone: it may quote what
 * a device sent.
 */
export class FunctionFailure extends Error {
  override readonly name = 'FunctionFailure';
  readonly kind: FailureKind;
  readonly detail: string;
  constructor(kind: FailureKind, message: string, detail = '', options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
    this.detail = readable(detail, detailCharactersMax);
  }
}

/** The name of an error as a function gives it, ` (TypeError)`; '' when it is no plain name. */
export const errorTypeOf = (value: unknown): string =>
  typeof value === 'string' && /^[A-Za-z][\w.]{0,63}$/.test(value) ? ` (${value})` : '';
