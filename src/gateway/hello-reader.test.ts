/** A ClientHello is found however its bytes are cut into records and chunks; hostile bytes cost a refusal. Hellos are those of real clients. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { connect } from 'node:tls';
import fc from 'fast-check';
import type { ClientHello } from './client-hello.ts';
import { ClientHelloReader, type HelloReading } from './hello-reader.ts';

const bytesMax = 65_536;

/** The first bytes that a client sends to a server that never answers. */
const capture = async (dial: (port: number) => { kill(): void }): Promise<Buffer> => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = dial((server.address() as AddressInfo).port);
  const [socket] = (await once(server, 'connection')) as [Socket];
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  client.kill();
  socket.destroy();
  server.close();
  return bytes;
};

const node = (options: object) => (port: number) => {
  const socket = connect({ port, host: '127.0.0.1', ...options });
  socket.on('error', () => {});
  return { kill: () => socket.destroy() };
};
const openssl =
  (...args: string[]) =>
  (port: number) =>
    spawn('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, ...args], { stdio: 'ignore' });

const captured: readonly (readonly [name: string, bytes: Buffer])[] = await Promise.all([
  capture(node({ servername: 'localhost', ALPNProtocols: ['x-amzn-mqtt-ca'] })).then((b) => ['Node', b] as const),
  capture(node({ servername: 'localhost', maxVersion: 'TLSv1.2' })).then((b) => ['Node with TLS 1.2', b] as const),
  capture(openssl('-servername', 'localhost', '-alpn', 'x-amzn-mqtt-ca')).then((b) => ['openssl', b] as const),
  capture(openssl('-servername', 'localhost', '-tls1_2')).then((b) => ['openssl with TLS 1.2', b] as const),
]);

/** Gives the chunks to one reader until it stops asking for more. */
const readAll = (chunks: Iterable<Buffer>, reader = new ClientHelloReader(bytesMax)): HelloReading => {
  let reading: HelloReading = { kind: 'more' };
  for (const chunk of chunks) {
    reading = reader.push(chunk);
    if (reading.kind !== 'more') break;
  }
  return reading;
};

const helloOf = (bytes: Buffer): ClientHello => {
  const reading = readAll([bytes]);
  assert.equal(reading.kind, 'hello');
  return reading.kind === 'hello' ? reading.hello : assert.fail();
};

/** `bytes` cut after each of the given lengths, which are used in turn. */
const cut = (bytes: Buffer, lengths: readonly number[]): Buffer[] => {
  const pieces: Buffer[] = [];
  for (let at = 0, i = 0; at < bytes.length; i += 1) {
    const length = lengths[i % lengths.length] ?? 1;
    pieces.push(bytes.subarray(at, at + length));
    at += length;
  }
  return pieces;
};

/** The same handshake bytes in records of the given lengths. */
const inRecords = (bytes: Buffer, lengths: readonly number[]): Buffer =>
  Buffer.concat(
    cut(bytes.subarray(5), lengths).map((content) =>
      Buffer.concat([Buffer.from([22, 3, 1, content.length >> 8, content.length & 0xff]), content]),
    ),
  );

for (const [name, bytes] of captured) {
  const whole = helloOf(bytes);

  test(`${name}: the server name and the offers are those that it was told to send`, () => {
    assert.equal(whole.serverName, 'localhost');
    assert.equal(whole.supportedVersions?.includes(0x0304) ?? false, !name.includes('1.2'));
    assert.deepEqual(whole.alpn, name.includes('1.2') ? [] : ['x-amzn-mqtt-ca']);
    assert.ok(whole.signatureAlgorithms?.includes(0x0403));
    assert.ok(whole.groups?.includes(0x0017));
  });

  test(`${name}: every split into two chunks yields the same hello, and all bytes are kept`, () => {
    for (let at = 1; at < bytes.length; at += 1) {
      const reader = new ClientHelloReader(bytesMax);
      assert.equal(reader.push(bytes.subarray(0, at)).kind, 'more', `after ${at} bytes`);
      const reading = reader.push(bytes.subarray(at));
      assert.deepEqual(reading, { kind: 'hello', hello: whole });
      assert.deepEqual(reader.received(), bytes);
    }
  });

  test(`${name}: any records in any chunks yield the same hello (RFC 8446 5.1)`, () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(lengths, lengths, (records, chunks) => {
        const sent = inRecords(bytes, records);
        const reader = new ClientHelloReader(bytesMax);
        assert.deepEqual(readAll(cut(sent, chunks), reader), { kind: 'hello', hello: whole });
        assert.deepEqual(reader.received(), sent.subarray(0, reader.received().length));
      }),
      { numRuns: 200 },
    );
  });

  test(`${name}: with changed bytes it is a hello or a refusal, whole or cut, and never an exception`, () => {
    const change = fc.tuple(fc.nat(bytes.length - 1), fc.nat(255));
    fc.assert(
      fc.property(
        fc.array(change, { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 600 }),
        (changes, size) => {
          const changed = Buffer.from(bytes);
          for (const [at, value] of changes) changed[at] = value;
          const once = readAll([changed]);
          const pieces = readAll(cut(changed, [size]));
          assert.deepEqual(pieces.kind, once.kind);
          if (once.kind === 'hello') assert.deepEqual(pieces, once);
        },
      ),
      { numRuns: 1000 },
    );
  });
}

const [, hello] = captured[0] ?? assert.fail();

test('what follows the hello in the same chunk is kept for OpenSSL', () => {
  const reader = new ClientHelloReader(bytesMax);
  const sent = Buffer.concat([hello, Buffer.from('early')]);
  assert.equal(reader.push(sent).kind, 'hello');
  assert.deepEqual(reader.received(), sent);
});

test('random bytes are refused or waited for, never an exception', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 }), { maxLength: 10 }), (chunks) => {
      assert.notEqual(readAll(chunks.map((chunk) => Buffer.from(chunk))).kind, 'hello');
    }),
    { numRuns: 1000 },
  );
});

const head = (length: number): Buffer => Buffer.from([22, 3, 1, length >> 8, length & 0xff]);
const refusals: [rule: string, bytes: Buffer, detail: RegExp][] = [
  ['an MQTT CONNECT in clear', Buffer.from('100c00044d5154540402003c0000', 'hex'), /MQTT CONNECT packet without/],
  ['an HTTP request in clear', Buffer.from('GET / HTTP/1.1\r\n\r\n'), /HTTP request without/],
  ['an SSL 2 hello', Buffer.from('802e0100020015000000100100800300', 'hex'), /^not TLS$/],
  ['another record first', Buffer.from([21, 3, 1, 0, 2, 2, 0]), /^not TLS$/],
  ['another protocol in a record of type 22', Buffer.from([22, 2, 0, 0, 9]), /malformed TLS record/],
  ['an empty record (RFC 8446 5.1)', head(0), /record: length/],
  ['a record above 16384 bytes (RFC 8446 5.1)', head(16_385), /record: length/],
  ['another handshake message', Buffer.concat([head(4), Buffer.from([2, 0, 0, 0])]), /not a ClientHello/],
  ['a hello that announces 16 MB', Buffer.concat([head(4), Buffer.from([1, 255, 255, 255])]), /too large/],
  [
    'an alert between two parts',
    Buffer.concat([head(1), Buffer.from([1]), Buffer.from([21, 3, 1, 0, 2])]),
    /malformed/,
  ],
];
for (const [rule, bytes, detail] of refusals) {
  test(`refused at once, without waiting for more: ${rule}`, () => {
    for (const chunks of [[bytes], cut(bytes, [1])]) {
      const reading = readAll(chunks);
      assert.equal(reading.kind, 'refused');
      if (reading.kind === 'refused' && chunks.length === 1) assert.match(reading.detail, detail);
    }
  });
}

test('one byte per chunk and record up to the bound: refused as too large, with twice the bound in memory at most', () => {
  const content = Buffer.alloc(30_000, 1);
  content.writeUInt32BE(0x01_00_ff_00);
  const sent = inRecords(Buffer.concat([head(0), content]), [1]);
  const reader = new ClientHelloReader(bytesMax);
  const reading = readAll(cut(sent, [1]), reader);
  assert.equal(reading.kind, 'refused');
  assert.ok(reader.received().length <= bytesMax);
});

test('a hello larger than the bound is refused when its header is read', () => {
  const reading = readAll([hello], new ClientHelloReader(200));
  assert.deepEqual(reading, { kind: 'refused', detail: 'ClientHello too large', tls: true });
});
