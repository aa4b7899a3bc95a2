import type { Environment } from '../config.ts';

/** What a command may touch of the process that runs it. */
export interface Io {
  /** Standard output and standard error; text carries its own line ends. */
  out(text: string): void;
  err(text: string): void;
  /** Standard input. */
  readonly input: AsyncIterable<Uint8Array | string>;
  readonly env: Environment;
  /** Standard output is a terminal: colours may be used. */
  readonly terminal: boolean;
  /** The words by which this program is called, e.g. `['/usr/bin/node', '/opt/fleetgate/src/main.ts']`. */
  readonly program: readonly string[];
  readonly version: string;
  /** Real time, ms since the epoch: signatures need it. */
  now(): number;
}

/** Returns the exit code: 0 done, 1 it could not be done, 2 the command line makes no sense; further ones where the command's own page says so. */
export type Run = (argv: readonly string[], io: Io) => Promise<number>;

export interface Command {
  /** What follows the command's name in `--help`. */
  readonly usage: string;
  readonly summary: string;
  /** What its own `--help` prints; the page of all commands without it. */
  readonly page?: () => string;
  readonly run: Run;
}

/** The command cannot do what was asked; `message` is a sentence for the user. Exit code 1. */
export class CommandProblem extends Error {
  override readonly name = 'CommandProblem';
}
