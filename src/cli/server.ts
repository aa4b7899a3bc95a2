/** How commands find a running server and ask it: always by its API, always signed, never through its store. */
import { signRequest } from '../aws/sigv4.ts';
import { ConfigProblem, type Environment, type Flag, type ReadFlags } from '../config.ts';
import { CommandProblem, type Io } from './io.ts';
import { adviceOn, Refused } from './refused.ts';
import { printable, shellWord } from './terminal.ts';

/** Where `fleetgate start` without flags answers. */
export const defaultUrl = 'http://127.0.0.1:4566';

export const serverFlags: readonly Flag[] = [
  {
    name: 'api-url',
    value: 'URL',
    byDefault: defaultUrl,
    about: 'the server; else FLEETGATE_API_URL or AWS_ENDPOINT_URL',
  },
  {
    name: 'account',
    value: 'ID',
    byDefault: '000000000000',
    about: 'ask as this account, with its development key',
  },
  {
    name: 'region',
    value: 'REGION',
    byDefault: 'us-east-1',
    about: 'ask in this region; else AWS_REGION or AWS_DEFAULT_REGION',
  },
];

/** From the first byte asked to the last answered. */
export const answerMsMax = 10_000;

export interface Server {
  /** Without a slash at its end. */
  readonly url: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Of a temporary key. */
  readonly sessionToken?: string;
}

/** The development key of an account. Source: design.md 3. */
export const developmentKey = (accountId: string | undefined) => ({
  accessKeyId: accountId === undefined || accountId === '000000000000' ? 'test' : accountId,
  secretAccessKey: 'test',
});

const readUrl = (text: string): string => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.username !== '' || url.search !== '' || url.hash !== '') {
    throw new ConfigProblem(
      `The server's address must be a URL such as http://127.0.0.1:4566, not ${JSON.stringify(text)}.`,
    );
  }
  return url.href.replace(/\/+$/, '');
};

export const findUrl = ({ values }: ReadFlags, env: Environment): string =>
  readUrl(values.get('api-url') || env['FLEETGATE_API_URL'] || env['AWS_ENDPOINT_URL'] || defaultUrl);

/** The account of `--account`, else of `otherwise`. */
export const readAccount = ({ values }: ReadFlags, otherwise?: string): string | undefined => {
  const account = values.get('account') ?? (otherwise || undefined);
  if (account === undefined || /^\d{12}$/.test(account)) return account;
  throw new ConfigProblem(`The account must be 12 digits, not ${JSON.stringify(account)}.`);
};

export const readRegion = (text: string): string => {
  if (/^[a-z0-9-]{1,32}$/.test(text)) return text;
  throw new ConfigProblem(`The region must be a name such as us-east-1, not ${JSON.stringify(text)}.`);
};

/** Development keys are no temporary ones: a token beside them is left over from a real account. */
const isDevelopmentKey = (accessKeyId: string): boolean => /^(?:test|[0-9]{12})$/.test(accessKeyId);

/** The server, region and key of a command: `--account` asks with that account's development key, else AWS's variables count. */
export const findServer = (flags: ReadFlags, env: Environment): Server => {
  const account = readAccount(flags);
  const [accessKeyId, secretAccessKey] = [env['AWS_ACCESS_KEY_ID'], env['AWS_SECRET_ACCESS_KEY']];
  const sessionToken = env['AWS_SESSION_TOKEN'];
  const key =
    account === undefined && accessKeyId && secretAccessKey
      ? { accessKeyId, secretAccessKey, ...(sessionToken && !isDevelopmentKey(accessKeyId) && { sessionToken }) }
      : developmentKey(account);
  const region = flags.values.get('region') || env['AWS_REGION'] || env['AWS_DEFAULT_REGION'] || 'us-east-1';
  return { url: findUrl(flags, env), region: readRegion(region), ...key };
};

/** The flags of the server as they were given, for a command to paste that asks the same one; each with a blank before it. */
export const givenServerFlags = ({ values }: ReadFlags, without?: string): string =>
  serverFlags
    .flatMap(({ name }) => {
      const value = values.get(name);
      return value === undefined || name === without ? [] : [` --${name} ${shellWord(value)}`];
    })
    .join('');

/**
 * What makes the tools of the caller's shell mean the account and region of the flags; empty where they do already. Without it a command that cures what
 * happened in another region would act in the usual one, where the same certificate may be.
 */
export const switchLines = (flags: ReadFlags, env: Environment): readonly string[] => {
  const [asked, usual] = [findServer(flags, env), findServer({ ...flags, values: new Map() }, env)];
  const isOtherKey = asked.accessKeyId !== usual.accessKeyId || asked.secretAccessKey !== usual.secretAccessKey;
  const { accessKeyId, secretAccessKey, region } = asked;
  const variables = [
    ...(isOtherKey
      ? [['AWS_ACCESS_KEY_ID', accessKeyId] as const, ['AWS_SECRET_ACCESS_KEY', secretAccessKey] as const]
      : []),
    ...(region !== usual.region ? [['AWS_DEFAULT_REGION', region] as const, ['AWS_REGION', region] as const] : []),
  ];
  if (variables.length === 0) return [];
  return [
    `export ${variables.map(([name, value]) => `${name}=${shellWord(value)}`).join(' ')}`,
    // it belongs to the other key
    ...(isOtherKey && env['AWS_SESSION_TOKEN'] ? ['unset AWS_SESSION_TOKEN'] : []),
  ];
};

/** The fault an API answer carries, as far as it can be read. */
const faultIn = (body: string): string => {
  try {
    const parsed: unknown = JSON.parse(body);
    if (typeof parsed === 'object' && parsed !== null) {
      const message = 'message' in parsed ? parsed.message : 'Message' in parsed ? parsed.Message : undefined;
      if (typeof message === 'string') return message;
    }
  } catch {}
  return body;
};

/** How a question is asked where it is no GET of AWS IoT's API. */
export interface Asking {
  /** What the signature is for; default `iot`. */
  readonly service?: string;
  /** JSON 1.1, as ACM speaks it: the operation, and its input as `body`. */
  readonly target?: string;
  readonly body?: string;
}

/** Asks one question. Faults: CommandProblem when nothing answers, Refused when the answer is a refusal. */
export const ask = async (
  server: Server,
  pathAndQuery: string,
  io: Pick<Io, 'now'>,
  { service = 'iot', target, body }: Asking = {},
): Promise<string> => {
  const url = `${server.url}${pathAndQuery}`;
  const { url: __, ...key } = server;
  const { host: _, ...headers } = signRequest({
    ...{ url, ...key, service, nowMs: io.now() },
    method: body === undefined ? 'GET' : 'POST',
    ...(target !== undefined && {
      headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': target },
    }),
    ...(body !== undefined && { body }),
  });
  const { status, body: answer } = await get(url, headers, body);
  if (status === 200) return answer;
  const message = (faultIn(answer).split('\n\n')[0] ?? '').trim().slice(0, 500);
  const said = printable(message).replace(/\.$/, '');
  const sentence = `The server at ${printable(server.url)} answered ${status}${said ? `: ${said}` : ''}.`;
  throw new Refused(sentence, status === 403 ? adviceOn(message, key) : { advice: '', commands: [] });
};

/** One GET, or a POST of `body`. Faults: CommandProblem when nothing answers in time. */
export const get = async (url: string, headers: Readonly<Record<string, string>> = {}, body?: string) => {
  try {
    const response = await fetch(url, {
      ...{ headers, redirect: 'manual', signal: AbortSignal.timeout(answerMsMax) },
      ...(body !== undefined && { method: 'POST', body }),
    });
    return { status: response.status, body: await response.text() };
  } catch (cause) {
    const { origin } = new URL(url);
    throw new CommandProblem(
      `No server answers at ${origin}. Start one with \`fleetgate start\` (in a clone: \`npm start\`), or say where it is with --api-url.`,
      { cause },
    );
  }
};
