/** Who does not get in, and what the journal is told: the first cause. With real clients. Sources: spec gateway.md 1.5, design 4 and 5. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { forgedKey } from '../../test/forged-key.ts';
import { type Bed, bootGateway, Inbox, identities, run, until } from '../../test/gateway-bed.ts';
import { fileOf, type Identity } from '../../test/throw-away-certificates.ts';
import { awsLimits } from '../limits.ts';

const { ec, rsa, deviceEc, deviceRsa, stranger, folder } = identities;
const defaultAccount = { accountId: '000000000000', region: 'us-east-1' };
const versions = ['TLSv1.2', 'TLSv1.3'] as const;
type Version = (typeof versions)[number];

const openssl = (port: number, version: Version, ...args: string[]): Promise<string> =>
  run('openssl', [
    ...['s_client', '-connect', `127.0.0.1:${port}`, '-servername', 'localhost'],
    ...[version === 'TLSv1.3' ? '-tls1_3' : '-tls1_2', ...args],
  ]);

const pair = ({ certificateFile, keyFile }: Identity): string[] => ['-cert', certificateFile, '-key', keyFile];

/** mosquitto's --tls-version is a minimum; the configuration of its OpenSSL sets the maximum. */
const mosquitto = (port: number, version: Version, host: string, caFile: string): Promise<string> => {
  const text = `openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nMaxProtocol = ${version}\n`;
  const args = [
    ...['-h', host, '-p', String(port), '--cafile', caFile],
    ...['--cert', deviceEc.certificateFile, '--key', deviceEc.keyFile, '-t', 'a', '-m', 'b'],
  ];
  return run('mosquitto_pub', args, { OPENSSL_CONF: fileOf(folder, `${version}.cnf`, text) });
};

const nodeClient = async (port: number, version: Version, ca: string): Promise<string> => {
  const socket = connect({
    ...{ host: '127.0.0.1', port, servername: 'localhost', minVersion: version, maxVersion: version, ca },
    ...{ cert: deviceEc.certificatePem, key: deviceEc.keyPem },
  });
  const [error] = await once(socket, 'error');
  return String(error);
};

/** The clients that refuse our certificate, each in its own way. */
const distrust: [who: string, dial: (port: number, version: Version) => Promise<string>][] = [
  [
    'openssl s_client',
    (port, version) =>
      openssl(port, version, ...pair(deviceEc), '-CAfile', stranger.certificateFile, '-verify_return_error'),
  ],
  [
    'openssl s_client without a certificate of its own',
    (port, version) => openssl(port, version, '-CAfile', stranger.certificateFile, '-verify_return_error'),
  ],
  ['mosquitto_pub', (port, version) => mosquitto(port, version, 'localhost', stranger.certificateFile)],
  ['Node', (port, version) => nodeClient(port, version, stranger.certificatePem)],
];
for (const [who, dial] of distrust) {
  for (const version of versions) {
    test(`${who}, ${version}, does not trust our root: SERVER_CERTIFICATE_REJECTED comes first`, async (t) => {
      const { port, records } = await bootGateway(t);
      await dial(port, version);
      const record = await records.next();
      assert.equal(record.reason, 'SERVER_CERTIFICATE_REJECTED');
      assert.deepEqual(record.account, defaultAccount, 'the server name told the account');
      assert.equal(record.tls?.version, version);
      assert.ok(record.tls?.failure);
      assert.equal(records.size, 0);
    });
  }
}

for (const version of versions) {
  test(`${version}: who offers the ALPN name of those who only look is no refusal, with or without trust, and whatever else is wrong is one`, async (t) => {
    const bed = await bootGateway(t);
    const look = async (ca: string, servername = 'localhost'): Promise<void> => {
      const socket = connect({
        ...{ host: '127.0.0.1', port: bed.port, servername, minVersion: version, maxVersion: version, ca },
        ALPNProtocols: ['fleetgate-look'],
      });
      await once(socket, 'secureConnect').catch(() => undefined); // an error, of whom it does not trust
      socket.destroy();
    };
    await look(ec.certificatePem);
    await look(stranger.certificatePem);
    await until(() => bed.gateway.connections() === 0);
    await look(ec.certificatePem, 'nobody.example.com');
    assert.equal((await bed.records.next()).reason, 'SNI_MISUSED');
    await openssl(bed.port, version, '-CAfile', ec.certificateFile);
    assert.equal((await bed.records.next()).reason, 'CLIENT_CERTIFICATE_MISSING');
    assert.equal(bed.records.size, 0);
  });
}

test('mosquitto_pub under a name that our certificate does not carry: SERVER_CERTIFICATE_REJECTED', async (t) => {
  const { port, records } = await bootGateway(t, {
    serverCertificates: () => ({ chainPem: deviceEc.certificatePem, privateKeyPem: deviceEc.keyPem }),
  });
  await mosquitto(port, 'TLSv1.3', 'localhost', deviceEc.certificateFile);
  assert.equal((await records.next()).reason, 'SERVER_CERTIFICATE_REJECTED');
});

test('a client that is content and ends politely before it says anything is not recorded', async (t) => {
  const { port, records, arrived } = await bootGateway(t);
  for (const version of versions) {
    await openssl(port, version, ...pair(deviceEc), '-CAfile', ec.certificateFile);
    const { tlsSocket } = await arrived.next();
    if (!tlsSocket.closed) await once(tlsSocket, 'close');
  }
  assert.equal(records.size, 0);
});

for (const [kind, device] of Object.entries({ ec: deviceEc, rsa: deviceRsa })) {
  const keyPem = forgedKey(device.certificatePem);
  for (const version of versions) {
    test(`a registered ${kind} certificate with another key, ${version}: PRIVATE_KEY_MISMATCH, with the certificate`, async (t) => {
      const { port, records, arrived } = await bootGateway(t);
      const forged = { ...device, keyFile: fileOf(folder, `forged-${kind}.key`, keyPem) };
      const printed = await openssl(port, version, ...pair(forged));
      const fromOpenssl = await records.next();
      if (version === 'TLSv1.2') assert.match(printed, /decrypt error/);
      const socket = connect({
        ...{ host: '127.0.0.1', port, servername: 'localhost', minVersion: version, maxVersion: version },
        ...{ cert: device.certificatePem, key: keyPem, ca: [ec.certificatePem, rsa.certificatePem] },
      });
      const [error] = await once(socket, 'error');
      assert.match(String(error), /decrypt error/);
      for (const record of [fromOpenssl, await records.next()]) {
        assert.equal(record.reason, 'PRIVATE_KEY_MISMATCH');
        assert.equal(record.certificateId, device.certificateId);
        assert.equal(record.tls?.leafPem, device.certificatePem);
        assert.equal(record.tls?.chain?.[0]?.subject, `CN=device-${kind}`);
        assert.deepEqual(record.account, defaultAccount);
      }
      assert.equal(arrived.size, 0);
    });
  }
}

for (const version of versions) {
  test(`no client certificate, ${version}: CLIENT_CERTIFICATE_MISSING and a close before any answer (gateway.md 1.5)`, async (t) => {
    const { port, records, arrived, gateway } = await bootGateway(t);
    await openssl(port, version, '-CAfile', ec.certificateFile);
    const record = await records.next();
    assert.equal(record.reason, 'CLIENT_CERTIFICATE_MISSING');
    assert.equal(record.tls?.version, version);
    const socket = connect({
      ...{ host: '127.0.0.1', port, servername: 'localhost', ca: ec.certificatePem },
      ...{ minVersion: version, maxVersion: version },
    });
    socket.on('data', () => assert.fail('no byte may come'));
    await once(socket, 'end');
    assert.equal((await records.next()).reason, 'CLIENT_CERTIFICATE_MISSING');
    await once(socket, 'close');
    assert.equal(arrived.size, 0);
    await gateway.close(0);
    assert.equal(gateway.connections(), 0);
  });
}

test('a client of TLS 1.1: TLS_VERSION_UNSUPPORTED and a protocol_version alert (gateway.md 1.3)', async (t) => {
  const { port, records } = await bootGateway(t);
  const printed = await run('openssl', [
    ...['s_client', '-connect', `127.0.0.1:${port}`, '-servername', 'localhost'],
    ...['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'],
  ]);
  assert.match(printed, /protocol version/);
  const record = await records.next();
  assert.equal(record.reason, 'TLS_VERSION_UNSUPPORTED');
  assert.deepEqual(record.account, defaultAccount);
  assert.deepEqual(record.tls, { serverName: 'localhost' }, 'refused before there is a version, and before OpenSSL');
});

test('no cipher suite in common: TLS_HANDSHAKE_FAILED with what OpenSSL says', async (t) => {
  const { port, records } = await bootGateway(t);
  await openssl(port, 'TLSv1.3', '-ciphersuites', 'TLS_AES_128_CCM_SHA256');
  const record = await records.next();
  assert.equal(record.reason, 'TLS_HANDSHAKE_FAILED');
  assert.equal(record.tls?.failure, 'no shared cipher');
});

test('with requireSni a client without a server name is refused: SNI_REQUIRED', async (t) => {
  const { port, records } = await bootGateway(t, { requireSni: true });
  await run('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, '-noservername']);
  assert.equal((await records.next()).reason, 'SNI_REQUIRED');
  await run('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, '-servername', '127.0.0.1']);
  assert.equal((await records.next()).reason, 'SNI_REQUIRED');
});

test('a room above that cannot answer costs the client its connection and is recorded', async (t) => {
  const unable = () => {
    throw new Error('the store is away');
  };
  for (const broken of [
    { resolve: unable },
    { resolve: async () => unable() },
    { serverCertificates: async () => unable() },
    { serverCertificates: () => ({ chainPem: ec.certificatePem, privateKeyPem: 'no key' }) },
  ]) {
    const { port, records } = await bootGateway(t, broken);
    assert.match(await openssl(port, 'TLSv1.3'), /internal error/);
    assert.equal((await records.next()).reason, 'INTERNAL_SERVER_ERROR');
  }
});

test('a rejection alert that comes after the handshake is recorded as one (TLS 1.3 allows it)', async (t) => {
  const { port, records, arrived } = await bootGateway(t);
  const socket = connect({
    ...{ host: '127.0.0.1', port, servername: 'localhost', ca: ec.certificatePem },
    ...{ cert: deviceEc.certificatePem, key: deviceEc.keyPem },
  });
  const { tlsSocket } = await arrived.next();
  // no client at hand sends it so late: the error is the one that OpenSSL reports
  const alert = { code: 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', reason: 'tlsv1 alert unknown ca' };
  tlsSocket.destroy(Object.assign(new Error('alert'), alert));
  const record = await records.next();
  assert.equal(record.reason, 'SERVER_CERTIFICATE_REJECTED');
  assert.equal(record.certificateId, deviceEc.certificateId);
  assert.equal(record.tls?.failure, 'tlsv1 alert unknown ca');
  socket.destroy();
});

/** A TCP client that sends bytes; resolves with all that it was answered until the connection closed. */
const sendRaw = async (port: number, bytes: string | Uint8Array): Promise<Buffer> => {
  const socket = connectTcp(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(bytes);
  const answered: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => answered.push(chunk));
  await once(socket, 'close');
  return Buffer.concat(answered);
};

const hostile: [what: string, bytes: Buffer | string, detail: RegExp, alert: boolean][] = [
  ['MQTT in clear', Buffer.from('100c00044d5154540402003c0000', 'hex'), /MQTT CONNECT packet without/, false],
  ['HTTP in clear', 'GET /mqtt HTTP/1.1\r\n\r\n', /HTTP request without/, false],
  ['another TLS message', Buffer.from('160301000402000000', 'hex'), /not a ClientHello/, true],
  ['an empty hello', Buffer.from('160301000401000000', 'hex'), /malformed ClientHello/, true],
  ['a hello of 16 MB', Buffer.from('160301000401ffffff', 'hex'), /too large/, true],
];
for (const [what, bytes, detail, alert] of hostile) {
  test(`${what}: CLIENT_HELLO_INVALID, ${alert ? 'a decode_error alert' : 'and not a byte'} in answer`, async (t) => {
    const { port, records } = await bootGateway(t);
    const answered = await sendRaw(port, bytes);
    assert.equal(answered.toString('hex'), alert ? '15030300020232' : '');
    const record = await records.next();
    assert.equal(record.reason, 'CLIENT_HELLO_INVALID');
    assert.match(record.detail ?? '', detail);
  });
}

const connected = async ({ port }: Bed): Promise<Socket> => {
  const socket = connectTcp(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.resume();
  await once(socket, 'connect');
  return socket;
};

test('slow clients are cut off after handshakeMs, wherever they stop', async (t) => {
  const bed = await bootGateway(t, { limits: { ...awsLimits, handshakeMs: 150 } });
  const silent = await connected(bed);
  const trickling = await connected(bed);
  trickling.write(Buffer.from([22, 3, 1]));
  const stopped = await connected(bed);
  stopped.write(await helloBytes());
  await Promise.all([once(silent, 'close'), once(trickling, 'close'), once(stopped, 'close')]);
  const reasons = [await bed.records.next(), await bed.records.next(), await bed.records.next()].map((it) => it.reason);
  assert.deepEqual(reasons.sort(), ['CLIENT_HELLO_INVALID', 'CLIENT_HELLO_INVALID', 'SERVER_CERTIFICATE_REJECTED']);
});

test('a client that has gone on after our certificate, and stops then, has not rejected it', async (t) => {
  const bed = await bootGateway(t, { limits: { ...awsLimits, handshakeMs: 150 } });
  const stopped = await connected(bed);
  stopped.write(await helloBytes());
  await once(stopped, 'data');
  stopped.write(Buffer.from([20, 3, 3, 0, 1, 1, 23, 3, 3])); // ChangeCipherSpec, and the beginning of a record
  await once(stopped, 'close');
  const { reason, tls } = await bed.records.next();
  assert.deepEqual([reason, tls?.failure], ['TLS_HANDSHAKE_FAILED', 'not finished within 150 ms']);
});

test('a client that leaves in the middle of its hello is recorded; one that says nothing is not', async (t) => {
  const bed = await bootGateway(t);
  (await connected(bed)).destroy();
  const other = await connected(bed);
  other.end(Buffer.from([22, 3, 1]));
  const record = await bed.records.next();
  assert.match(record.detail ?? '', /closed before/);
  assert.equal(bed.records.size, 0);
});

test('beyond connectionsMax the new connection is refused and the old ones stay', async (t) => {
  const bed = await bootGateway(t, { limits: { ...awsLimits, connectionsMax: 2 } });
  const old = [await connected(bed), await connected(bed)];
  await once(await connected(bed), 'close');
  assert.equal((await bed.records.next()).reason, 'CONNECTION_LIMIT');
  assert.ok(old.every((socket) => !socket.closed));
  old[0]?.destroy();
  await until(() => bed.gateway.connections() === 1);
  await connected(bed);
  await until(() => bed.gateway.connections() === 2);
});

test('beyond hellosMax the connection that has been silent longest goes', async (t) => {
  const bed = await bootGateway(t, { bounds: { hellosMax: 2 } });
  const first = await connected(bed);
  await connected(bed);
  const gone = once(first, 'close');
  await connected(bed);
  await gone;
  assert.match((await bed.records.next()).detail ?? '', /have not sent their ClientHello/);
});

test('handshakes beyond handshakesMax wait, those beyond the line are refused, and a stalled one gives up its slot', async (t) => {
  const read = new Inbox<string>();
  const bed = await bootGateway(t, {
    limits: { ...awsLimits, handshakesMax: 1 },
    bounds: { handshakesWaitingMax: 1, handshakeSlotMs: 100 },
    resolve: () => {
      read.push('hello');
      return { kind: 'account', account: defaultAccount };
    },
  });
  const hello = await helloBytes();
  const stalled = await connected(bed);
  const answered = once(stalled, 'data');
  stalled.write(hello);
  await answered;
  const waiting = await connected(bed);
  const itsTurn = once(waiting, 'data');
  await read.next();
  waiting.write(hello);
  await read.next();
  const refused = await connected(bed);
  refused.write(hello);
  await once(refused, 'close');
  assert.match((await bed.records.next()).detail ?? '', /handshakes wait/);
  await itsTurn;
  assert.ok(!stalled.closed);
});

test('a finished, a failed, a refused and a lost handshake each free their slot at once', async (t) => {
  const bed = await bootGateway(t, { limits: { ...awsLimits, handshakesMax: 1 }, bounds: { handshakeSlotMs: 60_000 } });
  const staying = connect({
    ...{ host: '127.0.0.1', port: bed.port, servername: 'localhost', ca: ec.certificatePem },
    ...{ cert: deviceEc.certificatePem, key: deviceEc.keyPem },
  });
  await bed.arrived.next();
  await openssl(bed.port, 'TLSv1.3', '-ciphersuites', 'TLS_AES_128_CCM_SHA256');
  assert.equal((await bed.records.next()).reason, 'TLS_HANDSHAKE_FAILED');
  await openssl(bed.port, 'TLSv1.3');
  assert.equal((await bed.records.next()).reason, 'CLIENT_CERTIFICATE_MISSING');
  const lost = await connected(bed);
  const answered = once(lost, 'data');
  lost.write(await helloBytes());
  await answered;
  lost.resetAndDestroy();
  await openssl(bed.port, 'TLSv1.3', ...pair(deviceEc), '-CAfile', ec.certificateFile);
  await bed.arrived.next();
  staying.destroy();
});

test('an open connection outlives handshakeMs; a stalled one that began after it does not', async (t) => {
  const bed = await bootGateway(t, { limits: { ...awsLimits, handshakeMs: 150 } });
  const socket = connect({
    ...{ host: '127.0.0.1', port: bed.port, servername: 'localhost', ca: ec.certificatePem },
    ...{ cert: deviceEc.certificatePem, key: deviceEc.keyPem },
  });
  const { tlsSocket } = await bed.arrived.next();
  await once(await connected(bed), 'close');
  assert.ok(!tlsSocket.destroyed);
  socket.destroy();
});

test('a refused client that does not hang up is cut off', async (t) => {
  const bed = await bootGateway(t, { bounds: { lingerMs: 50 } });
  const staying = connectTcp({ port: bed.port, host: '127.0.0.1', allowHalfOpen: true });
  staying.on('error', () => {});
  const answered = once(staying, 'data');
  staying.write(Buffer.from('160301000401000000', 'hex'));
  await answered;
  await until(() => bed.gateway.connections() === 0);
  staying.destroy();
});

test('a client that leaves while its account is being looked up is recorded', async (t) => {
  const asked = Promise.withResolvers<void>();
  const bed = await bootGateway(t, {
    resolve: () => {
      asked.resolve();
      return new Promise(() => {});
    },
  });
  const socket = await connected(bed);
  socket.write(await helloBytes());
  await asked.promise;
  socket.resetAndDestroy();
  const record = await bed.records.next();
  assert.equal(record.reason, 'TLS_HANDSHAKE_FAILED');
  assert.match(record.tls?.failure ?? '', /before its turn/);
});

test('connections that die at any moment crash nothing and free their place', async (t) => {
  const bed = await bootGateway(t);
  const hello = await helloBytes();
  for (const length of [0, 1, 5, 40, hello.length - 1, hello.length]) {
    for (const reset of [true, false]) {
      const socket = await connected(bed);
      if (length > 0) await new Promise((resolve) => socket.write(hello.subarray(0, length), resolve));
      if (reset) socket.resetAndDestroy();
      else socket.destroy();
    }
  }
  await until(() => bed.gateway.connections() === 0);
});

/** A whole ClientHello for `localhost`. */
async function helloBytes(): Promise<Buffer> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address);
  const client = connect({ host: '127.0.0.1', port: address.port, servername: 'localhost' });
  client.on('error', () => {});
  const [socket] = (await once(server, 'connection')) as [Socket];
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return bytes;
}
