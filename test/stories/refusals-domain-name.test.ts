/**
 * A client that does not trust a domain, or asks for another name than it has: refused, explained in one sentence, and let in after the commands that the explanation
 * prints. Source: seed 003, section 6; spec gateway.md 1.1, 1.4.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { bootDomains } from '../domain-scene.ts';
import { put } from '../harness.ts';
import { publish } from '../mosquitto.ts';
import { carryOut, explainedAs, published, walk } from '../refusal.ts';

test('a client that does not trust the private CA of a domain, until it is given that one (seed 003, section 6)', async (t) => {
  const domains = await bootDomains(t);
  const { node, folder } = domains;
  const device = await domains.device('sensor', { policyName: 'everything' });
  await domains.customDomain('mine', 'iot.example.test');
  const options = await domains.under('iot.example.test', device);
  for (const tls of ['1.2', '1.3'] as const) {
    await walk(domains, {
      attempt: (cured) =>
        publish({ ...options, tls, caFile: cured ? join(cured.folder, 'server-ca.pem') : node.rootFile }, 'a/b'),
      refusals: [
        [
          /certificate verify failed\n$/,
          /^The client did not trust .*: it is the one of the domain configuration "mine", and its chain ends in "CN=ca-ec"\.$/,
        ],
      ],
      success: published,
    });
  }
  const byOwnRoot = await domains.validation('own.example.test');
  await domains.sdk.createDomainConfiguration({
    ...{ domainConfigurationName: 'own', domainName: 'own.example.test', serverCertificateArns: [byOwnRoot] },
  });
  const own = await domains.under('own.example.test', device);
  await walk(domains, {
    attempt: (cured) =>
      publish({ ...own, caFile: cured ? join(cured.folder, 'root-ca.pem') : join(folder, 'ca-ec.crt') }, 'a/b'),
    refusals: [[/certificate verify failed\n$/, /^The client did not trust the certificate of this server and ended/]],
    success: published,
  });
});

test('a name beside the one that a domain configuration has: the right one is told (gateway.md 1.1)', async (t) => {
  const domains = await bootDomains(t);
  const device = await domains.device('sensor', { policyName: 'everything' });
  await domains.customDomain('mine', 'iot.example.test');
  const caFile = join(domains.folder, 'ca-ec.crt');
  const options = await domains.under('iot.example.test', device, { caFile });
  const hostsFile = await put(domains.folder, 'wrong-hosts', '127.0.0.1 www.example.test\n');
  assert.match(
    (await publish({ ...options, host: 'www.example.test', hostsFile }, 'a/b')).printed,
    /A TLS error occurred/,
  );
  const told = await explainedAs(domains, /"mine" has the name "iot\.example\.test"/);
  const { answer } = await carryOut(domains, told);
  assert.match((await publish({ ...options, host: answer }, 'a/b')).printed, published);
});
