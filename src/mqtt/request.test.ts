/** Requests on reserved topics: who gets the reply, when the request is acknowledged, and how many are worked on at once. Source: spec provisioning.md 4.1. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { IPublishPacket, Packet } from 'mqtt-packet';
import { type Allowed, accountA, accountB, createBed, openBedStore, type RawClient } from '../../test/mqtt-bed.ts';
import { openLimits } from '../limits.ts';
import {
  RequestLine,
  requestBytesPerNodeMax,
  requestsPerAccountMax,
  requestsPerConnectionMax,
  requestsPerNodeMax,
} from './request-line.ts';
import { type ClientRequest, type RequestReply, type RequestTopic, RequestTopics } from './requests.ts';

const topic = '$aws/certificates/create/json';
const provisionTopic = '$aws/provisioning-templates/fleet/provision/json';
const said = (text: string, outcome: RequestReply['outcome'] = 'accepted'): RequestReply => ({
  outcome,
  payload: Buffer.from(text),
});

/** Answers each request when the test says so. */
const slowTopic = (pattern = '$aws/certificates/create/{format}') => {
  const asked: { readonly request: ClientRequest; answer(reply: RequestReply): void; fail(error: unknown): void }[] =
    [];
  const handler: RequestTopic = {
    pattern,
    answer: (request) => new Promise((answer, fail) => asked.push({ request, answer, fail })),
    excuse: (_, why) => said(why, 'rejected'),
  };
  return { asked, handler };
};
/** Answers at once with the name of the topic's handler. */
const quickTopic = (pattern: string, text = pattern): RequestTopic => ({
  pattern,
  answer: async () => said(text),
  excuse: (_, why) => said(why, 'rejected'),
});

const ask = (client: RawClient, messageId = 7, qos: 0 | 1 | 2 = 1, payload: string | Buffer = '{}'): void =>
  client.send({ cmd: 'publish', topic, payload, qos, messageId, dup: false, retain: false });
const subscribed = async (client: RawClient, filter: string, qos: 0 | 1 | 2 = 1): Promise<void> => {
  client.send({
    cmd: 'subscribe',
    messageId: 1,
    subscriptions: [{ topic: filter, qos, nl: false, rap: false, rh: 0 }],
  });
  assert.equal((await client.next()).cmd, 'suback');
};
const lines = (packets: readonly Packet[]): string[] =>
  packets.map((packet) =>
    packet.cmd === 'publish' ? `${packet.topic} ${packet.payload} qos ${packet.qos}` : packet.cmd,
  );
/** Lets everything that is ready happen. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const until = async (happened: () => boolean): Promise<void> => {
  while (!happened()) await turn();
};

for (const version of [4, 5] as const) {
  test(`v${version}: the reply comes to the connection that asked and to no other subscriber of its topic (R mandatory)`, async () => {
    const bed = createBed({ requestTopics: [quickTopic('$aws/certificates/create/{format}', 'secret')] });
    const [asking, listening] = [await bed.connect(version, 'a'), await bed.connect(version, 'b')];
    await subscribed(asking, `${topic}/accepted`);
    await subscribed(listening, `${topic}/accepted`);
    await subscribed(listening, '$aws/certificates/create/#');
    ask(asking);
    assert.deepEqual(lines(await asking.take(2)).sort(), [`${topic}/accepted secret qos 1`, 'puback']);
    assert.deepEqual(lines(await listening.settled()), []);
  });
}

const filters: readonly (readonly [filter: string, qos: 0 | 1, received: string | undefined])[] = [
  [`${topic}/accepted`, 1, 'qos 1'],
  [`${topic}/accepted`, 0, 'qos 0'],
  ['$aws/certificates/create/json/+', 1, 'qos 1'],
  ['$aws/certificates/+/json/accepted', 1, 'qos 1'],
  ['$aws/certificates/create/#', 1, 'qos 1'],
  [`${topic}/rejected`, 1, undefined],
  ['$aws/certificates/create/cbor/accepted', 1, undefined],
  [`$share/group/${topic}/accepted`, 1, undefined],
];
for (const [filter, qos, received] of filters) {
  test(`a subscription to ${filter} with QoS ${qos} ${received ? `gets the reply with ${received}` : 'gets no reply'}`, async () => {
    const bed = createBed({ requestTopics: [quickTopic('$aws/certificates/create/{format}', 'x')] });
    const client = await bed.connect(4, 'a');
    await subscribed(client, filter, qos);
    ask(client);
    const expected = received === undefined ? ['puback'] : [`${topic}/accepted x ${received}`, 'puback'];
    assert.deepEqual(lines(await client.take(expected.length)).sort(), expected);
    assert.deepEqual(lines(await client.settled()), []);
    assert.deepEqual(
      bed.failures().map(({ eventType, reason, facts }) => [eventType, reason, facts?.['topic']]),
      received === undefined ? [['Publish-Out', 'REPLY_NOT_SUBSCRIBED', `${topic}/accepted`]] : [],
    );
  });
}

test('several subscriptions that match give one reply, at the highest QoS of them', async () => {
  const bed = createBed({ requestTopics: [quickTopic('$aws/certificates/create/{format}', 'x')] });
  const client = await bed.connect(5, 'a');
  await subscribed(client, '$aws/certificates/create/#', 0);
  await subscribed(client, `${topic}/accepted`, 1);
  ask(client, 7, 0);
  assert.deepEqual(lines(await client.take(1)), [`${topic}/accepted x qos 1`]);
  assert.deepEqual(lines(await client.settled()), []);
});

test('without iot:Receive nothing arrives, and the journal has the denial', async () => {
  const bed = createBed({ requestTopics: [quickTopic('$aws/certificates/create/{format}')] });
  const allowed: Allowed[] = ['iot:Connect', 'iot:Publish', 'iot:Subscribe'].map((action) => [
    action as 'iot:Connect',
    '*',
  ]);
  bed.principal('deaf', allowed);
  const client = await bed.connect(4, 'a', {}, 'deaf');
  await subscribed(client, `${topic}/accepted`);
  ask(client);
  assert.deepEqual(lines([await client.next()]), ['puback']);
  assert.deepEqual(lines(await client.settled()), []);
  assert.deepEqual(
    bed.failures().map(({ reason, action, resource }) => [reason, action, resource]),
    [['AUTHORIZATION_FAILURE', 'iot:Receive', `arn:aws:iot:us-east-1:000000000000:topic/${topic}/accepted`]],
  );
});

test("the device's own policy is asked first: without iot:Publish nobody answers", async () => {
  const { handler, asked } = slowTopic();
  const bed = createBed({ requestTopics: [handler] });
  bed.principal('mute', [['iot:Connect', '*']]);
  const client = await bed.connect(4, 'a', {}, 'mute');
  ask(client);
  assert.deepEqual(lines(await client.closed()), []);
  assert.equal(asked.length, 0);
  assert.equal(bed.failures()[0]?.reason, 'AUTHORIZATION_FAILURE');
});

test('PUBACK follows the answer, in the order of the messages, while other packets go on [MQTT-4.6.0-2]', async () => {
  const { handler, asked } = slowTopic();
  const bed = createBed({ requestTopics: [handler] });
  const client = await bed.connect(4, 'a');
  ask(client, 7);
  client.send({ cmd: 'publish', topic: 'a/b', payload: 'x', qos: 1, messageId: 8, dup: false, retain: false });
  assert.deepEqual(lines(await client.settled()), [], 'PINGRESP came, no PUBACK');
  asked[0]?.answer(said('x'));
  const acknowledged = await client.take(2);
  assert.deepEqual(
    acknowledged.map((packet) => packet.cmd === 'puback' && packet.messageId),
    [7, 8],
  );
});

test('the handler is told who asks, for what, and has a copy of the payload', async () => {
  const { handler, asked } = slowTopic('$aws/provisioning-templates/{templateName}/provision/{format}');
  const bed = createBed({ requestTopics: [handler] });
  bed.principal('claim');
  const client = await bed.connect(4, 'dev1', {}, 'claim');
  client.send({ cmd: 'publish', topic: provisionTopic, payload: '{"a":1}', qos: 0, dup: false, retain: false });
  client.send({ cmd: 'publish', topic: 'a/b', payload: 'overwritten', qos: 0, dup: false, retain: false });
  await client.settled();
  const { authority, payload, connectedAtMs, ...request } = asked[0]!.request;
  assert.equal(connectedAtMs, 1_700_000_000_000);
  assert.equal(payload.toString(), '{"a":1}');
  assert.equal(authority.principalId, 'claim');
  assert.deepEqual(request, {
    account: accountA,
    clientId: 'dev1',
    certificateId: 'claim',
    source: { ip: '127.0.0.1', port: 50_000 },
    topic: provisionTopic,
    labels: { templateName: 'fleet', format: 'json' },
  });
});

test('requests of one connection are worked on one after the other; at the bound it is not read', async () => {
  const { handler, asked } = slowTopic();
  const bed = createBed({ requestTopics: [handler] });
  const client = await bed.connect(4, 'a');
  for (let id = 1; id <= requestsPerConnectionMax; id++) ask(client, id);
  client.send({ cmd: 'pingreq' });
  await until(() => asked.length === 1);
  for (let each = 0; each < 50; each++) await turn();
  assert.equal(asked.length, 1, 'one at a time');
  assert.deepEqual(lines(client.received), [], 'the PINGREQ behind the bound is not answered');
  for (let index = 0; index < requestsPerConnectionMax; index++) {
    await until(() => asked.length === index + 1);
    asked[index]?.answer(said('x'));
  }
  const packets = lines(await client.take(requestsPerConnectionMax + 1));
  assert.deepEqual(packets.filter((cmd) => cmd === 'puback').length, requestsPerConnectionMax);
  assert.ok(packets.includes('pingresp'));
});

test('a request that waits when its connection ends is not begun; one that is under way is finished', async () => {
  const { handler, asked } = slowTopic();
  const bed = createBed({ requestTopics: [handler] });
  const client = await bed.connect(4, 'a');
  ask(client, 1);
  ask(client, 2);
  await until(() => asked.length === 1);
  client.socket.destroy();
  await until(() => bed.broker.sizes().connections === 0);
  asked[0]?.answer(said('x'));
  for (let each = 0; each < 50; each++) await turn();
  assert.equal(asked.length, 1);
  assert.deepEqual(bed.troubles, []);
});

test('an answer that breaks by a fault of ours is told as the handler excuses it, and the connection stays', async () => {
  const { handler, asked } = slowTopic();
  const bed = createBed({ requestTopics: [handler] });
  const client = await bed.connect(4, 'a');
  await subscribed(client, `${topic}/rejected`);
  ask(client);
  await until(() => asked.length === 1);
  asked[0]?.fail(new TypeError('secret'));
  assert.deepEqual(lines(await client.take(2)).sort(), [`${topic}/rejected failed qos 1`, 'puback']);
  assert.deepEqual(
    bed.failures().map(({ reason, detail }) => [reason, detail]),
    [['INTERNAL_SERVER_ERROR', 'TypeError']],
  );
  assert.equal(bed.troubles.length, 1);
});

test('beyond the memory that waiting requests may hold, a request is refused as throttled', async () => {
  const { handler, asked } = slowTopic();
  const payload = Buffer.alloc(16 * 1024 * 1024);
  const bed = createBed({
    requestTopics: [handler],
    limits: { payloadBytesMax: payload.length, packetBytesMax: payload.length + 1024 },
  });
  const fits = Math.floor(requestBytesPerNodeMax / (payload.length + 1024));
  const clients = await Promise.all(Array.from({ length: fits + 1 }, (_, index) => bed.connect(4, `c${index}`)));
  for (const client of clients.slice(0, fits)) ask(client, 7, 1, payload);
  await until(() => asked.length === fits);
  const late = clients[fits]!;
  await subscribed(late, `${topic}/rejected`);
  ask(late, 7, 1, payload);
  assert.deepEqual(lines(await late.take(2)).sort(), [`${topic}/rejected throttled qos 1`, 'puback']);
  assert.equal(bed.failures()[0]?.detail, 'requestBytesPerNodeMax');
  for (const { answer } of asked) answer(said('x'));
  await clients[0]!.next();
  ask(late, 8, 1, payload);
  await until(() => asked.length === fits + 1);
});

test('a reply is not kept for a session whose client is away, nor retained', async (t) => {
  const { handler, asked } = slowTopic();
  const bed = createBed({ requestTopics: [handler], store: await openBedStore(t) });
  const client = await bed.connect(4, 'a', { clean: false });
  await subscribed(client, `${topic}/accepted`);
  ask(client);
  await until(() => asked.length === 1);
  client.socket.destroy();
  await until(() => bed.broker.sizes().connections === 0);
  asked[0]?.answer(said('secret'));
  const again = await bed.connect(4, 'a', { clean: false });
  await subscribed(again, `${topic}/accepted`);
  assert.deepEqual(lines(await again.settled()), []);
  await bed.broker.close(0);
});

test('QoS 2 under --limits open: the request is worked on once however often it is sent, and PUBREC follows the answer', async () => {
  const { handler, asked } = slowTopic();
  const bed = createBed({ requestTopics: [handler], limits: openLimits });
  const client = await bed.connect(4, 'a');
  ask(client, 7, 2);
  await until(() => asked.length === 1);
  const again: IPublishPacket = {
    cmd: 'publish',
    topic,
    payload: '{}',
    qos: 2,
    messageId: 7,
    dup: true,
    retain: false,
  };
  client.send(again);
  for (let each = 0; each < 50; each++) await turn();
  assert.deepEqual(lines(client.received), []);
  asked[0]?.answer(said('x'));
  assert.deepEqual(lines(await client.take(2)), ['pubrec', 'pubrec']);
  assert.equal(asked.length, 1);
});

test('a topic that nobody answers stays not available, and replies are published by the service alone', async () => {
  const bed = createBed({ requestTopics: [quickTopic('$aws/certificates/create/{format}')] });
  const client = await bed.connect(5, 'a');
  client.send({
    cmd: 'publish',
    topic: provisionTopic,
    payload: '{}',
    qos: 1,
    messageId: 1,
    dup: false,
    retain: false,
  });
  client.send({
    cmd: 'publish',
    topic: `${topic}/accepted`,
    payload: '{}',
    qos: 1,
    messageId: 2,
    dup: false,
    retain: false,
  });
  const codes = (await client.take(2)).map((packet) => packet.cmd === 'puback' && packet.reasonCode);
  assert.deepEqual(codes, [0x80, 0x87]);
});

test('two handlers whose patterns meet in a topic, and one where nobody may publish, are refused at the start', () => {
  const twice = [quickTopic('$aws/certificates/create/{format}'), quickTopic('$aws/certificates/create/json')];
  assert.throws(() => new RequestTopics(twice), /Two features answer \$aws\/certificates\/create\/json/);
  assert.throws(() => new RequestTopics([quickTopic('$aws/events/{name}')]), /is no topic for requests/);
  assert.throws(() => new RequestTopics([quickTopic('a/b')]), /is no topic for requests/);
});

test('the line lets one account have half of the places, so that another is served at once', async () => {
  const line = new RequestLine();
  const begun: string[] = [];
  const { promise: open, resolve: end } = Promise.withResolvers<void>();
  const run = (account: string): Promise<void> =>
    line.run(account, async () => {
      begun.push(account);
      await open;
    });
  const all = Array.from({ length: 2 * requestsPerAccountMax }, () => run('slow'));
  await turn();
  assert.equal(begun.length, requestsPerAccountMax);
  all.push(run('quick'));
  await turn();
  assert.equal(begun.at(-1), 'quick');
  for (let each = 0; each < requestsPerNodeMax; each++) all.push(run(`other-${each}`));
  await turn();
  assert.equal(begun.length, requestsPerNodeMax);
  end();
  await Promise.all(all);
  assert.equal(begun.length, all.length);
});

test('requests of two accounts are told apart', async () => {
  const { handler, asked } = slowTopic();
  const bed = createBed({ requestTopics: [handler] });
  bed.principal('other', [['*', '*']], accountB);
  ask(await bed.connect(4, 'a', {}, 'other'));
  ask(await bed.connect(4, 'a'));
  await until(() => asked.length === 2);
  assert.deepEqual(
    asked.map(({ request }) => request.account.accountId),
    [accountB.accountId, accountA.accountId],
  );
});
