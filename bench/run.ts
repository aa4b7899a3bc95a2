/**
 * `npm run bench [-- name ...] [--rounds N] [--json FILE]`: what a server's work costs, beside mosquitto and bare Node in the same minute.
 * docs/performance.md says what is measured and how to read it.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Bench } from './bench.ts';
import { shareCores } from './cores.ts';
import { countersState } from './counters.ts';
import { startGenerators } from './generators.ts';
import { makeIdentities } from './identities.ts';
import { describeFigures, describeSamples, type Figure, median, type Sample } from './results.ts';
import { api, iam } from './scenario-api.ts';
import { authorize } from './scenario-authorize.ts';
import { connects } from './scenario-connect.ts';
import { durable } from './scenario-durable.ts';
import { idle } from './scenario-idle.ts';
import { messages } from './scenario-messages.ts';

const scenarios: Readonly<Record<string, (bench: Bench) => Promise<void>>> = {
  connect: connects,
  messages,
  authorize,
  durable,
  api,
  iam,
  idle,
};

const { values, positionals } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, json: { type: 'string' } },
  allowPositionals: true,
});
const unknown = positionals.filter((name) => !(name in scenarios));
const rounds = Number(values.rounds);
if (unknown.length > 0 || !(rounds >= 1)) {
  console.error(`Usage: npm run bench -- [${Object.keys(scenarios).join('] [')}] [--rounds N] [--json FILE]`);
  process.exit(1);
}

const parent = process.env['FLEETGATE_BENCH_FOLDER'] ?? tmpdir();
mkdirSync(parent, { recursive: true });
const folder = mkdtempSync(join(parent, 'fleetgate-bench-'));
const cores = shareCores();
const counters = countersState();
console.log(
  `Node ${process.versions.node}, OpenSSL ${process.versions.openssl}, ${cpus()[0]?.model ?? 'unknown CPU'}, ${availableParallelism()} cores`,
);
console.log(
  cores.server === undefined
    ? 'Nothing is pinned (taskset missing, or one core): servers and generators disturb each other.'
    : `Servers on core ${cores.server}, one at work at a time; generators on ${cores.generators.join(', ')}.`,
);
console.log(counters === 'readable' ? 'Instructions are counted.' : `Instructions are not counted: ${counters}.`);

const identities = makeIdentities(folder);
const generators = startGenerators(cores.generators);
const samples: Sample[] = [];
const figures: Figure[] = [];
const bench: Bench = {
  folder,
  cores,
  identities,
  generators,
  rounds,
  counts: counters === 'readable',
  place: { folder, core: cores.server, identities },
  sample: (one) => samples.push(one),
  figure: (one) => figures.push(one),
  say: (text) => console.error(`... ${text}`),
};
try {
  for (const name of positionals.length > 0 ? positionals : Object.keys(scenarios)) await scenarios[name]?.(bench);
} finally {
  generators.close();
  rmSync(folder, { recursive: true, force: true });
}
console.log(`\n${[describeSamples(samples), describeFigures(figures)].filter((text) => text !== '').join('\n\n')}\n`);
const others = samples.flatMap(({ othersBusy }) => (othersBusy === undefined ? [] : [othersBusy]));
if (others.length > 0) {
  const [least, most] = [Math.min(...others), Math.max(...others)].map((cores) => cores.toFixed(1));
  console.log(
    `Meanwhile others used ${median(others).toFixed(1)} cores (${least}-${most}): rates suffer first, CPU per operation less.`,
  );
}
if (values.json !== undefined) writeFileSync(values.json, JSON.stringify({ samples, figures }, undefined, 1));
