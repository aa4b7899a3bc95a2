import assert from 'node:assert/strict';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Line, type Position, readLines } from './lines.ts';

const linesOf = async (
  t: TestContext,
  content: string | Buffer,
  { from = { offset: 0, line: 1 } as Position, max = 100_000 } = {},
) => {
  const folder = await mkdtemp(join(tmpdir(), 'fleetgate-lines-'));
  t.after(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'x'), content);
  const file = await open(join(folder, 'x'));
  t.after(() => file.close());
  const lines: Line[] = [];
  for await (const line of readLines(file, from, max)) lines.push(line);
  return lines;
};

test('lines end in LF or CRLF, the last one also without; empty lines count', async (t) => {
  assert.deepEqual(await linesOf(t, 'a\r\n\nü\nlast'), [
    { number: 1, end: 3, text: 'a' },
    { number: 2, end: 4, text: '' },
    { number: 3, end: 7, text: 'ü' },
    { number: 4, end: 11, text: 'last' },
  ]);
  assert.deepEqual(await linesOf(t, ''), []);
});

test('a line that is longer than the bound has no text, and those after it are whole', async (t) => {
  const lines = await linesOf(t, `a\n${'x'.repeat(200_000)}\nb\n${'y'.repeat(11)}\n${'z'.repeat(10)}`, { max: 10 });
  assert.deepEqual(
    lines.map(({ number, text }) => [number, text]),
    [
      [1, 'a'],
      [2, undefined],
      [3, 'b'],
      [4, undefined],
      [5, 'zzzzzzzzzz'],
    ],
  );
});

test('lines of many chunks are put together, and reading goes on from the end of any line', async (t) => {
  const content = Array.from({ length: 900 }, (_, i) => `${i}:${'ab€'.repeat(i)}`).join('\n');
  const lines = await linesOf(t, content);
  assert.deepEqual(lines.map(({ text }) => text).join('\n'), content);
  for (const at of [0, 200, 898]) {
    const line = lines[at];
    assert.ok(line);
    const rest = await linesOf(t, content, { from: { offset: line.end, line: line.number + 1 } });
    assert.deepEqual(rest, lines.slice(at + 1));
  }
});

test('bytes that are no UTF-8 end nothing', async (t) => {
  assert.deepEqual(
    (await linesOf(t, Buffer.of(0xff, 0x0a, 0x00, 0x0a, 0x61))).map(({ text }) => text),
    ['�', '\0', 'a'],
  );
});
