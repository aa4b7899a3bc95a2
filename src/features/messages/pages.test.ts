import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeCall } from '../../../test/call.ts';
import { readPage } from './pages.ts';

const long = 'x'.repeat(740);
const lists: [names: readonly string[], rule: string][] = [
  [[], 'an empty list'],
  [['a'], 'one name'],
  [['a', 'a/b', 'b'], 'names that begin alike'],
  [[long, `${long}a`, `${long}b`, 'y'], 'names too long for a token, beside their own beginning'],
  [
    Array.from({ length: 9 }, (_, n) => `${long}${'ü'.repeat(300)}${n}`),
    'only names that begin alike and are too long',
  ],
  [
    Array.from({ length: 5 }, (_, n) => `${'\u{1F600}'.repeat(400)}${n}`),
    'a beginning that may not end inside a character',
  ],
  [['a\nb', 'a\nc'], 'line breaks in names'],
];
for (const [names, rule] of lists) {
  test(`pages of any length come to the whole list, each name once: ${rule}`, async (t) => {
    const { call } = await makeCall(t, { features: [] });
    const read = async ({ after, limit }: { after: string; limit: number }): Promise<readonly string[]> =>
      names.filter((name) => name > after).slice(0, limit);
    for (const limit of [1, 2, 3, 100]) {
      const shown: string[] = [];
      let token: string | undefined;
      do {
        const page = await readPage(call, { token, limit, nameOf: (name: string) => name, read });
        assert.ok(page.items.length > 0 || names.length === 0);
        shown.push(...page.items);
        assert.ok(shown.length <= names.length, 'no name twice');
        token = page.nextToken;
      } while (token !== undefined);
      assert.deepEqual(shown, names);
    }
  });
}
