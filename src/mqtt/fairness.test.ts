/** One connection's packets do not keep the others waiting, however many arrive at once and however dear they are. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import mqttPacket, { type Packet } from 'mqtt-packet';
import { accountA, createBed, Rights } from '../../test/mqtt-bed.ts';
import type { Authority } from './authority.ts';
import { FanOutLine, fanOutSliceMs } from './fan-out.ts';
import { readSliceMs } from './read-slices.ts';

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
  const unsubscriptions = Array.from({ length: 1_000 }, () => 'a');
  const packet = mqttPacket.generate({ cmd: 'unsubscribe', messageId: 1, unsubscriptions }, { protocolVersion: 5 });
  busy.raw(...Array.from({ length: 500 }, () => packet));
  await other.settled();
  const before = bed.broker.metrics['Unsubscribe.Success'];
  assert.ok(before < 200, `${before} went before`);
  assert.equal((await busy.take(500)).length, 500);
});

test('connections that have more to read share one slice of time', async () => {
  const pings = 100_000;
  /** How many of them are answered in a turn of the event loop, in the middle. */
  const perTurn = async (count: number): Promise<number> => {
    const bed = createBed();
    const busy = [];
    for (let number = 0; number < count; number++) busy.push(await bed.connect(4, `busy-${number}`));
    for (const client of busy) client.raw(Buffer.alloc(2 * pings, Buffer.of(0xc0, 0)));
    const turns: number[] = [];
    for (let before = 0; before < 2 * pings * count; ) {
      await new Promise((resolve) => setImmediate(resolve));
      const heard = busy.reduce((sum, { receivedBytes }) => sum + receivedBytes, 0);
      if (heard > before) turns.push((heard - before) / 2);
      before = heard;
    }
    return turns.sort((a, b) => a - b)[turns.length >> 1] ?? 0;
  };
  // others on this machine take time out of slices; with a slice for each it would be 16 times as many, whoever else is busy
  const seen: string[] = [];
  for (let left = 5; left > 0; left--) {
    const ofOne = await perTurn(1);
    const ofMany = await perTurn(16);
    if (ofMany < 6 * ofOne) return;
    seen.push(`${ofMany} pings of 16 connections in a turn, ${ofOne} of one`);
  }
  assert.fail(seen.join('; '));
});

/** A bed where every client but `plain...` makes dear decisions. */
const createDearBed = () => {
  const plain = new Rights(accountA, 'all', [['*', '*']]);
  return createBed({
    admit: async (_peer, { clientId }) => ({
      authority: clientId?.startsWith('plain') ? plain.authority() : dearAuthority(),
    }),
  });
};

for (const [kind, qos, clean] of [
  ['QoS 0', 0, true],
  ['QoS 1', 1, true],
  ['QoS 1, for sessions that are kept', 1, false],
] as const) {
  test(`a message with many receivers, each with a dear decision, is handed out with other connections in between, in order (${kind})`, async () => {
    const bed = createDearBed();
    const other = await bed.connect(4, 'plain-other');
    const publisher = await bed.connect(4, 'plain-publisher');
    const receivers = [];
    for (let number = 0; number < 20; number++) {
      const receiver = await bed.connect(4, `dear-${number}`, { clean });
      receiver.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 't/+', qos: 1 }] });
      assert.equal((await receiver.next()).cmd, 'suback');
      receivers.push(receiver);
    }
    const before = bed.broker.metrics['PublishOut.Success'];
    for (const messageId of [1, 2, 3]) {
      const topic = `t/${messageId === 2 ? 1 : messageId}`;
      publisher.send({ cmd: 'publish', topic, payload: `${messageId}`, qos, messageId, dup: false, retain: false });
    }
    await other.settled();
    const soon = bed.broker.metrics['PublishOut.Success'] - before;
    assert.ok(soon < 10, `${soon} went before`);
    for (const receiver of receivers) {
      const heard = await receiver.take(3);
      assert.deepEqual(
        heard.map((packet) => packet.cmd === 'publish' && String(packet.payload)),
        ['1', '2', '3'],
      );
    }
    const answers = await publisher.settled();
    assert.deepEqual(
      answers.map((packet) => packet.cmd === 'puback' && packet.messageId),
      qos === 0 ? [] : [1, 2, 3],
    );
  });
}

test('a session that ends while a message is being handed out gets nothing of it, and its client id may begin anew', async () => {
  const bed = createDearBed();
  const publisher = await bed.connect(4, 'plain-publisher');
  const subscribe: Packet = { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 't', qos: 1 }] };
  const receivers = [];
  for (let number = 0; number < 40; number++) {
    const receiver = await bed.connect(4, number === 39 ? 'plain-last' : `dear-${number}`, { clean: false });
    receiver.send(subscribe);
    await receiver.next();
    receivers.push(receiver);
  }
  publisher.send({ cmd: 'publish', topic: 't', payload: 'x', qos: 1, messageId: 1, dup: false, retain: false });
  while (bed.broker.metrics['PublishOut.Success'] === 0) await new Promise(setImmediate);
  const last = await bed.connect(4, 'plain-last', { clean: true }); // ends the session
  assert.equal((await publisher.next()).cmd, 'puback');
  assert.deepEqual(await last.settled(), []);
  assert.equal(bed.broker.metrics['Queued.Success'], 0, 'and nothing is kept for it');
  last.send({ cmd: 'disconnect' });
  await last.closed();
  const again = await bed.connect(4, 'plain-last', { clean: false });
  again.send(subscribe);
  await again.next();
  publisher.send({ cmd: 'publish', topic: 't', payload: 'y', qos: 1, messageId: 2, dup: false, retain: false });
  const heard = await again.next();
  assert.equal(heard.cmd === 'publish' && String(heard.payload), 'y');
  assert.deepEqual(bed.troubles, []);
});

test('messages in line are handed out by turns, a slice of time per turn of the event loop, and all at once when the node stops', async () => {
  const line = new FanOutLine();
  const order: string[] = [];
  const work = (name: string, receivers: number) => ({
    proceed(isOver: () => boolean): boolean {
      do {
        order.push(name);
        const startedAt = performance.now();
        while (performance.now() - startedAt < fanOutSliceMs);
      } while (--receivers > 0 && !isOver());
      return receivers === 0;
    },
  });
  line.add(work('long', 4));
  line.add(work('short', 1));
  await new Promise(setImmediate);
  assert.deepEqual(order, ['long'], 'one slice');
  while (order.length < 3) await new Promise(setImmediate);
  assert.deepEqual(order, ['long', 'short', 'long']);
  line.finish();
  assert.deepEqual(order, ['long', 'short', 'long', 'long', 'long']);
});
