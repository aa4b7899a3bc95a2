/** A backup is taken while the server works, holds one moment of it, and becomes the same server again, on either engine. */
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  AttachPolicyCommand,
  CreatePolicyCommand,
  CreateThingCommand,
  DescribeCertificateCommand,
  IoTClient,
  ListThingsCommand,
  RegisterCertificateWithoutCACommand,
} from '@aws-sdk/client-iot';
import { backup, restore } from '../../src/backup.ts';
import { readConfig } from '../../src/config.ts';
import { start } from '../../src/index.ts';
import { connectDevice } from '../device.ts';
import { makeFolder } from '../folder.ts';
import { bootNode, makeIdentity } from '../harness.ts';
import { freshDatabase } from '../postgres.ts';

type Engine = 'sqlite' | 'postgres';

const place = async (engine: Engine, dataFolder: string) => ({
  dataFolder,
  ...(engine === 'postgres' && { store: await freshDatabase() }),
});
const configFor = (where: { readonly dataFolder: string; readonly store?: string }) => ({
  ...readConfig([], {}),
  ...where,
});

/** A node with one device that may do everything, and its client. */
const bootAt = async (t: TestContext, where: { readonly dataFolder: string; readonly store?: string }) => {
  const node = await start(where, { keyPoolMax: 0 });
  const iot = new IoTClient({
    endpoint: node.apiUrl,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    maxAttempts: 1,
  });
  let closed = false;
  const close = async (): Promise<void> => {
    if (closed) return;
    closed = true;
    iot.destroy();
    await node.close(100);
  };
  t.after(close);
  return { node, iot, close };
};

const listThings = async (iot: IoTClient): Promise<string[]> => {
  const names: string[] = [];
  let nextToken: string | undefined;
  do {
    const page = await iot.send(new ListThingsCommand({ maxResults: 250, ...(nextToken && { nextToken }) }));
    names.push(...(page.things ?? []).map(({ thingName = '' }) => thingName));
    ({ nextToken } = page);
  } while (nextToken);
  return names;
};

const pairs: readonly (readonly [from: Engine, to: Engine])[] = [
  ['sqlite', 'sqlite'],
  ['sqlite', 'postgres'],
  ['postgres', 'postgres'],
  ['postgres', 'sqlite'],
];
for (const [from, to] of pairs) {
  test(`taken from ${from} under load and restored into ${to}, it serves the same root, lets the same device in and gives it what waited`, async (t) => {
    const folder = await makeFolder(t);
    const origin = await place(from, join(folder, 'origin'));
    const first = await bootAt(t, origin);
    const device = await makeIdentity(folder, 'device');
    const { certificateArn } = await first.iot.send(
      new RegisterCertificateWithoutCACommand({ certificatePem: device.certificatePem, status: 'ACTIVE' }),
    );
    const policyDocument =
      '{\n "Version": "2012-10-17", "Statement": {"Effect":"Allow","Action":"iot:*","Resource":"*"}}';
    await first.iot.send(new CreatePolicyCommand({ policyName: 'AllowAll', policyDocument }));
    await first.iot.send(new AttachPolicyCommand({ policyName: 'AllowAll', target: certificateArn }));
    const sleeper = await connectDevice(first.node, device, { clientId: 'sleeper', clean: false });
    await sleeper.client.subscribeAsync('wake/up', { qos: 1 });
    await sleeper.client.endAsync();
    const waker = await connectDevice(first.node, device, { clientId: 'waker' });
    await waker.client.publishAsync('wake/up', 'now', { qos: 1 });
    await waker.client.endAsync();
    for (let start = 0; start < 600; start += 50) {
      const some = Array.from({ length: 50 }, (_, i) => `before-${String(start + i).padStart(4, '0')}`);
      await Promise.all(some.map((thingName) => first.iot.send(new CreateThingCommand({ thingName }))));
    }

    // others go on writing: each thing only after the one before it was acknowledged
    const file = join(folder, 'fleet.backup');
    let taking = true;
    const writing = (async () => {
      for (let i = 0; taking || i < 20; i++) {
        await first.iot.send(new CreateThingCommand({ thingName: `during-${String(i).padStart(4, '0')}` }));
      }
    })();
    const carried = await backup(configFor(origin), file);
    taking = false;
    await writing;
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.includes('backup')),
      ['fleet.backup'],
    );
    const { rootPem } = first.node;
    await first.close();

    const destination = await place(to, join(folder, 'restored'));
    assert.deepEqual(await restore(configFor(destination), file), carried);
    const second = await bootAt(t, destination);
    assert.equal(second.node.rootPem, rootPem);
    const names = await listThings(second.iot);
    const during = names.filter((name) => name.startsWith('during-')).sort();
    assert.equal(names.length - during.length, 600);
    assert.deepEqual(
      during,
      during.map((_, i) => `during-${String(i).padStart(4, '0')}`),
      'one moment: no gap',
    );
    const { certificateDescription } = await second.iot.send(
      new DescribeCertificateCommand({ certificateId: device.certificateId }),
    );
    assert.equal(certificateDescription?.status, 'ACTIVE');
    const awake = await connectDevice(second.node, device, { clientId: 'sleeper', clean: false });
    await awake.until('wake/up now');
    await awake.client.endAsync();
  });
}

test('what is there is never overwritten, and what is no backup is refused, in one sentence', async (t) => {
  const folder = await makeFolder(t);
  const origin = { dataFolder: join(folder, 'origin') };
  const { close } = await bootAt(t, origin);
  await close();
  const file = join(folder, 'fleet.backup');
  await backup(configFor(origin), file);
  const before = await readFile(file);
  await assert.rejects(backup(configFor(origin), file), /fleet\.backup cannot be made: it is there already/);
  assert.deepEqual(await readFile(file), before);
  await assert.rejects(restore(configFor(origin), file), /origin is not empty: restore into another folder/);
  await assert.rejects(
    backup(configFor({ dataFolder: join(folder, 'nowhere') }), join(folder, 'b')),
    /nowhere cannot be read/,
  );

  const target = configFor({ dataFolder: join(folder, 'target') });
  await writeFile(join(folder, 'text'), 'not a backup');
  await assert.rejects(restore(target, join(folder, 'text')), { name: 'StoreUnavailable' });
  await assert.rejects(restore(target, join(origin.dataFolder, 'fleetgate.db')), /is no backup of Fleetgate/);
  await assert.rejects(restore(target, join(folder, 'missing')), { name: 'StoreUnavailable' });
  const damaged = Buffer.from(before);
  damaged.fill(0x5a, 4096, damaged.length);
  await writeFile(join(folder, 'damaged'), damaged);
  await assert.rejects(restore(target, join(folder, 'damaged')));
  assert.deepEqual(
    (await readdir(folder)).filter((name) => name.startsWith('target')),
    [],
    'nothing is left behind',
  );

  await mkdir(join(folder, 'target'));
  await restore(target, file);
  assert.equal((await stat(join(folder, 'target', 'marker.key'))).mode & 0o777, 0o600);
});

test('a database that holds rows is not restored into', async (t) => {
  const folder = await makeFolder(t);
  const origin = await place('postgres', join(folder, 'origin'));
  const { close } = await bootAt(t, origin);
  await close();
  const file = join(folder, 'fleet.backup');
  await backup(configFor(origin), file);
  const again = configFor({ ...origin, dataFolder: join(folder, 'restored') });
  await assert.rejects(restore(again, file), /The database already has accounts: restore into an empty one/);
});

test('by the command: a backup of a running server, told what it holds; restored, the next start serves it', async (t) => {
  const { shell, folder, node } = await bootNode(t);
  const { code, stdout, stderr } = await shell(
    [
      'set -e',
      'aws iot create-thing --thing-name lamp > created.json',
      'fleetgate backup --data data fleet.backup',
      'fleetgate restore --data again fleet.backup',
      'cmp data/root-ca.pem again/root-ca.pem',
    ].join('\n'),
  );
  assert.equal(code, 0, stdout + stderr);
  assert.match(
    stdout,
    /^\S*fleet\.backup holds \d+ rows and \d+ files of \S*data\. It holds keys too: keep it private\.$/m,
  );
  const again = await bootAt(t, { dataFolder: join(folder, 'again') });
  assert.deepEqual(await listThings(again.iot), ['lamp']);
  assert.equal(again.node.rootPem, node.rootPem);
  const refused = await shell('fleetgate backup --data data fleet.backup');
  assert.deepEqual([refused.code, refused.stderr.split('\n').length], [1, 2]);
  assert.equal((await shell('fleetgate backup')).code, 2);
});
