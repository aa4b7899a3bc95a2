/** One connection's packets do not keep the others waiting, however many arrive at once and however dear they are. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import mqttPacket from 'mqtt-packet';
import { accountA, createBed, Rights } from '../../test/mqtt-bed.ts';
import type { Authority } from './authority.ts';
import { readSliceMs } from './connection.ts';

/** May do everything, but each decision takes a whole slice of time. */
const dearAuthority = (): Authority => {
  const authority = new Rights(accountA, 'dear', [['*', '*']]).authority();
  const allows: Authority['allows'] = (action, resource) => {
    const startedAt = performance.now();
    while (performance.now() - startedAt < readSliceMs);
    return authority.allows(action, resource);
  };
  return { ...authority, allows };
};

for (const version of [4, 5] as const) {
  test(`v${version}: packets that arrive together and need dear decisions are handled in order, with other connections in between`, async () => {
    const plain = new Rights(accountA, 'all', [['*', '*']]);
    const bed = createBed({
      admit: async (_peer, { clientId }) => ({ authority: clientId === 'dear' ? dearAuthority() : plain.authority() }),
    });
    const other = await bed.connect(version, 'other');
    const dear = await bed.connect(version, 'dear');
    const ids = Array.from({ length: 20 }, (_, index) => index + 1);
    const packets = ids.map((messageId) =>
      mqttPacket.generate(
        { cmd: 'publish', topic: `t/${messageId}`, payload: 'x', qos: 1, messageId, dup: false, retain: false },
        { protocolVersion: version },
      ),
    );
    dear.raw(...packets);
    await other.settled();
    assert.ok(bed.broker.metrics['PublishIn.Success'] < 5, `${bed.broker.metrics['PublishIn.Success']} went before`);
    const acknowledged = await dear.take(ids.length);
    assert.deepEqual(
      acknowledged.map((packet) => packet.cmd === 'puback' && packet.messageId),
      ids,
    );
  });
}

test('packets of many small parts are handled with other connections in between', async () => {
  const bed = createBed();
  const other = await bed.connect(5, 'other');
  const busy = await bed.connect(5, 'busy');
  const unsubscriptions = Array.from({ length: 49_000 }, () => 'a');
  const packet = mqttPacket.generate({ cmd: 'unsubscribe', messageId: 1, unsubscriptions }, { protocolVersion: 5 });
  busy.raw(...Array.from({ length: 20 }, () => packet));
  await other.settled();
  const before = bed.broker.metrics['Unsubscribe.Success'];
  assert.ok(before < 10, `${before} went before`);
  assert.equal((await busy.take(20)).length, 20);
});
