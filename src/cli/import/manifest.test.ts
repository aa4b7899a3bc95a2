import assert from 'node:assert/strict';
import { mkdtemp, open, readFile, realpath, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { ConfigProblem } from '../../config.ts';
import { readCertificate } from './certificate-text.ts';
import type { Entry, Ledger } from './entry.ts';
import { lineBytesMax, openManifest } from './manifest.ts';

const start = { offset: 0, line: 1 };

const write = async (t: TestContext, content: string | Buffer): Promise<string> => {
  const folder = await mkdtemp(join(await realpath(tmpdir()), 'fleetgate-manifest-'));
  t.after(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'ledger'), content);
  return join(folder, 'ledger');
};

const opened = async (t: TestContext, content: string | Buffer): Promise<Ledger> => {
  const path = await write(t, content);
  const ledger = await openManifest(path, await open(path));
  t.after(() => ledger.close());
  return ledger;
};

const all = async (ledger: Ledger, from = start): Promise<readonly Entry[]> => {
  const entries: Entry[] = [];
  for await (const entry of ledger.entries(from)) entries.push(entry);
  return entries;
};

/** Line number and what is wanted, or the problem's sentence. */
const shown = (entries: readonly Entry[]) =>
  entries.map(({ line, wanted }) => [line, 'problem' in wanted ? wanted.problem : wanted]);

const pem = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n';

test('CSV: columns in any order and spelling, empty ones count as missing, unknown ones are named and passed over', async (t) => {
  const ledger = await opened(t, `serial,thingName,Certificate,policy\n1,dev-1,a.pem,\n\n2,,"${pem}",P\n`);
  assert.deepEqual(ledger.notes, ['Columns not used: serial.']);
  assert.deepEqual(shown(await all(ledger)), [
    [2, { thing: 'dev-1', certificate: 'a.pem' }],
    [4, { certificate: pem, policy: 'P' }],
  ]);
});

test('JSON Lines: null and empty members count as missing, members of others are passed over', async (t) => {
  const ledger = await opened(
    t,
    `\n{"certificate":"a.pem","thing":null,"policy":"","status":"ACTIVE","sku":7}\n{"certificatePem":${JSON.stringify(pem)},"refused":{"line":3}}`,
  );
  assert.deepEqual(shown(await all(ledger)), [
    [2, { certificate: 'a.pem', status: 'ACTIVE' }],
    [3, { certificate: pem }],
  ]);
});

test('bad lines are refused one by one and end nothing', async (t) => {
  const json = await opened(
    t,
    [
      '{"certificate":"a"}',
      '{',
      '7',
      'null',
      '[]',
      '{"thing":"x"}',
      '{"certificate":5}',
      '{"certificate":"a","polcy":"P"}',
    ]
      .concat(`{"certificate":"${'x'.repeat(lineBytesMax)}"}`, '{"certificate":"z"}')
      .join('\n'),
  );
  assert.deepEqual(shown(await all(json)), [
    [1, { certificate: 'a' }],
    [2, 'It is not JSON'],
    [3, 'It is no JSON object'],
    [4, 'It is no JSON object'],
    [5, 'It is no JSON object'],
    [6, 'It names no certificate'],
    [7, 'Its member "certificate" is no text'],
    [8, 'No column is called "polcy". Did you mean policy?'],
    [9, 'A line has more than 131072 bytes'],
    [10, { certificate: 'z' }],
  ]);
  const csv = await opened(
    t,
    [
      'certificate,thing',
      'a,b,c',
      ',x',
      '"-----BEGIN CERTIFICATE-----',
      'MIIB',
      'good.pem,dev',
      '"open',
      'x'.repeat(lineBytesMax + 1),
    ]
      .concat('z', '"-----BEGIN CERTIFICATE-----', 'MIIB')
      .join('\n'),
  );
  assert.deepEqual(shown(await all(csv)), [
    [2, 'It has 3 fields, the first line names 2 columns'],
    [3, 'It names no certificate'],
    [4, 'A quote is opened and not closed'],
    [6, { certificate: 'good.pem', thing: 'dev' }],
    [7, 'A quote is opened and not closed'],
    [8, 'A line has more than 131072 bytes'],
    [9, { certificate: 'z' }],
    [10, 'A quote is opened and not closed'],
  ]);
});

test('reading goes on behind any entry, with the same lines as in one go', async (t) => {
  const csv = `\ufeffcertificate,thing\n${Array.from({ length: 20 }, (_, i) => (i % 3 ? `c${i}.pem,t${i}` : `"${pem}",t${i}`)).join('\n')}`;
  const jsonl = `\ufeff${Array.from({ length: 20 }, (_, i) => `{"certificate":"c${i}"}\n\n`).join('')}`;
  for (const content of [csv, jsonl, `${csv}\n"-----BEGIN CERTIFICATE-----\nMIIB\nx,y`]) {
    const ledger = await opened(t, content);
    const entries = await all(ledger);
    assert.ok(entries.length >= 20);
    for (const [index, { next }] of entries.entries()) {
      assert.deepEqual(await all(ledger, next), entries.slice(index + 1));
    }
  }
});

const mistakes: readonly [content: string | Buffer, sentence: RegExp][] = [
  ['', /is empty/],
  ['\n \n', /is empty/],
  ['[{"certificate":"a"}]', /must be JSON Lines/],
  ['a.pem,dev-1\nb.pem,dev-2', /must name its columns/],
  ['certificate,polcy\n', /No column is called "polcy"\. Did you mean policy\?/],
  ['certificate,certificatePem\n', /two columns for certificate/],
  [Buffer.from('\ufeffcertificate\n', 'utf16le'), /save it as UTF-8/],
  ['x'.repeat(lineBytesMax + 1), /must name its columns/],
];
for (const [content, sentence] of mistakes) {
  test(`${JSON.stringify(content.toString('utf8').slice(0, 40))} is no manifest`, async (t) => {
    const path = await write(t, content);
    const file = await open(path);
    t.after(() => file.close());
    await assert.rejects(
      openManifest(path, file),
      (error) => error instanceof ConfigProblem && sentence.test(error.message),
    );
  });
}

test('the manifests of docs/import.md are what it says: the same three lines, with certificates that can be read', async (t) => {
  const page = await readFile(new URL('../../../docs/import.md', import.meta.url), 'utf8');
  const [csv = '', jsonl = ''] = ['csv', 'json'].map((kind) => page.split(`\`\`\`${kind}\n`)[1]?.split('```')[0]);
  const read = async (content: string) => {
    const entries = await all(await opened(t, content));
    return entries.map(({ wanted }) => ('problem' in wanted ? assert.fail(wanted.problem) : wanted));
  };
  const lines = await read(csv);
  assert.deepEqual(await read(jsonl), lines);
  const [first, second, third] = lines;
  assert.deepEqual(first, { certificate: 'certs/0001.pem', thing: 'sensor-1', policy: 'sensors', status: 'ACTIVE' });
  assert.deepEqual([second?.thing, second?.policy, second?.status], ['sensor-2', 'sensors', undefined]);
  for (const [text, subject] of [
    [second?.certificate, 'CN=0002'],
    [third?.certificate, 'CN=0003'],
  ] as const) {
    assert.equal((await readCertificate(text ?? '', { folder: '/', allowOutside: false })).subject, subject);
  }
});

test('whatever stands in a manifest, every line of it is an entry or part of one, in order', async (t) => {
  const piece = fc.oneof(
    fc.constantFrom(
      '"',
      ',',
      '\n',
      '\r\n',
      '-----BEGIN CERTIFICATE-----',
      'MIIB',
      '-----END CERTIFICATE-----',
      '""',
      '{',
      '}',
    ),
    fc.string({ unit: 'binary', maxLength: 20 }),
  );
  const path = await write(t, '');
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('certificate,thing\n', '{"certificate":"a"}\n'),
      fc.array(piece),
      async (head, pieces) => {
        await writeFile(path, head + pieces.join(''));
        const ledger = await openManifest(path, await open(path));
        let before = start;
        for await (const { line, next } of ledger.entries(start)) {
          assert.ok(line >= before.line && next.line > line && next.offset > before.offset);
          before = next;
        }
        await ledger.close();
        const rest = (await readFile(path, 'utf8')).slice(head.length).trim();
        assert.ok(rest === '' || before.line > 1);
      },
    ),
    { numRuns: 300 },
  );
});

test('a manifest that was changed has another identity', async (t) => {
  const path = await write(t, 'certificate\na\n');
  const identity = async (): Promise<string> => {
    const ledger = await openManifest(path, await open(path));
    await ledger.close();
    return ledger.identity;
  };
  const before = await identity();
  assert.equal(await identity(), before);
  await utimes(path, 1, 1);
  assert.notEqual(await identity(), before);
});
