/** The store against the world: full and read-only disks, damaged files, two processes, a crash of the writer, kill -9. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, chmod, mkdir, open, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { sql } from 'kysely';
import { makeFolder } from '../../test/call.ts';
import { openDisk } from '../../test/crash/power.ts';
import { openStore, type SqliteStore } from './sqlite.ts';
import { StoreUnavailable } from './store.ts';

const createPairs = { sql: 'create table if not exists pairs (half text primary key, filler text)', parameters: [] };
const insertHalf = (half: string, filler = '') => ({
  sql: 'insert into pairs values (?, ?)',
  parameters: [half, filler],
});
const count = async (store: SqliteStore): Promise<number> => {
  const { rows } = await sql<{ n: number }>`select count(*) as n from pairs`.execute(store.db);
  return rows[0]?.n ?? 0;
};
/** Writes rows of 100 kB until the store refuses; returns how many it took. */
const fill = async (store: SqliteStore, refusal: RegExp): Promise<number> => {
  for (let index = 0; index < 1000; index++) {
    try {
      await store.append([insertHalf(`fill${index}`, 'x'.repeat(100_000))]);
    } catch (error) {
      assert.ok(error instanceof StoreUnavailable);
      assert.match(error.message, refusal);
      return index;
    }
  }
  return assert.fail('the disk never got full');
};

test('a full file: StoreUnavailable with a cure, nothing acknowledged is lost, and service resumes when there is room', async (t) => {
  const folder = await makeFolder(t, () => store.close());
  const store = await openStore({ file: join(folder, 'store.db'), durable: false, pageCountMax: 200 });
  await store.append([createPairs]);
  const taken = await fill(store, /is full: free some space/);
  assert.ok(taken > 0);
  assert.equal(store.writable, false);
  assert.equal(await count(store), taken);

  await store.append([{ sql: 'delete from pairs', parameters: [] }]);
  assert.equal(store.writable, true);
  await store.append([insertHalf('after', 'x'.repeat(100_000))]);
  assert.equal(await count(store), 1);
});

test('a unit that fails by a full file does not take its neighbours along', async (t) => {
  const folder = await makeFolder(t, () => store.close());
  const store = await openStore({ file: join(folder, 'store.db'), durable: false, pageCountMax: 50 });
  await store.append([createPairs]);
  const [small, large] = await Promise.allSettled([
    store.append([insertHalf('small')]),
    store.append([insertHalf('large', 'x'.repeat(1_000_000))]),
  ]);
  // SQLite may take the whole transaction back on a full disk: then the small one is told so, too.
  assert.equal(large.status, 'rejected');
  assert.equal(await count(store), small.status === 'fulfilled' ? 1 : 0);
});

/** A disk of one megabyte, when the test may mount one. */
const mountSmallDisk = async (t: TestContext, close: () => Promise<void>): Promise<string | undefined> => {
  const folder = await makeFolder(t, async () => {
    await close();
    execFileSync('umount', [disk]);
  });
  const disk = join(folder, 'disk');
  await mkdir(disk);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  return disk;
};

test('a full disk: the commit fails as a whole, and service resumes by itself when space is freed', {
  timeout: 20_000,
}, async (t) => {
  let store: SqliteStore | undefined;
  const probe = process.getuid?.() === 0;
  if (!probe) return t.skip('only root may mount a small disk');
  const disk = await mountSmallDisk(t, async () => store?.close()).catch(() => undefined);
  if (!disk) return t.skip('this machine does not let its root mount');
  const ballast = join(disk, 'ballast');
  await writeFile(ballast, Buffer.alloc(300_000));
  store = await openStore({ file: join(disk, 'store.db') });
  await store.append([createPairs]);
  const taken = await fill(store, /is full: free some space/);
  assert.equal(store.writable, false);
  assert.equal(await count(store), taken, 'what was acknowledged is there, what was refused is not');
  const neighbours = await Promise.allSettled([
    store.append([insertHalf('n1', 'x'.repeat(200_000))]),
    store.write(async () => assert.fail('rests on what a neighbour wrote')),
    store.append([insertHalf('n2', 'x'.repeat(200_000))]),
  ]);
  for (const outcome of neighbours) {
    assert.ok(
      outcome.status === 'rejected' && outcome.reason instanceof StoreUnavailable,
      'failures, too, wait for the commit',
    );
  }

  await rm(ballast);
  while (!store.writable) await new Promise(setImmediate); // the store's own probe
  await store.append([insertHalf('after')]);
  assert.equal(await count(store), taken + 1);
});

test('a crash of the writer thread: what was not acknowledged is StoreUnavailable, the next write starts it again', async (t) => {
  const folder = await makeFolder(t, () => store.close());
  const store = await openStore({ file: join(folder, 'store.db'), durable: false });
  await store.append([createPairs]);
  const started = Promise.withResolvers<void>();
  const crashed = Promise.withResolvers<void>();
  const victim = store.write(async (db) => {
    await sql`insert into pairs values ('victim', '')`.execute(db);
    started.resolve();
    await crashed.promise;
    await sql`insert into pairs values ('late', '')`.execute(db);
  });
  await started.promise;
  await store.crashWriter();
  crashed.resolve();
  await assert.rejects(victim, StoreUnavailable);
  assert.equal(store.writable, false);
  await store.append([insertHalf('after')]);
  assert.equal(store.writable, true);
  assert.equal(await count(store), 1);
});

test('a crash of the writer thread while the file is gone: refused, and no empty store is made in its place', async (t) => {
  const folder = await makeFolder(t, () => store.close());
  const store = await openStore({ file: join(folder, 'store.db'), durable: false });
  await store.append([createPairs]);
  await store.crashWriter();
  for (const name of await readdir(folder)) await rm(join(folder, name));
  await assert.rejects(store.append([createPairs]), { name: 'StoreUnavailable', message: /can not be opened/ });
});

test('a store that is in use is refused with a sentence that names the cure; after close it is free', async (t) => {
  const folder = await makeFolder(t);
  const file = join(folder, 'store.db');
  const first = await openStore({ file, durable: false });
  await assert.rejects(openStore({ file, durable: false }), {
    name: 'StoreUnavailable',
    message: /in use by another Fleetgate.*--data/,
  });
  await first.close();
  const second = await openStore({ file, durable: false });
  await second.close();
});

const damages: [name: string, damage: (file: string) => Promise<void>, sentence: RegExp][] = [
  [
    'a file that is no store',
    (file) => writeFile(file, 'my shopping list '.repeat(100)),
    /damaged or no Fleetgate store/,
  ],
  ['a file cut short', (file) => truncate(file, 8192), /damaged/],
  [
    'a file with an overwritten page',
    async (file) => {
      const handle = await open(file, 'r+');
      await handle.write(Buffer.alloc(4096 * 3, 0x5a), 0, 4096 * 3, 4096);
      await handle.close();
    },
    /damaged/,
  ],
];
for (const [name, damage, sentence] of damages) {
  test(`${name} is refused at start with a sentence that names it and the cure`, async (t) => {
    const folder = await makeFolder(t);
    const file = join(folder, 'store.db');
    const store = await openStore({ file, durable: false });
    await store.append([createPairs, ...Array.from({ length: 20 }, (_, i) => insertHalf(`h${i}`, 'x'.repeat(3000)))]);
    await store.close();
    await damage(file);
    await assert.rejects(openStore({ file, durable: false }), (error: unknown) => {
      assert.ok(error instanceof StoreUnavailable);
      assert.match(error.message, sentence);
      assert.ok(error.message.includes(file) && error.message.includes('backup'));
      return true;
    });
  });
}

test('a file that is damaged while the store is open: nothing is read or acknowledged until a check finds it sound again, then all is there', {
  timeout: 20_000,
}, async (t) => {
  const folder = await makeFolder(t, () => store.close());
  const file = join(folder, 'store.db');
  const first = await openStore({ file, durable: false });
  await first.append([createPairs, ...Array.from({ length: 20 }, (_, i) => insertHalf(`h${i}`, 'x'.repeat(3000)))]);
  await first.close(); // the write-ahead log is folded into the file
  const store = await openStore({ file, durable: false });

  const handle = await open(file, 'r+');
  t.after(() => handle.close());
  const { buffer } = await handle.read({ buffer: Buffer.alloc((await handle.stat()).size), position: 0 });
  await handle.write(Buffer.alloc(buffer.length - 4096, 0x5a), 0, buffer.length - 4096, 4096);
  const refusal = { name: 'StoreUnavailable', message: /store\.db is damaged.*backup/ };
  await assert.rejects(count(store), refusal);
  assert.equal(store.writable, false);
  await assert.rejects(
    store.append([insertHalf('lost')]),
    refusal,
    'refused without asking the writer, whose memory is still good',
  );
  await assert.rejects(store.write(count as never), refusal);

  await handle.write(buffer, 0, buffer.length, 0);
  while (!store.writable) await new Promise(setImmediate); // the store's own check
  assert.equal(await count(store), 20);
  await store.append([insertHalf('after')]);
  assert.equal(await count(store), 21);
});

test('a write that finds the file damaged makes the store unsound too', {
  timeout: 20_000,
}, async (t) => {
  const folder = await makeFolder(t, () => store.close());
  const file = join(folder, 'store.db');
  const first = await openStore({ file, durable: false });
  await first.append([createPairs, ...Array.from({ length: 60 }, (_, i) => insertHalf(`h${i}`, 'x'.repeat(3000)))]);
  await first.close();
  const store = await openStore({ file, durable: false });
  const handle = await open(file, 'r+');
  t.after(() => handle.close());
  const { buffer } = await handle.read({ buffer: Buffer.alloc((await handle.stat()).size), position: 0 });
  await handle.write(Buffer.alloc(buffer.length - 4096, 0x5a), 0, buffer.length - 4096, 4096);
  await store.crashWriter(); // a writer that has read no page yet
  await assert.rejects(store.append([insertHalf('second')]), { name: 'StoreUnavailable', message: /is damaged/ });
  assert.equal(store.writable, false);

  await handle.write(buffer, 0, buffer.length, 0);
  while (!store.writable) await new Promise(setImmediate);
  await store.append([insertHalf('after')]);
  assert.equal(await count(store), 61);
});

test('a damaged file that is replaced by an older backup while the store is open: service goes on with what the backup holds', {
  timeout: 20_000,
}, async (t) => {
  const folder = await makeFolder(t, () => store.close());
  const file = join(folder, 'store.db');
  const fill20 = async (from: number): Promise<void> => {
    const filling = await openStore({ file, durable: false });
    const halves = Array.from({ length: 20 }, (_, i) => insertHalf(`h${from + i}`, 'x'.repeat(3000)));
    await filling.append([createPairs, ...halves]);
    await filling.close();
  };
  await fill20(0);
  const backup = await readFile(file);
  await fill20(20);
  let store = await openStore({ file, durable: false });
  await truncate(file, 8192);
  await assert.rejects(count(store), { name: 'StoreUnavailable', message: /damaged/ });
  await writeFile(file, backup);
  while (!store.writable) await new Promise(setImmediate);
  assert.equal(await count(store), 20);
  await store.append([insertHalf('after', 'x'.repeat(3000))]);
  assert.equal(await count(store), 21);
  await store.close();
  store = await openStore({ file, durable: false }); // which checks every page
  assert.equal(await count(store), 21);
});

test('a read-only data folder is refused at start with a sentence that names it', async (t) => {
  const folder = await makeFolder(t, async () => {
    if (mounted) execFileSync('umount', [readOnly]);
    await chmod(readOnly, 0o700);
  });
  const readOnly = join(folder, 'data');
  let mounted = false;
  await mkdir(readOnly);
  await chmod(readOnly, 0o500);
  if (process.getuid?.() === 0) {
    // Permissions do not bind root: only a mount does.
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'ro', 'tmpfs', readOnly], { stdio: 'ignore' });
      mounted = true;
    } catch {
      return t.skip('this machine does not let its root mount');
    }
  }
  await assert.rejects(openStore({ file: join(readOnly, 'store.db') }), (error: unknown) => {
    assert.ok(error instanceof StoreUnavailable);
    assert.ok(error.message.includes(readOnly) && /writable/.test(error.message), error.message);
    return true;
  });
  await assert.rejects(openStore({ file: join(readOnly, 'below', 'store.db') }), StoreUnavailable);
});

test('a data folder that is a file is refused with a sentence', async (t) => {
  const folder = await makeFolder(t);
  await appendFile(join(folder, 'data'), '');
  await assert.rejects(openStore({ file: join(folder, 'data', 'store.db') }), {
    name: 'StoreUnavailable',
    message: /can not be made/,
  });
});

test('the files of the store are for their owner only', async (t) => {
  const folder = await makeFolder(t, () => store.close());
  const file = join(folder, 'data', 'store.db');
  const store = await openStore({ file, durable: false });
  assert.equal((await stat(join(folder, 'data'))).mode & 0o077, 0);
});

test('kill -9 at any instant loses no acknowledged unit and leaves no half of one (design 5); the lock dies with the process', async (t) => {
  const folder = await makeFolder(t);
  const file = join(folder, 'store.db');
  /** The ledger of acknowledgements, kept outside the killed process. */
  const acknowledged = new Set<string>();
  for (let round = 0; round < 6; round++) {
    const child = spawn(
      process.execPath,
      [join(import.meta.dirname, '../../test/write-until-killed.ts'), file, `${round}`],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    const exited = once(child, 'exit');
    let lines = 0;
    for await (const line of createInterface({ input: child.stdout })) {
      acknowledged.add(line);
      if (++lines === 40 * (round + 1)) child.kill('SIGKILL');
    }
    await exited;
    const store = await openStore({ file });
    const { rows } = await sql<{ half: string }>`select half from pairs`.execute(store.db);
    const halves = new Set(rows.map((row) => row.half));
    await store.close();
    for (const pair of acknowledged) assert.ok(halves.has(`${pair}-left`), `acknowledged ${pair} is there`);
    for (const half of halves) {
      const [pair] = half.split(/-(?:left|right)$/);
      assert.ok(halves.has(`${pair}-left`) && halves.has(`${pair}-right`), `${half} is not alone`);
    }
  }
  assert.ok(acknowledged.size >= 500);
});

test('a store that is not worth an fsync is sound after a loss of power in the middle of its work, whatever pages came through', async (t) => {
  const folder = await makeFolder(t);
  const data = join(folder, 'data');
  await mkdir(data);
  const file = join(data, 'journal.db');
  const disk = openDisk(data, join(folder, 'disk'));
  disk.settle();
  let pagesLost = 0;
  for (let round = 0; round < 3; round++) {
    const child = spawn(process.execPath, [join(import.meta.dirname, '../../test/overwrite-until-killed.ts'), file], {
      env: disk.env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    // the log has been folded into the file by then, more than once
    let folds = 0;
    for await (const _ of createInterface({ input: child.stdout }))
      if (++folds === 60 + 20 * round) child.kill('SIGKILL');
    pagesLost += disk.lose().pagesLost;
    const store = await openStore({ file, durable: false });
    await store.close();
    disk.settle();
  }
  assert.ok(pagesLost > 0);
});
