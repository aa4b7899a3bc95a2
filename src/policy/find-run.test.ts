import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { anyCharacter, endOfRun } from './find-run.ts';

/** Compares at every place. */
const naive = (run: readonly number[], characters: readonly string[]): number => {
  for (let at = 0; at + run.length <= characters.length; at++) {
    const stands = run.every((c, i) => c === anyCharacter || c === characters[at + i]?.codePointAt(0));
    if (stands) return characters.slice(0, at + run.length).join('').length;
  }
  return -1;
};
const alphabet = ['a', 'b', '\u{1f600}'];
const character = fc.constantFrom(...alphabet);

test('a run is found where comparing at every place finds it, over the border of a word too', () => {
  const place = fc.record({
    before: fc.array(character),
    run: fc.array(character, { maxLength: 100 }),
    after: fc.array(character),
  });
  fc.assert(
    fc.property(place, fc.infiniteStream(fc.nat(3)), ({ before, run, after }, holes) => {
      const characters = [...before, ...run, ...after];
      const text = characters.join('');
      const asked = run.map((c) => (holes.next().value === 0 ? anyCharacter : (c.codePointAt(0) ?? 0)));
      assert.notEqual(endOfRun(asked, text, 0), -1);
      assert.equal(endOfRun(asked, text, 0), naive(asked, characters));
      const changed = [...asked.slice(0, -1), 0x62];
      assert.equal(endOfRun(changed, text, 0), naive(changed, characters));
    }),
  );
});

test('a run is looked for at `from` and after it', () => {
  assert.equal(endOfRun([anyCharacter, 0x62], 'abab', 0), 2);
  assert.equal(endOfRun([anyCharacter, 0x62], 'abab', 1), 4);
  assert.equal(endOfRun([anyCharacter, 0x62], 'abab', 3), -1);
});
