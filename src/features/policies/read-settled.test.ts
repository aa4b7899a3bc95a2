import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readSettled } from './read-settled.ts';

test('what was changed while it was read is read again; what never stands still is told to try again', async () => {
  const answers = [undefined, undefined, 'settled'];
  assert.equal(await readSettled(async () => answers.shift()), 'settled');
  let readings = 0;
  const restless = readSettled(async () => {
    readings += 1;
    return undefined;
  });
  await assert.rejects(restless, { name: 'ServiceUnavailableException' });
  assert.equal(readings, 5);
});
