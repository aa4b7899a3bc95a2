/** What is said of a client id that was taken over. Source: issue "Provisioning", acceptance 1: a stolen claim shows, naming both peers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explainTakenOver } from './explain-takeover.ts';
import type { StoredRecord } from './stored-record.ts';

const [first, second] = ['a'.repeat(64), 'b'.repeat(64)];
const explained = (record: Pick<StoredRecord, 'facts' | 'certificateId'>) =>
  explainTakenOver('The client "1"', { sourceIp: '192.0.2.1', sourcePort: 1000, ...record });

test('a device that is there twice is told of with both connections, and to have a client id of its own', () => {
  const { sentence, cure } = explained({
    certificateId: first,
    facts: { successor: `192.0.2.2 port 2000 (principal ${first})` },
  });
  assert.equal(
    sentence,
    `The client "1" was disconnected because a new connection used the same client id: 192.0.2.2 port 2000 (principal ${first}) took it from 192.0.2.1 port 1000 (principal ${first}).`,
  );
  assert.equal(cure, 'Give every device a client id of its own.');
});

test('another certificate may be a stolen claim, or one that was got by it', () => {
  const facts = { successor: `192.0.2.2 port 2000 (principal ${second})` };
  for (const certificateId of [first, undefined]) {
    const { cure } = explained({ ...(certificateId !== undefined && { certificateId }), facts });
    assert.match(
      cure,
      /^Give every .* the certificate bbbbbbbb is in no device of yours, it is a stolen claim, or was got by one: set it/,
    );
  }
});

test('a taker that has no certificate, or is not known, is told of as such', () => {
  const { sentence, cure } = explained({
    certificateId: first,
    facts: { successor: 'x port 1 (principal 000000000000)' },
  });
  assert.match(sentence, /x port 1 \(principal 000000000000\) took it from/);
  assert.equal(cure, 'Give every device a client id of its own.');
  assert.match(explained({}).sentence, /used the same client id\.$/);
});
