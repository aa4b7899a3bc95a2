/** One write per turn, views joined, a full socket left alone, order kept (performance.md, "writes"). */
import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import { Outbox, Turn } from './outbox.ts';

/** A stream whose writes complete when the test says so. */
class Gate extends Duplex {
  readonly writes: Buffer[] = [];
  #done: (() => void) | undefined;
  constructor(highWaterMark: number) {
    super({ writableHighWaterMark: highWaterMark });
  }
  override _read(): void {}
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.writes.push(chunk);
    this.#done = done;
  }
  /** Completes the write that is under way. */
  open(): void {
    const done = this.#done;
    this.#done = undefined;
    done?.();
  }
}
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const create = (highWaterMark = 1000) => {
  const gate = new Gate(highWaterMark);
  let drained = 0;
  const outbox = new Outbox(gate, new Turn(), () => drained++);
  return { gate, outbox, drained: () => drained };
};

test('neighbouring views of one chunk leave as that chunk, without a copy', async () => {
  const { gate, outbox } = create();
  const chunk = Buffer.from('abcdef');
  outbox.append(chunk, 1, 3);
  outbox.append(chunk, 3, 5);
  assert.equal(gate.writes.length, 0);
  await turn();
  const [written, ...more] = gate.writes;
  assert.deepEqual(more, []);
  assert.equal(String(written), 'bcde');
  assert.equal(written?.buffer, chunk.buffer);
});

test('other segments are joined in order into one write, identifiers only in the copy', async () => {
  const { gate, outbox } = create();
  const shared = Buffer.from('P..shared by many receivers');
  outbox.append(Buffer.from('one'), 0, 3);
  outbox.appendWithId(shared, 1, 0x4142);
  outbox.appendWithId(shared, 1, 0x4344);
  outbox.append(Buffer.from('xtwo'), 1, 4);
  await turn();
  assert.deepEqual(gate.writes.map(String), ['onePABshared by many receiversPCDshared by many receiverstwo']);
  assert.equal(String(shared), 'P..shared by many receivers');
});

test('while the socket is full nothing is written to it, what waits is copied and leaves in order', async () => {
  const { gate, outbox, drained } = create(4);
  outbox.append(Buffer.from('first'), 0, 5);
  await turn();
  assert.equal(outbox.queuedBytes, 5);
  const chunk = Buffer.from('second');
  for (const [start, end] of [
    [0, 2],
    [2, 6],
  ] as const) {
    outbox.append(chunk, start, end);
    await turn();
  }
  chunk.fill('x');
  assert.equal(gate.writableLength, 5);
  assert.equal(outbox.queuedBytes, 11);
  gate.open();
  await turn();
  assert.deepEqual(gate.writes.map(String), ['first', 'second']);
  assert.equal(drained(), 1);
  gate.open();
  await turn();
  assert.equal(outbox.queuedBytes, 0);
});

test('hasRoom gives a ready socket what waits before it says no', async () => {
  const { gate, outbox } = create(1000);
  outbox.append(Buffer.alloc(80), 0, 80);
  assert.equal(outbox.hasRoom(80, 100), true);
  assert.equal(gate.writes.length, 1);
  const full = create(10);
  full.outbox.append(Buffer.alloc(80), 0, 80);
  assert.equal(full.outbox.hasRoom(80, 100), false);
});

test('end writes what waits, then ends the stream, and takes nothing more', async () => {
  const { gate, outbox } = create(1);
  outbox.append(Buffer.from('a'), 0, 1);
  await turn();
  outbox.append(Buffer.from('b'), 0, 1);
  await turn();
  outbox.append(Buffer.from('c'), 0, 1);
  outbox.end();
  outbox.append(Buffer.from('d'), 0, 1);
  gate.open();
  gate.open();
  await turn();
  gate.open();
  await turn();
  assert.deepEqual(gate.writes.map(String), ['a', 'bc']);
  assert.equal(gate.writableEnded, true);
});
