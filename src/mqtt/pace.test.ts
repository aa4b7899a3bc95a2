import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBed } from '../../test/mqtt-bed.ts';
import { publishesPerSecondMax } from './quotas.ts';

const publishes = (count: number, qos: 0 | 1) =>
  Array.from({ length: count }, (_, index) => ({
    ...{ cmd: 'publish' as const, topic: 'a', payload: String(index), qos, dup: false, retain: false },
    ...(qos === 1 && { messageId: index + 1 }),
  }));

/** A subscriber and as many publishers as `count` messages need: each may send a hundred per second. */
const flood = async (count: number, qos: 0 | 1) => {
  const bed = createBed({ rateQuotas: true });
  const listener = await bed.connect(5, 'listener');
  listener.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 1 }] });
  await listener.next();
  for (let from = 0; from < count; from += publishesPerSecondMax) {
    const publisher = await bed.connect(5, `publisher-${from}`);
    for (const packet of publishes(Math.min(publishesPerSecondMax, count - from), qos)) publisher.send(packet);
    await publisher.settled();
  }
  return { bed, listener };
};

test('QoS 0 beyond the quota is dropped, counted and told once (spec gateway.md 5.7)', async () => {
  const { bed, listener } = await flood(250, 0);
  assert.equal((await listener.settled()).length, publishesPerSecondMax);
  assert.equal(bed.broker.metrics['PublishOut.Throttle'], 250 - publishesPerSecondMax);
  assert.deepEqual(
    bed.failures().map(({ clientId, reason, detail }) => [clientId, reason, detail]),
    [['listener', 'THROTTLED', 'publishesOutPerSecondMax']],
  );
});

test('QoS 1 beyond the quota waits, in order, also behind acknowledgements (spec gateway.md 5.7)', async () => {
  const { bed, listener } = await flood(250, 1);
  const seen: string[] = [];
  const acknowledge = async (): Promise<void> => {
    for (const packet of await listener.settled()) {
      if (packet.cmd !== 'publish') continue;
      seen.push(String(packet.payload));
      listener.send({ cmd: 'puback', messageId: packet.messageId ?? 0 });
    }
  };
  await acknowledge();
  await acknowledge();
  assert.equal(seen.length, 100);
  bed.advance(2_000);
  await acknowledge();
  await acknowledge();
  assert.equal(seen.length, 200);
  bed.advance(2_000);
  await acknowledge();
  const expected = [0, 100, 200].flatMap((from) =>
    Array.from({ length: Math.min(100, 250 - from) }, (_, index) => String(index)),
  );
  assert.deepEqual(seen, expected);
});

test('without the switch nothing is held', async () => {
  const bed = createBed();
  const client = await bed.connect(5, 'both');
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 1 }] });
  await client.next();
  for (const packet of publishes(300, 0)) client.send(packet);
  assert.equal((await client.settled()).length, 300);
});
