import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { type ApiClientOptions, createApiClient, ServerUnusable } from './api-client.ts';

type Reply = (response: ServerResponse, request: IncomingMessage) => void;

const fault =
  (status: number, name: string): Reply =>
  (response) => {
    response.writeHead(status, { 'x-amzn-errortype': `${name}:http://internal/` }).end('{"message":"so it is"}');
  };
const fine: Reply = (response) => response.end('{"a":1}');
const hangUp: Reply = (response) => response.destroy();
const silence: Reply = () => {};

/** A client of a server that gives these replies in turn; the last one for good. */
const scripted = async (t: TestContext, replies: readonly Reply[], options: Partial<ApiClientOptions> = {}) => {
  const asked: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    asked.push(request);
    request.resume();
    (replies[asked.length - 1] ?? replies.at(-1))?.(response, request);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  // a TCP server's address is an AddressInfo
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const waited: string[] = [];
  const client = createApiClient({
    server: { url, region: 'eu-west-1', accessKeyId: 'KEY', secretAccessKey: 'secret' },
    connectionsMax: 2,
    now: Date.now,
    waiting: (reason) => waited.push(reason),
    patience: { firstPauseMs: 1, pauseMsMax: 4 },
    ...options,
  });
  t.after(() => {
    client.close();
    server.closeAllConnections();
    server.close();
  });
  return { client, asked, waited, server };
};

const request = { method: 'GET', path: '/endpoint' } as const;

test('an answer comes with its members, a signature of service and region goes with the request', async (t) => {
  const { client, asked } = await scripted(t, [fine]);
  const answer = await client.call({
    method: 'POST',
    path: '/things/a%3Ab',
    body: { x: 'ü' },
    headers: { 'x-amzn-principal': 'arn' },
  });
  assert.deepEqual(answer, { status: 200, fault: undefined, message: '', members: { a: 1 } });
  const { headers, url } = asked[0] ?? assert.fail();
  assert.equal(url, '/things/a%3Ab');
  assert.match(
    headers.authorization ?? '',
    /Credential=KEY\/\d{8}\/eu-west-1\/iot\/aws4_request, SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amzn-principal,/,
  );
  assert.equal(headers['content-length'], '10');
});

test('a fault of the caller is an answer, at once', async (t) => {
  const { client, asked } = await scripted(t, [fault(404, 'ResourceNotFoundException')]);
  assert.deepEqual(await client.call(request), {
    status: 404,
    fault: 'ResourceNotFoundException',
    message: 'so it is',
    members: { message: 'so it is' },
  });
  assert.equal(asked.length, 1);
});

const transient: readonly [name: string, reply: Reply, reason: RegExp][] = [
  ['ThrottlingException', fault(400, 'ThrottlingException'), /ThrottlingException: so it is/],
  ['429', fault(429, 'TooManyRequestsException'), /TooManyRequests/],
  ['503', fault(503, 'ServiceUnavailableException'), /ServiceUnavailable/],
  ['a failure of the server', fault(500, 'InternalFailureException'), /InternalFailure/],
  ['a connection that breaks', hangUp, /no answer \(ECONNRESET\)/],
  ['an answer that is too long', (response) => response.end('x'.repeat(2_000_000)), /more than 1048576 bytes/],
];
for (const [name, reply, reason] of transient) {
  test(`after ${name} the request is tried again`, async (t) => {
    const { client, asked, waited } = await scripted(t, [reply, reply, fine]);
    assert.equal((await client.call(request)).status, 200);
    assert.equal(asked.length, 3);
    assert.equal(waited.length, 2);
    assert.match(waited[0] ?? '', reason);
  });
}

for (const status of [429, 503]) {
  test(`a proxy's bare ${status} asks to wait, too, for as long as patience lasts`, async (t) => {
    const busy: Reply = (response) => response.writeHead(status).end('<html>');
    const { client, asked } = await scripted(t, [...Array<Reply>(10).fill(busy), fine]);
    assert.equal((await client.call(request)).status, 200);
    assert.equal(asked.length, 11);
  });
}

test('a server that does not answer in time is asked again', async (t) => {
  const { client, asked } = await scripted(t, [silence, fine], { patience: { firstPauseMs: 1, answerMsMax: 50 } });
  assert.equal((await client.call(request)).status, 200);
  assert.equal(asked.length, 2);
});

test('patience ends: a server that only asks to wait cannot be used', async (t) => {
  const { client, asked } = await scripted(t, [fault(503, 'ServiceUnavailableException')], {
    patience: { triesMax: 5, firstPauseMs: 1 },
  });
  await assert.rejects(
    client.call(request),
    (error) => error instanceof ServerUnusable && /asked 5 times/.test(error.message),
  );
  assert.equal(asked.length, 5);
});

test('a request at which the server always fails is answered with that: the next one may fare better', async (t) => {
  const { client, asked } = await scripted(t, [fault(500, 'InternalFailureException')]);
  assert.equal((await client.call(request)).fault, 'InternalFailureException');
  assert.equal(asked.length, 4);
});

test('a refused key is told at once', async (t) => {
  const { client, asked } = await scripted(t, [fault(403, 'UnrecognizedClientException')]);
  await assert.rejects(
    client.call(request),
    (error) => error instanceof ServerUnusable && /refuses the key/.test(error.message),
  );
  assert.equal(asked.length, 1);
});

test('connections are kept, and no more than allowed are opened', async (t) => {
  const { client, server } = await scripted(t, [fine]);
  let connections = 0;
  server.on('connection', () => connections++);
  await Promise.all(Array.from({ length: 50 }, () => client.call(request)));
  assert.ok(connections <= 2, `${connections} connections`);
});

test('closing ends what waits', async (t) => {
  const { client, asked } = await scripted(t, [fault(503, 'ServiceUnavailableException')], {
    patience: { firstPauseMs: 100_000, pauseMsMax: 100_000 },
    waiting: () => setImmediate(() => client.close()),
  });
  await assert.rejects(client.call(request));
  assert.equal(asked.length, 1);
});

test('what is no JSON, or fills a terminal with controls, is still an answer', async (t) => {
  const { client } = await scripted(t, [
    (response) => response.writeHead(418).end('<html>'),
    (response) => response.writeHead(400).end('{"__type":"a#Evil\\u001b[2J","message":"\\u001b[2J"}'),
    (response) => response.end('[]'),
  ]);
  assert.deepEqual(await client.call(request), { status: 418, fault: 'HTTP 418', message: '', members: {} });
  const { fault: name, message } = await client.call(request);
  assert.deepEqual([name, message], ['Evil\\u{1b}[2J', '\\u{1b}[2J']);
  assert.deepEqual((await client.call(request)).members, {});
});
