import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeFolder } from '../../test/folder.ts';
import { logFilesMax, openLogFiles } from './log-files.ts';

const account = { accountId: '000000000000', region: 'us-east-1' };
const other = { accountId: '111111111111', region: 'eu-west-1' };
const droppedLine = (_account: unknown, dropped: number): string => `dropped ${dropped}`;
const fail = (error: unknown) => assert.fail(String(error));

test('lines of each account and region go to a file of their own, which only the user may read', async (t) => {
  const folder = join(await makeFolder(t), 'logs');
  const files = openLogFiles({ folder, trouble: fail, droppedLine });
  files.write(account, 'a');
  files.write(other, 'b');
  files.write(account, 'c');
  await files.close();
  const file = join(folder, '000000000000', 'us-east-1', 'AWSIotLogsV2.jsonl');
  assert.equal(await readFile(file, 'utf8'), 'a\nc\n');
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  assert.equal((await stat(folder)).mode & 0o777, 0o700);
  assert.equal(await readFile(join(folder, '111111111111', 'eu-west-1', 'AWSIotLogsV2.jsonl'), 'utf8'), 'b\n');
});

test('a full file makes room for the next; the oldest goes', async (t) => {
  const folder = await makeFolder(t);
  const files = openLogFiles({ folder, trouble: fail, droppedLine, fileBytesMax: 10 });
  for (let index = 0; index < logFilesMax + 2; index++) {
    files.write(account, `line ${index}`);
    await files.flush();
  }
  const place = join(folder, '000000000000', 'us-east-1');
  const names = (await readdir(place)).sort();
  assert.equal(names.length, logFilesMax);
  assert.equal(await readFile(join(place, 'AWSIotLogsV2.jsonl'), 'utf8'), `line ${logFilesMax + 1}\n`);
  assert.equal(await readFile(join(place, `AWSIotLogsV2.${logFilesMax - 1}.jsonl`), 'utf8'), 'line 2\n');
});

test('beyond what may wait lines are dropped and counted, never kept', async (t) => {
  const folder = await makeFolder(t);
  const files = openLogFiles({ folder, trouble: fail, droppedLine, pendingMax: 5 });
  for (const line of ['abc', 'defg', 'hi', 'j']) files.write(account, line);
  await files.flush();
  files.write(account, 'later');
  await files.close();
  const file = join(folder, '000000000000', 'us-east-1', 'AWSIotLogsV2.jsonl');
  assert.equal(await readFile(file, 'utf8'), 'abc\nhi\ndropped 2\nlater\n');
});

test('a folder that cannot be written is told once, and writing goes on when it can be again', async (t) => {
  const folder = await makeFolder(t);
  const troubles: unknown[] = [];
  const files = openLogFiles({ folder: join(folder, 'logs'), trouble: (error) => troubles.push(error), droppedLine });
  await writeFile(join(folder, 'logs'), 'in the way');
  for (const line of ['a', 'b']) {
    files.write(account, line);
    await files.flush();
  }
  assert.equal(troubles.length, 1);
  await rm(join(folder, 'logs'));
  await mkdir(join(folder, 'logs'));
  files.write(account, 'c');
  await files.close();
  const file = join(folder, 'logs', '000000000000', 'us-east-1', 'AWSIotLogsV2.jsonl');
  assert.equal(await readFile(file, 'utf8'), 'c\n');
});
