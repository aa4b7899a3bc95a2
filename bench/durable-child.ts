/**
 * One row per unit, durable before it counts: one unit in flight, then 64. The peers do the least that is durable: node:sqlite with the same settings on
 * the main thread (one transaction per row; one per 64 rows), and a plain file (4 kB appended, fdatasync).
 */
import { closeSync, fdatasyncSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { openStore } from '../src/store/sqlite.ts';
import { report } from './child.ts';

declare module '../src/store/tables.ts' {
  interface Tables {
    bench_rows: { account_id: string; name: string; document: string };
  }
}

const rounds = Number(process.argv[2] ?? 5);
const folder = process.argv[3] ?? '';
mkdirSync(folder, { recursive: true });

const rows = 1000;
const inFlightMax = 64;
const document = JSON.stringify({ attributes: { serial: 'x'.repeat(80) } });
const create =
  'create table bench_rows (account_id text, name text, document text, primary key (account_id, name)) without rowid';
const insert = 'insert into bench_rows (account_id, name, document) values (?, ?, ?)';

let serial = 0;
const nextRow = (): [string, string, string] => ['000000000000', `name-${(serial++ * 7919) % 1_000_003}`, document];

const measure = async (
  scenario: string,
  peer: string,
  round: number,
  work: () => Promise<void> | void,
): Promise<void> => {
  const cpu = process.cpuUsage();
  const startedMs = performance.now();
  await work();
  const wallMs = performance.now() - startedMs;
  const { user, system } = process.cpuUsage(cpu);
  if (round < 0) return;
  report({ sample: { scenario, peer, round, done: rows, failed: 0, wallMs, serverMicros: user + system } });
};

const store = await openStore({ file: join(folder, 'store.db') });
await store.append([{ sql: create, parameters: [] }]);
const unit = (): Promise<void> => store.append([{ sql: insert, parameters: nextRow() }]);
/** As features write: a read that the write depends on, then the write, each one query of Kysely. */
const readAndWrite = (): Promise<unknown> =>
  store.write(async (db) => {
    const [account_id, name, text] = nextRow();
    const key = db.selectFrom('bench_rows').select('name').where('account_id', '=', account_id);
    const known = await key.where('name', '=', name).executeTakeFirst();
    if (!known) await db.insertInto('bench_rows').values({ account_id, name, document: text }).execute();
  });

const bare = new DatabaseSync(join(folder, 'bare.db'));
bare.exec('pragma journal_mode = wal');
bare.exec('pragma synchronous = full');
bare.exec(create);
const bareInsert = bare.prepare(insert);
const [begin, commit] = [bare.prepare('begin immediate'), bare.prepare('commit')];
const bareGroup = (size: number): void => {
  begin.run();
  for (let left = size; left > 0; left--) bareInsert.run(...nextRow());
  commit.run();
};

const file = openSync(join(folder, 'append'), 'a');
const page = Buffer.alloc(4096, 1);

const oneByOne = async (work: () => Promise<unknown>): Promise<void> => {
  for (let left = rows; left > 0; left--) await work();
};
const many = async (work: () => Promise<unknown>): Promise<void> => {
  let left = rows;
  const worker = async (): Promise<void> => {
    while (left-- > 0) await work();
  };
  await Promise.all(Array.from({ length: inFlightMax }, worker));
};

for (let round = -1; round < rounds; round++) {
  const single = 'durable rows, 1 in flight';
  await measure(single, 'fleetgate append', round, () => oneByOne(unit));
  await measure(single, 'fleetgate unit', round, () => oneByOne(readAndWrite));
  await measure(single, 'node:sqlite', round, () => {
    for (let left = rows; left > 0; left--) bareGroup(1);
  });
  await measure(single, 'fdatasync', round, () => {
    for (let left = rows; left > 0; left--) {
      writeSync(file, page);
      fdatasyncSync(file);
    }
  });
  const group = `durable rows, ${inFlightMax} in flight`;
  await measure(group, 'fleetgate append', round, () => many(unit));
  await measure(group, 'fleetgate unit', round, () => many(readAndWrite));
  await measure(group, 'node:sqlite', round, () => {
    for (let left = rows; left > 0; left -= inFlightMax) bareGroup(Math.min(left, inFlightMax));
  });
}
await store.close();
bare.close();
closeSync(file);
process.disconnect?.();
process.exit();
