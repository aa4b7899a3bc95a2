/** A real DNS server: Debian's dnsmasq on a free port of loopback, which knows the records it is given and no others. */
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, Server } from 'node:net';
import type { TestContext } from 'node:test';

/** Name -> target, without the dots at their ends. */
export type Cnames = Readonly<Record<string, string>>;

export interface DnsServer {
  /** `127.0.0.1:port`, whether it runs or not. */
  readonly address: string;
  /** Answers with these records from now on. */
  serve(cnames: Cnames): Promise<void>;
  /** Nobody answers any more. */
  stop(): Promise<void>;
}

/** A domain name as it stands in DNS messages (RFC 1035 section 3.1). */
const wireOf = (name: string): string =>
  Buffer.concat([...name.split('.'), ''].map((label) => Buffer.from([label.length, ...Buffer.from(label)]))).toString(
    'hex',
  );

/** Beneath those that operating systems give to whoever asks for any, so that no connection of this machine takes one of them. */
const portsFrom = 10_000;
const portsTo = 32_000;
const triesMax = 100;

/** Of loopback, free for UDP and TCP, which a DNS server listens on both. */
export const freePort = async (): Promise<number> => {
  for (let left = triesMax; left > 0; left -= 1) {
    const port = randomInt(portsFrom, portsTo);
    if (await isPortFree(port)) return port;
  }
  throw new Error(`none of ${triesMax} ports of 127.0.0.1 is free`);
};

/** Nobody listens there, on 127.0.0.1, by UDP or TCP. */
export const isPortFree = async (port: number): Promise<boolean> =>
  (await isFree(createSocket('udp4'), port)) && (await isFree(createServer(), port));

const isFree = async (socket: Socket | Server, port: number): Promise<boolean> => {
  const listening = once(socket, 'listening');
  if (socket instanceof Server) socket.listen(port, '127.0.0.1');
  else socket.bind(port, '127.0.0.1');
  const free = await listening.then(
    () => true,
    () => false,
  );
  await new Promise<void>((closed) => {
    if (free) socket.close(() => closed());
    else closed();
  });
  return free;
};

const startMsMax = 10_000;
/** Ports that are tried: what is free for one moment may be somebody's in the next, or be taken over TCP. */
const portsMax = 5;

/** It ends with the test. */
export const startDnsServer = async (t: TestContext, cnames: Cnames = {}): Promise<DnsServer> => {
  for (let left = portsMax; ; left -= 1) {
    try {
      return await startAt(t, await freePort(), cnames);
    } catch (error) {
      if (left === 1 || !/Address already in use/.test(String(error))) throw error;
    }
  }
};

const startAt = async (t: TestContext, port: number, cnames: Cnames): Promise<DnsServer> => {
  let stopped = async (): Promise<void> => undefined;
  const serve = async (records: Cnames): Promise<void> => {
    await stopped();
    const child = spawn(
      '/usr/sbin/dnsmasq',
      [
        ...[
          '--conf-file=/dev/null',
          '--keep-in-foreground',
          '--log-facility=-',
          '--pid-file',
          '--no-resolv',
          '--no-hosts',
        ],
        ...['--listen-address=127.0.0.1', '--bind-interfaces', `--port=${port}`, '--local=/#/'],
        ...(process.getuid?.() === 0 ? ['--user=root'] : []),
        ...Object.entries(records).map(([name, target]) => `--dns-rr=${name},5,${wireOf(target)}`),
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    const exited = once(child, 'exit');
    stopped = async () => {
      child.kill('SIGKILL');
      await exited;
    };
    let said = '';
    const late = setTimeout(() => child.kill('SIGKILL'), startMsMax);
    for await (const text of child.stderr.setEncoding('utf8')) {
      said += text;
      if (said.includes('started, version')) break;
    }
    clearTimeout(late);
    child.stderr.resume();
    if (!said.includes('started, version')) throw new Error(`dnsmasq does not start: ${said}`);
  };
  await serve(cnames);
  const stop = (): Promise<void> => stopped();
  t.after(stop);
  return { address: `127.0.0.1:${port}`, serve, stop };
};
