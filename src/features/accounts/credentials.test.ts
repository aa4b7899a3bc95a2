import assert from 'node:assert/strict';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeFolder } from '../../../test/call.ts';
import { isLoopbackHost, openCredentials } from './credentials.ts';
import { rootKeyFile } from './root-key.ts';

const here = { loopback: true, forwarded: false };
const elsewhere = { loopback: false, forwarded: false };
const proxied = { loopback: true, forwarded: true };

test('a development key is a 12-digit account id, or test for 000000000000; its secret is test (design 3)', async (t) => {
  const credentials = await openCredentials({
    dataFolder: await makeFolder(t),
    host: '127.0.0.1',
    accountId: '123456789012',
  });
  assert.deepEqual(credentials.find('111111111111', here), {
    accountId: '111111111111',
    secretAccessKey: 'test',
    arn: 'arn:aws:iam::111111111111:root',
    userId: '111111111111',
    iam: { kind: 'root', development: true },
  });
  assert.equal(credentials.find('test', here)?.accountId, '000000000000');
  for (const strange of ['', 'TEST', '11111111111', '1111111111111', ' 11111111111', 'AKIAIOSFODNN7EXAMPLE']) {
    assert.equal(credentials.find(strange, here), undefined, strange);
  }
});

test('ASIA and an account id is a temporary development key, whose session token is test', async (t) => {
  const credentials = await openCredentials({
    dataFolder: await makeFolder(t),
    host: '127.0.0.1',
    accountId: '000000000000',
  });
  const { accountId, sessionToken } = credentials.find('ASIA111111111111', here) ?? {};
  assert.deepEqual([accountId, sessionToken], ['111111111111', 'test']);
  assert.equal(credentials.find('111111111111', here)?.sessionToken, undefined);
});

test('a development key counts only when both ends are loopback and no proxy forwarded (design 3)', async (t) => {
  const credentials = await openCredentials({
    dataFolder: await makeFolder(t),
    host: '127.0.0.1',
    accountId: '000000000000',
  });
  for (const key of ['test', '000000000000', '111111111111', 'ASIA111111111111']) {
    assert.equal(credentials.find(key, elsewhere), undefined);
    assert.equal(credentials.find(key, proxied), undefined);
  }
});

test('a listener for other machines: a root key is made once, kept with mode 0600, told once, and counts from everywhere', async (t) => {
  const dataFolder = await makeFolder(t);
  const options = { dataFolder, host: '0.0.0.0', accountId: '123456789012' };
  const first = await openCredentials(options);
  assert.ok(first.generated);
  assert.match(first.generated.accessKeyId, /^AKIA[A-Z2-7]{16}$/);
  assert.match(first.generated.secretAccessKey, /^[A-Za-z0-9+/]{40}$/);
  await first.keepGenerated();
  assert.equal((await stat(join(dataFolder, rootKeyFile))).mode & 0o777, 0o600);

  const { accessKeyId, secretAccessKey } = first.generated;
  const identity = {
    accountId: '123456789012',
    secretAccessKey,
    arn: 'arn:aws:iam::123456789012:root',
    userId: '123456789012',
    iam: { kind: 'root' },
  };
  for (const facts of [here, elsewhere, proxied]) assert.deepEqual(first.find(accessKeyId, facts), identity);

  const second = await openCredentials(options);
  assert.equal(second.generated, undefined);
  assert.deepEqual(second.find(accessKeyId, elsewhere), identity);
});

test('a root key that nobody was shown, because the start failed, is not kept: the next start makes and shows another', async (t) => {
  const dataFolder = await makeFolder(t);
  const options = { dataFolder, host: '0.0.0.0', accountId: '000000000000' };
  const failed = await openCredentials(options);
  await assert.rejects(stat(join(dataFolder, rootKeyFile)), { code: 'ENOENT' });
  const next = await openCredentials(options);
  assert.ok(next.generated);
  assert.notEqual(next.generated.accessKeyId, failed.generated?.accessKeyId);
});

test('two data folders have two keys', async (t) => {
  const make = async () => openCredentials({ dataFolder: await makeFolder(t), host: '::', accountId: '000000000000' });
  const [a, b] = [await make(), await make()];
  assert.notEqual(a.generated?.accessKeyId, b.generated?.accessKeyId);
  assert.notEqual(a.generated?.secretAccessKey, b.generated?.secretAccessKey);
});

test('a listener for this machine only makes no root key', async (t) => {
  const dataFolder = await makeFolder(t);
  const credentials = await openCredentials({ dataFolder, host: 'localhost', accountId: '000000000000' });
  assert.equal(credentials.generated, undefined);
  await assert.rejects(stat(join(dataFolder, rootKeyFile)));
});

test('a root key of the environment takes the place of the kept one and leaves it alone', async (t) => {
  const dataFolder = await makeFolder(t);
  const rootKey = { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' };
  const options = { dataFolder, host: '0.0.0.0', accountId: '000000000000' };
  const kept = await openCredentials(options);
  await kept.keepGenerated();
  const credentials = await openCredentials({ ...options, rootKey });
  assert.equal(credentials.generated, undefined);
  assert.equal(credentials.find(rootKey.accessKeyId, elsewhere)?.secretAccessKey, rootKey.secretAccessKey);
  assert.ok(kept.generated);
  assert.equal(credentials.find(kept.generated.accessKeyId, elsewhere), undefined);
  assert.equal((await openCredentials(options)).generated, undefined);
});

test('a root key in the shape of a development key shadows it: the known secret does not count for it', async (t) => {
  const rootKey = { accessKeyId: '000000000000', secretAccessKey: 'a real secret' };
  const dataFolder = await makeFolder(t);
  const credentials = await openCredentials({ dataFolder, host: '127.0.0.1', accountId: '000000000000', rootKey });
  assert.equal(credentials.find('000000000000', here)?.secretAccessKey, 'a real secret');
});

const damages = ['', '{', 'null', '{"accessKeyId":"AKIA"}', '{"accessKeyId":"a b","secretAccessKey":"SECRET"}'];
for (const text of damages) {
  test(`a key file that holds '${text}' is refused with a sentence that names it and tells no secret`, async (t) => {
    const dataFolder = await makeFolder(t);
    await writeFile(join(dataFolder, rootKeyFile), text);
    await assert.rejects(
      openCredentials({ dataFolder, host: '0.0.0.0', accountId: '000000000000' }),
      (error: unknown) => {
        assert.ok(error instanceof Error);
        assert.ok(error.message.includes(rootKeyFile) && !String(error.cause ?? '').includes('SECRET'));
        assert.doesNotMatch(error.message, /SECRET/);
        return true;
      },
    );
    assert.equal(await readFile(join(dataFolder, rootKeyFile), 'utf8'), text);
  });
}

test('a key file that cannot be read is refused, not replaced', async (t) => {
  const dataFolder = await makeFolder(t);
  await mkdir(join(dataFolder, rootKeyFile)); // nobody can read it as a file, not even root
  await assert.rejects(openCredentials({ dataFolder, host: '0.0.0.0', accountId: '000000000000' }), /permissions/);
});

const hosts: [host: string, expected: boolean][] = [
  ['127.0.0.1', true],
  ['127.1.2.3', true],
  ['::1', true],
  ['localhost', true],
  ['0.0.0.0', false],
  ['::', false],
  ['192.168.1.5', false],
  ['127.0.0.1.example', false],
  ['127.example', false],
];
for (const [host, expected] of hosts) {
  test(`a listener on ${host} is ${expected ? 'for this machine only' : 'for others too'}`, () =>
    assert.equal(isLoopbackHost(host), expected));
}
