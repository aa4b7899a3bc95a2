/**
 * Keys that never leave a PKCS#11 token, certificates of a maker's CA that nobody registers, client ids in Base64: the example runs as it is written.
 * Source: seed "SE050, Multi-Account Registration".
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { bash, bootNode } from '../harness.ts';

const example = fileURLToPath(new URL('../../examples/secure-element.sh', import.meta.url));

test('three secure elements connect at once with certificates registered without CA, and hear the cloud', async (t) => {
  const { node, folder } = await bootNode(t);
  const { code, stdout, stderr } = await bash(example, {
    cwd: folder,
    env: { FLEETGATE_API_URL: node.apiUrl, FLEETGATE_MQTT_PORT: String(node.mqttPort) },
  });
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  assert.equal(stdout.match(/sensitive, always sensitive, never extractable, local/g)?.length, 3, 'by the token');
  for (const name of ['com6', 'com7', 'com8']) {
    assert.match(stdout, new RegExp(`^${name} is [A-Za-z0-9+/]+={0,2}$`, 'm'));
    assert.match(stdout, new RegExp(`^hello from ${name}$`, 'm'), 'the cloud hears it');
    assert.match(stdout, new RegExp(`^${name}: elements/all hello from the cloud$`, 'm'), 'it hears the cloud');
  }
  const clientIds = stdout.match(/(?<= is )\S+$/gm)?.join('') ?? '';
  for (const letter of '+/=') assert.ok(clientIds.includes(letter), `a client id contains ${letter}`);
  assert.match(stdout, /nothing is left behind$/m);
});
