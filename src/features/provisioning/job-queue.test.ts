import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createJobQueue, jobsAtOnceMax, jobsMax, jobsPerAccountMax } from './job-queue.ts';

/** A queue whose jobs end when told. */
const open = () => {
  const queue = createJobQueue();
  const gate = Promise.withResolvers<void>();
  const begun: string[] = [];
  return {
    queue,
    begun,
    end: gate.resolve,
    add: (key: string, account = 'a') =>
      queue.add({
        account,
        key,
        async run() {
          begun.push(key);
          await gate.promise;
        },
      }),
  };
};

test('at most jobsAtOnceMax jobs are under way; the others follow in their order', async () => {
  const { queue, begun, add, end } = open();
  const keys = Array.from({ length: jobsAtOnceMax + 3 }, (_, i) => `k${i}`);
  for (const key of keys) assert.equal(add(key), 'taken');
  assert.deepEqual(begun, keys.slice(0, jobsAtOnceMax));
  end();
  await queue.idle();
  assert.deepEqual([begun, queue.size], [keys, 0]);
});

test('one job per key, whether it waits or is under way; again when it has ended', async () => {
  const { queue, begun, add, end } = open();
  assert.deepEqual([add('k'), add('k'), begun, queue.size], ['taken', 'taken', ['k'], 1]);
  end();
  await queue.idle();
  add('k');
  await queue.idle();
  assert.deepEqual(begun, ['k', 'k']);
});

test('beyond jobsPerAccountMax an account is refused and another is not, beyond jobsMax all are', async () => {
  const { queue, add, end } = open();
  for (let i = 0; i < jobsPerAccountMax; i++) assert.equal(add(`a${i}`), 'taken');
  assert.deepEqual([add('one more'), add('a0'), add('b0', 'b')], ['full', 'taken', 'taken']);
  for (let i = queue.size; i < jobsMax; i++) assert.equal(add(`c${i}`, `c${i % 10}`), 'taken');
  assert.equal(add('z0', 'z'), 'full');
  end();
  await queue.idle();
  assert.deepEqual([queue.size, add('z0', 'z')], [0, 'taken']);
});

test('a queue that is closed begins nothing more, and waits for what is under way', async () => {
  const { queue, begun, add, end } = open();
  for (let i = 0; i <= jobsAtOnceMax; i++) add(`k${i}`);
  const closed = queue.close();
  assert.equal(add('later'), 'full');
  end();
  await closed;
  assert.equal(begun.length, jobsAtOnceMax);
});
