import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createProgress } from './progress.ts';
import { firstMark, type Mark } from './state.ts';

const watched = (terminal: boolean, from: Mark = firstMark) => {
  const world = { out: '', nowMs: 0 };
  const io = {
    terminal,
    out: (text: string) => {
      world.out += text;
    },
    now: () => world.nowMs,
  };
  return { world, progress: createProgress(io, 1000, from) };
};
const mark = (offset: number, refused = 0): Mark => ({
  ...firstMark,
  next: { offset, line: offset + 1 },
  registered: offset - refused,
  refused,
});

test('without a terminal there is a line at every tenth, and twice a minute', () => {
  const { world, progress } = watched(false);
  for (let offset = 1; offset <= 350; offset++) {
    world.nowMs += 10;
    progress.show(mark(offset, offset > 250 ? 2 : 0));
  }
  progress.end();
  assert.equal(
    world.out,
    '10 %  100 lines, 100/s, 9 s left\n20 %  200 lines, 100/s, 8 s left\n30 %  300 lines, 2 refused, 100/s, 7 s left\n',
  );
  world.out = '';
  progress.show(mark(351));
  world.nowMs += 30_000;
  progress.show(mark(352));
  assert.match(world.out, /^35 % {2}352 lines, 11\/s, 62 s left\n$/);
});

test('a terminal has one line that is drawn ten times a second and fits it', () => {
  const { world, progress } = watched(true);
  for (let offset = 1; offset <= 1000; offset++) {
    world.nowMs += 1;
    progress.show(mark(offset));
  }
  const drawn = world.out.split('\r\u001b[2K').slice(1);
  assert.equal(drawn.length, 10);
  assert.equal(drawn[4], '[############------------] 50 %  500 lines, 1,000/s, 1 s left');
  world.out = '';
  progress.waiting(`the server says ${'x'.repeat(200)}\u001b[2J`);
  progress.waiting('and again');
  assert.match(world.out, /^\r\u001b\[2KTrying again: the server says x+$/);
  assert.ok(world.out.length <= 5 + 79);
  world.out = '';
  progress.end();
  assert.equal(world.out, '\r\u001b[2K');
});

test('a run that goes on counts its own rate, and all lines', () => {
  const { world, progress } = watched(false, mark(500));
  world.nowMs = 1000;
  progress.show(mark(600));
  assert.equal(world.out, '60 %  600 lines, 100/s, 4 s left\n');
});

test('that the server asks to wait is said, at most every five seconds', () => {
  const { world, progress } = watched(false);
  for (let second = 10; second < 20; second++) {
    world.nowMs = second * 1000;
    progress.waiting('ThrottlingException');
  }
  assert.equal(world.out, 'Trying again: ThrottlingException\nTrying again: ThrottlingException\n');
});
