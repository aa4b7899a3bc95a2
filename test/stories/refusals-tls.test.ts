/**
 * A device that does not get through the TLS handshake, or not under a name and with a certificate: refused as AWS refuses it (spec gateway.md 1),
 * explained in one sentence, and let in after the commands that the explanation prints.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { awsLimits } from '../../src/limits.ts';
import { connectDevice } from '../device.ts';
import { makeIdentity } from '../harness.ts';
import { publish } from '../mosquitto.ts';
import { bootFleet, carryOut, explainedAs, noConnack, published, walk } from '../refusal.ts';

for (const tls of ['1.2', '1.3'] as const) {
  test(`a client that trusts another CA, TLS ${tls}: verify failed, until it has this server's root`, async (t) => {
    const fleet = await bootFleet(t);
    const device = await fleet.device('sensor', { policyName: 'everything' });
    const anotherCa = await makeIdentity(fleet.folder, 'another-ca');
    await walk(fleet, {
      tls,
      attempt: (cured) => {
        const caFile = cured ? join(cured.folder, 'root-ca.pem') : anotherCa.certFile;
        return publish(fleet.as(device, { tls, caFile }), 'a/b');
      },
      refusals: [
        [
          /A TLS error occurred\b.*certificate verify failed\n$/s,
          /^The client did not trust the certificate of this server and ended the handshake \(tlsv1 alert unknown ca\)\.$/,
        ],
      ],
      success: published,
    });
  });

  test(`no client certificate, TLS ${tls}: closed, until a pair is made (spec gateway.md 1.5, step 1)`, async (t) => {
    const fleet = await bootFleet(t);
    const { certFile: _, keyFile: __, ...bare } = fleet.as({ certFile: '', keyFile: '' }, { tls });
    await walk(fleet, {
      tls,
      attempt: (cured) =>
        cured
          ? publish(
              { ...bare, certFile: join(cured.folder, 'device.pem'), keyFile: join(cured.folder, 'device.key') },
              'a/b',
            )
          : publish(bare, 'a/b'),
      refusals: [[noConnack, /^The client showed no certificate\.$/]],
      success: published,
    });
  });
}

test('the AWS IoT device SDK that does not trust our root says nothing at all: the cause and the cure are named', async (t) => {
  const fleet = await bootFleet(t, { limits: { ...awsLimits, handshakeMs: 500 } });
  const { certFile, keyFile } = await fleet.device('sensor', { policyName: 'everything' });
  const anotherCa = await makeIdentity(fleet.folder, 'another-ca');
  const sample = fileURLToPath(new URL('../../examples/pub-sub.mjs', import.meta.url));
  const options = {
    ...{ endpoint: fleet.node.mqttHost, port: String(fleet.node.mqttPort), topic: 'a/b' },
    ...{ cert: certFile, key: keyFile, ca_file: anotherCa.certFile },
  };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
  const child = spawn(process.execPath, [sample, ...args], { stdio: 'ignore' });
  t.after(() => child.kill('SIGKILL')); // it would hold the connection for up to 30 seconds
  const { commands } = await explainedAs(fleet, /^The client fell silent when .* within 500 ms\.$/);
  assert.match(commands.join(), /^curl .*root-ca\.pem$/);
});

test('a cure that makes a key never overwrites one', async (t) => {
  const fleet = await bootFleet(t);
  const { certFile: _, keyFile: __, ...bare } = fleet.as({ certFile: '', keyFile: '' });
  await publish(bare, 'a/b');
  const { commands } = await explainedAs(fleet, /showed no certificate/);
  const { folder } = await carryOut(fleet, { commands: ['echo precious > device.key'] });
  const { code } = await fleet.shell(commands.join('\n'), { cwd: folder });
  assert.notEqual(code, 0);
  assert.deepEqual(await readdir(folder), ['device.key']);
  assert.equal((await fleet.shell('cat device.key', { cwd: folder })).stdout, 'precious\n');
});

test('an unknown host name (SNI): alert unrecognized_name, until the client asks for the endpoint (spec gateway.md 1.1)', async (t) => {
  const fleet = await bootFleet(t);
  const device = await fleet.device('sensor', { policyName: 'everything' });
  const connect = (serverName: string) => connectDevice(fleet.node, device, { clientId: 'sensor-1', serverName });
  await assert.rejects(connect('iot.example.org'), /unrecognized name/);
  const told = await explainedAs(
    fleet,
    /^The client asked for the host "iot\.example\.org" \(SNI\), which is no endpoint of this server/,
  );
  const { answer } = await carryOut(fleet, told);
  await connect(answer);
});

test('an address instead of a host name, with a certificate of SNI_ONLY mode: closed, until the name is used (spec gateway.md 1.1)', async (t) => {
  const fleet = await bootFleet(t);
  const device = await fleet.device('sensor', { policyName: 'everything' });
  await walk(fleet, {
    attempt: (cured) => publish(fleet.as(device, { host: cured?.answer ?? '127.0.0.1' }), 'a/b'),
    refusals: [
      [
        noConnack,
        /^The client named an address, "127\.0\.0\.1", instead of a host \(SNI\), and its certificate does not tell/,
      ],
    ],
    success: published,
  });
});

test('no host name, on a server that requires one: refused before the certificate is looked at', async (t) => {
  const fleet = await bootFleet(t, { requireSni: true });
  const device = await fleet.device('sensor', { policyName: 'everything' });
  await walk(fleet, {
    attempt: (cured) => publish(fleet.as(device, { host: cured?.answer ?? '127.0.0.1' }), 'a/b'),
    refusals: [[/A TLS error occurred\./, /and this server requires one\.$/]],
    success: published,
  });
});
