/** The `fleetgate` command's process: its input and output, `start` with its signals, and what is fatal. */
import { fileURLToPath } from 'node:url';
import { startBox } from './cli/box.ts';
import { runCommand } from './cli/commands.ts';
import { CommandProblem, type Io, type Run } from './cli/io.ts';
import { printable } from './cli/terminal.ts';
import { type Config, ConfigProblem, configFlags, readConfig, readFlags, version } from './config.ts';
import { StoreUnavailable } from './store/store.ts';

/**
 * Resolves at the first signal to stop. Further ones change nothing, as closing is bounded in time: a terminal's Ctrl-C comes twice, from the
 * terminal and from npm.
 */
const toldToStop = (): Promise<void> =>
  new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve());
  });

/** Whether an error is a sentence for the operator rather than a mistake of ours. */
const isForOperator = (error: unknown): error is Error =>
  error instanceof StoreUnavailable ||
  (error instanceof Error && (error.name === 'StartProblem' || error.name === 'OwnCaProblem'));

/** What an operator can mend becomes a sentence; the rest rises. */
const toSentence = (error: unknown): never => {
  throw isForOperator(error) ? new CommandProblem(error.message, { cause: error }) : error;
};

const start: Run = async (argv, io) => {
  const config = readConfig(argv, io.env);
  const stop = toldToStop();
  // the whole server takes half a second to load, which the other commands need not wait for
  const { startNode } = await import('./node.ts');
  const node = await startNode(config).catch(toSentence);
  const { apiUrl, mqttHost, mqttPort, httpsPorts, rootFile: caFile, account, generatedRootKey } = node;
  const rootKey = generatedRootKey && { rootKey: generatedRootKey };
  io.out(
    startBox({ version, apiUrl, mqttHost, mqttPort, httpsPorts, caFile, ...account, program: io.program, ...rootKey }),
  );
  await stop;
  await node.close();
  return 0;
};

/** The one operand FILE, and the settings that say where the store is. */
const readFileAndPlace = (argv: readonly string[], io: Io): { readonly file: string; readonly config: Config } => {
  const flags = configFlags.filter(({ name }) => name === 'data' || name === 'store');
  const { values, positionals } = readFlags(argv, flags);
  const [file, ...more] = positionals;
  if (file === undefined || more.length > 0) throw new ConfigProblem('Name one FILE, and nothing more.');
  const settings = [...values].flatMap(([name, value]) => [`--${name}`, value]);
  return { file, config: readConfig(settings, io.env) };
};

const backup: Run = async (argv, io) => {
  const { file, config } = readFileAndPlace(argv, io);
  const { backup: takeBackup } = await import('./backup.ts');
  const { rows, files } = await takeBackup(config, file).catch(toSentence);
  io.out(
    `${printable(file)} holds ${rows} rows and ${files} files of ${printable(config.dataFolder)}. It holds keys too: keep it private.\n`,
  );
  return 0;
};

const restore: Run = async (argv, io) => {
  const { file, config } = readFileAndPlace(argv, io);
  const { restore: putBack } = await import('./backup.ts');
  const { rows, files } = await putBack(config, file).catch(toSentence);
  io.out(`${printable(config.dataFolder)} is what ${printable(file)} held: ${rows} rows and ${files} files.\n`);
  return 0;
};

/** Runs one command line; resolves with its exit code. */
export const run = (argv: readonly string[]): Promise<number> => {
  // whoever read our output may have gone (`| head`): that is no reason to stop serving
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  const io: Io = {
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
    get input() {
      return process.stdin;
    },
    env: process.env,
    terminal: process.stdout.isTTY === true,
    program: [fileURLToPath(new URL('../bin/fleetgate.js', import.meta.url))],
    version,
    now: Date.now,
  };
  return runCommand(argv, io, { start, backup, restore });
};
