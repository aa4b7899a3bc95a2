import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseFunctionArn } from './function-arn.ts';

const own = { accountId: '111111111111', region: 'eu-west-1' };
const before = 'arn:aws:lambda:eu-west-1:111111111111:function:';

test('the ARN of a function is taken apart, with its version or alias', () => {
  assert.deepEqual(parseFunctionArn(`${before}hook`), { ...own, functionName: 'hook' });
  assert.deepEqual(parseFunctionArn(`${before}A_b-9:live`), { ...own, functionName: 'A_b-9', qualifier: 'live' });
  assert.deepEqual(parseFunctionArn(`${before}h:$LATEST`), { ...own, functionName: 'h', qualifier: '$LATEST' });
  assert.equal(parseFunctionArn(before + 'n'.repeat(64))?.functionName.length, 64);
});

for (const text of [
  '',
  'hook',
  before,
  `${before}a/b`,
  `${before}..`,
  `${before}a.mjs`,
  `${before}hook:`,
  `${before}hook:a:b`,
  `${before}hook\n`,
  `${before}ho%2fok`,
  before + 'n'.repeat(65),
  `${before}hook:${'q'.repeat(129)}`,
  'arn:aws:lambda:eu-west-1:111111111111:function/hook',
  'arn:aws:lambda:eu-west-1:111111111111:layer:hook',
  'arn:aws:lambda:eu-west-1:1111:function:hook',
  'arn:aws:lambda::111111111111:function:hook',
  'arn:aws:lambda:eu-west-1::function:hook',
  'arn:aws:iot:eu-west-1:111111111111:function:hook',
  'arn:aws-cn:lambda:eu-west-1:111111111111:function:hook',
]) {
  test(`${JSON.stringify(text).slice(0, 90)} is no ARN of a function`, () =>
    assert.equal(parseFunctionArn(text), undefined));
}
