/** What a domain configuration changes on the wire, with real clients: versions, suites, protocols, stapling, who may not. Source: spec gateway.md 1.1 to 1.4. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { account, type Bed, bootGateway, identities, run, serverCertificates } from '../../test/gateway-bed.ts';
import { defaultSecurityPolicy, policyOnPort, securityPolicies } from '../tls/security-policy.ts';
import {
  type ApplicationProtocol,
  authenticationTypesOf,
  type Resolution,
  type ServedDomain,
} from '../tls/served-domain.ts';
import { domainProtocol } from './domain-protocol.ts';
import { httpsProtocol, mqttsProtocol } from './protocol.ts';

const serverName = 'iot.example.com';
const plain: ServedDomain = {
  ...{ name: 'mine', securityPolicy: defaultSecurityPolicy },
  ...{ authenticationType: 'DEFAULT', applicationProtocol: 'DEFAULT' },
};
const policyNamed = (name: string) => securityPolicies.get(`IoTSecurityPolicy_${name}`) ?? assert.fail(name);
const boot = (t: Parameters<typeof bootGateway>[0], changed: Partial<ServedDomain>, answer?: Resolution) =>
  bootGateway(t, {
    protocol: httpsProtocol,
    resolve: (): Resolution => answer ?? { kind: 'account', account, domain: { ...plain, ...changed } },
  });

/** What openssl prints about the connection; `flags` choose versions and suites. */
const dial = (bed: Bed, flags: readonly string[]): Promise<string> =>
  run('openssl', [
    ...['s_client', '-connect', `127.0.0.1:${bed.port}`, '-servername', serverName, ...flags],
    ...['-cert', identities.deviceEc.certificateFile, '-key', identities.deviceEc.keyFile],
  ]);
/** The suite of a connection, or `refused`. */
const agreed = (printed: string): string => {
  const suite = /New, [\w.]+, Cipher is (\S+)/.exec(printed)?.[1];
  return suite === undefined || suite === '(NONE)' ? 'refused' : suite;
};

const staticRsa = ['-tls1_2', '-cipher', 'AES128-SHA'];
const cbc = ['-tls1_2', '-cipher', 'AES128-SHA256'];
const ecdhe = ['-tls1_2', '-cipher', 'ECDHE-RSA-AES128-GCM-SHA256'];
const dhe = ['-tls1_2', '-cipher', 'DHE-RSA-AES256-SHA'];
const ecdsa = ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-GCM-SHA256'];
const tls13 = ['-tls1_3'];
const chacha = ['-tls1_3', '-ciphersuites', 'TLS_CHACHA20_POLY1305_SHA256'];
const rows: Record<
  string,
  [tls13: boolean, chacha: boolean, ecdhe: boolean, ecdsa: boolean, cbc: boolean, staticRsa: boolean, dhe: boolean]
> = {
  TLS13_1_3_2022_10: [true, true, false, false, false, false, false],
  TLS13_1_2_2022_10: [true, true, true, true, true, true, false],
  TLS12_1_2_2022_10: [false, false, true, true, true, true, false],
  TLS12_1_0_2016_01: [false, false, true, true, false, true, false],
  TLS12_1_0_2015_01: [false, false, true, true, true, true, true],
  TLS13_1_2_2022_01: [true, false, true, true, false, true, false],
};

for (const [name, expected] of Object.entries(rows)) {
  test(`${name}: what connects and what fails is what the table says (gateway.md 1.3)`, async (t) => {
    const bed = await boot(t, { securityPolicy: policyNamed(name) });
    const outcomes: boolean[] = [];
    for (const flags of [tls13, chacha, ecdhe, ecdsa, cbc, staticRsa, dhe]) {
      outcomes.push(agreed(await dial(bed, flags)) !== 'refused');
    }
    assert.deepEqual(outcomes, expected);
    assert.equal(agreed(await dial(bed, ['-tls1_1'])), 'refused');
  });
}

test('AES128-SHA256 of the policy of 2016 is spoken on port 443 (gateway.md 1.3)', () => {
  const policy = policyNamed('TLS12_1_0_2016_01');
  const has = (port: number) => policyOnPort(policy, port).ciphers.split(':').includes('AES128-SHA256');
  assert.deepEqual([443, 8443, 8883].map(has), [true, false, false]);
  assert.equal(policyOnPort(policy, 8443), policyOnPort(policy, 8883), 'one server serves both');
});

test('a record tells the security policy that had no version for the client', async (t) => {
  const bed = await boot(t, { securityPolicy: policyNamed('TLS13_1_3_2022_10') });
  assert.equal(agreed(await dial(bed, ['-tls1_2'])), 'refused');
  const { reason, tls } = await bed.records.next();
  assert.deepEqual(
    [reason, tls?.domain],
    [
      'TLS_VERSION_UNSUPPORTED',
      {
        ...{ name: 'mine', securityPolicy: 'IoTSecurityPolicy_TLS13_1_3_2022_10' },
        ...{ applicationProtocol: 'DEFAULT', authenticationType: 'DEFAULT' },
      },
    ],
  );
});

test('a TLS 1.2 session of a wide policy is not resumed under a narrow one', async (t) => {
  let policy = policyNamed('TLS12_1_2_2022_10');
  const bed = await bootGateway(t, {
    resolve: () => ({ kind: 'account', account, domain: { ...plain, securityPolicy: policy } }),
  });
  const visit = async (session?: Buffer) => {
    const socket = connect({
      ...{
        host: '127.0.0.1',
        port: bed.port,
        servername: serverName,
        rejectUnauthorized: false,
        maxVersion: 'TLSv1.2',
      },
      ...{ cert: identities.deviceEc.certificatePem, key: identities.deviceEc.keyPem },
      ...(session && { session }),
    });
    await once(socket, 'secureConnect');
    const seen = { resumed: socket.isSessionReused(), session: socket.getSession() };
    socket.destroy();
    return seen;
  };
  const { session } = await visit();
  assert.equal((await visit(session)).resumed, true);
  policy = policyNamed('TLS12_1_0_2016_01');
  assert.equal((await visit(session)).resumed, false);
});

test('a disabled domain configuration lets nobody in, and says so (gateway.md 1.1)', async (t) => {
  const bed = await boot(t, {}, { kind: 'disabled', account, name: 'mine' });
  assert.match(await dial(bed, []), /alert access denied/);
  const { reason, tls, account: owner } = await bed.records.next();
  assert.deepEqual([reason, tls?.domain, owner], ['DOMAIN_CONFIGURATION_DISABLED', { name: 'mine' }, account]);
});

for (const version of ['-tls1_2', '-tls1_3']) {
  test(`${version}: an OCSP response is stapled for who asks, and the handshake goes on without one (1.4)`, async (t) => {
    let response: Uint8Array | undefined = ocspResponse;
    const certificate = { ...serverCertificates.rsa, staple: () => response };
    const bed = await boot(t, { certificate });
    assert.match(await dial(bed, [version, '-status']), /OCSP Response Status: trylater/);
    assert.doesNotMatch(await dial(bed, [version]), /OCSP Response Status/);
    response = undefined;
    assert.match(await dial(bed, [version, '-status']), /OCSP response: no response sent/);
  });
}

/** OCSPResponse with responseStatus tryLater (RFC 6960 4.2.1): what openssl prints needs no signature. */
const ocspResponse = Buffer.from('30030a0103', 'hex');

test("a domain's own certificate is served to clients of either kind, and replaced without touching who is connected", async (t) => {
  let certificate = serverCertificates.ec;
  const bed = await bootGateway(t, {
    resolve: () => ({ kind: 'account', account, domain: { ...plain, certificate } }),
  });
  const visit = async () => {
    const socket = connect({
      ...{ host: '127.0.0.1', port: bed.port, servername: serverName, rejectUnauthorized: false },
      ...{ cert: identities.deviceEc.certificatePem, key: identities.deviceEc.keyPem },
    });
    await once(socket, 'secureConnect');
    return socket;
  };
  const first = await visit();
  assert.equal(first.getPeerX509Certificate()?.toString(), identities.ec.certificatePem);
  certificate = { ...serverCertificates.rsa };
  const second = await visit();
  assert.equal(second.getPeerX509Certificate()?.toString(), identities.rsa.certificatePem);
  assert.equal(first.destroyed, false);
  const [old] = [await bed.arrived.next(), await bed.arrived.next()];
  const heard = once(old?.tlsSocket ?? assert.fail(), 'data');
  first.write('still here');
  assert.equal(String((await heard)[0]), 'still here');
  first.destroy();
  second.destroy();
});

test('a client certificate callback decides after mutual TLS; a failure counts as no (1.2)', async (t) => {
  const answers: (() => Promise<boolean>)[] = [
    async () => true,
    async () => false,
    () => Promise.reject(new Error('the function broke')),
  ];
  const bed = await boot(t, {
    applicationProtocol: 'SECURE_MQTT',
    authenticationType: 'AWS_X509',
    acceptsClient: ({ certificate, serverName: asked }) => {
      assert.equal(certificate.toString(), identities.deviceEc.certificatePem);
      assert.equal(asked, serverName);
      return (answers.shift() ?? assert.fail())();
    },
  });
  await dial(bed, []);
  assert.equal((await bed.arrived.next()).protocol.name, 'mqtt');
  for (let refused = 0; refused < 2; refused += 1) {
    await dial(bed, []);
    assert.equal((await bed.records.next()).reason, 'CLIENT_CERTIFICATE_CALLBACK_REFUSED');
  }
  assert.equal(bed.arrived.size, 0);
});

test('custom authorizers, which this version does not have, are refused by name', async (t) => {
  const bed = await boot(t, { applicationProtocol: 'HTTPS', authenticationType: 'CUSTOM_AUTH' });
  assert.equal(agreed(await dial(bed, [])), 'refused');
  const { reason, detail } = await bed.records.next();
  assert.equal(reason, 'NOT_AVAILABLE');
  assert.match(detail ?? '', /custom authorizers/);
});

const pairs: [ApplicationProtocol, 'DEFAULT' | 'AWS_X509' | 'AWS_SIGV4', expected: string][] = [
  ['DEFAULT', 'DEFAULT', 'https requested undefined | mqtt required x-amzn-mqtt-ca'],
  ['SECURE_MQTT', 'AWS_X509', 'mqtt required undefined | mqtt required x-amzn-mqtt-ca'],
  ['MQTT_WSS', 'AWS_SIGV4', 'https none undefined upgrades | https none undefined upgrades'],
  ['HTTPS', 'AWS_X509', 'https required undefined requests | https required undefined requests'],
  ['HTTPS', 'AWS_SIGV4', 'https none undefined requests | https none undefined requests'],
];
for (const [applicationProtocol, authenticationType, expected] of pairs) {
  test(`${applicationProtocol} with ${authenticationType} speaks the same on all ports but where it says DEFAULT (1.2)`, () => {
    const choice = domainProtocol({ applicationProtocol, authenticationType }, httpsProtocol);
    const shown = [[], ['x-amzn-mqtt-ca']].map((offered) => {
      const protocol = choice(offered);
      assert.ok(protocol.name !== 'unavailable');
      const { name, clientCertificate, alpn, carries } = protocol;
      return `${name} ${clientCertificate} ${alpn}${carries ? ` ${carries}` : ''}`;
    });
    assert.equal(shown.join(' | '), expected);
    if (applicationProtocol === 'DEFAULT') return;
    assert.deepEqual(domainProtocol({ applicationProtocol, authenticationType }, mqttsProtocol)([]), choice([]));
    assert.ok(authenticationTypesOf[applicationProtocol].includes(authenticationType));
  });
}
