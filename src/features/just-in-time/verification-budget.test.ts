import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createVerificationBudget,
  sourcesMax,
  verificationsPerSecondMax,
  verificationsPerSourcePerSecondMax,
} from './verification-budget.ts';

const takes = (budget: { take(address: string): boolean }, address: string, count: number): number =>
  Array.from({ length: count }, () => budget.take(address)).filter(Boolean).length;

test('one source has its own bound, an IPv6 host cannot evade it within its network, and time gives it back', () => {
  let nowMs = 0;
  const budget = createVerificationBudget(() => nowMs);
  const max = verificationsPerSourcePerSecondMax;
  assert.equal(takes(budget, '2001:db8::1', max + 10), max);
  assert.equal(takes(budget, '2001:db8::2', 1), 0);
  assert.equal(takes(budget, '::ffff:192.0.2.1', max + 1), max);
  assert.equal(takes(budget, '192.0.2.1', 1), 0);
  nowMs += 1000;
  assert.equal(takes(budget, '192.0.2.1', max + 1), max);
});

test('many sources together have the bound of the node, and are forgotten beyond sourcesMax', () => {
  const budget = createVerificationBudget(() => 0);
  let taken = 0;
  for (let i = 0; i < sourcesMax + 100; i++) {
    if (budget.take(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`)) taken += 1;
  }
  assert.deepEqual([taken, budget.sources], [verificationsPerSecondMax, sourcesMax]);
});
