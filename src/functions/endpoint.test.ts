import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { FailureKind, FunctionFailure } from './failure.ts';
import { createInvoker, type Invocation } from './invoker.ts';

const account = { accountId: '111111111111', region: 'us-east-1' };
const functionArn = 'arn:aws:lambda:us-east-1:111111111111:function:hook';
const invocation: Invocation = { functionArn, account, event: { serial: 'ä1' } };

const readText = async (request: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
};

/** A server of HTTP, and an invoker that uses it. */
const bed = async (t: TestContext, listener: RequestListener, path = '') => {
  const server = createServer({ keepAliveTimeout: 60_000 }, listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  // A TCP server's address is an AddressInfo.
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`;
  const invoker = createInvoker({ endpoint: url });
  t.after(async () => {
    await invoker.close();
    server.closeAllConnections();
    server.close();
  });
  return { url, invoker, server };
};

/** A server that speaks as `speak` says after it heard something. */
const rawBed = async (t: TestContext, speak: (socket: Socket, heard: number) => void) => {
  const sockets = new Set<Socket>();
  let heard = 0;
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', () => speak(socket, ++heard));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const invoker = createInvoker({ endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
  t.after(async () => {
    await invoker.close();
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { invoker, sockets };
};

const fails = (kind: FailureKind, message: RegExp) => (error: FunctionFailure) => {
  assert.equal(error.name, 'FunctionFailure', String(error));
  assert.deepEqual([error.kind, message.test(error.message)], [kind, true], error.message);
  return true;
};

test('the event is POSTed to the path of Invoke, and the answer is the JSON of the body', async (t) => {
  const asked: unknown[] = [];
  const { invoker } = await bed(
    t,
    async (request, response) => {
      const { method, url, headers } = request;
      asked.push([
        method,
        url,
        headers['x-amz-invocation-type'],
        headers['x-fleetgate-function-arn'],
        headers['authorization'],
      ]);
      asked.push(await readText(request));
      response.end('{"allowProvisioning":true}');
    },
    '/base/',
  );
  assert.deepEqual(await invoker.invoke(invocation), { allowProvisioning: true });
  assert.deepEqual(asked, [
    ['POST', '/base/2015-03-31/functions/hook/invocations', 'RequestResponse', functionArn, undefined],
    '{"serial":"ä1"}',
  ]);
});

test('version and alias go with the name, percent-encoded', async (t) => {
  const { invoker } = await bed(t, (request, response) => response.end(JSON.stringify(request.url)));
  const answers = ['live', '$LATEST'].map((qualifier) =>
    invoker.invoke({ ...invocation, functionArn: `${functionArn}:${qualifier}` }),
  );
  assert.deepEqual(await Promise.all(answers), [
    '/2015-03-31/functions/hook%3Alive/invocations',
    '/2015-03-31/functions/hook%3A%24LATEST/invocations',
  ]);
});

test('a function of another account, another region or no function is not asked for', async (t) => {
  let asked = 0;
  const { invoker } = await bed(t, (_, response) => response.end(String(++asked)));
  for (const wrong of [
    functionArn.replace('111111111111', '222222222222'),
    functionArn.replace('us-east-1', 'eu-west-1'),
    `${functionArn}/../../x`,
    'http://169.254.169.254/',
  ]) {
    await assert.rejects(
      invoker.invoke({ ...invocation, functionArn: wrong }),
      fails('not-found', /another account|not the ARN/),
    );
  }
  assert.equal(asked, 0);
});

test('X-Amz-Function-Error makes an error of the answer; what it says is detail, and not in the sentence', async (t) => {
  const { invoker } = await bed(t, (_, response) => {
    response.setHeader('X-Amz-Function-Error', 'Unhandled');
    response.end(JSON.stringify({ errorType: 'TypeError', errorMessage: `serial 42\u001b[2J ${'x'.repeat(5000)}` }));
  });
  await assert.rejects(invoker.invoke(invocation), (error: FunctionFailure) => {
    assert.equal(error.kind, 'error');
    assert.equal(error.message, 'The function hook ended with an error (TypeError).');
    assert.match(error.detail, /^serial 42\\u001b\[2J x+/);
    assert.ok(error.detail.length < 1100);
    return true;
  });
});

const statuses: readonly [status: number, kind: FailureKind, message: RegExp][] = [
  [404, 'not-found', /knows no function hook/],
  [429, 'busy', /no capacity/],
  [400, 'error', /answered 400/],
  [500, 'error', /answered 500/],
  [503, 'error', /answered 503/],
  [202, 'bad-answer', /answered 202 in place of 200/],
  [204, 'bad-answer', /answered 204/],
];
for (const [status, kind, message] of statuses) {
  test(`the status ${status} is a failure, ${kind}, whatever the body allows`, async (t) => {
    const { invoker } = await bed(t, (_, response) => response.writeHead(status).end('{"allowProvisioning":true}'));
    await assert.rejects(invoker.invoke(invocation), fails(kind, message));
  });
}

test('a redirect is not followed', async (t) => {
  let followed = 0;
  const aim = await bed(t, (_, response) => response.end(String(++followed)));
  for (const status of [301, 302, 303, 307, 308]) {
    const { invoker } = await bed(t, (_, response) => response.writeHead(status, { location: aim.url }).end());
    await assert.rejects(invoker.invoke(invocation), fails('bad-answer', /Redirects are not followed/));
  }
  assert.equal(followed, 0);
});

for (const body of ['', 'yes', '{"allowProvisioning":true', Buffer.from([0x22, 0xff, 0x22])]) {
  test(`${JSON.stringify(body)} is no answer`, async (t) => {
    const { invoker } = await bed(t, (_, response) => response.end(body));
    await assert.rejects(invoker.invoke(invocation), fails('bad-answer', /no JSON/));
  });
}

test('an endless answer is read to its bound and no further', async (t) => {
  let isCut = false;
  const cut = Promise.withResolvers<void>();
  const { invoker } = await bed(t, (_, response) => {
    const write = (): void => {
      if (!isCut && response.write(' '.repeat(16_384))) setImmediate(write);
    };
    response.on('drain', write).on('close', () => {
      isCut = true;
      cut.resolve();
    });
    write();
  });
  await assert.rejects(invoker.invoke(invocation), fails('bad-answer', /more than 256 kB/));
  await cut.promise;
});

test('an answer that does not begin, and one that does not end, end at the time-out', async (t) => {
  const silent = await bed(t, () => {});
  await assert.rejects(silent.invoker.invoke({ ...invocation, timeoutMs: 50 }), fails('timeout', /within 0.05 s/));
  const dripping = await bed(t, (_, response) => {
    const timer = setInterval(() => response.write(' '), 5);
    response.on('close', () => clearInterval(timer));
  });
  await assert.rejects(dripping.invoker.invoke({ ...invocation, timeoutMs: 100 }), fails('timeout', /within 0.1 s/));
});

const foreign: readonly [what: string, bytes: string, kind: FailureKind, message: RegExp][] = [
  ['headers beyond their bound', `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`, 'bad-answer', /no HTTP/],
  ['what is no HTTP', 'SSH-2.0-OpenSSH_9.2\r\n', 'bad-answer', /no HTTP/],
  [
    'a protocol switch',
    'HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n',
    'bad-answer',
    /answered 101/,
  ],
  ['an answer broken off', 'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"allow', 'error', /broke off/],
  ['nothing', '', 'error', /cannot be reached/],
];
for (const [what, bytes, kind, message] of foreign) {
  test(`${what} is a failure`, async (t) => {
    const { invoker } = await rawBed(t, (socket) => socket.end(bytes));
    await assert.rejects(invoker.invoke(invocation), fails(kind, message));
  });
}

test('a kept connection that the server has closed meanwhile costs no failure', async (t) => {
  const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n7';
  const { invoker, sockets } = await rawBed(t, (socket, heard) => {
    if (heard === 2) socket.resetAndDestroy();
    else socket.write(ok);
  });
  assert.equal(await invoker.invoke(invocation), 7);
  assert.equal(await invoker.invoke(invocation), 7);
  assert.equal(sockets.size, 2);
});

test('connections are kept and used again', async (t) => {
  const { invoker, server } = await bed(t, (_, response) => response.end('1'));
  let connections = 0;
  server.on('connection', () => connections++);
  for (let i = 0; i < 5; i++) await invoker.invoke(invocation);
  assert.equal(connections, 1);
});

test('a closed port is a failure that names no host', async () => {
  const server = createTcpServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  const invoker = createInvoker({ endpoint: `http://127.0.0.1:${port}` });
  await assert.rejects(invoker.invoke(invocation), (error: FunctionFailure) => {
    assert.deepEqual(
      [error.kind, error.message],
      ['error', 'The functions endpoint cannot be reached (ECONNREFUSED).'],
    );
    return true;
  });
  await invoker.close();
});

test('no more requests run at once than the bounds say, and those beyond the wait are refused', async (t) => {
  let running = 0;
  let most = 0;
  const held: (() => void)[] = [];
  const arrived = Promise.withResolvers<void>();
  const { url } = await bed(t, (_, response) => {
    most = Math.max(most, ++running);
    held.push(() => {
      running--;
      response.end('1');
    });
    if (held.length === 2) arrived.resolve();
  });
  const bounds = { runningMax: 2, runningPerAccountMax: 2, waitingMax: 1, waitingPerAccountMax: 1 };
  const invoker = createInvoker({ endpoint: url, endpointBounds: bounds });
  const three = [1, 2, 3].map(() => invoker.invoke(invocation));
  await arrived.promise;
  await assert.rejects(invoker.invoke(invocation), fails('busy', /wait already/));
  const all = Promise.all(three);
  const release = setInterval(() => {
    for (const end of held.splice(0)) end();
  }, 5);
  assert.deepEqual(await all, [1, 1, 1]);
  clearInterval(release);
  assert.equal(most, 2);
  await invoker.close();
});

test('closing ends what runs, and nothing is asked afterwards', async (t) => {
  const asked = Promise.withResolvers<void>();
  const { invoker } = await bed(t, () => asked.resolve());
  const refused = assert.rejects(invoker.invoke(invocation), fails('busy', /stopping/));
  await asked.promise;
  await invoker.close();
  await refused;
  await assert.rejects(invoker.invoke(invocation), fails('busy', /stopping/));
});

test('a proxy of the environment is not used, not even when Node is told to', async (t) => {
  let proxied = 0;
  const proxy = await bed(t, (_, response) => response.end(String(++proxied)));
  const { url } = await bed(t, (_, response) => response.end('"direct"'));
  const program = `
    import { createInvoker } from ${JSON.stringify(new URL('./invoker.ts', import.meta.url).href)};
    const invoker = createInvoker({ endpoint: ${JSON.stringify(url)} });
    console.log(await invoker.invoke(${JSON.stringify(invocation)}));
    await invoker.close();`;
  const env = { NODE_USE_ENV_PROXY: '1', HTTP_PROXY: proxy.url, http_proxy: proxy.url, ALL_PROXY: proxy.url };
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let printed = '';
  child.stdout.on('data', (chunk) => {
    printed += chunk;
  });
  await once(child, 'close');
  assert.equal(printed, 'direct\n');
  assert.equal(proxied, 0);
});

test('an event beyond its bound is not sent', async (t) => {
  let asked = 0;
  const { invoker } = await bed(t, (_, response) => response.end(String(++asked)));
  await assert.rejects(
    invoker.invoke({ ...invocation, event: 'x'.repeat(300_000) }),
    fails('error', /longer than 256 kB/),
  );
  assert.equal(asked, 0);
});
