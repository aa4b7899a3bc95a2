/**
 * Every acceptance check of provisioning.md (section 13) and identity.md (section 11) is a test whose name has it, e.g. `identity.md check 29, 30: ...`, or it stands
 * here with the reason why not.
 */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const exempt: Readonly<Record<string, string>> = {
  'identity.md check 36': 'thing types are not in this version',
};

const checks = [
  ...Array.from({ length: 46 }, (_, index) => `provisioning.md check ${index + 1}`),
  ...Array.from({ length: 45 }, (_, index) => `identity.md check ${index + 1}`),
];

/** Checks in names: a test's own, or the row of a table that its names are made of. Comments are no tests. */
const named = new Set<string>();
const [root, own] = ['..', import.meta.url].map((path) => fileURLToPath(new URL(path, import.meta.url)));
for (const file of globSync([`${root}src/**/*.test.ts`, `${root}test/**/*.test.ts`])) {
  if (file === own) continue;
  const code = readFileSync(file, 'utf8').replaceAll(/^\s*(?:\/\/|\/?\*).*$/gm, '');
  for (const [, document, numbers = ''] of code.matchAll(/((?:provisioning|identity)\.md) check (\d+(?:, \d+)*)/g)) {
    for (const number of numbers.split(', ')) named.add(`${document} check ${number}`);
  }
}

test('every acceptance check of provisioning.md and identity.md is the name of a test, or is exempt for a reason', () => {
  assert.deepEqual(
    checks.filter((check) => !named.has(check) && !(check in exempt)),
    [],
  );
});

test('nothing is exempt that is tested, or that is no check', () => {
  assert.deepEqual(
    Object.keys(exempt).filter((check) => named.has(check) || !checks.includes(check)),
    [],
  );
});
