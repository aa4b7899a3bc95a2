/** Stapled OCSP responses as an operator and a client see them, with openssl as CA, responder and client (docs/ocsp.md). Source: spec gateway.md 1.4, identity 8. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { bootDomains, type Domains } from '../domain-scene.ts';
import { parseExposition } from '../exposition.ts';
import { makeFolder } from '../folder.ts';
import { bash, bootNode } from '../harness.ts';
import { readLog } from '../log-events.ts';
import { type Leaf, type OcspAuthority, ocspAuthority } from '../ocsp.ts';
import { waitMsMax } from '../within.ts';

/** openssl's responder over its CA, at an address that certificates name. */
const responderOf = async (t: TestContext) => {
  const authority = await ocspAuthority(await makeFolder(t));
  const responder = createServer(async (request, response) => {
    response.end(await authority.respond(await buffer(request)));
  }).listen(0, '127.0.0.1');
  await once(responder, 'listening');
  t.after(() => responder.close());
  // A TCP server's address is an AddressInfo.
  return { authority, place: `127.0.0.1:${(responder.address() as AddressInfo).port}` };
};

const importLeaf = async ({ importServer, validation }: Domains, { pem, keyPem, name }: Leaf, caPem: string) => ({
  serverCertificateArns: [await importServer({ certificatePem: pem, privateKeyPem: keyPem, caPem })],
  validationCertificateArn: await validation(`${name}.example.test`),
  ...{ domainConfigurationName: name, domainName: `${name}.example.test` },
});

/** What `openssl s_client -status` prints once it is `wanted`: a response is asked for beside the handshakes. */
const statusSeen = async (
  mqttPort: number,
  { name }: Leaf,
  { folder }: OcspAuthority,
  wanted: RegExp,
): Promise<void> => {
  const endMs = performance.now() + waitMsMax;
  for (;;) {
    const { stdout } = await bash(
      `openssl s_client -connect localhost:${mqttPort} -servername ${name}.example.test -status -CAfile ${join(folder, 'ca.crt')} < /dev/null 2>&1`,
    );
    assert.match(stdout, /Verify return code: 0 \(ok\)/, 'the handshake goes on in any case');
    if (wanted.test(stdout)) return;
    assert.ok(performance.now() < endMs, stdout);
  }
};

test("a client is shown what the certificate's CA says of it, from the first handshakes on and after a new start", async (t) => {
  const { authority, place } = await responderOf(t);
  const leaf = await authority.leaf('good', { address: `http://${place}/ocsp` });
  const dataFolder = await makeFolder(t);
  const domains = await bootDomains(t, { dataFolder, ocspResponders: [place] });
  await domains.sdk.setV2LoggingOptions({ defaultLogLevel: 'INFO' });
  const asked = await importLeaf(domains, leaf, authority.pem);
  await domains.sdk.createDomainConfiguration({ ...asked, serverCertificateConfig: { enableOCSPCheck: true } });
  await statusSeen(domains.node.mqttPort, leaf, authority, /Cert Status: good/);

  const events = await readLog(domains.node, dataFolder, ({ eventType }) => eventType === 'RetrieveOCSPStapleData');
  const told = events.find(({ eventType }) => eventType === 'RetrieveOCSPStapleData');
  assert.deepEqual(
    [told?.['status'], told?.['domainConfigName'], told?.['connectionDetails']],
    ['Success', 'good', { ocspResponderUri: `http://${place}/ocsp` }],
  );
  const metrics = await (await fetch(`http://127.0.0.1:${domains.node.metricsPort}/metrics`)).text();
  const { accountId: account_id, region } = domains.node.account;
  assert.deepEqual(parseExposition(metrics).get('aws_iot_retrieve_ocsp_staple_data_success_total')?.samples, [
    { labels: { account_id, region, domain_configuration_name: 'good' }, value: 1 },
  ]);

  await domains.sdk.updateDomainConfiguration({
    ...{ domainConfigurationName: 'good', serverCertificateConfig: { enableOCSPCheck: false } },
  });
  await statusSeen(domains.node.mqttPort, leaf, authority, /OCSP response: no response sent/);
  await domains.sdk.updateDomainConfiguration({
    ...{ domainConfigurationName: 'good', serverCertificateConfig: { enableOCSPCheck: true } },
  });
  await domains.node.close(100);
  const again = await bootNode(t, { dataFolder, ocspResponders: [place] });
  await statusSeen(again.node.mqttPort, leaf, authority, /Cert Status: good/);
});

test('a responder that the operator has not named is not asked, and the log of the account says why; a function is', async (t) => {
  const { authority, place } = await responderOf(t);
  const leaf = await authority.leaf('named', { address: `http://${place}/`, status: 'R' });
  const dataFolder = await makeFolder(t);
  // the function of the account, behind Lambda's Invoke
  const events: unknown[] = [];
  const functions = createServer(async (request, response) => {
    const event: unknown = JSON.parse((await buffer(request)).toString());
    events.push(request.url);
    response.end(JSON.stringify((await authority.respond(Buffer.from(String(event), 'base64'))).toString('base64')));
  }).listen(0, '127.0.0.1');
  await once(functions, 'listening');
  t.after(() => functions.close());
  // A TCP server's address is an AddressInfo.
  const functionsEndpoint = `http://127.0.0.1:${(functions.address() as AddressInfo).port}`;
  const domains = await bootDomains(t, { dataFolder, functionsEndpoint });
  await domains.sdk.setV2LoggingOptions({ defaultLogLevel: 'ERROR' });
  const asked = await importLeaf(domains, leaf, authority.pem);
  await domains.sdk.createDomainConfiguration({ ...asked, serverCertificateConfig: { enableOCSPCheck: true } });
  const told = await readLog(domains.node, dataFolder, ({ eventType }) => eventType === 'RetrieveOCSPStapleData');
  assert.match(String(told[0]?.['reason']), /--ocsp-responders/);
  await statusSeen(domains.node.mqttPort, leaf, authority, /OCSP response: no response sent/);

  const { accountId, region } = domains.node.account;
  const ocspLambdaArn = `arn:aws:lambda:${region}:${accountId}:function:ocsp`;
  await domains.sdk.updateDomainConfiguration({
    ...{ domainConfigurationName: 'named', serverCertificateConfig: { enableOCSPCheck: true, ocspLambdaArn } },
  });
  await statusSeen(domains.node.mqttPort, leaf, authority, /Cert Status: revoked/);
  assert.deepEqual(events, ['/2015-03-31/functions/ocsp/invocations']);
});
