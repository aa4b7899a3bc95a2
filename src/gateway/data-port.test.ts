/** HTTPS on the data port: who a request comes from, what is served, and what is refused. Source: spec gateway.md 1, 2.2, 3, 4; design 3. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent } from 'node:https';
import { test } from 'node:test';
import {
  type Asking,
  bootData,
  type DataBed,
  device,
  dial,
  otherDevice,
  presigned,
  send,
  signed,
  withCertificate,
} from '../../test/data-bed.ts';
import type { Reason } from '../journal/record.ts';

const shownPath = '/retainedMessage/a%2Fb';
const shown = async (bed: DataBed, asking: Asking) => {
  const { status, body } = await send(bed, 'GET', shownPath, asking);
  assert.equal(status, 200, JSON.stringify(body));
  return JSON.parse(String(body['topic']));
};

test('a publish is answered as AWS answers it: OK, and one id in body and header (gateway.md 3, check 34)', async (t) => {
  const bed = await bootData(t);
  for (const path of ['/topics/a%2Fb?qos=1', '/topics/a/b', '/topics/a//b', '/topics//a']) {
    const { status, headers, body } = await send(bed, 'POST', path, { tls: withCertificate, body: 'x' });
    assert.deepEqual([status, body['message']], [200, 'OK'], path);
    assert.equal(body['traceId'], headers['x-amzn-requestid']);
    assert.equal(headers['content-type'], 'application/json');
  }
});

test('without a signature the certificate is the principal', async (t) => {
  const bed = await bootData(t);
  assert.deepEqual(await shown(bed, { tls: withCertificate }), {
    topic: 'a/b',
    account: '000000000000',
    arn: `arn:aws:iot:us-east-1:000000000000:cert/${device.certificateId}`,
    principal: device.certificateId,
  });
});

for (const service of ['iotdata', 'iotdevicegateway']) {
  test(`a signature for ${service} is the principal, whatever certificate is there (2.2)`, async (t) => {
    const bed = await bootData(t);
    const headers = signed(bed, 'GET', shownPath, { service });
    const { arn, principal } = await shown(bed, { headers, tls: withCertificate });
    assert.deepEqual([arn, principal], ['arn:aws:iam::000000000000:root', '000000000000']);
    assert.equal(bed.asked(), 0);
  });
}

test('ALPN x-amzn-http-ca: the certificate is the principal, a signature is not looked at (1)', async (t) => {
  const bed = await bootData(t);
  const tls = { ...withCertificate, ALPNProtocols: ['x-amzn-http-ca'] };
  const headers = { ...signed(bed, 'GET', shownPath), authorization: 'AWS4-HMAC-SHA256 nonsense' };
  assert.equal((await shown(bed, { headers, tls })).principal, device.certificateId);
});

const refusals: [rule: string, reason: Reason, asking: (bed: DataBed) => Asking, path?: string][] = [
  ['neither certificate nor signature', 'NOT_AUTHENTICATED', () => ({})],
  [
    'a custom authorizer, which this version does not have',
    'NOT_AVAILABLE',
    () => ({ headers: { 'x-amz-customauthorizer-name': 'mine' } }),
  ],
  [
    'a certificate that is not registered',
    'DEVICE_CERTIFICATE_NOT_REGISTERED',
    () => ({ tls: { cert: otherDevice.certificatePem, key: otherDevice.keyPem } }),
  ],
  [
    'a tampered signature, though the certificate would do',
    'SECURITY_TOKEN_SIGNATURE_MISMATCH',
    (bed) => {
      const { authorization = '', ...headers } = signed(bed, 'GET', shownPath);
      const changed = authorization.replace(/.$/, (digit) => (digit === '0' ? '1' : '0'));
      return { headers: { ...headers, authorization: changed }, tls: withCertificate };
    },
  ],
  [
    'a signature of another path',
    'SECURITY_TOKEN_SIGNATURE_MISMATCH',
    (bed) => ({ headers: signed(bed, 'GET', '/retainedMessage/other') }),
  ],
  [
    'an old signature',
    'SECURITY_TOKEN_EXPIRED',
    (bed) => ({ headers: signed(bed, 'GET', shownPath, { nowMs: Date.now() - 400_000 }) }),
  ],
  [
    'an unknown key',
    'SECURITY_TOKEN_INVALID',
    (bed) => ({ headers: signed(bed, 'GET', shownPath, { accessKeyId: 'AKIDUNKNOWN' }) }),
  ],
  [
    'a key of another account than the endpoint',
    'SECURITY_TOKEN_INVALID',
    (bed) => ({ headers: signed(bed, 'GET', shownPath, { accessKeyId: '111122223333' }) }),
  ],
  [
    'another region than the endpoint',
    'SECURITY_TOKEN_INVALID',
    (bed) => ({ headers: signed(bed, 'GET', shownPath, { region: 'eu-west-1' }) }),
  ],
  [
    'the service of the control plane',
    'SECURITY_TOKEN_INVALID',
    (bed) => ({ headers: signed(bed, 'GET', shownPath, { service: 'iot' }) }),
  ],
  ['a signature that cannot be read', 'SECURITY_TOKEN_INVALID', () => ({ headers: { authorization: 'Bearer x' } })],
];
for (const [rule, reason, asking] of refusals) {
  test(`403 ForbiddenException, and ${reason} in the journal: ${rule}`, async (t) => {
    const bed = await bootData(t);
    const { status, headers, body } = await send(bed, 'GET', shownPath, asking(bed));
    assert.deepEqual([status, headers['x-amzn-errortype']], [403, 'ForbiddenException']);
    assert.deepEqual(Object.keys(body).sort(), ['message', 'traceId']);
    const record = await bed.records.next();
    assert.deepEqual([record.eventType, record.reason], ['Connection.AuthNError', reason]);
    assert.equal(record.account?.accountId, '000000000000', 'the account of the host name');
    assert.equal(record.tls?.serverName, 'localhost');
  });
}

test('a presigned request that is refused leaves nothing of its query in the journal', async (t) => {
  const bed = await bootData(t);
  const path = presigned(bed, { path: shownPath, service: 'iotdata', secretAccessKey: 'wrong' });
  assert.equal((await send(bed, 'GET', path)).status, 403);
  assert.doesNotMatch(JSON.stringify(await bed.records.next()), /X-Amz|Credential|AWS4/);
});

test('one connection asks the registry once, and gives its right back at its end', async (t) => {
  const bed = await bootData(t);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (let i = 0; i < 3; i++) await shown(bed, { tls: withCertificate, agent });
  assert.deepEqual([bed.asked(), bed.rights.released], [1, 0]);
  agent.destroy();
  while (bed.rights.released === 0) await new Promise((resolve) => setImmediate(resolve));
});

test('a certificate that is no longer ACTIVE loses its connection', async (t) => {
  const bed = await bootData(t);
  const socket = await dial(bed, withCertificate);
  socket.write(`GET ${shownPath} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
  await once(socket, 'data');
  bed.rights.lose('CERTIFICATE_NO_LONGER_ACTIVE');
  socket.resume();
  await once(socket, 'close');
});

const unserved: [method: string, path: string, status: number, rule: string][] = [
  ['GET', '/', 404, 'no greeting here'],
  ['GET', '/things', 404, 'an operation of the control plane'],
  ['POST', '/?Action=GetCallerIdentity&Version=2011-06-15', 404, 'nor one of another service'],
  ['GET', '/_fleetgate/health', 404, "the node's own pages"],
  ['GET', '/mqtt', 404, 'WebSocket without an upgrade'],
  ['GET', '/topics/a', 405, 'another method of a known path'],
  ['GET', '/things/a/shadow', 501, 'an operation to come names itself'],
];
for (const [method, path, status, rule] of unserved) {
  test(`${method} ${path} is ${status}: ${rule}`, async (t) => {
    const bed = await bootData(t);
    const answer = await send(bed, method, path, { tls: withCertificate });
    assert.equal(answer.status, status);
    assert.equal(typeof answer.body['traceId'], 'string', 'in the wire of iot-data');
  });
}

test('a payload above the bound is 413 (gateway.md 3)', async (t) => {
  const bed = await bootData(t);
  const answer = await send(bed, 'POST', '/topics/a', { tls: withCertificate, body: 'x'.repeat(131_073) });
  assert.deepEqual([answer.status, answer.headers['x-amzn-errortype']], [413, 'RequestEntityTooLargeException']);
});

const pages: [rule: string, headers: Record<string, string>, status: number][] = [
  ['a Host that is not of this server (DNS rebinding)', { host: 'rebound.example' }, 403],
  ['a page of a foreign origin', { origin: 'https://evil.example' }, 403],
  ["the server's own name over http", { origin: 'http://localhost' }, 403],
  ['an image on a foreign page', { 'sec-fetch-site': 'cross-site' }, 403],
  ['an allowed origin', { origin: 'https://console.example' }, 200],
];
for (const [rule, headers, status] of pages) {
  test(`${rule}: ${status}, certificate or not (design 3)`, async (t) => {
    const bed = await bootData(t);
    assert.equal((await send(bed, 'POST', '/topics/a', { headers, tls: withCertificate })).status, status);
  });
}

test('MQTT bytes without ALPN: closed without an answer, explained in the journal (gateway.md 14, check 3)', async (t) => {
  const bed = await bootData(t);
  const socket = await dial(bed, withCertificate);
  socket.write(Buffer.from('101000044d5154540402003c000464657631', 'hex'));
  let received = 0;
  socket.on('data', (chunk) => {
    received += chunk.length;
  });
  await once(socket, 'close');
  assert.equal(received, 0);
  const record = await bed.records.next();
  assert.deepEqual([record.reason, record.account?.accountId], ['PROTOCOL_MISMATCH', '000000000000']);
});

test('whoever says nothing, or an endless header, is cut in time', async (t) => {
  const bed = await bootData(t, { httpLimits: { headersMs: 50 } });
  const silent = await dial(bed, withCertificate);
  const slow = await dial(bed, withCertificate);
  slow.write('POST /topics/a HTTP/1.1\r\nx: ');
  await Promise.all([silent, slow].map((socket) => once(socket.resume(), 'close')));
});

test('a body that is withheld is cut in time', async (t) => {
  const bed = await bootData(t, { httpLimits: { headersMs: 50, requestMs: 100 } });
  const socket = await dial(bed, withCertificate);
  socket.write('POST /topics/a HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\nx');
  await once(socket.resume(), 'close');
});

test('connections that ask nothing make room from among their own', async (t) => {
  const bed = await bootData(t, { httpLimits: { connectionsMax: 2 } });
  const first = await dial(bed, withCertificate);
  const firstClosed = once(first.resume(), 'close');
  const second = await dial(bed, withCertificate);
  assert.equal((await send(bed, 'POST', '/topics/a', { tls: withCertificate })).status, 200);
  await firstClosed;
  second.destroy();
});
