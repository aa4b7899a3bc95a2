import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { isPrintable, printable, printableLines, shellWord, styleOf } from './terminal.ts';

test('what would move a cursor, change a colour or turn the text is spelled out', () => {
  assert.equal(
    printable('\u001b[2J\u0007\u009b1m\u202e\u{e0041}\ud800'),
    '\\u{1b}[2J\\u{7}\\u{9b}1m\\u{202e}\\u{e0041}\\u{d800}',
  );
  assert.equal(printable('a\nb'), 'a\\u{a}b');
  assert.equal(printableLines('a\nb\r\n\u001bc'), 'a\nb\n\\u{1b}c');
  assert.equal(printable('ünï-キー-🔑'), 'ünï-キー-🔑');
  assert.deepEqual([isPrintable('a b'), isPrintable('a\tb')], [true, false]);
});

test('colours are for terminals', () => {
  assert.equal(styleOf(true).bad('x'), '\u001b[31mx\u001b[0m');
  assert.equal(styleOf(false).bad('x'), 'x');
});

test('a shell reads a word back as it was', () => {
  for (const value of ["it's", '$(touch x)', '-n', '', 'a b', '~', '/usr/bin/node']) {
    assert.equal(execFileSync('sh', ['-c', `printf %s. ${shellWord(value)}`], { encoding: 'utf8' }), `${value}.`);
  }
});
