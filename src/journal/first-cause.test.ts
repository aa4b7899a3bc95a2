import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testAccount } from '../../test/call.ts';
import { openTestStore } from '../../test/stores.ts';
import { migrate } from '../store/migrate.ts';
import { answerJournal } from './endpoint.ts';
import { causeAmong } from './first-cause.ts';
import { openJournal } from './journal.ts';
import type { JournalRecord } from './record.ts';
import { journalMigrations } from './ring.ts';
import { type StoredRecord, storedRecord } from './stored-record.ts';

const claim = 'c1a1'.repeat(16);
const given = '91fe'.repeat(16);
const create = '$aws/certificates/create/json';
const provision = '$aws/provisioning-templates/fleet/provision/json';
const on = (type: string, topic: string): string => `arn:aws:iot:us-east-1:000000000000:${type}/${topic}`;

/** Of one connection of a claim, unless it says otherwise. */
const failure = (members: Partial<JournalRecord>): JournalRecord => ({
  ...{ account: testAccount, eventType: 'Publish-Out', status: 'Failure', certificateId: claim, clientId: 'dev-1' },
  ...{ sourceIp: '192.0.2.1', sourcePort: 5000 },
  ...members,
});
const denied = (action: string, resource: string): JournalRecord =>
  failure({ reason: 'AUTHORIZATION_FAILURE', action, resource });
const unheard = (topic: string): JournalRecord => failure({ reason: 'REPLY_NOT_SUBSCRIBED', facts: { topic } });
const token = (detail: string): JournalRecord =>
  failure({ eventType: 'ProvisionDevice', reason: 'OWNERSHIP_TOKEN_INVALID', detail, facts: { topic: provision } });
const provisioned = (members: Partial<JournalRecord> = {}): JournalRecord =>
  failure({
    ...{ eventType: 'ProvisionDevice', reason: 'RESOURCE_CONFLICT', facts: { deviceCertificateId: given } },
    ...members,
  });
const shows = (reason: 'DEVICE_CERTIFICATE_PENDING' | 'DEVICE_CERTIFICATE_NOT_REGISTERED', certificateId = given) =>
  failure({ eventType: 'Connection.AuthNError', reason, certificateId, sourcePort: 6000 });
const issue = failure({
  ...{ eventType: 'GetDeviceCredentials', status: 'Success', facts: { deviceCertificateId: given, topic: create } },
});
const takenOver = (successor: string): JournalRecord =>
  failure({ eventType: 'Disconnect', reason: 'DUPLICATE_CLIENT_ID', facts: { successor } });

type Case = readonly [rule: string, earlier: readonly JournalRecord[], last: JournalRecord, cause: number | undefined];
const reply = `${create}/accepted`;
const cases: readonly Case[] = [
  [
    'a reply is not heard, since its subscription was denied',
    [denied('iot:Subscribe', on('topicfilter', reply))],
    unheard(reply),
    0,
  ],
  [
    'so by a filter that matches',
    [denied('iot:Subscribe', on('topicfilter', '$aws/certificates/+/json/#'))],
    unheard(reply),
    0,
  ],
  [
    'not by one that does not',
    [denied('iot:Subscribe', on('topicfilter', `${create}/rejected`))],
    unheard(reply),
    undefined,
  ],
  [
    'not on another connection',
    [{ ...denied('iot:Subscribe', on('topicfilter', reply)), sourcePort: 4000 }],
    unheard(reply),
    undefined,
  ],
  ['a refusal is not heard: what was refused counts', [token('unknown')], unheard(`${provision}/rejected`), 0],
  ['no token is sent, since the certificate never came', [unheard(reply)], token('missing'), 0],
  [
    'no token is sent, since the reply may not be received',
    [denied('iot:Receive', on('topic', reply))],
    token('missing'),
    0,
  ],
  [
    'no token is sent, since no certificate was made',
    [failure({ eventType: 'GetDeviceCredentials', reason: 'CSR_INVALID' })],
    token('missing'),
    0,
  ],
  [
    'no token is sent, and nothing else was wrong',
    [denied('iot:Publish', on('topic', 'a'))],
    token('missing'),
    undefined,
  ],
  [
    'a token is used in two ways, since the first answer was not heard',
    [unheard(`${provision}/accepted`)],
    token('used'),
    0,
  ],
  ['a token is used twice', [token('used')], token('used'), undefined],
  [
    'a certificate is PENDING_ACTIVATION, since its provisioning failed',
    [provisioned()],
    shows('DEVICE_CERTIFICATE_PENDING'),
    0,
  ],
  [
    'a certificate is gone, since its provisioning failed',
    [provisioned()],
    shows('DEVICE_CERTIFICATE_NOT_REGISTERED'),
    0,
  ],
  [
    'so for one that its CA registered',
    [provisioned({ certificateId: given, facts: {} })],
    shows('DEVICE_CERTIFICATE_PENDING'),
    0,
  ],
  [
    'not since another one failed',
    [provisioned({ facts: { deviceCertificateId: claim } })],
    shows('DEVICE_CERTIFICATE_PENDING'),
    undefined,
  ],
  [
    'not if it succeeded since',
    [provisioned(), provisioned({ status: 'Success' })],
    shows('DEVICE_CERTIFICATE_PENDING'),
    undefined,
  ],
  [
    'a device takes its own place after it was refused',
    [unheard(reply)],
    takenOver(`192.0.2.1 port 1 (principal ${claim})`),
    0,
  ],
  ['another device takes its place', [unheard(reply)], takenOver(`192.0.2.1 port 1 (principal ${given})`), undefined],
  ['another machine takes its place', [unheard(reply)], takenOver(`192.0.2.11 port 1 (principal ${claim})`), undefined],
  [
    'a certificate waits, since its thing could not be asked for',
    [issue, denied('iot:Publish', on('topic', provision))],
    shows('DEVICE_CERTIFICATE_PENDING'),
    1,
  ],
  [
    'not since something was wrong before it was made',
    [unheard(reply), issue],
    shows('DEVICE_CERTIFICATE_PENDING'),
    undefined,
  ],
  [
    'not since something was wrong on another connection',
    [issue, { ...denied('iot:Publish', on('topic', provision)), sourcePort: 4000 }],
    shows('DEVICE_CERTIFICATE_PENDING'),
    undefined,
  ],
  [
    'no token is sent, since a certificate may not be asked for',
    [denied('iot:Publish', on('topic', create))],
    token('missing'),
    0,
  ],
  [
    'a refusal may not be received: what was refused counts',
    [token('unknown')],
    denied('iot:Receive', on('topic', `${provision}/rejected`)),
    0,
  ],
  [
    'an answer may not be received: a cause of its own',
    [token('unknown')],
    denied('iot:Receive', on('topic', `${provision}/accepted`)),
    undefined,
  ],
  [
    'a certificate is gone, since its token came too late on another connection',
    [issue, { ...token('expired'), sourcePort: 4000 }],
    shows('DEVICE_CERTIFICATE_NOT_REGISTERED'),
    1,
  ],
  [
    'not since another client came too late',
    [issue, { ...token('expired'), sourcePort: 4000, clientId: 'dev-2' }],
    shows('DEVICE_CERTIFICATE_NOT_REGISTERED'),
    undefined,
  ],
  [
    'a certificate waits for its CA, whatever failed before',
    [provisioned({ certificateId: given })],
    { ...shows('DEVICE_CERTIFICATE_PENDING'), facts: { provisioning: 'CA_CERTIFICATE_INACTIVE' } },
    undefined,
  ],
  [
    'a certificate is being transferred, whatever failed before',
    [provisioned({ certificateId: given })],
    { ...shows('DEVICE_CERTIFICATE_PENDING'), facts: { certificateStatus: 'PENDING_TRANSFER' } },
    undefined,
  ],
];
const stored = (record: JournalRecord, sequence: number): StoredRecord =>
  storedRecord(record, { id: String(sequence), atMs: 0, sequence });
for (const [rule, earlier, last, cause] of cases) {
  test(`first cause: ${rule}`, () => {
    const before = earlier.map(stored).reverse();
    assert.equal(causeAmong(stored(last, earlier.length), before)?.id, cause === undefined ? undefined : String(cause));
  });
}

test('what happened later is no cause', () => {
  const later = stored(denied('iot:Subscribe', on('topicfilter', reply)), 2);
  assert.equal(causeAmong(stored(unheard(reply), 1), [later]), undefined);
});

test('causes are followed to the first, and answered beside what came of them; each names its own', async (t) => {
  const store = await openTestStore(t);
  await migrate(store, journalMigrations);
  const journal = await openJournal({ store, now: () => 0 });
  const told = [
    denied('iot:Subscribe', on('topicfilter', reply)),
    unheard(reply),
    { ...token('missing'), facts: { topic: provision, deviceCertificateId: given } },
    shows('DEVICE_CERTIFICATE_PENDING'),
  ];
  for (const record of told) journal.record(record);
  const ask = async (query: string) => {
    const request = { account: testAccount, development: false, apiUrl: 'http://127.0.0.1:4566' };
    const { records } = await answerJournal(journal, { query: new URLSearchParams(query), ...request });
    const at = (id: string | undefined): number => records.findIndex(({ record }) => record.id === id);
    return records.map(({ record, cause }) => [record.reason, at(cause)]);
  };
  const chain = [
    ['DEVICE_CERTIFICATE_PENDING', 1],
    ['OWNERSHIP_TOKEN_INVALID', 2],
    ['REPLY_NOT_SUBSCRIBED', 3],
    ['AUTHORIZATION_FAILURE', -1],
  ];
  assert.deepEqual(await ask('last=true'), chain);
  assert.deepEqual(await ask(`subject=${given.slice(0, 8)}`), chain, 'also by the certificate that was given');
  await journal.flush();
  assert.deepEqual(await ask(`subject=${given.slice(0, 8)}`), chain, 'from the store, too');
});
