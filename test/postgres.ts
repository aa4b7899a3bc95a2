/**
 * A PostgreSQL of the tests' own, from the machine's packages: on a socket in a folder of its own, syncing as one in service does. One is
 * shared by the tests of a process, or of a whole run when `test/run.ts` has started it. It ends with whoever started it, however that ends.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, globSync, openSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';

/** Names the socket folder of a server that is there already. */
export const postgresVariable = 'FLEETGATE_TEST_POSTGRES';

const startMsMax = 60_000;

export interface TestPostgres {
  readonly folder: string;
  /** `postgres://...` of a database of this server. */
  url(database: string): string;
  /** Runs one statement as the superuser. */
  sql<Row>(text: string, database?: string): Promise<Row[]>;
  /** Kills the server's first process with SIGKILL and waits until all of it has ended. */
  kill(): Promise<void>;
  /** Starts it again, on the same files. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

const program = (name: string): string => {
  const [newest] = globSync(`/usr/lib/postgresql/*/bin/${name}`).sort().reverse();
  if (newest === undefined) throw new Error(`${name} is missing: apt-get install postgresql`);
  return newest;
};

/** PostgreSQL refuses to run as root; Debian's package brings a user for it. */
const asOwner = (...command: string[]): [string, string[]] => {
  const isRoot = process.getuid?.() === 0;
  const owner = isRoot ? ['--reuid=postgres', '--regid=postgres', '--init-groups'] : [];
  // the server is told to stop at once when this process ends, also by SIGKILL
  return ['setpriv', [...owner, '--pdeathsig', 'QUIT', '--', ...command]];
};

const at = (folder: string) => ({
  folder,
  url: (database: string) => `postgres://fleetgate@localhost/${database}?host=${encodeURIComponent(folder)}`,
  async sql<Row>(text: string, database = 'postgres'): Promise<Row[]> {
    const client = new Client({ host: folder, user: 'fleetgate', database });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return (await client.query(text)).rows as Row[]; // the caller wrote the statement and knows its columns
    } finally {
      await client.end();
    }
  },
});

/** Starts a server in a new folder within `place`. `settings` are PostgreSQL's own. */
export const startPostgres = async (
  settings: Readonly<Record<string, string>> = {},
  place = tmpdir(),
): Promise<TestPostgres> => {
  const folder = await mkdtemp(join(place, 'fleetgate-pg-'));
  if (process.getuid?.() === 0) execFileSync('chown', ['postgres:', folder]);
  const data = join(folder, 'data');
  const initdb = [
    program('initdb'),
    '-D',
    data,
    '--no-locale',
    '-E',
    'UTF8',
    '-A',
    'trust',
    '-U',
    'fleetgate',
    '--no-sync',
  ];
  execFileSync(...asOwner(...initdb), { stdio: ['ignore', 'ignore', 'inherit'], cwd: folder });
  const options = {
    listen_addresses: '',
    unix_socket_directories: folder,
    max_connections: '200',
    fsync: 'on',
    ...settings,
  };
  const flags = Object.entries(options).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const log = join(folder, 'log');
  const found = at(folder);
  let child: ChildProcess | undefined;

  const launch = async (): Promise<boolean> => {
    const out = openSync(log, 'a');
    const started = spawn(...asOwner(program('postgres'), '-D', data, ...flags), {
      stdio: ['ignore', out, out],
      cwd: folder,
    });
    closeSync(out);
    child = started;
    started.unref();
    const until = performance.now() + startMsMax;
    while (performance.now() < until) {
      if (started.exitCode !== null || started.signalCode !== null) return false;
      try {
        await found.sql('select 1');
        return true;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 10)); // the next question, until it answers
      }
    }
    throw new Error(`PostgreSQL does not start:\n${readFileSync(log, 'utf8')}`);
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    const ending = child;
    if (!ending || ending.exitCode !== null || ending.signalCode !== null) return;
    ending.ref();
    const exited = once(ending, 'exit');
    ending.kill(signal);
    await exited;
  };
  const remove = (): void => rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  const atExit = (): void => {
    // waits for its end, which this process no longer can
    const stop = asOwner(program('pg_ctl'), 'stop', '-m', 'immediate', '-D', data);
    if (child?.exitCode === null && child.signalCode === null) spawnSync(...stop, { stdio: 'ignore', cwd: folder });
    remove();
  };
  process.once('exit', atExit);
  if (!(await launch())) throw new Error(`PostgreSQL does not start:\n${readFileSync(log, 'utf8')}`);
  return {
    ...found,
    kill: () => end('SIGKILL'),
    async restart() {
      const until = performance.now() + startMsMax;
      // while processes of the killed one are still ending, a new one ends by itself
      while (!(await launch())) if (performance.now() > until) throw new Error(readFileSync(log, 'utf8'));
    },
    async stop() {
      await end('SIGQUIT');
      process.off('exit', atExit);
      remove();
    },
  };
};

/** What a whole run writes, with room to spare. */
const sharedBytesMax = 4 * 1024 ** 3;
/**
 * The server that the tests of a run share. Each of some hundred databases has three hundred files, which a disk takes ten times as long to make as memory
 * does: so it is in memory where there is room. Who kills a server starts one of his own.
 */
export const startSharedPostgres = (): Promise<TestPostgres> => {
  const memory = '/dev/shm';
  const hasRoom = existsSync(memory) && statfsSync(memory).bavail * statfsSync(memory).bsize > sharedBytesMax;
  return startPostgres({ max_wal_size: '256MB' }, hasRoom ? memory : tmpdir());
};

let shared: Promise<Pick<TestPostgres, 'url' | 'sql'>> | undefined;
/** The server that all tests of this process share. */
export const sharedPostgres = (): Promise<Pick<TestPostgres, 'url' | 'sql'>> => {
  const folder = process.env[postgresVariable];
  shared ??= folder ? Promise.resolve(at(folder)) : startSharedPostgres();
  return shared;
};

let databases = 0;
/** A fresh database of the shared server; resolves with its URL. It goes with the server. */
export const freshDatabase = async (): Promise<string> => {
  const { sql, url } = await sharedPostgres();
  databases += 1;
  const name = `t${process.pid}_${databases}`;
  await sql(`create database ${name}`);
  return url(name);
};
