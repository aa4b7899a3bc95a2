import assert from 'node:assert/strict';
import { test } from 'node:test';
import { awsLimits } from './config.ts';
import { start } from './index.ts';

test('a default account that cannot come into being is refused in one sentence', async () => {
  const rows = [
    [{ region: 'nowhere' }, /^Account 000000000000 can not be served in nowhere: [^.]*valid region\.$/],
    [{ limits: { ...awsLimits, accountsMax: 0 } }, /^Account 000000000000 can not be served in us-east-1: There are 0/],
  ] as const;
  for (const [options, message] of rows) await assert.rejects(start(options), { name: 'StartProblem', message });
});
