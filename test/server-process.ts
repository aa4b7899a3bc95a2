/** The server as a process of its own, as the command starts it: for stories about its death and its exit. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { fleetgateCommand } from './harness.ts';
import { storeOption } from './stores.ts';

export interface ServerProcess {
  readonly child: ChildProcess;
  /** The API's address; undefined when the process ended before it was ready. */
  readonly ready: Promise<string | undefined>;
  /** Of MQTT over TLS. */
  readonly mqttPort: Promise<number | undefined>;
  readonly exited: Promise<{ readonly code: number | null; readonly stderr: string }>;
}

export interface ServerOptions {
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Instead of the command. */
  readonly program?: string;
}

/** Nothing that the user who runs the tests has set: where programs are, and where Node keeps what it has compiled. */
export const bareEnvironment = {
  PATH: process.env['PATH'],
  NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
};

/** `fleetgate start` on free ports, over the engine that the tests run on. It does not outlive the test. */
export const spawnServer = async (
  t: Pick<TestContext, 'after'>,
  dataFolder: string,
  { flags: moreFlags = [], env = {}, program = fleetgateCommand }: ServerOptions = {},
): Promise<ServerProcess> => {
  const { store } = await storeOption(dataFolder);
  const flags = ['--https-port', '0', '--metrics-port', '0', '--log-level', 'error'];
  const ports = ['--api-port', '0', '--mqtt-port', '0', ...flags, ...moreFlags];
  const child = spawn(process.execPath, [program, 'start', '--data', dataFolder, ...ports], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...bareEnvironment, ...(store !== undefined && { FLEETGATE_STORE: store }), ...env },
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const { promise: ready, resolve: isReady } = Promise.withResolvers<string | undefined>();
  const { promise: mqttPort, resolve: hasPort } = Promise.withResolvers<number | undefined>();
  createInterface({ input: child.stdout })
    .on('line', (line) => {
      const [, url] = /^ +API +(http:\S+)$/.exec(line) ?? [];
      if (url !== undefined) isReady(url);
      const [, port] = /^ +MQTT over TLS +\S+:(\d+)$/.exec(line) ?? [];
      if (port !== undefined) hasPort(Number(port));
    })
    .on('close', () => {
      isReady(undefined);
      hasPort(undefined);
    });
  const exited = once(child, 'close').then(([code]: (number | null)[]) => ({ code: code ?? null, stderr }));
  t.after(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  return { child, ready, mqttPort, exited };
};
