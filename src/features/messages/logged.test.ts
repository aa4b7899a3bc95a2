import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeCall, testAccount } from '../../../test/call.ts';
import { createBed, openBedStore } from '../../../test/mqtt-bed.ts';
import { createEventLogs } from '../../journal/event-logs.ts';
import { messages } from './feature.ts';

test('what a call did is a log event of protocol HTTP with its caller, a refusal an ERROR (gateway.md 8)', async (t) => {
  const events: Record<string, unknown>[] = [];
  const logs = createEventLogs({
    write: (_account, line) => events.push(JSON.parse(line)),
    now: () => 0,
    newId: () => 'trace',
  });
  const bed = createBed({ store: await openBedStore(t) });
  t.after(() => bed.broker.close(0));
  const { call } = await makeCall(t, { features: [], broker: bed.broker, logs });
  const { Publish, GetConnection, DeleteConnection } = messages().operations?.['iot-data'] ?? {};
  assert(Publish && GetConnection && DeleteConnection);
  await Publish({ topic: 'a/b' }, call);
  assert.equal(events.length, 0, 'nothing is written before levels are set');

  logs.setLevels(testAccount, { byDefault: 'INFO', byEventType: new Map(), byTarget: new Map() });
  await bed.connect(5, 'dev1');
  await Publish({ topic: 'a/b', retain: true }, call);
  await GetConnection({ clientId: 'dev1' }, call);
  await assert.rejects(DeleteConnection({ clientId: 'dev2' }, call));
  assert.deepEqual(
    events.map(({ eventType, protocol, status, logLevel, clientId, topicName, retain, principalId }) => [
      [eventType, protocol, status, logLevel],
      [clientId, topicName, retain, principalId],
    ]),
    [
      [
        ['Publish-In', 'HTTP', 'Success', 'INFO'],
        [undefined, 'a/b', 'True', testAccount.accountId],
      ],
      [
        ['GetConnection', 'HTTP', 'Success', 'INFO'],
        ['dev1', undefined, undefined, testAccount.accountId],
      ],
      [
        ['DeleteConnection', 'HTTP', 'Failure', 'ERROR'],
        ['dev2', undefined, undefined, undefined],
      ],
    ],
  );
});
