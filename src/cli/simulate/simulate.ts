/** `fleetgate device simulate`: devices for people without one. They speak MQTT alone; the API is asked where to connect, and whom to trust, where no flag says it. */
import { resolve } from 'node:path';
import { createSecureContext } from 'node:tls';
import { ConfigProblem, type Flag, type ReadFlags, readFlags } from '../../config.ts';
import { count } from '../import/progress.ts';
import { CommandProblem, type Io } from '../io.ts';
import { findServer, givenServerFlags, type Server, serverFlags } from '../server.ts';
import { shellWord } from '../terminal.ts';
import { type ClaimSource, readClaim } from './claim.ts';
import { findEndpoint, readHostAndPort } from './endpoint.ts';
import { type Format, type Plan, simulateOne } from './one-device.ts';
import { openOut } from './out.ts';
import { hasPlaceholder, unknownPlaceholders } from './placeholders.ts';
import { createProgress } from './progress.ts';
import { Refusals } from './refusals.ts';

/** Devices of one run. */
const devicesMax = 1_000_000;

export const simulateFlags: readonly Flag[] = [
  { name: 'claim', value: 'PATH', about: 'the claim: a folder, a PEM file, or - for the JSON that aws prints' },
  { name: 'key', value: 'FILE', about: 'its private key, where it is not in the same place' },
  { name: 'template', value: 'NAME', about: 'the provisioning template' },
  { name: 'count', value: 'COUNT', byDefault: '1', about: 'how many devices' },
  { name: 'first', value: 'NUMBER', byDefault: '1', about: 'the number of the first device, {n}' },
  { name: 'parameter', value: 'NAME=TEXT', about: 'for the template; again for each; {n} is the device' },
  {
    name: 'client-id',
    value: 'TEXT',
    byDefault: 'simulated-{n}',
    about: 'with the claim; then it is the name of the thing',
  },
  { name: 'topic', value: 'TEXT', byDefault: 'simulated/{thing}', about: 'of the first message; {n} too' },
  { name: 'csr', about: 'devices make their keys and send a request' },
  { name: 'format', value: 'json|cbor', byDefault: 'json', about: 'of requests and answers' },
  { name: 'concurrency', value: 'COUNT', byDefault: '8', about: 'devices under way at once, 1 to 64' },
  { name: 'retries', value: 'COUNT', byDefault: '0', about: 'what a refused device tries again, from its beginning' },
  { name: 'timeout', value: 'SECONDS', byDefault: '10', about: 'for each answer' },
  { name: 'out', value: 'FOLDER', about: 'keep certificates and keys there; nothing is kept without it' },
  { name: 'endpoint', value: 'HOST:PORT', about: 'where devices connect; else the server is asked' },
  { name: 'ca-file', value: 'FILE', about: 'the roots that devices trust; else the server is asked' },
];

/** All devices were tried, some were refused. Beside the codes that all commands have. */
export const someRefused = 3;

interface Settings {
  readonly server: Server;
  readonly source: ClaimSource;
  readonly endpoint: string | undefined;
  readonly caFile: string | undefined;
  readonly count: number;
  readonly first: number;
  readonly concurrency: number;
  readonly retries: number;
  readonly out: string | undefined;
  readonly plan: Omit<Plan, 'place' | 'ca' | 'claim' | 'keep'>;
  /** As the user gave them, for commands to paste. */
  readonly serverFlags: string;
}

const readNumber = ({ values }: ReadFlags, name: string, from: number, to: number): number => {
  const text = values.get(name) ?? simulateFlags.find((flag) => flag.name === name)?.byDefault ?? '';
  if (/^\d{1,9}$/.test(text) && Number(text) >= from && Number(text) <= to) return Number(text);
  throw new ConfigProblem(`--${name} must be a number from ${from} to ${to}, not ${JSON.stringify(text)}.`);
};

/** A text with placeholders. Faults: ConfigProblem for a name in braces that is none. */
const readText = (flag: string, text: string, known: readonly string[]): string => {
  const [unknown] = unknownPlaceholders(text, known);
  if (unknown === undefined) return text;
  const allowed = known.map((name) => `{${name}}`).join(' and ');
  throw new ConfigProblem(`--${flag} has ${unknown}, which stands for nothing: it may have ${allowed}.`);
};

const readParameters = ({ all }: ReadFlags): Readonly<Record<string, string>> => {
  const parameters = new Map<string, string>();
  for (const given of all.get('parameter') ?? []) {
    const at = given.indexOf('=');
    if (at < 1) {
      throw new ConfigProblem(`--parameter must be NAME=TEXT, such as SerialNumber={n}, not ${JSON.stringify(given)}.`);
    }
    const name = given.slice(0, at);
    if (parameters.has(name)) throw new ConfigProblem(`--parameter ${name} is given twice.`);
    parameters.set(name, readText('parameter', given.slice(at + 1), ['n']));
  }
  return Object.fromEntries(parameters);
};

const required = ({ values }: ReadFlags, name: string): string => {
  const value = values.get(name);
  if (value) return value;
  throw new ConfigProblem(
    `--${name} is missing: fleetgate device simulate --claim FOLDER --template NAME --parameter SerialNumber={n} --count 20.`,
  );
};

const readTemplateName = (flags: ReadFlags): string => {
  const name = required(flags, 'template');
  if (/^[0-9A-Za-z_-]{1,36}$/.test(name)) return name;
  throw new ConfigProblem(`--template must be the name of a provisioning template, not ${JSON.stringify(name)}.`);
};

const readFormat = ({ values }: ReadFlags): Format => {
  const format = values.get('format') ?? 'json';
  if (format === 'json' || format === 'cbor') return format;
  throw new ConfigProblem(`--format must be json or cbor, not ${JSON.stringify(format)}.`);
};

const readSettings = (argv: readonly string[], io: Io): Settings => {
  const flags = readFlags(argv, [...simulateFlags, ...serverFlags]);
  const { values, positionals } = flags;
  if (positionals[0] !== undefined) {
    throw new ConfigProblem(`device simulate takes flags only, not ${JSON.stringify(positionals[0])}.`);
  }
  const text = (name: string, known: readonly string[]): string =>
    readText(name, values.get(name) ?? simulateFlags.find((flag) => flag.name === name)?.byDefault ?? '', known);
  const clientId = text('client-id', ['n']);
  const many = readNumber(flags, 'count', 1, devicesMax);
  const concurrency = readNumber(flags, 'concurrency', 1, 64);
  if (many > 1 && concurrency > 1 && !hasPlaceholder(clientId, 'n')) {
    throw new ConfigProblem('--client-id must have {n}: devices with one client id put each other out.');
  }
  const endpoint = values.get('endpoint');
  if (endpoint !== undefined) readHostAndPort(endpoint);
  return {
    server: findServer(flags, io.env),
    source: { claim: required(flags, 'claim'), key: values.get('key') },
    endpoint,
    caFile: values.get('ca-file'),
    count: many,
    first: readNumber(flags, 'first', 0, 999_999_999 - devicesMax),
    concurrency,
    retries: readNumber(flags, 'retries', 0, 100),
    out: values.get('out'),
    plan: {
      templateName: readTemplateName(flags),
      format: readFormat(flags),
      csr: values.get('csr') === 'true',
      clientId,
      parameters: readParameters(flags),
      topic: text('topic', ['n', 'thing']),
      answerMsMax: readNumber(flags, 'timeout', 1, 600) * 1000,
    },
    serverFlags: givenServerFlags(flags),
  };
};

const secureContextOf = (ca: string, cert: string, key: string) => {
  try {
    return createSecureContext({ ca, cert, key });
  } catch (cause) {
    throw new CommandProblem('The claim or the roots cannot be used for TLS.', { cause });
  }
};

const planOf = async (settings: Settings, io: Io): Promise<Plan> => {
  const { certificatePem, privateKeyPem } = await readClaim(settings.source, io.input);
  const { place, ca } = await findEndpoint(settings, settings.server, io);
  const claim = secureContextOf(ca, certificatePem, privateKeyPem);
  const out = settings.out === undefined ? undefined : await openOut(resolve(settings.out));
  return { ...settings.plan, place, ca, claim, ...(out && { keep: out.keep }) };
};

/** The devices, several at once, in the order of their numbers. */
const runAll = async (settings: Settings, plan: Plan, io: Io): Promise<Refusals> => {
  const { first, concurrency, retries } = settings;
  const end = first + settings.count;
  const refusals = new Refusals();
  const progress = createProgress(io, settings.count);
  let [next, done] = [first, 0];
  const tryAll = async (): Promise<void> => {
    while (next < end) {
      const number = next++;
      let refusal = await simulateOne(plan, number);
      for (let again = 0; refusal && again < retries; again++) refusal = await simulateOne(plan, number);
      if (refusal) refusals.add(refusal);
      progress.show(++done, refusals.count);
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(concurrency, settings.count) }, tryAll));
  } finally {
    progress.end();
  }
  return refusals;
};

const summary = (settings: Settings, refusals: Refusals, elapsedMs: number): string => {
  const { count: all, out, serverFlags: flags } = settings;
  const seconds = elapsedMs / 1000;
  const rate = (all / Math.max(0.001, seconds)).toFixed(1);
  const well = all - refusals.count;
  return [
    `${count(all)} ${all === 1 ? 'device' : 'devices'} in ${seconds.toFixed(1)} s (${rate}/s): ${count(well)} provisioned and heard, ${count(refusals.count)} refused.`,
    ...refusals.lines(flags),
    ...(out === undefined ? [] : [`Certificates and keys: ${shellWord(out)}`]),
    '',
  ].join('\n');
};

export const simulate = async (argv: readonly string[], io: Io): Promise<number> => {
  const settings = readSettings(argv, io);
  const plan = await planOf(settings, io);
  const startedMs = io.now();
  const refusals = await runAll(settings, plan, io);
  io.out(summary(settings, refusals, io.now() - startedMs));
  return refusals.count > 0 ? someRefused : 0;
};
