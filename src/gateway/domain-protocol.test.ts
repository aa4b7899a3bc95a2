/**
 * What a domain configuration changes on the wire, with real clients: protocols, stapling, certificates, who may not. Its suites are in `domain-tls.test.ts`.
 * Source: spec gateway.md 1.1 to 1.4.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { authorities } from '../../test/ca.ts';
import { account, type Bed, bootGateway, Inbox, identities, run, serverCertificates } from '../../test/gateway-bed.ts';
import { throwAwayFolder } from '../../test/throw-away-certificates.ts';
import { awsLimits } from '../limits.ts';
import { defaultSecurityPolicy, securityPolicies } from '../tls/security-policy.ts';
import {
  type ApplicationProtocol,
  authenticationTypesOf,
  type ClientCertificateAnswer,
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
  const answers: (() => Promise<ClientCertificateAnswer>)[] = [
    async () => ({ accepted: true }),
    async () => ({ accepted: false, detail: 'why' }),
    () => Promise.reject(new Error('the function broke')),
  ];
  const bed = await boot(t, {
    applicationProtocol: 'SECURE_MQTT',
    authenticationType: 'AWS_X509',
    acceptsClient: (question) => {
      const { certificateId, certificatePem } = identities.deviceEc;
      assert.deepEqual(question, { certificateId, chain: [certificatePem], serverName });
      return (answers.shift() ?? assert.fail())();
    },
  });
  await dial(bed, []);
  assert.equal((await bed.arrived.next()).protocol.name, 'mqtt');
  for (const detail of ['why', undefined]) {
    await dial(bed, []);
    const record = await bed.records.next();
    assert.deepEqual([record.reason, record.detail], ['CLIENT_CERTIFICATE_CALLBACK_REFUSED', detail]);
  }
  assert.equal(bed.arrived.size, 0);
});

test('the function is shown the chain that the client sent; of a resumed session the leaf alone (1.2)', async (t) => {
  const folder = throwAwayFolder();
  const make = authorities(folder);
  const ca = await make.ca('ca');
  const leaf = await make.leaf('leaf', 'ca');
  const key = await readFile(join(folder, 'leaf.key'));
  const shown: (readonly string[])[] = [];
  const bed = await boot(t, {
    acceptsClient: async ({ chain }) => {
      shown.push(chain);
      return { accepted: true };
    },
  });
  const visit = async (session?: Buffer): Promise<Buffer | undefined> => {
    const socket = connect({
      ...{ host: '127.0.0.1', port: bed.port, servername: serverName, rejectUnauthorized: false },
      ...{ cert: leaf + ca, key, maxVersion: 'TLSv1.2', ...(session && { session }) },
    });
    await once(socket, 'secureConnect');
    await bed.arrived.next();
    const made = socket.getSession();
    socket.destroy();
    return made;
  };
  const session = await visit();
  await visit(session);
  assert.deepEqual(shown, [[leaf, ca], [leaf]]);
});

test('a function that does not answer holds no slot of the handshakes, and lets nobody in (1.2)', async (t) => {
  const certificateIds = new Inbox<string>();
  const hangs: ServedDomain['acceptsClient'] = ({ certificateId }) => {
    certificateIds.push(certificateId);
    return new Promise(() => {});
  };
  let domain: ServedDomain = { ...plain, acceptsClient: hangs };
  const bed = await bootGateway(t, {
    limits: { ...awsLimits, handshakesMax: 1 },
    bounds: { handshakeSlotMs: 60_000 },
    resolve: () => ({ kind: 'account', account, domain }),
  });
  const dialled = () =>
    connect({
      ...{ host: '127.0.0.1', port: bed.port, servername: serverName, rejectUnauthorized: false },
      ...{ cert: identities.deviceEc.certificatePem, key: identities.deviceEc.keyPem },
    });
  const waiting = [dialled(), dialled(), dialled()];
  for (const _ of waiting) await certificateIds.next();
  domain = plain;
  const other = dialled();
  await once(other, 'secureConnect');
  await bed.arrived.next();
  assert.deepEqual([bed.arrived.size, bed.records.size], [0, 0]);
  // who waits goes with the gateway
  const closed = waiting.map((socket) => once(socket, 'close'));
  for (const socket of waiting) socket.on('error', () => {});
  other.destroy();
  await bed.gateway.close(0);
  await Promise.all(closed);
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
