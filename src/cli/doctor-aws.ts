/** What `fleetgate doctor` looks at in the AWS CLI of a shell: that it calls this server, as the same principal and in the same region as the commands of fleetgate. */
import { execFile } from 'node:child_process';
import { CommandProblem, type Io } from './io.ts';
import { ask, defaultUrl, type Server } from './server.ts';
import { printable, shellWord } from './terminal.ts';

/** What keeps things from working, and the one thing to do about it. */
export interface Problem {
  readonly sentence: string;
  readonly cure: string;
}

interface Examined {
  readonly server: Server;
  readonly io: Io;
}

/** The AWS CLI takes about a second to start; a stuck one ends after this. */
const awsMsMax = 30_000;
const saidCharactersMax = 300;
/** Where a call to AWS itself is sent, so that it never leaves this machine: nothing listens on the discard port. */
const deadProxy = 'http://127.0.0.1:9';

/** Sets this server, its development key and its region. */
export const useEnvironment = ({ url }: Server): string =>
  url === defaultUrl ? 'eval "$(fleetgate env)"' : `eval "$(fleetgate env --api-url ${shellWord(url)})"`;

/** Who a key is, and in whose account, by the server's word. */
const whoIs = async ({ server, io }: Examined): Promise<string | undefined> => {
  const query = '/?Action=GetCallerIdentity&Version=2011-06-15';
  const answer = await ask(server, query, io, { service: 'sts' }).catch((error: unknown) => {
    if (error instanceof CommandProblem) return '';
    throw error;
  });
  return /<Arn>([^<]+)<\/Arn>/.exec(answer)?.[1];
};

interface AwsCall {
  readonly missing: boolean;
  readonly succeeded: boolean;
  /** Scheme, host and port that it called; without credentials it calls nobody. */
  readonly origin: string | undefined;
  /** That it works in. */
  readonly region: string | undefined;
  /** Whom the server took it for. */
  readonly arn: string | undefined;
  /** Its last line: why it called nobody. */
  readonly said: string;
}

/** Runs the AWS CLI as this shell would, with `--debug`, which names the address it calls. A call to any other host than the server's fails at once. */
const callAws = ({ server, io }: Examined): Promise<AwsCall> =>
  new Promise((done) => {
    const proxies = { HTTPS_PROXY: deadProxy, https_proxy: deadProxy, HTTP_PROXY: deadProxy, http_proxy: deadProxy };
    const { hostname } = new URL(server.url);
    const settings = { AWS_PAGER: '', AWS_MAX_ATTEMPTS: '1' };
    const env = { ...io.env, ...proxies, NO_PROXY: hostname, no_proxy: hostname, ...settings };
    // what the shell function of `fleetgate env` adds, where it is in force
    const endpoint = io.env['FLEETGATE_ENV'] ? ['--endpoint-url', io.env['AWS_ENDPOINT_URL'] ?? ''] : [];
    const args = [...endpoint, 'sts', 'get-caller-identity', '--output', 'json', '--debug'];
    execFile('aws', args, { env, timeout: awsMsMax, maxBuffer: 16 * 1024 * 1024 }, (error, stdout, stderr) => {
      const url = /Making request for [^\n]*?'url': '([^']+)'/.exec(stderr)?.[1];
      const isSent = stderr.includes('Sending http request');
      const origin = isSent && url !== undefined && URL.canParse(url) ? new URL(url).origin : undefined;
      const region = /Making request for [^\n]*?'client_region': '([a-z0-9-]+)'/.exec(stderr)?.[1];
      const arn = /"Arn": "([^"]+)"/.exec(stdout)?.[1];
      const said = printable((stderr.trimEnd().split('\n').at(-1) ?? '').slice(0, saidCharactersMax));
      done({ missing: error?.code === 'ENOENT', succeeded: error === null, origin, region, arn, said });
    });
  });

/** A line to show when all is well, or the problem. */
export const checkAws = async (examined: Examined): Promise<string | Problem> => {
  const { server } = examined;
  const { missing, succeeded, origin, region, arn, said } = await callAws(examined);
  if (missing) return { sentence: 'There is no AWS CLI here.', cure: 'apt-get install awscli' };
  const here = origin === new URL(server.url).origin;
  if (here && succeeded) {
    const own = await whoIs(examined);
    if (arn !== undefined && own !== undefined && arn !== own) {
      return {
        sentence: `The program aws acts as ${arn}, by its profile, and fleetgate as ${own}: what one does the other may not see. This makes both the same:`,
        cure: useEnvironment(server),
      };
    }
    if (region !== undefined && region !== server.region) {
      return {
        sentence: `The program aws works in the region ${region}, and fleetgate in ${server.region}: what one makes the other does not see.`,
        cure: `export AWS_DEFAULT_REGION=${server.region} AWS_REGION=${server.region}`,
      };
    }
    return `a call arrived at ${origin}, as ${arn ?? 'somebody'} in ${region ?? 'some region'}`;
  }
  const cure = useEnvironment(server);
  if (origin === undefined) return { sentence: `The program aws calls nobody: ${said}`, cure };
  if (here) return { sentence: `The program aws calls ${origin}, and is refused there.`, cure };
  return { sentence: `The program aws calls ${origin}, not ${server.url}.`, cure };
};
