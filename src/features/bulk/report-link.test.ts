import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { testAccount } from '../../../test/call.ts';
import type { ReportPart } from './bulk-report.ts';
import { linkLifetimeMs, reportLinks } from './report-link.ts';

const report: ReportPart = { account: testAccount, taskId: 'a-task', type: 'RESULTS', part: 2 };
const key = randomBytes(32);
let nowMs = 1_767_225_600_000;
const links = reportLinks(key, () => nowMs);
const made = links.link('http://localhost:4566', report);
const queryOf = (url: string) => new Map(new URL(url).searchParams);

test('a link names a page of ours and shows its part, for an hour', () => {
  assert.match(made, /^http:\/\/localhost:4566\/_fleetgate\/bulk-report\?account=000000000000&/);
  assert.deepEqual(links.read(queryOf(made)), report);
  nowMs += linkLifetimeMs - 1;
  assert.deepEqual(links.read(queryOf(made)), report);
  nowMs += 1;
  assert.equal(links.read(queryOf(made)), undefined, 'expired');
  nowMs -= linkLifetimeMs;
});

const changes: readonly [name: string, value: string | undefined][] = [
  ['account', '111111111111'],
  ['region', 'eu-west-1'],
  ['task', 'b-task'],
  ['task', '../a-task'],
  ['type', 'ERRORS'],
  ['type', 'constructor'],
  ['part', '3'],
  ['part', '02'],
  ['part', '-1'],
  ['part', '2e0'],
  ['part', '9'.repeat(400)],
  ['expires', String(nowMs + 10 * linkLifetimeMs)],
  ['expires', 'never'],
  ['signature', ''],
  ['signature', 'A'.repeat(43)],
  ['signature', 'A'.repeat(10_000)],
  ...['account', 'region', 'task', 'type', 'part', 'expires', 'signature'].map((name): [string, undefined] => [
    name,
    undefined,
  ]),
];
for (const [name, value] of changes) {
  test(`a link is nothing when its ${name} becomes ${String(value).slice(0, 40)}`, () => {
    const query = queryOf(made);
    if (value === undefined) query.delete(name);
    else query.set(name, value);
    assert.equal(links.read(query), undefined);
  });
}

test('a signature of other bytes, or of another key, is none', () => {
  const query = queryOf(made);
  const signature = Buffer.from(query.get('signature') ?? '', 'base64url');
  for (let i = 0; i < signature.length; i++) {
    const changed = Buffer.from(signature);
    changed[i] = (changed[i] ?? 0) ^ 1;
    assert.equal(links.read(new Map(query).set('signature', changed.toString('base64url'))), undefined);
  }
  const others = reportLinks(randomBytes(32), () => nowMs);
  assert.equal(others.read(query), undefined);
  assert.deepEqual(reportLinks(key, () => nowMs).read(query), report, 'and every node with the key knows it');
});
