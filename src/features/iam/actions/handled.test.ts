import assert from 'node:assert/strict';
import { test } from 'node:test';
import { handledOperations } from '../../../../test/handled.ts';
import { isListed, questionsOf } from './table.ts';

const scope = {
  account: { accountId: '000000000000', region: 'us-east-1' },
  callerArn: 'arn:aws:iam::000000000000:user/alice',
};

test('every handled operation asks for an action, or is one that AWS asks nothing for (service authorization reference)', () => {
  const handled = handledOperations();
  assert.deepEqual(
    handled.filter(({ service, operation }) => !isListed(service, operation)),
    [],
  );
  const free = handled.filter(({ service, operation }) => questionsOf(service, operation, {}, scope)?.length === 0);
  assert.deepEqual(
    free.map(({ operation }) => operation).filter((name) => !['GetCallerIdentity', 'GetSessionToken'].includes(name)),
    [],
  );
});
