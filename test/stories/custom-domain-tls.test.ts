/**
 * What a domain configuration changes about the connections that name it, seen from outside: security policies and protocols are set by the API and met on the
 * wire at once. Which suites each policy has: `src/gateway/domain-tls.test.ts`. Source: spec gateway.md 1.1 to 1.4, identity 8.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bootDomains, type Domains, type VisitOptions } from '../domain-scene.ts';
import { bash } from '../harness.ts';
import { publish, RawMqtt, subscribe } from '../raw-mqtt.ts';
import { within } from '../within.ts';

/** Which versions of TLS each policy has (gateway.md 1.3). */
const policies: readonly (readonly [name: string, tls12: boolean, tls13: boolean])[] = [
  ['TLS13_1_3_2022_10', false, true],
  ['TLS13_1_2_2022_10', true, true],
  ['TLS12_1_2_2022_10', true, false],
  ['TLS12_1_0_2016_01', true, false],
  ['TLS12_1_0_2015_01', true, false],
  ['TLS13_1_2_2022_01', true, true],
];

interface Client {
  readonly tls: 'TLSv1.2' | 'TLSv1.3';
  /** The only kind of key that it can verify. */
  readonly kind: 'rsa' | 'ec';
  readonly options: VisitOptions;
  /** The same for `openssl s_client`. */
  readonly flags: string;
}
const clients: readonly Client[] = [
  {
    ...{ tls: 'TLSv1.2', kind: 'rsa', options: { ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' } },
    flags: '-tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256',
  },
  {
    ...{ tls: 'TLSv1.2', kind: 'ec', options: { ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' } },
    flags: '-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256',
  },
  {
    ...{ tls: 'TLSv1.3', kind: 'rsa', options: { sigalgs: 'rsa_pss_rsae_sha256:rsa_pkcs1_sha256' } },
    flags: '-tls1_3 -sigalgs rsa_pss_rsae_sha256:rsa_pkcs1_sha256',
  },
  {
    ...{ tls: 'TLSv1.3', kind: 'ec', options: { sigalgs: 'ecdsa_secp256r1_sha256' } },
    flags: '-tls1_3 -sigalgs ecdsa_secp256r1_sha256',
  },
];

/** `TLSv1.2 ec`, or `refused`. */
const nodeSees = async ({ visit }: Domains, serverName: string, { tls, options }: Client): Promise<string> => {
  try {
    const { version, kind, socket } = await visit(serverName, { tls, ...options });
    socket.destroy();
    return `${version} ${kind}`;
  } catch {
    return 'refused';
  }
};
const opensslSees = async ({ node }: Domains, serverName: string, flags: string): Promise<string> => {
  const { stdout } = await bash(
    `openssl s_client -connect 127.0.0.1:${node.mqttPort} -servername ${serverName} ${flags} < /dev/null 2>&1`,
  );
  const version = /^New, (TLSv1\.[23]), Cipher is [^(]/m.exec(stdout)?.[1];
  if (version === undefined) return 'refused';
  return `${version} ${/^Server public key is 256 bit$/m.test(stdout) ? 'ec' : 'rsa'}`;
};

test('each security policy decides, as soon as it is set, which versions connect: RSA-only and EC-only clients alike (gateway.md 1.3)', async (t) => {
  const domains = await bootDomains(t);
  const managed = await domains.managedDomain('managed');
  await domains.customDomain('rsa', 'rsa.example.test', { key: 'rsa' });
  await domains.customDomain('ec', 'ec.example.test', { key: 'P-256' });
  for (const [policy, tls12, tls13] of policies) {
    const securityPolicy = `IoTSecurityPolicy_${policy}`;
    for (const domainConfigurationName of ['managed', 'rsa', 'ec']) {
      await domains.sdk.updateDomainConfiguration({ domainConfigurationName, tlsConfig: { securityPolicy } });
    }
    const speaks = (tls: string): boolean => (tls === 'TLSv1.2' ? tls12 : tls13);
    for (const client of clients) {
      const { tls, kind } = client;
      const connected = speaks(tls) ? `${tls} ${kind}` : 'refused';
      const expected = {
        managed: connected,
        openssl: connected,
        // the one certificate of a domain of the customer suits clients of its own kind
        rsa: kind === 'rsa' ? connected : 'refused',
        ec: kind === 'ec' ? connected : 'refused',
      };
      const [node, openssl, rsa, ec] = await Promise.all([
        nodeSees(domains, managed, client),
        opensslSees(domains, managed, client.flags),
        nodeSees(domains, 'rsa.example.test', client),
        nodeSees(domains, 'ec.example.test', client),
      ]);
      assert.deepEqual({ managed: node, openssl, rsa, ec }, expected, `${policy}: ${client.flags}`);
    }
  }
});

const liveConnections = 500;

test('new connections meet a swapped server certificate, DISABLED and deletion at once, and none of 500 live ones is dropped (identity.md 8)', async (t) => {
  const domains = await bootDomains(t);
  const { importServer, server, sdk, visit } = domains;
  const identity = await domains.device('sensor', { policyName: 'everything' });
  const name = 'iot.example.test';
  const { serverArn } = await domains.customDomain('mine', name);
  const connect = async (clientId: string) => {
    const { socket, serialNumber } = await visit(name, { identity });
    const raw = new RawMqtt(socket, 4);
    raw.send([
      { cmd: 'connect', clientId, clean: true, keepalive: 600, protocolId: 'MQTT', protocolVersion: 4 },
      subscribe(1, [{ topic: 'all', qos: 0 }]),
    ]);
    assert.deepEqual(await raw.heard(2), ['CONNACK 0x00', 'SUBACK 1 0x00']);
    return { raw, serialNumber };
  };
  const live: Awaited<ReturnType<typeof connect>>[] = [];
  while (live.length < liveConnections) {
    const more = Array.from({ length: 50 }, (_, at) => connect(`live-${live.length + at}`));
    live.push(...(await Promise.all(more)));
  }
  const [old] = live;
  assert.ok(live.every(({ serialNumber }) => serialNumber === old?.serialNumber));

  // while it is imported, others come: each is shown either, and nobody is refused
  const meanwhile = Promise.all(Array.from({ length: 50 }, (_, at) => connect(`meanwhile-${at}`)));
  await importServer(await server('successor', name), serverArn);
  live.push(...(await meanwhile));
  const swapped = async () => {
    for (;;) {
      const { serialNumber, socket } = await visit(name);
      socket.destroy();
      if (serialNumber !== old?.serialNumber) return serialNumber;
    }
  };
  const successor = await within(swapped(), 'the imported certificate');
  const publisher = await connect('publisher');
  const allHear = async (message: string): Promise<void> => {
    publisher.raw.send(publish(2, 'all', message));
    await Promise.all(
      live.map(async ({ raw }) => {
        const heard = await raw.take(1);
        assert.deepEqual(
          heard.map((it) => (it.cmd === 'publish' ? String(it.payload) : it.cmd)),
          [message],
        );
        assert.equal(raw.isClosed, false);
      }),
    );
  };
  await allHear('still here');

  // what may not take its place leaves it there, and the configuration says why
  await importServer(await server('stranger', 'other.example.test'), serverArn);
  const invalid = async (): Promise<string | undefined> => {
    for (;;) {
      const { serverCertificates } = await sdk.describeDomainConfiguration({ domainConfigurationName: 'mine' });
      const [shown] = serverCertificates ?? [];
      if (shown?.serverCertificateStatus === 'INVALID') return shown.serverCertificateStatusDetail;
    }
  };
  assert.match((await within(invalid(), 'INVALID')) ?? '', /not among the names/);
  live.push(await connect('newer'));
  assert.equal(live.at(-1)?.serialNumber, successor);

  await sdk.updateDomainConfiguration({ domainConfigurationName: 'mine', domainConfigurationStatus: 'DISABLED' });
  await assert.rejects(connect('refused'), /alert access denied/);
  await allHear('although it is disabled');
  await sdk.deleteDomainConfiguration({ domainConfigurationName: 'mine' });
  await assert.rejects(connect('refused'), /unrecognized name/);
  await allHear('although it is gone');
});

test('the TLS configuration of the default data endpoint counts under every name that it has (identity.md 8)', async (t) => {
  const { sdk, visit, node } = await bootDomains(t);
  const securityPolicy = 'IoTSecurityPolicy_TLS13_1_3_2022_10';
  await sdk.updateDomainConfiguration({ domainConfigurationName: 'iot:Data-ATS', tlsConfig: { securityPolicy } });
  for (const port of [node.mqttPort, node.httpsPort]) {
    assert.equal((await visit('localhost', { port })).version, 'TLSv1.3');
    await assert.rejects(visit('localhost', { port, tls: 'TLSv1.2' }), /protocol version/);
  }
});
