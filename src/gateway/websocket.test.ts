/** MQTT over WebSocket: who is let in, and what becomes of frames, ends and slow readers. Source: spec gateway.md 2, checks 9 and 10; RFC 6455. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import {
  bootData,
  type DataBed,
  device,
  dial,
  type Opening,
  openWebSocket,
  otherDevice,
  presigned,
  refusedUpgrade,
  send,
  signed,
  webSocket,
  withCertificate,
} from '../../test/data-bed.ts';
import { until } from '../../test/gateway-bed.ts';
import { createBed } from '../../test/mqtt-bed.ts';
import type { Reason } from '../journal/record.ts';
import { awsLimits } from '../limits.ts';

const temporary = { accessKeyId: 'ASIATEMPORARY', secretAccessKey: 'temporary', sessionToken: 'the-token' };
/** Temporary keys of the test credentials are of another account than `localhost`: without SNI the key alone names it. */
const withoutSni = { servername: '', rejectUnauthorized: false };
const tokenAppended = (bed: DataBed): string => {
  const { sessionToken, ...key } = temporary;
  return `${presigned(bed, key)}&X-Amz-Security-Token=${sessionToken}`;
};

const admitted: [
  rule: string,
  target: (bed: DataBed) => string,
  opening: (bed: DataBed) => Opening,
  signer?: string,
][] = [
  ['a presigned URL', presigned, () => ({}), '000000000000'],
  ['a presigned URL with the token appended (check 9)', tokenAppended, () => withoutSni, '777788889999'],
  ['a presigned URL with the token signed', (bed) => presigned(bed, temporary), () => withoutSni, '777788889999'],
  [
    'a URL that was signed for the host without its port',
    (bed) => presigned(bed, { headers: { host: 'localhost' } }),
    () => ({}),
    '000000000000',
  ],
  [
    'a URL that was signed for the name of the SNI',
    (bed) => presigned(bed, { headers: { host: 'localhost' } }),
    (bed) => ({ headers: { host: `127.0.0.1:${bed.port}` } }),
    '000000000000',
  ],
  [
    'signed headers',
    () => '/mqtt',
    (bed) => ({ headers: signed(bed, 'GET', '/mqtt', { service: 'iotdevicegateway' }) }),
    '000000000000',
  ],
  ['a certificate', () => '/mqtt', () => withCertificate],
  ['a signature beside a certificate: the signature', presigned, () => withCertificate, '000000000000'],
];
for (const [rule, target, opening, signer] of admitted) {
  test(`101 for ${rule}`, async (t) => {
    const bed = await bootData(t);
    const { client, peer } = await webSocket(bed, target(bed), opening(bed));
    assert.equal(client.protocol, 'mqtt');
    assert.equal(peer.transport, 'websocket');
    assert.equal(peer.signer?.account.accountId, signer);
    if (!signer) assert.equal(peer.certificate?.certificateId, device.certificateId);
    assert.equal(bed.records.size, 0);
    client.terminate();
  });
}

const subprotocolCases: [offered: string[], answered: string, rule: string][] = [
  [['mqtt'], 'mqtt', 'the one that is offered'],
  [['mqttv3.1'], 'mqttv3.1', 'that of old clients'],
  [['mqttv3.1', 'mqtt'], 'mqtt', 'the better of two'],
  [[], '', 'none where none is offered'],
];
for (const [offered, answered, rule] of subprotocolCases) {
  test(`subprotocol ${offered.join() || 'none'}: ${rule} (gateway.md 2)`, async (t) => {
    const bed = await bootData(t);
    const { client } = await webSocket(bed, '/mqtt', { ...withCertificate, subprotocols: offered });
    assert.equal(client.protocol, answered);
    client.terminate();
  });
}

const refused: [rule: string, status: number, target: (bed: DataBed) => string, opening: Opening, reason?: Reason][] = [
  [
    'a tampered signature (check 10)',
    403,
    (bed) => presigned(bed).replace(/.$/, (digit) => (digit === '0' ? '1' : '0')),
    withCertificate,
    'SECURITY_TOKEN_SIGNATURE_MISMATCH',
  ],
  ['an expired URL', 403, (bed) => presigned(bed, { nowMs: Date.now() - 301_000 }), {}, 'SECURITY_TOKEN_EXPIRED'],
  [
    'a token of somebody else',
    403,
    (bed) => tokenAppended(bed).replace('the-token', 'x'),
    withoutSni,
    'SECURITY_TOKEN_INVALID',
  ],
  [
    'the service of another API',
    403,
    (bed) => presigned(bed, { service: 'execute-api' }),
    {},
    'SECURITY_TOKEN_INVALID',
  ],
  ['neither signature nor certificate', 403, () => '/mqtt', {}, 'NOT_AUTHENTICATED'],
  [
    'a certificate that is not registered',
    403,
    () => '/mqtt',
    { cert: otherDevice.certificatePem, key: otherDevice.keyPem },
    'DEVICE_CERTIFICATE_NOT_REGISTERED',
  ],
  ['another path', 404, () => '/', withCertificate],
  ['a path below', 404, () => '/mqtt/', withCertificate],
  ['a page of a foreign origin (design 3)', 403, presigned, { origin: 'https://evil.example' }],
  [
    'a name that is not of this server (design 3)',
    403,
    () => '/mqtt',
    { ...withCertificate, headers: { host: 'rebound.example' } },
  ],
];
for (const [rule, status, target, opening, reason] of refused) {
  test(`${status} before the upgrade: ${rule}`, async (t) => {
    const bed = await bootData(t);
    assert.equal(await refusedUpgrade(bed, target(bed), opening), status);
    assert.equal(bed.sockets.size, 0);
    if (!reason) return;
    const record = await bed.records.next();
    assert.deepEqual([record.eventType, record.reason], ['Connection.AuthNError', reason]);
    assert.doesNotMatch(JSON.stringify(record), /X-Amz|AWS4/, 'nothing of the query');
  });
}

test('a page of an allowed origin may', async (t) => {
  const bed = await bootData(t);
  const { client } = await webSocket(bed, presigned(bed), { origin: 'https://console.example' });
  client.terminate();
});

test('an upgrade to something else is passed over: the request is served (RFC 9110 7.8)', async (t) => {
  const bed = await bootData(t);
  const headers = { connection: 'upgrade', upgrade: 'h2c' };
  assert.equal((await send(bed, 'POST', '/topics/a', { tls: withCertificate, headers })).status, 200);
});

for (const body of ['content-length: 9', 'transfer-encoding: chunked']) {
  test(`an upgrade with a body is none, and who leaves before its end harms nobody (${body}; RFC 6455 4.1)`, async (t) => {
    const bed = await bootData(t, { httpLimits: { headersMs: 50, requestMs: 100 } });
    const socket = await dial(bed);
    const lines = ['GET /mqtt HTTP/1.1', 'host: localhost', 'connection: upgrade', 'upgrade: websocket', body];
    socket.write(`${lines.join('\r\n')}\r\n\r\nx`);
    const [answer] = await once(socket, 'data');
    assert.match(String(answer), /^HTTP\/1\.1 404 /);
    await once(socket.resume(), 'close');
    assert.equal((await send(bed, 'POST', '/topics/a', { tls: withCertificate })).status, 200);
  });
}

test('a handshake that is none of WebSocket is 400', async (t) => {
  const bed = await bootData(t);
  const socket = await dial(bed, withCertificate);
  socket.write('GET /mqtt HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n');
  const [answer] = await once(socket, 'data');
  assert.match(String(answer), /^HTTP\/1\.1 400 /);
  socket.destroy();
});

/** A WebSocket with a certificate, and what its stream has received. */
const opened = async (bed: DataBed, opening: Opening = {}) => {
  const { client, stream } = await webSocket(bed, '/mqtt', { ...withCertificate, ...opening });
  const received: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => received.push(chunk));
  const text = (): string => Buffer.concat(received).toString();
  return { client, stream, text, ended: once(stream, 'end') };
};

test('frames are bytes of one stream, whatever their borders', async (t) => {
  const bed = await bootData(t);
  const { client, stream, text } = await opened(bed);
  client.send(Buffer.from('ab'), { fin: false });
  client.send(Buffer.from('c'), { fin: true });
  client.send(Buffer.from('defg'));
  client.send(Buffer.alloc(0));
  client.send(Buffer.from('h'));
  await until(() => text() === 'abcdefgh');
  stream.write('answer');
  const [answer, isBinary] = await once(client, 'message');
  assert.deepEqual([String(answer), isBinary], ['answer', true]);
  client.terminate();
});

test('a ping is answered', async (t) => {
  const bed = await bootData(t);
  const { client } = await opened(bed);
  client.ping('here');
  assert.equal(String((await once(client, 'pong'))[0]), 'here');
  client.terminate();
});

test('a Close frame after what was sent is a goodbye, and is answered', async (t) => {
  const bed = await bootData(t);
  const { client, stream, text, ended } = await opened(bed);
  client.send(Buffer.from('last'));
  client.close(1000);
  await ended;
  assert.equal(text(), 'last');
  assert.equal(stream.farewell?.disconnectReason, 'CLIENT_INITIATED_DISCONNECT');
  assert.equal(stream.farewell?.withoutWill, true);
});

test('a connection that just ends is none', async (t) => {
  const bed = await bootData(t);
  const { client, stream, ended } = await opened(bed);
  client.terminate();
  await ended;
  assert.equal(stream.farewell, undefined);
});

const faulty: [rule: string, send: (client: ReturnType<typeof openWebSocket>) => void, code: number, reason: Reason][] =
  [
    ['a text frame', (client) => client.send('text'), 1003, 'CLIENT_ERROR'],
    [
      'a message above packetBytesMax',
      (client) => client.send(Buffer.alloc(awsLimits.packetBytesMax + 1)),
      1009,
      'LIMIT_EXCEEDED',
    ],
  ];
for (const [rule, sendIt, code, reason] of faulty) {
  test(`${rule} is closed with ${code}, and is no goodbye`, async (t) => {
    const bed = await bootData(t);
    const { client, stream, ended } = await opened(bed);
    sendIt(client);
    client.send(Buffer.from('more'));
    const [closeCode] = await once(client, 'close');
    assert.equal(closeCode, code);
    await ended;
    assert.deepEqual([stream.farewell?.disconnectReason, stream.farewell?.failure], ['CLIENT_ERROR', reason]);
  });
}

test('a frame against the rules (unmasked) is a fault of the client', async (t) => {
  const bed = await bootData(t);
  const socket = await dial(bed, withCertificate);
  const head = 'GET /mqtt HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n';
  socket.write(`${head}sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`);
  const { stream } = await bed.sockets.next();
  stream.resume();
  socket.write(Buffer.of(0x82, 1, 65));
  socket.resume();
  await Promise.all([once(stream, 'end'), once(socket, 'close')]);
  assert.equal(stream.farewell?.failure, 'CLIENT_ERROR');
});

test('the end of the stream is a Close frame behind all that was written', async (t) => {
  const bed = await bootData(t);
  const { client, stream } = await opened(bed);
  const received: string[] = [];
  client.on('message', (data) => received.push(String(data)));
  stream.write('one');
  stream.end('two');
  assert.equal((await once(client, 'close'))[0], 1000);
  assert.deepEqual(received, ['one', 'two']);
  await until(() => stream.destroyed);
  assert.equal(stream.farewell, undefined, 'whoever is closed has not said goodbye');
});

test('a reader that is slow fills the stream, and no more; it drains when it reads again', async (t) => {
  const bed = await bootData(t);
  const { client, stream } = await opened(bed);
  client.pause();
  const block = Buffer.alloc(65_536);
  let written = 0;
  // the kernels of both ends take some
  for (;;) {
    written += block.length;
    if (!stream.write(block) && !(await drains(stream))) break;
  }
  assert.ok(stream.writableLength <= 2 * block.length, `${stream.writableLength} bytes wait here`);
  let read = 0;
  client.on('message', (data: Buffer) => {
    read += data.length;
  });
  client.resume();
  await until(() => read === written);
  assert.equal(stream.writableLength, 0);
  client.terminate();
});

/** Whether a full stream takes more within a few hundred turns of the event loop. */
const drains = async (stream: NodeJS.WritableStream): Promise<boolean> => {
  let drained = false;
  stream.once('drain', () => {
    drained = true;
  });
  for (let turn = 0; turn < 500 && !drained; turn++) await new Promise((resolve) => setImmediate(resolve));
  return drained;
};

test('while nobody reads the stream the client is held back, and what waits here is bounded', async (t) => {
  const bed = await bootData(t);
  const { client, stream } = await webSocket(bed, '/mqtt', withCertificate);
  const block = Buffer.alloc(65_536, 1);
  let sent = 0;
  while (client.bufferedAmount < 20 * block.length) {
    client.send(block);
    sent += block.length;
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(stream.readableLength <= 4 * block.length, `${stream.readableLength} bytes wait here`);
  let read = 0;
  stream.on('data', (chunk: Buffer) => {
    read += chunk.length;
  });
  await until(() => read === sent);
  client.terminate();
});

test('small frames that arrive together are handled with other work in between', async (t) => {
  const bed = await bootData(t);
  const { client, stream } = await webSocket(bed, '/mqtt', withCertificate);
  const frames = 2_000;
  let [heard, before, mostAtOnce] = [0, 0, 0];
  stream.on('data', (chunk: Buffer) => {
    heard += chunk.length;
  });
  for (let sent = 0; sent < frames; sent++) client.send(Buffer.of(1));
  while (heard < frames) {
    await new Promise((resolve) => setImmediate(resolve));
    mostAtOnce = Math.max(mostAtOnce, heard - before);
    before = heard;
  }
  assert.ok(mostAtOnce < 10, `${mostAtOnce} frames were handled in one turn of the event loop`);
  client.terminate();
});

test('once upgraded a connection does not count among those of HTTP, nor does their time bind it', async (t) => {
  const bed = await bootData(t, { httpLimits: { connectionsMax: 1, headersMs: 50, requestMs: 50, keepAliveMs: 50 } });
  const { client, text } = await opened(bed);
  for (let i = 0; i < 3; i++) await send(bed, 'POST', '/topics/a', { tls: withCertificate });
  client.send(Buffer.from('still here'));
  await until(() => text() === 'still here');
  client.terminate();
});

test('a broker on the stream: CONNECT, a message, and a Close frame that suppresses the will', async (t) => {
  const broker = createBed();
  broker.principal(device.certificateId);
  const bed = await bootData(t, { acceptMqtt: broker.broker.accept });
  const client = openWebSocket(bed, '/mqtt', withCertificate);
  await once(client, 'open');
  // CONNECT of MQTT 3.1.1: clean session, will "w" with payload "x", client id "web"
  client.send(Buffer.from('101500044d5154540406003c0003776562000177000178', 'hex'));
  assert.equal(String((await once(client, 'message'))[0].toString('hex')), '20020000');
  const watcher = await broker.connect(4, 'watcher');
  watcher.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'w', qos: 0 }] });
  await watcher.next();
  client.close();
  await until(() => broker.records.some(({ eventType }) => eventType === 'Disconnect'));
  assert.equal(
    broker.records.find(({ eventType }) => eventType === 'Disconnect')?.detail,
    'CLIENT_INITIATED_DISCONNECT',
  );
  assert.deepEqual(await watcher.settled(), []);
});
