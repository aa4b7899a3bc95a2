/**
 * A fleet for people without devices: `fleetgate device simulate`, against a real node. Whatever keeps a device from coming through is told as the device
 * sees it, and `fleetgate explain`, to which each summary points, has the cause. Source: README, "A fleet without devices".
 */
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { CreatePolicyCommand, DescribeCertificateCommand, ListThingPrincipalsCommand } from '@aws-sdk/client-iot';
import { runCommand } from '../../src/cli/commands.ts';
import type { Io } from '../../src/cli/io.ts';
import { claimPolicy, fleetTemplate } from '../fleet.ts';
import { type Claim, openScene, type Scene } from '../fleet-scene.ts';
import { bootNode } from '../harness.ts';
import { openInbox } from '../inbox.ts';
import { keepingIo } from '../io.ts';

const hooks = {
  even: 'export const handler = async ({ parameters }) => ({ allowProvisioning: parameters.SerialNumber % 2 === 0 });',
};

/** Runs the command in this process, against the scene's node. */
const runIn =
  (scene: Scene) =>
  async (args: readonly string[], members: Partial<Io> = {}) => {
    const { io, written } = keepingIo(members);
    const start = async () => assert.fail('it starts nothing');
    const code = await runCommand([...args, '--api-url', scene.node.apiUrl], io, {
      start,
      backup: start,
      restore: start,
    });
    return { ...written, code, lines: written.out.split('\n') };
  };

/** A folder as somebody keeps a claim: the certificate, its key, and the root certificate of the server beside them. */
const keep = async ({ folder, node }: Scene, name: string, { certificatePem, privateKey }: Claim): Promise<string> => {
  const place = join(folder, name);
  await mkdir(place);
  await writeFile(join(place, 'claim.pem'), certificatePem);
  await writeFile(join(place, 'claim.key'), privateKey);
  await writeFile(join(place, 'root-ca.pem'), node.rootPem);
  return place;
};

/** How many came through and how many did not, as the first line of a summary says. */
const provisioned = (line = ''): readonly number[] =>
  (/: ([\d,]+) provisioned and heard, ([\d,]+) refused\.$/.exec(line) ?? []).slice(1).map(Number);

test('a fleet of simulated devices', async (t) => {
  const scene = await openScene(t, hooks);
  const { folder, iot, node } = scene;
  const client = iot();
  const run = runIn(scene);
  await scene.template('fleet', fleetTemplate('device', 'sensor-'));
  await scene.template('careful', fleetTemplate('device', 'careful-'), { hook: 'even' });
  const claim = await keep(scene, 'claim', scene.claim);
  const simulate = (...args: readonly string[]) =>
    run(['device', 'simulate', '--claim', claim, '--parameter', 'SerialNumber={n}', ...args]);
  /** What the summary sends its reader to. */
  const explained = async (lines: readonly string[]): Promise<string> => {
    const [, clientId = ''] = /why: fleetgate explain (\S+)/.exec(lines.join('\n')) ?? assert.fail(lines.join('\n'));
    return (await run(['explain', clientId])).out;
  };

  await t.test('20 devices come with the claim, and each publishes as itself', async () => {
    const watching = await scene.device('watching', await scene.newClaim('device'));
    const heard = openInbox<string>();
    watching.client.on('message', (topic, payload) => heard.put(`${topic} ${payload}`));
    await watching.client.subscribeAsync('simulated/#', { qos: 1 });
    const { code, lines } = await simulate('--template', 'fleet', '--count', '20');
    assert.deepEqual([code, provisioned(lines[0]), lines.length], [0, [20, 0], 2], lines.join('\n'));
    const expected = Array.from({ length: 20 }, (_, index) => {
      const device = `sensor-${index + 1}`;
      return `simulated/${device} ${JSON.stringify({ device, message: 'hello', number: index + 1 })}`;
    });
    assert.deepEqual([...(await heard.until(20))].sort(), expected.sort());
    await watching.end();
    const { principals = [] } = await client.send(new ListThingPrincipalsCommand({ thingName: 'sensor-20' }));
    const certificateId = principals[0]?.split('/')[1] ?? '';
    const { certificateDescription } = await client.send(new DescribeCertificateCommand({ certificateId }));
    assert.equal(certificateDescription?.status, 'ACTIVE');
  });

  await t.test('with keys of their own, in CBOR; what they got is kept for their user alone, and works', async () => {
    const out = join(folder, 'fleet');
    const { code, lines } = await simulate(
      ...['--template', 'fleet', '--count', '3', '--first', '101', '--csr', '--format', 'cbor', '--out', out],
    );
    assert.deepEqual([code, provisioned(lines[0])], [0, [3, 0]], lines.join('\n'));
    assert.equal(lines[1], `Certificates and keys: ${out}`);
    const files = ['101', '102', '103'].flatMap((n) => [`sensor-${n}.key`, `sensor-${n}.pem`]);
    assert.deepEqual((await readdir(out)).sort(), files);
    for (const name of files) assert.equal((await stat(join(out, name))).mode & 0o777, 0o600);
    assert.equal((await stat(out)).mode & 0o777, 0o700);
    const certificatePem = await readFile(join(out, 'sensor-102.pem'), 'utf8');
    const privateKey = await readFile(join(out, 'sensor-102.key'), 'utf8');
    await scene.device('sensor-102', { certificatePem, privateKey });

    // the same thing again: nothing is overwritten
    await simulate('--template', 'fleet', '--first', '102', '--out', out);
    assert.equal((await readdir(out)).length, 8);
    assert.equal(await readFile(join(out, 'sensor-102.key'), 'utf8'), privateKey);
  });

  await t.test('the name of the template is wrong: each is rejected, which is told once', async () => {
    const { code, lines } = await simulate('--template', 'fleeet', '--count', '5');
    assert.deepEqual([code, provisioned(lines[0])], [3, [0, 5]]);
    const rejected = 'rejected: 404 ResourceNotFound: Provisioning template fleeet does not exist';
    assert.equal(lines[1], `  5 x registering the thing: ${rejected}`);
    assert.match(await explained(lines), /asked for its thing .* "fleeet"/);
  });

  await t.test('the claim policy has no create-from-csr, which devices with own keys ask', async () => {
    const policyDocument = claimPolicy('*', 'create');
    await client.send(new CreatePolicyCommand({ policyName: 'keys-alone', policyDocument }));
    const narrow = await keep(scene, 'narrow', await scene.newClaim('keys-alone'));
    const { code, lines } = await simulate('--claim', narrow, '--template', 'fleet', '--count', '3', '--csr');
    assert.deepEqual([code, provisioned(lines[0])], [3, [0, 3]]);
    assert.equal(
      lines[1],
      '  3 x asking for a certificate: SUBSCRIBE to $aws/certificates/create-from-csr/json/accepted was refused: not authorized (0x87)',
    );
    assert.match(await explained(lines), /refused iot:Subscribe on "topicfilter\/\$aws\/certificates\/create-from-csr/);
  });

  await t.test('the claim policy grants no iot:Receive: devices wait for answers that never come', async () => {
    const deaf = JSON.parse(claimPolicy('*'));
    deaf.Statement[1].Action = 'iot:Publish';
    await client.send(new CreatePolicyCommand({ policyName: 'deaf', policyDocument: JSON.stringify(deaf) }));
    const claimOfDeaf = await keep(scene, 'deaf', await scene.newClaim('deaf'));
    const waiting = ['--timeout', '1', '--count', '2'];
    const { code, lines } = await simulate('--claim', claimOfDeaf, '--template', 'fleet', ...waiting);
    assert.deepEqual([code, provisioned(lines[0])], [3, [0, 2]]);
    assert.equal(
      lines[1],
      '  2 x asking for a certificate: no answer on $aws/certificates/create/json/...; a policy without iot:Receive looks like this (waited 1 s)',
    );
    assert.match(await explained(lines), /iot:Receive/);
  });

  await t.test('the hook refuses every second one, also when it tries again: the others come through', async () => {
    const { code, lines } = await simulate('--template', 'careful', '--count', '4', '--retries', '1');
    assert.deepEqual([code, provisioned(lines[0])], [3, [2, 2]]);
    assert.match(lines[1] ?? '', /^ {2}2 x registering the thing: rejected: 403 AccessDenied: /);
    assert.match(await explained(lines), /hook/);
  });

  await t.test('its own policy does not let it publish there: told by the name of its thing', async () => {
    const Statement = [{ Effect: 'Allow', Action: 'iot:Connect', Resource: 'arn:aws:iot:*:*:client/quiet-*' }];
    const policyDocument = JSON.stringify({ Version: '2012-10-17', Statement });
    await client.send(new CreatePolicyCommand({ policyName: 'quiet', policyDocument }));
    await scene.template('quiet', fleetTemplate('quiet', 'quiet-'));
    const { code, lines } = await simulate('--template', 'quiet', '--first', '7', '--topic', 'plant/{thing}/{n}');
    assert.deepEqual([code, provisioned(lines[0])], [3, [0, 1]]);
    assert.equal(lines[1], '  1 x publishing: PUBLISH to plant/quiet-7/7 was refused: not authorized (0x87)');
    assert.match(await explained(lines), /"quiet-7".* refused iot:Publish on "topic\/plant\/quiet-7\/7"/);
  });

  await t.test('the endpoint is wrong, or there is no claim: a sentence each', async () => {
    const { lines } = await simulate('--template', 'fleet', '--endpoint', 'localhost:1', '--count', '2');
    assert.equal(lines[1], '  2 x connecting with the claim: no TLS connection to localhost:1 (ECONNREFUSED)');
    assert.equal(lines[2], `      is the server there? fleetgate doctor --api-url ${node.apiUrl}`);
    const nothing = await simulate('--claim', join(folder, 'none'), '--template', 'fleet');
    assert.equal(nothing.code, 1);
    assert.match(nothing.err, /^fleetgate: .*none cannot be read \(ENOENT\)\.\n$/);
  });

  await t.test('the server goes in the middle: what was done counts, the rest is told as it was met', async () => {
    let shown = '';
    let closing: Promise<void> | undefined;
    const args = ['--template', 'fleet', '--csr', '--count', '500', '--first', '1000', '--concurrency', '2'];
    const { code } = await run(['device', 'simulate', '--claim', claim, '--parameter', 'SerialNumber={n}', ...args], {
      terminal: true,
      out(text) {
        shown += text;
        if (/ [1-9]\d* of 500/.test(text)) closing ??= node.close(0);
      },
    });
    await closing;
    const lines = shown.slice(shown.lastIndexOf('\u001b[2K') + 4).split('\n');
    const [well = 0, refused = 0] = provisioned(lines[0]);
    assert.deepEqual([code, well + refused], [3, 500]);
    assert(well > 0 && refused > 0, lines.join('\n'));
    assert.match(
      lines[1] ?? '',
      / x connecting with the claim: no TLS connection to localhost:\d+ .*\(ECONNREFUSED\)$/,
    );
    assert.match(lines[2] ?? '', /^ {6}is the server there\? fleetgate doctor/);
    // the few that were on their way
    for (const line of lines.slice(3).filter((each) => / x /.test(each))) assert.match(line, /^ {2}[1-4] x /);
  });
});

test('the two lines of the README make a fleet out of nothing', async (t) => {
  const { shell } = await bootNode(t);
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
  const block = /## A fleet without devices\n[^`]*```\n(.*?)```/s.exec(readme)?.[1] ?? '';
  assert.equal(block.trimEnd().split('\n').length, 2, block);
  const { code, stdout, stderr } = await shell(block);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /\n20 devices in \d+\.\d s \([\d.]+\/s\): 20 provisioned and heard, 0 refused\.\n$/);
});
