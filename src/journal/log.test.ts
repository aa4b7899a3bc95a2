import assert from 'node:assert/strict';
import { test } from 'node:test';
import { logTimestamp, openLog } from './log.ts';
import type { JournalRecord } from './record.ts';
import { storedRecord } from './stored-record.ts';

const record = (members: Partial<JournalRecord>) =>
  storedRecord(
    {
      account: { accountId: '000000000000', region: 'us-east-1' },
      eventType: 'Connect',
      status: 'Failure',
      reason: 'DEVICE_CERTIFICATE_INACTIVE',
      certificateId: 'ab12cd34'.repeat(8),
      clientId: 'dev1\u001b[2J',
      sourceIp: '192.0.2.1',
      sourcePort: 50000,
      ...members,
    },
    { id: 'f47ac10b-58cc-4372-a567-0e02b2c3d479', atMs: Date.UTC(2026, 0, 2, 3, 4, 5, 6), sequence: 1 },
  );
const logged = (level: string, ...records: Parameters<typeof record>[0][]) => {
  const lines: string[] = [];
  const log = openLog({ level, destination: { write: (line) => lines.push(line) } });
  for (const members of records) log.attempt(record(members));
  return lines;
};

test('a timestamp has the form of AWS (spec gateway.md 8)', () => {
  assert.equal(logTimestamp(Date.UTC(2026, 0, 2, 3, 4, 5, 6)), '2026-01-02 03:04:05.006');
});

test("a refusal is one line at ERROR with AWS's field names (spec gateway.md 8)", () => {
  const [line = '', ...more] = logged('info', {});
  assert.deepEqual(more, []);
  assert.deepEqual(JSON.parse(line), {
    logLevel: 'ERROR',
    timestamp: '2026-01-02 03:04:05.006',
    traceId: 'f47ac10b-58cc-4372-a567-0e02b2c3d479',
    accountId: '000000000000',
    status: 'Failure',
    eventType: 'Connect',
    protocol: 'MQTT',
    clientId: 'dev1\\u001b[2J',
    principalId: 'ab12cd34'.repeat(8),
    sourceIp: '192.0.2.1',
    sourcePort: 50000,
    reason: 'DEVICE_CERTIFICATE_INACTIVE',
    details:
      'The client "dev1\\u001b[2J" showed the certificate ab12cd34, which is registered in account 000000000000, region us-east-1, but INACTIVE.',
  });
});

test('an authentication error names the authentication type and the host that was asked for', () => {
  const [line = ''] = logged('error', {
    eventType: 'Connection.AuthNError',
    reason: 'SNI_MISUSED',
    tls: { serverName: 'x' },
  });
  const { authenticationType, serverNameIndication } = JSON.parse(line);
  assert.deepEqual([authenticationType, serverNameIndication], ['AWS_X509', 'x']);
});

test('a topic is named without its ARN, and a closed connection with its disconnectReason', () => {
  const [publish = '', closed = ''] = logged(
    'info',
    { eventType: 'Publish-In', resource: 'arn:aws:iot:us-east-1:000000000000:topic/a/b:c' },
    { eventType: 'Disconnect', reason: 'DUPLICATE_CLIENT_ID' },
  );
  assert.equal(JSON.parse(publish).topicName, 'a/b:c');
  assert.equal(JSON.parse(closed).disconnectReason, 'DUPLICATE_CLIENT_ID');
});

test('a success is INFO, and levels are cumulative', () => {
  assert.equal(JSON.parse(logged('info', { status: 'Success' })[0] ?? '').logLevel, 'INFO');
  assert.deepEqual(logged('error', { status: 'Success' }), []);
  assert.deepEqual(logged('silent', {}), []);
});

test('what is no attempt is logged in the same form', () => {
  const lines: string[] = [];
  openLog({ level: 'debug', destination: { write: (line) => lines.push(line) } }).server.warn('the disk is full');
  const { logLevel, timestamp, details } = JSON.parse(lines[0] ?? '');
  assert.deepEqual([logLevel, details], ['WARN', 'the disk is full']);
  assert.match(timestamp, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}$/);
});
