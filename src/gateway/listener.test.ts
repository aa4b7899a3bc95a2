/** Who gets in: every kind of client under every kind of server name, with real clients. Sources: spec gateway.md 1.1, 1.4, design 2.8 and 3. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { account, bootGateway, endpointName, identities, run } from '../../test/gateway-bed.ts';
import { selfSigned } from '../../test/throw-away-certificates.ts';

type Kind = 'ec' | 'rsa';
type Version = 'TLSv1.2' | 'TLSv1.3';

/** What a client that knows one kind only can do, in OpenSSL's words; its own certificate is of that kind too. */
const abilities: Record<Kind, { sigalgs: string; ciphers: string }> = {
  ec: { sigalgs: 'ECDSA+SHA256', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' },
  rsa: { sigalgs: 'RSA-PSS+SHA256:RSA+SHA256', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' },
};
const devices = { ec: identities.deviceEc, rsa: identities.deviceRsa };

const names: { says: string; serverName?: string; account?: string | undefined; refused?: true }[] = [
  { says: 'the default name', serverName: 'localhost', account: '000000000000' },
  { says: 'an endpoint of an account', serverName: endpointName, account: account.accountId },
  { says: 'an endpoint in capitals', serverName: endpointName.toUpperCase(), account: account.accountId },
  { says: 'no server name', account: undefined },
  { says: 'an IP literal', serverName: '127.0.0.1', account: undefined },
  { says: 'an unknown name', serverName: 'nobody.iot.us-east-1.example.test', refused: true },
  { says: 'a name that only ends like an endpoint', serverName: `x.${endpointName}`, refused: true },
];

/** A real client of one kind: its output when it was refused, undefined when the handshake verified. */
type Client = (
  port: number,
  kind: Kind,
  version: Version,
  serverName: string | undefined,
) => Promise<string | undefined>;

const opensslClient: Client = async (port, kind, version, serverName) => {
  const { sigalgs, ciphers } = abilities[kind];
  const printed = await run('openssl', [
    ...['s_client', '-connect', `127.0.0.1:${port}`, version === 'TLSv1.3' ? '-tls1_3' : '-tls1_2'],
    ...['-sigalgs', sigalgs, ...(version === 'TLSv1.2' ? ['-cipher', ciphers] : [])],
    ...['-cert', devices[kind].certificateFile, '-key', devices[kind].keyFile],
    ...['-CAfile', identities[kind].certificateFile, '-verify_return_error'],
    ...(serverName === undefined ? ['-noservername'] : ['-servername', serverName]),
  ]);
  return /Verify return code: 0 \(ok\)/.test(printed) && !/alert/.test(printed) ? undefined : printed;
};

const nodeClient: Client = async (port, kind, version, serverName) => {
  const { sigalgs, ciphers } = abilities[kind];
  const socket = connect({
    ...{ host: '127.0.0.1', port, minVersion: version, maxVersion: version, sigalgs },
    ...(version === 'TLSv1.2' ? { ciphers } : {}),
    ...{ cert: devices[kind].certificatePem, key: devices[kind].keyPem, ca: identities[kind].certificatePem },
    ...(serverName === undefined ? {} : { servername: serverName }),
    checkServerIdentity: () => undefined,
  });
  const failed = once(socket, 'error').then(([error]) => String(error));
  const done = once(socket, 'secureConnect').then(() => undefined);
  const outcome = await Promise.race([failed, done]);
  socket.end();
  return outcome;
};

const clients: Record<string, Client> = { openssl: opensslClient, Node: nodeClient };
for (const [clientName, client] of Object.entries(clients)) {
  for (const kind of ['rsa', 'ec'] as const) {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      test(`${clientName}, ${kind} only, ${version}: gets its server certificate and its account by the server name`, async (t) => {
        const { port, arrived, records } = await bootGateway(t);
        for (const { says, serverName, account: expected, refused } of names) {
          // Node's client does not send an IP literal; openssl's does
          if (clientName === 'Node' && says === 'an IP literal') continue;
          const outcome = await client(port, kind, version, serverName);
          if (refused) {
            assert.match(outcome ?? 'got in', /unrecognized name/, says);
            const record = await records.next();
            assert.equal(record.reason, 'SNI_MISUSED', says);
            assert.equal(record.tls?.serverName, serverName);
            assert.equal(record.account, undefined, 'no account is proven');
            continue;
          }
          assert.equal(outcome, undefined, says);
          const { peer, tlsSocket } = await arrived.next();
          tlsSocket.destroy();
          assert.equal(peer.account?.accountId, expected, says);
          assert.equal(peer.serverName, expected === undefined ? undefined : serverName?.toLowerCase(), says);
          assert.equal(peer.certificate?.certificateId, devices[kind].certificateId, says);
          assert.equal(peer.tls.version, version);
          assert.equal(peer.remoteAddress, '127.0.0.1');
        }
        assert.equal(arrived.size, 0);
      });
    }
  }
}

const device = { cert: identities.deviceEc.certificatePem, key: identities.deviceEc.keyPem };
const trusting = { host: '127.0.0.1', servername: 'localhost', ca: [identities.ec.certificatePem], ...device };

/** A client whose handshake has been done. */
const dial = async (options: ConnectionOptions): Promise<TLSSocket> => {
  const socket = connect({ ...trusting, ...options });
  await once(socket, 'secureConnect');
  return socket;
};

test('a client that can verify both kinds is given the EC certificate (gateway.md 1.4)', async (t) => {
  const { port } = await bootGateway(t);
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const socket = await dial({ port, maxVersion });
    assert.equal(socket.getPeerX509Certificate()?.publicKey.asymmetricKeyType, 'ec');
    socket.destroy();
  }
});

const alpnCases: [offered: string[], answered: string | false, rule: string][] = [
  [['x-amzn-mqtt-ca'], 'x-amzn-mqtt-ca', 'is answered, some SDKs always set it'],
  [['h2', 'x-amzn-mqtt-ca'], 'x-amzn-mqtt-ca', 'the known name is answered'],
  [['h2', 'http/1.1'], false, 'unknown names only: no ALPN, and no alert'],
];
for (const [offered, answered, rule] of alpnCases) {
  test(`8883 with ALPN ${offered}: ${rule} (gateway.md 1)`, async (t) => {
    const { port, arrived } = await bootGateway(t);
    const socket = await dial({ port, ALPNProtocols: offered });
    assert.equal(socket.alpnProtocol, answered);
    const { peer, protocol } = await arrived.next();
    assert.equal(protocol.alpn, answered || undefined);
    assert.deepEqual(peer.tls.alpn, offered);
    socket.destroy();
  });
}

test('a listener whose protocol asks for no certificate lets a client without one in', async (t) => {
  const protocol = () => ({ name: 'https', alpn: undefined, clientCertificate: 'requested' }) as const;
  const { port, arrived } = await bootGateway(t, { protocol });
  const { cert, key, ...anonymous } = trusting;
  const socket = connect({ ...anonymous, port });
  const { peer } = await arrived.next();
  assert.equal(peer.certificate, undefined);
  socket.destroy();
});

test('answers that take their time do, and no byte that arrives meanwhile is lost', async (t) => {
  const asked = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const { port, arrived } = await bootGateway(t, {
    resolve: async () => {
      asked.resolve();
      await release.promise;
      return { kind: 'account', account };
    },
    accept: (tlsSocket, peer, protocol) => arrived.push({ tlsSocket, peer, protocol }),
  });
  const socket = connect({ ...trusting, port });
  await asked.promise;
  release.resolve();
  await once(socket, 'secureConnect');
  socket.write('hello');
  const { tlsSocket } = await arrived.next();
  const [data] = await once(tlsSocket, 'data');
  assert.equal(String(data), 'hello');
  socket.destroy();
});

test('the peer shows the chain that was sent, at most four entries, after the socket is gone too', async (t) => {
  const { port, arrived } = await bootGateway(t);
  const chain = identities.deviceEc.certificatePem + identities.stranger.certificatePem.repeat(6);
  const socket = await dial({ port, cert: chain });
  const { peer, tlsSocket } = await arrived.next();
  socket.destroy();
  await once(tlsSocket, 'close');
  assert.deepEqual(
    peer.tls.chain?.map(({ fingerprint }) => fingerprint),
    [identities.deviceEc, ...Array(3).fill(identities.stranger)].map(({ certificateId }) => certificateId),
  );
  assert.equal(peer.tls.chain?.[0]?.subject, 'CN=device-ec');
  assert.equal(peer.tls.leafPem, identities.deviceEc.certificatePem);
});

test('a certificate without a subject has an empty one in the chain', async (t) => {
  const { port, arrived } = await bootGateway(t);
  const nameless = selfSigned(identities.folder, 'nameless', 'ec', undefined, '/');
  const socket = await dial({ port, cert: nameless.certificatePem, key: nameless.keyPem });
  const { peer } = await arrived.next();
  assert.equal(peer.certificate?.certificateId, nameless.certificateId);
  assert.equal(peer.tls.chain?.[0]?.subject, '');
  socket.destroy();
});

test('a connection that ends on either side is counted no longer', async (t) => {
  const { port, arrived, gateway } = await bootGateway(t);
  const socket = await dial({ port });
  const first = await arrived.next();
  assert.equal(gateway.connections(), 1);
  first.tlsSocket.destroy();
  await once(socket, 'close');
  const other = await dial({ port });
  const second = await arrived.next();
  assert.equal(gateway.connections(), 1);
  other.destroy();
  await once(second.tlsSocket, 'close');
  assert.equal(gateway.connections(), 0);
});

test('closing takes no new connections, waits for the open ones, and ends those that stay', async (t) => {
  const { port, arrived, gateway } = await bootGateway(t);
  const leaving = await dial({ port });
  const staying = await dial({ port });
  await arrived.next();
  await arrived.next();
  const stayed = once(staying, 'close');
  const closed = gateway.close(300);
  const refused = connect({ ...trusting, port });
  const [error] = await once(refused, 'error');
  assert.equal(error.code, 'ECONNREFUSED');
  assert.equal(gateway.connections(), 2);
  leaving.destroy();
  await stayed;
  await closed;
  assert.equal(gateway.connections(), 0);
});

test('a port in use is an error of the start', async (t) => {
  const { port } = await bootGateway(t);
  await assert.rejects(bootGateway(t, { port }), { code: 'EADDRINUSE' });
});
