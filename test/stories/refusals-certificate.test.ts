/**
 * A device whose certificate is not as it should be: refused as AWS refuses it (spec gateway.md 1.5), explained in one sentence, and let in after
 * the commands that the explanation prints.
 */
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { DeleteCertificateCommand, DetachPolicyCommand, UpdateCertificateCommand } from '@aws-sdk/client-iot';
import { connectDevice } from '../device.ts';
import { forgedKey } from '../forged-key.ts';
import { makeIdentity } from '../harness.ts';
import { publish } from '../mosquitto.ts';
import { bootFleet, explainedAs, noConnack, noPuback, published, walk } from '../refusal.ts';

const dayMs = 24 * 60 * 60 * 1000;

test('INACTIVE: activated (spec gateway.md 1.5, step 3)', async (t) => {
  const fleet = await bootFleet(t);
  const device = await fleet.device('sensor', { status: 'INACTIVE', policyName: 'everything' });
  await walk(fleet, {
    attempt: () => publish(fleet.as(device), 'a/b'),
    refusals: [[noConnack, /"sensor-1" showed the certificate \w{8}, which is registered .*, but INACTIVE\.$/]],
    success: published,
  });
});

test('REVOKED: registered anew with its policies, after a warning (spec gateway.md 1.5, step 3)', async (t) => {
  const fleet = await bootFleet(t);
  const device = await fleet.device('sensor', { policyName: 'everything' });
  const { certificateId } = device;
  await fleet.client.send(new UpdateCertificateCommand({ certificateId, newStatus: 'REVOKED' }));
  await walk(fleet, {
    attempt: () => publish(fleet.as(device), 'a/b'),
    refusals: [[noConnack, /"sensor-1" showed the certificate \w{8}, which was revoked in account 000000000000/]],
    success: published,
  });
});

test('never registered: registered, and allowed what it asks for, one by one (spec gateway.md 1.5, step 2)', async (t) => {
  const fleet = await bootFleet(t);
  const device = await makeIdentity(fleet.folder, 'sensor');
  await walk(fleet, {
    attempt: () => publish(fleet.as(device), 'a/b'),
    refusals: [
      [noConnack, /\(CN=sensor\), which is not registered in account 000000000000, region us-east-1\.$/],
      [noPuback, /was refused iot:Publish on "topic\/a\/b": none of its policies allows that action\.$/],
    ],
    success: published,
  });
});

test('deleted: registered anew with the policies that it was last seen with (spec gateway.md 1.5, step 2)', async (t) => {
  const fleet = await bootFleet(t);
  const device = await fleet.device('sensor', { policyName: 'everything' });
  assert.match((await publish(fleet.as(device), 'a/b')).printed, published);
  const { certificateId } = device;
  const target = fleet.certificateArn(device);
  await fleet.client.send(new DetachPolicyCommand({ policyName: 'everything', target }));
  await fleet.client.send(new UpdateCertificateCommand({ certificateId, newStatus: 'INACTIVE' }));
  await fleet.client.send(new DeleteCertificateCommand({ certificateId }));
  await walk(fleet, {
    attempt: () => publish(fleet.as(device), 'a/b'),
    refusals: [[noConnack, /\(CN=sensor\), which is not registered in account 000000000000/]],
    success: published,
  });
});

test("self-made with a registered certificate's subject: told apart from it (spec gateway.md 1.5, step 2)", async (t) => {
  const fleet = await bootFleet(t);
  const genuine = await fleet.device('sensor', { policyName: 'everything' });
  await mkdir(join(fleet.folder, 'elsewhere'));
  const selfMade = await makeIdentity(join(fleet.folder, 'elsewhere'), 'sensor');
  const other = `the registered certificate with the same subject is another one, ${genuine.certificateId.slice(0, 8)}`;
  await walk(fleet, {
    attempt: () => publish(fleet.as(selfMade), 'a/b'),
    refusals: [
      [noConnack, new RegExp(`\\(CN=sensor\\), which is not registered in .*; ${other}\\.$`)],
      [noPuback, /none of its policies allows that action/],
    ],
    success: published,
  });
});

for (const tls of ['1.2', '1.3'] as const) {
  test(`registered, but shown with another key, TLS ${tls}: a new pair with the same policies (spec gateway.md 1.5, step 2)`, async (t) => {
    const fleet = await bootFleet(t);
    const device = await fleet.device('sensor', { policyName: 'everything' });
    const keyFile = join(fleet.folder, 'forged.key');
    await writeFile(keyFile, forgedKey(device.certificatePem));
    await walk(fleet, {
      tls,
      attempt: (cured) =>
        cured
          ? publish(
              fleet.as(
                { certFile: join(cured.folder, 'device.pem'), keyFile: join(cured.folder, 'device.key') },
                { tls },
              ),
              'a/b',
            )
          : publish(fleet.as(device, { keyFile, tls }), 'a/b'),
      refusals: [[/alert decrypt error/, /\(CN=sensor\) but signed with a key that does not belong to it\.$/]],
      success: published,
    });
  });
}

test('expired: a new certificate with the same policies (spec gateway.md 1.5, step 4)', async (t) => {
  const fleet = await bootFleet(t);
  const device = await fleet.device('sensor', { policyName: 'everything', days: 1 });
  await fleet.node.clock.advance(2 * dayMs);
  await walk(fleet, {
    attempt: (cured) =>
      publish(
        cured
          ? fleet.as({ certFile: join(cured.folder, 'device.pem'), keyFile: join(cured.folder, 'device.key') })
          : fleet.as(device),
        'a/b',
      ),
    refusals: [[noConnack, /"sensor-1" showed the certificate \w{8}, which expired on 20/]],
    success: published,
  });
});

test('a certificate that expires while connected takes its connection along, and says so', async (t) => {
  const fleet = await bootFleet(t);
  const device = await fleet.device('sensor', { policyName: 'everything', days: 1 });
  const connected = await connectDevice(fleet.node, device, { clientId: 'sensor-1', version: 5 });
  await fleet.node.clock.advance(2 * dayMs);
  assert.equal((await connected.closed()).reasonCode, 0x87);
  await explainedAs(fleet, /^The client "sensor-1" was disconnected because the certificate \w{8} has expired\.$/);
});
