/**
 * `fleetgate doctor`: what stands between this shell and a working server? The checks run in the order in which one needs the other; each
 * prints a line, and the first that fails decides the one sentence and the one cure at the end.
 */
import { lookup } from 'node:dns/promises';
import { access, constants, readFile, stat, statfs } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { connect } from 'node:tls';
import { readFlags } from '../config.ts';
import { checkAws, type Problem, useEnvironment } from './doctor-aws.ts';
import { checkCertificates } from './doctor-certificates.ts';
import { checkDomains, looking } from './doctor-domains.ts';
import { type Command, CommandProblem, type Io } from './io.ts';
import { Refused } from './refused.ts';
import { answerMsMax, ask, findServer, get, type Server, serverFlags } from './server.ts';
import { printable, shellWord, styleOf } from './terminal.ts';

/** What the checks learn and hand on to those after them. */
interface Examined {
  readonly server: Server;
  readonly io: Io;
  mqttPort: number;
  httpsPorts: readonly number[];
  mqttHost: string;
  rootPem: string;
}

interface Check {
  readonly name: string;
  /** A line to show when all is well, or the problem. */
  readonly run: (examined: Examined) => Promise<string | Problem>;
}

/** Signatures older or newer than this are refused. Source: spec identity 1. */
const skewMsMax = 5 * 60_000;
/** Less than this, and the store is soon full. */
const freeBytesMin = 100 * 1024 * 1024;

const portOf = (url: string): string => new URL(url).port || '80';

const checkServer = async (examined: Examined): Promise<string | Problem> => {
  const { url } = examined.server;
  const answer = await get(`${url}/_fleetgate/health`).catch((error: unknown) => {
    if (error instanceof CommandProblem) return undefined;
    throw error;
  });
  const cure = `fleetgate start --api-port ${portOf(url)}`;
  if (!answer) return { sentence: `No server answers at ${url}.`, cure };
  try {
    const health: { alive?: unknown; ready?: unknown; mqttPort?: unknown; httpsPorts?: unknown } = JSON.parse(
      answer.body,
    );
    if (health.alive !== true || typeof health.mqttPort !== 'number') throw new TypeError();
    examined.mqttPort = health.mqttPort;
    const ports: readonly unknown[] = Array.isArray(health.httpsPorts) ? health.httpsPorts : [];
    examined.httpsPorts = ports.filter((port) => typeof port === 'number');
    if (health.ready === true) return `${url} is alive and ready`;
    return { sentence: 'The server is alive, but its store takes no writes.', cure: 'make room on its disk: df -h' };
  } catch {
    return { sentence: `Something else than Fleetgate answers at ${url}.`, cure: 'fleetgate start --api-port 0' };
  }
};

const checkClock = async ({ server, io }: Examined): Promise<string | Problem> => {
  const response = await fetch(`${server.url}/_fleetgate/health`, { signal: AbortSignal.timeout(answerMsMax) });
  const skewMs = io.now() - Date.parse(response.headers.get('date') ?? '');
  const seconds = Math.round(skewMs / 1000);
  if (Math.abs(skewMs) <= skewMsMax) return `this clock and the server's differ by ${Math.abs(seconds)} s`;
  return {
    sentence: `This clock is ${Math.abs(seconds)} s ${seconds > 0 ? 'ahead of' : 'behind'} the server's: signatures are refused beyond 5 minutes.`,
    cure: 'timedatectl set-ntp true',
  };
};

const checkKey = async (examined: Examined): Promise<string | Problem> => {
  const { server, io } = examined;
  try {
    const answer: { endpointAddress?: unknown } = JSON.parse(
      await ask(server, '/endpoint?endpointType=iot%3AData-ATS', io),
    );
    examined.mqttHost = String(answer.endpointAddress);
    return `the key ${server.accessKeyId} is known; its devices connect to ${examined.mqttHost}`;
  } catch (error) {
    if (!(error instanceof CommandProblem)) throw error;
    return problemOf(error, useEnvironment(server));
  }
};

/** What a refusal says is to be done; `otherwise` where that is no command. */
const problemOf = (error: CommandProblem, otherwise: string): Problem => {
  if (!(error instanceof Refused)) return { sentence: error.message, cure: otherwise };
  const { sentence, advice, commands } = error;
  return { sentence: `${sentence}${advice && ` ${advice}`}`, cure: commands[0] ?? otherwise };
};

const checkJournal = async ({ server, io }: Examined): Promise<string | Problem> => {
  try {
    await ask(server, '/_fleetgate/journal?last=true', io);
    return 'fleetgate explain may read why devices and calls were refused';
  } catch (error) {
    if (!(error instanceof CommandProblem)) throw error;
    return problemOf(error, useEnvironment(server));
  }
};

const checkName = async ({ mqttHost }: Examined): Promise<string | Problem> => {
  try {
    const { address } = await lookup(mqttHost);
    return `${mqttHost} is ${address}`;
  } catch {
    return {
      sentence: `The name ${mqttHost}, which devices connect to, has no address here.`,
      cure: 'fleetgate hosts | sudo tee -a /etc/hosts',
    };
  }
};

/** A TLS handshake as a device begins it; resolves with what went wrong. */
const handshake = ({ mqttHost, rootPem }: Examined, port: number): Promise<string | undefined> =>
  new Promise((done) => {
    const socket = connect({ host: mqttHost, servername: mqttHost, port, ca: rootPem, ...looking });
    const end = (problem?: string): void => {
      socket.destroy();
      done(problem);
    };
    socket.once('secureConnect', () => end());
    socket.once('error', (error) => end(error.message));
    socket.once('timeout', () => end('no answer in time'));
  });

const checkPort = async (examined: Examined): Promise<string | Problem> => {
  const { mqttHost, mqttPort, server } = examined;
  examined.rootPem = (await get(`${server.url}/root-ca.pem`)).body;
  const problem = await handshake(examined, mqttPort);
  if (problem === undefined) return `${mqttHost}:${mqttPort} shows a certificate that the server's root vouches for`;
  return {
    sentence: `A TLS connection to ${mqttHost}:${mqttPort} fails: ${problem}.`,
    cure: `fleetgate start --api-port ${portOf(server.url)} --mqtt-port ${mqttPort} --names ${shellWord(mqttHost)}`,
  };
};

const checkHttps = async (examined: Examined): Promise<string | Problem> => {
  const { mqttHost, httpsPorts, server } = examined;
  if (httpsPorts.length === 0) return 'the server was started without (--https-port)';
  for (const port of httpsPorts) {
    const problem = await handshake(examined, port);
    if (problem === undefined) continue;
    return {
      sentence: `A TLS connection to ${mqttHost}:${port} fails: ${problem}.`,
      cure: `fleetgate start --api-port ${portOf(server.url)} --https-port ${httpsPorts.join()} --names ${shellWord(mqttHost)}`,
    };
  }
  return `${httpsPorts.map((port) => `https://${mqttHost}:${port}`).join(' and ')} the same, WebSocket at /mqtt`;
};

const dataFolder = ({ io }: Examined): string => resolve(io.env['FLEETGATE_DATA'] || './fleetgate-data');

const checkData = async (examined: Examined): Promise<string | Problem> => {
  const folder = dataFolder(examined);
  if (!(await stat(folder).catch(() => undefined)))
    return `no data folder at ${folder}: the server keeps its own elsewhere`;
  try {
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch {
    return { sentence: `This user may not write into ${folder}.`, cure: `sudo chown -R "$USER" ${shellWord(folder)}` };
  }
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize >= freeBytesMin)
    return `${folder} may be written, ${Math.round((bavail * bsize) / 1e6)} MB are free`;
  return { sentence: `The disk of ${folder} is nearly full.`, cure: `df -h ${shellWord(folder)}` };
};

const checkRoot = async (examined: Examined): Promise<string | Problem> => {
  const file = join(dataFolder(examined), 'root-ca.pem');
  const kept = await readFile(file, 'utf8').catch(() => undefined);
  if (kept === undefined) return `fetch it from ${examined.server.url}/root-ca.pem`;
  if (kept === examined.rootPem) return `${file} is the server's`;
  return {
    sentence: `${file} is not the root certificate of the server at ${examined.server.url}: clients that trust it will refuse the server.`,
    cure: `curl -fsS -o root-ca.pem ${shellWord(`${examined.server.url}/root-ca.pem`)}   # and pass it as --cafile`,
  };
};

const checks: readonly Check[] = [
  { name: 'server', run: checkServer },
  { name: 'clock', run: checkClock },
  { name: 'access key', run: checkKey },
  { name: 'host name', run: checkName },
  { name: 'MQTT port', run: checkPort },
  { name: 'HTTPS port', run: checkHttps },
  { name: 'certificates', run: checkCertificates },
  { name: 'domains', run: checkDomains },
  { name: 'data folder', run: checkData },
  { name: 'root CA', run: checkRoot },
  { name: 'aws', run: checkAws },
  { name: 'journal', run: checkJournal },
];

const run = async (argv: readonly string[], io: Io): Promise<number> => {
  const style = styleOf(io.terminal && !io.env['NO_COLOR']);
  const server = findServer(readFlags(argv, serverFlags), io.env);
  const examined: Examined = { server, io, mqttPort: 0, httpsPorts: [], mqttHost: '', rootPem: '' };
  for (const { name, run: check } of checks) {
    const found = await check(examined);
    if (typeof found === 'string') {
      io.out(`  ${style.good('ok')}  ${name.padEnd(13)}${printable(found)}\n`);
      continue;
    }
    io.out(
      `  ${style.bad('no')}  ${name}\n\n${style.strong(printable(found.sentence))}\n\n  ${printable(found.cure)}\n`,
    );
    return 1;
  }
  io.out('\nEverything is in order: this shell, its names and its clock work with the server.\n');
  return 0;
};

export const doctor: Command = { usage: '', summary: 'find what keeps this shell from working with the server', run };
