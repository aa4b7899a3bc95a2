import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { makeCall, otherAccount } from '../../../test/call.ts';
import { createBed } from '../../../test/mqtt-bed.ts';
import { Fault, type FaultName } from '../../aws/fault.ts';
import type { Operations } from '../../aws/operations.ts';
import { confirmationsMax } from '../../mqtt/confirmations.ts';
import { confirmingMax, createSendDirectMessage } from './send-direct-message.ts';

const sendDirectMessage = createSendDirectMessage();

const setUp = async (t: TestContext) => {
  const bed = createBed();
  t.after(() => bed.broker.close(0));
  return { ...(await makeCall(t, { features: [], broker: bed.broker })), bed };
};

const isFault = (name: FaultName, message?: RegExp) => (error: unknown) => {
  assert(error instanceof Fault, String(error));
  assert.equal(error.name, name);
  if (message) assert.match(error.message, message);
  return true;
};
const hello = { clientId: 'mine', topic: 'orders/1', payload: Buffer.from('hello') };

for (const version of [4, 5] as const) {
  test(`without confirmation a client of version ${version} that has subscribed to nothing gets it with QoS 0 (spec gateway.md 4)`, async (t) => {
    const { bed, call } = await setUp(t);
    const client = await bed.connect(version, 'mine');
    const other = await bed.connect(version, 'other');
    other.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '#', qos: 1 }] });
    await other.next();
    await sendDirectMessage({ ...hello, contentType: 'text/plain', timeout: 1 }, call);
    const [packet] = await client.settled();
    assert(packet?.cmd === 'publish');
    assert.deepEqual(
      [packet.topic, String(packet.payload), packet.qos, packet.retain],
      ['orders/1', 'hello', 0, false],
    );
    assert.deepEqual(
      packet.properties && { ...packet.properties },
      version === 5 ? { contentType: 'text/plain' } : undefined,
    );
    assert.deepEqual(await other.settled(), [], 'whoever subscribes does not see it');
  });

  test(`with confirmation it resolves when a client of version ${version} has acknowledged`, async (t) => {
    const { bed, call } = await setUp(t);
    const client = await bed.connect(version, 'mine');
    const sent = sendDirectMessage({ ...hello, confirmation: true }, call);
    const packet = await client.next();
    assert(packet.cmd === 'publish' && packet.qos === 1);
    assert.equal(packet.properties?.messageExpiryInterval, undefined);
    client.send({ cmd: 'puback', messageId: packet.messageId ?? 0 });
    assert.deepEqual(await sent, {});
  });
}

test('no acknowledgement within the timeout, by default five seconds, is 504; the message is not sent again later', async (t) => {
  const { bed, call, records } = await setUp(t);
  const client = await bed.connect(4, 'mine');
  const sent = sendDirectMessage({ ...hello, confirmation: true }, call);
  assert.equal((await client.next()).cmd, 'publish');
  bed.advance(4000);
  bed.advance(1000);
  await assert.rejects(sent, isFault('GatewayTimeoutException', /in time/));
  assert.deepEqual(
    [records[0]?.reason, records[0]?.facts],
    ['CONFIRMATION_TIMEOUT', { clientId: 'mine', topic: 'orders/1' }],
  );
  bed.advance(20_000);
  assert.deepEqual(await client.settled(), []);
});

test('a connection that ends before it acknowledged is 504, and the next connection does not get the message', async (t) => {
  const { bed, call } = await setUp(t);
  const client = await bed.connect(4, 'mine');
  const sent = sendDirectMessage({ ...hello, confirmation: true, timeout: 15 }, call);
  await client.next();
  client.socket.destroy();
  await assert.rejects(sent, isFault('GatewayTimeoutException'));
  assert.deepEqual(await (await bed.connect(4, 'mine')).settled(), []);
});

test('a message that finds no place in the window of the client before its timeout is never sent', async (t) => {
  const { bed, call } = await setUp(t);
  const client = await bed.connect(5, 'mine', { properties: { receiveMaximum: 1 } });
  const first = sendDirectMessage({ ...hello, confirmation: true, timeout: 15 }, call);
  const packet = await client.next();
  const second = sendDirectMessage({ ...hello, topic: 'late', confirmation: true, timeout: 1 }, call);
  await client.settled();
  bed.advance(2000);
  await assert.rejects(second, isFault('GatewayTimeoutException'));
  assert(packet.cmd === 'publish');
  client.send({ cmd: 'puback', messageId: packet.messageId ?? 0 });
  await first;
  assert.deepEqual(await client.settled(), []);
});

test('the receiver needs iot:Receive: 403, and its own record says why (spec gateway.md 4)', async (t) => {
  const { bed, call, records } = await setUp(t);
  bed.principal('narrow', [['iot:Connect', '*']]);
  await bed.connect(4, 'mine', {}, 'narrow');
  await assert.rejects(sendDirectMessage(hello, call), isFault('ForbiddenException', /iot:Receive/));
  assert.deepEqual(records, []);
  const [denied] = bed.failures();
  assert.deepEqual(
    [denied?.eventType, denied?.clientId, denied?.action, denied?.resource],
    ['Publish-Out', 'mine', 'iot:Receive', 'arn:aws:iot:us-east-1:000000000000:topic/orders/1'],
  );
});

test('the sender needs iot:SendDirectMessage on the client; the topic is asked as iot:Topic (spec policy.md 3, 5)', async (t) => {
  const { bed, callAs, records } = await setUp(t);
  await bed.connect(4, 'mine');
  const rights = bed.principal('ab'.repeat(32), [['iot:SendDirectMessage', 'client/mine']]);
  const call = callAs(rights.account, { principal: rights.authority() });
  await sendDirectMessage(hello, call);
  await assert.rejects(sendDirectMessage({ ...hello, clientId: 'other' }, call), isFault('ForbiddenException'));
  assert.deepEqual(rights.askedKeys, [{ topic: 'orders/1' }, { topic: 'orders/1' }]);
  assert.equal(records[0]?.eventType, 'SendDirectMessage');
});

type Input = Operations['iot-data']['SendDirectMessage']['input'];
const refusals: [input: Partial<Input>, fault: FaultName, rule: string][] = [
  [{ clientId: 'nobody' }, 'ResourceNotFoundException', 'nobody is connected by that id'],
  [{ topic: '$aws/rules/r/a' }, 'InvalidRequestException', 'a topic that begins with $'],
  [{ topic: '' }, 'InvalidRequestException', 'an empty topic'],
  [{ topic: 'a/+' }, 'InvalidRequestException', 'a wildcard'],
  [{ topic: '/'.repeat(8) }, 'InvalidRequestException', 'more than seven slashes'],
  [{ responseTopic: '#' }, 'InvalidRequestException', 'a response topic with a wildcard'],
  [{ payload: new Uint8Array(131_073) }, 'RequestEntityTooLargeException', 'a payload of 131073 bytes'],
];
for (const [input, fault, rule] of refusals) {
  test(`${fault}: ${rule}`, async (t) => {
    const { bed, call, records } = await setUp(t);
    const client = await bed.connect(4, 'mine');
    await assert.rejects(sendDirectMessage({ ...hello, ...input }, call), isFault(fault));
    assert.deepEqual([records.length, records[0]?.eventType], [1, 'SendDirectMessage']);
    assert.deepEqual(await client.settled(), []);
  });
}

test('what is larger than the client takes is 413, and no message of its', async (t) => {
  const { bed, call } = await setUp(t);
  const client = await bed.connect(5, 'mine', { properties: { maximumPacketSize: 200 } });
  const large = { ...hello, payload: new Uint8Array(300) };
  for (const confirmation of [true, false]) {
    const sent = sendDirectMessage({ ...large, confirmation }, call);
    await assert.rejects(sent, isFault('RequestEntityTooLargeException', /client does not take/));
  }
  assert.deepEqual(await client.settled(), []);
});

test('a client that does not acknowledge holds up so many callers and no more', async (t) => {
  const { bed, call } = await setUp(t);
  await bed.connect(4, 'mine');
  const confirmed = { ...hello, confirmation: true, timeout: 15 };
  const waiting = Array.from({ length: confirmationsMax }, () => sendDirectMessage(confirmed, call));
  await assert.rejects(sendDirectMessage(confirmed, call), isFault('ThrottlingException'));
  bed.advance(15_000);
  for (const sent of waiting) await assert.rejects(sent, isFault('GatewayTimeoutException'));
});

test('all clients together hold up so many callers and no more; a message without confirmation passes', async (t) => {
  const { bed, call } = await setUp(t);
  await bed.connect(4, 'mine');
  const other = await bed.connect(4, 'other');
  const confirmed = { ...hello, confirmation: true, timeout: 15 };
  const waiting = Array.from({ length: confirmingMax }, (_, index) =>
    sendDirectMessage({ ...confirmed, clientId: index < confirmationsMax ? 'mine' : 'other' }, call),
  );
  const oneMore = { ...confirmed, clientId: 'other' };
  await assert.rejects(sendDirectMessage(oneMore, call), isFault('ThrottlingException', /confirmingMax/));
  assert.deepEqual(await sendDirectMessage({ ...oneMore, confirmation: false }, call), {});
  bed.advance(15_000);
  for (const sent of waiting) await assert.rejects(sent, isFault('GatewayTimeoutException'));
  const next = sendDirectMessage(oneMore, call);
  await other.settled();
  bed.advance(15_000);
  await assert.rejects(next, isFault('GatewayTimeoutException'));
});

test("no account reaches another's client", async (t) => {
  const { bed, callAs } = await setUp(t);
  const client = await bed.connect(4, 'mine');
  await assert.rejects(sendDirectMessage(hello, callAs(otherAccount)), isFault('ResourceNotFoundException'));
  assert.deepEqual(await client.settled(), []);
});
