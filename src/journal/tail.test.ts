import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JournalRecord } from './record.ts';
import { createTail, repeatWindowMs, type Tail, tailRecordsMax, tailRecordsPerSourceMax } from './tail.ts';

const refused = (members: Partial<JournalRecord>): JournalRecord => ({
  eventType: 'Connect',
  status: 'Failure',
  reason: 'AUTHORIZATION_FAILURE',
  sourceIp: '192.0.2.1',
  ...members,
});
let sequence = 0;
const add = (tail: Tail, members: Partial<JournalRecord>, atMs = 0): void => {
  sequence += 1;
  tail.add(refused(members), { id: `id-${sequence}`, atMs, sequence });
};
const records = (tail: Tail) => [...tail.entries()].map(({ record }) => record);

test('the same again within the window is counted, not appended', () => {
  const tail = createTail();
  add(tail, { clientId: 'a' }, 0);
  add(tail, { clientId: 'a', sourcePort: 9 }, repeatWindowMs);
  const [only, ...more] = records(tail);
  assert.deepEqual(more, []);
  assert.deepEqual([only?.repeats, only?.atMs, only?.lastAtMs], [1, 0, repeatWindowMs]);
});

test('a repeat brings the newest facts: what is cured is the last refusal, not the first', () => {
  const tail = createTail();
  add(tail, { facts: { policyNames: 'Old' }, decision: 'IMPLICIT_DENY' });
  add(tail, { facts: { policyNames: 'New' }, decision: 'EXPLICIT_DENY' });
  const [only] = records(tail);
  assert.deepEqual([only?.repeats, only?.facts, only?.decision], [1, { policyNames: 'New' }, 'EXPLICIT_DENY']);
});

test('the same again after the window is a record of its own', () => {
  const tail = createTail();
  add(tail, { clientId: 'a' }, 0);
  for (const entry of tail.entries()) entry.dirty = false;
  add(tail, { clientId: 'a' }, repeatWindowMs + 1);
  assert.deepEqual(
    records(tail).map(({ atMs, repeats }) => [atMs, repeats]),
    [[repeatWindowMs + 1, 0]],
  );
  assert.equal(tail.dropped, 0);
});

const account = { accountId: '000000000000', region: 'us-east-1' };
const differences: [what: string, members: Partial<JournalRecord>][] = [
  ['account', { account }],
  ['region', { account: { ...account, region: 'eu-west-1' } }],
  ['reason', { reason: 'CLIENT_ERROR' }],
  ['certificate', { certificateId: 'f'.repeat(64) }],
  ['client id', { clientId: 'b' }],
  ['action', { action: 'iot:Publish' }],
  ['resource', { resource: 'arn:x' }],
  ['source', { sourceIp: '192.0.2.2' }],
  ['host asked for', { tls: { serverName: 'x' } }],
];
for (const [what, members] of differences) {
  test(`another ${what} is no repeat`, () => {
    const tail = createTail();
    add(tail, {});
    add(tail, members);
    assert.equal(records(tail).length, 2);
  });
}

test('a flood from one source stays within its share and takes no record of another', () => {
  const tail = createTail();
  add(tail, { clientId: 'victim', sourceIp: '198.51.100.7' });
  for (let i = 0; i < 20_000; i++) add(tail, { clientId: `flood-${i}`, sourceIp: '192.0.2.1' });
  const kept = records(tail);
  assert.equal(kept.length, tailRecordsPerSourceMax + 1);
  assert.equal(kept[0]?.clientId, 'victim');
  assert.equal(kept.at(-1)?.clientId, 'flood-19999');
  assert.equal(tail.dropped, 20_000 - tailRecordsPerSourceMax);
});

test('a flood from one IPv6 network is one source', () => {
  const tail = createTail();
  for (let i = 0; i < 1000; i++) add(tail, { sourceIp: `2001:db8::${(i + 1).toString(16)}`, clientId: `c${i}` });
  assert.equal(records(tail).length, tailRecordsPerSourceMax);
});

test('a flood from many sources fills the bound and no more; the source with most records gives up first', () => {
  const tail = createTail();
  add(tail, { clientId: 'victim', sourceIp: '198.51.100.7' });
  for (let i = 0; i < 5000; i++) add(tail, { clientId: `c${i}`, sourceIp: `10.0.0.${i % 100}` });
  const kept = records(tail);
  assert.equal(kept.length, tailRecordsMax);
  assert.ok(kept.some(({ clientId }) => clientId === 'victim'));
});
