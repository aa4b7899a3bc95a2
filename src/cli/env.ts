/** `fleetgate env`: lines for `eval`, after which `aws` and `fleetgate` in that shell mean this server. For sh, bash and zsh. */
import { fileURLToPath } from 'node:url';
import { readFlags } from '../config.ts';
import type { Command, Io } from './io.ts';
import { developmentKey, findUrl, readAccount, readRegion, serverFlags } from './server.ts';
import { shellWord } from './terminal.ts';

export interface ShellFacts {
  readonly apiUrl: string;
  readonly accountId: string | undefined;
  readonly region: string;
  /** A key that counts from other machines too. */
  readonly rootKey?: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

/** Development keys count where both ends of a connection are loopback addresses. Source: design.md 3. */
const isLoopbackUrl = (url: string): boolean =>
  /^(localhost|.+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(new URL(url).hostname);

const keyLine = ({ apiUrl, accountId, rootKey }: ShellFacts): string => {
  const key = rootKey ?? (isLoopbackUrl(apiUrl) ? developmentKey(accountId) : undefined);
  if (!key) return '# AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: the root key of this server, which you keep';
  return `export AWS_ACCESS_KEY_ID=${shellWord(key.accessKeyId)} AWS_SECRET_ACCESS_KEY=${shellWord(key.secretAccessKey)}`;
};

/** The variables that AWS's tools read. */
export const exportLines = (facts: ShellFacts): readonly string[] => [
  `export AWS_ENDPOINT_URL=${shellWord(facts.apiUrl)}`,
  keyLine(facts),
  `export AWS_DEFAULT_REGION=${facts.region} AWS_REGION=${facts.region}`,
];

/** What an AWS CLI of its time does not know of AWS's API, as additions to its own models: the loader of the CLI reads them from AWS_DATA_PATH. */
export const awsModels = fileURLToPath(new URL('../../aws-models', import.meta.url));

/**
 * The function `aws`: an AWS CLI older than 2.13 (Debian 12 has 2.9) does not read AWS_ENDPOINT_URL. An `--endpoint-url` of the user's own comes
 * later on the line and wins. No pager: it would swallow the rest of a pasted script.
 */
const awsFunction = `aws() { AWS_PAGER="\${AWS_PAGER-}" AWS_DATA_PATH=${shellWord(awsModels)}"\${AWS_DATA_PATH:+:$AWS_DATA_PATH}" command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }`;

export const envLines = (facts: ShellFacts, program: readonly string[]): string =>
  [
    ...exportLines(facts),
    // Tells `fleetgate doctor` that the function below is in force.
    'export FLEETGATE_ENV=1',
    // A session token of a real account would be sent along and refused.
    'unset AWS_SESSION_TOKEN',
    awsFunction,
    `fleetgate() { ${program.map(shellWord).join(' ')} "$@"; }`,
    '',
  ].join('\n');

const run = async (argv: readonly string[], io: Io): Promise<number> => {
  const flags = readFlags(argv, serverFlags);
  const region = readRegion(flags.values.get('region') || io.env['FLEETGATE_REGION'] || 'us-east-1');
  const accountId = readAccount(flags, io.env['FLEETGATE_ACCOUNT']);
  io.out(envLines({ apiUrl: findUrl(flags, io.env), accountId, region }, io.program));
  return 0;
};

export const env: Command = {
  usage: '',
  summary: 'print variables and shell functions: eval "$(fleetgate env)"',
  run,
};
