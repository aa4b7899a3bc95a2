/** Which protocol a connection of the HTTPS ports speaks, by its ALPN names. Source: spec gateway.md 1. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { type Bed, bootGateway, identities, until } from '../../test/gateway-bed.ts';
import { awsLimits } from '../limits.ts';
import { shareGateway } from './listener.ts';
import { httpsProtocol } from './protocol.ts';

const { deviceEc, ec, rsa } = identities;
const device = { cert: deviceEc.certificatePem, key: deviceEc.keyPem };

const dial = async (options: ConnectionOptions): Promise<TLSSocket> => {
  const socket = connect({
    host: '127.0.0.1',
    servername: 'localhost',
    ca: [ec.certificatePem, rsa.certificatePem],
    ...options,
  });
  await once(socket, 'secureConnect');
  return socket;
};

const cases: [offered: string[], protocol: 'mqtt' | 'https', answered: string | false, rule: string][] = [
  [[], 'https', false, 'no ALPN is HTTPS'],
  [['http/1.1'], 'https', 'http/1.1', 'the name of HTTP/1.1 is echoed'],
  [['x-amzn-mqtt-ca'], 'mqtt', 'x-amzn-mqtt-ca', 'MQTT with a certificate'],
  [['x-amzn-http-ca'], 'https', 'x-amzn-http-ca', 'HTTPS with a certificate'],
  [['x-amzn-http-ca', 'x-amzn-mqtt-ca'], 'https', 'x-amzn-http-ca', 'the first known name in the order of the client'],
  [['h2', 'http/1.1'], 'https', 'http/1.1', 'a name that is not known is passed over'],
  [['h2'], 'https', false, 'unknown names only: no ALPN, and no alert'],
];
for (const [offered, name, answered, rule] of cases) {
  test(`ALPN ${offered}: ${rule}`, async (t) => {
    const { port, arrived } = await bootGateway(t, { protocol: httpsProtocol });
    const socket = await dial({ port, ...device, ...(offered.length > 0 && { ALPNProtocols: offered }) });
    const { protocol, peer } = await arrived.next();
    assert.equal(protocol.name, name);
    assert.equal(socket.alpnProtocol, answered);
    assert.equal(peer.certificate?.certificateId, deviceEc.certificateId);
    socket.destroy();
  });
}

test('HTTPS without ALPN asks for a certificate and goes on without one (design 3)', async (t) => {
  const { port, arrived } = await bootGateway(t, { protocol: httpsProtocol });
  const socket = await dial({ port });
  assert.equal((await arrived.next()).peer.certificate, undefined);
  socket.destroy();
});

for (const alpn of ['x-amzn-mqtt-ca', 'x-amzn-http-ca']) {
  test(`ALPN ${alpn} without a certificate: closed before any answer`, async (t) => {
    const { port, records, arrived } = await bootGateway(t, { protocol: httpsProtocol });
    const socket = await dial({ port, ALPNProtocols: [alpn] });
    assert.equal((await records.next()).reason, 'CLIENT_CERTIFICATE_MISSING');
    socket.resume();
    await once(socket, 'close');
    assert.equal(arrived.size, 0);
  });
}

test('ALPN mqtt, for custom authorizers: an alert, and a record that says that they are not available', async (t) => {
  const { port, records } = await bootGateway(t, { protocol: httpsProtocol });
  await assert.rejects(dial({ port, ALPNProtocols: ['mqtt', 'x-amzn-mqtt-ca'] }), /no application protocol/i);
  const record = await records.next();
  assert.equal(record.reason, 'NOT_AVAILABLE');
  assert.match(record.detail ?? '', /custom authorizers/);
  assert.deepEqual(record.tls?.alpn, ['mqtt', 'x-amzn-mqtt-ca']);
});

test('listeners that share: a session of one is resumed at the other, which decides for itself (design 2.8)', async (t) => {
  const shared = shareGateway({ limits: awsLimits, now: () => 0 });
  const https = await bootGateway(t, { protocol: httpsProtocol, shared });
  const mqtts = await bootGateway(t, { shared });
  const visit = async <T>({ port }: Bed, options: ConnectionOptions, seen: () => Promise<T>) => {
    const socket = await dial({ port, maxVersion: 'TLSv1.2', ...options });
    const what = await seen();
    const session = socket.getSession();
    assert.ok(session);
    socket.destroy();
    return { what, session };
  };
  const withCertificate = await visit(https, device, () => https.arrived.next());
  const resumed = await visit(mqtts, { session: withCertificate.session }, () => mqtts.arrived.next());
  assert.equal(resumed.what.peer.tls.resumed, true);
  assert.equal(resumed.what.peer.certificate?.certificateId, deviceEc.certificateId);

  const without = await visit(https, {}, () => https.arrived.next());
  const refused = await visit(mqtts, { session: without.session }, () => mqtts.records.next());
  assert.equal(refused.what.reason, 'CLIENT_CERTIFICATE_MISSING');
});

test('listeners that share: connectionsMax counts the connections of all of them', async (t) => {
  const limits = { ...awsLimits, connectionsMax: 1 };
  const shared = shareGateway({ limits, now: () => 0 });
  const https = await bootGateway(t, { protocol: httpsProtocol, shared, limits });
  const mqtts = await bootGateway(t, { shared, limits });
  const first = await dial({ port: https.port });
  const { tlsSocket } = await https.arrived.next();
  await assert.rejects(dial({ port: mqtts.port, ...device }));
  assert.equal((await mqtts.records.next()).reason, 'CONNECTION_LIMIT');
  first.destroy();
  await once(tlsSocket, 'close');
  await until(() => shared.connections.count === 0);
  (await dial({ port: mqtts.port, ...device })).destroy();
});
