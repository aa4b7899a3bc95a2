/** One tls.Server per kind of answer; sessions are resumed across them, and every connection is judged anew. Source: design 2.8. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { type ConnectionOptions, connect } from 'node:tls';
import {
  account,
  type Bed,
  bootGateway,
  endpointName,
  identities,
  serverCertificates,
} from '../../test/gateway-bed.ts';
import { selfSigned } from '../../test/throw-away-certificates.ts';
import type { Peer } from '../mqtt/authority.ts';
import { TlsServers } from './tls-servers.ts';

const { deviceEc, deviceRsa, ec, rsa, folder } = identities;
const base = {
  ...{ host: '127.0.0.1', servername: 'localhost', ca: [ec.certificatePem, rsa.certificatePem] },
  ...{ cert: deviceEc.certificatePem, key: deviceEc.keyPem },
};

/** Connects, says a word, and hangs up: what the gateway saw, and the session for the next time. */
const visit = async (bed: Bed, options: ConnectionOptions = {}): Promise<{ peer: Peer; session: Buffer }> => {
  const socket = connect({ ...base, port: bed.port, ...options });
  let session: Buffer | undefined;
  socket.on('session', (ticket) => {
    session = ticket;
  });
  const arrival = bed.arrived.next();
  await once(socket, 'secureConnect');
  const { peer, tlsSocket } = await arrival;
  tlsSocket.write('hello');
  await once(socket, 'data');
  session ??= socket.getSession();
  socket.destroy();
  await once(tlsSocket, 'close');
  assert.equal(bed.records.size, 0);
  assert.ok(session);
  return { peer, session };
};

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  const only = { minVersion: version, maxVersion: version };

  test(`${version}: a resumed session still shows the same certificate`, async (t) => {
    const bed = await bootGateway(t);
    const first = await visit(bed, only);
    const second = await visit(bed, { ...only, session: first.session });
    assert.equal(first.peer.tls.resumed, false);
    assert.equal(second.peer.tls.resumed, true);
    assert.equal(second.peer.certificate?.certificateId, deviceEc.certificateId);
    assert.deepEqual(second.peer.certificate?.der, first.peer.certificate?.der);
    assert.equal(second.peer.tls.leafPem, deviceEc.certificatePem);
  });

  test(`${version}: a session under another server name is judged under the new one`, async (t) => {
    const bed = await bootGateway(t);
    const first = await visit(bed, only);
    assert.equal(first.peer.account?.accountId, '000000000000');
    const { peer } = await visit(bed, { ...only, session: first.session, servername: endpointName });
    assert.deepEqual(peer.account, account);
    assert.equal(peer.serverName, endpointName);
    const refused = connect({ ...base, ...only, port: bed.port, session: first.session, servername: 'nobody.test' });
    await once(refused, 'error');
    assert.equal((await bed.records.next()).reason, 'SNI_MISUSED');
  });

  test(`${version}: the keys of tickets are common to all servers, and a renewed certificate does not void sessions`, async (t) => {
    const tlsServers = new TlsServers({ now: () => 0 });
    const other = selfSigned(folder, `renewed-${version}`, 'ec', 'DNS:localhost');
    let current = serverCertificates.ec;
    const bed = await bootGateway(t, { shared: { tlsServers }, serverCertificates: () => current });
    const { session } = await visit(bed, only);
    current = { chainPem: other.certificatePem, privateKeyPem: other.keyPem };
    const resumed = await visit(bed, { ...only, session });
    assert.equal(resumed.peer.tls.resumed, true);
    assert.equal(tlsServers.size, 2);
    const fresh = connect({ ...base, ...only, port: bed.port, ca: other.certificatePem });
    await once(fresh, 'secureConnect');
    fresh.destroy();
  });

  test(`${version}: ticket keys are replaced after their period; an older session costs a full handshake`, async (t) => {
    let nowMs = 0;
    const tlsServers = new TlsServers({ now: () => nowMs, ticketKeysPeriodMs: 3_600_000 });
    const bed = await bootGateway(t, { shared: { tlsServers } });
    const { session } = await visit(bed, only);
    nowMs = 3_599_999;
    assert.equal((await visit(bed, { ...only, session })).peer.tls.resumed, true);
    nowMs = 3_600_000;
    const { peer, session: newer } = await visit(bed, { ...only, session });
    assert.equal(peer.tls.resumed, false);
    assert.equal(peer.certificate?.certificateId, deviceEc.certificateId);
    assert.equal((await visit(bed, { ...only, session: newer })).peer.tls.resumed, true);
  });

  test(`${version}: a session without a certificate request is not resumed where a certificate is required`, async (t) => {
    const tlsServers = new TlsServers({ now: () => 0 });
    const open = await bootGateway(t, {
      shared: { tlsServers },
      protocol: () => ({ name: 'https', alpn: undefined, clientCertificate: 'none' }),
    });
    const { peer, session } = await visit(open, only);
    assert.equal(peer.certificate, undefined);
    const bed = await bootGateway(t, { shared: { tlsServers } });
    const { peer: proven } = await visit(bed, { ...only, session });
    assert.equal(proven.tls.resumed, false);
    assert.equal(proven.certificate?.certificateId, deviceEc.certificateId);
  });
}

test('servers are made at first use, shared while they fit, and the least recently used is dropped', async (t) => {
  const tlsServers = new TlsServers({ now: () => 0, tlsServersMax: 2 });
  const bed = await bootGateway(t, { shared: { tlsServers } });
  assert.equal(tlsServers.size, 0);
  await visit(bed);
  await visit(bed, { servername: endpointName });
  assert.equal(tlsServers.size, 1);
  await visit(bed, { ALPNProtocols: ['x-amzn-mqtt-ca'] });
  assert.equal(tlsServers.size, 2);
  await visit(bed, { sigalgs: 'RSA-PSS+SHA256', cert: deviceRsa.certificatePem, key: deviceRsa.keyPem });
  assert.equal(tlsServers.size, 2);
});

test('a server that is in use is not the one that is dropped', async (t) => {
  let made = 0;
  const counted = {
    ...serverCertificates.ec,
    get chainPem() {
      made += 1;
      return ec.certificatePem;
    },
  };
  const bed = await bootGateway(t, {
    shared: { tlsServers: new TlsServers({ now: () => 0, tlsServersMax: 2 }) },
    serverCertificates: () => counted,
    protocol: ([alpn]) => ({ name: 'mqtt', alpn, clientCertificate: 'required' }),
  });
  for (const alpn of ['a', 'b', 'a', 'c', 'a']) await visit(bed, { ALPNProtocols: [alpn] });
  assert.equal(made, 3);
});

test('TLS 1.2 is not renegotiated: the certificate that was looked at stays the one', async (t) => {
  const bed = await bootGateway(t);
  const socket = connect({ ...base, port: bed.port, maxVersion: 'TLSv1.2' });
  await once(socket, 'secureConnect');
  socket.on('error', () => undefined); // the end of the connection may follow the alert
  const failed = once(socket, 'error');
  socket.renegotiate({}, () => {});
  const [error] = await failed;
  // the alert, unless the end of the connection overtakes it
  assert.match(String(error), /no renegotiation|ECONNRESET/);
});

test('static RSA and CBC suites of the default policy are served as OpenSSL has them (gateway.md 1.3)', async (t) => {
  const bed = await bootGateway(t);
  for (const cipher of ['AES128-SHA', 'AES256-GCM-SHA384', 'ECDHE-RSA-AES256-SHA384', 'ECDHE-ECDSA-AES128-SHA']) {
    const socket = connect({ ...base, port: bed.port, maxVersion: 'TLSv1.2', ciphers: cipher });
    await once(socket, 'secureConnect');
    assert.equal(socket.getCipher().name, cipher);
    socket.destroy();
  }
});
