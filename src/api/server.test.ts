import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import {
  AttachPolicyCommand,
  CreateThingCommand,
  DescribeCertificateCommand,
  DescribeThingCommand,
  IoTClient,
  ListAttachedPoliciesCommand,
  ListJobsCommand,
  ListPrincipalThingsCommand,
  ListThingsCommand,
} from '@aws-sdk/client-iot';
import { GetThingShadowCommand, IoTDataPlaneClient } from '@aws-sdk/client-iot-data-plane';
import { GetCallerIdentityCommand, GetSessionTokenCommand, STSClient } from '@aws-sdk/client-sts';
import { bootApi, exchange, sendRaw, sendSigned, type TestApi } from './test-api.ts';

const clientOptions = (api: TestApi, accessKeyId = '123456789012') => ({
  endpoint: api.url,
  region: 'eu-west-1',
  credentials: { accessKeyId, secretAccessKey: 'test' },
  maxAttempts: 1,
});

test('the SDK: account from the access key, region from the scope, labels, query, headers and dates by schema', async (t) => {
  const api = await bootApi(t);
  const iot = new IoTClient(clientOptions(api));
  t.after(() => iot.destroy());

  const { things, nextToken } = await iot.send(
    new ListThingsCommand({ thingTypeName: 'a:b', maxResults: 7, nextToken: 'x&y= +/ü' }),
  );
  assert.deepEqual(things, [
    { thingName: 'a:b', version: 7, attributes: { account: '123456789012', region: 'eu-west-1' } },
  ]);
  assert.equal(nextToken, 'x&y= +/ü');

  const target = `arn:aws:iot:eu-west-1:123456789012:cert/${'a'.repeat(64)}`;
  const attached = await iot.send(new ListAttachedPoliciesCommand({ target, recursive: true }));
  assert.deepEqual(attached.policies, [{ policyName: target, policyArn: 'true' }]);
  assert.deepEqual((await iot.send(new ListPrincipalThingsCommand({ principal: target }))).things, [target]);

  const { certificateDescription } = await iot.send(new DescribeCertificateCommand({ certificateId: 'b'.repeat(64) }));
  assert.equal(certificateDescription?.creationDate?.getTime(), 1655249872319, 'milliseconds are kept');

  const created = await iot.send(
    new CreateThingCommand({ thingName: 'one', attributePayload: { attributes: { color: 'red' } } }),
  );
  assert.equal(created.thingArn, 'arn:aws:iot:eu-west-1:123456789012:thing/one');
  assert.equal(created.thingId, '{"color":"red"}');

  const void_ = await iot.send(new AttachPolicyCommand({ policyName: 'p', target }));
  assert.equal(void_.$metadata.httpStatusCode, 200);
  assert.match(void_.$metadata.requestId ?? '', /^[0-9a-f-]{36}$/);
});

test('the SDK: a fault arrives with its class, status, message, members and request id', async (t) => {
  const api = await bootApi(t);
  const iot = new IoTClient(clientOptions(api));
  t.after(() => iot.destroy());
  await assert.rejects(
    iot.send(new CreateThingCommand({ thingName: 'taken' })),
    (error: Error & Record<string, unknown>) => {
      assert.equal(error.name, 'ResourceAlreadyExistsException');
      assert.equal(error.message, 'Thing taken already exists');
      assert.equal(error['resourceId'], 'taken');
      assert.equal(error['resourceArn'], 'arn:aws:iot:eu-west-1:123456789012:thing/taken');
      assert.partialDeepStrictEqual(error['$metadata'], { httpStatusCode: 409 });
      return true;
    },
  );
  await assert.rejects(iot.send(new DescribeThingCommand({ thingName: 'not a name' })), {
    name: 'InvalidRequestException',
    message:
      "1 validation error detected: Value 'not a name' at 'thingName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9:_-]+",
  });
});

test('the SDK: an operation without a handler is 501 and named, on every service', async (t) => {
  const api = await bootApi(t);
  const iot = new IoTClient(clientOptions(api));
  const data = new IoTDataPlaneClient(clientOptions(api));
  const sts = new STSClient(clientOptions(api));
  t.after(() => [iot, data, sts].map((client) => client.destroy()));
  const message = (name: string) => `${name} is not available in this version of Fleetgate`;
  await assert.rejects(iot.send(new ListJobsCommand()), {
    name: 'NotImplementedException',
    message: message('ListJobs'),
  });
  await assert.rejects(data.send(new GetThingShadowCommand({ thingName: 'a' })), {
    name: 'NotImplementedException',
    message: message('GetThingShadow'),
  });
  await assert.rejects(sts.send(new GetSessionTokenCommand()), {
    name: 'NotImplemented',
    message: message('GetSessionToken'),
  });
});

test('the SDK: sts answers who signed, and says InvalidClientTokenId for an unknown key', async (t) => {
  const api = await bootApi(t);
  const sts = new STSClient(clientOptions(api));
  const stranger = new STSClient(clientOptions(api, 'AKIDUNKNOWN'));
  t.after(() => [sts, stranger].map((client) => client.destroy()));
  const identity = await sts.send(new GetCallerIdentityCommand());
  assert.equal(identity.Account, '123456789012');
  assert.equal(identity.Arn, 'arn:aws:iam::123456789012:root');
  await assert.rejects(stranger.send(new GetCallerIdentityCommand()), {
    name: 'InvalidClientTokenId',
    message: 'The security token included in the request is invalid.',
  });
});

test('the data plane answers bad credentials with ForbiddenException (spec gateway 3)', async (t) => {
  const api = await bootApi(t);
  const data = new IoTDataPlaneClient(clientOptions(api, 'AKIDUNKNOWN'));
  t.after(() => data.destroy());
  await assert.rejects(data.send(new GetThingShadowCommand({ thingName: 'a' })), { name: 'ForbiddenException' });
});

test('dates are epoch seconds with their milliseconds, whole ones with a zero; an empty output is an empty body or object', async (t) => {
  const api = await bootApi(t);
  const described = await sendSigned(api, 'GET', `/certificates/${'a'.repeat(64)}`);
  assert.match(described.body, /"creationDate":1655249872\.319,"lastModifiedDate":1655249071\.0\}/);
  const target = encodeURIComponent('arn:aws:iot:us-east-1:000000000000:thinggroup/g');
  const attached = await sendSigned(api, 'PUT', '/target-policies/p', {
    body: `{"target":"${decodeURIComponent(target)}"}`,
  });
  assert.deepEqual([attached.status, attached.body], [200, '']);
  const deleted = await sendSigned(api, 'DELETE', '/things/a');
  assert.deepEqual([deleted.status, deleted.body], [200, '{}']);
});

test('what goes wrong inside is told to the log with the request id, and to the caller as nothing but a fault', async (t) => {
  const api = await bootApi(t);
  const crash = await sendSigned(api, 'DELETE', '/things/crash');
  assert.deepEqual([crash.status, crash.fault], [500, 'InternalFailureException']);
  assert.doesNotMatch(crash.body, /secret detail/);
  const entry = api.log.at(-1);
  assert.equal(entry?.requestId, crash.headers.get('x-amzn-requestid'));
  assert.match(String(entry?.error), /the secret detail/);
  const store = await sendSigned(api, 'DELETE', '/things/store');
  assert.deepEqual([store.status, store.fault], [503, 'ServiceUnavailableException']);
  assert.doesNotMatch(store.body, /disk full/);
});

test('the log never sees a query string', async (t) => {
  const api = await bootApi(t);
  await sendRaw(api.port, 'GET', '/things?X-Amz-Signature=secret', { host: '127.0.0.1' });
  assert.equal(api.log.at(-1)?.path, '/things');
  assert.doesNotMatch(JSON.stringify(api.log), /secret/);
});

test('an unknown path, a known path with another method, and a path with dot segments are UnknownOperationException 404', async (t) => {
  const api = await bootApi(t);
  const targets: [method: string, path: string][] = [
    ['GET', '/nothing/here'],
    ['PATCH', '/policies/a'],
    ['GET', '/things/'],
    ['GET', '/policies/../things'],
    ['GET', '/things/..'],
    ['GET', '//things'],
    ['GET', '/destinations/'],
    ['GET', `/${'a/'.repeat(200)}`],
    ['POST', '/'],
  ];
  for (const [method, path] of targets) {
    const answer = await sendSigned(api, method, path);
    assert.deepEqual([answer.status, answer.fault], [404, 'UnknownOperationException'], `${method} ${path}`);
  }
});

test('GET and HEAD of the root are friendly', async (t) => {
  const api = await bootApi(t);
  const get = await sendRaw(api.port, 'GET', '/', { host: 'localhost' });
  assert.equal(get.status, 200);
  assert.match(get.body, /Fleetgate/);
  const head = await sendRaw(api.port, 'HEAD', '/', { host: 'localhost' });
  assert.deepEqual([head.status, head.body], [200, '']);
});

test('extras: an open one answers anybody, a signed one only who signed, and is told the account', async (t) => {
  const api = await bootApi(t, {
    extras: [
      {
        method: 'GET',
        path: '/root-ca.pem',
        signed: false,
        handle: () => ({ status: 200, contentType: 'application/x-pem-file', body: 'PEM' }),
      },
      {
        method: 'GET',
        path: '/_fleetgate/journal',
        signed: true,
        name: 'Mirror',
        handle: ({ account, query, arrival }) => ({
          status: 200,
          contentType: 'application/json',
          body: JSON.stringify([account?.accountId, query.get('clientId'), arrival.host, arrival.loopback]),
        }),
      },
    ],
  });
  const pem = await sendRaw(api.port, 'GET', '/root-ca.pem', { host: 'localhost' });
  assert.deepEqual([pem.status, pem.headers.get('content-type'), pem.body], [200, 'application/x-pem-file', 'PEM']);
  const unsigned = await sendRaw(api.port, 'GET', '/_fleetgate/journal', { host: 'localhost' });
  assert.deepEqual([unsigned.status, unsigned.fault], [403, 'MissingAuthenticationTokenException']);
  const signed = await sendSigned(api, 'GET', '/_fleetgate/journal?clientId=a%2Fb');
  assert.deepEqual(JSON.parse(signed.body), ['000000000000', 'a/b', '127.0.0.1', true]);
  const foreign = await sendSigned(api, 'GET', `/_fleetgate/journal?clientId=${encodeURIComponent('ünï 🔑+')}`);
  assert.equal(JSON.parse(foreign.body)[1], 'ünï 🔑+');
  const broken = await sendSigned(api, 'GET', '/_fleetgate/journal?clientId=%ff');
  assert.deepEqual([broken.status, broken.fault], [400, 'SerializationException']);
});

test('an account is ensured once before its first handler; a failure refuses the request and is tried again', async (t) => {
  const asked: string[] = [];
  let full = true;
  const api = await bootApi(t, {
    ensureAccount: async ({ accountId, region }) => {
      asked.push(`${accountId}/${region}`);
      if (full) throw new Error('accountsMax');
    },
  });
  assert.equal((await sendSigned(api, 'DELETE', '/things/a')).status, 500);
  full = false;
  assert.equal((await sendSigned(api, 'DELETE', '/things/a')).status, 200);
  assert.equal((await sendSigned(api, 'DELETE', '/things/a')).status, 200);
  assert.equal((await sendSigned(api, 'DELETE', '/things/a', { region: 'eu-west-1' })).status, 200);
  assert.deepEqual(asked, ['000000000000/us-east-1', '000000000000/us-east-1', '000000000000/eu-west-1']);
});

test('a body beyond the bound is 413 RequestEntityTooLargeException, with and without a length, and the client reads it', async (t) => {
  const api = await bootApi(t, { limits: { bodyBytesMax: 1000 } });
  const large = `{"x":"${'y'.repeat(6_000_000)}"}`;
  const sized = await sendSigned(api, 'POST', '/things/a', { body: large });
  assert.deepEqual([sized.status, sized.fault], [413, 'RequestEntityTooLargeException']);
  const chunk = 'z'.repeat(2000);
  const chunked = await sendRaw(
    api.port,
    'POST',
    '/?Action=GetCallerIdentity',
    { host: 'localhost', 'transfer-encoding': 'chunked' },
    `7d0\r\n${chunk}\r\n0\r\n\r\n`,
  );
  assert.deepEqual([chunked.status, chunked.fault], [413, 'RequestEntityTooLarge']);
});

test('what is no HTTP, or has headers beyond the bound, is refused without harm', async (t) => {
  const api = await bootApi(t);
  assert.match(await exchange(api.port, '\x16\x03\x01\x02\x00\x01\r\n\r\n'), /^HTTP\/1\.1 400 [\s\S]*x-amzn-RequestId/);
  const long = `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'a'.repeat(40_000)}\r\n\r\n`;
  assert.match(await exchange(api.port, long), /^HTTP\/1\.1 431 /);
  assert.equal((await sendSigned(api, 'DELETE', '/things/a')).status, 200);
});

test('an Expect header that nobody knows is passed over: Host, signature and request id as for any request', async (t) => {
  const api = await bootApi(t);
  const foreign = await sendRaw(api.port, 'GET', '/things', { host: 'evil.example', expect: 'miracles' });
  assert.deepEqual([foreign.status, foreign.fault], [403, 'ForbiddenException']);
  const unsigned = await sendRaw(api.port, 'GET', '/things', { host: 'localhost', expect: 'miracles' });
  assert.deepEqual([unsigned.status, unsigned.fault], [403, 'MissingAuthenticationTokenException']);
  assert.match(unsigned.headers.get('x-amzn-requestid') ?? '', /^[0-9a-f-]{36}$/);
});

test('headers that do not come in time are answered 408', async (t) => {
  const api = await bootApi(t, { limits: { headersMs: 50, requestMs: 100 } });
  assert.match(await exchange(api.port, 'GET / HTTP/1.1\r\nHost: lo'), /^HTTP\/1\.1 408 /);
});

test('a client that leaves in the middle of its body leaves nothing behind', async (t) => {
  const api = await bootApi(t);
  const socket = connect(api.port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write('POST /?Action=GetCallerIdentity HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc');
  await new Promise((resolve) => setImmediate(resolve));
  socket.resetAndDestroy();
  assert.equal((await sendSigned(api, 'DELETE', '/things/a')).status, 200);
  assert.equal(api.log.filter(({ error }) => error !== undefined).length, 0);
});

test('beyond requestsMax a request is answered ServiceUnavailableException', async (t) => {
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  let entered = (): void => undefined;
  const inside = new Promise<void>((resolve) => {
    entered = resolve;
  });
  const api = await bootApi(t, {
    limits: { requestsMax: 1 },
    extras: [
      {
        method: 'GET',
        path: '/slow',
        signed: false,
        handle: async () => {
          entered();
          await held;
          return { status: 200, contentType: 'text/plain', body: 'done' };
        },
      },
    ],
  });
  const first = sendRaw(api.port, 'GET', '/slow', { host: 'localhost' });
  await inside;
  const second = await sendRaw(api.port, 'GET', '/slow', { host: 'localhost' });
  assert.deepEqual([second.status, second.fault], [503, 'ServiceUnavailableException']);
  release();
  assert.equal((await first).body, 'done');
});

test('clients that announce a body and never send it hold up nobody: at bodiesMax the longest awaited is given up', async (t) => {
  const api = await bootApi(t, {
    limits: { requestsMax: 2, bodiesMax: 3 },
    extras: [
      { method: 'GET', path: '/open', signed: false, handle: () => ({ status: 200, contentType: 'a/b', body: '' }) },
    ],
  });
  const stalled = ['GET /open', 'POST /?Action=AssumeRoleWithSAML', 'POST /things/a'].flatMap((line) =>
    Array.from({ length: 4 }, () => {
      const socket = connect(api.port, '127.0.0.1');
      t.after(() => socket.destroy());
      socket.write(`${line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n`);
      // what is refused unread, and came last, has its answer: by then the others wait
      return once(socket, line === 'POST /things/a' ? 'data' : 'connect');
    }),
  );
  await Promise.all(stalled);
  assert.equal((await sendSigned(api, 'DELETE', '/things/a')).status, 200);
  assert.equal((await sendRaw(api.port, 'GET', '/open', { host: 'localhost' })).status, 200);
  for (let count = 0; count < 4; count++) {
    assert.equal((await sendSigned(api, 'POST', '/things/b', { body: '{}' })).status, 200);
  }
});

test('a body that is given up is answered ServiceUnavailableException', async (t) => {
  const api = await bootApi(t, { limits: { bodiesMax: 1 } });
  const first = connect(api.port, '127.0.0.1');
  t.after(() => first.destroy());
  first.write('POST /?Action=AssumeRoleWithSAML HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n');
  const given = once(first, 'data');
  let answered = false;
  void given.then(() => {
    answered = true;
  });
  while (!answered) assert.equal((await sendSigned(api, 'POST', '/things/b', { body: '{}' })).status, 200);
  assert.match(String(await given), /^HTTP\/1.1 503 /);
});

test('close lets a request under way finish and then refuses connections', async (t) => {
  let entered = (): void => undefined;
  const inside = new Promise<void>((resolve) => {
    entered = resolve;
  });
  const api = await bootApi(t, {
    extras: [
      {
        method: 'GET',
        path: '/slow',
        signed: false,
        handle: async () => {
          entered();
          await new Promise((resolve) => setImmediate(resolve));
          return { status: 200, contentType: 'text/plain', body: 'done' };
        },
      },
    ],
  });
  const answer = exchange(api.port, 'GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await inside;
  await api.close(5000);
  assert.match(await answer, /connection: close[\s\S]*done$/i);
  await assert.rejects(exchange(api.port, ''), { code: 'ECONNREFUSED' });
});

test('a port in use rejects with EADDRINUSE', async (t) => {
  const api = await bootApi(t);
  await assert.rejects(bootApi(t, { port: api.port }), { code: 'EADDRINUSE' });
});
