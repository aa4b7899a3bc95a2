import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VersionNumbers, versionKeptMs, versionsMax } from './version-numbers.ts';

const account = { accountId: '000000000000', region: 'us-east-1' };
const other = { accountId: '111111111111', region: 'us-east-1' };

test('a number grows from connection to connection and begins again when its time is over (gateway.md 7)', () => {
  const numbers = new VersionNumbers();
  assert.equal(numbers.next(account, 'dev1', 0), 0);
  numbers.keep(account, 'dev1', { version: 0, untilMs: versionKeptMs }, 0);
  assert.equal(numbers.next(account, 'dev1', 1), 1);
  numbers.keep(account, 'dev1', { version: 1, untilMs: 1 + versionKeptMs }, 1);
  assert.equal(numbers.next(other, 'dev1', 2), 0, 'another account is another client');
  assert.equal(numbers.next(account, 'dev1', 1 + versionKeptMs), 0);
});

test('whoever is over goes when the next one comes, and beyond the bound the one that went first', () => {
  const numbers = new VersionNumbers();
  numbers.keep(account, 'old', { version: 7, untilMs: 10 }, 0);
  numbers.keep(account, 'new', { version: 7, untilMs: 100 }, 20);
  assert.equal(numbers.size, 1);
  for (let index = 0; index < versionsMax; index++) {
    numbers.keep(account, `d${index}`, { version: 1, untilMs: 100 }, 20);
  }
  assert.equal(numbers.size, versionsMax);
  assert.equal(numbers.next(account, 'new', 20), 0);
  assert.equal(numbers.next(account, 'd0', 20), 2);
});
