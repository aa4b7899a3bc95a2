/** The server as a process of its own, and how much memory it takes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fleetgateCommand } from '../../harness.ts';

export interface Server {
  readonly apiUrl: string;
  readonly apiPort: number;
  readonly mqttPort: number;
  readonly httpsPort: number;
  readonly rootPem: string;
  /** Resident memory in bytes now; 0 where the system does not tell (it has no /proc), NaN when the process is gone. */
  residentBytes(): Promise<number>;
  /** What it wrote to its log: nothing but warnings and errors. */
  log(): string;
  readonly alive: boolean;
  /** Stops it, and removes its data. */
  close(): Promise<void>;
}

const field = (json: unknown, name: string): unknown =>
  typeof json === 'object' && json !== null ? Object.entries(json).find(([key]) => key === name)?.[1] : undefined;

/** Starts `fleetgate start` on free ports, with the bounds of every installation. */
export const startServer = async (): Promise<Server> => {
  const folder = await mkdtemp(join(tmpdir(), 'fleetgate-hostile-'));
  const ports = ['--api-port', '0', '--mqtt-port', '0', '--https-port', '0', '--metrics-port', '0'];
  const flags = ['--data', folder, ...ports, '--log-level', 'error'];
  const child = spawn(process.execPath, [fleetgateCommand, 'start', ...flags], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] },
  });
  // whoever ends this process in the middle of a siege leaves nothing behind
  const atExit = (): void => {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  };
  process.once('exit', atExit);
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log = `${log}${text}`.slice(-65_536);
  });
  const exited = once(child, 'close');
  const apiUrl = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout })
      .on('line', (line) => {
        const [, url] = /^ +API +(http:\S+)$/.exec(line) ?? [];
        if (url !== undefined) resolve(url);
      })
      .on('close', () => reject(new Error(`The server ended: ${log}`)));
  });
  const health: unknown = await (await fetch(`${apiUrl}/_fleetgate/health`)).json();
  return {
    apiUrl,
    apiPort: Number(new URL(apiUrl).port),
    mqttPort: Number(field(health, 'mqttPort')),
    httpsPort: Number(field(field(health, 'httpsPorts'), '0')),
    rootPem: await (await fetch(`${apiUrl}/root-ca.pem`)).text(),
    async residentBytes() {
      if (process.platform !== 'linux') return 0;
      const status = await readFile(`/proc/${child.pid}/status`, 'utf8').catch(() => '');
      return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN) * 1024;
    },
    log: () => log,
    get alive() {
      return child.exitCode === null && child.signalCode === null;
    },
    async close() {
      child.kill('SIGTERM');
      const patience = setTimeout(() => child.kill('SIGKILL'), 10_000);
      await exited;
      clearTimeout(patience);
      process.off('exit', atExit);
      await rm(folder, { recursive: true, force: true });
    },
  };
};
