/**
 * Rules that span rows hold when many callers ask at once, on either engine: each unit acts as if it ran alone (design 2.4). On PostgreSQL
 * the units of these tests do run side by side.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { makeCall, otherAccount, testStartMs } from '../../test/call.ts';
import { Fault } from '../aws/fault.ts';
import type { Call } from '../feature.ts';
import { openAccounts } from './accounts/account.ts';
import { accounts } from './accounts/feature.ts';
import { type CertificateMode, certificateArn, insertCertificate } from './certificates/certificate.ts';
import { deleteCertificate } from './certificates/delete-certificate.ts';
import { migrations as certificateMigrations } from './certificates/migrations.ts';
import { attachPolicy } from './policies/attach-policy.ts';
import { createPolicy, createPolicyVersion } from './policies/create-policy.ts';
import { policies } from './policies/feature.ts';
import { deletePolicy } from './policies/operations.ts';
import { listPoliciesOfTarget } from './policies/policy-attachment.ts';
import { listPolicyVersionRows } from './policies/policy-version.ts';
import { attachThingPrincipal } from './things/attach-thing-principal.ts';
import { createThing } from './things/create-thing.ts';
import { things } from './things/feature.ts';
import { deleteThing } from './things/operations.ts';
import { listThingsOfPrincipal } from './things/thing-principal.ts';

const policyDocument = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}';
const certificateId = 'c'.repeat(64);
const firstPage = { after: '', limit: 100, ascending: true };

const boot = (t: TestContext) =>
  makeCall(t, {
    features: [accounts(), { name: 'certificates', migrations: certificateMigrations }, things(), policies()],
  });
const register = (call: Call, id = certificateId, certificateMode: CertificateMode = 'SNI_ONLY') =>
  call.write((db) =>
    insertCertificate(db, call.account, {
      certificateId: id,
      status: 'ACTIVE',
      certificateMode,
      pem: 'not looked at here',
      generationId: 'one',
      createdAtMs: testStartMs,
      notBeforeMs: 0,
      notAfterMs: testStartMs * 2,
    }),
  );

/** Asks all at once; resolves with how many succeeded, and the faults of the others by name. */
const atOnce = async (asks: readonly (() => Promise<unknown>)[]): Promise<{ done: number; faults: Set<string> }> => {
  const outcomes = await Promise.allSettled(asks.map((ask) => ask()));
  const faults = new Set<string>();
  for (const outcome of outcomes) {
    if (outcome.status === 'fulfilled') continue;
    assert.ok(outcome.reason instanceof Fault, String(outcome.reason));
    faults.add(outcome.reason.name);
  }
  return { done: outcomes.filter(({ status }) => status === 'fulfilled').length, faults };
};
const named = (count: number, name: string): string[] => Array.from({ length: count }, (_, index) => `${name}${index}`);

test('at most 10 policies are attached to a certificate (spec policy 1)', async (t) => {
  const { call } = await boot(t);
  await register(call);
  const target = certificateArn(call.account, certificateId);
  const names = named(24, 'p');
  for (const policyName of names) await createPolicy({ policyName, policyDocument }, call);
  const { done, faults } = await atOnce(names.map((policyName) => () => attachPolicy({ policyName, target }, call)));
  assert.deepEqual([done, [...faults]], [10, ['LimitExceededException']]);
  assert.equal((await listPoliciesOfTarget(call.db, call.account, target, firstPage)).length, 10);
});

test('at most 5 versions of a policy, numbered without a gap or a repetition (spec policy 1)', async (t) => {
  const { call } = await boot(t);
  await createPolicy({ policyName: 'p', policyDocument }, call);
  const create = () => createPolicyVersion({ policyName: 'p', policyDocument }, call);
  const { done, faults } = await atOnce(Array.from({ length: 16 }, () => create));
  assert.deepEqual([done, [...faults]], [4, ['VersionsLimitExceededException']]);
  const versions = await listPolicyVersionRows(call.db, call.account, 'p');
  assert.deepEqual(
    versions.map(({ version }) => version),
    [5, 4, 3, 2, 1],
  );
});

for (const type of ['EXCLUSIVE_THING', 'mixed'] as const) {
  test(`an exclusive principal has one thing and no other (spec identity 4.2): ${type}`, async (t) => {
    const { call } = await boot(t);
    for (let round = 0; round < 5; round++) {
      const id = String(round).padStart(64, 'd');
      await register(call, id);
      const principal = certificateArn(call.account, id);
      const names = named(12, `r${round}-`);
      for (const thingName of names) await createThing({ thingName }, call);
      const attach = (thingName: string, index: number) => () =>
        attachThingPrincipal(
          {
            thingName,
            principal,
            thingPrincipalType: type === 'mixed' && index % 2 ? 'NON_EXCLUSIVE_THING' : 'EXCLUSIVE_THING',
          },
          call,
        );
      await atOnce(names.map(attach));
      const attached = await listThingsOfPrincipal(call.db, call.account, principal, firstPage);
      const exclusive = attached.filter(({ thingPrincipalType }) => thingPrincipalType === 'EXCLUSIVE_THING');
      assert.ok(exclusive.length === 0 ? attached.length > 0 : attached.length === 1, JSON.stringify(attached));
    }
  });
}

test('a certificate is held in DEFAULT mode by one account of a region (spec identity 2.3)', async (t) => {
  const { call, callAs } = await boot(t);
  const held = await Promise.all(
    named(16, '').map((_, index) => register(index % 2 ? call : callAs(otherAccount), certificateId, 'DEFAULT')),
  );
  assert.equal(held.filter(Boolean).length, 1);
});

test('a name is created once: the others are told what it is', async (t) => {
  const { call } = await boot(t);
  const created = await Promise.all(named(12, '').map(() => createThing({ thingName: 'lamp' }, call)));
  assert.equal(new Set(created.map(({ thingId }) => thingId)).size, 1);
  const { done, faults } = await atOnce(
    named(12, '').map(() => () => createPolicy({ policyName: 'p', policyDocument }, call)),
  );
  assert.deepEqual([done, [...faults]], [1, ['ResourceAlreadyExistsException']]);
});

test('what is being deleted and what is being attached to it: one of the two is refused, and nothing hangs in the air', async (t) => {
  const { call } = await boot(t);
  for (let round = 0; round < 10; round++) {
    const [policyName, thingName, id] = [`p${round}`, `t${round}`, String(round).padStart(64, 'e')];
    await register(call, id);
    const principal = certificateArn(call.account, id);
    await createPolicy({ policyName, policyDocument }, call);
    await createThing({ thingName }, call);
    const policy = await atOnce([
      () => attachPolicy({ policyName, target: principal }, call),
      () => deletePolicy({ policyName }, call),
    ]);
    const thing = await atOnce([
      () => attachThingPrincipal({ thingName, principal }, call),
      () => deleteThing({ thingName }, call),
    ]);
    assert.deepEqual([policy.done, thing.done], [1, 1], `round ${round}`);
    const certificate = await atOnce([
      () =>
        createThing({ thingName: `late${round}` }, call).then(() =>
          attachThingPrincipal({ thingName: `late${round}`, principal }, call),
        ),
      () => deleteCertificate({ certificateId: id }, call),
    ]);
    assert.ok(certificate.done <= 1, `round ${round}`);
  }
});

test('accounts come into being up to their bound, and not beyond', async (t) => {
  const { store } = await boot(t);
  const open = openAccounts({ store, accountsMax: 10, now: () => testStartMs });
  const ids = Array.from({ length: 30 }, (_, index) => String(100_000_000_000 + index));
  const { done, faults } = await atOnce(
    ids.map((accountId) => async () => open.ensure({ accountId, region: 'us-east-1' })),
  );
  assert.deepEqual([done, [...faults]], [10, ['LimitExceededException']]);
  assert.equal((await open.list()).length, 10);
});
