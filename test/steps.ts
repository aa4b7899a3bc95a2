/** The steps of an example, each first done wrong in every way that a person might, then right. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import type { TestContext } from 'node:test';

/** What is wrong, the attempt, and how it is refused: what an SDK client throws, or the lines that a device hears. */
export type Wrong = readonly [
  what: string,
  attempt: () => Promise<unknown>,
  refused: ((error: Error) => true) | string[],
];

export interface Step {
  /** As the example prints it. */
  readonly step: string;
  readonly wrong: readonly Wrong[];
  readonly right?: () => Promise<unknown>;
  /** What is wrong only once it was done. */
  readonly afterwards?: readonly Wrong[];
}

const refuse = async (t: TestContext, step: string, wrong: readonly Wrong[]): Promise<void> => {
  for (const [what, attempt, refused] of wrong) {
    await t.test(`${step}: ${what}`, async () => {
      if (typeof refused === 'function') await assert.rejects(attempt(), refused);
      else assert.deepEqual(await attempt(), refused);
    });
  }
};

/** Does the steps one after the other. They must be those of the example, all of them and in its order. */
export const takeSteps = async (t: TestContext, example: string, steps: readonly Step[]): Promise<void> => {
  const printed = (await readFile(example, 'utf8')).matchAll(/^step '(.*)'$/gm);
  assert.deepEqual(
    steps.map(({ step }) => step),
    Array.from(printed, ([, step]) => step),
  );
  for (const { step, wrong, right, afterwards = [] } of steps) {
    await refuse(t, step, wrong);
    await right?.();
    await refuse(t, step, afterwards);
  }
};
