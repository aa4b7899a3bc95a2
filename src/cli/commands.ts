/** The `fleetgate` command: the table of its commands, and the way from a command line to one of them. */
import { ConfigProblem, didYouMean } from '../config.ts';
import { certificates } from './certificates.ts';
import { clock } from './clock.ts';
import { device } from './device.ts';
import { doctor } from './doctor.ts';
import { env } from './env.ts';
import { explain } from './explain.ts';
import { health } from './health.ts';
import { helpPage } from './help.ts';
import { hosts } from './hosts.ts';
import { type Command, CommandProblem, type Io, type Run } from './io.ts';

/** The commands that are clients of a running server. */
export const commands: Readonly<Record<string, Command>> = {
  env,
  hosts,
  explain,
  doctor,
  health,
  clock,
  certificates,
  device,
};

/** What those that open the store themselves do, which belongs to the composition root: here is what is said of them. */
const storeCommands = {
  start: { usage: '[flags]', summary: 'run the server until it is told to stop' },
  backup: { usage: 'FILE', summary: 'write store and keys into one file, while the server runs' },
  restore: { usage: 'FILE', summary: 'make an empty data folder, or database, what a backup holds' },
} as const;

export type StoreCommands = Readonly<Record<keyof typeof storeCommands, Run>>;

/**
 * Runs one command line and turns what a user can mend into a sentence on standard error. Exit codes: 0 done, 1 it could not
 * be done, 2 the command line makes no sense. What is a mistake of ours rises.
 */
export const runCommand = async (argv: readonly string[], io: Io, own: StoreCommands): Promise<number> => {
  const { start, backup, restore } = storeCommands;
  const table: Readonly<Record<string, Command>> = {
    start: { ...start, run: own.start },
    ...commands,
    backup: { ...backup, run: own.backup },
    restore: { ...restore, run: own.restore },
  };
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
