import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { createMaker } from '../../../test/maker.ts';
import { selfSigned, throwAwayFolder } from '../../../test/throw-away-certificates.ts';
import type { ApiClient } from '../api-client.ts';
import { type Defaults, importEntry } from './import-entry.ts';

const made = createMaker()(1);
const folder = throwAwayFolder();
const paths = { folder, allowOutside: false };
const plain: Defaults = { thingFrom: 'none' };

/** An API where all goes well, which keeps what it was asked for. */
const willing = () => {
  const asked: string[] = [];
  const api: ApiClient = {
    async call({ method, path }) {
      asked.push(`${method} ${path}`);
      return { status: 200, fault: undefined, message: '', members: { certificateArn: 'arn' } };
    },
    close() {},
  };
  return { api, asked };
};
const entryOf = (certificate: string) => ({ line: 1, next: { offset: 1, line: 2 }, wanted: { certificate } });

const names: readonly [subject: string, outcome: RegExp, rule: string][] = [
  ['/CN=dev:1_a-B', /^POST \/things\/dev%3A1_a-B$/, 'the common name'],
  ['/O=Maker', /no common name/, 'none'],
  ['/CN=a/CN=b', /several common names/, 'two of them'],
  ['/CN=dev 1', /"dev 1" cannot be the name of a thing/, 'one with a blank'],
  ['/CN=..', /cannot be the name of a thing/, 'one that is a path'],
  [`/CN=${'x'.repeat(64)}`, /^POST \/things\/x{64}$/, 'the longest that X.509 allows'],
];
for (const [index, [subject, outcome, rule]] of names.entries()) {
  test(`--thing-from cn: ${rule} (${subject})`, async () => {
    const { certificateFile } = selfSigned(folder, `named-${index}`, 'ec', undefined, subject);
    const { api, asked } = willing();
    const done = await importEntry(entryOf(readFileSync(certificateFile, 'latin1')), { thingFrom: 'cn' }, paths, api);
    if (done.kind === 'refused') {
      assert.match(done.message, outcome);
      assert.deepEqual(asked, [], 'nothing was changed');
    } else assert.match(asked[1] ?? '', outcome);
  });
}

test('bytes that are almost a certificate are imported or refused, never more', async () => {
  const mutation = fc.tuple(fc.nat(made.der.length - 1), fc.nat(255));
  await fc.assert(
    fc.asyncProperty(
      fc.array(mutation, { minLength: 1, maxLength: 4 }),
      fc.nat(made.der.length),
      async (changes, cut) => {
        const der = Buffer.from(made.der);
        for (const [at, byte] of changes) der[at] = byte;
        const { api } = willing();
        for (const bytes of [der, der.subarray(0, cut)]) {
          const { kind } = await importEntry(entryOf(bytes.toString('base64')), { thingFrom: 'cn' }, paths, api);
          assert.ok(kind === 'registered' || kind === 'refused');
        }
      },
    ),
    { numRuns: 300 },
  );
});

test('whatever a line names as its certificate is refused where it is none', async () => {
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.string({ unit: 'binary' }), fc.string(), fc.webPath()), async (text) => {
      const { api, asked } = willing();
      assert.equal((await importEntry(entryOf(`x${text}`), plain, paths, api)).kind, 'refused');
      assert.deepEqual(asked, []);
    }),
    { numRuns: 300 },
  );
});
