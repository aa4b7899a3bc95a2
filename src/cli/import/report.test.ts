import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { CommandProblem } from '../io.ts';
import type { Entry } from './entry.ts';
import { causesMax, openReport, type Refusal } from './report.ts';

const fresh = async (t: TestContext) => {
  const folder = await mkdtemp(join(tmpdir(), 'fleetgate-report-'));
  t.after(() => rm(folder, { recursive: true }));
  return { folder, path: join(folder, 'x.refused.jsonl') };
};
const entryOf = (line: number, wanted: Entry['wanted']): Entry => ({
  line,
  next: { offset: line, line: line + 1 },
  wanted,
});
const refusal = (message: string, operation?: string): Refusal => ({
  kind: 'refused',
  message,
  ...(operation !== undefined && { operation, fault: 'SomeException' }),
});

test('a refusal names line, operation, fault and sentence, and all that was asked for; paths lead from the report to the same file', async (t) => {
  const { folder, path } = await fresh(t);
  await mkdir(join(folder, 'certs'));
  const report = await openReport(path, 0, join(folder, 'certs'));
  await report.write(entryOf(1, { certificate: './a.pem', policy: 'P' }), refusal('no', 'AttachPolicy'));
  await report.write(entryOf(2, { certificate: '-----BEGIN CERTIFICATE-----\nx' }), {
    ...refusal('no'),
    certificateId: 'id',
  });
  await report.write(entryOf(3, { problem: 'It is not JSON', text: 'rubbish' }), refusal('It is not JSON'));
  await report.sync();
  assert.equal(report.bytes, (await readFile(path)).length);
  await report.close();
  assert.deepEqual(
    (await readFile(path, 'utf8'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line)),
    [
      {
        refused: { line: 1, message: 'no', operation: 'AttachPolicy', fault: 'SomeException' },
        certificate: 'certs/a.pem',
        policy: 'P',
      },
      { refused: { line: 2, message: 'no', certificateId: 'id' }, certificate: '-----BEGIN CERTIFICATE-----\nx' },
      { refused: { line: 3, message: 'It is not JSON', text: 'rubbish' } },
    ],
  );
});

test('what an earlier run wrote behind its mark is cut off: it will be refused once more', async (t) => {
  const { path } = await fresh(t);
  const first = await openReport(path, 0, '/');
  await first.write(entryOf(1, { certificate: 'ü' }), refusal('marked'));
  const { bytes } = first;
  await first.write(entryOf(2, { certificate: 'b' }), refusal('not marked'));
  await first.close();
  const second = await openReport(path, bytes, '/');
  await second.write(entryOf(2, { certificate: 'b' }), refusal('again'));
  await second.close();
  const messages = (await readFile(path, 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line).refused.message);
  assert.deepEqual(messages, ['marked', 'again']);
});

test('a report that was shortened, and a file that is no report, are refused and left alone', async (t) => {
  const { path } = await fresh(t);
  const report = await openReport(path, 0, '/');
  await report.write(entryOf(1, { certificate: 'a' }), refusal('no'));
  const { bytes } = report;
  await report.close();
  await truncate(path, bytes - 1);
  await assert.rejects(
    openReport(path, bytes, '/'),
    (error) => error instanceof CommandProblem && /--restart/.test(error.message),
  );
  for (const content of ['mine', '{"refus', '{"certificate":"a"}\n']) {
    await writeFile(path, content);
    await assert.rejects(
      openReport(path, 0, '/'),
      (error) => error instanceof CommandProblem && /no report/.test(error.message),
    );
    assert.equal(await readFile(path, 'utf8'), content);
  }
});

test('an empty report goes', async (t) => {
  const { folder, path } = await fresh(t);
  const report = await openReport(path, 0, '/');
  assert.deepEqual(await report.causes(), []);
  await report.close();
  assert.deepEqual(await readdir(folder), []);
});

test('causes are counted by operation and fault, the most frequent first, in bounded number', async (t) => {
  const { path } = await fresh(t);
  const report = await openReport(path, 0, '/');
  for (let line = 1; line <= 5; line++) {
    await report.write(entryOf(line, { certificate: 'a' }), refusal(`x${line}.pem does not exist`));
  }
  for (let line = 6; line <= 12; line++) {
    await report.write(entryOf(line, { certificate: 'a' }), refusal(`Policy ${line} not found`, 'AttachPolicy'));
  }
  assert.deepEqual(await report.causes(), [
    { what: 'AttachPolicy SomeException: Policy 6 not found', firstLine: 6, count: 7 },
    { what: 'x1.pem does not exist', firstLine: 1, count: 5 },
  ]);
  for (let kind = 0; kind < 100; kind++) {
    await report.write(entryOf(100 + kind, { certificate: 'a' }), refusal(`kind ${'k'.repeat(kind)}`));
  }
  const causes = await report.causes();
  assert.equal(causes.length, causesMax + 1);
  assert.deepEqual(causes[0], { what: 'further causes', firstLine: 118, count: 82 });
  await report.close();
});
