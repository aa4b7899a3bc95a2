import assert from 'node:assert/strict';
import { test } from 'node:test';
import { opening } from './closing.ts';

test('what was opened last is closed first, one after the other, and once', async () => {
  const opened = opening();
  const closed: string[] = [];
  for (const name of ['store', 'bus', 'doors']) {
    opened.add(async () => {
      await Promise.resolve();
      closed.push(name);
    });
  }
  await Promise.all([opened.close(), opened.close()]);
  assert.deepEqual(closed, ['doors', 'bus', 'store']);
});

test('what fails to close keeps nothing else open, and all of it is told', async () => {
  const opened = opening();
  const closed: string[] = [];
  const fail = (words: string) => () => {
    throw new Error(words);
  };
  opened.add(() => closed.push('store'));
  opened.add(fail('bus'));
  opened.add(() => Promise.reject(new Error('doors')));
  const told = (error: unknown): boolean =>
    error instanceof AggregateError && error.errors.map(({ message }) => message).join() === 'doors,bus';
  await assert.rejects(opened.close(), told);
  assert.deepEqual(closed, ['store']);
});
