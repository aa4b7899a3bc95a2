import assert from 'node:assert/strict';
import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeFolder } from '../../test/folder.ts';
import { freshDatabase } from '../../test/postgres.ts';
import { openStores, storeFiles } from './open.ts';

test("a data folder is one node's, on whichever engine: the second is refused in one sentence, and may start once the first has closed", async (t) => {
  const folder = await makeFolder(t);
  const url = await freshDatabase();
  const inUse = (error: unknown): boolean => {
    assert.ok(error instanceof Error);
    assert.equal(error.name, 'StoreUnavailable');
    assert.match(error.message, /^\S+ is in use by another Fleetgate: stop that one, .*--data/);
    assert.ok(error.message.startsWith(folder));
    return true;
  };
  for (const first of [url, undefined]) {
    const { store, journalStore } = await openStores({ folder, url: first });
    for (const second of [url, undefined]) await assert.rejects(openStores({ folder, url: second }), inUse);
    await journalStore.close();
    await Promise.all([store.close(), store.close()]);
  }
  assert.equal((await stat(join(folder, `${storeFiles.store}.lock`))).mode & 0o777, 0o600);
});

test('a folder that cannot be used is one sentence, whichever engine', async (t) => {
  const folder = await makeFolder(t);
  await writeFile(join(folder, 'file'), '');
  const refused = {
    name: 'StoreUnavailable',
    message: /^\S+ can not be opened: check that \S+ exists and is writable for this user\.$/,
  };
  const url = await freshDatabase();
  await assert.rejects(openStores({ folder: join(folder, 'file'), url }), refused);
});

test('nodes of one database have a data folder each', async (t) => {
  const url = await freshDatabase();
  const opened = await Promise.all([0, 1].map(async () => openStores({ folder: await makeFolder(t), url })));
  for (const { store, journalStore } of opened) await Promise.all([store.close(), journalStore.close()]);
});

test('a folder whose database cannot be reached is free again', async (t) => {
  const folder = await makeFolder(t);
  const nowhere = `postgres://fleetgate@localhost/x?host=${encodeURIComponent(folder)}`;
  await assert.rejects(openStores({ folder, url: nowhere }), { name: 'StoreUnavailable', message: /PostgreSQL/ });
  const { store, journalStore } = await openStores({ folder, url: await freshDatabase() });
  await Promise.all([store.close(), journalStore.close()]);
});
