/** The `fleetgate` command: the table of its commands, and the way from a command line to one of them. */
import { ConfigProblem, didYouMean } from '../config.ts';
import { certificates } from './certificates.ts';
import { doctor } from './doctor.ts';
import { env } from './env.ts';
import { explain } from './explain.ts';
import { health } from './health.ts';
import { helpPage } from './help.ts';
import { hosts } from './hosts.ts';
import { type Command, CommandProblem, type Io, type Run } from './io.ts';

/** The commands that are clients of a running server. */
export const commands: Readonly<Record<string, Command>> = { env, hosts, explain, doctor, health, certificates };

const startSummary = { usage: '[flags]', summary: 'run the server until it is told to stop' };

/**
 * Runs one command line, `start` included, and turns what a user can mend into a sentence on standard error. Exit codes: 0 done, 1 it could not
 * be done, 2 the command line makes no sense. What is a mistake of ours rises.
 */
export const runCommand = async (argv: readonly string[], io: Io, start: Run): Promise<number> => {
  const table: Readonly<Record<string, Command>> = { start: { ...startSummary, run: start }, ...commands };
  const [name, ...rest] = argv;
  const command = name === undefined || !Object.hasOwn(table, name) ? undefined : table[name];
  const options = argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv;
  if (options.includes('--version')) {
    io.out(`fleetgate ${io.version}\n`);
    return 0;
  }
  if (options.includes('--help') || options.includes('-h') || name === 'help') {
    io.out(command?.page?.() ?? helpPage(table));
    return 0;
  }
  if (!command) {
    const known = Object.keys(table);
    io.err(
      name === undefined
        ? helpPage(table)
        : `fleetgate: there is no command ${JSON.stringify(name)}.${didYouMean(name, known)} --help lists all.\n`,
    );
    return 2;
  }
  try {
    return await command.run(rest, io);
  } catch (error) {
    if (!(error instanceof ConfigProblem || error instanceof CommandProblem)) throw error;
    io.err(`fleetgate: ${error.message}\n`);
    return error instanceof ConfigProblem ? 2 : 1;
  }
};
