import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { lineBytesMax, readLines } from './read-lines.ts';

const linesOf = async (text: string, window: number, start = { offset: 0, lineNumber: 0 }) => {
  const bytes = Buffer.from(text);
  const lines = [];
  for await (const line of readLines(async (at) => bytes.subarray(at, at + window), start)) {
    const { bytes: own, ...place } = line;
    lines.push({ ...place, text: own && Buffer.from(own).toString() });
  }
  return lines;
};

test('lines come whole and in order, whatever was read at once, with their places in the file', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string({ unit: fc.constantFrom('a', 'ä', ' ', '\r', '{'), maxLength: 9 }), { maxLength: 8 }),
      fc.boolean(),
      fc.integer({ min: 1, max: 12 }),
      async (texts, ends, window) => {
        const text = texts.join('\n') + (ends && texts.length > 0 ? '\n' : '');
        const lines = await linesOf(text, window);
        const expected = text.split('\n');
        if (expected.at(-1) === '') expected.pop();
        assert.deepEqual(
          lines.map((line) => line.text),
          expected,
        );
        let offset = 0;
        for (const [index, line] of lines.entries()) {
          assert.deepEqual([line.lineNumber, line.offset], [index + 1, offset]);
          offset = line.end;
          // whoever goes on from here reads the rest, and nothing else
          const rest = await linesOf(text, window, { offset: line.end, lineNumber: line.lineNumber });
          assert.deepEqual(rest, lines.slice(index + 1));
        }
        assert.equal(offset, Buffer.byteLength(text));
      },
    ),
  );
});

test('a line of 256 KB is read, a longer one is read over (spec provisioning.md 10)', async () => {
  const [most, more] = ['x'.repeat(lineBytesMax), 'y'.repeat(lineBytesMax + 1)];
  const lines = await linesOf(`${most}\n${more}\nz\n${more}`, 70_000);
  assert.deepEqual(
    lines.map(({ text, lineNumber, end }) => [lineNumber, text?.length, end]),
    [
      [1, lineBytesMax, lineBytesMax + 1],
      [2, undefined, 2 * lineBytesMax + 3],
      [3, 1, 2 * lineBytesMax + 5],
      [4, undefined, 3 * lineBytesMax + 6],
    ],
  );
});
