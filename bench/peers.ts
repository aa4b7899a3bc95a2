/** The servers that are measured, each a process of its own on the server's core: Fleetgate, mosquitto, and a bare TLS echo. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { pinned } from './cores.ts';
import type { Identities } from './identities.ts';
import { registerDevices } from './registry.ts';

export interface Peer {
  readonly name: string;
  readonly pid: number;
  readonly port: number;
  readonly echo: boolean;
  stop(): Promise<void>;
}

export interface Place {
  readonly folder: string;
  readonly core: number | undefined;
  readonly identities: Identities;
}

const pathOf = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const startMsMax = 15_000;

export const startPinned = (
  core: number | undefined,
  command: readonly string[],
  stderr: 'inherit' | 'ignore' = 'inherit',
): ChildProcess => {
  const [program = '', ...args] = pinned(core, command);
  return spawn(program, args, { stdio: ['ignore', 'pipe', stderr] });
};

/** The first line of output that matches, as its groups; the rest is read and dropped. Rejects when the process ends before. */
export const saidBy = async (child: ChildProcess, pattern: RegExp): Promise<readonly string[]> => {
  const lines = createInterface({ input: child.stdout! });
  const said = new Promise<readonly string[]>((resolve, reject) => {
    lines.on('line', (line) => {
      const found = pattern.exec(line);
      if (found) resolve(found);
    });
    lines.on('close', () => reject(new Error(`a server ended before it said ${pattern}`)));
  });
  return said;
};

export const stopChild = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'close');
  child.kill('SIGTERM');
  await closed;
};

const peerOf = (child: ChildProcess, facts: Pick<Peer, 'name' | 'port' | 'echo'>): Peer => ({
  ...facts,
  pid: child.pid!,
  stop: () => stopChild(child),
});

export const startEcho = async ({ core, identities }: Place): Promise<Peer> => {
  const files = [identities.serverCertFile, identities.serverKeyFile];
  const child = startPinned(core, [process.execPath, pathOf('echo.ts'), ...files]);
  const [, port] = await saidBy(child, /^port (\d+)$/);
  return peerOf(child, { name: 'bare echo', port: Number(port), echo: true });
};

export interface FleetgatePeer extends Peer {
  readonly apiPort: number;
}

/** `fleetgate start` with the bench's server certificate; all devices registered with one policy that says what mosquitto's ACL says. */
export const startFleetgate = (place: Place): Promise<FleetgatePeer> =>
  start(place, 'fleetgate', pathOf('../bin/fleetgate.js'));

/** An earlier commit, whose checkout the environment names; undefined without. */
export const startEarlier = async (place: Place): Promise<FleetgatePeer | undefined> => {
  const checkout = process.env['FLEETGATE_BENCH_EARLIER'];
  return checkout === undefined ? undefined : start(place, 'earlier', join(checkout, 'bin/fleetgate.js'));
};

const start = async ({ folder, core, identities }: Place, name: string, program: string): Promise<FleetgatePeer> => {
  const { serverCertFile, serverKeyFile, devices } = identities;
  const data = join(folder, `fleetgate-${process.hrtime.bigint()}`);
  const ports = ['--api-port', '0', '--mqtt-port', '0', '--https-port', '0', '--metrics-port', '0'];
  const flags = ['--data', data, ...ports, '--log-level', 'error'];
  const chain = ['--server-cert', serverCertFile, '--server-key', serverKeyFile];
  const child = startPinned(core, [process.execPath, program, 'start', ...flags, ...chain]);
  const mqtt = saidBy(child, /^ +MQTT over TLS +\S+:(\d+)$/);
  const [, apiPort] = await saidBy(child, /^ +API +http:\S+:(\d+)$/);
  const [, port] = await mqtt;
  await registerDevices(Number(apiPort), devices);
  return { ...peerOf(child, { name, port: Number(port), echo: false }), apiPort: Number(apiPort) };
};

const freePort = async (): Promise<number> => {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return address && typeof address === 'object' ? address.port : 0;
};

const acceptsConnections = async (port: number, untilMs: number): Promise<void> => {
  const socket = net.connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
  } catch (error) {
    if (performance.now() > untilMs) throw error;
    await new Promise((resolve) => setTimeout(resolve, 20));
    await acceptsConnections(port, untilMs);
  } finally {
    socket.destroy();
  }
};

/** Where Debian puts it; a user's PATH often lacks sbin. */
const mosquittoPrograms = ['mosquitto', '/usr/sbin/mosquitto'];

const mosquittoProgram = (): string | undefined =>
  mosquittoPrograms.find((program) => {
    try {
      execFileSync(program, ['-h'], { stdio: 'ignore' });
      return true;
    } catch (error) {
      return !(error instanceof Error && 'code' in error && error.code === 'ENOENT');
    }
  });

/** mosquitto with client certificates required, the subject as user name, and an ACL; undefined where it is not installed. */
export const startMosquitto = async ({ folder, core, identities }: Place): Promise<Peer | undefined> => {
  const program = mosquittoProgram();
  if (program === undefined) return undefined;
  const port = await freePort();
  const own = join(folder, `mosquitto-${port}`);
  mkdirSync(own);
  const acl = identities.devices.map(
    ({ name }) =>
      `user ${name}\ntopic readwrite $aws/things/${name}/#\ntopic write telemetry/${name}/#\ntopic read cmd/${name}/#\ntopic readwrite bench/#\n`,
  );
  writeFileSync(join(own, 'acl'), acl.join('\n'), { mode: 0o600 });
  const settings = [
    `listener ${port} 127.0.0.1`,
    `cafile ${identities.caFile}`,
    `certfile ${identities.serverCertFile}`,
    `keyfile ${identities.serverKeyFile}`,
    'require_certificate true',
    'use_identity_as_username true',
    'allow_anonymous false',
    `acl_file ${join(own, 'acl')}`,
    'persistence false',
    'log_dest none',
    'max_inflight_messages 100',
    'max_queued_messages 0',
    'set_tcp_nodelay true',
    // otherwise root's mosquitto becomes another user, who may not read these files
    ...(process.getuid?.() === 0 ? ['user root'] : []),
  ];
  const file = join(own, 'mosquitto.conf');
  writeFileSync(file, `${settings.join('\n')}\n`);
  const child = startPinned(core, [program, '-c', file], 'ignore');
  await acceptsConnections(port, performance.now() + startMsMax);
  return peerOf(child, { name: 'mosquitto', port, echo: false });
};
