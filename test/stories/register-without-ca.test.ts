/** The example that follows the first article runs as it is written, against every AWS CLI on this machine. Source: seed "register without CA". */
import assert from 'node:assert/strict';
import { existsSync, realpathSync } from 'node:fs';
import { symlink } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CreatePolicyCommand, GetPolicyCommand } from '@aws-sdk/client-iot';
import { awsVariable, pathWithAws } from '../aws-cli.ts';
import { makeFolder } from '../folder.ts';
import { bash, bootNode } from '../harness.ts';

const example = fileURLToPath(new URL('../../examples/register-without-ca.sh', import.meta.url));

const debianCli = realpathSync('/usr/bin/aws');
/** Any other that stands on PATH is tried too. */
const otherClis = [
  ...new Set(
    (process.env['PATH'] ?? '')
      .split(delimiter)
      .map((folder) => join(folder, 'aws'))
      .filter((file) => existsSync(file))
      .map((file) => realpathSync(file)),
  ),
].filter((file) => file !== debianCli);

const passes = async (t: TestContext, env: Readonly<Record<string, string>> = {}): Promise<void> => {
  const { node, folder } = await bootNode(t);
  const { code, stdout, stderr } = await bash(example, {
    cwd: folder,
    env: { FLEETGATE_API_URL: node.apiUrl, FLEETGATE_MQTT_PORT: String(node.mqttPort), ...env },
  });
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  assert.match(stdout, /^hello from a certificate without CA$/m);
  assert.match(stdout, /^hello from a certificate made from a CSR$/m);
  assert.match(stdout, /done: both devices talked, nothing is left behind/);
};

/** A PATH on which `aws` is this one. */
const pathWith = async (t: TestContext, aws: string): Promise<string> => {
  const bin = await makeFolder(t);
  await symlink(aws, join(bin, 'aws'));
  return `${bin}${delimiter}${process.env['PATH']}`;
};

test("the example passes with Debian's AWS CLI", async (t) => {
  const isLoaded = process.env[awsVariable] !== undefined;
  await passes(t, isLoaded ? {} : { PATH: await pathWith(t, debianCli) });
});

for (const aws of otherClis) {
  test(`the example passes with ${aws}`, async (t) => passes(t, { PATH: await pathWith(t, aws) }));
}

test('the example needs a server, and leaves a policy alone that it has not made', async (t) => {
  const { node, folder, iot } = await bootNode(t);
  const env = { FLEETGATE_MQTT_PORT: String(node.mqttPort) };
  const without = await bash(example, { cwd: folder, env: { ...env, FLEETGATE_API_URL: 'http://127.0.0.1:9' } });
  assert.deepEqual([without.code, without.stdout], [1, '']);
  assert.match(without.stderr, /^fleetgate: No server answers at http:\/\/127\.0\.0\.1:9\. [^\n]*\n$/);

  const policyDocument = JSON.stringify({
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Action: 'iot:*', Resource: '*' }],
  });
  await iot().send(new CreatePolicyCommand({ policyName: 'AllowAll', policyDocument }));
  const { code, stdout, stderr } = await bash(example, {
    cwd: folder,
    env: { ...env, PATH: pathWithAws(), FLEETGATE_API_URL: node.apiUrl },
  });
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  assert.equal((await iot().send(new GetPolicyCommand({ policyName: 'AllowAll' }))).policyDocument, policyDocument);
});
