/** A custom domain with a private CA, refused, served, taken away and made anew: the example runs as it is written, without root. Source: seed 003; spec identity 8, 10. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ListCertificatesCommand } from '@aws-sdk/client-acm';
import { freePort, isPortFree } from '../dns-server.ts';
import { type Booted, bash, bootNode, type Shelled } from '../harness.ts';

const example = fileURLToPath(new URL('../../examples/custom-domain.sh', import.meta.url));
const owner = ['111111111111', 'ap-northeast-1'] as const;
const domainName = 'example.alexa-dev.tokyo';
const dayMs = 24 * 60 * 60 * 1000;

const runExample = async ({ node, folder }: Booted, dnsPort: number): Promise<Shelled> =>
  bash(example, {
    cwd: folder,
    env: {
      ...{ FLEETGATE_API_URL: node.apiUrl, FLEETGATE_MQTT_PORT: String(node.mqttPort) },
      FLEETGATE_DNS_PORT: String(dnsPort),
    },
  });

/** What is printed under each heading. */
const sections = (stdout: string): ReadonlyMap<string, string> =>
  new Map(
    stdout
      .split(/^== /m)
      .slice(1)
      .map((text) => {
        const [heading = '', ...lines] = text.split('\n');
        return [heading, lines.join('\n').trim()];
      }),
  );

/** What mosquitto prints of a message that is let in, in every one of seed 003's tests. */
const sent = `Client clientid sending CONNECT
Client clientid received CONNACK (0)
Client clientid sending PUBLISH (d0, q0, r0, m1, 'topic/test', ... (5 bytes))
Client clientid sending DISCONNECT`;

const fault = (name: string, operation: string, message: string): string =>
  `An error occurred (${name}) when calling the ${operation} operation: ${message}`;

/** Ports that are tried: what is free for one moment may be somebody's in the next. */
const portsMax = 5;
const portIsTaken = /^Port \d+ of 127\.0\.0\.1 is taken:/m;

const runWithDns = async (t: TestContext, customDomainDeletionDays: number) => {
  for (let left = portsMax; ; left -= 1) {
    const dnsPort = await freePort();
    const dnsServers = [`127.0.0.1:${dnsPort}`];
    const booted = await bootNode(t, { dev: true, dnsServers, customDomainDeletionDays });
    const ran = await runExample(booted, dnsPort);
    if (left > 1 && portIsTaken.test(ran.stderr)) continue;
    assert.ok(await isPortFree(dnsPort), 'the DNS server of the example goes with it');
    return { booted, ran };
  }
};

const passes = async (t: TestContext, customDomainDeletionDays: number) => {
  const { booted, ran } = await runWithDns(t, customDomainDeletionDays);
  const { code, stdout, stderr } = ran;
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  const printed = sections(stdout);
  const [iot, acm] = [booted.iot(...owner), booted.acm(...owner)];
  const [{ domainConfigurations = [] }, { certificates }, { policies }, imported] = await Promise.all([
    iot.listDomainConfigurations({}),
    iot.listCertificates({}),
    iot.listPolicies({}),
    acm.send(new ListCertificatesCommand({})),
  ]);
  const own = domainConfigurations.filter(({ domainConfigurationName: name = '' }) => !name.startsWith('iot:'));
  assert.deepEqual([own, certificates, policies, imported.CertificateSummaryList], [[], [], [], []], 'what is left');
  return {
    ...booted,
    /** The text under a heading, or under the first that begins so. */
    under(words: string): string {
      const [, begun] = [...printed].find(([heading]) => heading.startsWith(words)) ?? [];
      return printed.get(words) ?? begun ?? assert.fail(`${words} is not in\n${stdout}`);
    },
  };
};

test('seed 003: a domain with a private CA is refused without serverAuth, served, taken away and made anew', async (t) => {
  const { under, node } = await passes(t, 0);
  await t.test(
    'identity.md check 41: a certificate without serverAuth passes ACM and no domain, and explain says why',
    () => {
      assert.equal(under('into ACM'), `${domainName}\tIMPORTED\tISSUED`);
      const refused = under('the domain configuration: refused');
      const unfit =
        'The server certificate does not have the extended key usage serverAuth (TLS Web Server Authentication)';
      assert.ok(
        refused.startsWith(fault('CertificateValidationException', 'CreateDomainConfiguration', `${unfit}\n`)),
        refused,
      );
      assert.match(
        refused,
        /^The domain configuration "custom" for example\.alexa-dev\.tokyo was not created: .*serverAuth/m,
      );
      assert.match(refused, /^ {2}printf 'extendedKeyUsage = serverAuth/m);
    },
  );
  await t.test('identity.md check 42: with a validation certificate, proven in DNS, the private one is VALID', () => {
    const [recordName, type, value] = under('a validation certificate').split('\t');
    assert.match(recordName ?? '', /^_[0-9a-f]{32}\.example\.alexa-dev\.tokyo\.$/);
    assert.equal(type, 'CNAME');
    assert.match(value ?? '', /^_[0-9a-f]{32}\.[a-z]{10}\.acm-validations\.aws\.$/);
    assert.equal(under('ACM finds the record'), 'ISSUED');
    const made = under('the domain configuration');
    assert.match(made, /"serverCertificateStatus": "VALID"/);
    assert.match(made, /"domainType": "CUSTOMER_MANAGED"/);
  });
  await t.test('section 5: dig finds the default endpoint behind the domain', () => {
    assert.match(
      under('DNS'),
      /^;; ANSWER SECTION:\nexample\.alexa-dev\.tokyo\.\s+60\s+IN\s+CNAME\s+\w+-ats\.iot\.ap-northeast-1\.localhost\.\n/,
    );
  });
  await t.test('section 6: the three connections', () => {
    assert.equal(under('(1) the default endpoint and the root certificate'), sent);
    const [seen = '', explained = ''] = under('(2) the custom domain and the root certificate').split(/^(?=\d{4}-)/m);
    assert.match(seen, /^OpenSSL Error\[0\]: error:\w+:SSL routines:.*:certificate verify failed$/m);
    assert.match(seen, /A TLS error occurred/);
    assert.doesNotMatch(seen, /CONNACK/);
    assert.match(explained, /the domain configuration "custom", and its chain ends in "C=JP, .*CN=CA"\.$/m);
    assert.equal(under('(3) the custom domain and the certificate of the private CA'), sent);
  });
  await t.test('identity.md check 44: what a domain uses is not deleted from ACM; after the domain it is', () => {
    const [server = '', validation = ''] = under('what is in use stays').split('\n');
    for (const line of [server, validation]) {
      assert.match(
        line,
        /\(ResourceInUseException\) when calling the DeleteCertificate operation: .* is in use by arn:aws:iot:.*:domainconfiguration\/custom\/\w{5}\.$/,
      );
    }
    assert.notEqual(server, validation);
    const [, anew = ''] = under('now the server certificate goes too').split(/^\}\n/m);
    assert.equal(anew, sent);
  });
  await t.test(
    'identity.md check 43: what is ENABLED stays; a custom domain goes at once, one of the service after seven days',
    () => {
      const [, , enabled] = under('what is in use stays').split('\n');
      const must = 'Domain Configuration must be disabled';
      assert.equal(
        enabled,
        fault('InvalidRequestException', 'DeleteDomainConfiguration', `${must} before it can be deleted`),
      );
      assert.match(under('to make it anew'), /^disabled: custom\ndisabled: managed\n.*A TLS error occurred/s);
      const [early, custom, week = '', managed, ...more] = under('delete both').split('\n');
      assert.equal(
        early,
        fault(
          'InvalidRequestException',
          'DeleteDomainConfiguration',
          `AWS Managed ${must} for at least 7 days before it can be deleted`,
        ),
      );
      assert.deepEqual([custom, managed, more], ['deleted: custom', 'deleted: managed', []]);
      const aheadMs = Date.parse(week.replace('a week later: ', '')) - Date.now();
      assert.ok(aheadMs > 6 * dayMs && aheadMs <= 7 * dayMs + 60_000, week);
      assert.ok(node.clock.now() - Date.now() < 8 * dayMs, 'the clock was moved once');
    },
  );
});

test('seed 003, section 7: with --custom-domain-deletion-days 7 a custom domain goes a week after it was disabled, and not before', async (t) => {
  const { under, node } = await passes(t, 7);
  const lines = under('delete both')
    .split('\n')
    .filter((line) => line !== '');
  assert.match(
    lines[1] ?? '',
    /\(InvalidRequestException\).*: Customer Managed Domain Configuration must be disabled for at least 7 days/,
  );
  assert.deepEqual(lines.slice(3), ['deleted: managed', 'deleted: custom']);
  assert.ok(node.clock.now() - Date.now() > 13 * dayMs, 'and once more at the end');
});

test('the example says in a sentence what the server lacks, and leaves nothing behind', async (t) => {
  const dnsPort = await freePort();
  const closed = await bootNode(t);
  const { code, stdout, stderr } = await runExample(closed, dnsPort);
  assert.deepEqual([code, stdout], [1, '']);
  assert.match(stderr, /^fleetgate: .* Only a server that was started with --dev lets its clock be moved\.\n$/);

  const elsewhere = await bootNode(t, { dev: true, dnsServers: ['127.0.0.1:9'] });
  const unasked = await runExample(elsewhere, dnsPort);
  assert.equal(unasked.code, 1);
  assert.match(
    unasked.stderr,
    /^The server asks another DNS server: start it with npm start -- --dev --dns-server 127\.0\.0\.1:\d+$/m,
  );
  const left = async () => (await elsewhere.acm(...owner).send(new ListCertificatesCommand({}))).CertificateSummaryList;
  assert.deepEqual(await left(), []);
  assert.ok(await isPortFree(dnsPort), 'nor its DNS server');

  const somebody = createSocket('udp4').bind(0, '127.0.0.1');
  t.after(() => somebody.close());
  await once(somebody, 'listening');
  const { port } = somebody.address();
  const kept = await runExample(elsewhere, port);
  assert.deepEqual([kept.code, kept.stdout], [1, '']);
  assert.match(kept.stderr, portIsTaken);
  assert.match(kept.stderr, /FLEETGATE_DNS_PORT/);
  assert.deepEqual(await left(), []);
});
