/** The disk that remembers: what was synced is there after a loss of power, what was not may not be. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { makeFolder } from '../folder.ts';
import { openDisk } from './power.ts';

const setUp = async (t: TestContext) => {
  const folder = await makeFolder(t);
  const at = join(folder, 'data');
  mkdirSync(at);
  writeFileSync(join(at, 'known'), 'old');
  const disk = openDisk(at, join(folder, 'disk'));
  disk.settle();
  /** Runs a script in a process whose disk it is; `fs` and the folder are there. */
  const run = (script: string): void => {
    const text = `const fs = require('node:fs'); process.chdir(${JSON.stringify(at)}); ${script}`;
    execFileSync(process.execPath, ['-e', text], { env: disk.env });
  };
  const read = (name: string): string => readFileSync(join(at, name), 'utf8');
  return { at, disk, run, read };
};
const sync = (name: string) => `{ const at = fs.openSync('${name}', 'r'); fs.fsyncSync(at); fs.closeSync(at); }`;

test('what was written and not synced is gone', async (t) => {
  const { at, disk, run, read } = await setUp(t);
  run(`fs.writeFileSync('known', 'new and longer'); fs.writeFileSync('made', 'here');`);
  assert.equal(disk.lose({ leastKept: true }).pagesLost, 1);
  assert.equal(read('known'), 'old');
  assert.ok(!existsSync(join(at, 'made')));
});

test('what was synced stays, what came after it goes', async (t) => {
  const { disk, run, read } = await setUp(t);
  run(`fs.writeFileSync('known', 'synced'); ${sync('known')} fs.writeFileSync('known', 'later');`);
  assert.equal(disk.syncs, 1);
  disk.lose({ leastKept: true });
  assert.equal(read('known'), 'synced');
});

test('a new file needs its folder to be synced as well', async (t) => {
  const { at, disk, run, read } = await setUp(t);
  run(`fs.writeFileSync('one', 'one'); ${sync('one')} ${sync('.')} fs.writeFileSync('two', 'two'); ${sync('two')}`);
  disk.lose({ leastKept: true });
  assert.equal(read('one'), 'one');
  assert.ok(!existsSync(join(at, 'two')));
});

test('a file that was replaced is the former one until its folder is synced', async (t) => {
  const { disk, run, read } = await setUp(t);
  const replace = (text: string) =>
    `fs.writeFileSync('draft', '${text}'); ${sync('draft')} fs.renameSync('draft', 'known');`;
  run(replace('new'));
  disk.lose({ leastKept: true });
  assert.equal(read('known'), 'old');
  run(replace('newer') + sync('.'));
  disk.lose({ leastKept: true });
  assert.equal(read('known'), 'newer');
});

test('of pages that were not synced, any may have come through', async (t) => {
  const { disk, run, read } = await setUp(t);
  const kept = new Set<string>();
  for (let round = 0; round < 40; round++) {
    run(`fs.writeFileSync('known', 'a'.repeat(8192)); ${sync('known')} fs.writeFileSync('known', 'b'.repeat(8192));`);
    disk.lose();
    kept.add(`${read('known')[0]}${read('known')[4096]}`);
    if (kept.size === 4) break;
  }
  assert.deepEqual([...kept].sort(), ['aa', 'ab', 'ba', 'bb']);
});
