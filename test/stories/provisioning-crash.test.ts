/**
 * Claim provisioning is killed with hundreds of devices in flight, and loaded with hundreds more. Source: issue "Provisioning", acceptance 3 and 4;
 * `npm run soak -- --provisioning 20` is the long form of both.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { inFlightCount, ProvisioningCrashes } from '../crash/provisioning.ts';
import { makeFolder } from '../folder.ts';
import { loadProvisioning } from '../provisioning-load.ts';
import { spawnServer } from '../server-process.ts';
import { testEngine } from '../stores.ts';

test('kill -9 during 500 claim provisionings: no device by half, every acknowledged one whole, no token serves twice', {
  timeout: 120_000,
}, async (t) => {
  const dataFolder = join(await makeFolder(t), 'data');
  const crashes = new ProvisioningCrashes({
    dataFolder,
    kills: 1,
    // past the first wave, which asks for certificates: into that of RegisterThing
    repliesBetweenKills: [inFlightCount + 50, inFlightCount + 350],
    spawn: () => spawnServer(t, dataFolder),
  });
  await crashes.run();
  t.diagnostic(crashes.summary);
  assert.deepEqual(crashes.violations, []);
  assert.equal(crashes.totals.kills, 1);
  assert.ok(crashes.totals.inFlightLeast >= 500);
  assert.ok(crashes.totals.lost > 0, 'RegisterThing was under way');
});

// most of the time goes into keys, which are the same on both engines
if (testEngine === 'sqlite') {
  test('200 devices by claim, half with a CSR, half with keys of the service: none is refused', {
    timeout: 120_000,
  }, async (t) => {
    const dataFolder = join(await makeFolder(t), 'data');
    const load = await loadProvisioning({
      dataFolder,
      devices: 200,
      spawn: (options) => spawnServer(t, dataFolder, options),
    });
    for (const line of load.report) t.diagnostic(line);
    assert.deepEqual(load.refused, []);
    assert.equal(load.provisioned, 200);
  });
}
