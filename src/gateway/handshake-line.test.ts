/** Handshakes in line: how many at once, how many per turn, who is refused. Source: design 5, performance notes 2. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HandshakeLine, type Place } from './handshake-line.ts';

const bounds = { handshakesMax: 2, waitingMax: 2, perTurnMax: 100, slotMs: 60_000 };
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('those beyond the bound wait and begin in their order; those beyond the line are refused', () => {
  const line = new HandshakeLine(bounds);
  const begun: string[] = [];
  const enter = (name: string): Place | undefined => line.enter(() => begun.push(name));
  const [a, , c] = [enter('a'), enter('b'), enter('c'), enter('d')];
  assert.deepEqual(begun, ['a', 'b']);
  assert.equal(enter('e'), undefined);
  c?.leave();
  a?.leave();
  a?.leave();
  assert.deepEqual(begun, ['a', 'b', 'd'], 'c has left the line, and leaving twice frees one slot');
  assert.equal(line.waiting, 0);
  line.close();
});

test('a handshake that fails while it begins frees its slot', () => {
  const line = new HandshakeLine({ ...bounds, handshakesMax: 1 });
  line.enter((place) => place.leave());
  let begun = false;
  line.enter(() => {
    begun = true;
  });
  assert.ok(begun);
  line.close();
});

test('one turn of the event loop begins at most perTurnMax', async () => {
  const line = new HandshakeLine({ handshakesMax: 10, waitingMax: 10, perTurnMax: 2, slotMs: 60_000 });
  let begun = 0;
  for (let i = 0; i < 5; i += 1) {
    line.enter(() => {
      begun += 1;
    });
  }
  const counts = [begun];
  for (let i = 0; i < 2; i += 1) {
    await turn();
    counts.push(begun);
  }
  assert.deepEqual(counts, [2, 4, 5]);
  line.close();
});

test('a slot that is held too long is taken over when somebody waits', async () => {
  const line = new HandshakeLine({ ...bounds, handshakesMax: 1, slotMs: 20 });
  line.enter(() => {});
  await new Promise<void>((resolve) => line.enter(() => resolve()));
  line.close();
});

test('a closed line begins nothing more', async () => {
  const line = new HandshakeLine({ ...bounds, handshakesMax: 1, slotMs: 1 });
  const running = line.enter(() => {});
  line.enter(() => assert.fail('begun after close'));
  line.close();
  running?.leave();
  await turn();
});
