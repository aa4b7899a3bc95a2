/** Where simulated devices connect, and which roots they trust: what the flags say, or what the server's API tells. */

import { lookup } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { ConfigProblem } from '../../config.ts';
import { CommandProblem, type Io } from '../io.ts';
import { ask, get, type Server } from '../server.ts';
import { printable } from '../terminal.ts';
import type { Place } from './mqtt-client.ts';

export interface Endpoint {
  readonly place: Place;
  /** PEM. */
  readonly ca: string;
}

const portDefault = 8883;

/** `HOST`, `HOST:PORT`, or an IPv6 address in brackets. Faults: ConfigProblem. */
export const readHostAndPort = (text: string): { readonly host: string; readonly port: number } => {
  const [, host = '', port = String(portDefault)] =
    /^(\[[0-9a-fA-F:.]+\]|[^:/@\s[\]]+)(?::(\d{1,5}))?$/.exec(text) ?? [];
  if (host !== '' && Number(port) >= 1 && Number(port) <= 65_535) {
    return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) };
  }
  throw new ConfigProblem(`--endpoint must be HOST or HOST:PORT, not ${JSON.stringify(text)}.`);
};

const readCa = async (file: string): Promise<string> =>
  readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new CommandProblem(`${printable(file)} cannot be read (${cause.code ?? 'no path'}).`, { cause });
  });

const askForCa = async (server: Server): Promise<string> => {
  const { status, body } = await get(`${server.url}/root-ca.pem`);
  if (status === 200 && body.includes('-----BEGIN CERTIFICATE-----')) return body;
  throw new CommandProblem(`The server at ${printable(server.url)} tells no root certificate: give --ca-file.`);
};

/** The names of further accounts need not be known to this machine: their endpoint is where the API is. */
const addressOf = async (host: string, server: Server): Promise<string> =>
  lookup(host).then(
    ({ address }) => address,
    () => new URL(server.url).hostname.replace(/^\[|\]$/g, ''),
  );

const memberOf = (body: string, name: string): unknown => {
  try {
    const parsed: unknown = JSON.parse(body);
    return typeof parsed === 'object' && parsed !== null
      ? Object.entries(parsed).find(([key]) => key === name)?.[1]
      : undefined;
  } catch {
    return undefined;
  }
};

/** Faults: CommandProblem when the server does not answer. */
const askForPlace = async (server: Server, io: Io): Promise<Place> => {
  const host = memberOf(await ask(server, '/endpoint?endpointType=iot%3AData-ATS', io), 'endpointAddress');
  const port = memberOf((await get(`${server.url}/_fleetgate/health`)).body, 'mqttPort');
  if (typeof host !== 'string' || typeof port !== 'number') {
    throw new CommandProblem(
      `What answers at ${printable(server.url)} does not say where its devices connect: give --endpoint and --ca-file.`,
    );
  }
  return { host, port, address: await addressOf(host, server) };
};

/** Faults: ConfigProblem, CommandProblem. */
export const findEndpoint = async (
  given: { readonly endpoint: string | undefined; readonly caFile: string | undefined },
  server: Server,
  io: Io,
): Promise<Endpoint> => {
  const named = given.endpoint === undefined ? undefined : readHostAndPort(given.endpoint);
  const place = named ? { ...named, address: named.host } : await askForPlace(server, io);
  return { place, ca: given.caFile === undefined ? await askForCa(server) : await readCa(given.caFile) };
};
