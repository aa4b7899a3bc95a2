/** `npm test`: what the tests need, then types, lint and format, then every test. Arguments are passed on to the test runner. */
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
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
step(`tests: ${chosen.length} files`, process.execPath, [
  '--test',
  '--test-timeout=180000', // a test that hangs fails, instead of the run
  `--test-reporter=${root}test/reporter.ts`,
  '--test-reporter-destination=stdout',
  ...chosen,
]);
