import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { makeCall, otherAccount, testAccount, testStartMs } from '../../../test/call.ts';
import type { AccountRegion } from '../../aws/arn.ts';
import { endpointPrefix, isRegion, openAccounts, regionsPerAccountMax } from './account.ts';
import { accounts } from './feature.ts';

const open = async (t: TestContext, accountsMax = 10) => {
  const { store, call, callAs } = await makeCall(t, { features: [accounts()] });
  const options = { store, accountsMax, now: () => testStartMs };
  return { store, call, callAs, options, registry: openAccounts(options) };
};

test('GetCallerIdentity tells account, ARN and user id of whoever signed (API reference, STS)', async (t) => {
  const { call, callAs } = await open(t);
  const handler = accounts().operations?.sts?.GetCallerIdentity;
  assert.ok(handler);
  assert.deepEqual(await handler({}, call), {
    UserId: '000000000000',
    Account: '000000000000',
    Arn: 'arn:aws:iam::000000000000:root',
  });
  assert.equal((await handler({}, callAs(otherAccount))).Arn, 'arn:aws:iam::111111111111:root');
});

test('an account comes into being at first use, once; afterwards nobody waits for the store', async (t) => {
  const { registry, store } = await open(t);
  assert.deepEqual(await registry.list(), []);
  await Promise.all([registry.ensure(testAccount), registry.ensure(testAccount)]);
  assert.equal(registry.ensure(testAccount), undefined);
  await registry.ensure({ ...testAccount, region: 'eu-west-1' });
  assert.deepEqual(await registry.list(), [{ ...testAccount, region: 'eu-west-1' }, testAccount]);
  const rows = await store.db.selectFrom('accounts').select('created_at_ms').execute();
  assert.deepEqual(
    rows.map((row) => row.created_at_ms),
    [testStartMs, testStartMs],
  );
});

test('one pair of account and region beyond accountsMax is LimitExceededException; those that exist are served on', async (t) => {
  const { registry, options } = await open(t, 2);
  await registry.ensure(testAccount);
  await registry.ensure(otherAccount);
  const third = { accountId: '222222222222', region: 'us-east-1' };
  await assert.rejects(async () => registry.ensure(third), { name: 'LimitExceededException' });
  assert.equal((await registry.list()).length, 2);
  const restarted = openAccounts({ ...options, accountsMax: 1 });
  await restarted.ensure(otherAccount);
  await restarted.ensure(testAccount);
});

test('one account uses up no more than its regions, and leaves the rest of the pairs to others', async (t) => {
  const { registry } = await open(t, regionsPerAccountMax + 2);
  for (let number = 0; number < regionsPerAccountMax; number++) {
    const [area = ''] = ['us-east', 'us-west'].slice(number % 2);
    await registry.ensure({ ...testAccount, region: `${area}-${1 + Math.floor(number / 2)}` });
  }
  const more = { ...testAccount, region: 'eu-west-1' };
  await assert.rejects(async () => registry.ensure(more), { name: 'LimitExceededException', message: /100 regions/ });
  await registry.ensure(otherAccount);
  assert.equal((await registry.list()).length, regionsPerAccountMax + 1);
});

test('a region that is none, or an account id that is none, never comes into being', async (t) => {
  const { registry } = await open(t);
  const strange: AccountRegion[] = [
    { ...testAccount, region: 'nowhere' },
    { ...testAccount, region: 'us-east-1.evil.example' },
    { ...testAccount, region: '' },
    { accountId: '12345', region: 'us-east-1' },
  ];
  for (const account of strange) {
    await assert.rejects(async () => registry.ensure(account), { name: 'InvalidSignatureException' });
  }
  assert.deepEqual(await registry.list(), []);
});

const regions: [text: string, expected: boolean][] = [
  ['us-east-1', true],
  ['ap-southeast-7', true],
  ['ca-west-1', true],
  ['me-central-1', true],
  ['us-gov-west-1', true],
  ['eusc-de-east-1', true],
  ['US-EAST-1', false],
  ['us-east', false],
  ['us-east-0', false],
  ['us-upwards-1', false],
  ['us-east-1 ', false],
  ['localhost', false],
];
for (const [text, expected] of regions) {
  test(`'${text}' ${expected ? 'has' : 'has not'} the form of a region`, () => assert.equal(isRegion(text), expected));
}

test('a prefix leads back to its account, also after a restart; an unknown one, or one of another region, to none', async (t) => {
  const { registry, options } = await open(t);
  await registry.ensure(testAccount);
  const prefix = endpointPrefix(testAccount);
  assert.deepEqual(registry.findByEndpoint('us-east-1', prefix), testAccount);
  const restarted = openAccounts(options);
  assert.deepEqual(await restarted.findByEndpoint('us-east-1', prefix), testAccount);
  assert.deepEqual(restarted.findByEndpoint('us-east-1', prefix), testAccount, 'the second time without the store');
  assert.equal(await restarted.findByEndpoint('eu-west-1', prefix), undefined);
  assert.equal(await restarted.findByEndpoint('us-east-1', endpointPrefix(otherAccount)), undefined);
});

test('a prefix is 14 lower-case alphanumerics that start with a, stable, and differs between accounts and between regions (identity 7)', () => {
  assert.equal(endpointPrefix(testAccount), 'an4zjpgum694t6', 'devices have it in their configuration');
  const pair = fc.record({
    accountId: fc.stringMatching(/^[0-9]{12}$/),
    region: fc.constantFrom('us-east-1', 'eu-west-1'),
  });
  fc.assert(
    fc.property(pair, pair, (a, b) => {
      assert.match(endpointPrefix(a), /^a[a-z0-9]{13}$/);
      assert.equal(endpointPrefix(a) === endpointPrefix(b), a.accountId === b.accountId && a.region === b.region);
    }),
  );
});
