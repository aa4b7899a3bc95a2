/** A domain configuration that is not created, or not deleted: explained in one sentence, and done after the commands that the explanation prints. Source: spec identity 8. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bootDomains } from '../domain-scene.ts';
import { explainedAs } from '../refusal.ts';

const domainName = 'iot.example.test';
/** The files of docs/custom-domains.md, with a server certificate that was made for clients. */
const unfit = `
  openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj /CN=CA -keyout ca.key -out ca.crt
  openssl req -newkey rsa:2048 -nodes -subj /CN=${domainName} -keyout server.key -out server.csr
  printf 'extendedKeyUsage = clientAuth\n' > server.ext
  openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 -extfile server.ext > server.crt
`;

test('a server certificate without serverAuth, none that proves the name, and a domain that is ENABLED, until the cures are carried out', async (t) => {
  const domains = await bootDomains(t);
  const { sdk, shell, folder } = domains;
  const run = async (script: string): Promise<string> => {
    const { code, stdout, stderr } = await shell(`set -e\n${script}`, { cwd: folder });
    assert.equal(code, 0, stderr);
    return stdout.trim();
  };
  const serverCertificateArn = await run(
    `(${unfit}) 2> made.txt; aws acm import-certificate --certificate fileb://server.crt --private-key fileb://server.key --certificate-chain fileb://ca.crt --query CertificateArn --output text`,
  );
  const create = { domainConfigurationName: 'mine', domainName, serverCertificateArns: [serverCertificateArn] };
  await assert.rejects(sdk.createDomainConfiguration(create), { name: 'CertificateValidationException' });
  const usage = await explainedAs(domains, /"mine" for iot\.example\.test was not created: .* serverAuth/);
  const { stderr } = await shell(`set -e\n${usage.commands.join('\n')}`, { cwd: folder });
  assert.match(stderr, /\(CertificateValidationException\).*signed by a private CA/, 'the next cause');

  const proof = await explainedAs(domains, /was not created: the server certificate is signed by a private CA/);
  await run(proof.commands.join('\n'));
  const { domainConfigurationStatus } = await sdk.describeDomainConfiguration({ domainConfigurationName: 'mine' });
  assert.equal(domainConfigurationStatus, 'ENABLED');

  const wrong = { ...create, domainConfigurationName: 'second', validationCertificateArn: serverCertificateArn };
  const { serverCertificates = [] } = await sdk.describeDomainConfiguration({ domainConfigurationName: 'mine' });
  const serverCertificateArns = serverCertificates.map((it) => it.serverCertificateArn ?? '');
  await assert.rejects(sdk.createDomainConfiguration({ ...wrong, serverCertificateArns }), {
    name: 'InvalidRequestException',
  });
  await explainedAs(domains, /"second" .* was not created: the validation certificate must be one that ACM has issued/);

  await assert.rejects(sdk.deleteDomainConfiguration({ domainConfigurationName: 'mine' }), {
    name: 'InvalidRequestException',
  });
  await run((await explainedAs(domains, /"mine" was not deleted: .* must be disabled/)).commands.join('\n'));
  await assert.rejects(sdk.describeDomainConfiguration({ domainConfigurationName: 'mine' }), {
    name: 'ResourceNotFoundException',
  });
});

test('a name of the service is deleted seven days after it was disabled, and explain says from when on', async (t) => {
  const domains = await bootDomains(t, { dev: true });
  const { sdk, shell, node } = domains;
  await domains.managedDomain('managed');
  const remove = () => sdk.deleteDomainConfiguration({ domainConfigurationName: 'managed' });
  await assert.rejects(remove, { name: 'InvalidRequestException' });
  const enabled = await explainedAs(domains, /"managed" was not deleted: .* must be disabled/);
  assert.match(enabled.cure, /delete it 7 days later:$/);
  assert.equal((await shell(enabled.commands.join('\n'))).code, 0);
  await assert.rejects(remove, { name: 'InvalidRequestException' });
  const { cure } = await explainedAs(domains, /"managed" was not deleted: AWS Managed .* at least 7 days/);
  const [, from = '', command = ''] = /^Delete it from (\S+) on\..*`(.*)`\.$/.exec(cure) ?? [];
  assert.equal((await shell(command)).code, 0);
  assert.ok(node.clock.now() >= Date.parse(from));
  await remove();
});
