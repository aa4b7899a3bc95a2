/** `fleetgate hosts`: lines for /etc/hosts (or NSS_WRAPPER_HOSTS) that make the names of the endpoints point at the server, by the address at which it was asked. */
import { readFlags } from '../config.ts';
import type { Command, Io } from './io.ts';
import { ask, findServer, serverFlags } from './server.ts';
import { printableLines } from './terminal.ts';

const run = async (argv: readonly string[], io: Io): Promise<number> => {
  const server = findServer(readFlags(argv, serverFlags), io.env);
  const lines = printableLines(await ask(server, '/_fleetgate/hosts', io)).trimEnd();
  io.out(`${lines}\n`);
  return 0;
};

export const hosts: Command = {
  usage: '',
  summary: 'print the endpoint names as lines for /etc/hosts',
  run,
};
