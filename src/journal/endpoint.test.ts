import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { otherAccount, testAccount } from '../../test/call.ts';
import { openTestStore } from '../../test/stores.ts';
import { Fault } from '../aws/fault.ts';
import { migrate } from '../store/migrate.ts';
import { answerJournal, type JournalRequest } from './endpoint.ts';
import { openJournal } from './journal.ts';
import type { JournalRecord } from './record.ts';
import { journalMigrations } from './ring.ts';

const certificateId = 'ab12cd34'.repeat(8);
const refused = (members: Partial<JournalRecord> = {}): JournalRecord => ({
  account: testAccount,
  eventType: 'Connect',
  status: 'Failure',
  reason: 'DEVICE_CERTIFICATE_INACTIVE',
  certificateId,
  clientId: 'dev1',
  ...members,
});
const open = async (t: TestContext) => {
  const store = await openTestStore(t);
  await migrate(store, journalMigrations);
  const journal = await openJournal({ store, now: () => 0 });
  const ask = (query: string, members: Partial<JournalRequest> = {}) =>
    answerJournal(journal, {
      query: new URLSearchParams(query),
      account: testAccount,
      development: false,
      apiUrl: 'http://127.0.0.1:4566',
      ...members,
    });
  return { record: journal.record, ask };
};

test('records come with their explanation, newest first', async (t) => {
  const { record, ask } = await open(t);
  record(refused());
  record(refused({ clientId: 'dev2' }));
  const { records } = await ask('');
  assert.deepEqual(
    records.map((each) => each.record.clientId),
    ['dev2', 'dev1'],
  );
  assert.match(records[0]?.sentence ?? '', /INACTIVE/);
  assert.equal(records[0]?.commands.length, 1);
});

test('last is the newest failure alone', async (t) => {
  const { record, ask } = await open(t);
  record(refused());
  record({ ...refused({ clientId: 'dev2' }), status: 'Success' });
  const { records } = await ask('last=true');
  assert.deepEqual(
    records.map((each) => each.record.clientId),
    ['dev1'],
  );
});

test("the node's own records are shown in development only (design.md 4)", async (t) => {
  const { record, ask } = await open(t);
  const { account: _, ...nobody } = refused({ clientId: 'nobody' });
  record(nobody);
  assert.deepEqual((await ask('last=true')).records, []);
  const { records, operator } = await ask('last=true', { development: true });
  assert.deepEqual([records[0]?.record.clientId, operator], ['nobody', true]);
});

test('the policies of a deleted certificate are remembered from its earlier records, of the same account only', async (t) => {
  const { record, ask } = await open(t);
  record({ ...refused({ facts: { policyNames: 'AllowAll' } }), status: 'Success' });
  record(refused({ account: otherAccount, facts: { policyNames: 'Secret' } }));
  const tls = { leafPem: '-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n' };
  record(refused({ reason: 'DEVICE_CERTIFICATE_NOT_REGISTERED', tls }));
  const commands = (await ask('last=true')).records[0]?.commands.join('\n') ?? '';
  assert.match(commands, /--policy-name AllowAll/);
  assert.doesNotMatch(commands, /Secret/);
});

test('a certificate that was made for a claim and is gone: nobody registers it again, unless it had been provisioned', async (t) => {
  const { record, ask } = await open(t);
  const claimed = {
    certificateId: 'c1'.repeat(32),
    status: 'Success',
    facts: { deviceCertificateId: certificateId },
  } as const;
  record({ ...refused(), ...claimed, eventType: 'GetDeviceCredentials' });
  record(refused({ reason: 'DEVICE_CERTIFICATE_NOT_REGISTERED' }));
  const [gone] = (await ask('last=true')).records;
  assert.match(
    gone?.sentence ?? '',
    /any more: it was made for a claim on 1970-\S+, and nobody has been provisioned with it\.$/,
  );
  assert.deepEqual(gone?.commands, []);
  record({ ...refused(), ...claimed, eventType: 'ProvisionDevice' });
  assert.doesNotMatch((await ask('last=true')).records[0]?.sentence ?? '', /made for a claim/);
});

test('the policies of a certificate that has none any more are remembered alike', async (t) => {
  const { record, ask } = await open(t);
  record({ ...refused({ facts: { policyNames: 'Fleet' } }), status: 'Success' });
  record(refused({ reason: 'AUTHORIZATION_FAILURE', decision: 'IMPLICIT_DENY', statements: [] }));
  const [newest] = (await ask('last=true')).records;
  assert.match(newest?.commands.join('\n') ?? '', /^aws iot attach-policy --policy-name Fleet --target \S+$/);
});

test('a refusal in one account tells nothing of another that holds the certificate (design.md 4)', async (t) => {
  const { record, ask } = await open(t);
  record(refused());
  record(refused({ account: otherAccount, reason: 'DEVICE_CERTIFICATE_NOT_REGISTERED' }));
  const answer = JSON.stringify(await ask(`certificateId=${certificateId}`, { account: otherAccount }));
  assert.ok(!answer.includes(testAccount.accountId));
  assert.ok(answer.includes('not registered in account 111111111111'));
});

for (const query of ['limit=0', 'limit=101', 'limit=1e1', 'limit=', 'last=yes', 'failures=1', 'account=111111111111']) {
  test(`?${query} is refused`, async (t) => {
    const { ask } = await open(t);
    await assert.rejects(ask(query), (error) => error instanceof Fault && error.name === 'InvalidRequestException');
  });
}
