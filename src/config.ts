import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type Limits, limitSets } from './limits.ts';

/** Everything an operator may set, read once into a frozen object. Any room may import types from here; only `node.ts`, `node/` and `main.ts` read values. */

/** Of this program; package.json says the same. */
export const version = '0.1.0';

/** A long-lived key of an account's root, for use from other machines. */
export interface RootKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** A key of the S3 endpoint. */
export interface S3AccessKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface Config {
  /** Address the listeners bind, e.g. `127.0.0.1`. */
  readonly host: string;
  /** 0 = a free port, for each port. */
  readonly apiPort: number;
  readonly mqttPort: number;
  /** HTTPS, WebSocket and every protocol that is chosen by ALPN, on each of these ports. */
  readonly httpsPorts: readonly number[];
  /** Prometheus metrics, on loopback only. */
  readonly metricsPort: number;
  /** Folder of the keys, the certificates and, unless `store` names another place, the store. */
  readonly dataFolder: string;
  /** `postgres://...` of the database that holds the store; may hold a password, so it is never shown. */
  readonly store?: string;
  /** Suffix of the account endpoints: `<prefix>-ats.iot.<region>.<domain>`. */
  readonly domain: string;
  /** Plain host names, beside `localhost` and the host's own name, that belong to the default account and region. */
  readonly names: readonly string[];
  readonly accountId: string;
  readonly region: string;
  /** Refuses a TLS client that names no host, even where its certificate alone would tell the account. */
  readonly requireSni: boolean;
  /** Origins of web pages that may call the API, beside its own. */
  readonly allowedOrigins: readonly string[];
  /** PEM files that replace the server certificate of the default endpoint. */
  readonly serverCert?: string;
  readonly serverKey?: string;
  readonly rootKey?: RootKey;
  /** Folder of functions that this node runs: `<folder>/<account>/<name>.mjs`. */
  readonly functions?: string;
  /** URL before `/2015-03-31/functions/...` of functions that run elsewhere. */
  readonly functionsEndpoint?: string;
  /** Folder of input files of bulk registration: `<folder>/<account>/<bucket>/<key>`. */
  readonly buckets?: string;
  /** URL before `/<bucket>/<key>` of input files that stand elsewhere. */
  readonly s3Endpoint?: string;
  /** Signs what is read there for the default account. */
  readonly s3Key?: S3AccessKey;
  /** Hosts that may be asked over HTTP for OCSP responses of server certificates: `host` on the usual port, or `host:port`, as URLs have them. */
  readonly ocspResponders: readonly string[];
  /** Days that a domain name of a customer must be DISABLED before its configuration can be deleted. */
  readonly customDomainDeletionDays: number;
  /** For trying things out: whoever is on this machine may move the node's clock. */
  readonly dev: boolean;
  /** DNS servers that prove domain names to ACM, `address:port` each; without one those of the operating system. */
  readonly dnsServers: readonly string[];
  /** `immediate`: ACM takes every domain name as proven. */
  readonly acmValidation: 'dns' | 'immediate';
  /** pino's level names; `silent` for none. */
  readonly logLevel: string;
  readonly limits: Limits;
  /** AWS's limits per unit of time (publishes and bytes per second, CONNECTs per client id, drain rate) are kept. */
  readonly rateQuotas: boolean;
}

/** One `--flag` of a command: what `--help` says of it. */
export interface Flag {
  readonly name: string;
  /** What stands for its value in `--help`; absent: it takes none. */
  readonly value?: string;
  readonly byDefault?: string;
  readonly about: string;
}

/** The flags of `fleetgate start`. Each is also read from the environment; the flag wins. */
export const configFlags = [
  { name: 'host', value: 'ADDRESS', byDefault: '127.0.0.1', about: 'address to listen on' },
  { name: 'api-port', value: 'PORT', byDefault: '4566', about: 'AWS API over HTTP; 0 picks a free port' },
  { name: 'mqtt-port', value: 'PORT', byDefault: '8883', about: 'MQTT over TLS; 0 picks a free port' },
  { name: 'https-port', value: 'PORT,...', byDefault: '8443', about: 'HTTPS, WebSocket, MQTT by ALPN; 0 as above' },
  { name: 'metrics-port', value: 'PORT', byDefault: '9464', about: 'Prometheus /metrics on loopback; 0 as above' },
  {
    name: 'data',
    value: 'FOLDER',
    byDefault: './fleetgate-data',
    about: 'everything kept; delete to reset',
  },
  { name: 'store', value: 'URL', byDefault: '', about: 'postgres://USER@HOST/DATABASE; else SQLite in --data' },
  { name: 'domain', value: 'NAME', byDefault: 'localhost', about: 'suffix of the endpoint names' },
  { name: 'names', value: 'NAME,...', byDefault: '', about: 'more host names of the default account' },
  { name: 'account', value: 'ID', byDefault: '000000000000', about: 'the default account, 12 digits' },
  { name: 'region', value: 'REGION', byDefault: 'us-east-1', about: 'the default region' },
  { name: 'require-sni', about: 'refuse TLS clients that name no host' },
  { name: 'allowed-origins', value: 'URL,...', byDefault: '', about: 'web pages that may call the API' },
  { name: 'server-cert', value: 'FILE', byDefault: '', about: 'PEM chain in place of our own' },
  { name: 'server-key', value: 'FILE', byDefault: '', about: 'PEM key of --server-cert' },
  { name: 'functions', value: 'FOLDER', byDefault: '', about: 'functions as <account>/<name>.mjs, run here' },
  { name: 'functions-endpoint', value: 'URL', byDefault: '', about: "functions behind Lambda's Invoke over HTTP" },
  { name: 'buckets', value: 'FOLDER', byDefault: '', about: 'input of bulk registration, <account>/<bucket>/<key>' },
  { name: 's3-endpoint', value: 'URL', byDefault: '', about: 'the same behind S3 over HTTP, path-style' },
  {
    name: 'ocsp-responders',
    value: 'HOST,...',
    byDefault: '',
    about: 'asked about domain certificates; HOST:PORT, too',
  },
  { name: 'limits', value: 'SET', byDefault: 'aws', about: "aws, or open: MQTT's own rules, larger bounds" },
  { name: 'rate-quotas', value: 'SET', byDefault: 'off', about: "aws: keep AWS's limits per unit of time" },
  {
    name: 'custom-domain-deletion-days',
    value: 'DAYS',
    byDefault: '0',
    about: 'DISABLED before it is deleted',
  },
  { name: 'dns-server', value: 'IP:PORT,...', byDefault: '', about: "proves names to ACM; else the system's own" },
  { name: 'acm-validation', value: 'HOW', byDefault: 'dns', about: 'or immediate: ACM asks for no proof of names' },
  {
    name: 'session-expiry',
    value: 'SECONDS',
    byDefault: '3600',
    about: 'longest life of a session without connection',
  },
  { name: 'dev', about: 'let this machine move the clock: fleetgate clock' },
  { name: 'log-level', value: 'LEVEL', byDefault: 'info', about: 'debug, info, warn, error or silent' },
] as const satisfies readonly Flag[];
type ConfigFlag = (typeof configFlags)[number]['name'];

export type Environment = Readonly<Record<string, string | undefined>>;

/** The variable that stands for a flag: `--api-port` is FLEETGATE_API_PORT. */
export const environmentName = (flag: string): string => `FLEETGATE_${flag.toUpperCase().replaceAll('-', '_')}`;

/** What the operator asked for makes no sense; `message` is a sentence for them. */
export class ConfigProblem extends Error {
  override readonly name = 'ConfigProblem';
}

/** Letters that must change to turn one word into the other. */
const distance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (const [j, other] of [...b].entries()) {
      next.push(Math.min((next[j] ?? 0) + 1, (row[j + 1] ?? 0) + 1, (row[j] ?? 0) + (letter === other ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length] ?? 0;
};

/** The known word that was probably meant, as a question; '' when none is near. */
export const didYouMean = (word: string, known: readonly string[]): string => {
  const near = known
    .filter((each) => word !== '' && (each.startsWith(word) || distance(word.slice(0, 40), each) <= 2))
    .sort((a, b) => distance(word.slice(0, 40), a) - distance(word.slice(0, 40), b));
  return near[0] === undefined ? '' : ` Did you mean ${near[0]}?`;
};

export interface ReadFlags {
  /** By flag name; a flag without a value reads `true`, with a leading `--no-` `false`. */
  readonly values: ReadonlyMap<string, string>;
  /** Each value of a flag that may be given several times, in order. */
  readonly all: ReadonlyMap<string, readonly string[]>;
  readonly positionals: readonly string[];
}

/** Reads a command line against its flags. Faults: ConfigProblem for an unknown flag, a missing or an unwanted value. */
export const readFlags = (argv: readonly string[], flags: readonly Flag[]): ReadFlags => {
  const options = Object.fromEntries(
    flags.map(({ name, value }) => [name, { type: value === undefined ? 'boolean' : 'string' } as const]),
  );
  const { tokens } = parseArgs({
    args: [...argv],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const values = new Map<string, string>();
  const all = new Map<string, readonly string[]>();
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const negative = token.name.startsWith('no-') && !(token.name in options);
    const name = negative ? token.name.slice(3) : token.name;
    const flag = flags.find((each) => each.name === name);
    if (!flag || !token.rawName.startsWith('--') || (negative && flag.value !== undefined)) {
      const hint = didYouMean(
        name,
        flags.map((each) => each.name),
      ).replace('mean ', 'mean --');
      throw new ConfigProblem(`Unknown flag ${JSON.stringify(token.rawName)}.${hint} --help lists all flags.`);
    }
    if (flag.value === undefined) {
      if (token.value !== undefined) throw new ConfigProblem(`--${name} takes no value.`);
      values.set(name, negative ? 'false' : 'true');
    } else if (token.value === undefined || (!token.inlineValue && /^-./.test(token.value))) {
      throw new ConfigProblem(`--${name} needs a value: --${name} ${flag.value}.`);
    } else {
      values.set(name, token.value);
      all.set(name, [...(all.get(name) ?? []), token.value]);
    }
  }
  return { values, all, positionals };
};

const hostName = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;
/** The form that AWS's regions have; accounts come into being in no other (a test holds that the two agree). */
const regionName = /^[a-z]{2,4}(?:-[a-z]{2,4})?-(?:central|(?:north|south)(?:east|west)?|east|west)-[1-9][0-9]?$/;
const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'];

const listOf = (text: string): string[] =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');

/** A host with or without a port, as a URL has it: the host in its one spelling. Undefined for anything else. */
const placeOf = (text: string): string | undefined => {
  const [, host = '', port = ''] = /^(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:[1-9]\d{0,4})?$/i.exec(text) ?? [];
  const hostname = URL.parse(`http://${host}`)?.hostname ?? '';
  const isHost = hostName.test(hostname) || hostname.startsWith('[');
  return isHost && Number(port.slice(1)) <= 65_535 ? hostname + port : undefined;
};

/** `127.0.0.1:53` or `[::1]:53`: no names, which would have to be asked of a DNS server first. */
const isSocketAddress = (text: string): boolean => {
  const [, address = '', port = ''] = /^(\[[0-9A-Fa-f:.]+\]|[0-9.]+):([0-9]{1,5})$/.exec(text) ?? [];
  return isIP(address.replace(/^\[(.*)\]$/, '$1')) !== 0 && Number(port) >= 1 && Number(port) <= 65_535;
};

const isOrigin = (text: string): boolean => URL.canParse(text) && new URL(text).origin === text;

/** The root key of FLEETGATE_ROOT_ACCESS_KEY_ID and FLEETGATE_ROOT_SECRET_ACCESS_KEY: from the environment alone, because flags show in process lists. */
const readRootKey = (env: Environment): RootKey | undefined => {
  const [idName, secretName] = ['FLEETGATE_ROOT_ACCESS_KEY_ID', 'FLEETGATE_ROOT_SECRET_ACCESS_KEY'];
  const [accessKeyId, secretAccessKey] = [env[idName] || undefined, env[secretName] || undefined];
  if (accessKeyId === undefined && secretAccessKey === undefined) return undefined;
  if (accessKeyId === undefined || secretAccessKey === undefined) {
    throw new ConfigProblem(`${idName} and ${secretName} belong together: set both or neither.`);
  }
  if (!/^\w{4,128}$/.test(accessKeyId) || /^((ASIA)?\d{12}|test)$/.test(accessKeyId)) {
    throw new ConfigProblem(
      `${idName} must be 4 to 128 letters, digits or underscores, and neither "test" nor 12 digits, with or without "ASIA" before them, which are development keys.`,
    );
  }
  if (!/^[!-~]{16,128}$/.test(secretAccessKey)) {
    throw new ConfigProblem(`${secretName} must be 16 to 128 printable ASCII characters without blanks.`);
  }
  return Object.freeze({ accessKeyId, secretAccessKey });
};

/** The place of a shared store; '' stands for none. What was given is not repeated: it may hold a password. */
const readStore = (text: string | undefined): string | undefined => {
  if (text === undefined || text === '') return undefined;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && /^postgres(ql)?:$/.test(url.protocol) && url.pathname.length > 1) return text;
  throw new ConfigProblem(
    `--store (or ${environmentName('store')}) must be the URL of a PostgreSQL database, such as postgres://fleetgate@localhost:5432/fleetgate.`,
  );
};

/** The URL that all paths of an endpoint follow; '' stands for none. What was given is not repeated: it may hold a password. */
const readEndpoint = (flag: ConfigFlag, text: string | undefined, example: string): string | undefined => {
  if (text === undefined || text === '') return undefined;
  if (/^https?:\/\/[^\s@?#\\]+$/i.test(text) && URL.canParse(text)) return text;
  throw new ConfigProblem(
    `--${flag} (or ${environmentName(flag)}) must be an http or https URL without user, query and fragment, such as ${example}.`,
  );
};

/** The key of FLEETGATE_S3_ACCESS_KEY_ID and FLEETGATE_S3_SECRET_ACCESS_KEY: from the environment alone, as for the root key. */
const readS3Key = (env: Environment): S3AccessKey | undefined => {
  const [idName, secretName] = ['FLEETGATE_S3_ACCESS_KEY_ID', 'FLEETGATE_S3_SECRET_ACCESS_KEY'];
  const [accessKeyId, secretAccessKey] = [env[idName] || undefined, env[secretName] || undefined];
  if (accessKeyId === undefined && secretAccessKey === undefined) return undefined;
  if (accessKeyId === undefined || secretAccessKey === undefined) {
    throw new ConfigProblem(`${idName} and ${secretName} belong together: set both or neither.`);
  }
  if (!/^[\w-]{1,128}$/.test(accessKeyId)) {
    throw new ConfigProblem(`${idName} must be up to 128 letters, digits, hyphens or underscores.`);
  }
  return Object.freeze({ accessKeyId, secretAccessKey });
};

/**
 * The configuration of a node from the arguments behind `start` and the environment. An empty variable counts as unset; paths are made
 * absolute. Faults: ConfigProblem, naming the flag or the variable that is wrong.
 */
export const readConfig = (argv: readonly string[], env: Environment): Config => {
  const { values, positionals } = readFlags(argv, configFlags);
  if (positionals.length > 0) {
    const given = positionals[0]?.includes('://') ? 'a URL' : JSON.stringify(positionals[0]); // which may hold a password
    throw new ConfigProblem(`start takes flags only, not ${given}. --help lists all flags.`);
  }
  /** Reads one setting; `valid` says what is wanted when it returns false. */
  const read = (name: ConfigFlag, wanted: string, valid: (text: string) => boolean): string => {
    const flag: Flag | undefined = configFlags.find((each) => each.name === name);
    const given = values.get(name) ?? (env[environmentName(name)] || undefined);
    if (given === undefined) return flag?.byDefault ?? 'false';
    if (valid(given)) return given;
    const origin = values.has(name) ? `--${name}` : environmentName(name);
    throw new ConfigProblem(`${origin} must be ${wanted}, not ${JSON.stringify(given)}.`);
  };
  const readPort = (name: ConfigFlag): number =>
    Number(read(name, 'a port number from 0 to 65535', (text) => /^\d{1,5}$/.test(text) && Number(text) <= 65_535));
  const readPorts = (name: ConfigFlag): readonly number[] =>
    Object.freeze(
      listOf(
        read(name, 'port numbers from 0 to 65535 with commas between them', (text) =>
          listOf(text).every((port) => /^\d{1,5}$/.test(port) && Number(port) <= 65_535),
        ),
      ).map(Number),
    );
  const readFile = (name: ConfigFlag, wanted = 'the path of a file'): string | undefined => {
    const file = read(name, wanted, (text) => !text.includes('\0'));
    return file === '' ? undefined : resolve(file);
  };
  const serverCert = readFile('server-cert');
  const serverKey = readFile('server-key');
  if ((serverCert === undefined) !== (serverKey === undefined)) {
    throw new ConfigProblem('--server-cert and --server-key belong together: give both or neither.');
  }
  const functions = readFile('functions', 'the path of a folder');
  const readUrl = (name: ConfigFlag, example: string): string | undefined =>
    readEndpoint(name, values.get(name) ?? env[environmentName(name)], example);
  const functionsEndpoint = readUrl('functions-endpoint', 'http://localhost:3001');
  const buckets = readFile('buckets', 'the path of a folder');
  const s3Endpoint = readUrl('s3-endpoint', 'http://localhost:9000');
  const s3Key = readS3Key(env);
  const ocspResponders = listOf(
    read('ocsp-responders', 'hosts such as ocsp.example.com or 10.0.0.7:8080, with commas between them', (text) =>
      listOf(text).every((place) => placeOf(place) !== undefined),
    ),
  ).flatMap((place) => placeOf(place) ?? []);
  const store = readStore(values.get('store') ?? env[environmentName('store')]);
  const names = 'a comma-separated list of lower-case host names';
  const origins = 'a comma-separated list of origins such as https://console.example.com';
  const rootKey = readRootKey(env);
  const limitSet = read('limits', 'aws or open', (text) => Object.hasOwn(limitSets, text)) === 'open' ? 'open' : 'aws';
  const sessionExpiry = Number(
    read(
      'session-expiry',
      'seconds from 1 to 604800',
      (text) => /^[1-9]\d{0,5}$/.test(text) && Number(text) <= 604_800,
    ),
  );
  return Object.freeze({
    host: read('host', 'an IP address or a host name', (text) => /^[0-9A-Fa-f:.]+$/.test(text) || hostName.test(text)),
    apiPort: readPort('api-port'),
    mqttPort: readPort('mqtt-port'),
    httpsPorts: readPorts('https-port'),
    metricsPort: readPort('metrics-port'),
    dataFolder: resolve(read('data', 'the path of a folder', (text) => !text.includes('\0'))),
    domain: read('domain', 'a lower-case domain name', (text) => hostName.test(text)),
    names: Object.freeze(listOf(read('names', names, (text) => listOf(text).every((name) => hostName.test(name))))),
    accountId: read('account', '12 digits', (text) => /^\d{12}$/.test(text)),
    region: read('region', 'a region name such as us-east-1', (text) => regionName.test(text)),
    requireSni: /^(true|1)$/.test(read('require-sni', 'true or false', (text) => /^(true|false|1|0)$/.test(text))),
    allowedOrigins: Object.freeze(listOf(read('allowed-origins', origins, (text) => listOf(text).every(isOrigin)))),
    ...(store !== undefined && { store }),
    ...(serverCert !== undefined && { serverCert }),
    ...(serverKey !== undefined && { serverKey }),
    ...(rootKey && { rootKey }),
    ...(functions !== undefined && { functions }),
    ...(functionsEndpoint !== undefined && { functionsEndpoint }),
    ...(buckets !== undefined && { buckets }),
    ...(s3Endpoint !== undefined && { s3Endpoint }),
    ...(s3Key && { s3Key }),
    ocspResponders: Object.freeze(ocspResponders),
    dev: /^(true|1)$/.test(read('dev', 'true or false', (text) => /^(true|false|1|0)$/.test(text))),
    dnsServers: Object.freeze(
      listOf(
        read(
          'dns-server',
          'IP addresses with ports and commas between them, such as 127.0.0.1:5353 or [::1]:53',
          (text) => listOf(text).every(isSocketAddress),
        ),
      ),
    ),
    acmValidation:
      read('acm-validation', 'dns or immediate', (text) => text === 'dns' || text === 'immediate') === 'immediate'
        ? 'immediate'
        : 'dns',
    logLevel: read('log-level', `one of ${logLevels.join(', ')}`, (text) => logLevels.includes(text)),
    customDomainDeletionDays: Number(
      read(
        'custom-domain-deletion-days',
        'days from 0 to 365',
        (text) => /^\d{1,3}$/.test(text) && Number(text) <= 365,
      ),
    ),
    limits: Object.freeze({ ...limitSets[limitSet], sessionExpirySecondsMax: sessionExpiry }),
    rateQuotas: read('rate-quotas', 'aws or off', (text) => text === 'aws' || text === 'off') === 'aws',
  });
};
