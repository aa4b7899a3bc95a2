/** Time-outs act when they are due by the given clock, once, and not after they were cancelled. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Timed, Wheel } from './wheel.ts';

const recorder = () => {
  const acted: string[] = [];
  const timed = (name: string): Timed => ({ slot: 0, due: () => acted.push(name) });
  return { acted, timed };
};

test('what is due acts in order of its time, however far the clock was moved; the rest waits', () => {
  const wheel = new Wheel();
  const { acted, timed } = recorder();
  wheel.schedule(timed('week'), 7 * 86_400_000);
  wheel.schedule(timed('second'), 2_000);
  wheel.schedule(timed('first'), 1_000);
  wheel.tick(999);
  assert.deepEqual(acted, []);
  wheel.tick(1_000);
  assert.deepEqual(acted, ['first']);
  wheel.tick(8 * 86_400_000);
  wheel.tick(8 * 86_400_000);
  assert.deepEqual(acted, ['first', 'second', 'week']);
});

test('a new appointment replaces the old one, a cancelled one never acts', () => {
  const wheel = new Wheel();
  const { acted, timed } = recorder();
  const [moved, cancelled] = [timed('moved'), timed('cancelled')];
  wheel.schedule(moved, 1_000);
  wheel.schedule(moved, 5_000);
  wheel.schedule(cancelled, 1_000);
  wheel.cancel(cancelled);
  wheel.tick(4_000);
  assert.deepEqual(acted, []);
  wheel.tick(5_000);
  assert.deepEqual(acted, ['moved']);
});

test('who schedules itself again while it acts waits for a later tick, even for a time that is past', () => {
  const wheel = new Wheel();
  let acted = 0;
  const again: Timed = {
    slot: 0,
    due: () => {
      acted++;
      wheel.schedule(again, 0);
    },
  };
  wheel.schedule(again, 1_000);
  wheel.tick(1_000);
  assert.equal(acted, 1);
  wheel.tick(1_000);
  assert.equal(acted, 2);
});
