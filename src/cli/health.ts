/** `fleetgate health`: whether a server runs and can serve; the exit code says the same. */
import { readFlags } from '../config.ts';
import type { Command, Io } from './io.ts';
import { findUrl, get, serverFlags } from './server.ts';
import { printableLines } from './terminal.ts';

const run = async (argv: readonly string[], io: Io): Promise<number> => {
  const url = findUrl(readFlags(argv, serverFlags), io.env);
  const { status, body } = await get(`${url}/_fleetgate/health`);
  io.out(`${printableLines(body).trimEnd()}\n`);
  return status === 200 ? 0 : 1;
};

export const health: Command = { usage: '', summary: 'tell whether the server is alive and ready', run };
