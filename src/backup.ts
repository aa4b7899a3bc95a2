/**
 * `fleetgate backup FILE` and `fleetgate restore FILE`. A backup is one SQLite file of mode 0600: the tables of the store as of one moment, and the
 * files of the data folder (keys and certificates) beside them. It is taken while the server runs, and goes back into either engine. The journal
 * is not part of it.
 */
import { randomUUID } from 'node:crypto';
import { chmod, mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { sql } from 'kysely';
import { type Config, version } from './config.ts';
import { allMigrations } from './features/migrations.ts';
import { StartProblem } from './start-problem.ts';
import { copyRows, findOccupied, readShapes } from './store/copy.ts';
import { migrate } from './store/migrate.ts';
import { openStores, storeFiles } from './store/open.ts';
import { openPostgresSnapshot } from './store/postgres.ts';
import { openFileSnapshot, type Snapshot } from './store/snapshot.ts';
import { openStore } from './store/sqlite.ts';
import type { Db } from './store/store.ts';

/** Of the layout of a backup. */
const format = '1';
/** All files of a data folder together: keys and certificates of some regions. More is not a data folder of ours. */
const fileBytesMax = 64 * 1024 * 1024;
/** Files of the store's engine, its locks and its log, and what a backup leaves out: the journal. */
const isStoreFile = (path: string): boolean =>
  Object.values(storeFiles).some((name) => path === name || path.startsWith(`${name}-`) || path.startsWith(`${name}.`));

interface KeptFile {
  /** Relative to the data folder, with `/`. */
  readonly path: string;
  readonly mode: number;
  readonly content: Uint8Array;
}

export interface Carried {
  readonly rows: number;
  readonly files: number;
}

const readFolder = async (folder: string): Promise<readonly KeptFile[]> => {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files: KeptFile[] = [];
  let bytes = 0;
  for (const entry of entries) {
    const file = join(entry.parentPath, entry.name);
    const path = relative(folder, file).split(sep).join('/');
    if (!entry.isFile() || isStoreFile(path) || path.includes('.tmp-')) continue;
    const content = await readFile(file);
    bytes += content.length;
    if (bytes > fileBytesMax) throw new StartProblem(`${folder} holds more than a data folder of Fleetgate does.`);
    files.push({ path, mode: (await stat(file)).mode & 0o777, content });
  }
  return files;
};

const openSource = async (config: Config, folder: string): Promise<Snapshot> =>
  config.store === undefined
    ? openFileSnapshot(join(folder, storeFiles.store))
    : openPostgresSnapshot({ url: config.store });

/** The names of the migrations that a store has seen, in order. */
const historyOf = async (db: Db): Promise<string> => {
  const rows = await db.selectFrom('schema_migrations').select(['name', 'checksum']).orderBy('name').execute();
  return rows.map(({ name, checksum }) => `${name} ${checksum}`).join('\n');
};

const createExtraTables = async (db: Db): Promise<void> => {
  await sql`create table backup_facts (name text not null primary key, value text not null)`.execute(db);
  await sql`create table backup_files (path text not null primary key, mode bigint not null, content blob not null)`.execute(
    db,
  );
};

/** Writes a backup. Faults: StartProblem, StoreUnavailable. */
export const backup = async (config: Config, target: string): Promise<Carried> => {
  const folder = resolve(config.dataFolder);
  const file = resolve(target);
  const draft = join(dirname(file), `.${basename(file)}.${randomUUID()}`);
  const claim = await open(file, 'wx', 0o600).catch((cause: Error) => {
    throw new StartProblem(`${file} cannot be made: it is there already, or its folder cannot be written to.`, {
      cause,
    });
  });
  await claim.close();
  try {
    await (await open(draft, 'wx', 0o600)).close();
    const files = await readFolder(folder).catch((cause: Error) => {
      throw new StartProblem(`The data folder ${folder} cannot be read: name it with --data.`, { cause });
    });
    const source = await openSource(config, folder);
    const copy = await openStore({ file: draft });
    try {
      await migrate(copy, allMigrations);
      if ((await historyOf(source.db)) !== (await historyOf(copy.db))) {
        throw new StartProblem(
          'The store was written by another version of Fleetgate: take the backup with that version.',
        );
      }
      const shapes = await readShapes(copy.db);
      const rows = await copy.write(async (db) => {
        await createExtraTables(db);
        const facts = { format, version, createdAt: new Date().toISOString() };
        for (const [name, value] of Object.entries(facts)) {
          await sql`insert into backup_facts values (${name}, ${value})`.execute(db);
        }
        for (const { path, mode, content } of files) {
          await sql`insert into backup_files values (${path}, ${mode}, ${content})`.execute(db);
        }
        return copyRows(source.db, db, shapes);
      });
      await copy.close();
      await rename(draft, file);
      return { rows, files: files.length };
    } finally {
      await copy.close();
      await source.close();
    }
  } catch (error) {
    await rm(file, { force: true });
    throw error;
  } finally {
    for (const left of ['', '.lock', '.lock-journal', '-wal', '-shm']) await rm(`${draft}${left}`, { force: true });
  }
};

const readBackup = async (
  file: string,
): Promise<{ readonly snapshot: Snapshot; readonly files: readonly KeptFile[] }> => {
  const notOurs = `${file} is no backup of Fleetgate.`;
  const snapshot = openFileSnapshot(file);
  try {
    const facts = await sql<{ value: string }>`select value from backup_facts where name = 'format'`
      .execute(snapshot.db)
      .catch((cause: Error) => {
        throw new StartProblem(notOurs, { cause });
      });
    if (facts.rows[0]?.value !== format) throw new StartProblem(`${notOurs.slice(0, -1)} that this version can read.`);
    const { rows } = await sql<KeptFile>`select path, mode, content from backup_files order by path`.execute(
      snapshot.db,
    );
    const bad = rows.find(({ path }) => path.startsWith('/') || path.split('/').includes('..') || isStoreFile(path));
    if (bad) throw new StartProblem(notOurs);
    return { snapshot, files: rows };
  } catch (error) {
    await snapshot.close();
    throw error;
  }
};

/** Nothing of a data folder is there yet. */
const assertEmpty = async (folder: string): Promise<void> => {
  const there = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new StartProblem(`${folder} cannot be used: ${error.message}`, { cause: error });
  });
  if (there.length > 0) throw new StartProblem(`${folder} is not empty: restore into another folder (--data).`);
};

/** Puts a backup into an empty data folder and, with --store, an empty database. Faults: StartProblem, StoreUnavailable. */
export const restore = async (config: Config, source: string): Promise<Carried> => {
  const folder = resolve(config.dataFolder);
  await assertEmpty(folder);
  const { snapshot, files } = await readBackup(resolve(source));
  const draft = `${folder}.restoring-${randomUUID()}`;
  try {
    await mkdir(draft, { recursive: true, mode: 0o700 });
    for (const { path, mode, content } of files) {
      await mkdir(dirname(join(draft, path)), { recursive: true, mode: 0o700 });
      await writeFile(join(draft, path), content, { mode, flush: true });
      await chmod(join(draft, path), mode);
    }
    const { store, journalStore } = await openStores({ folder: draft, url: config.store });
    try {
      await migrate(store, allMigrations);
      if ((await historyOf(snapshot.db)) !== (await historyOf(store.db))) {
        throw new StartProblem(`${source} was written by another version of Fleetgate: restore it with that version.`);
      }
      const shapes = await readShapes(snapshot.db);
      const occupied = await findOccupied(store.db, shapes);
      if (occupied !== undefined) {
        throw new StartProblem(`The database already has ${occupied}: restore into an empty one.`);
      }
      const rows = await store.write((db) => copyRows(snapshot.db, db, shapes), { alone: true });
      await Promise.all([store.close(), journalStore.close()]);
      await rename(draft, folder);
      return { rows, files: files.length };
    } finally {
      await Promise.all([store.close(), journalStore.close()]);
    }
  } finally {
    await snapshot.close();
    await rm(draft, { recursive: true, force: true });
  }
};
