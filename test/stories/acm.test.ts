/** ACM as a person uses it: the commands of docs/acm.md with the AWS CLI and openssl, as they stand there, against a real DNS server. The certificates are those of seed 003. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { startDnsServer } from '../dns-server.ts';
import { bootNode } from '../harness.ts';

const dayMs = 24 * 60 * 60 * 1000;

test('the commands of docs/acm.md import a private certificate, and request, prove, fetch and list one of ACM, which is renewed', async (t) => {
  const text = await readFile(new URL('../../docs/acm.md', import.meta.url), 'utf8');
  const [importing = '', requesting = '', fetching = '', listing = '', ...more] = text
    .split(/^```\n/m)
    .filter((_, index) => index % 2 === 1);
  assert.deepEqual(more, []);
  const dns = await startDnsServer(t);
  const { node, shell } = await bootNode(t, { dnsServers: [dns.address] });
  const run = async (script: string): Promise<string> => {
    const { code, stdout, stderr } = await shell(`set -e\n${script}`);
    assert.equal(code, 0, stderr);
    return stdout.trim();
  };
  const imported = await run(`${importing}echo "$imported"`);
  const two = await shell(`cat server.crt ca.crt > both.crt\n${importing.replace('//server.crt', '//both.crt')}`);
  assert.match(two.stderr, /\(ValidationException\).*The certificate field contains more than one certificate/);

  const [record = '', requested = ''] = (await run(`${requesting}echo "$requested"`)).split('\n');
  const [name = '', type, value = ''] = record.split(/\s+/);
  assert.equal(type, 'CNAME');
  await dns.serve({ [name.replace(/\.$/, '')]: value.replace(/\.$/, '') });
  await node.clock.advance(10_000);
  const withArn = `requested=${requested}\n`;
  assert.match(await run(withArn + fetching), /^leaf\.pem: OK$/m);

  await node.clock.advance(336 * dayMs);
  const after = `
    openssl x509 -in leaf.pem -noout -serial
    aws acm get-certificate --certificate-arn ${requested} --query Certificate --output text | openssl x509 -noout -serial
    aws acm describe-certificate --certificate-arn ${requested} --query Certificate.RenewalSummary.RenewalStatus --output text
    aws acm list-certificates --query 'CertificateSummaryList[].CertificateArn' --output text
    `;
  const [before, now, renewal, listed = '', ...others] = (await run(after + listing)).split('\n');
  assert.notEqual(before, now);
  assert.equal(renewal, 'SUCCESS');
  assert.deepEqual(listed.split(/\s+/).sort(), [imported, requested].sort());
  assert.deepEqual(JSON.parse(others.join('')), { CertificateSummaryList: [] });
});
