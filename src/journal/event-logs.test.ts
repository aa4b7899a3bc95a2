import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createEventLogs,
  type LogLevels,
  type LogThreshold,
  logTextCharactersMax,
  strangerEventsPerSecondMax,
  targetKey,
} from './event-logs.ts';
import type { LogEntry } from './log-event.ts';

const account = { accountId: '000000000000', region: 'us-east-1' };
const other = { accountId: '111111111111', region: 'us-east-1' };
const traceId = '00000000-0000-4000-8000-000000000001';

const levels = (byDefault: LogThreshold, more: Partial<LogLevels> = {}): LogLevels => ({
  byDefault,
  byEventType: new Map(),
  byTarget: new Map(),
  ...more,
});
const open = (ofAccount?: LogLevels) => {
  const lines: string[] = [];
  const clock = { nowMs: Date.UTC(2026, 0, 2, 3, 4, 5, 6) };
  const logs = createEventLogs({
    write: (to, line) => {
      assert.deepEqual(to, account);
      lines.push(line);
    },
    now: () => clock.nowMs,
    newId: () => traceId,
  });
  if (ofAccount) logs.setLevels(account, ofAccount);
  return { logs, lines, clock };
};
const connect: LogEntry = { eventType: 'Connect', status: 'Success', protocol: 'MQTT' };

test('an event has the common fields and those of its type, in the form of AWS (gateway.md 8)', () => {
  const { logs, lines } = open(levels('INFO'));
  logs.log(account, {
    ...connect,
    eventType: 'Publish-In',
    clientId: 'dev1',
    principalId: 'p',
    sourceIp: '10.0.0.1',
    sourcePort: 1234,
    topicName: 'a/b',
    more: { retain: 'True' },
  });
  assert.deepEqual(lines, [
    '{"timestamp":"2026-01-02 03:04:05.006","logLevel":"INFO",' +
      `"traceId":"${traceId}","accountId":"000000000000","status":"Success","eventType":"Publish-In","protocol":"MQTT",` +
      '"clientId":"dev1","principalId":"p","sourceIp":"10.0.0.1","sourcePort":1234,"topicName":"a/b","retain":"True"}',
  ]);
});

test('an account without levels, and one of another account, writes nothing', () => {
  const { logs, lines } = open(levels('DEBUG'));
  logs.log(other, connect);
  logs.attempt({ account: other, eventType: 'Connect', status: 'Failure' });
  logs.attempt({ eventType: 'Connect', status: 'Failure' });
  logs.setLevels(account, undefined);
  logs.log(account, connect);
  assert.deepEqual(lines, []);
});

const cumulative: [threshold: LogThreshold, written: string][] = [
  ['DISABLED', ''],
  ['ERROR', 'ERROR'],
  ['WARN', 'WARN ERROR'],
  ['INFO', 'INFO WARN ERROR'],
  ['DEBUG', 'DEBUG INFO WARN ERROR'],
];
for (const [threshold, written] of cumulative) {
  test(`levels are cumulative: ${threshold} writes ${written || 'nothing'} (gateway.md 8)`, () => {
    const { logs, lines } = open(levels(threshold));
    for (const logLevel of ['DEBUG', 'INFO', 'WARN', 'ERROR'] as const) logs.log(account, { ...connect, logLevel });
    assert.equal(lines.map((line) => JSON.parse(line).logLevel).join(' '), written);
  });
}

const precedence: [name: string, of: LogLevels, entry: Partial<LogEntry>, written: boolean][] = [
  ['the level of an event type', levels('DISABLED', { byEventType: new Map([['Connect', 'INFO']]) }), {}, true],
  ['only of that type', levels('DISABLED', { byEventType: new Map([['Disconnect', 'INFO']]) }), {}, false],
  [
    'that of a target',
    levels('ERROR', { byTarget: new Map([[targetKey('CLIENT_ID', 'd'), 'INFO']]) }),
    { clientId: 'd' },
    true,
  ],
  [
    'that of a target, before its event type',
    levels('INFO', {
      byEventType: new Map([['Connect', 'INFO']]),
      byTarget: new Map([[targetKey('SOURCE_IP', '::1'), 'DISABLED']]),
    }),
    { sourceIp: '::1' },
    false,
  ],
  [
    'the one that writes most, of several targets',
    levels('ERROR', {
      byTarget: new Map([
        [targetKey('PRINCIPAL_ID', 'p'), 'INFO'],
        [targetKey('CLIENT_ID', 'd'), 'DISABLED'],
      ]),
    }),
    { clientId: 'd', principalId: 'p' },
    true,
  ],
  [
    'a name of another kind is no target',
    levels('ERROR', { byTarget: new Map([[targetKey('CLIENT_ID', 'p'), 'INFO']]) }),
    { principalId: 'p' },
    false,
  ],
  ['Ping is off', levels('DEBUG'), { eventType: 'Ping' }, false],
  [
    'Ping is off for targets too',
    levels('DEBUG', { byTarget: new Map([[targetKey('CLIENT_ID', 'd'), 'DEBUG']]) }),
    { eventType: 'Ping', clientId: 'd' },
    false,
  ],
  [
    'Ping, when it is named',
    levels('ERROR', { byEventType: new Map([['Ping', 'DEBUG']]) }),
    { eventType: 'Ping' },
    true,
  ],
  ['a Ping is DEBUG', levels('ERROR', { byEventType: new Map([['Ping', 'INFO']]) }), { eventType: 'Ping' }, false],
];
for (const [name, ofAccount, entry, written] of precedence) {
  test(`which level decides: ${name}`, () => {
    const { logs, lines } = open(ofAccount);
    logs.log(account, { ...connect, ...entry });
    assert.equal(lines.length, written ? 1 : 0);
  });
}

test("Connection.AuthNError is written when it is named, with the journal's sentence and the server name", () => {
  const { logs, lines } = open(levels('DEBUG'));
  const refused = {
    account,
    eventType: 'Connection.AuthNError',
    status: 'Failure',
    reason: 'DEVICE_CERTIFICATE_INACTIVE',
    certificateId: 'c',
    tls: { serverName: 'localhost' },
  } as const;
  logs.attempt(refused);
  assert.deepEqual(lines, []);
  logs.setLevels(account, levels('DISABLED', { byEventType: new Map([['Connection.AuthNError', 'ERROR']]) }));
  logs.attempt(refused);
  const { logLevel, reason, authenticationType, serverNameIndication, details } = JSON.parse(lines[0] ?? '');
  assert.deepEqual(
    [logLevel, reason, authenticationType, serverNameIndication],
    ['ERROR', 'DEVICE_CERTIFICATE_INACTIVE', 'AWS_X509', 'localhost'],
  );
  assert.match(details, /INACTIVE/);
});

test('a denied publish becomes an ERROR with the topic, the reason and a sentence; a Disconnect is told elsewhere', () => {
  const { logs, lines } = open(levels('ERROR'));
  logs.attempt({
    account,
    eventType: 'Publish-In',
    status: 'Failure',
    reason: 'AUTHORIZATION_FAILURE',
    action: 'iot:Publish',
    resource: 'arn:aws:iot:us-east-1:000000000000:topic/a/b',
    clientId: 'dev1',
  });
  logs.attempt({ account, eventType: 'Disconnect', status: 'Failure' });
  assert.equal(lines.length, 1);
  const { topicName, reason, details } = JSON.parse(lines[0] ?? '');
  assert.deepEqual([topicName, reason], ['a/b', 'AUTHORIZATION_FAILURE']);
  assert.match(details, /iot:Publish/);
});

test('strangers write so many events a second and no more; what they lost is told, and nobody else loses any', () => {
  const { logs, lines, clock } = open(levels('INFO', { byEventType: new Map([['Connection.AuthNError', 'ERROR']]) }));
  const refused = {
    account,
    eventType: 'Connection.AuthNError',
    status: 'Failure',
    reason: 'NOT_AUTHENTICATED',
  } as const;
  for (let i = 0; i < strangerEventsPerSecondMax + 3; i++) logs.attempt(refused);
  assert.equal(lines.length, strangerEventsPerSecondMax);
  logs.attempt({ ...refused, eventType: 'Publish-In', reason: 'AUTHORIZATION_FAILURE' });
  assert.equal(lines.length, strangerEventsPerSecondMax + 1);
  clock.nowMs += 1000;
  logs.attempt(refused);
  const [told, next] = lines.slice(-2).map((line) => JSON.parse(line));
  assert.deepEqual(
    [told.eventType, told.details],
    ['LogEventsDropped', '3 log events were dropped: strangerEventsPerSecondMax'],
  );
  assert.equal(next.eventType, 'Connection.AuthNError');
});

test('foreign text is cut, and cannot move a cursor', () => {
  const { logs, lines } = open(levels('INFO'));
  logs.log(account, { ...connect, clientId: '\u001b[2J\u202e\n', topicName: 'x'.repeat(logTextCharactersMax + 1) });
  assert.match(lines[0] ?? '', /^[ -~]*$/);
  const { clientId, topicName } = JSON.parse(lines[0] ?? '');
  assert.deepEqual([clientId, topicName.length], ['\u001b[2J\u202e\n', logTextCharactersMax + 3]);
});

test('traffic is wanted only by levels that write some of it; each change moves the revision', () => {
  const { logs } = open(levels('ERROR', { byTarget: new Map([[targetKey('CLIENT_ID', 'd'), 'INFO']]) }));
  assert.equal(logs.wantsTraffic(account, {}), false);
  assert.equal(logs.wantsTraffic(account, { clientId: 'd' }), true);
  assert.equal(logs.wantsTraffic(other, { clientId: 'd' }), false);
  const before = logs.revision;
  logs.setLevels(account, levels('DISABLED', { byEventType: new Map([['Ping', 'DEBUG']]) }));
  assert.notEqual(logs.revision, before);
  assert.equal(logs.wantsTraffic(account, {}), true);
});
