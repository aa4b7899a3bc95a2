import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accountB, type Bed, createBed, type RawClient } from '../../test/mqtt-bed.ts';
import { versionKeptMs } from './version-numbers.ts';

const subscribe = async (client: RawClient, topic: string, qos: 0 | 1): Promise<void> => {
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos }] });
  await client.settled();
};

test('an accepted CONNECT and a failed end keep what was attached, for a cure that must bring it back (design.md 4)', async (t) => {
  const bed = createBed();
  t.after(() => bed.broker.close(0));
  const rights = bed.principal('sensor');
  const client = await bed.connect(5, 'sensor-1', {}, 'sensor');
  rights.lose('CERTIFICATE_NO_LONGER_ACTIVE');
  await client.closed();
  assert.deepEqual(
    bed.records.map(({ eventType, status, reason, facts }) => [eventType, status, reason, facts]),
    [
      ['Connect', 'Success', undefined, { certificateId: 'sensor' }],
      ['Disconnect', 'Failure', 'CERTIFICATE_NO_LONGER_ACTIVE', { certificateId: 'sensor' }],
    ],
  );
});

/** A client that receives every life-cycle event; `events` takes what has come so far, each with its topic. */
const watch = async (bed: Bed) => {
  const watcher = await bed.connect(5, 'watcher+');
  await subscribe(watcher, '$aws/events/#', 1);
  const events = async () =>
    (await watcher.settled()).flatMap((packet) => {
      if (packet.cmd !== 'publish') return [];
      if (packet.messageId) watcher.send({ cmd: 'puback', messageId: packet.messageId });
      const { topic, qos, payload } = packet;
      const event: Record<string, unknown> = { topic, qos, ...JSON.parse(String(payload)) };
      return [event];
    });
  assert.deepEqual(await events(), [], 'check 40: nothing about a client id with + in it');
  return { watcher, events };
};

test('connected and disconnected carry the fields of gateway.md 7, one version number and one session', async () => {
  const bed = createBed();
  const { events } = await watch(bed);
  const device = await bed.connect(4, 'dev1');
  const [connected] = await events();
  const sessionIdentifier = connected?.sessionIdentifier;
  assert.match(String(sessionIdentifier), /^[0-9a-f-]{36}$/);
  assert.deepEqual(connected, {
    topic: '$aws/events/presence/connected/dev1',
    qos: 1,
    clientId: 'dev1',
    timestamp: bed.clock.nowMs,
    eventType: 'connected',
    sessionIdentifier,
    principalIdentifier: 'all',
    ipAddress: '127.0.0.1',
    versionNumber: 0,
  });
  device.send({ cmd: 'disconnect' });
  await device.closed();
  assert.deepEqual(await events(), [
    {
      topic: '$aws/events/presence/disconnected/dev1',
      qos: 1,
      clientId: 'dev1',
      timestamp: bed.clock.nowMs,
      eventType: 'disconnected',
      sessionIdentifier,
      principalIdentifier: 'all',
      clientInitiatedDisconnect: true,
      disconnectReason: 'CLIENT_INITIATED_DISCONNECT',
      versionNumber: 0,
    },
  ]);
  const again = await bed.connect(4, 'dev1');
  again.socket.destroy();
  await again.closed();
  const [second] = await events();
  let lost: Record<string, unknown> | undefined;
  while (lost === undefined) [lost] = await events();
  assert.equal(second?.versionNumber, 1);
  assert.deepEqual([lost?.versionNumber, lost?.disconnectReason], [1, 'CONNECTION_LOST']);
  assert.equal(lost?.clientInitiatedDisconnect, false);
  bed.advance(versionKeptMs);
  const { events: eventsLater } = await watch(bed);
  await bed.connect(4, 'dev1');
  assert.equal((await eventsLater())[0]?.versionNumber, 0, 'an hour after the last disconnect it begins again');
});

test('check 19: who takes a client id over ends the former connection as DUPLICATE_CLIENTID, its will is published', async () => {
  const bed = createBed();
  const { watcher, events } = await watch(bed);
  await subscribe(watcher, 'will', 0);
  const will = { topic: 'will', payload: Buffer.from('{}'), qos: 0 as const, retain: false };
  const former = await bed.connect(5, 'X', { will });
  await events();
  await bed.connect(5, 'X');
  const [goodbye] = await former.closed();
  assert.equal(goodbye?.cmd === 'disconnect' && goodbye.reasonCode, 0x8e);
  const all = await events();
  assert.deepEqual(
    all.map(({ topic, disconnectReason, versionNumber }) => [topic, disconnectReason, versionNumber]).sort(),
    [
      ['$aws/events/presence/connected/X', undefined, 1],
      ['$aws/events/presence/disconnected/X', 'DUPLICATE_CLIENTID', 0],
      ['will', undefined, undefined],
    ],
  );
});

test('check 39: a denied iot:Connect or a will that may not be published is a connect_failed event without a session', async () => {
  const bed = createBed();
  const { events } = await watch(bed);
  bed.principal('nobody', []);
  bed.principal('no-will', [['iot:Connect', '*']]);
  const denied = bed.dial(4, 'nobody');
  denied.send({ cmd: 'connect', clientId: 'dev1', protocolVersion: 4, clean: true, keepalive: 60 });
  await denied.closed();
  const expected = {
    topic: '$aws/events/presence/connect_failed/dev1',
    qos: 1,
    clientId: 'dev1',
    timestamp: bed.clock.nowMs,
    eventType: 'connect_failed',
    sessionIdentifier: '00000000-0000-0000-0000-000000000000',
    principalIdentifier: 'nobody',
    connectFailureReason: 'AUTHORIZATION_FAILED',
    ipAddress: '127.0.0.1',
  };
  assert.deepEqual(await events(), [expected]);
  const will = { topic: 't', payload: Buffer.alloc(0), qos: 0 as const, retain: false };
  const willing = bed.dial(5, 'no-will');
  willing.send({ cmd: 'connect', clientId: 'dev1', protocolVersion: 5, clean: true, keepalive: 60, will });
  await willing.closed();
  assert.deepEqual(await events(), [{ ...expected, principalIdentifier: 'no-will' }]);
  const stranger = bed.dial(5, 'unknown');
  stranger.send({ cmd: 'connect', clientId: 'dev1', protocolVersion: 5, clean: true, keepalive: 60 });
  await stranger.closed();
  assert.deepEqual(await events(), [], 'not for failures of authentication');
});

test('subscribed lists the granted filters of one packet, unsubscribed those that were subscribed (gateway.md 7)', async () => {
  const bed = createBed();
  const { events } = await watch(bed);
  bed.principal('part', [
    ['iot:Connect', '*'],
    ['iot:Subscribe', 'topicfilter/a*'],
  ]);
  const device = await bed.connect(5, 'dev1', {}, 'part');
  const [connected] = await events();
  device.send({
    cmd: 'subscribe',
    messageId: 1,
    subscriptions: ['a', 'b', '$share/g/a/#'].map((topic) => ({ topic, qos: 1 })),
  });
  await device.settled();
  device.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['a', 'never'] });
  await device.settled();
  device.send({ cmd: 'unsubscribe', messageId: 3, unsubscriptions: ['never'] });
  await device.settled();
  const common = {
    qos: 1,
    clientId: 'dev1',
    timestamp: bed.clock.nowMs,
    sessionIdentifier: connected?.sessionIdentifier,
    principalIdentifier: 'part',
  };
  assert.deepEqual(await events(), [
    {
      topic: '$aws/events/subscriptions/subscribed/dev1',
      eventType: 'subscribed',
      ...common,
      topics: ['a', '$share/g/a/#'],
    },
    { topic: '$aws/events/subscriptions/unsubscribed/dev1', eventType: 'unsubscribed', ...common, topics: ['a'] },
  ]);
});

test('check 40: client ids with + or # in them have no events; one with / has, on more levels', async () => {
  const bed = createBed();
  const { events } = await watch(bed);
  for (const clientId of ['a+b', 'a#', 'a/b']) {
    const device = await bed.connect(5, clientId);
    await subscribe(device, 't', 0);
    device.send({ cmd: 'disconnect' });
    await device.closed();
  }
  assert.deepEqual(
    (await events()).map(({ topic }) => topic),
    [
      '$aws/events/presence/connected/a/b',
      '$aws/events/subscriptions/subscribed/a/b',
      '$aws/events/presence/disconnected/a/b',
    ],
  );
});

test('thingName is told of a principal that is attached exclusively, and of no other (gateway.md 7)', async () => {
  const bed = createBed();
  const { events } = await watch(bed);
  bed.principal('sensor').facts = { thingName: 'other', exclusiveThingName: 'thing-1' };
  bed.principal('shared').facts = { thingName: 'other' };
  await bed.connect(5, 'dev1', {}, 'sensor');
  await bed.connect(5, 'dev2', {}, 'shared');
  assert.deepEqual(
    (await events()).map(({ clientId, thingName }) => [clientId, thingName]),
    [
      ['dev1', 'thing-1'],
      ['dev2', undefined],
    ],
  );
});

test('an event that nobody receives is not built, and one account never hears of another', async () => {
  const bed = createBed();
  const { events } = await watch(bed);
  let asked = 0;
  const rights = bed.principal('foreign', [['*', '*']], accountB);
  Object.defineProperty(rights, 'facts', { get: () => ++asked && {} });
  const device = await bed.connect(5, 'dev1', {}, 'foreign');
  const askedByRecords = asked;
  await subscribe(device, 't', 0);
  assert.equal(asked, askedByRecords);
  assert.deepEqual(await events(), []);
});

test('an event reaches only those whose policy lets them receive it', async () => {
  const bed = createBed();
  bed.principal('deaf', [
    ['iot:Connect', '*'],
    ['iot:Subscribe', '*'],
    ['iot:Receive', 'topic/$aws/events/presence/connected/*'],
  ]);
  const watcher = await bed.connect(5, 'watcher+', {}, 'deaf');
  await subscribe(watcher, '$aws/events/presence/#', 0);
  const device = await bed.connect(5, 'dev1');
  device.send({ cmd: 'disconnect' });
  await device.closed();
  assert.deepEqual(
    (await watcher.settled()).map((packet) => packet.cmd === 'publish' && packet.topic),
    ['$aws/events/presence/connected/dev1'],
  );
});
