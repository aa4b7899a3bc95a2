/**
 * The first SDK command of the seed on fleet provisioning, which has no `--ca_file`: the device trusts what its machine trusts. Refused before the documented
 * step (examples/fleet-provisioning.sh), and carried out after it: the variable for one shell, and Debian's way for a machine. Source: issue "Provisioning",
 * acceptance 1.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ListThingsCommand } from '@aws-sdk/client-iot';
import { limitSets } from '../../src/limits.ts';
import { fleetTemplate } from '../fleet.ts';
import { identityOf, openScene } from '../fleet-scene.ts';
import { bash } from '../harness.ts';
import { readJournal } from '../journal.ts';
import { waitMsMax } from '../within.ts';

const examples = fileURLToPath(new URL('../../examples', import.meta.url));

/** A shell of its own with mounts of its own, as root inside it; undefined where nobody may have that. */
const ownMounts = ['unshare --mount', 'unshare --user --map-root-user --mount'].find((command) => {
  try {
    execFileSync('bash', ['-c', `${command} mount --bind /tmp /tmp`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
});

test('the first command of the SDK, without --ca_file', async (t) => {
  const scene = await openScene(t, {}, { limits: { ...limitSets.aws, handshakeMs: 1500 } });
  const { node, folder, claim, template } = scene;
  await template('wapa5pow-template', fleetTemplate('device', 'wapa5pow-template-'));
  await identityOf(folder, 'claim', claim);
  const example = await readFile(`${examples}/fleet-provisioning.sh`, 'utf8');
  const fetchRoot = `curl -sS -O ${node.apiUrl}/repository/AmazonRootCA1.pem`;
  const command = [
    // what Node 22 brought is missing where a person's own is older; the examples need Node 20
    ...[process.execPath, '--import "data:text/javascript,delete Promise.withResolvers"'],
    ...[`${examples}/fleet-provisioning.mjs`, '--endpoint localhost', `--port ${node.mqttPort}`],
    ...['--cert claim.crt', '--key claim.key', '--template_name wapa5pow-template'],
    `--template_parameters '{"SerialNumber":"1"}'`,
  ].join(' ');
  const provisioned = /RegisterThingResponse for thingName=wapa5pow-template-1\nDisconnecting...\nDisconnected\n$/;

  await t.test('is not carried out while the machine does not trust the root, and the journal says why', async (t) => {
    const child = spawn('bash', ['-c', `exec ${command}`], { cwd: folder, stdio: 'ignore' });
    t.after(() => child.kill('SIGKILL')); // it would hold the connection for up to 30 seconds
    let reason: string | undefined;
    const endMs = performance.now() + waitMsMax;
    while (reason === undefined && performance.now() < endMs) {
      const { records } = await readJournal(node, node.account, { failures: 'true', limit: '1' });
      reason = records[0]?.record.reason;
      await setTimeout(20);
    }
    assert.equal(reason, 'SERVER_CERTIFICATE_REJECTED');
    assert.deepEqual((await scene.iot().send(new ListThingsCommand({}))).things, []);
  });

  await t.test('runs with SSL_CERT_FILE, without root', async () => {
    assert.match(example, /^ {2}SSL_CERT_FILE=AmazonRootCA1\.pem "\$node"/m);
    const script = `${fetchRoot} && SSL_CERT_FILE=AmazonRootCA1.pem ${command}`;
    const { code, stdout, stderr } = await bash(script, { cwd: folder });
    assert.equal(code, 0, stderr);
    assert.match(stdout, provisioned);
  });

  await t.test('runs once the machine trusts the root', async (t) => {
    if (ownMounts === undefined)
      return t.skip('only a user who may mount can change what a machine trusts, for one shell');
    const [, documented = assert.fail()] = /^# {3}(cp .* update-ca-certificates)$/m.exec(example) ?? [];
    // the machine itself stays as it is: the folders that the step writes to are others here, and hold nothing else
    const script = `set -e
      mkdir certs local hooks
      mount --bind certs /etc/ssl/certs
      mount --bind local /usr/local/share/ca-certificates
      mount --bind hooks /etc/ca-certificates/update.d
      mount --bind /dev/null /etc/ca-certificates.conf
      ${fetchRoot}
      PATH=$PATH:/usr/sbin
      { ${documented}; } >&2
      ${command}`;
    const { code, stdout, stderr } = await bash(`${ownMounts} bash -c "$script"`, { cwd: folder, env: { script } });
    assert.equal(code, 0, stderr);
    assert.match(stdout, provisioned);
  });
});
