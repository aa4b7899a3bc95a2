/** What one account is told of a refusal, another is not: not that it happened, and not that a certificate is known there (design.md 4). */
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { DescribeEndpointCommand, RegisterCertificateWithoutCACommand } from '@aws-sdk/client-iot';
import { connectDevice } from '../device.ts';
import { makeIdentity } from '../harness.ts';
import { publish } from '../mosquitto.ts';
import { bootFleet, type Fleet, noConnack } from '../refusal.ts';

const stranger = '111111111111';

/** Everything that `fleetgate explain` prints for the other account, with the exit codes of finding nothing. */
const told = async ({ shell }: Fleet, subjects: readonly string[]): Promise<string> => {
  const printed = await Promise.all(
    subjects.flatMap((subject) =>
      ['', '--json', '--certificate'].map((flag) =>
        shell(`fleetgate explain ${flag} ${subject}; echo "exit $?"`, { accountId: stranger }),
      ),
    ),
  );
  return printed.map(({ stdout, stderr }) => stdout + stderr).join('');
};

test("an account is told nothing of another's refusals, whatever it asks for", async (t) => {
  const fleet = await bootFleet(t);
  const device = await fleet.device('sensor', { status: 'INACTIVE', policyName: 'everything' });
  assert.match((await publish(fleet.as(device), 'a/b')).printed, noConnack);
  const { certificateId } = device;
  const own = { accountId: stranger, region: 'us-east-1' };
  const answer = JSON.stringify({ records: [], operator: true, account: own, otherRegions: [] }, undefined, 2);
  const printed = await told(fleet, ['last']);
  assert.match(printed, /^Nothing was refused in account 111111111111, region us-east-1\.\n/);
  assert.ok(printed.endsWith(`${answer}\nexit 0\nexit 1\nfleetgate: None of these records holds a certificate.\n`));
  assert.doesNotMatch(printed, /000000000000/);
  const others = await told(fleet, ['sensor-1', certificateId, certificateId.slice(0, 8)]);
  assert.doesNotMatch(others, /exit 0|INACTIVE|BEGIN|000000000000|Sent|Certificate /);
});

test("a certificate of another account is a stranger here, and nobody's twin", async (t) => {
  const fleet = await bootFleet(t);
  const device = await fleet.device('sensor', { policyName: 'everything' });
  await mkdir(join(fleet.folder, 'elsewhere'));
  const namesake = await makeIdentity(join(fleet.folder, 'elsewhere'), 'sensor');
  const iot = fleet.iot(stranger);
  const { endpointAddress = '' } = await iot.send(new DescribeEndpointCommand({ endpointType: 'iot:Data-ATS' }));

  for (const identity of [namesake, device]) {
    await assert.rejects(
      connectDevice(fleet.node, identity, { clientId: 'sensor-1', serverName: endpointAddress }),
      /not let in/,
    );
    const printed = await told(fleet, ['last', identity.certificateId]);
    const id = identity.certificateId.slice(0, 8);
    const sentence = `The client "sensor-1" showed the certificate ${id} (CN=sensor), which is not registered in account ${stranger}, region us-east-1.`;
    assert.ok(printed.includes(`${sentence}\n`), printed);
    assert.doesNotMatch(printed, /000000000000|everything|same subject|Twin/);
  }
  const own = await fleet.shell('fleetgate explain last');
  assert.match(own.stdout, /^Nothing was refused in account 000000000000, /);
});

test('a device of another region that connects to localhost: asked there, the journal says in which region its record is', async (t) => {
  const fleet = await bootFleet(t);
  const iot = fleet.iot('000000000000', 'ap-northeast-1');
  const { certFile, keyFile, certificatePem } = await makeIdentity(fleet.folder, 'sensor');
  await iot.send(new RegisterCertificateWithoutCACommand({ certificatePem, status: 'ACTIVE' }));
  assert.match((await publish(fleet.as({ certFile, keyFile }), 'a/b')).printed, noConnack);
  const { stdout } = await fleet.shell('fleetgate explain last --region ap-northeast-1');
  assert.equal(
    stdout,
    'Nothing was refused in account 000000000000, region ap-northeast-1. Another region has one:\n\n  fleetgate explain last --region us-east-1\n',
  );
  const there = await fleet.shell(stdout.split('\n').at(-2) ?? '');
  assert.match(there.stdout, /which is not registered in account 000000000000, region us-east-1\.$/m);
});
