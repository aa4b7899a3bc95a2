/** What kept devices from coming through, alike ones together: a fleet of ten thousand is refused for one or two reasons. */
import { count } from '../import/progress.ts';
import { printable, shellWord } from '../terminal.ts';
import { type Refusal, steps } from './one-device.ts';

/** Reasons that are told apart; what comes beyond them is counted together. */
export const reasonsMax = 20;

interface Reason {
  readonly first: Refusal;
  count: number;
}

/** The same but for numbers and names that only this device has. */
const likeness = ({ step, seen, clientId }: Refusal): string =>
  `${step} ${seen.kind} ${seen.message.replaceAll(clientId, '').replaceAll(/[0-9a-f]{32,}|\d+/g, '')}`;

export class Refusals {
  readonly #reasons = new Map<string, Reason>();
  #others = 0;
  count = 0;

  add(refusal: Refusal): void {
    this.count++;
    const key = likeness(refusal);
    const known = this.#reasons.get(key);
    if (known) known.count++;
    else if (this.#reasons.size < reasonsMax) this.#reasons.set(key, { first: refusal, count: 1 });
    else this.#others++;
  }

  /** The most frequent first; under each, where more is to be learned. `flags` are those by which this command found the server. */
  lines(flags: string): readonly string[] {
    const reasons = [...this.#reasons.values()].sort((a, b) => b.count - a.count);
    return [
      ...reasons.flatMap(({ first, count: times }) => [
        `  ${count(times)} x ${steps[first.step]}: ${printable(first.seen.message)}`,
        `      ${where(first, flags)}`,
      ]),
      ...(this.#others > 0 ? [`  ${count(this.#others)} x other reasons`] : []),
    ];
  }
}

/** What the device could not see is in the server's journal, if it came that far. */
const where = ({ step, seen, clientId }: Refusal, flags: string): string => {
  if (step === 'keep') return 'look at the folder of --out';
  if (seen.kind === 'unreachable') return `is the server there? fleetgate doctor${flags}`;
  return `why: fleetgate explain ${shellWord(clientId)}${flags}`;
};
