import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import fc from 'fast-check';
import { command, quote, script, unprintable } from './shell.ts';

const hostile = [
  'plain-1.pem',
  '',
  ' ',
  '-rf',
  '~root',
  '=ls',
  '$(touch x)',
  '`touch x`',
  "it's",
  "'; touch x; '",
  '"$HOME"',
  'a\\',
  '\\',
  '!!',
  '*',
  'a;b|c&d>e<f(g)h{i}j[k]',
  '${IFS}',
  '#',
  'ünï-キー-🔑',
];

test('a shell gives back every quoted value, whatever it holds (POSIX, 2.2.2 single-quotes)', () => {
  const random = fc.sample(fc.string({ unit: 'binary', maxLength: 40 }), { seed: 42, numRuns: 300 });
  const values = [...hostile, ...random.filter((value) => quote(value) !== undefined)];
  // One shell for all: a separator that no value can hold.
  const words = values.map((value) => quote(value)).join(' ');
  const output = execFileSync('sh', ['-c', `printf '%s\\036' ${words}`], { encoding: 'utf8' });
  assert.deepEqual(output.split('\u001e').slice(0, -1), values);
});

test('a value that a terminal could mistake is never put into a command', () => {
  for (const value of [
    'a\nb',
    'a\rb',
    '\u001b[2J',
    'a\tb',
    '\u0000',
    '\u009b2J',
    'a\u202eb',
    'a\u200bb',
    'a\u3164b',
    'a\ufe0f',
    '\ud800',
  ]) {
    assert.equal(quote(value), undefined, JSON.stringify(value));
    assert.equal(command`aws ${value} --x`, undefined);
  }
});

test('what is quoted holds nothing unprintable', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (value) => {
      const word = quote(value);
      assert.ok(word === undefined || !unprintable.test(word));
    }),
  );
});

test('a script with one line missing is no script', () => {
  assert.deepEqual(script('a', 'b'), ['a', 'b']);
  assert.deepEqual(script('a', undefined), []);
});
