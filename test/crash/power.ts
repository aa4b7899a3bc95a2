/**
 * Losing power without losing any. `kill -9` loses nothing of what the kernel has been given, so a process that never syncs would pass. Here the server runs
 * over a disk that remembers (power.c, preloaded): each fsync and fdatasync copies the file, or the names in a folder, as they are at that moment. `lose`
 * then makes the data folder what a disk may hold after a loss of power: a page that was written after its file's last sync is there or not, as chance has it;
 * so is the name of a file that was made or renamed after its folder's last sync. With `leastKept` none of them is.
 *
 * Why this way: it sees the calls that the kernel would see, from every thread, without trusting what SQLite or we believe to have synced, and needs
 * neither root nor a device, as dm-flakey or a FUSE file system would, nor the right to trace processes. Its limits: of a page that was written several times
 * since the last sync, only the newest state can have come through; what is written through a mapping is seen when the file is synced (SQLite
 * maps only its -shm file, which it builds anew); folders are remembered only as far as they were synced, which is at least what is real.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const pageBytes = 4096;

export interface Disk {
  /** For the server's process. */
  readonly env: Readonly<Record<string, string>>;
  /** Syncs that it has seen; of the folder as it is now. */
  readonly syncs: number;
  /** Everything that is there now is safe. */
  settle(): void;
  /** The power is gone; whoever wrote there has ended before. Pages that made no difference are not counted. */
  lose(how?: { readonly leastKept?: boolean }): { readonly pagesLost: number };
}

/** A disk for one data folder; `at` is a folder of its own. A sync takes `syncMs`: whoever tells too early is caught in the meantime. */
export const openDisk = (folder: string, at: string, { syncMs = 0 } = {}): Disk => {
  const library = join(at, 'power.so');
  const disk = join(at, 'disk');
  mkdirSync(at, { recursive: true });
  const source = fileURLToPath(new URL('power.c', import.meta.url));
  execFileSync('gcc', ['-shared', '-fPIC', '-O2', '-Wall', '-Werror', '-o', library, source], { stdio: 'pipe' });

  const inodeOf = (path: string): string => String(statSync(path).ino);
  const copyIn = (path: string): void => {
    const entries = readdirSync(path, { withFileTypes: true });
    const names = entries.map(({ name }) => `${inodeOf(join(path, name))} ${name}\n`);
    writeFileSync(join(disk, `${inodeOf(path)}.names`), names.join(''));
    for (const entry of entries) {
      const inner = join(path, entry.name);
      if (entry.isDirectory()) copyIn(inner);
      else if (entry.isFile()) writeFileSync(join(disk, inodeOf(inner)), readFileSync(inner));
    }
  };
  const settle = (): void => {
    rmSync(disk, { recursive: true, force: true });
    mkdirSync(disk);
    copyIn(folder);
  };

  /** Each page from one of two states of a file; one that neither has, in a file that is longer, reads as zeros. */
  const mixed = (safe: Buffer, newest: Buffer, isKept: () => boolean): { bytes: Buffer; pagesLost: number } => {
    const bytes = Buffer.alloc(isKept() ? newest.length : safe.length);
    let pagesLost = 0;
    for (let start = 0; start < Math.max(bytes.length, newest.length); start += pageBytes) {
      const end = start + pageBytes;
      const from = start < newest.length && start < bytes.length && isKept() ? newest : safe;
      if (start < from.length) from.copy(bytes, start, start, end);
      if (!bytes.subarray(start, end).equals(newest.subarray(start, end))) pagesLost++;
    }
    return { bytes, pagesLost };
  };

  const restore = (path: string, isKept: () => boolean): number => {
    const listed = readFileSync(join(disk, `${inodeOf(path)}.names`), 'utf8')
      .split('\n')
      .filter(Boolean);
    const safe = new Map(listed.map((line) => [line.slice(line.indexOf(' ') + 1), line.slice(0, line.indexOf(' '))]));
    const present = readdirSync(path, { withFileTypes: true });
    let pagesLost = 0;
    for (const { name } of present.filter((entry) => entry.isDirectory())) {
      if (existsSync(join(disk, `${inodeOf(join(path, name))}.names`))) pagesLost += restore(join(path, name), isKept);
    }
    const newest = new Map(
      present
        .filter((entry) => entry.isFile())
        .map(({ name }) => {
          const inner = join(path, name);
          return [name, { inode: inodeOf(inner), bytes: readFileSync(inner) }] as const;
        }),
    );
    for (const name of new Set([...safe.keys(), ...newest.keys()])) {
      if (name === '.' || name === '..' || present.some((entry) => entry.name === name && entry.isDirectory()))
        continue;
      const now = newest.get(name);
      const then = safe.get(name);
      const inner = join(path, name);
      const inode = now?.inode !== then && isKept() ? now?.inode : then;
      if (inode === undefined) {
        rmSync(inner, { force: true });
        continue;
      }
      const copy = join(disk, inode);
      const kept = existsSync(copy) ? readFileSync(copy) : Buffer.alloc(0);
      const outcome = inode === now?.inode ? mixed(kept, now.bytes, isKept) : { bytes: kept, pagesLost: 0 };
      pagesLost += outcome.pagesLost;
      writeFileSync(inner, outcome.bytes);
    }
    return pagesLost;
  };

  return {
    env: { LD_PRELOAD: library, FLEETGATE_TEST_DISK: disk, FLEETGATE_TEST_DISK_MS: String(syncMs) },
    get syncs() {
      return existsSync(join(disk, 'syncs')) ? statSync(join(disk, 'syncs')).size : 0;
    },
    settle,
    lose({ leastKept = false } = {}) {
      const pagesLost = restore(folder, () => !leastKept && Math.random() < 0.5);
      settle();
      return { pagesLost };
    },
  };
};
