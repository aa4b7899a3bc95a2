/** Domains as a person uses them: the commands of docs/custom-domains.md with the AWS CLI and openssl, as they stand there. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { ListCertificatesCommand } from '@aws-sdk/client-acm';
import { bootNode } from '../harness.ts';

test('the commands of docs/custom-domains.md make a domain that its CA vouches for, change it, and take it away', async (t) => {
  const text = await readFile(new URL('../../docs/custom-domains.md', import.meta.url), 'utf8');
  const [certificate = '', proof = '', domain = '', managed = '', settings = '', again = '', away = '', ...more] = text
    .split(/^```\n/m)
    .filter((_, index) => index % 2 === 1);
  assert.deepEqual(more, []);
  const { node, shell, iot, acm } = await bootNode(t);
  /** In one shell, as the page says. */
  const run = async (...blocks: readonly string[]) => {
    const script = blocks.join('').replaceAll('localhost:8883', `localhost:${node.mqttPort}`);
    const { code, stdout, stderr } = await shell(`set -e\n${script}`);
    assert.equal(code, 0, stderr);
    return { stdout: stdout.trim(), stderr };
  };
  const describe = (domainConfigurationName: string) => iot().describeDomainConfiguration({ domainConfigurationName });
  const kept = `${certificate}${proof}echo "server=$server validation=$validation"`;
  const arns = `${(await run(kept)).stdout.split('\n').at(-1)}\n`;

  const made = await run(arns, domain);
  assert.match(`${made.stdout}${made.stderr}`, /^Verification: OK$/m);
  assert.match(`${made.stdout}${made.stderr}`, /^Verified peername: mqtt\.fleet\.example$/m);
  assert.equal((await run(managed)).stdout.split('\n').at(-1), (await describe('second')).domainName);

  await run(settings);
  const { tlsConfig, applicationProtocol, authenticationType } = await describe('fleet');
  assert.deepEqual(
    [tlsConfig?.securityPolicy, applicationProtocol, authenticationType],
    ['IoTSecurityPolicy_TLS13_1_3_2022_10', 'SECURE_MQTT', 'AWS_X509'],
  );
  assert.equal((await run(arns, again)).stdout.split('\n').at(-1), 'VALID');

  await run(arns, away);
  await assert.rejects(describe('fleet'), { name: 'ResourceNotFoundException' });
  const { CertificateSummaryList } = await acm().send(new ListCertificatesCommand({}));
  assert.deepEqual(CertificateSummaryList, []);
});
