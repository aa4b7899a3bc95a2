/**
 * AWS's table of security policies, cell by cell, with clients that offer one suite and nothing else; and what a session ticket is worth when the policy, the
 * status or the name has become another. Source: developer guide, "Transport security in AWS IoT Core"; spec gateway.md 1.3, 1.4.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { type ConnectionOptions, connect } from 'node:tls';
import {
  type Arrived,
  account,
  type Bed,
  bootGateway,
  Inbox,
  identities,
  run,
  serverCertificates,
} from '../../test/gateway-bed.ts';
import { defaultSecurityPolicy, policyOnPort, securityPolicies } from '../tls/security-policy.ts';
import type { ClientCertificateQuestion, Resolution, ServedDomain } from '../tls/served-domain.ts';
import type { Accept } from './gate.ts';
import { httpsProtocol, mqttsProtocol, type ProtocolChoice } from './protocol.ts';

const serverName = 'iot.example.com';
const plain: ServedDomain = {
  ...{ name: 'mine', securityPolicy: defaultSecurityPolicy },
  ...{ authenticationType: 'DEFAULT', applicationProtocol: 'DEFAULT' },
};
const policyNamed = (name: string) => securityPolicies.get(`IoTSecurityPolicy_${name}`) ?? assert.fail(name);

type Kind = 'rsa' | 'ec';
interface Seen {
  readonly suite: string;
  /** Of the server's key. */
  readonly kind: Kind;
  readonly resumed: boolean;
  readonly session: Buffer | undefined;
}

/** One handshake, said hello to; rejects when there is none. */
const visit = async ({ port }: Pick<Bed, 'port'>, options: ConnectionOptions = {}): Promise<Seen> => {
  const socket = connect({
    ...{ host: '127.0.0.1', port, servername: serverName, rejectUnauthorized: false },
    ...{ cert: identities.deviceEc.certificatePem, key: identities.deviceEc.keyPem, ...options },
  });
  try {
    let session: Buffer | undefined;
    socket.on('session', (ticket) => {
      session = ticket;
    });
    await once(socket, 'secureConnect');
    // TLS 1.3: tickets come after the handshake, before the answer to the first bytes
    socket.write('hello');
    await Promise.race([
      once(socket, 'data'),
      once(socket, 'close').then(() => assert.fail('closed without an answer')),
    ]);
    const kind = socket.getPeerX509Certificate()?.publicKey.asymmetricKeyType === 'rsa' ? 'rsa' : 'ec';
    return { suite: socket.getCipher().name, kind, resumed: socket.isSessionReused(), session };
  } finally {
    socket.destroy();
  }
};

/** Both ports; who is connected is answered. What `served` says counts from the next connection on. */
const bootBoth = async (t: TestContext, served: () => Resolution): Promise<{ mqtts: Bed; https: Bed }> => {
  const boot = async (protocol: ProtocolChoice): Promise<Bed> => {
    const arrived = new Inbox<Arrived>();
    const accept: Accept = (tlsSocket, peer, chosen) => {
      tlsSocket.on('data', () => tlsSocket.write('heard'));
      arrived.push({ tlsSocket, peer, protocol: chosen });
    };
    return { ...(await bootGateway(t, { protocol, resolve: served, accept })), arrived };
  };
  return { mqtts: await boot(mqttsProtocol), https: await boot(httpsProtocol) };
};

/** What openssl prints about the connection; `flags` choose versions and suites. */
const dial = ({ port }: Bed, flags: readonly string[]): Promise<string> =>
  run('openssl', [
    ...['s_client', '-connect', `127.0.0.1:${port}`, '-servername', serverName, ...flags],
    ...['-cert', identities.deviceRsa.certificateFile, '-key', identities.deviceRsa.keyFile],
  ]);

/** A client that can do nothing but this, and would do it however weak it is. */
const only = (suite: string): ConnectionOptions =>
  suite.startsWith('TLS_')
    ? { minVersion: 'TLSv1.3', ciphers: suite }
    : { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2', ciphers: `${suite}:@SECLEVEL=0` };

/** What is agreed on, or the alert. An error of the client itself is an error of the test. */
const agreed = async (bed: Bed, options: ConnectionOptions): Promise<string> => {
  try {
    const { suite, kind } = await visit(bed, options);
    return `${suite} ${kind}`;
  } catch (error) {
    assert.match(`${options.ciphers} ${error}`, /alert (handshake failure|protocol version)/);
    return 'refused';
  }
};

const names = [
  ...['TLS13_1_3_2022_10', 'TLS13_1_2_2022_10', 'TLS12_1_2_2022_10'],
  ...['TLS12_1_0_2016_01', 'TLS12_1_0_2015_01', 'TLS13_1_2_2022_01'],
];
/** A column for each policy, in this order: `+` it is there, `3` on port 443 alone. */
const table: Readonly<Record<string, string>> = {
  TLS_AES_128_GCM_SHA256: '++---+',
  TLS_AES_256_GCM_SHA384: '++---+',
  TLS_CHACHA20_POLY1305_SHA256: '++----',
  'ECDHE-RSA-AES128-GCM-SHA256': '-+++++',
  'ECDHE-RSA-AES128-SHA256': '-+++++',
  'ECDHE-RSA-AES128-SHA': '-+++++',
  'ECDHE-RSA-AES256-GCM-SHA384': '-+++++',
  'ECDHE-RSA-AES256-SHA384': '-+++++',
  'ECDHE-RSA-AES256-SHA': '-+++++',
  'AES128-GCM-SHA256': '-++++-',
  'AES128-SHA256': '-++3+-',
  'AES128-SHA': '-+++++',
  'AES256-GCM-SHA384': '-++++-',
  'AES256-SHA256': '-++++-',
  'AES256-SHA': '-+++++',
  'DHE-RSA-AES256-SHA': '----+-',
  'ECDHE-ECDSA-AES128-GCM-SHA256': '-+++++',
  'ECDHE-ECDSA-AES128-SHA256': '-+++++',
  'ECDHE-ECDSA-AES128-SHA': '-+++++',
  'ECDHE-ECDSA-AES256-GCM-SHA384': '-+++++',
  'ECDHE-ECDSA-AES256-SHA384': '-+++++',
  'ECDHE-ECDSA-AES256-SHA': '-+++++',
};
/** What OpenSSL could do, and no policy has: without encryption or a certificate, with CCM, ChaCha20 in TLS 1.2, other suites with DHE. */
const unlisted = [
  ...['TLS_AES_128_CCM_SHA256', 'NULL-SHA256', 'ECDHE-RSA-NULL-SHA', 'AECDH-AES128-SHA'],
  ...['ECDHE-ECDSA-AES128-CCM', 'AES128-CCM', 'ECDHE-RSA-CHACHA20-POLY1305', 'ECDHE-ECDSA-CHACHA20-POLY1305'],
  ...['DHE-RSA-AES128-SHA', 'DHE-RSA-AES256-SHA256', 'DHE-RSA-AES256-GCM-SHA384', 'ADH-AES256-SHA'],
];
/** Which server certificate a client of this suite needs; TLS 1.3: either. */
const kindsOf = (suite: string): readonly Kind[] => {
  if (suite.startsWith('TLS_')) return ['ec', 'rsa'];
  return suite.includes('ECDSA') ? ['ec'] : ['rsa'];
};
/** The entrances of gateway.md 1 that take a client certificate. */
const entrances: readonly (readonly [port: 'mqtts' | 'https', alpn: readonly string[]])[] = [
  ...([
    ['mqtts', []],
    ['mqtts', ['x-amzn-mqtt-ca']],
    ['https', []],
  ] as const),
  ...([
    ['https', ['x-amzn-mqtt-ca']],
    ['https', ['x-amzn-http-ca']],
    ['https', ['h2', 'http/1.1']],
  ] as const),
];

for (const [column, name] of names.entries()) {
  test(`${name}: its suites connect, each alone, at every entrance and with the certificate that suits them; no other does (gateway.md 1.3)`, async (t) => {
    let domain: ServedDomain = plain;
    const beds = await bootBoth(t, () => ({ kind: 'account', account, domain }));
    const securityPolicy = policyNamed(name);
    for (const suite of [...Object.keys(table), ...unlisted]) {
      const has = table[suite]?.[column] === '+';
      const kinds = kindsOf(suite);
      domain = { ...plain, securityPolicy };
      for (const [port, alpn] of entrances) {
        const seen = await agreed(beds[port], { ...only(suite), ...(alpn.length > 0 && { ALPNProtocols: [...alpn] }) });
        assert.equal(seen, has ? `${suite} ${kinds[0]}` : 'refused', `${suite} on ${port} with ${alpn}`);
      }
      // a domain of the customer has one certificate
      for (const kind of ['rsa', 'ec'] as const) {
        domain = { ...plain, securityPolicy, certificate: serverCertificates[kind] };
        const expected = has && kinds.includes(kind) ? `${suite} ${kind}` : 'refused';
        assert.equal(await agreed(beds.mqtts, only(suite)), expected, `${suite} with a certificate of ${kind}`);
      }
    }
  });
}

test('AES128-SHA256 of the policy of 2016 is spoken on port 443 (gateway.md 1.3)', () => {
  const policy = policyNamed('TLS12_1_0_2016_01');
  const has = (port: number) => policyOnPort(policy, port).ciphers.split(':').includes('AES128-SHA256');
  assert.deepEqual([443, 8443, 8883].map(has), [true, false, false]);
  assert.equal(policyOnPort(policy, 8443), policyOnPort(policy, 8883), 'one server serves both');
});

test('TLS 1.1 is in no policy, whatever its name says (gateway.md 1.3)', async (t) => {
  let securityPolicy = defaultSecurityPolicy;
  const { mqtts } = await bootBoth(t, () => ({ kind: 'account', account, domain: { ...plain, securityPolicy } }));
  for (const name of names) {
    securityPolicy = policyNamed(name);
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' } as const;
    assert.equal(await agreed(mqtts, old), 'refused', name);
  }
});

test('there are no other security policies than those of AWS (gateway.md 1.3)', () => {
  assert.deepEqual([...securityPolicies.keys()].sort(), names.map((name) => `IoTSecurityPolicy_${name}`).sort());
  assert.equal(defaultSecurityPolicy.name, 'IoTSecurityPolicy_TLS13_1_2_2022_10');
});

const groups: readonly (readonly [string, rule: string])[] = [
  ['X25519', 'its only key share'],
  ['P-256', 'its only key share, as small devices have it'],
  ['P-384', 'its only key share'],
  ['X25519MLKEM768', 'a ClientHello that comes in pieces'],
];
for (const [ecdhCurve, rule] of groups) {
  test(`TLS 1.3 with ${ecdhCurve}: ${rule} (RFC 8446 4.1.4, 4.2.8)`, async (t) => {
    const { mqtts } = await bootBoth(t, () => ({ kind: 'account', account, domain: plain }));
    const { suite } = await visit(mqtts, { minVersion: 'TLSv1.3', ecdhCurve });
    assert.match(suite, /^TLS_/);
  });
}

test('a client whose key share is not the one that the server wants is asked for another: HelloRetryRequest (RFC 8446 4.1.4)', async (t) => {
  const { mqtts } = await bootBoth(t, () => ({ kind: 'account', account, domain: plain }));
  const printed = await dial(mqtts, ['-tls1_3', '-groups', 'P-384:X25519', '-msg']);
  assert.equal(printed.match(/, ClientHello$/gm)?.length, 2);
  assert.match(printed, /New, TLSv1.3, Cipher is TLS_/);
});

const oldClients: readonly (readonly [flags: string, suite: string, rule: string])[] = [
  ['-tls1_2 -cipher ALL:@SECLEVEL=0 -sigalgs RSA+SHA256:RSA+SHA1', 'ECDHE-RSA-AES128-GCM-SHA256', 'knows RSA alone'],
  [
    '-tls1_2 -cipher ALL:@SECLEVEL=0 -curves P-384 -sigalgs ECDSA+SHA384:RSA+SHA256',
    'ECDHE-RSA-AES128-GCM-SHA256',
    'has no P-256',
  ],
];
for (const [flags, suite, rule] of oldClients) {
  test(`an old client that ${rule} connects (gateway.md 1.4)`, async (t) => {
    const { mqtts } = await bootBoth(t, () => ({ kind: 'account', account, domain: plain }));
    assert.match(await dial(mqtts, flags.split(' ')), new RegExp(`New, TLSv1.2, Cipher is ${suite}$`, 'm'));
  });
}

test('a client that can verify signatures with SHA-1 alone is refused: OpenSSL makes none', async (t) => {
  const { mqtts } = await bootBoth(t, () => ({ kind: 'account', account, domain: plain }));
  const printed = await dial(mqtts, ['-tls1_2', '-cipher', 'ALL:@SECLEVEL=0', '-sigalgs', 'RSA+SHA1:ECDSA+SHA1']);
  assert.match(printed, /alert handshake failure/);
});

for (const tls of ['TLSv1.2', 'TLSv1.3'] as const) {
  const version = { minVersion: tls, maxVersion: tls };

  test(`${tls}: a ticket of before lets nobody do what the security policy of now does not have (gateway.md 1.3)`, async (t) => {
    let securityPolicy = defaultSecurityPolicy;
    const { mqtts } = await bootBoth(t, () => ({ kind: 'account', account, domain: { ...plain, securityPolicy } }));
    // a suite that the default policy has and the other does not
    const [suite, other] =
      tls === 'TLSv1.3'
        ? ['TLS_CHACHA20_POLY1305_SHA256', 'TLS13_1_2_2022_01']
        : ['AES256-SHA256', 'TLS13_1_2_2022_01'];
    const { session } = await visit(mqtts, only(suite));
    assert.equal((await visit(mqtts, { ...only(suite), session })).resumed, true);
    securityPolicy = policyNamed(other);
    assert.equal(await agreed(mqtts, { ...only(suite), session }), 'refused');
    const wide = await visit(mqtts, { ...version, session });
    assert.deepEqual([wide.resumed, wide.suite === suite], [false, false]);
    securityPolicy = policyNamed(tls === 'TLSv1.3' ? 'TLS12_1_2_2022_10' : 'TLS13_1_3_2022_10');
    assert.equal(await agreed(mqtts, { ...version, session }), 'refused');
  });

  test(`${tls}: a ticket opens no domain that is DISABLED, and none under another account's name (gateway.md 1.1)`, async (t) => {
    const own: Resolution = { kind: 'account', account, domain: plain };
    let answer: Resolution = own;
    const asked: string[] = [];
    const { mqtts } = await bootBoth(t, () => answer);
    const { session } = await visit(mqtts, version);
    await mqtts.arrived.next();
    answer = { kind: 'disabled', account, name: 'mine' };
    await assert.rejects(visit(mqtts, { ...version, session }), /alert access denied/);
    assert.equal((await mqtts.records.next()).reason, 'DOMAIN_CONFIGURATION_DISABLED');
    // the other account's domain asks for itself who comes, with the certificate that the ticket carries
    const other = { accountId: '444455556666', region: 'us-east-1' };
    const acceptsClient = async ({ certificateId }: ClientCertificateQuestion) => ({
      accepted: asked.push(certificateId) > 1,
    });
    answer = { kind: 'account', account: other, domain: { ...plain, name: 'theirs', acceptsClient } };
    await assert.rejects(visit(mqtts, { ...version, session, servername: 'other.example.com' }));
    assert.equal((await mqtts.records.next()).reason, 'CLIENT_CERTIFICATE_CALLBACK_REFUSED');
    await visit(mqtts, { ...version, session, servername: 'other.example.com' });
    const { peer } = await mqtts.arrived.next();
    assert.deepEqual([peer.account, peer.serverName], [other, 'other.example.com']);
    assert.deepEqual(asked, [identities.deviceEc.certificateId, identities.deviceEc.certificateId]);
  });

  test(`${tls}: a ticket outlives a swapped server certificate, with the certificate of its client and no other (identity.md 8)`, async (t) => {
    let certificate = serverCertificates.ec;
    const { mqtts } = await bootBoth(t, () => ({ kind: 'account', account, domain: { ...plain, certificate } }));
    const { session } = await visit(mqtts, version);
    certificate = { ...serverCertificates.rsa };
    // even who shows another certificate now is who it was
    const stranger = { cert: identities.stranger.certificatePem, key: identities.stranger.keyPem };
    assert.equal((await visit(mqtts, { ...version, session, ...stranger })).resumed, true);
    assert.deepEqual(
      [
        (await mqtts.arrived.next()).peer.certificate?.certificateId,
        (await mqtts.arrived.next()).peer.certificate?.certificateId,
      ],
      [identities.deviceEc.certificateId, identities.deviceEc.certificateId],
    );
    assert.equal((await visit(mqtts, version)).kind, 'rsa');
  });
}
