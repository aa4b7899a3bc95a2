/** What is fuzzed, and what must hold for every input. */

/** One reader of untrusted bytes with the rooms behind it. */
export interface Target {
  /** Valid inputs, not empty: what real clients send. */
  readonly corpus: readonly Uint8Array[];
  /** Words of the format. */
  readonly dictionary: readonly (string | Uint8Array)[];
  /** No input is longer. */
  readonly bytesMax: number;
  /**
   * Takes one input. Whatever it throws is a finding: it catches the refusals that the reader declares, and throws when an invariant is broken. It may return
   * a word for what became of the input (`accepted`, a fault's name); they are counted, so that a campaign which only ever met one refusal is seen.
   */
  run(input: Buffer): string | undefined | Promise<string | undefined>;
  /** After the inputs: a healthy client is still served. Asked now and then, and at the end. */
  check?(): Promise<void>;
  close?(): Promise<void>;
}

/** An invariant that an input broke. */
export class Broken extends Error {
  override readonly name = 'Broken';
}

/** Says which rule an input broke. */
export function hold(held: boolean, rule: string): asserts held {
  if (!held) throw new Broken(rule);
}

/** Runs `work`; the refusal `declared` is an answer like any other, everything else is a finding. */
export const refusable = async <T>(
  work: () => T | Promise<T>,
  declared: new (...args: never[]) => Error,
): Promise<T | Error> => {
  try {
    return await work();
  } catch (error) {
    if (error instanceof declared) return error;
    throw error;
  }
};
