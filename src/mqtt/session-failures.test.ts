/** Sessions when the store is slow or fails, and somebody else comes meanwhile. Sources: spec gateway.md 5.3, 5.4; design of the project, section 5. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { Packet } from 'mqtt-packet';
import { memoryStore } from '../../test/memory-store.ts';
import { accountA, type Bed, createBed, type RawClient, Rights, type Version } from '../../test/mqtt-bed.ts';
import { allMigrations } from '../features/migrations.ts';
import { StoreUnavailable } from '../store/store.ts';
import type { Admit, Authority } from './authority.ts';

/** A store and a broker over it; the store can be held up, or fail. */
const createBeds = () => {
  const store = memoryStore(allMigrations);
  return {
    store,
    bed: createBed({ store }),
    /** Another node over what the store holds by now. */
    async restarted(): Promise<Bed> {
      const bed = createBed({ store });
      await bed.broker.open();
      return bed;
    },
    /** From now on the store waits for the returned function. */
    hold(): () => void {
      const { promise, resolve } = Promise.withResolvers<void>();
      store.held = promise;
      return () => {
        store.held = undefined;
        resolve();
      };
    },
  };
};

const dial = (bed: Bed, version: Version, { clean }: { readonly clean: boolean }): RawClient => {
  const client = bed.dial(version);
  client.send({
    cmd: 'connect',
    clientId: 'dev',
    clean,
    keepalive: 60,
    ...(version === 5 && !clean
      ? { protocolVersion: 5, properties: { sessionExpiryInterval: 3600 } }
      : { protocolVersion: version }),
  });
  return client;
};

const answer = async (client: RawClient): Promise<{ present: boolean; code: number }> => {
  const packet = await client.next();
  assert.ok(packet.cmd === 'connack');
  return { present: packet.sessionPresent, code: packet.reasonCode ?? packet.returnCode ?? 0 };
};

const subscriptionTo = (topic: string, qos: 0 | 1 = 1): Packet => ({
  cmd: 'subscribe',
  messageId: 1,
  subscriptions: [{ topic, qos }],
});

const publishAll = async (bed: Bed, topics: readonly string[]): Promise<void> => {
  const publisher = await bed.connect(4, 'publisher');
  for (const topic of topics) {
    publisher.send({ cmd: 'publish', topic, payload: topic, qos: 1, messageId: 1, dup: false, retain: false });
    assert.equal((await publisher.next()).cmd, 'puback');
  }
};

const topicsOf = (packets: readonly Packet[]): string[] =>
  packets.flatMap((packet) => (packet.cmd === 'publish' ? [`${packet.topic} at ${packet.qos}`] : []));

for (const version of [4, 5] as const) {
  test(`v${version} 5.4: a CONNECT that lost its client id before it was answered leaves the session of the one who took it alone`, async () => {
    const { store, bed, hold, restarted } = createBeds();
    const go = hold();
    const other = version === 4 ? 5 : 4;
    const first = dial(bed, version, { clean: false });
    while (bed.broker.sizes().sessions === 0) await turn();
    const second = dial(bed, other, { clean: false });
    await first.closed();
    go();
    assert.deepEqual(await answer(second), { present: false, code: 0 });
    second.send(subscriptionTo('a'));
    assert.equal((await second.next()).cmd, 'suback');
    await publishAll(bed, ['a']);
    assert.deepEqual(topicsOf(await second.take(1)), ['a at 1']);
    assert.equal((await store.db.selectFrom('mqtt_sessions').select('epoch').execute()).length, 1);

    const node = await restarted();
    const back = dial(node, other, { clean: false });
    assert.deepEqual(await answer(back), { present: true, code: 0 });
    assert.deepEqual(topicsOf(await back.take(1)), ['a at 1']);
  });

  test(`v${version} 5.3: a clean start is answered when the session that it ends is gone from the store, also when the store failed at first`, async () => {
    const { store, bed, hold } = createBeds();
    const former = dial(bed, version, { clean: false });
    await answer(former);
    former.socket.destroy();
    store.failure = new StoreUnavailable('full');
    assert.notEqual((await answer(dial(bed, version, { clean: true }))).code, 0);
    store.failure = undefined;
    const go = hold();
    const next = dial(bed, version, { clean: true });
    for (let count = 0; count < 10; count++) await turn();
    assert.deepEqual(next.received, []);
    go();
    assert.deepEqual(await answer(next), { present: false, code: 0 });
    assert.deepEqual(await store.db.selectFrom('mqtt_sessions').selectAll().execute(), []);
  });

  test(`v${version} 5.6: a SUBSCRIBE that the store does not take changes nothing, in memory and after a restart`, async () => {
    const { store, bed, restarted } = createBeds();
    const device = dial(bed, version, { clean: false });
    await answer(device);
    device.send(subscriptionTo('kept', 0));
    assert.equal((await device.next()).cmd, 'suback');
    store.failure = new StoreUnavailable('full');
    device.send({
      cmd: 'subscribe',
      messageId: 2,
      subscriptions: [
        { topic: 'new', qos: 1 },
        { topic: 'kept', qos: 1 },
        { topic: 'new', qos: 1 },
      ],
    });
    assert.ok(
      (await device.closed()).every(({ cmd }) => cmd === 'disconnect'),
      'no SUBACK',
    );
    store.failure = undefined;
    for (const node of [bed, await restarted()]) {
      const back = dial(node, version, { clean: false });
      assert.deepEqual(await answer(back), { present: true, code: 0 });
      await publishAll(node, ['new', 'kept']);
      assert.deepEqual(topicsOf(await back.settled()), ['kept at 0']);
      back.socket.destroy();
    }
  });

  test(`v${version} 5.6: an UNSUBSCRIBE that the store does not take changes nothing; the next one does, for good`, async () => {
    const { store, bed, restarted } = createBeds();
    const device = dial(bed, version, { clean: false });
    await answer(device);
    device.send(subscriptionTo('a'));
    assert.equal((await device.next()).cmd, 'suback');
    const unsubscribe: Packet = { cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['a', 'a', 'b'] };
    store.failure = new StoreUnavailable('full');
    device.send(unsubscribe);
    assert.ok(
      (await device.closed()).every(({ cmd }) => cmd === 'disconnect'),
      'no UNSUBACK',
    );
    store.failure = undefined;
    const back = dial(bed, version, { clean: false });
    assert.deepEqual(await answer(back), { present: true, code: 0 });
    await publishAll(bed, ['a']);
    assert.deepEqual(topicsOf(await back.take(1)), ['a at 1']);
    back.send({ cmd: 'puback', messageId: 1 });
    const { statements } = store;
    back.send(unsubscribe);
    assert.equal((await back.next()).cmd, 'unsuback');
    assert.ok(store.statements <= statements + 3, 'a filter that is named twice is one');
    back.socket.destroy();

    const node = await restarted();
    const last = dial(node, version, { clean: false });
    assert.deepEqual(await answer(last), { present: true, code: 0 });
    await publishAll(node, ['a']);
    assert.deepEqual(await last.settled(), []);
  });
}

test('a fault of our own in a delivery ends the connection that it was for: its message waits, that of others goes on', async () => {
  const rights = new Rights(accountA, 'all', [['*', '*']]);
  let isFailing = false;
  const admit: Admit = async (_peer, { clientId }) => {
    const authority = rights.authority();
    const allows: Authority['allows'] = (action, resource) => {
      if (isFailing && clientId === 'failing' && action === 'iot:Receive') throw new Error('a fault of ours');
      return authority.allows(action, resource);
    };
    return {
      authority: {
        ...authority,
        get revision() {
          return rights.revision;
        },
        allows,
      },
    };
  };
  for (const failsWhenStored of [false, true]) {
    const store = memoryStore(allMigrations);
    const bed = createBed({ store, admit });
    const kept = { clean: false };
    const clients: RawClient[] = [];
    for (const clientId of ['first', 'failing', 'last']) {
      const client = await bed.connect(4, clientId, kept);
      client.send(subscriptionTo('a'));
      assert.equal((await client.next()).cmd, 'suback');
      clients.push(client);
    }
    const [first, failing, last] = clients;
    isFailing = !failsWhenStored;
    const { promise, resolve } = Promise.withResolvers<void>();
    store.held = promise;
    const published = publishAll(bed, ['a']);
    while (bed.broker.metrics['PublishIn.Success'] === 0) await turn();
    isFailing = true;
    rights.become([['*', '*']]); // decisions are asked for again
    store.held = undefined;
    resolve();
    await Promise.all([published, failing!.closed()]);
    for (const client of [first!, last!]) assert.deepEqual(topicsOf(await client.take(1)), ['a at 1']);
    isFailing = false;
    const back = await bed.connect(4, 'failing', kept);
    assert.deepEqual(topicsOf(await back.take(1)), ['a at 1']);
    await publishAll(bed, ['a']);
    for (const client of [first!, last!, back]) assert.deepEqual(topicsOf(await client.take(1)), ['a at 1']);
  }
});
