/** The queue of a persistent session: what it keeps, in what order it sends, and what it never does. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import {
  type Entry,
  type Left,
  nothingLeft,
  packetIdOf,
  Queue,
  type QueueWorld,
  type Sink,
  stragglerSpan,
  unsentSpanMax,
} from './queue.ts';

const cost = 100;

/** A queue over rows in memory, and a client whose window the test decides. */
const createBed = ({ memoryBytesMax = 1000, left = nothingLeft }: { memoryBytesMax?: number; left?: Left } = {}) => {
  /** Durable rows by position. */
  const rows = new Map<number, string>();
  const releasedRows = new Set<number>();
  const waiting: { flush(): void }[] = [];
  const held: (() => void)[] = [];
  let reads = 0;
  const tally = { bytes: 0 };
  let holdReads = false;
  let mostRead = 0;
  const world: QueueWorld<string, string> = {
    tally,
    memoryBytesMax,
    schedule: (each) => waiting.push(each),
    rows: {
      async read(_owner, { after, upTo, bytes }) {
        reads++;
        if (holdReads) await new Promise<void>((resolve) => held.push(resolve));
        const all = [...rows].filter(([position]) => position > after && position <= upTo).sort(([a], [b]) => a - b);
        const some = all.slice(0, Math.max(1, Math.floor(bytes / cost)));
        mostRead = Math.max(mostRead, some.length);
        return {
          isWhole: some.length === all.length,
          messages: some.map(([position, message]) => ({
            position,
            cost,
            message,
            isReleased: releasedRows.has(position),
          })),
        };
      },
      async release(_owner, position) {
        releasedRows.add(position);
      },
      remove(_owner, upTo, single) {
        for (const position of [...rows.keys()]) {
          if (position <= upTo || single.includes(position)) rows.delete(position);
        }
      },
    },
  };
  const queue = new Queue(world, 'owner', left);
  /** Messages that are being written. */
  const writing: { entry: Entry<string>; message: string }[] = [];
  return {
    queue,
    rows,
    tally,
    writing,
    get reads() {
      return reads;
    },
    get mostRead() {
      return mostRead;
    },
    holdReads(hold: boolean) {
      holdReads = hold;
      if (!hold) for (const go of held.splice(0)) go();
    },
    add(message: string) {
      writing.push({ entry: queue.add(cost, () => message), message });
    },
    /** The oldest messages being written are durable now. */
    commit(count = 1) {
      for (const { entry, message } of writing.splice(0, count)) {
        rows.set(entry.position, message);
        queue.durable(entry);
      }
    },
    fail() {
      const [first] = writing.splice(0, 1);
      if (first) queue.failed(first.entry);
    },
    flush() {
      for (const each of waiting.splice(0)) each.flush();
    },
  };
};

interface Sent {
  readonly message: string;
  readonly packetId: number;
  readonly isRepeated: boolean;
  readonly isStored: boolean;
}

const createClient = (window: number) => {
  const inflight = new Map<number, string>();
  const sent: Sent[] = [];
  const failures: unknown[] = [];
  const refused = new Set<string>();
  const sink: Sink<string> = {
    take(message, packetId, { isRepeated, isStored }) {
      if (refused.has(message)) return 'gone';
      if (inflight.size >= window) return 'later';
      assert.ok(!inflight.has(packetId), `identifier ${packetId} is in use`);
      inflight.set(packetId, message);
      sent.push({ message, packetId, isRepeated, isStored });
      return 'taken';
    },
    failed: (error) => failures.push(error),
  };
  return { sink, inflight, sent, failures, refused, messages: () => sent.map(({ message }) => message) };
};

const settle = async (): Promise<void> => {
  for (let count = 0; count < 4; count++) await turn();
};

test('what came while nobody was connected is told from what came later', async () => {
  const bed = createBed();
  for (const message of ['a', 'b']) bed.add(message);
  bed.commit(2);
  const client = createClient(10);
  bed.queue.attach(client.sink);
  await settle();
  bed.add('c');
  bed.commit();
  await settle();
  assert.deepEqual(
    client.sent.map(({ message, isStored }) => [message, isStored]),
    [
      ['a', true],
      ['b', true],
      ['c', false],
    ],
  );
});

test('nothing is sent before it is durable, and nothing past one that is not', () => {
  const bed = createBed();
  const client = createClient(10);
  bed.queue.attach(client.sink);
  for (const message of ['a', 'b', 'c']) bed.add(message);
  const [, second, third] = bed.writing;
  bed.queue.durable(second!.entry);
  bed.queue.durable(third!.entry);
  assert.deepEqual(client.messages(), []);
  bed.commit();
  assert.deepEqual(client.messages(), ['a', 'b', 'c']);
});

test('one whose row was not written is passed over', () => {
  const bed = createBed();
  const client = createClient(10);
  bed.queue.attach(client.sink);
  for (const message of ['a', 'b', 'c']) bed.add(message);
  bed.fail();
  bed.commit(2);
  assert.deepEqual(client.messages(), ['b', 'c']);
  assert.deepEqual([bed.queue.rows, bed.queue.bytes, bed.tally.bytes], [2, 2 * cost, 2 * cost]);
});

test('what is acknowledged is removed at the end of the turn, also out of order; what is not comes again, with its identifier', async () => {
  const bed = createBed();
  const first = createClient(10);
  bed.queue.attach(first.sink);
  for (const message of ['a', 'b', 'c', 'd']) bed.add(message);
  bed.commit(4);
  for (const index of [0, 2]) bed.queue.settled(first.sent[index]!.packetId);
  assert.equal(bed.rows.size, 4);
  bed.flush();
  assert.deepEqual([...bed.rows.values()], ['b', 'd']);
  bed.queue.detach();
  bed.add('e');
  bed.commit();
  const second = createClient(10);
  bed.queue.attach(second.sink);
  await settle();
  assert.deepEqual(
    second.sent.map(({ message, packetId, isRepeated }) => [message, packetId, isRepeated]),
    [
      ['b', first.sent[1]!.packetId, true],
      ['d', first.sent[3]!.packetId, true],
      ['e', 5, false],
    ],
  );
  bed.add('live');
  bed.commit();
  assert.deepEqual(
    second.sent.map(({ isStored }) => isStored),
    [true, true, true, false],
    'what came while nobody was connected is marked',
  );
});

test('what was acknowledged in the turn in which the connection ended is removed with it', () => {
  const bed = createBed();
  const client = createClient(10);
  bed.queue.attach(client.sink);
  bed.add('a');
  bed.commit();
  bed.queue.settled(client.sent[0]!.packetId);
  bed.queue.detach();
  assert.equal(bed.rows.size, 0);
});

test('beyond memoryBytesMax messages stay in the store and are read back as the client takes them', async () => {
  const bed = createBed({ memoryBytesMax: 5 * cost });
  const client = createClient(1);
  bed.queue.attach(client.sink);
  const all = Array.from({ length: 40 }, (_, index) => `m${index}`);
  for (const message of all) bed.add(message);
  bed.commit(40);
  await settle();
  for (let next = 0; next < 40; next++) {
    const { packetId } = client.sent[next]!;
    client.inflight.delete(packetId);
    bed.queue.settled(packetId);
    bed.queue.proceed();
    await settle();
  }
  bed.flush();
  assert.deepEqual(client.messages(), all);
  assert.ok(bed.mostRead <= 5, `${bed.mostRead} messages were read at once`);
  assert.equal(bed.rows.size, 0);
  assert.equal(bed.queue.isBehind, false);
});

test('a page is never read past a position that is being written', async () => {
  const bed = createBed();
  for (const message of ['a', 'b', 'c']) bed.add(message);
  const [first, second] = bed.writing.splice(1, 2);
  for (const { entry, message } of [first!, second!]) {
    bed.rows.set(entry.position, message);
    bed.queue.durable(entry);
  }
  const client = createClient(10);
  bed.queue.attach(client.sink);
  await settle();
  assert.deepEqual(client.messages(), []);
  bed.commit();
  await settle();
  assert.deepEqual(client.messages(), ['a', 'b', 'c']);
});

test('a queue that has read back all but what is being written goes on from memory, also in a steady stream', async () => {
  const bed = createBed({ memoryBytesMax: 10 * cost });
  for (const message of ['0', '1', '2']) bed.add(message);
  bed.commit(2);
  const client = createClient(100);
  bed.queue.attach(client.sink);
  bed.add('3');
  await settle();
  assert.equal(bed.queue.isBehind, true, 'one was added while nobody was connected, and is being written');
  bed.add('4');
  bed.commit();
  await settle();
  assert.equal(bed.queue.isBehind, false, 'what is left is being written, and at hand');
  const read = bed.reads;
  for (let next = 5; next < 50; next++) {
    bed.add(`${next}`);
    bed.commit();
    await settle();
  }
  bed.commit(2);
  assert.equal(bed.reads, read, 'nothing more is read back');
  assert.deepEqual(
    client.messages(),
    Array.from({ length: 50 }, (_, index) => `${index}`),
  );
});

test('it does not go on from memory when a later message became durable before an earlier one', async () => {
  const bed = createBed();
  bed.add('offline');
  bed.commit();
  const client = createClient(100);
  bed.holdReads(true);
  bed.queue.attach(client.sink);
  for (const message of ['a', 'b', 'c']) bed.add(message);
  const [middle] = bed.writing.splice(1, 1);
  bed.rows.set(middle!.entry.position, middle!.message);
  bed.queue.durable(middle!.entry);
  bed.holdReads(false);
  await settle();
  bed.commit(2);
  await settle();
  assert.deepEqual(client.messages(), ['offline', 'a', 'b', 'c']);
});

test('a page that arrives for a former connection is not taken for the next one, which begins with what is unacknowledged', async () => {
  const bed = createBed({ memoryBytesMax: 2 * cost });
  const [first, second] = [createClient(10), createClient(10)];
  bed.queue.attach(first.sink);
  bed.holdReads(true);
  for (const message of ['a', 'b', 'c', 'd']) bed.add(message);
  bed.commit(4);
  assert.deepEqual(first.messages(), ['a', 'b']);
  bed.queue.detach();
  bed.queue.attach(second.sink);
  bed.holdReads(false);
  await settle();
  assert.deepEqual(
    [first.messages(), second.messages()],
    [
      ['a', 'b'],
      ['a', 'b', 'c', 'd'],
    ],
  );
});

test('a read that fails is told to the connection', async () => {
  const error = new Error('store is down');
  const client = createClient(1);
  const world: QueueWorld<string, string> = {
    tally: { bytes: 0 },
    memoryBytesMax: 1000,
    schedule: () => {},
    rows: { read: () => Promise.reject(error), release: async () => {}, remove: () => {} },
  };
  const queue = new Queue(world, 'owner', { rows: 1, bytes: cost, oldest: 1, newest: 1, stragglers: [] });
  queue.attach(client.sink);
  await settle();
  assert.deepEqual(client.failures, [error]);
});

test('what nobody is to get is removed', () => {
  const bed = createBed();
  const client = createClient(10);
  client.refused.add('secret');
  bed.queue.attach(client.sink);
  for (const message of ['a', 'secret', 'b']) bed.add(message);
  bed.commit(3);
  bed.flush();
  assert.deepEqual(client.messages(), ['a', 'b']);
  assert.deepEqual([...bed.rows.values()], ['a', 'b']);
});

test('a row that expires in the store is uncounted; one in memory is left to whoever sends it', () => {
  const bed = createBed();
  bed.add('a');
  bed.commit();
  assert.equal(bed.queue.expire(1, cost), true);
  assert.equal(bed.queue.rows, 0);
  const client = createClient(0);
  bed.queue.attach(client.sink);
  bed.add('b');
  assert.equal(bed.queue.expire(2, cost), false);
  assert.equal(bed.queue.rows, 1);
});

test('when a queue is discarded, nothing of it counts any more, whatever is still being written', () => {
  const bed = createBed();
  bed.queue.attach(createClient(10).sink);
  for (const message of ['a', 'b', 'c']) bed.add(message);
  bed.commit();
  bed.queue.discard();
  bed.commit();
  bed.fail();
  assert.deepEqual([bed.queue.rows, bed.queue.bytes, bed.tally.bytes], [0, 0, 0]);
});

test('an identifier that is not acknowledged is passed over when identifiers come round, while connected and after', () => {
  const bed = createBed();
  const client = createClient(10);
  bed.queue.attach(client.sink);
  bed.add('stuck');
  bed.commit();
  const again = (times: number): void => {
    for (let count = 0; count < times; count++) {
      bed.add('x');
      bed.commit();
      const packetId = client.sent.at(-1)!.packetId;
      assert.notEqual(packetId, 1);
      client.inflight.delete(packetId);
      bed.queue.settled(packetId);
    }
  };
  again(70_000);
  bed.queue.detach();
  const offline = Array.from({ length: 70_000 }, () => {
    if (bed.queue.isExhausted) return 0;
    bed.add('offline');
    return packetIdOf(bed.writing.at(-1)!.entry.position);
  });
  assert.ok(!offline.includes(1));
  assert.ok(offline.includes(0), 'identifiers run out before they meet');
});

test('the identifier of a message that was sent and has expired is free: they never run out, however often its client comes and goes', async () => {
  const bed = createBed({ memoryBytesMax: 100_000 });
  for (let cycle = 0; cycle < 70; cycle++) {
    bed.queue.attach(createClient(1000).sink);
    await settle();
    for (let count = 0; count < 1000; count++) bed.add('x');
    bed.commit(1000);
    bed.queue.detach();
    for (const position of bed.rows.keys()) bed.queue.expire(position, cost);
    bed.rows.clear();
  }
  assert.equal(bed.queue.rows, 0);
});

test('what has expired while nobody was connected uses no identifiers up', () => {
  const bed = createBed();
  for (let count = 0; count < unsentSpanMax + 10_000; count++) {
    assert.equal(bed.queue.isExhausted, false);
    bed.add('x');
    bed.commit();
    bed.queue.expire([...bed.rows.keys()][0]!, cost);
    bed.rows.clear();
  }
});

test('a start with stragglers passes their identifiers over; without them a span of positions is enough to know', () => {
  const oldest = 1;
  const newest = 65_535;
  const bed = createBed({ left: { rows: 2, bytes: 2 * cost, oldest, newest, stragglers: [oldest] } });
  assert.equal(bed.queue.isExhausted, newest - oldest >= unsentSpanMax);
  bed.add('x');
  assert.equal(packetIdOf(bed.writing[0]!.entry.position), 2, 'identifier 1 is the straggler’s');
  assert.ok(stragglerSpan + 10_000 < unsentSpanMax, 'what may wait fits between the two');
});

test('an identifier lent to a message that is not kept is free again when it is acknowledged or the connection ends', async () => {
  const bed = createBed();
  const client = createClient(10);
  bed.queue.attach(client.sink);
  assert.equal(bed.queue.lend(), 1);
  bed.add('a');
  bed.commit();
  assert.deepEqual(client.messages(), ['a'], 'nothing has to be read back for it');
  bed.queue.settled(1);
  assert.equal(bed.queue.rows, 1);
  bed.queue.detach();
  assert.equal(bed.queue.isBehind, true);
  const next = createClient(10);
  bed.queue.attach(next.sink);
  await settle();
  assert.deepEqual(next.messages(), ['a']);
});

type Step =
  | { readonly do: 'add' | 'commit' | 'fail' | 'acknowledge' | 'flush' | 'connect' | 'disconnect' | 'hold' | 'turn' }
  | { readonly do: 'acknowledge'; readonly which: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Step>({ do: 'add' }) },
  { weight: 5, arbitrary: fc.constant<Step>({ do: 'commit' }) },
  { weight: 1, arbitrary: fc.constant<Step>({ do: 'fail' }) },
  { weight: 5, arbitrary: fc.nat(5).map((which): Step => ({ do: 'acknowledge', which })) },
  { weight: 1, arbitrary: fc.constant<Step>({ do: 'flush' }) },
  { weight: 1, arbitrary: fc.constant<Step>({ do: 'connect' }) },
  { weight: 1, arbitrary: fc.constant<Step>({ do: 'disconnect' }) },
  { weight: 1, arbitrary: fc.constant<Step>({ do: 'hold' }) },
  { weight: 4, arbitrary: fc.constant<Step>({ do: 'turn' }) },
);

test('in any interleaving: nothing durable is lost, nothing is sent before it is durable or out of order, and nothing acknowledged comes again', async () => {
  const property = fc.asyncProperty(
    fc.array(step, { minLength: 30, maxLength: 200, size: 'max' }),
    fc.integer({ min: 1, max: 4 }),
    fc.integer({ min: 1, max: 6 }),
    async (steps, window, memory) => {
      const bed = createBed({ memoryBytesMax: memory * cost });
      /** Messages that are durable and not acknowledged, in order. */
      const owed: string[] = [];
      let client: ReturnType<typeof createClient> | undefined;
      let added = 0;
      let held = false;

      const check = (): void => {
        if (client === undefined) return;
        const order = client.messages().map((message) => Number(message));
        for (const [index, each] of order.entries()) {
          assert.ok(index === 0 || order[index - 1]! < each, `out of order: ${order}`);
        }
        for (const message of client.inflight.values()) {
          assert.ok(owed.includes(message), `${message} was sent though it is not durable, or acknowledged before`);
        }
      };
      const acknowledge = (which: number): void => {
        const ids = [...(client?.inflight.keys() ?? [])];
        const packetId = ids[which % Math.max(1, ids.length)];
        if (client === undefined || packetId === undefined) return;
        const message = client.inflight.get(packetId)!;
        client.inflight.delete(packetId);
        owed.splice(owed.indexOf(message), 1);
        bed.queue.settled(packetId);
        bed.queue.proceed();
      };
      const commit = (): void => {
        const [first] = bed.writing;
        if (first !== undefined) owed.push(first.message);
        bed.commit();
      };
      const connect = (): void => {
        bed.queue.detach();
        bed.flush();
        client = createClient(window);
        bed.queue.attach(client.sink);
      };

      for (const each of steps) {
        if (each.do === 'add') bed.add(`${added++}`);
        if (each.do === 'commit') commit();
        if (each.do === 'fail') bed.fail();
        if ('which' in each) acknowledge(each.which);
        if (each.do === 'flush') bed.flush();
        if (each.do === 'connect') connect();
        if (each.do === 'disconnect') {
          bed.queue.detach();
          client = undefined;
        }
        if (each.do === 'hold') {
          held = !held;
          bed.holdReads(held);
        }
        if (each.do === 'turn') await turn();
        check();
      }

      bed.holdReads(false);
      while (bed.writing.length > 0) commit();
      if (client === undefined) connect();
      for (let rounds = 0; owed.length > 0; rounds++) {
        assert.ok(rounds < 1000, `lost: ${owed}`);
        await turn();
        check();
        acknowledge(0);
      }
      await settle();
      bed.flush();
      assert.equal(bed.rows.size, 0, 'every row is removed in the end');
      assert.deepEqual([bed.queue.rows, bed.queue.bytes, bed.tally.bytes], [0, 0, 0]);
    },
  );
  await fc.assert(property, { numRuns: 300 });
});
