/** `npm test`: what the tests need, then types, lint and format, then every test. Arguments are passed on to the test runner. */
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { run } from 'node:test';
import { fileURLToPath } from 'node:url';
import { postgresVariable, startPostgres } from './postgres.ts';
import report, { oneAfterAnother } from './reporter.ts';
import { ensurePrograms } from './setup.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const step = (name: string, program: string, args: readonly string[]): void => {
  console.log(`\n== ${name}`);
  const { status, error } = spawnSync(program, args, { cwd: root, stdio: 'inherit' });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
};

ensurePrograms();
const bin = (name: string): string => `${root}node_modules/.bin/${name}`;
step('types', bin('tsc'), ['--noEmit']);
step('lint and format', bin('biome'), ['check', '--error-on-warnings', '.']);

const wanted = process.argv.slice(2);
const files = globSync(['src/**/*.test.ts', 'test/**/*.test.ts'], { cwd: root }).sort();
const chosen = wanted.length > 0 ? files.filter((file) => wanted.some((part) => file.includes(part))) : files;
if (chosen.length === 0) {
  console.error(`No test file matches ${wanted.join(' ')}.`);
  process.exit(1);
}

/** What lives in the data folder or holds nothing at all says no more over the other engine; the store's own tests run over both by themselves. */
const sameOnBoth = [
  'backup',
  'broken-store',
  'command',
  'credentials',
  'doctor',
  'first-version',
  'package',
  'postgres-crash',
  'refusals-hostile',
  'refusals-mqtt',
  'refusals-tls',
  'secure-element',
];
const overBoth = globSync(['src/features/**/*.test.ts', 'src/journal/*.test.ts', 'test/stories/*.test.ts'], {
  cwd: root,
});
const again = chosen.filter(
  (file) => overBoth.includes(file) && !sameOnBoth.some((name) => file.includes(`/${name}.`)),
);

/** One pass over files, engine by engine; a test that hangs fails, instead of the run. */
const pass = (selected: readonly string[], store: string) => {
  console.log(`-- ${selected.length} files, stores on ${store}`);
  return run({
    files: selected.map((file) => join(root, file)),
    concurrency: true,
    timeout: 180_000,
    env: { ...process.env, [postgresVariable]: postgres.folder, FLEETGATE_TEST_STORE: store },
  });
};

console.log('\n== tests');
const postgres = await startPostgres();
const passes = [() => pass(chosen, 'sqlite'), ...(again.length > 0 ? [() => pass(again, 'postgres')] : [])];
for await (const text of report(oneAfterAnother(passes))) process.stdout.write(text);
await postgres.stop();
