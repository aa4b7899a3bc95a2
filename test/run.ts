/** `npm test`: what the tests need, then types, lint and format, then every test. Arguments are passed on to the test runner. */
import { spawnSync } from 'node:child_process';
import { globSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from 'node:test';
import { fileURLToPath } from 'node:url';
import { awsVariable, startAwsCli } from './aws-cli.ts';
import { makePki, pkiVariable } from './own-pki.ts';
import { postgresVariable, startSharedPostgres } from './postgres.ts';
import report, { oneAfterAnother } from './reporter.ts';
import { roomsIn } from './rooms.ts';
import { secondPass } from './second-pass.ts';
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

/** One pass over files, engine by engine; a test that hangs fails, instead of the run. */
const pass = (selected: readonly string[], store: string) => {
  console.log(`-- ${selected.length} files, stores on ${store}`);
  return run({
    files: rooms.open(selected),
    concurrency: Math.max(3, availableParallelism() - 1), // this process mostly waits, and so do tests
    timeout: 180_000,
    env: {
      ...process.env,
      [postgresVariable]: postgres.folder,
      [awsVariable]: aws.socket,
      [pkiVariable]: pki,
      FLEETGATE_TEST_STORE: store,
      NODE_COMPILE_CACHE: compiled,
    },
  });
};

console.log('\n== tests');
/** What Node has compiled: hundreds of processes start, most of them with the same modules. */
const compiled = mkdtempSync(join(tmpdir(), 'fleetgate-compiled-'));
const rooms = roomsIn(root);
const [postgres, aws, pki] = await Promise.all([startSharedPostgres(), startAwsCli(), makePki()]);
const again = secondPass(chosen, root);
const passes = [() => pass(chosen, 'sqlite'), ...(again.length > 0 ? [() => pass(again, 'postgres')] : [])];
for await (const text of report(oneAfterAnother(passes), rooms.nameOf)) process.stdout.write(text);
await Promise.all([postgres.stop(), aws.stop()]);
rmSync(compiled, { recursive: true });
rooms.close();
