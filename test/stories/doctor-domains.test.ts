/** `fleetgate doctor` names the domain names of the account that clients will fail at, and its cures work when they are run. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { DescribeCertificateCommand, ListCertificatesCommand, RequestCertificateCommand } from '@aws-sdk/client-acm';
import { startDnsServer } from '../dns-server.ts';
import { bootDomains, type ServerFiles } from '../domain-scene.ts';
import { bootNode, put } from '../harness.ts';

/** Up to the domains, which are looked at before the AWS CLI is. */
const begin = async (t: TestContext) => {
  const domains = await bootDomains(t);
  const { folder, shell } = domains;
  return {
    ...domains,
    /** What is said of the domains: sentence and cure, or the line. */
    async doctor(): Promise<readonly string[]> {
      const { stdout } = await shell('LD_PRELOAD=libnss_wrapper.so NSS_WRAPPER_HOSTS=hosts fleetgate doctor');
      const line = /^ {2}ok {2}domains +(.*)$/m.exec(stdout)?.[1];
      return line === undefined ? stdout.trimEnd().split('\n\n').slice(-2) : [line];
    },
    /** Under the names that the cure has. */
    async keep({ certificatePem, privateKeyPem, caPem }: ServerFiles): Promise<void> {
      await writeFile(join(folder, 'server.crt'), certificatePem);
      await writeFile(join(folder, 'server.key'), privateKeyPem);
      await writeFile(join(folder, 'ca.crt'), caPem);
    },
    cure: async (command: string) => {
      const { code, stderr } = await shell(command);
      assert.equal(code, 0, stderr);
    },
  };
};

test('names without an address, certificates that do not fit and those that end soon are named and cured', async (t) => {
  const { doctor, keep, cure, managedDomain, customDomain, importServer, server, sdk, folder, shell } = await begin(t);
  await put(folder, 'hosts', '');
  assert.deepEqual(await doctor(), ['the account has made none of its own']);

  const managed = await managedDomain('managed');
  assert.match(
    (await doctor())[0] ?? '',
    new RegExp(`The name ${managed}, of the domain configuration "managed", has no`),
  );
  const name = 'iot.example.test';
  const { serverArn } = await customDomain('mine', name, { days: 20 });
  const soon = await doctor();
  assert.match(soon[0] ?? '', /^The name d/, 'the first trouble alone');
  await cure((soon[1] ?? '').replace(/\| sudo tee -a \/etc\/hosts/, '> hosts'));

  const ending = await doctor();
  assert.match(
    ending[0] ?? '',
    /^The certificate that iot\.example\.test, of the domain configuration "mine", is served with ends on 20/,
  );
  await keep(await server('renewed', name));
  await cure(ending[1] ?? '');
  assert.deepEqual(await doctor(), [`served: ${managed}, ${name}`]);
  const { stdout } = await shell('fleetgate explain last');
  assert.match(stdout, /^Nothing was refused/, 'what doctor looks at is no attempt to get in');

  await importServer(await server('stranger', 'other.example.test'), serverArn);
  const invalid = await doctor();
  assert.match(
    invalid[0] ?? '',
    /^The domain configuration "mine" goes on presenting an older certificate .*not among the names/,
  );
  await cure(invalid[1] ?? '');
  await sdk.updateDomainConfiguration({ domainConfigurationName: 'mine', domainConfigurationStatus: 'DISABLED' });
  const [line = ''] = await doctor();
  assert.match(line, new RegExp(`^served: ${managed}; DISABLED: mine \\(since \\d{4}-[^)]+Z\\)$`));
});

test('a name that leads elsewhere, and a responder that says nothing, are named and cured', async (t) => {
  const { doctor, cure, managedDomain, customDomain, folder } = await begin(t);
  const managed = await managedDomain('managed');
  await put(folder, 'hosts', `127.0.0.9 ${managed}\n`);
  const [elsewhere = '', lead = ''] = await doctor();
  assert.match(
    elsewhere,
    new RegExp(`^The name ${managed}, .* leads to 127\\.0\\.0\\.9, where nobody answers on port \\d+; this`),
  );
  await cure(lead.replaceAll('sudo ', '').replaceAll('/etc/hosts', 'hosts'));
  assert.deepEqual(await doctor(), [`served: ${managed}`]);

  const domainName = 'iot.example.test';
  await customDomain('mine', domainName, { serverCertificateConfig: { enableOCSPCheck: true } });
  await cure('fleetgate hosts > hosts');
  const [silent = '', without = ''] = await doctor();
  assert.match(
    silent,
    /^No OCSP response comes with the certificate of iot\.example\.test, although .* "mine" asks for it/,
  );
  await cure(without);
  assert.deepEqual(await doctor(), [`served: ${managed}, ${domainName}`]);
});

test('certificates that wait for their proof, or never got it, are named and cured', async (t) => {
  const dns = await startDnsServer(t);
  const { node, shell, acm } = await bootNode(t, { dnsServers: [dns.address] });
  const doctor = async (): Promise<readonly string[]> => {
    const { stdout } = await shell('fleetgate doctor');
    const line = /^ {2}ok {2}certificates +(.*)$/m.exec(stdout)?.[1];
    return line === undefined ? stdout.trimEnd().split('\n\n').slice(-2) : [line];
  };
  const serve = async (output: string): Promise<void> => {
    const [name = '', , value = ''] = output.trim().split(/\s+/);
    await dns.serve({ [name.replace(/\.$/, '')]: value.replace(/\.$/, '') });
  };
  const cured = async (command = ''): Promise<string> => {
    const { code, stdout, stderr } = await shell(command);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  const arns = async (): Promise<readonly string[]> => {
    const command = new ListCertificatesCommand({ Includes: { keyTypes: ['EC_prime256v1'] } });
    const { CertificateSummaryList = [] } = await acm().send(command);
    return CertificateSummaryList.map((it) => it.CertificateArn ?? '');
  };
  assert.deepEqual(await doctor(), ['ACM has none of this account']);
  const names = { DomainName: 'iot.example.org', SubjectAlternativeNames: ['*.iot.example.org'] };
  await acm().send(new RequestCertificateCommand({ ...names, ValidationMethod: 'DNS', KeyAlgorithm: 'EC_prime256v1' }));
  await node.clock.advance(73 * 3_600_000);
  const [never = '', again] = await doctor();
  assert.match(never, /^The certificate that was requested for iot\.example\.org was never issued: /);
  await cured(again);
  const [waiting = '', show] = await doctor();
  assert.match(
    waiting,
    /requested for iot\.example\.org is not issued: DNS does not have _[0-9a-f]{32}\.iot\.example\.org\. CNAME _\S+\.$/,
    'a name and its wildcard have one record',
  );
  await serve(await cured(show));
  await node.clock.advance(10_000);
  assert.deepEqual(await doctor(), ['1 in ACM, issued and renewed']);
  const [CertificateArn = ''] = await arns();
  const { Certificate } = await acm().send(new DescribeCertificateCommand({ CertificateArn }));
  assert.deepEqual(Certificate?.SubjectAlternativeNames, ['iot.example.org', '*.iot.example.org']);
  assert.match(
    String(Certificate?.KeyAlgorithm),
    /EC.prime256v1/,
    'the one that was requested again is like the first',
  );

  await dns.serve({});
  await node.clock.advance(340 * 86_400_000);
  const [renewal = '', lost] = await doctor();
  assert.match(
    renewal,
    /requested for iot\.example\.org is not renewed: DNS does not have _\S+ CNAME _\S+ any more\.$/,
  );
  await serve(await cured(lost));
  await node.clock.advance(3_600_000);
  assert.deepEqual(await doctor(), ['1 in ACM, issued and renewed']);
});
