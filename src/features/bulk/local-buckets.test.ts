import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdir, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { makeFolder, otherAccount, testAccount } from '../../../test/call.ts';
import { InputProblem, isPlainKey } from './bulk-input.ts';
import { openInput } from './open-input.ts';

const bed = async (t: TestContext) => {
  const base = await makeFolder(t);
  const folder = join(base, 'buckets');
  const own = join(folder, testAccount.accountId);
  await mkdir(join(own, 'fleet', 'may'), { recursive: true });
  await mkdir(join(folder, otherAccount.accountId, 'fleet'), { recursive: true });
  await writeFile(join(own, 'fleet', 'may', 'lamps.json'), 'own');
  await writeFile(join(folder, otherAccount.accountId, 'fleet', 'theirs.json'), 'theirs');
  await writeFile(join(base, 'secret'), 'secret');
  const input = openInput({ folder });
  const open = (key: string, bucket = 'fleet', account = testAccount) =>
    input.open({ account, bucket, key }, { offset: 0 });
  return { base, folder, own, input, open };
};

const refused = (message: RegExp) => (error: unknown) => {
  assert(error instanceof InputProblem, String(error));
  assert.match(error.message, message);
  assert.ok(!error.passing);
  assert.doesNotMatch(error.message, /\/tmp|\/buckets/, 'no path of this machine');
  return true;
};

test('a key is a path below the bucket, below the account', async (t) => {
  const { open } = await bed(t);
  const file = await open('may/lamps.json');
  assert.equal(file.bytes, 3);
  assert.deepEqual(Buffer.from(await file.readAt(1)).toString(), 'wn');
  assert.equal((await file.readAt(3)).length, 0);
  await file.close();
  await assert.rejects(open('may/lamps.json', 'fleet', otherAccount), refused(/^There is no object/));
});

const notPlain = [
  '../111111111111/fleet/theirs.json',
  'may/../../../secret',
  '..',
  '.',
  './may/lamps.json',
  '/etc/passwd',
  '/may/lamps.json',
  'may//lamps.json',
  'may/',
  '',
  'may\\..\\lamps.json',
  'may/lamps.json\0',
  'a\nb',
];
for (const key of notPlain) {
  test(`the key ${JSON.stringify(key)} is refused`, async (t) => {
    assert.equal(isPlainKey(key), false);
    const { open } = await bed(t);
    await assert.rejects(open(key), refused(/no name of an object/));
  });
}

test('names that only look like paths are plain', () => {
  for (const key of ['...', 'a..b', '..a/b..', 'a.b', '%2e%2e/x', '~/x']) assert.ok(isPlainKey(key), key);
});

test('a link is followed within the folder of its account, and nowhere else', async (t) => {
  const { open, own, base, folder } = await bed(t);
  await symlink(join(own, 'fleet', 'may', 'lamps.json'), join(own, 'fleet', 'latest.json'));
  await (await open('latest.json')).close();
  const links: [name: string, target: string][] = [
    ['out', join(base, 'secret')],
    ['relative', '../../../secret'],
    ['theirs', join(folder, otherAccount.accountId, 'fleet', 'theirs.json')],
    ['twin', `${own}-twin`],
  ];
  await writeFile(`${own}-twin`, 'of a name that begins alike');
  for (const [name, target] of links) {
    await symlink(target, join(own, 'fleet', name));
    await assert.rejects(open(name), refused(/link that leaves/), name);
  }
  await symlink(base, join(own, 'fleet', 'up'));
  await assert.rejects(open('up/secret'), refused(/link that leaves/));
  await symlink(base, join(own, 'whole'));
  await assert.rejects(open('secret', 'whole'), refused(/link that leaves/));
  await symlink(join(folder, otherAccount.accountId), join(folder, '222222222222'));
  const third = { accountId: '222222222222', region: 'us-east-1' };
  await assert.rejects(open('theirs.json', 'fleet', third), refused(/link that leaves/));
});

const onLinux = { skip: process.platform !== 'linux' && 'where an opened file stands is asked of Linux' };
test(
  'a folder that becomes a link, and a folder again, while a file is opened leads nowhere else',
  onLinux,
  async (t) => {
    const { open, own, base } = await bed(t);
    const away = join(base, 'away');
    await mkdir(away);
    await writeFile(join(away, 'lamps.json'), 'secret');
    const [real, link, place] = [join(own, 'real'), join(own, 'link'), join(own, 'fleet', 'may')];
    await symlink(away, link);
    // another program, which does nothing else
    const swap = `
    const { renameSync } = require('node:fs');
    const [place, real, link] = process.argv.slice(1);
    process.stdout.write('ready');
    for (;;) {
      renameSync(place, real);
      renameSync(link, place);
      renameSync(place, link);
      renameSync(real, place);
    }`;
    const swapper = spawn(process.execPath, ['-e', swap, place, real, link], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(swapper, 'close');
    t.after(() => swapper.kill('SIGKILL'));
    await once(swapper.stdout, 'data');
    const outcomes = { own: 0, refused: 0 };
    const until = performance.now() + 500;
    while (performance.now() < until || outcomes.own === 0 || outcomes.refused === 0) {
      try {
        const file = await open('may/lamps.json');
        const text = Buffer.from(await file.readAt(0)).toString();
        await file.close();
        assert.equal(text, 'own');
        outcomes.own += 1;
      } catch (error) {
        assert(error instanceof InputProblem, String(error));
        outcomes.refused += 1;
      }
      assert.ok(performance.now() < until + 10_000, JSON.stringify(outcomes));
    }
    t.diagnostic(JSON.stringify(outcomes));
    swapper.kill('SIGKILL');
    await ended;
  },
);

test('what is no file is refused without waiting: a folder, a pipe, a device behind a link, nothing', async (t) => {
  const { open, own } = await bed(t);
  await assert.rejects(open('may'), refused(/no plain file|cannot be read/));
  assert.equal(spawnSync('mkfifo', [join(own, 'fleet', 'pipe')]).status, 0);
  await assert.rejects(open('pipe'), refused(/no plain file/));
  await symlink('/dev/zero', join(own, 'fleet', 'zero'));
  await assert.rejects(open('zero'), refused(/link that leaves/));
  await assert.rejects(open('none'), refused(/^There is no object none in the bucket fleet\.$/));
  await assert.rejects(open('x', 'nobucket'), refused(/^There is no object/));
  await assert.rejects(open(`${'x'.repeat(300)}`), refused(/^There is no object/));
  await symlink('loop', join(own, 'fleet', 'loop'));
  await assert.rejects(open('loop'), refused(/cannot be read/));
});

test('a file that changes while it is read, or before it is read on, is not read on', async (t) => {
  const { open, own, input } = await bed(t);
  const path = join(own, 'fleet', 'may', 'lamps.json');
  const file = await open('may/lamps.json');
  const { version } = file;
  await appendFile(path, 'more');
  await assert.rejects(file.readAt(0), refused(/was changed/));
  await file.close();
  const place = { account: testAccount, bucket: 'fleet', key: 'may/lamps.json' };
  await assert.rejects(input.open(place, { offset: 0, version }), refused(/was changed/));
  await writeFile(`${path}.new`, 'own');
  await rename(`${path}.new`, path);
  await assert.rejects(input.open(place, { offset: 0, version }), refused(/was changed/));
});

test('a folder that is none is refused at the start; without any place every file is, naming the flags', async () => {
  assert.throws(() => openInput({ folder: '/no such folder' }), { message: /^--buckets must name a folder/ });
  await assert.rejects(
    openInput({}).open({ account: testAccount, bucket: 'fleet', key: 'a' }, { offset: 0 }),
    refused(/--buckets FOLDER, or with --s3-endpoint URL/),
  );
});
