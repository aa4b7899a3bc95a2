import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBed } from '../../test/mqtt-bed.ts';

test('an accepted CONNECT and a failed end keep what was attached, for a cure that must bring it back (design.md 4)', async (t) => {
  const bed = createBed();
  t.after(() => bed.broker.close(0));
  const rights = bed.principal('sensor');
  const client = await bed.connect(5, 'sensor-1', {}, 'sensor');
  rights.lose('CERTIFICATE_NO_LONGER_ACTIVE');
  await client.closed();
  assert.deepEqual(
    bed.records.map(({ eventType, status, reason, facts }) => [eventType, status, reason, facts]),
    [
      ['Connect', 'Success', undefined, { certificateId: 'sensor' }],
      ['Disconnect', 'Failure', 'CERTIFICATE_NO_LONGER_ACTIVE', { certificateId: 'sensor' }],
    ],
  );
});
