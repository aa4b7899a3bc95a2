#!/usr/bin/env node
/**
 * The `fleetgate` command. A clone runs its source, and an older Node hands over to the one that the repository pins; a published package has no
 * source and runs what was compiled from it.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const beside = (path) => fileURLToPath(new URL(path, import.meta.url));
const source = beside('../src/main.ts');
const pinned = beside('../node_modules/.bin/node');

if (Number(process.versions.node.split('.')[0]) >= 24) {
  const { run } = await import(existsSync(source) ? source : beside('../dist/main.js'));
  process.exitCode = await run(process.argv.slice(2));
} else if (existsSync(pinned)) {
  const child = spawn(pinned, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? (signal ? 1 : 0);
  });
} else {
  console.error(
    `fleetgate needs Node 24 or later; this is ${process.version}. In a clone, run \`npm ci\` first: it brings its own.`,
  );
  process.exitCode = 1;
}
