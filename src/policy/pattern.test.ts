import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compilePattern, matches, mightMatch } from './pattern.ts';

const request = (clientId?: string) => ({ action: 'iot:Publish', resource: '', context: { clientId } });

const cases: [pattern: string, text: string, expected: boolean, rule: string][] = [
  ['*', '', true, 'a star is any run, the empty one too (policy.md 4.2)'],
  ['', '', true, 'nothing matches nothing'],
  ['', 'a', false, 'and only that'],
  ['a/b', 'a/b', true, 'a text matches itself'],
  ['a/b', 'A/b', false, 'case counts'],
  ['a/b', 'a/bc', false, 'the whole text must match'],
  ['a/*', 'a/', true, 'a star may be empty'],
  ['a/*', 'a/b/c:d', true, 'a star spans / and :'],
  ['a/*', 'a', false, 'the slash before the star is needed'],
  ['*/c', 'a/b/c', true, 'a star at the beginning'],
  ['*/c', 'c', false, 'what follows the star is needed'],
  ['a*a', 'a', false, 'beginning and end do not overlap'],
  ['a*a', 'aa', true, 'but may touch'],
  ['a*b*c', 'a-c-b', false, 'the runs keep their order'],
  ['a**b', 'ab', true, 'two stars are one'],
  ['?', '/', true, 'a question mark is any one character, / included'],
  ['?', '', false, 'and not none'],
  ['a?c', 'abbc', false, 'and not two'],
  ['?', '😀', true, 'a character outside the basic plane is one character'],
  ['??', '😀', false, 'and not two'],
  ['*a?', 'a😀', true, 'seen from the end too'],
  ['*a?', 'a', false, 'where something must be left'],
  ['*?', '', false, 'star and question mark need one'],
  ['a/+/c', 'a/b/c', false, 'plus is an ordinary character'],
  ['a/+/c', 'a/+/c', true, 'that matches itself'],
  ['a/*', 'a/#', true, 'a star covers #'],
  ['$aws/*', '$aws/things/x', true, 'a plain dollar needs no escape (4.3)'],
  ['a.c', 'abc', false, 'nothing else is special'],
  ['${*}', '*', true, 'an escaped star is a star'],
  ['${*}', 'a', false, 'and no wildcard'],
  ['${?}', '?', true, 'an escaped question mark'],
  ['${?}', 'a', false, 'is no wildcard'],
  ['${$}{*}', '${abc}', true, 'an escaped dollar opens no variable: the star after it is one'],
  ['$(*)', '$(x)', true, 'parentheses are no escapes (11.13)'],
  ['my/${iot:ClientId}/x', 'my/dev*/x', true, 'inserted text'],
  ['my/${iot:ClientId}/x', 'my/device/x', false, 'is literal, its star no wildcard (11.1)'],
  ['*${iot:ClientId}', 'a/dev*', true, 'a variable at the end'],
  ['*${iot:ClientId}*', 'a/dev*/b', true, 'a variable between stars'],
  ['*${iot:ClientId}*${iot:ClientId}*', 'a/dev*/b', false, 'twice needs it twice'],
  ['${IOT:CLIENTID}', 'dev*', true, 'names in any case'],
  ['${nope}', '${nope}', false, 'without a value nothing matches, not even the text itself'],
];

describe('globs', () => {
  for (const [pattern, text, expected, rule] of cases) {
    test(`${pattern} ${expected ? 'matches' : 'misses'} ${text}: ${rule}`, () =>
      assert.equal(matches(compilePattern(pattern, { variables: true }), text, request('dev*'), 'nothing'), expected));
  }

  test('in a condition a variable without a value stands for its own text, wildcards in it included (policy.md 4.4)', () => {
    const pattern = compilePattern('${n*pe}/*', { variables: true });
    assert.equal(matches(pattern, '${n*pe}/x', request(), 'source'), true);
    assert.equal(matches(pattern, '${nope}/x', request(), 'source'), false);
  });

  test('without Version 2012-10-17 neither variables nor escapes match (policy.md 2)', () => {
    for (const [pattern, text] of [
      ['${iot:ClientId}', 'dev1'],
      ['${*}', '*'],
      ['a${$}*', 'a$'],
    ] as const) {
      assert.equal(matches(compilePattern(pattern, { variables: false }), text, request('dev1'), 'nothing'), false);
    }
    assert.equal(matches(compilePattern('a/*', { variables: false }), 'a/b', request(), 'nothing'), true);
  });

  test('a pattern that misses for a missing value is told from one that misses anyway', () => {
    const pattern = compilePattern('client/${iot:ClientId}', { variables: true });
    assert.equal(mightMatch(pattern, 'client/dev1', request()), true);
    assert.equal(mightMatch(pattern, 'topic/dev1', request()), false);
    assert.equal(mightMatch(pattern, 'client/dev1', request('dev2')), false);
  });
});

describe('hostile patterns cost less than text length times pattern length', () => {
  const stars = (unit: string): string => `*${`${unit}*`.repeat(500)}b`;
  const hostile: [string, string][] = [
    [stars('a'), 'a'.repeat(5000)],
    [stars('?'), 'a'.repeat(5000)],
    [stars('a?'), 'a'.repeat(5000)],
    [`*${'?a'.repeat(500)}c*`, 'a'.repeat(5000)],
    [`*${'a'.repeat(1000)}b*`, 'a'.repeat(5000)],
    [stars('${iot:ClientId}'), 'a'.repeat(5000)],
    [`*${'?a'.repeat(10_000)}c*`, 'a'.repeat(100_000)],
  ];
  for (const [pattern, text] of hostile) {
    // With backtracking more than the age of the universe, comparing at every place up to a minute. The bound is generous, not a measurement.
    test(`${pattern.slice(0, 20)}... is done within two seconds`, () => {
      const compiled = compilePattern(pattern, { variables: true });
      const startedAt = performance.now();
      assert.equal(matches(compiled, text, request('aa'), 'nothing'), false);
      assert.ok(performance.now() - startedAt < 2000);
    });
  }
});
