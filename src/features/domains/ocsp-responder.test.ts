/** Who is asked for OCSP responses, and what an answer may cost. Source: issue "Accounts, IAM, ACM and custom domains"; RFC 6960 appendix A.1. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { OcspUnavailable, openOcspResponders } from './ocsp-responder.ts';

const refused = (message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof OcspUnavailable, String(error));
  assert.match(error.message, message);
  return true;
};

const request = Buffer.from('3003020101', 'hex');
const bed = async (t: TestContext, answer: RequestListener, timeoutMs?: number) => {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  // A TCP server's address is an AddressInfo.
  const place = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const responders = openOcspResponders({ allowed: [place], ...(timeoutMs !== undefined && { timeoutMs }) });
  t.after(() => {
    responders.close();
    server.closeAllConnections();
    server.close();
  });
  return { place, ask: () => responders.ask(responders.choose([`http://${place}/ocsp/a?b`]), request) };
};

const allowed = ['ocsp.example.com', 'ocsp.example.com:8080', '10.0.0.1:80', '[::1]:8443'];
const choices: [address: string, isAsked: boolean][] = [
  ['http://ocsp.example.com/x', true],
  ['http://OCSP.example.com:80', true],
  ['https://ocsp.example.com', true],
  ['http://ocsp.example.com:8080/x', true],
  ['http://10.0.0.1/', true],
  ['http://0x0a.1:80/', true], // the same address, written otherwise
  ['https://[0:0::1]:8443/', true],
  ['http://ocsp.example.com:8081/x', false],
  ['http://ocsp.example.com:443', false],
  ['https://10.0.0.1/', false],
  ['http://x.ocsp.example.com/', false],
  ['http://ocsp.example.com.attacker.example/', false],
  ['http://ocsp.example.com@attacker.example/', false],
  ['http://a:b@ocsp.example.com/', false],
  ['http://attacker.example/#@ocsp.example.com', false],
  ['http://attacker.example\\@ocsp.example.com/', false],
  ['http://127.0.0.1/', false],
  ['http://169.254.169.254/latest/meta-data', false],
  ['file://ocsp.example.com/etc/passwd', false],
  ['ldap://ocsp.example.com/', false],
  ['gopher://ocsp.example.com:8080/', false],
  ['ocsp.example.com', false],
  ['', false],
];
test('no host is asked but those that the operator named, on the ports that were named', (t) => {
  const responders = openOcspResponders({ allowed });
  t.after(responders.close);
  for (const [address, isAsked] of choices) {
    if (isAsked) assert.equal(responders.choose([address]).href, new URL(address).href);
    else assert.throws(() => responders.choose([address]), refused(/not among those .*--ocsp-responders/), address);
  }
  const second = responders.choose(['http://attacker.example/', 'http://ocsp.example.com/b', 'http://10.0.0.1/c']);
  assert.equal(second.href, 'http://ocsp.example.com/b');
  assert.throws(() => responders.choose([]), refused(/names no OCSP responder/));
});

test('without the flag nobody is asked', () => {
  assert.throws(() => openOcspResponders({ allowed: [] }).choose(['http://localhost/']), refused(/not among those/));
});

test('the request is POSTed as RFC 6960 says, and the body is the answer', async (t) => {
  const asked: unknown[] = [];
  const { place, ask } = await bed(t, async (incoming, response) => {
    const { method, url, headers } = incoming;
    asked.push([method, url, headers.host, headers['content-type'], headers.authorization, headers.cookie]);
    asked.push((await buffer(incoming)).toString('hex'));
    response.end('answer');
  });
  assert.equal(Buffer.from(await ask()).toString(), 'answer');
  const head = ['POST', '/ocsp/a?b', place, 'application/ocsp-request', undefined, undefined];
  assert.deepEqual(asked, [head, request.toString('hex')]);
});

test('a redirect is not followed, whatever its status', async (t) => {
  let followed = 0;
  const aim = await bed(t, (_, response) => response.end(String(++followed)));
  for (const status of [301, 302, 303, 307, 308]) {
    const { ask } = await bed(t, (_, response) =>
      response.writeHead(status, { location: `http://${aim.place}/` }).end(),
    );
    await assert.rejects(ask(), refused(new RegExp(`HTTP status ${status}; redirects are not followed`)));
  }
  assert.equal(followed, 0);
});

for (const status of [204, 206, 400, 404, 500, 503]) {
  test(`the status ${status} is no answer`, async (t) => {
    const { ask } = await bed(t, (_, response) => response.writeHead(status).end());
    await assert.rejects(ask(), refused(new RegExp(`HTTP status ${status}$`)));
  });
}

test('an endless answer is read to its bound and no further', async (t) => {
  const cut = Promise.withResolvers<void>();
  const { ask } = await bed(t, (_, response) => {
    const write = (): void => {
      if (!response.destroyed && response.write(Buffer.alloc(1024))) setImmediate(write);
    };
    response.on('drain', write).on('close', cut.resolve);
    write();
  });
  await assert.rejects(ask(), refused(/more than 4 KiB/));
  await cut.promise;
});

test('a responder that is silent, and one that never ends, cost a bounded time', async (t) => {
  const silent = await bed(t, () => undefined, 50);
  await assert.rejects(silent.ask(), refused(/no whole answer within 0.05 s/));
  const dripping = await bed(
    t,
    (_, response) => {
      const timer = setInterval(() => response.write('x'), 5);
      response.on('close', () => clearInterval(timer));
    },
    100,
  );
  await assert.rejects(dripping.ask(), refused(/no whole answer within 0.1 s/));
});

const foreign: [what: string, bytes: string, message: RegExp][] = [
  ['headers beyond their bound', `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(10_000)}\r\n\r\n`, /HPE_HEADER_OVERFLOW/],
  ['what is no HTTP', 'SSH-2.0-OpenSSH_9.2\r\n', /HPE_/],
  ['a protocol switch', 'HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n', /no OCSP/],
  ['an answer broken off', 'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n0', /broke off/],
  ['nothing', '', /cannot be reached, or is none/],
];
for (const [what, bytes, message] of foreign) {
  test(`${what} is no answer`, async (t) => {
    const server = createTcpServer((socket: Socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end(bytes));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const place = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const responders = openOcspResponders({ allowed: [place] });
    t.after(() => server.close());
    await assert.rejects(responders.ask(new URL(`http://${place}/`), request), refused(message));
  });
}

test('a closed port is told without its address', async () => {
  const responders = openOcspResponders({ allowed: ['127.0.0.1:1'] });
  await assert.rejects(responders.ask(new URL('http://127.0.0.1:1/'), request), (error: unknown) => {
    assert.ok(error instanceof OcspUnavailable);
    assert.match(error.message, /cannot be reached, or is none \(ECONNREFUSED\)$/);
    return true;
  });
});
