/** A gateway on a free port with two server certificates, and what went in and out of it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import type { TLSSocket } from 'node:tls';
import type { GatewayOptions } from '../src/gateway/gate.ts';
import { type Gateway, startGateway } from '../src/gateway/listener.ts';
import type { Protocol } from '../src/gateway/protocol.ts';
import type { JournalRecord } from '../src/journal/record.ts';
import { awsLimits } from '../src/limits.ts';
import type { Peer } from '../src/mqtt/authority.ts';
import type { ServerCertificate } from '../src/tls/served-domain.ts';
import { selfSigned, throwAwayFolder } from './throw-away-certificates.ts';

/** What happens, in order, for whoever waits for it. */
export class Inbox<T> {
  readonly #items: T[] = [];
  readonly #waiting: ((item: T) => void)[] = [];
  push(item: T): void {
    const next = this.#waiting.shift();
    if (next) next(item);
    else this.#items.push(item);
  }
  next(): Promise<T> {
    const item = this.#items.shift();
    if (item !== undefined) return Promise.resolve(item);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
  get size(): number {
    return this.#items.length;
  }
}

export const account = { accountId: '111122223333', region: 'us-east-1' };
export const endpointName = 'abcdefghijklmn-ats.iot.us-east-1.example.test';
const defaultAccount = { accountId: '000000000000', region: 'us-east-1' };

const names = 'DNS:localhost,DNS:*.iot.us-east-1.example.test,IP:127.0.0.1';
const folder = throwAwayFolder();

/** Server certificates of both kinds, two devices, and a certificate that signed nothing here. */
export const identities = {
  folder,
  ec: selfSigned(folder, 'server-ec', 'ec', names),
  rsa: selfSigned(folder, 'server-rsa', 'rsa', names),
  deviceEc: selfSigned(folder, 'device-ec', 'ec'),
  deviceRsa: selfSigned(folder, 'device-rsa', 'rsa'),
  stranger: selfSigned(folder, 'stranger', 'ec', 'DNS:localhost'),
};

export interface Arrived {
  readonly tlsSocket: TLSSocket;
  readonly peer: Peer;
  readonly protocol: Protocol;
}

export interface Bed {
  readonly gateway: Gateway;
  readonly port: number;
  readonly arrived: Inbox<Arrived>;
  readonly records: Inbox<JournalRecord>;
}

/** As the gateway wants it; the same object each time. */
export const serverCertificates: Record<'ec' | 'rsa', ServerCertificate> = {
  ec: { chainPem: identities.ec.certificatePem, privateKeyPem: identities.ec.keyPem },
  rsa: { chainPem: identities.rsa.certificatePem, privateKeyPem: identities.rsa.keyPem },
};

/** Starts it and closes it with the test. What arrives is read and dropped, as a broker would read it. */
export const bootGateway = async (t: TestContext, options: Partial<GatewayOptions> = {}): Promise<Bed> => {
  const arrived = new Inbox<Arrived>();
  const records = new Inbox<JournalRecord>();
  const gateway = await startGateway({
    host: '127.0.0.1',
    port: 0,
    limits: awsLimits,
    resolve: (serverName) => {
      if (serverName === undefined) return { kind: 'absent' };
      if (serverName === 'localhost') return { kind: 'account', account: defaultAccount };
      return serverName === endpointName ? { kind: 'account', account } : { kind: 'unknown' };
    },
    serverCertificates: (_endpoint, kind) => serverCertificates[kind],
    accept: (tlsSocket, peer, protocol) => {
      tlsSocket.resume();
      arrived.push({ tlsSocket, peer, protocol });
    },
    record: (record) => records.push(record),
    now: () => 0,
    ...options,
  });
  t.after(() => gateway.close(0));
  return { gateway, port: gateway.port, arrived, records };
};

/** Waits, turn by turn of the event loop, until it is so. */
export const until = async (so: () => boolean): Promise<void> => {
  while (!so()) await new Promise((resolve) => setImmediate(resolve));
};

/** Runs a command-line client with nothing on its standard input; resolves with all that it printed. */
export const run = async (command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> => {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  let printed = '';
  child.stdout.on('data', (chunk) => {
    printed += chunk;
  });
  child.stderr.on('data', (chunk) => {
    printed += chunk;
  });
  await once(child, 'close');
  return printed;
};
