/**
 * The tests of a room share a process, which loads the modules of the room once: with a process for each of some two hundred small files, most of the time
 * would go into loading. Stories have one each.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Those that measure time or memory, count the processes of their own, or end some. */
const alone: ReadonlySet<string> = new Set([
  ...['src/functions/modules.test.ts', 'src/mqtt/fairness.test.ts', 'src/mqtt/topic.test.ts'],
  ...['src/mqtt/packets/codec.test.ts', 'src/store/postgres.test.ts', 'src/store/sqlite-world.test.ts'],
]);

/** `src/mqtt`, `src/features/cas`; the file itself where it stands in no room. */
const roomOf = (file: string): string => {
  const [src, room = '', ...inner] = file.split('/');
  if (src !== 'src' || inner.length === 0 || alone.has(file)) return file;
  return join(src, room, ...(room === 'features' && inner.length > 1 ? inner.slice(0, 1) : []));
};

export interface Rooms {
  /** What to run for these tests: whole paths, of test files and of files that import those of a room. */
  open(tests: readonly string[]): string[];
  /** How such a path is called. */
  nameOf(file: string): string;
  close(): void;
}

/** Tests are named relative to `root`. */
export const roomsIn = (root: string): Rooms => {
  const folder = mkdtempSync(join(tmpdir(), 'fleetgate-rooms-'));
  const names = new Map<string, string>();
  return {
    open(tests) {
      const opened: string[] = [];
      for (const [room, inside] of Map.groupBy(tests, roomOf)) {
        const files = inside.map((test) => resolve(root, test));
        const file = files.length === 1 ? files.join() : join(folder, `${names.size}.mjs`);
        if (files.length > 1) writeFileSync(file, files.map((each) => `import '${pathToFileURL(each)}';\n`).join(''));
        names.set(file, files.length > 1 ? `${room} (${files.length} files)` : inside.join());
        opened.push(file);
      }
      return opened;
    },
    nameOf: (file) => names.get(file) ?? file,
    close: () => rmSync(folder, { recursive: true }),
  };
};
