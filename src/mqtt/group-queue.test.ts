/** What waits for a shared subscription, when its members or the store do not do their part. Source: spec gateway.md 5.10. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memoryStore } from '../../test/memory-store.ts';
import { type Bed, createBed, type RawClient } from '../../test/mqtt-bed.ts';
import { allMigrations } from '../features/migrations.ts';
import { type Statement, StoreUnavailable } from '../store/store.ts';
import { handedPerMemberMax } from './group-queue.ts';

const filter = '$share/g/a';

const join = async (bed: Bed, clientId: string, more: Record<string, unknown> = {}): Promise<RawClient> => {
  const member = await bed.connect(4, clientId, more);
  member.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: filter, qos: 1 }] });
  let packet = await member.next();
  while (packet.cmd !== 'suback') packet = await member.next();
  return member;
};

/** A group of which one member is kept and away, and so many messages that wait for it. */
const createGroup = async (bed: Bed, count: number): Promise<void> => {
  const kept = await join(bed, 'kept', { clean: false });
  kept.send({ cmd: 'disconnect' });
  await kept.closed();
  const publisher = await bed.connect(4, 'publisher');
  for (let number = 0; number < count; number++) {
    publisher.send({
      cmd: 'publish',
      topic: 'a',
      payload: `${number}`,
      qos: 1,
      messageId: 1,
      dup: false,
      retain: false,
    });
    assert.equal((await publisher.next()).cmd, 'puback');
  }
};

const takeOne = async (client: RawClient): Promise<number> => {
  const packet = await client.next();
  assert.ok(packet.cmd === 'publish');
  client.send({ cmd: 'puback', messageId: packet.messageId! });
  return Number(packet.payload);
};

test('a member that acknowledges nothing holds up handedPerMemberMax messages, until it is gone', async () => {
  const store = memoryStore(allMigrations);
  const bed = createBed({ store });
  const count = 4 * handedPerMemberMax;
  await createGroup(bed, count);
  const silent = await bed.connect(4, 'silent');
  silent.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: filter, qos: 1 }] });
  const busy = await bed.connect(4, 'busy');
  busy.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: filter, qos: 1 }] });
  assert.equal((await busy.next()).cmd, 'suback');
  const got = new Set<number>();
  while (got.size < count - handedPerMemberMax) got.add(await takeOne(busy));
  assert.deepEqual(await busy.settled(), []);
  silent.socket.destroy();
  while (got.size < count) got.add(await takeOne(busy));
  assert.deepEqual(await busy.settled(), []);
  await bed.broker.close(0);
  assert.deepEqual(await store.db.selectFrom('mqtt_queue').selectAll().execute(), []);
});

test('when it is unknown whether a message was moved to a member, it goes to a member all the same', async () => {
  for (const isWritten of [true, false]) {
    const memory = memoryStore(allMigrations);
    let failures = 0;
    let isArmed = false;
    const store = {
      db: memory.db,
      write: memory.write,
      async append(list: readonly Statement[]): Promise<void> {
        const isMove = [/^insert into "mqtt_queue"/, /^delete from "mqtt_queue"/].every((part) =>
          list.some(({ sql }) => part.test(sql)),
        );
        if (isMove && isArmed) failures = 3; // the move, what takes it back, and the first try to put it back
        if (failures === 0) return memory.append(list);
        if (isMove && isArmed && isWritten) await memory.append(list);
        isArmed = false;
        failures--;
        throw new StoreUnavailable('lost in between');
      },
    };
    const bed = createBed({ store });
    await createGroup(bed, 1);
    isArmed = true;
    const back = await bed.connect(4, 'kept', { clean: false });
    const deadline = Date.now() + 5000;
    while (bed.troubles.length === 0 && Date.now() < deadline) {
      await new Promise((resolve) => setImmediate(resolve));
      bed.advance(1000);
    }
    await bed.broker.sweep(bed.clock.nowMs);
    assert.equal(await takeOne(back), 0, `written: ${isWritten}`);
    assert.deepEqual(await back.settled(), []);
    await bed.broker.close(0);
    assert.deepEqual(await memory.db.selectFrom('mqtt_queue').selectAll().execute(), []);
  }
});
