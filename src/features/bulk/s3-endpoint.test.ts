import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { makeFolder, otherAccount, testAccount } from '../../../test/call.ts';
import { InputProblem, windowBytes } from './bulk-input.ts';
import { openInput } from './open-input.ts';
import { openS3Endpoint, type S3EndpointOptions } from './s3-endpoint.ts';
import { signS3Get } from './s3-signature.ts';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

const bed = async (t: TestContext, answer: Answer, options: Omit<S3EndpointOptions, 'endpoint'> = {}) => {
  const asked: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    asked.push(request);
    answer(request, response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  // A TCP server's address is an AddressInfo.
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const input = openS3Endpoint({ endpoint: `http://${host}/base/`, ...options });
  t.after(() => {
    input.close();
    server.closeAllConnections();
    server.close();
  });
  const open = (offset = 0, version?: string, key = 'may/lämps 1.json') =>
    input.open({ account: testAccount, bucket: 'fleet', key }, { offset, version });
  return { asked, host, input, open };
};

/** As S3 does it. */
const serving =
  (object: Buffer, etag = '"v1"'): Answer =>
  ({ headers }, response) => {
    const [, first = '0', last = '0'] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? [];
    const [from, end] = [Number(first), Math.min(object.length, Number(last) + 1)];
    if (from >= object.length) {
      return response.writeHead(416, { 'content-range': `bytes */${object.length}` }).end('<Error/>');
    }
    const head = { etag, 'content-range': `bytes ${from}-${end - 1}/${object.length}`, 'content-length': end - from };
    return response.writeHead(206, head).end(object.subarray(from, end));
  };

const fails =
  (message: RegExp, passing = false) =>
  (error: unknown) => {
    assert(error instanceof InputProblem, String(error));
    assert.match(error.message, message);
    assert.equal(error.passing, passing, error.message);
    assert.doesNotMatch(error.message, /127\.0\.0\.1|http:/, 'no address');
    return true;
  };

test('an object is read window by window, by a path-style GET that is not signed', async (t) => {
  const object = Buffer.alloc(windowBytes + 10, 'abc');
  const { asked, host, open } = await bed(t, serving(object));
  const file = await open();
  assert.deepEqual([file.bytes, file.version], [object.length, `${object.length} "v1"`]);
  const first = await file.readAt(0);
  const rest = await file.readAt(windowBytes);
  assert.ok(Buffer.concat([first, rest]).equals(object));
  assert.equal((await file.readAt(object.length)).length, 0);
  assert.deepEqual(
    asked.map(({ method, url, headers }) => [method, url, headers.host, headers.range, headers.authorization]),
    [
      ['GET', '/base/fleet/may/l%C3%A4mps%201.json', host, `bytes=0-${windowBytes - 1}`, undefined],
      ['GET', '/base/fleet/may/l%C3%A4mps%201.json', host, `bytes=${windowBytes}-${2 * windowBytes - 1}`, undefined],
    ],
  );
  const resumed = await open(windowBytes, file.version);
  assert.equal((await resumed.readAt(windowBytes)).length, 10);
});

test('an empty object is one', async (t) => {
  const { open } = await bed(t, serving(Buffer.alloc(0)));
  const file = await open();
  assert.deepEqual([file.bytes, (await file.readAt(0)).length], [0, 0]);
});

test('the signature is that of the example of the S3 API reference', () => {
  const headers = signS3Get(
    {
      accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
      secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
      region: 'us-east-1',
    },
    {
      path: '/test.txt',
      headers: { host: 'examplebucket.s3.amazonaws.com', range: 'bytes=0-9' },
      nowMs: Date.UTC(2013, 4, 24),
    },
  );
  assert.equal(
    headers['authorization'],
    'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
  );
});

test('the key of the configuration signs for its own account alone', async (t) => {
  const key = { accessKeyId: 'minio', secretAccessKey: 'secret', ...testAccount };
  const { asked, input } = await bed(t, serving(Buffer.from('x')), { key });
  for (const account of [testAccount, otherAccount])
    await input.open({ account, bucket: 'b', key: 'k' }, { offset: 0 });
  assert.match(asked[0]?.headers.authorization ?? '', /^AWS4-HMAC-SHA256 Credential=minio\/\d{8}\/us-east-1\/s3\//);
  assert.equal(asked[1]?.headers.authorization, undefined);
});

test('a redirect is not followed, whatever its status', async (t) => {
  const other = await bed(t, serving(Buffer.from('x')));
  for (const status of [301, 302, 303, 307, 308]) {
    const { open } = await bed(t, (_, response) =>
      response.writeHead(status, { location: `http://${other.host}/` }).end(),
    );
    await assert.rejects(open(), fails(/Redirects are not followed/));
  }
  assert.equal(other.asked.length, 0);
});

const statuses: readonly [status: number, message: RegExp, passing: boolean][] = [
  [404, /^There is no object/, false],
  [403, /does not let this server read/, false],
  [401, /does not let this server read/, false],
  [400, /answered 400/, false],
  [204, /answered 204/, false],
  [429, /answered 429/, true],
  [500, /answered 500/, true],
  [503, /answered 503/, true],
];
for (const [status, message, passing] of statuses) {
  test(`the status ${status} is a problem${passing ? ' that may pass' : ''}`, async (t) => {
    const { open } = await bed(t, (_, response) => response.writeHead(status).end());
    await assert.rejects(open(), fails(message, passing));
  });
}

test('an endpoint without Range serves what fits into one window, and nothing more', async (t) => {
  const whole: Answer = (_, response) => response.writeHead(200, { 'content-length': 3 }).end('abc');
  const { open } = await bed(t, whole);
  assert.equal(Buffer.from(await (await open()).readAt(0)).toString(), 'abc');
  await assert.rejects(open(2), fails(/takes no Range/));
  const untold = await bed(t, (_, response) => response.writeHead(200).end('abc'));
  await assert.rejects(untold.open(), fails(/takes no Range/));
  const elsewhere = await bed(t, (_, response) =>
    response.writeHead(206, { 'content-range': 'bytes 5-6/9' }).end('ab'),
  );
  await assert.rejects(elsewhere.open(), fails(/takes no Range/));
});

test('an endpoint that has no bytes where there are some is not believed', async (t) => {
  const { open } = await bed(t, (_, response) => response.writeHead(416, { 'content-range': 'bytes */9' }).end());
  await assert.rejects(open(), fails(/takes no Range/));
  const none = await bed(t, (_, response) => response.writeHead(416).end());
  await assert.rejects(none.open(), fails(/takes no Range/));
});

test('a compressed object is refused, as nobody knows how long it would become', async (t) => {
  for (const encoding of ['gzip', 'br', 'zstd', 'identity, gzip']) {
    const { asked, open } = await bed(t, (_, response) =>
      response.writeHead(200, { 'content-length': 3, 'content-encoding': encoding }).end('abc'),
    );
    await assert.rejects(open(), fails(/is compressed/));
    assert.equal(asked[0]?.headers['accept-encoding'], 'identity');
  }
});

test('a read under way ends when the node does, and none is begun after it', async (t) => {
  const { asked, input, open } = await bed(t, () => input.close());
  await assert.rejects(open(), fails(/broke off/, true));
  await assert.rejects(open(), fails(/stopping/, true));
  assert.equal(asked.length, 1);
});

test('headers without end are not kept', async (t) => {
  const { open } = await bed(t, ({ socket }) => {
    socket.on('error', () => undefined);
    const write = () => {
      if (!socket.destroyed) socket.write(`x-more: ${'y'.repeat(1000)}\r\n`, () => setImmediate(write));
    };
    socket.write('HTTP/1.1 200 OK\r\n');
    write();
  });
  await assert.rejects(open(), fails(/no HTTP/, true));
});

test('an object that is another by now is not read on', async (t) => {
  let etag = '"v1"';
  const object = Buffer.alloc(windowBytes + 1);
  const { open } = await bed(t, (request, response) => serving(object, etag)(request, response));
  const file = await open();
  etag = '"v2"';
  await assert.rejects(file.readAt(windowBytes), fails(/was changed/));
  await assert.rejects(open(0, file.version), fails(/was changed/));
});

test('an endpoint that is silent, breaks off or is no HTTP costs a bounded time and may pass', async (t) => {
  const silent = await bed(t, () => undefined, { timeoutMs: 50 });
  await assert.rejects(silent.open(), fails(/within 0.05 s/, true));
  const slow = await bed(t, (_, response) => response.writeHead(200, { 'content-length': 9 }).write('x'), {
    timeoutMs: 100,
  });
  await assert.rejects(slow.open(), fails(/within 0.1 s/, true));
  const broken = await bed(t, (_, response) => {
    response.writeHead(200, { 'content-length': 9 }).write('x', () => response.destroy());
  });
  await assert.rejects(broken.open(), fails(/broke off/, true));
  const foreign = await bed(t, ({ socket }) => socket.end('SSH-2.0-OpenSSH_9.2\r\n'));
  await assert.rejects(foreign.open(), fails(/no HTTP/, true));
  const nobody = openS3Endpoint({ endpoint: 'http://127.0.0.1:1' });
  const place = { account: testAccount, bucket: 'fleet', key: 'k' };
  await assert.rejects(nobody.open(place, { offset: 0 }), fails(/cannot be reached/, true));
});

test('of a longer answer than was asked for no more is read', async (t) => {
  const closed = Promise.withResolvers<void>();
  const { open } = await bed(t, (_, response) => {
    response.on('close', closed.resolve).writeHead(200, { 'content-length': 10 * windowBytes });
    const write = () => {
      if (!response.destroyed && response.write(Buffer.alloc(65_536))) setImmediate(write);
    };
    response.on('drain', write);
    write();
  });
  const file = await open();
  assert.equal((await file.readAt(0)).length, windowBytes);
  await closed.promise;
});

test('keys that are no plain paths are never asked for', async (t) => {
  const { asked, open } = await bed(t, serving(Buffer.from('x')));
  for (const key of ['../other/x', '/x', 'a//b', 'a/./b']) {
    await assert.rejects(open(0, undefined, key), fails(/no name of an object/));
  }
  assert.equal(asked.length, 0);
});

test('beside a folder the endpoint has the buckets that the account has no folder for', async (t) => {
  const folder = await makeFolder(t);
  await mkdir(`${folder}/${testAccount.accountId}/here`, { recursive: true });
  await writeFile(`${folder}/${testAccount.accountId}/here/k`, 'local');
  const { asked, host } = await bed(t, serving(Buffer.from('there')));
  const input = openInput({ folder, s3: { endpoint: `http://${host}` } });
  const textOf = async (account: typeof testAccount, bucket: string) => {
    const file = await input.open({ account, bucket, key: 'k' }, { offset: 0 });
    const text = Buffer.from(await file.readAt(0)).toString();
    await file.close();
    return text;
  };
  assert.equal(await textOf(testAccount, 'here'), 'local');
  assert.equal(await textOf(testAccount, 'elsewhere'), 'there');
  assert.equal(await textOf(otherAccount, 'here'), 'there');
  assert.deepEqual(
    asked.map(({ url }) => url),
    ['/elsewhere/k', '/here/k'],
  );
});
