import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ConfigProblem } from '../../config.ts';
import type { Ledger } from './entry.ts';
import { openFolder } from './folder.ts';

const folderOf = async (t: TestContext, ...names: readonly string[]): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'fleetgate-folder-'));
  t.after(() => rm(folder, { recursive: true }));
  for (const name of names) await writeFile(join(folder, name), '');
  return folder;
};
const certificatesFrom = async (ledger: Ledger, offset: number) => {
  const certificates: unknown[] = [];
  for await (const { line, wanted } of ledger.entries({ offset, line: offset + 1 })) {
    certificates.push([line, 'problem' in wanted ? wanted.problem : wanted.certificate]);
  }
  return certificates;
};

test('certificate files are taken by name, whatever else is there; reading goes on at any of them', async (t) => {
  const folder = await folderOf(t, 'b.PEM', 'a.crt', 'c.der', 'd.cer', 'a.key', 'notes.txt', '.pem.swp');
  await mkdir(join(folder, 'deeper'));
  const ledger = await openFolder(folder);
  assert.equal(ledger.offsetEnd, 4);
  assert.deepEqual(ledger.notes, ['Passed over: 4 that do not end in .pem, .crt, .cer or .der.']);
  const all = [
    [1, './a.crt'],
    [2, './b.PEM'],
    [3, './c.der'],
    [4, './d.cer'],
  ];
  for (let offset = 0; offset <= 4; offset++)
    assert.deepEqual(await certificatesFrom(ledger, offset), all.slice(offset));
});

test('a folder without certificates, or with more than the bound, is refused', async (t) => {
  const problem = (sentence: RegExp) => (error: unknown) =>
    error instanceof ConfigProblem && sentence.test(error.message);
  await assert.rejects(openFolder(await folderOf(t, 'a.key')), problem(/no file that ends in \.pem/));
  const folder = await folderOf(t, 'a.pem', 'b.pem', 'c.pem');
  assert.equal((await openFolder(folder, 3)).offsetEnd, 3);
  await assert.rejects(openFolder(folder, 2), problem(/more than 2 certificates; list them in a manifest/));
});

test('a folder to which a file was added has another identity', async (t) => {
  const folder = await folderOf(t, 'a.pem');
  const { identity } = await openFolder(folder);
  assert.equal((await openFolder(folder)).identity, identity);
  await writeFile(join(folder, 'b.pem'), '');
  assert.notEqual((await openFolder(folder)).identity, identity);
});
