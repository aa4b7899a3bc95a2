import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { CreateAccessKeyCommand, CreateUserCommand, IAMClient } from '@aws-sdk/client-iam';
import { makeFolder } from '../test/call.ts';
import { keepRootCertificate, prepareDataFolder, readOrMakeKey, readOrMakeSecretsKey } from './data-folder.ts';
import { start } from './index.ts';

const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o7777;

test('a data folder that others use too keeps its permissions, and every file in it but the root certificate is private', async (t) => {
  const folder = await makeFolder(t);
  await chmod(folder, 0o1777);
  const node = await start({ dataFolder: folder });
  try {
    assert.equal(await modeOf(folder), 0o1777);
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      const expected = entry.isDirectory() ? 0o700 : entry.name === 'root-ca.pem' ? 0o644 : 0o600;
      assert.equal(await modeOf(join(folder, entry.name)), expected, entry.name);
    }
  } finally {
    await node.close();
  }
});

test('a data folder that is made is private, and one that cannot be made is refused', async (t) => {
  const folder = await makeFolder(t);
  await prepareDataFolder(join(folder, 'a', 'b'), ['x.db']);
  assert.equal(await modeOf(join(folder, 'a', 'b')), 0o700);
  await writeFile(join(folder, 'file'), '');
  await assert.rejects(prepareDataFolder(join(folder, 'file'), ['x.db']), { name: 'StartProblem', message: /--data/ });
});

test('a key is made once; an empty or shortened one, with which anybody could forge, is refused and not replaced', async (t) => {
  const file = join(await makeFolder(t), 'marker.key');
  const key = await readOrMakeKey(file);
  assert.equal(key.length, 32);
  assert.deepEqual(await readOrMakeKey(file), key);
  assert.equal(await modeOf(file), 0o600);
  for (const damaged of ['', 'short']) {
    await writeFile(file, damaged);
    await assert.rejects(readOrMakeKey(file), { name: 'StartProblem', message: /damaged/ });
    assert.equal(await readFile(file, 'utf8'), damaged);
  }
});

test('a damaged key of the secrets is refused, and never is its removal advised: a new one opens nothing that is stored', async (t) => {
  const folder = await makeFolder(t);
  const never = () => assert.fail('the key is there');
  const key = await readOrMakeSecretsKey(folder, async () => false);
  assert.deepEqual(await readOrMakeSecretsKey(folder, never), key);
  assert.deepEqual(await readFile(join(folder, 'secrets.key')), key);
  assert.equal(await modeOf(join(folder, 'secrets.key')), 0o600);
  await writeFile(join(folder, 'secrets.key'), key.subarray(1));
  await assert.rejects(
    readOrMakeSecretsKey(folder, never),
    ({ name, message }: Error) =>
      name === 'StartProblem' && /damaged.* from a backup/.test(message) && !/remove/.test(message),
  );
});

test('no key of the secrets is made while the store holds some: it is to be put back, or given up by whoever knows what is lost', async (t) => {
  const folder = await makeFolder(t);
  const options = { dataFolder: folder, httpsPorts: [] };
  const first = await start(options);
  t.after(() => first.close(0));
  const root = { accessKeyId: 'test', secretAccessKey: 'test' };
  const iam = new IAMClient({ endpoint: first.apiUrl, region: 'us-east-1', credentials: root });
  t.after(() => iam.destroy());
  await iam.send(new CreateUserCommand({ UserName: 'alice' }));
  await iam.send(new CreateAccessKeyCommand({ UserName: 'alice' }));
  await first.close(0);
  const file = join(folder, 'secrets.key');
  await rename(file, `${file}.kept`);
  await assert.rejects(start(options), { name: 'StartProblem', message: /secrets\.key is missing.*from a backup/ });
  await assert.rejects(readFile(file), { code: 'ENOENT' });
  await writeFile(file, randomBytes(32));
  await (await start(options)).close(0);
});

test('a key file that is none, and a root certificate that cannot be written, are refused in one sentence', async (t) => {
  for (const name of ['marker.key', 'root-ca.pem']) {
    const folder = await makeFolder(t);
    await mkdir(join(folder, name));
    await assert.rejects(start({ dataFolder: folder }), {
      name: 'StartProblem',
      message: new RegExp(`${name} .*EISDIR`),
    });
  }
});

test('a root certificate that is there already is not written again', async (t) => {
  const folder = await makeFolder(t);
  const file = join(folder, 'root-ca.pem');
  await keepRootCertificate(file, 'PEM\n');
  assert.equal(await modeOf(file), 0o644);
  const before = await stat(file, { bigint: true });
  await keepRootCertificate(file, 'PEM\n');
  assert.equal((await stat(file, { bigint: true })).ino, before.ino);
  await keepRootCertificate(file, 'OTHER\n');
  assert.equal(await readFile(file, 'utf8'), 'OTHER\n');
  assert.deepEqual(await readdir(folder), ['root-ca.pem']);
});
