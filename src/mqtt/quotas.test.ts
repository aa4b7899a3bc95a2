import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectionRates, Rate, Recent, throttled, toldIntervalMs } from './quotas.ts';

const startMs = 1_700_000_000_000;

test('a rate lets its number through at once, then so many per second and no more (spec gateway.md 12)', () => {
  const rate = new Rate(100, startMs);
  const taken = (nowMs: number): number => Array.from({ length: 200 }, () => rate.take(nowMs)).filter(Boolean).length;
  assert.equal(taken(startMs), 100);
  assert.equal(taken(startMs), 0);
  assert.equal(rate.waitMs(startMs), 10);
  assert.equal(taken(startMs + 10), 1);
  assert.equal(taken(startMs + 510), 50);
  assert.equal(taken(startMs + 600_000), 100, 'silence saves up one second, not more');
});

test('what is spent beyond a rate is owed and waited for', () => {
  const rate = new Rate(1000, startMs);
  assert.equal(rate.spend(1000, startMs), 0);
  assert.equal(rate.spend(500, startMs), 500);
  assert.equal(rate.spend(0, startMs + 500), 0);
});

test('a clock that goes back gives nothing and takes nothing', () => {
  const rate = new Rate(1, startMs);
  assert.equal(rate.take(startMs), true);
  assert.equal(rate.take(startMs - 60_000), false);
  assert.equal(rate.take(startMs + 1000), true);
});

test('one turn per key and interval; a turn that was refused does not begin it anew', () => {
  const recent = new Recent(1000);
  assert.equal(recent.take('a', startMs), true);
  assert.equal(recent.take('a', startMs + 999), false);
  assert.equal(recent.take('b', startMs + 999), true);
  assert.equal(recent.take('a', startMs + 1000), true);
});

test('at the bound of keys the ones that are over go first, then all', () => {
  const recent = new Recent(1000, 3);
  for (const [key, atMs] of [
    ['a', 0],
    ['b', 600],
    ['c', 700],
  ] as const)
    recent.take(key, startMs + atMs);
  assert.equal(recent.take('d', startMs + 1100), true, 'in place of a');
  assert.equal(recent.take('b', startMs + 1101), false);
  assert.equal(recent.take('e', startMs + 1102), true, 'all are young: all are forgotten');
  assert.equal(recent.take('b', startMs + 1103), true);
});

test('the journal is told of one limit of a connection once a minute', () => {
  const rates = connectionRates(startMs);
  assert.deepEqual(throttled(rates, 'bytesPerSecondMax', startMs), {
    status: 'Failure',
    reason: 'THROTTLED',
    detail: 'bytesPerSecondMax',
  });
  assert.equal(throttled(rates, 'bytesPerSecondMax', startMs + toldIntervalMs - 1), undefined);
  assert.notEqual(throttled(rates, 'publishesPerSecondMax', startMs), undefined);
  assert.notEqual(throttled(rates, 'bytesPerSecondMax', startMs + toldIntervalMs), undefined);
});
