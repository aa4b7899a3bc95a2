/** The `fleetgate` command's process: its input and output, `start` with its signals, and what is fatal. */
import { fileURLToPath } from 'node:url';
import { startBox } from './cli/box.ts';
import { runCommand } from './cli/commands.ts';
import { CommandProblem, type Io, type Run } from './cli/io.ts';
import { readConfig, version } from './config.ts';
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

const start: Run = async (argv, io) => {
  const config = readConfig(argv, io.env);
  const stop = toldToStop();
  // the whole server takes half a second to load, which the other commands need not wait for
  const { startNode } = await import('./node.ts');
  const node = await startNode(config).catch((error: unknown) => {
    throw isForOperator(error) ? new CommandProblem(error.message, { cause: error }) : error;
  });
  const { apiUrl, mqttHost, mqttPort, rootFile: caFile, account, generatedRootKey } = node;
  const rootKey = generatedRootKey && { rootKey: generatedRootKey };
  io.out(startBox({ version, apiUrl, mqttHost, mqttPort, caFile, ...account, program: io.program, ...rootKey }));
  await stop;
  await node.close();
  return 0;
};

/** Runs one command line; resolves with its exit code. */
export const run = (argv: readonly string[]): Promise<number> => {
  // whoever read our output may have gone (`| head`): that is no reason to stop serving
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  const io: Io = {
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
    env: process.env,
    terminal: process.stdout.isTTY === true,
    program: [fileURLToPath(new URL('../bin/fleetgate.js', import.meta.url))],
    version,
    now: Date.now,
  };
  return runCommand(argv, io, start);
};
