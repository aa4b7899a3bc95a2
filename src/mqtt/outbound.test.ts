/** What the node holds for all its receivers is counted, given back, and bounded: slow connections are closed, others stay (limits.ts, `outboundBytesPerNodeMax`). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { type Bed, createBed, type RawClient, type Version } from '../../test/mqtt-bed.ts';
import { type EncodedPublish, keptMessageBytes } from './message.ts';
import { type Holding, Outbound } from './outbound.ts';

const message = (bytes: number): EncodedPublish => ({
  qos: 1,
  bytes: Buffer.alloc(bytes),
  idAt: 0,
  expiryAt: -1,
  expiresAtMs: Number.POSITIVE_INFINITY,
  keepers: 0,
});

test('a message that many keep counts once, and each of them for little', () => {
  const outbound = new Outbound(1_000_000, () => []);
  const shared = message(5_000);
  for (let keeper = 0; keeper < 3; keeper++) outbound.hold(shared);
  assert.equal(outbound.bytes, 5_000 + 3 * keptMessageBytes);
  for (let keeper = 0; keeper < 3; keeper++) outbound.release(shared);
  assert.equal(outbound.bytes, 0);
});

test('beyond the bound slow connections go, the largest first, until a quarter is free; others only as far as they must', async () => {
  const cut: string[] = [];
  const holders = new Map<string, Holding>();
  const outbound = new Outbound(1_000, () => holders.values());
  const hold = (name: string, heldBytes: number, isSlow: boolean): void => {
    const holder = {
      heldBytes,
      isSlow,
      cut: () => {
        cut.push(name);
        holders.delete(name);
        outbound.change(-heldBytes);
      },
    };
    holders.set(name, holder);
    outbound.change(heldBytes);
  };
  hold('slow and small', 200, true);
  hold('slow and large', 250, true);
  hold('quick and large', 550, false);
  await turn();
  assert.deepEqual(cut, [], 'at the bound nobody goes');
  hold('slow and tiny', 10, true);
  await turn();
  assert.deepEqual(cut.splice(0), ['slow and large', 'slow and small']);
  assert.ok(!outbound.isScarce);
  hold('quick and small', 500, false);
  hold('quick and smaller', 450, false);
  await turn();
  assert.deepEqual(cut, ['slow and tiny', 'quick and large']);
  assert.equal(outbound.bytes, 950);
});

const bound = 200_000;
const createSmallBed = (outboundBytesPerNodeMax = bound): Bed =>
  createBed({ limits: { outboundBytesMax: 50_000, outboundBytesPerNodeMax } });

const subscriber = async (bed: Bed, clientId: string, version: Version, clean = true): Promise<RawClient> => {
  const client = await bed.connect(version, clientId, {
    clean,
    ...(version === 5 && !clean && { properties: { sessionExpiryInterval: 600 } }),
  });
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: `${clientId}/#`, qos: 1 }] });
  assert.equal((await client.next()).cmd, 'suback');
  return client;
};

const publish = (client: RawClient, topic: string, qos: 0 | 1, messageId = 1): void =>
  client.send({ cmd: 'publish', topic, payload: 'x'.repeat(10_000), qos, messageId, dup: false, retain: false });

for (const version of [4, 5] as const) {
  test(`v${version}: clients that acknowledge nothing are closed beyond the node's bound, the journal says why, and the others are served`, async () => {
    const bed = createSmallBed();
    const publisher = await bed.connect(4, 'publisher');
    const healthy = await subscriber(bed, 'healthy', version);
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    const deaf = await Promise.all(names.map((name) => subscriber(bed, name, version)));
    for (const name of names) {
      for (let messageId = 1; messageId <= 4; messageId++) publish(publisher, `${name}/x`, 1, messageId);
      await publisher.take(4);
    }
    await turn();
    assert.ok(bed.broker.sizes().outboundBytes <= bound);
    const ended = bed.failures().filter(({ detail }) => detail === 'outboundBytesPerNodeMax');
    assert.ok(ended.length >= 1 && ended.length < names.length, `${ended.length} were closed`);
    for (const { reason, eventType } of ended) assert.deepEqual([reason, eventType], ['SLOW_CONSUMER', 'Disconnect']);
    const closed = deaf.filter(({ isClosed }) => isClosed);
    assert.equal(closed.length, ended.length);
    publish(publisher, 'healthy/x', 1);
    assert.equal((await healthy.next()).cmd, 'publish');
    healthy.send({ cmd: 'puback', messageId: 1 });
    for (const client of deaf) client.socket.destroy();
    await healthy.settled();
    while (bed.broker.connections().length > 2) await turn();
    assert.equal(bed.broker.sizes().outboundBytes, 0, 'all is given back');
  });
}

test('near the bound QoS 0 messages are dropped for who does not read at once, and reach who does', async () => {
  const bed = createSmallBed();
  const publisher = await bed.connect(4, 'publisher');
  const healthy = await subscriber(bed, 'healthy', 4);
  const half = await subscriber(bed, 'half', 4);
  for (const name of ['a', 'b', 'c', 'd']) {
    await subscriber(bed, name, 4);
    for (let messageId = 1; messageId <= 4; messageId++) publish(publisher, `${name}/x`, 1, messageId);
    await publisher.take(4);
  }
  assert.ok(bed.broker.sizes().outboundBytes > (3 / 4) * bound);
  half.socket.pause();
  for (let count = 0; count < 10; count++) publish(publisher, 'half/x', 0);
  for (let count = 0; count < 20; count++) {
    publish(publisher, 'healthy/x', 0);
    assert.equal((await healthy.next()).cmd, 'publish');
  }
  const [dropped, ...more] = bed.failures();
  assert.equal(dropped?.detail, 'QoS 0 messages are dropped: outboundBytesPerNodeMax');
  assert.equal(dropped?.clientId, 'half');
  assert.deepEqual(more, []);
});

test('what waits for kept sessions waits in the store alone when memory is scarce, and nothing of it is lost', async () => {
  const bed = createSmallBed(1.5 * bound);
  const publisher = await bed.connect(4, 'publisher');
  const names = ['a', 'b', 'c', 'd'];
  for (const name of names) {
    const client = await subscriber(bed, name, 4, false);
    client.socket.destroy();
  }
  for (const name of names) {
    for (let messageId = 1; messageId <= 20; messageId++) publish(publisher, `${name}/x`, 1, messageId);
    await publisher.take(20);
  }
  assert.equal(bed.broker.sizes().outboundBytes, 0, 'nobody is there');
  const clients = await Promise.all(names.map((name) => bed.connect(4, name, { clean: false })));
  for (let round = 0; round < 50; round++) {
    await turn();
    assert.ok(bed.broker.sizes().outboundBytes <= 1.5 * bound);
  }
  for (const client of clients) {
    for (let count = 0; count < 20; count++) {
      const packet = await client.next();
      assert.equal(packet.cmd, 'publish');
      client.send({ cmd: 'puback', messageId: packet.cmd === 'publish' ? (packet.messageId ?? 0) : 0 });
    }
    await client.settled();
  }
  while (bed.broker.sizes().outboundBytes > 0) await turn();
});
