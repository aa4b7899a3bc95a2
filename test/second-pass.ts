/** Which tests run once more with PostgreSQL as the store: those that keep something in one, except what says nothing more there. */
import { globSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/** By file name. */
const onceOnly: ReadonlySet<string> = new Set([
  // what they are about is SQLite's files: damage, locks and disks, and the data folder that the first version wrote
  ...['broken-store', 'first-version'],
  // both engines are in their tests by name: a backup goes from each to each, and the one that is killed is PostgreSQL
  ...['backup', 'postgres-crash'],
  // what is packed is the same on both; it starts on both in one test
  'package',
  // what a machine trusts is not in the store, nor is what a command line knows, asks of the API and makes of its answers
  ...['trust-store', 'aws-cli-versions', 'command', 'doctor', 'doctor-domains', 'device-simulate', 'import-ledger'],
  // TLS and its words; what they read of the store stands in the tests of the slice, and the example brings its own server
  ...['custom-domain-example', 'custom-domain-tls', 'custom-domain-protocols', 'ocsp-stapling', 'stapler'],
  // ports, protocols and the clients that people have; sessions and retained messages are in the tests of src/mqtt, on both engines
  ...['https-port', 'real-clients-command-line', 'real-clients-device-sdk', 'real-clients-mqtt-js', 'secure-element'],
  // who hears what over the wire, and what is read before anything is asked of the store
  ...['provisioning-attacks', 'provisioning-bounds', 'provisioning-replies'],
  // what IAM decides of what it has read; what it keeps stands in its slice and in the other stories of it
  'iam-authorization',
  // what is said of a refusal, and its cure; the journal itself is in src/journal, refusals-accounts and refusals-late
  ...[
    'refusals-calls',
    'refusals-certificate',
    'refusals-claim',
    'refusals-hostile',
    'refusals-iam',
    'refusals-jitp',
    'refusals-mqtt',
    'refusals-policy',
    'refusals-secrets',
  ],
  ...['refusals-domain', 'refusals-domain-name', 'refusals-tls', 'domain-calls'],
  // pages and examples as they are typed; the calls that they make are in the stories of their slices
  ...['custom-domain-page', 'iam-page', 'fleet-provisioning-example', 'register-with-ca', 'register-without-ca'],
]);

const importsOf = (file: string): string[] =>
  [...readFileSync(file, 'utf8').matchAll(/(?:from|import) ?\(?'(\.[^']+\.ts)'/g)].map(([, to = '']) =>
    resolve(dirname(file), to),
  );

/** All files that these import, and what those import, and so on; each is read once. */
const reach = (file: string, known: Map<string, string[]>, found = new Set<string>()): ReadonlySet<string> => {
  if (found.has(file)) return found;
  found.add(file);
  const imports = known.get(file) ?? importsOf(file);
  known.set(file, imports);
  for (const each of imports) reach(each, known, found);
  return found;
};

/** The ones of these files, relative to `root`, that the second pass runs. */
export const secondPass = (files: readonly string[], root: string): string[] => {
  const places = ['src/features/**/*.test.ts', 'src/journal/*.test.ts', 'test/stories/*.test.ts'];
  const overBoth = new Set(globSync(places, { cwd: root }));
  const known = new Map<string, string[]>();
  const choosesStore = resolve(root, 'test/stores.ts');
  const nameOf = (file: string): string => file.replace(/^.*\//, '').replace('.test.ts', '');
  return files.filter(
    (file) => overBoth.has(file) && !onceOnly.has(nameOf(file)) && reach(resolve(root, file), known).has(choosesStore),
  );
};
