import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accountA, createBed, type RawClient } from '../../test/mqtt-bed.ts';
import { createEventLogs, type LogLevels, targetKey } from '../journal/event-logs.ts';
import { TrafficLog } from './traffic-log.ts';

const levels = (byDefault: LogLevels['byDefault'], more: Partial<LogLevels> = {}): LogLevels => ({
  byDefault,
  byEventType: new Map(),
  byTarget: new Map(),
  ...more,
});

/** A broker whose log events are kept as objects. */
const createLoggedBed = () => {
  const events: Record<string, unknown>[] = [];
  let asked = 0;
  const logs = createEventLogs({
    write: (_account, line) => events.push(JSON.parse(line)),
    now: () => 0,
    newId: () => 'trace',
  });
  const counting = {
    get revision() {
      return logs.revision;
    },
    wantsTraffic: (...of: Parameters<typeof logs.wantsTraffic>) => {
      asked++;
      return logs.wantsTraffic(...of);
    },
    log: logs.log,
    attempt: logs.attempt,
  };
  const bed = createBed({ logs: counting });
  return { bed, logs, events, asked: () => asked };
};

const subscribe = async (client: RawClient, ...topics: string[]): Promise<void> => {
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: topics.map((topic) => ({ topic, qos: 0 as const })) });
  await client.settled();
};
const publish = async (client: RawClient, topic: string): Promise<void> => {
  client.send({ cmd: 'publish', topic, payload: 'x', qos: 0, dup: false, retain: false });
  await client.settled();
};

test('what one message and its way cause: Publish-In, Publish-Out, Subscribe, Unsubscribe, Disconnect (gateway.md 8)', async () => {
  const { bed, logs, events } = createLoggedBed();
  logs.setLevels(accountA, levels('INFO'));
  const receiver = await bed.connect(5, 'receiver');
  const sender = await bed.connect(4, 'sender');
  await subscribe(receiver, 'a', '$share/g/b');
  await publish(sender, 'a');
  await receiver.settled();
  receiver.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['a'] });
  await receiver.settled();
  receiver.send({ cmd: 'disconnect' });
  await receiver.closed();
  const told = events.map(({ timestamp, traceId, accountId, protocol, sourceIp, sourcePort, ...rest }) => {
    assert.deepEqual([accountId, protocol, sourceIp, sourcePort], ['000000000000', 'MQTT', '127.0.0.1', 50_000]);
    return rest;
  });
  const common = { logLevel: 'INFO', status: 'Success', principalId: 'all' };
  assert.deepEqual(told, [
    { ...common, eventType: 'Subscribe', clientId: 'receiver', topicName: 'a,$share/g/b', topics: ['a', '$share/g/b'] },
    { ...common, eventType: 'Publish-In', clientId: 'sender', topicName: 'a' },
    { ...common, eventType: 'Publish-Out', clientId: 'receiver', topicName: 'a' },
    { ...common, eventType: 'Unsubscribe', clientId: 'receiver', topicName: 'a', topics: ['a'] },
    {
      ...common,
      eventType: 'Disconnect',
      clientId: 'receiver',
      disconnectReason: 'CLIENT_INITIATED_DISCONNECT',
    },
  ]);
});

test('a takeover is an ERROR that names both peers (gateway.md 5.4; issue: DUPLICATE_CLIENT_ID naming both peers)', async () => {
  const { bed, logs, events } = createLoggedBed();
  logs.setLevels(accountA, levels('ERROR'));
  bed.principal('p2');
  const former = await bed.connect(5, 'X');
  await bed.connect(5, 'X', {}, 'p2');
  await former.closed();
  assert.deepEqual(
    events.map(({ eventType, logLevel, status, reason, disconnectReason, principalId, details }) => [
      eventType,
      logLevel,
      status,
      reason,
      disconnectReason,
      principalId,
      details,
    ]),
    [
      [
        'Disconnect',
        'ERROR',
        'Failure',
        'DUPLICATE_CLIENT_ID',
        'DUPLICATE_CLIENTID',
        'all',
        'A new connection was established with the same client ID: 127.0.0.1 port 50000 (principal p2) took it from 127.0.0.1 port 50000 (principal all)',
      ],
    ],
  );
});

test('levels act on live connections at their next packet, for one client if they name one', async () => {
  const { bed, logs, events } = createLoggedBed();
  const [one, two] = [await bed.connect(4, 'one'), await bed.connect(4, 'two')];
  await publish(one, 't');
  assert.deepEqual(events, []);
  logs.setLevels(accountA, levels('ERROR', { byTarget: new Map([[targetKey('CLIENT_ID', 'one'), 'INFO']]) }));
  for (const client of [one, two]) await publish(client, 't');
  assert.deepEqual(
    events.map(({ clientId, eventType }) => [clientId, eventType]),
    [['one', 'Publish-In']],
  );
  logs.setLevels(accountA, undefined);
  await publish(one, 't');
  assert.equal(events.length, 1);
});

test('a Ping is written when the event configurations name it, with its times', async () => {
  const { bed, logs, events } = createLoggedBed();
  const client = await bed.connect(4, 'one');
  logs.setLevels(accountA, levels('DEBUG'));
  await client.settled();
  assert.equal(events.length, 0);
  logs.setLevels(accountA, levels('DISABLED', { byEventType: new Map([['Ping', 'DEBUG']]) }));
  await client.settled();
  const [ping] = events;
  assert.deepEqual(
    [ping?.eventType, ping?.logLevel, ping?.latency, ping?.requestTimestamp, ping?.responseTimestamp],
    ['Ping', 'DEBUG', 0, bed.clock.nowMs, bed.clock.nowMs],
  );
});

test('while nothing is wanted a connection asks once per change of the levels, not per packet', async () => {
  const { bed, logs, asked } = createLoggedBed();
  const client = await bed.connect(4, 'one');
  for (let round = 0; round < 5; round++) await publish(client, 't');
  const first = asked();
  assert.equal(first, 1);
  logs.setLevels(accountA, levels('ERROR'));
  for (let round = 0; round < 5; round++) await publish(client, 't');
  assert.equal(asked(), first + 1);
});

test('the log of an offline session is asked the same way', () => {
  const { logs, events } = createLoggedBed();
  const log = new TrafficLog(logs, { account: accountA, clientId: 'away' });
  log.write({ eventType: 'Queued', topicName: 't', more: { qos: 1 } });
  assert.equal(log.quietAt, logs.revision);
  logs.setLevels(accountA, levels('INFO'));
  assert.notEqual(log.quietAt, logs.revision);
  log.write({ eventType: 'Queued', topicName: 't', more: { qos: 1 } });
  assert.deepEqual([events[0]?.eventType, events[0]?.clientId, events[0]?.qos], ['Queued', 'away', 1]);
});
