/** The structure holds: arrows between rooms point down the list of style, no cycle, no package outside its room. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Room -> the rooms it may import, besides itself. `config.ts` and `limits.ts` hold types that any room may name. */
const arrows: Record<string, readonly string[]> = {
  'main.ts': ['node.ts', 'backup.ts', 'cli', 'store'],
  'index.ts': ['node.ts', 'start-problem.ts'],
  'node.ts': ['node', 'call.ts', 'extras.ts', 'tasks.ts', 'listeners.ts', 'metrics', 'api', 'features', 'mqtt', 'aws'],
  node: [
    'call.ts',
    'data-folder.ts',
    'start-problem.ts',
    'gateway',
    'metrics',
    'api',
    'features',
    'feature.ts',
    'mqtt',
    'journal',
    'functions',
    'pki',
    'store',
    'bus',
    'aws',
  ],
  'backup.ts': ['features', 'store', 'start-problem.ts'],
  'extras.ts': ['metrics', 'api', 'features', 'journal', 'pki'],
  metrics: ['api'],
  'data-folder.ts': ['start-problem.ts', 'pki'],
  'start-problem.ts': [],
  'call.ts': ['feature.ts', 'mqtt', 'journal', 'store', 'bus', 'aws'],
  cli: ['features', 'feature.ts', 'pki', 'aws'],
  gateway: ['tls', 'mqtt', 'api', 'feature.ts', 'pki', 'journal', 'aws'],
  'listeners.ts': ['gateway', 'mqtt', 'aws', 'start-problem.ts'],
  api: ['feature.ts', 'aws', 'store'],
  features: [
    'feature.ts',
    'tasks.ts',
    'aws',
    'bus',
    'pki',
    'policy',
    'iam',
    'functions',
    'templates',
    'tls',
    'store',
    'mqtt',
    'journal',
  ],
  'tasks.ts': ['feature.ts', 'store'],
  'feature.ts': ['aws', 'mqtt', 'journal', 'store', 'bus'],
  mqtt: ['aws', 'journal', 'store', 'bus'],
  journal: ['aws', 'store', 'tls'],
  policy: ['aws'],
  iam: ['policy', 'aws'],
  functions: ['aws'],
  templates: ['aws'],
  tls: ['aws'],
  pki: [],
  store: [],
  bus: ['aws'],
  aws: [],
  'config.ts': [],
  'limits.ts': [],
};

/** Packages -> the rooms that may import them. */
const packages: Record<string, readonly string[]> = {
  kysely: ['store', 'features', 'journal', 'backup.ts'],
  pg: ['store'],
  '@peculiar/asn1-schema': ['pki'],
  '@peculiar/asn1-x509': ['pki'],
  '@aws-sdk/client-acm': ['aws', 'api'],
  '@aws-sdk/client-iam': ['aws', 'api'],
  '@aws-sdk/client-iot': ['aws', 'api'],
  '@aws-sdk/client-iot-data-plane': ['aws', 'api'],
  '@aws-sdk/client-sts': ['aws', 'api'],
  '@aws-sdk/core': ['api'],
  '@smithy/core': ['api'],
  '@smithy/types': ['aws', 'api'],
  ws: ['gateway'],
  pino: ['journal'],
};

/** Slices in dependency order: an earlier one never imports a later one, and of another slice only its noun or its public file. */
const slices = [
  'messages',
  'accounts',
  'iam',
  'tags',
  'acm',
  'domains',
  'certificates',
  'cas',
  'things',
  'policies',
  'roles',
  'settings',
  'provisioning',
  'fleet',
  'just-in-time',
  'bulk',
];

interface Import {
  readonly from: string;
  readonly to: string;
}

const files = globSync('src/**/*.ts', { cwd: root }).filter((file) => !file.endsWith('.test.ts'));
const importsOf = (file: string): string[] => {
  const text = readFileSync(join(root, file), 'utf8').replaceAll(/\/\*[\s\S]*?\*\//g, '');
  return [
    ...text.matchAll(
      /(?:^|\n)\s*(?:import|export)\s[^;'"]*?from\s*['"]([^'"]+)['"]|(?:^|\n)import\s*['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]\s*\)/g,
    ),
  ].map((match) => match[1] ?? match[2] ?? match[3] ?? '');
};
const roomOf = (file: string): string => file.split('/')[1] ?? '';
const all: Import[] = files.flatMap((from) => importsOf(from).map((to) => ({ from, to })));
const relative = all
  .filter(({ to }) => to.startsWith('.'))
  .map(({ from, to }) => ({ from, to: normalize(join(dirname(from), to)) }));

test('every import of another room follows an arrow that points down', () => {
  const up = relative.filter(({ from, to }) => {
    const [a, b] = [roomOf(from), roomOf(to)];
    return a !== b && b !== 'config.ts' && b !== 'limits.ts' && !(arrows[a] ?? []).includes(b);
  });
  assert.deepEqual(
    up.map(({ from, to }) => `${from} -> ${to}`),
    [],
  );
});

test('every file stands in a room that the list knows', () => {
  assert.deepEqual(
    [...new Set(files.map(roomOf))].filter((room) => !(room in arrows)),
    [],
  );
});

test('no file imports itself through others', () => {
  const graph = new Map<string, string[]>();
  for (const { from, to } of relative) graph.set(from, [...(graph.get(from) ?? []), to]);
  const state = new Map<string, 'open' | 'done'>();
  const cycles: string[] = [];
  const walk = (file: string, path: readonly string[]): void => {
    if (state.get(file) === 'open') cycles.push([...path.slice(path.indexOf(file)), file].join(' -> '));
    if (state.has(file)) return;
    state.set(file, 'open');
    for (const next of graph.get(file) ?? []) walk(next, [...path, file]);
    state.set(file, 'done');
  };
  for (const file of files) walk(file, []);
  assert.deepEqual(cycles, []);
});

test('a package is imported only in the rooms that it belongs to', () => {
  const strangers = all.filter(({ from, to }) => {
    if (to.startsWith('.') || to.startsWith('node:')) return false;
    const name = to.startsWith('@') ? to.split('/').slice(0, 2).join('/') : (to.split('/')[0] ?? '');
    return builtinModules.includes(name) || !(packages[name] ?? []).includes(roomOf(from));
  });
  assert.deepEqual(
    strangers.map(({ from, to }) => `${from} -> ${to}`),
    [],
  );
});

test('an earlier slice never imports a later one, and never its plugs or handlers', () => {
  const sliceOf = (file: string): string => (file.startsWith('src/features/') ? (file.split('/')[2] ?? '') : '');
  const wrong = relative.filter(({ from, to }) => {
    const [a, b] = [sliceOf(from), sliceOf(to)];
    if (!slices.includes(a) || !slices.includes(b) || a === b) return false;
    return slices.indexOf(b) > slices.indexOf(a) || /feature\.ts$|operations\.ts$|migrations\.ts$/.test(to);
  });
  assert.deepEqual(
    wrong.map(({ from, to }) => `${from} -> ${to}`),
    [],
  );
});

test('nothing committed names a registry host or a path of one machine', () => {
  const lock = readFileSync(join(root, 'package-lock.json'), 'utf8');
  assert.doesNotMatch(lock, /"resolved"/);
});
