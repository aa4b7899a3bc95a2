/** The example that follows the first article runs as it is written, against every AWS CLI on this machine. Source: seed "register without CA". */
import assert from 'node:assert/strict';
import { existsSync, realpathSync } from 'node:fs';
import { mkdir, symlink } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { bash, bootNode } from '../harness.ts';
import { testEngine } from '../stores.ts';

const example = fileURLToPath(new URL('../../examples/register-without-ca.sh', import.meta.url));

/** Debian's CLI is one of what the tests need; any other that stands on PATH is tried too. */
const commandLines = [
  ...new Set(
    ['/usr/bin', ...(process.env['PATH'] ?? '').split(delimiter)]
      .map((folder) => join(folder, 'aws'))
      .filter((file) => existsSync(file))
      .map((file) => realpathSync(file)),
  ),
];

// the clients do not know which engine the store has: one is enough for the second
for (const aws of testEngine === 'sqlite' ? commandLines : commandLines.slice(0, 1)) {
  test(`the example passes with ${aws}`, async (t) => {
    const { node, folder } = await bootNode(t);
    await mkdir(join(folder, 'bin'));
    await symlink(aws, join(folder, 'bin', 'aws'));
    const { code, stdout, stderr } = await bash(example, {
      cwd: folder,
      env: {
        PATH: `${join(folder, 'bin')}${delimiter}${process.env['PATH']}`,
        FLEETGATE_API_URL: node.apiUrl,
        FLEETGATE_MQTT_PORT: String(node.mqttPort),
      },
    });
    assert.equal(code, 0, `${stdout}\n${stderr}`);
    assert.match(stdout, /^hello from a certificate without CA$/m);
    assert.match(stdout, /^hello from a certificate made from a CSR$/m);
    assert.match(stdout, /done: both devices talked, nothing is left behind/);
  });
}
