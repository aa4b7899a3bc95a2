/** Reads the answer of GET /_fleetgate/journal. It crosses a wire, so nothing of it is believed: what has another shape is left out. */
import { CommandProblem } from './io.ts';

export type Fields = Readonly<Record<string, unknown>>;

export interface ShownRecord {
  readonly sentence: string;
  readonly cure: string;
  readonly commands: readonly string[];
  /** The steps of a provisioning. */
  readonly trail: readonly Fields[];
  /** The record that this one came of, by its id; empty: none. */
  readonly cause: string;
  /** The facts, as the journal keeps them. */
  readonly record: Fields;
}

export const fieldsOf = (value: unknown): Fields =>
  // An object that is no array has string keys and unknown values.
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
export const textOf = (value: unknown): string =>
  typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '';
export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** Faults: CommandProblem when it is no answer of a journal. */
export const readAnswer = (body: string): readonly ShownRecord[] => {
  const answer = parse(body);
  if (!Array.isArray(answer['records'])) {
    throw new CommandProblem('What answered is no Fleetgate server, or one of another version.');
  }
  return answer['records'].map(fieldsOf).map((each) => ({
    sentence: textOf(each['sentence']),
    cure: textOf(each['cure']),
    commands: listOf(each['commands']).map(textOf),
    trail: listOf(each['trail']).map(fieldsOf),
    cause: textOf(each['cause']),
    record: fieldsOf(each['record']),
  }));
};

const parse = (body: string): Fields => {
  try {
    return fieldsOf(JSON.parse(body));
  } catch {
    return {};
  }
};
