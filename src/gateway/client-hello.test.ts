/** What the gateway reads out of a ClientHello, and what it refuses. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ClientHello, isIpLiteral, parseClientHello } from './client-hello.ts';

const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff]);
const vector8 = (...parts: Buffer[]): Buffer => {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([body.length]), body]);
};
const vector16 = (...parts: Buffer[]): Buffer => {
  const body = Buffer.concat(parts);
  return Buffer.concat([u16(body.length), body]);
};
const extension = (type: number, body: Buffer): Buffer => Buffer.concat([u16(type), vector16(body)]);
const hostName = (name: string): Buffer => Buffer.concat([Buffer.from([0]), vector16(Buffer.from(name, 'latin1'))]);
const serverName = (...names: string[]): Buffer => extension(0, vector16(...names.map(hostName)));
const start = Buffer.concat([
  u16(0x0303),
  Buffer.alloc(32),
  vector8(),
  vector16(u16(0xc02b)),
  vector8(Buffer.from([0])),
]);
const hello = (...extensions: Buffer[]): Buffer => Buffer.concat([start, vector16(...extensions)]);

const read = (message: Buffer): ClientHello => {
  const parsed = parseClientHello(message);
  assert.ok(typeof parsed !== 'string', String(parsed));
  return parsed;
};

test('a hello without extensions is one of TLS 1.2 (RFC 5246 7.4.1.2)', () => {
  assert.deepEqual(read(start), {
    legacyVersion: 0x0303,
    supportedVersions: undefined,
    cipherSuites: [0xc02b],
    serverName: undefined,
    alpn: [],
    signatureAlgorithms: undefined,
    certificateSignatureAlgorithms: undefined,
    groups: undefined,
    sessionTicket: false,
    preSharedKey: false,
  });
});

const names: [sent: string, read: string, rule: string][] = [
  ['localhost', 'localhost', 'as it is'],
  ['A.IOT.Us-East-1.Example', 'a.iot.us-east-1.example', 'host names are compared without case (gateway.md 1.1)'],
  ['localhost.', 'localhost', 'a trailing dot is no part of the name (RFC 6066 3)'],
  ['my_host', 'my_host', 'underscores are in use'],
  ['127.0.0.1', '127.0.0.1', 'an IP literal is left to the caller'],
  ['[::1]', '[::1]', 'an IP literal is left to the caller'],
];
for (const [sent, expected, rule] of names) {
  test(`the server name ${sent} is read as ${expected}: ${rule}`, () =>
    assert.equal(read(hello(serverName(sent))).serverName, expected));
}

test('what the client offers is read in its order, and unknown extensions are passed over', () => {
  const parsed = read(
    hello(
      extension(0x4a4a, Buffer.from('grease')),
      extension(16, vector16(vector8(Buffer.from('x-amzn-mqtt-ca')), vector8(Buffer.from('http/1.1')))),
      extension(43, vector8(u16(0x0304), u16(0x0303))),
      extension(13, vector16(u16(0x0804), u16(0x0403))),
      extension(50, vector16(u16(0x0401))),
      extension(10, vector16(u16(0x11ec), u16(0x001d))),
      extension(35, Buffer.from('ticket')),
      extension(41, Buffer.alloc(4)),
    ),
  );
  assert.deepEqual(parsed.alpn, ['x-amzn-mqtt-ca', 'http/1.1']);
  assert.deepEqual(parsed.supportedVersions, [0x0304, 0x0303]);
  assert.deepEqual(parsed.signatureAlgorithms, [0x0804, 0x0403]);
  assert.deepEqual(parsed.certificateSignatureAlgorithms, [0x0401]);
  assert.deepEqual(parsed.groups, [0x11ec, 0x001d]);
  assert.equal(parsed.sessionTicket, true);
  assert.equal(parsed.preSharedKey, true);
});

test('an empty ticket extension asks for a ticket and is none (RFC 5077 3.2)', () =>
  assert.equal(read(hello(extension(35, Buffer.alloc(0)))).sessionTicket, false));

test('of very many ALPN names the first sixteen are kept', () => {
  const many = Array.from({ length: 1000 }, (_, i) => vector8(Buffer.from(`n${i}`)));
  assert.equal(read(hello(extension(16, vector16(...many)))).alpn.length, 16);
});

const malformed: [rule: string, message: Buffer][] = [
  ['nothing at all', Buffer.alloc(0)],
  ['cut inside the random', start.subarray(0, 20)],
  ['cut inside the extensions', hello(serverName('localhost')).subarray(0, -1)],
  ['bytes after the extensions', Buffer.concat([hello(), Buffer.from([0])])],
  ['a version that is not SSL 3 or TLS', Buffer.concat([u16(0x0203), start.subarray(2)])],
  [
    'a session id of more than 32 bytes',
    Buffer.concat([start.subarray(0, 34), vector8(Buffer.alloc(33)), start.subarray(35)]),
  ],
  ['no cipher suite', Buffer.concat([start.subarray(0, 35), vector16(), vector8(Buffer.from([0]))])],
  ['half a cipher suite', Buffer.concat([start.subarray(0, 35), vector16(Buffer.alloc(3)), vector8(Buffer.from([0]))])],
  ['no compression method', Buffer.concat([start.subarray(0, 35), vector16(u16(0xc02b)), vector8()])],
  ['an extension twice (RFC 8446 4.2)', hello(extension(0x4a4a, Buffer.alloc(0)), extension(0x4a4a, Buffer.alloc(0)))],
  ['two host names (RFC 6066 3)', hello(serverName('a', 'b'))],
  ['no host name in the list', hello(serverName())],
  ['an empty host name', hello(serverName(''))],
  ['a host name of only a dot', hello(serverName('.'))],
  ['a host name with a NUL', hello(serverName('localhost\0.evil'))],
  ['a host name with a space', hello(serverName('local host'))],
  ['a host name with a shell expansion', hello(serverName('$(touch x)'))],
  ['a host name of 256 characters', hello(serverName('a'.repeat(256)))],
  ['a server name of another type', hello(extension(0, vector16(Buffer.from([1]), vector16(Buffer.from('x')))))],
  ['an empty server name extension', hello(extension(0, Buffer.alloc(0)))],
  ['an ALPN list without names', hello(extension(16, vector16()))],
  ['an empty ALPN name (RFC 7301 3.1)', hello(extension(16, vector16(vector8())))],
  ['an ALPN name that is longer than its list', hello(extension(16, vector16(Buffer.from([9, 65]))))],
  ['an odd list of groups', hello(extension(10, vector16(Buffer.alloc(3))))],
  ['an empty list of signature algorithms', hello(extension(13, vector16()))],
  ['a list of versions that is longer than its extension', hello(extension(43, Buffer.from([4, 3, 4])))],
  ['an extension that is longer than the block', hello(Buffer.concat([u16(99), u16(9), Buffer.alloc(3)]))],
];
test('a malformed host name is called so', () => {
  assert.equal(parseClientHello(hello(serverName('local host'))), 'malformed ClientHello: host name (SNI)');
  assert.equal(parseClientHello(hello(extension(16, vector16()))), 'malformed ClientHello: extension 16');
});
for (const [rule, message] of malformed) {
  test(`a hello is malformed with ${rule}`, () => assert.match(String(parseClientHello(message)), /^malformed/));
}

test('IP literals, with and without brackets, are known as such', () => {
  for (const literal of ['127.0.0.1', '::1', '[::1]', 'fe80::1%eth0']) assert.ok(isIpLiteral(literal), literal);
  for (const name of ['localhost', '127.0.0.1.example', 'a:b', '[localhost]']) assert.ok(!isIpLiteral(name), name);
});
