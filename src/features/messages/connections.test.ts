import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { makeCall, otherAccount } from '../../../test/call.ts';
import { createBed } from '../../../test/mqtt-bed.ts';
import { Fault } from '../../aws/fault.ts';
import { deleteConnection, getConnection, listSubscriptions } from './connections.ts';
import { createSendDirectMessage } from './send-direct-message.ts';

const setUp = async (t: TestContext) => {
  const bed = createBed();
  t.after(() => bed.broker.close(0));
  return { ...(await makeCall(t, { features: [], broker: bed.broker })), bed };
};

const isFault = (name: string) => (error: unknown) => error instanceof Fault && error.name === name;
const operations = { getConnection, listSubscriptions, deleteConnection };

for (const [name, operation] of Object.entries(operations)) {
  test(`${name} of a client id that nobody holds, or that another account holds, is 404 and in the journal (spec gateway.md 4)`, async (t) => {
    const { bed, call, callAs, records } = await setUp(t);
    await bed.connect(4, 'theirs');
    await assert.rejects(operation({ clientId: 'nobody' }, call), isFault('ResourceNotFoundException'));
    await assert.rejects(operation({ clientId: 'theirs' }, callAs(otherAccount)), isFault('ResourceNotFoundException'));
    assert.deepEqual(
      records.map(({ reason, facts }) => [reason, facts?.['clientId']]),
      [
        ['CLIENT_NOT_CONNECTED', 'nobody'],
        ['CLIENT_NOT_CONNECTED', 'theirs'],
      ],
    );
    await getConnection({ clientId: 'theirs' }, call);
  });

  test(`${name} asks for its own action on the client (spec policy.md 3)`, async (t) => {
    const { bed, callAs, records } = await setUp(t);
    await bed.connect(4, 'mine');
    const action = `iot:${name.charAt(0).toUpperCase()}${name.slice(1)}`;
    const rights = bed.principal('ab'.repeat(32), []);
    const call = callAs(rights.account, { principal: rights.authority() });
    await assert.rejects(operation({ clientId: 'mine' }, call), isFault('ForbiddenException'));
    await assert.rejects(operation({ clientId: 'nobody' }, call), isFault('ForbiddenException'));
    assert.deepEqual(
      records.map(({ action: asked, resource }) => [asked, resource]),
      ['mine', 'nobody'].map((clientId) => [action, `arn:aws:iot:us-east-1:000000000000:client/${clientId}`]),
    );
  });
}

test('GetConnection tells what is known of a connected client, its socket only when asked', async (t) => {
  const { bed, call } = await setUp(t);
  bed.principal('all').facts = { thingName: 'lamp' };
  await bed.connect(5, 'mine', { keepalive: 45 });
  const told = {
    ...{ connected: true, clientId: 'mine', cleanSession: true, sessionExpiry: 0 },
    ...{ keepAliveDuration: 45, connectedSince: bed.clock.nowMs, thingName: 'lamp' },
  };
  assert.deepEqual(await getConnection({ clientId: 'mine' }, call), told);
  assert.deepEqual(await getConnection({ clientId: 'mine', includeSocketInformation: true }, call), {
    ...told,
    ...{ sourceIp: '127.0.0.1', sourcePort: 50_000 },
  });
});

test('GetConnection asks whether it may tell the socket, as iot:IncludeSocketInformation (service authorization reference)', async (t) => {
  const { bed, callAs } = await setUp(t);
  await bed.connect(4, 'mine');
  const rights = bed.principal('ab'.repeat(32), [['iot:GetConnection', 'client/mine']]);
  const call = callAs(rights.account, { principal: rights.authority() });
  for (const includeSocketInformation of [undefined, false, true]) {
    await getConnection({ clientId: 'mine', includeSocketInformation }, call);
  }
  assert.deepEqual(
    rights.askedKeys,
    [false, false, true].map((includeSocketInformation) => ({ includeSocketInformation })),
  );
});

test('ListSubscriptions gives filters as they were written, in order, 20 on a page unless it is asked for otherwise', async (t) => {
  const { bed, call } = await setUp(t);
  const client = await bed.connect(5, 'mine');
  assert.deepEqual(await listSubscriptions({ clientId: 'mine' }, call), { subscriptions: [] });
  const filters = ['$share/g/a/#', '+', ...Array.from({ length: 21 }, (_, n) => `a/${String(n).padStart(2, '0')}`)];
  for (let from = 0; from < filters.length; from += 8) {
    const subscriptions = filters
      .slice(from, from + 8)
      .map((topic, n) => ({ topic, qos: n % 2 === 0 ? 1 : 0 }) as const);
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions });
    await client.next();
  }
  const first = await listSubscriptions({ clientId: 'mine' }, call);
  assert.deepEqual(first.subscriptions?.slice(0, 3), [
    { topicFilter: '$share/g/a/#', qos: 1 },
    { topicFilter: '+', qos: 0 },
    { topicFilter: 'a/00', qos: 1 },
  ]);
  assert.equal(first.subscriptions?.length, 20);
  const second = await listSubscriptions({ clientId: 'mine', nextToken: first.nextToken }, call);
  assert.equal(second.nextToken, undefined);
  assert.deepEqual(
    [...first.subscriptions, ...(second.subscriptions ?? [])].map(({ topicFilter }) => topicFilter),
    filters,
  );
  const one = await listSubscriptions({ clientId: 'mine', maxResults: 23 }, call);
  assert.deepEqual([one.subscriptions?.length, one.nextToken], [23, undefined]);
  const foreign = listSubscriptions({ clientId: 'mine', nextToken: 'AAAA' }, call);
  await assert.rejects(foreign, isFault('InvalidRequestException'));
});

const versions = [4, 5] as const;
for (const version of versions) {
  test(`DeleteConnection ends a client of version ${version}, publishes its will, and leaves its id free (spec gateway.md 4, 5.13)`, async (t) => {
    const { bed, call } = await setUp(t);
    const watcher = await bed.connect(4, 'watcher');
    watcher.send({
      cmd: 'subscribe',
      messageId: 1,
      subscriptions: [
        { topic: 'will', qos: 0 },
        { topic: '$aws/events/presence/disconnected/mine', qos: 0 },
      ],
    });
    await watcher.next();
    const will = { topic: 'will', payload: Buffer.from('gone'), qos: 0 as const, retain: false };
    const client = await bed.connect(version, 'mine', { will });
    assert.deepEqual(await deleteConnection({ clientId: 'mine' }, call), {});
    const last = await client.closed();
    assert.deepEqual(
      last.map((packet) => packet.cmd === 'disconnect' && packet.reasonCode),
      version === 5 ? [0x98] : [],
    );
    const seen = (await watcher.take(2)).map((packet) => (packet.cmd === 'publish' ? String(packet.payload) : ''));
    const event = JSON.parse(seen.find((text) => text !== 'gone') ?? '{}');
    assert.ok(seen.includes('gone'));
    assert.deepEqual([event.disconnectReason, event.clientInitiatedDisconnect], ['API_INITIATED_DISCONNECT', false]);
    await assert.rejects(deleteConnection({ clientId: 'mine' }, call), isFault('ResourceNotFoundException'));
    await bed.connect(version, 'mine');
  });
}

test('preventWillMessage keeps the will back (check 35)', async (t) => {
  const { bed, call } = await setUp(t);
  const watcher = await bed.connect(4, 'watcher');
  watcher.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'will', qos: 0 }] });
  await watcher.next();
  const will = { topic: 'will', payload: Buffer.from('gone'), qos: 0 as const, retain: false };
  const client = await bed.connect(4, 'mine', { will });
  await deleteConnection({ clientId: 'mine', preventWillMessage: true, cleanSession: true }, call);
  await client.closed();
  assert.deepEqual(await watcher.settled(), []);
});

test('a session that waits for its client is described, listed, sent nothing, and ended with cleanSession only (spec gateway.md 4)', async (t) => {
  const { bed, call } = await setUp(t);
  const client = await bed.connect(4, 'kept', { clean: false });
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 1 }] });
  await client.next();
  const connected = await getConnection({ clientId: 'kept' }, call);
  assert.deepEqual([connected.connected, connected.cleanSession, connected.sessionExpiry], [true, false, 3600]);
  await deleteConnection({ clientId: 'kept' }, call);
  await client.closed();
  const waiting = {
    ...{ connected: false, clientId: 'kept', cleanSession: false, sessionExpiry: 3600 },
    ...{ disconnectedSince: bed.clock.nowMs, disconnectReason: 'API_INITIATED_DISCONNECT' },
  };
  assert.deepEqual(await getConnection({ clientId: 'kept', includeSocketInformation: true }, call), waiting);
  assert.deepEqual(await listSubscriptions({ clientId: 'kept' }, call), {
    subscriptions: [{ topicFilter: 'a', qos: 1 }],
  });
  const direct = createSendDirectMessage()({ clientId: 'kept', topic: 'a' }, call);
  await assert.rejects(
    direct,
    (error: Error) => isFault('ResourceNotFoundException')(error) && /kept/.test(error.message),
  );

  await deleteConnection({ clientId: 'kept' }, call);
  assert.deepEqual(await getConnection({ clientId: 'kept' }, call), waiting, 'without cleanSession it stays');
  await deleteConnection({ clientId: 'kept', cleanSession: true }, call);
  await assert.rejects(getConnection({ clientId: 'kept' }, call), isFault('ResourceNotFoundException'));
});

test('cleanSession ends the session of a connected client too; without it the session goes on (spec gateway.md 4)', async (t) => {
  const { bed, call } = await setUp(t);
  const present = async (): Promise<boolean> => {
    const client = bed.dial(4);
    client.send({ cmd: 'connect', clientId: 'kept', clean: false, keepalive: 60, protocolVersion: 4 });
    const connack = await client.next();
    return connack.cmd === 'connack' && connack.sessionPresent;
  };
  assert.equal(await present(), false);
  await deleteConnection({ clientId: 'kept' }, call);
  assert.equal(await present(), true);
  await deleteConnection({ clientId: 'kept', cleanSession: true }, call);
  assert.equal(await present(), false);
});

test('a session that has expired is gone for every call', async (t) => {
  const { bed, call } = await setUp(t);
  await bed.connect(4, 'kept', { clean: false });
  await deleteConnection({ clientId: 'kept' }, call);
  bed.clock.nowMs += 3_600_000;
  for (const operation of Object.values(operations)) {
    await assert.rejects(operation({ clientId: 'kept' }, call), isFault('ResourceNotFoundException'));
  }
});
