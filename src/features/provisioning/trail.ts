/** Notes the steps of one provisioning while it goes on, for the journal. The step begun last is the one that fails, if one does. */
import type { ProvisioningStep, StepName } from '../../journal/record.ts';

type About = Pick<ProvisioningStep, 'subject' | 'how'>;
type Noted = { -readonly [Member in keyof ProvisioningStep]: ProvisioningStep[Member] };

export class Trail {
  readonly #now: () => number;
  /** What was done before this attempt; by time. */
  readonly #past: Noted[] = [];
  readonly #present: Noted[] = [];
  /** Where in the present the unit of writing begins. */
  #unitFrom = Number.POSITIVE_INFINITY;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Something that was done earlier, of which this attempt has learnt. */
  past(step: StepName, atMs: number, about: About = {}): void {
    this.#past.push({ step, outcome: 'done', atMs, ...about });
    this.#past.sort((a, b) => a.atMs - b.atMs);
  }

  /** With this the step before it is done. */
  begin(step: StepName, about: About = {}): void {
    this.#present.push({ step, outcome: 'done', atMs: this.#now(), ...about });
  }

  /** What the step that was begun last is about, or how it has come out. */
  say(about: About): void {
    const last = this.#present.at(-1);
    if (last) Object.assign(last, about);
  }

  /** The very same had been asked and done before: what was begun since it was asked counts for nothing. */
  repeated(): void {
    this.#present.length = Math.min(1, this.#present.length);
    this.begin('repeated');
  }

  /** What follows is done as a whole or not at all. Called again when the unit is run anew. */
  unit(): void {
    this.#unitFrom = Math.min(this.#unitFrom, this.#present.length);
    this.#present.length = this.#unitFrom;
  }

  /** The step that was begun last has failed, and takes its unit with it. */
  fail(): void {
    const last = this.#present.length - 1;
    for (const [index, step] of this.#present.entries()) {
      if (index === last) step.outcome = 'failed';
      else if (index >= this.#unitFrom) step.outcome = 'undone';
    }
  }

  get steps(): readonly ProvisioningStep[] {
    return [...this.#past, ...this.#present];
  }
}
