/**
 * A client that is refused under a domain name: closed as AWS closes it (spec gateway.md 1.1 to 1.4), explained in one sentence, and let in after the commands that
 * the explanation prints. Names are looked up in what `fleetgate hosts` prints.
 */
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { bootDomains } from '../domain-scene.ts';
import { makeFolder } from '../folder.ts';
import { bash } from '../harness.ts';
import { type Ended, publish } from '../mosquitto.ts';
import { noConnack, published, walk } from '../refusal.ts';

const tlsError = /A TLS error occurred/;

test('a DISABLED domain configuration, and one that does not speak the version of TLS, until they do (gateway.md 1.1, 1.3)', async (t) => {
  const domains = await bootDomains(t);
  const device = await domains.device('sensor', { policyName: 'everything' });
  const options = await domains.under(await domains.managedDomain('mine'), device);
  assert.match((await publish(options, 'a/b')).printed, published);
  await domains.sdk.updateDomainConfiguration({
    ...{ domainConfigurationName: 'mine', domainConfigurationStatus: 'DISABLED' },
  });
  await walk(domains, {
    attempt: () => publish(options, 'a/b'),
    refusals: [[tlsError, /belongs to the domain configuration "mine", and that is DISABLED\.$/]],
    success: published,
  });
  for (const [securityPolicy, tls] of [
    ['IoTSecurityPolicy_TLS13_1_3_2022_10', '1.2'],
    ['IoTSecurityPolicy_TLS12_1_2_2022_10', '1.3'],
  ] as const) {
    await domains.sdk.updateDomainConfiguration({ domainConfigurationName: 'mine', tlsConfig: { securityPolicy } });
    const cause = `that the domain configuration "mine" speaks: its security policy is ${securityPolicy}\\.$`;
    await walk(domains, {
      attempt: () => publish({ ...options, tls }, 'a/b'),
      refusals: [[tlsError, new RegExp(cause)]],
      success: published,
    });
  }
});

test('another protocol than the one of the domain configuration, until the port decides again (gateway.md 1.2)', async (t) => {
  const domains = await bootDomains(t);
  const { node, folder, sdk } = domains;
  const device = await domains.device('sensor', { policyName: 'everything' });
  const name = await domains.managedDomain('mine');
  const options = await domains.under(name, device);
  const curl = async (args: string): Promise<Ended> => {
    const { code, stdout, stderr } = await bash(
      `curl -sS --cacert '${node.rootFile}' --resolve ${name}:${node.httpsPort}:127.0.0.1 -w '%{http_code}' -d x ${args} https://${name}:${node.httpsPort}/topics/a`,
      { cwd: folder },
    );
    return { code, printed: `${stdout}${stderr}` };
  };
  const certificate = `--cert '${device.certFile}' --key '${device.keyFile}'`;
  const signature = `--aws-sigv4 aws:amz:${node.account.region}:iotdata --user test:test`;
  const ok = /"message":"OK".*200$/;
  const cases = [
    ['HTTPS', 'AWS_X509', () => publish(options, 'a/b'), noConnack, published],
    ['SECURE_MQTT', 'AWS_X509', () => curl(certificate), /curl: \(\d+\)/, ok],
    ['MQTT_WSS', 'AWS_SIGV4', () => curl(signature), /curl: \(\d+\)/, ok],
    ['MQTT_WSS', 'AWS_SIGV4', () => publish(options, 'a/b'), noConnack, published],
  ] as const;
  for (const [applicationProtocol, authenticationType, attempt, seen, success] of cases) {
    await sdk.updateDomainConfiguration({
      ...{ domainConfigurationName: 'mine', applicationProtocol, authenticationType },
    });
    const cause = `"mine" lets nothing else in than applicationProtocol ${applicationProtocol} with authenticationType ${authenticationType}\\.$`;
    await walk(domains, { attempt, refusals: [[seen, new RegExp(cause)]], success });
  }
  await sdk.updateDomainConfiguration({
    ...{ domainConfigurationName: 'mine', applicationProtocol: 'HTTPS', authenticationType: 'AWS_SIGV4' },
  });
  await walk(domains, {
    attempt: () => curl(certificate),
    refusals: [
      [/403$/, /did not sign its request \(SigV4\), and the domain configuration "mine" asks for no certificate/],
    ],
    success: ok,
  });
});

/** A callback that lets one name in, by the subject of the certificate. */
const callback = `import { X509Certificate } from 'node:crypto';
export default async ({ clientCertificateChain, serverName, connectionMetadata }) => ({
  isAuthenticated:
    new X509Certificate(clientCertificateChain[0]).subject === 'CN=welcome' && serverName.endsWith('.localhost') && connectionMetadata.id !== '',
});
`;

test('a certificate that the function of a domain does not accept, until it is not asked any more (gateway.md 1.2)', async (t) => {
  const functions = await makeFolder(t);
  await mkdir(join(functions, '000000000000'));
  await writeFile(join(functions, '000000000000', 'callback.mjs'), callback);
  const domains = await bootDomains(t, { functions });
  const functionArn = (name: string) => `arn:aws:lambda:us-east-1:000000000000:function:${name}`;
  const name = await domains.managedDomain('mine', {
    clientCertificateConfig: { clientCertificateCallbackArn: functionArn('callback') },
  });
  const [welcome, stranger] = await Promise.all([
    domains.device('welcome', { policyName: 'everything' }),
    domains.device('stranger', { policyName: 'everything' }),
  ]);
  assert.match((await publish(await domains.under(name, welcome), 'a/b')).printed, published);
  const options = await domains.under(name, stranger);
  const refusals = [
    [
      noConnack,
      /^The function that the domain configuration "mine" asks about client certificates did not accept this/,
    ],
  ] as const;
  await walk(domains, { attempt: () => publish(options, 'a/b'), refusals, success: published });
  await domains.sdk.updateDomainConfiguration({
    domainConfigurationName: 'mine',
    clientCertificateConfig: { clientCertificateCallbackArn: functionArn('missing') },
  });
  await walk(domains, { attempt: () => publish(options, 'a/b'), refusals, success: published });
});
