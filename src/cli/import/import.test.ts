/** The command line of the import and its answers, against a scripted API. The journeys against a real node are in test/stories/import-ledger.test.ts. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { keepingIo } from '../../../test/io.ts';
import { createMaker } from '../../../test/maker.ts';
import { runCommand } from '../commands.ts';

const made = createMaker()(1);
const registered = { certificateArn: 'arn:aws:iot:us-east-1:000000000000:cert/x', certificateId: 'x' };

const fixture = async (t: TestContext, answer: (path: string) => [status: number, body: unknown]) => {
  const folder = await mkdtemp(join(tmpdir(), 'fleetgate-import-'));
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const path = `${request.method} ${request.url}`;
    asked.push(path);
    const [status, body] = answer(path);
    request.resume();
    response.writeHead(status).end(JSON.stringify(body));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(async () => {
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true });
  });
  // a TCP server's address is an AddressInfo
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const run = async (...argv: readonly string[]) => {
    const { io, written } = keepingIo({ env: { FLEETGATE_API_URL: url } });
    const code = await runCommand(['certificates', ...argv], io, {
      start: async () => 0,
      backup: async () => 0,
      restore: async () => 0,
    });
    return { ...written, code };
  };
  return { folder, asked, run };
};
const wellAnswered = (path: string): [number, unknown] => [200, path.includes('register-no-ca') ? registered : {}];

test('--help has a page of its own, with every flag and a manifest', async (t) => {
  const { run } = await fixture(t, wellAnswered);
  const { out, code } = await run('import', '--help');
  assert.equal(code, 0);
  for (const part of ['--thing-from', '--allow-outside', '--api-url', 'Exit codes', 'certificate,thing,policy,status'])
    assert.ok(out.includes(part), part);
  assert.ok(out.split('\n').every((line) => line.length <= 130));
});

const mistakes: readonly [argv: readonly string[], code: number, sentence: RegExp][] = [
  [[], 2, /Say what to do/],
  [['imprt', 'x'], 2, /certificates cannot "imprt"\. Did you mean import\?/],
  [['import'], 2, /Give one folder of certificates, or one manifest/],
  [['import', 'a', 'b'], 2, /Give one folder/],
  [['import', 'a', '--concurrency', '65'], 2, /from 1 to 64/],
  [['import', 'a', '--status', 'active'], 2, /--status must be one of ACTIVE, INACTIVE, REVOKED/],
  [['import', 'a', '--thing-from', 'serial'], 2, /--thing-from must be one of cn, none/],
  [['import', 'a', '--policy', '../x'], 2, /must be the name of a policy/],
  [['import', '/nonexistent/ledger'], 1, /The ledger cannot be read: ENOENT/],
  [['import', '/dev/null'], 2, /a folder or a regular file/],
];
for (const [argv, code, sentence] of mistakes) {
  test(`certificates ${argv.join(' ')} is refused before anything is asked`, async (t) => {
    const { run, asked } = await fixture(t, wellAnswered);
    const answer = await run(...argv);
    assert.match(answer.err, sentence);
    assert.deepEqual([answer.code, asked], [code, []]);
  });
}

test('a slip of the pen costs no file: ledger, state and report must be three, and a foreign one is not written over', async (t) => {
  const { folder, run, asked } = await fixture(t, wellAnswered);
  const ledger = join(folder, 'ledger.csv');
  const content = `certificate\n${made.der.toString('base64')}\n`;
  await writeFile(ledger, content);
  await writeFile(join(folder, 'notes'), 'mine');
  for (const flag of ['--state', '--report']) {
    const same = await run('import', ledger, flag, join(folder, '..', folder.split('/').at(-1) ?? '', 'ledger.csv'));
    assert.match(same.err, /must be three files/);
    assert.equal(same.code, 2);
    const foreign = await run('import', ledger, flag, join(folder, 'notes'));
    assert.match(foreign.err, /name another file with --/);
    assert.equal(foreign.code, 1);
    const nowhere = await run('import', ledger, flag, '/nonexistent/x');
    assert.match(nowhere.err, /must name files that can be written: ENOENT/);
    assert.equal(nowhere.code, 1);
  }
  assert.equal(await readFile(ledger, 'utf8'), content);
  assert.equal(await readFile(join(folder, 'notes'), 'utf8'), 'mine');
  assert.ok(asked.every((path) => path === 'GET /endpoint'));
});

test('a policy that does not exist is told once, before anything is registered', async (t) => {
  const { folder, run, asked } = await fixture(t, () => [404, { message: 'Policy x does not exist' }]);
  await writeFile(join(folder, 'ledger'), 'certificate\na\nb\n');
  const { err, code } = await run('import', join(folder, 'ledger'), '--policy', 'x@y');
  assert.match(err, /answered 404: Policy x does not exist/);
  assert.equal(code, 1);
  assert.deepEqual(asked, ['GET /policies/x%40y']);
  assert.deepEqual(await readdir(folder), ['ledger']);
});

test('the steps of one line, in their order', async (t) => {
  const { folder, run, asked } = await fixture(t, wellAnswered);
  await writeFile(join(folder, 'ledger'), `certificate;thing;policy\n${made.der.toString('base64')};a:b;p=1\n`);
  const { out, code } = await run('import', join(folder, 'ledger'));
  assert.equal(code, 0);
  assert.match(out, /^1 line: 1 registered, 0 registered before, 0 refused\.$/m);
  assert.deepEqual(asked, [
    'GET /endpoint',
    'POST /certificate/register-no-ca',
    'POST /things/a%3Ab',
    'PUT /things/a%3Ab/principals',
    'PUT /target-policies/p%3D1',
  ]);
});

test('a key that is refused in the middle ends it; the same command goes on, one with other wishes begins anew', async (t) => {
  let refused = true;
  const { folder, run, asked } = await fixture(t, (path) =>
    refused && path.includes('/things/two') ? [403, { message: 'no more\u001b' }] : wellAnswered(path),
  );
  const ledger = join(folder, 'ledger');
  const line = (thing: string) => `{"certificate":"${made.der.toString('base64')}","thing":"${thing}"}\n`;
  await writeFile(ledger, `${line('one')}rubbish\n${line('two')}`);
  const ended = await run('import', ledger, '--concurrency', '1');
  assert.equal(ended.code, 1);
  assert.match(
    ended.err,
    /refuses the key: HTTP 403: no more\\u\{1b\}\. What is done is done; run the same command again/,
  );
  assert.deepEqual((await readdir(folder)).sort(), ['ledger', 'ledger.import-state', 'ledger.refused.jsonl']);
  refused = false;
  const other = join(folder, 'other-state');
  await writeFile(other, await readFile(`${ledger}.import-state`));
  const last = await run('import', ledger, '--concurrency', '1');
  assert.equal(last.code, 3, last.err);
  assert.match(last.out, /^Going on after 2 lines; --restart begins at the first\.\n/);
  assert.match(
    last.out,
    /1 line in .*\nOver all runs: 3 lines: 2 registered, 0 registered before, 1 refused\.\n {2}1 x It is not JSON \(first in line 2\)/,
  );
  assert.equal(asked.filter((path) => path === 'POST /things/one').length, 1);
  assert.equal((await readFile(`${ledger}.refused.jsonl`, 'utf8')).split('\n').length, 2, 'reported once');

  const anew = await run('import', ledger, '--state', other, '--status', 'ACTIVE');
  assert.match(anew.out, /has changed since the last run: beginning at its first line/);
  assert.match(anew.out, /^3 lines: 2 registered/m);
});

test('answers that make no sense refuse their line', async (t) => {
  const { folder, run } = await fixture(t, () => [200, []]);
  await writeFile(join(folder, 'ledger'), `certificate\n${made.der.toString('base64')}\n`);
  const { out, code } = await run('import', join(folder, 'ledger'));
  assert.equal(code, 3);
  assert.match(out, /1 x The server gave the certificate no ARN/);
});
