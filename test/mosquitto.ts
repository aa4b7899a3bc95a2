/** mosquitto's command-line clients, run as a person runs them, but without a shell between: any word can be a client id or a topic. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

/** What stands on the command line; an option that is left out is not passed. */
export interface MosquittoOptions {
  readonly host: string;
  readonly port: number;
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
  readonly clientId?: string;
  /** The only version offered; without it the best of both sides, TLS 1.3. */
  readonly tls?: '1.2' | '1.3';
  /** 4 = MQTT 3.1.1, the default. */
  readonly version?: 4 | 5;
  /** The one ALPN name that is offered. */
  readonly alpn?: string;
  /** Names that stand in no DNS: a file in the form of /etc/hosts, which libnss-wrapper reads. */
  readonly hostsFile?: string;
}

export interface Ended {
  readonly code: number;
  /** What it complained of, then what it did (`-d`). */
  readonly printed: string;
}

/** A client that hangs fails its test instead of the run. */
const clientMsMax = 30_000;

const words = (options: MosquittoOptions): string[] => {
  const { host, port, caFile, certFile, keyFile, clientId, tls, version, alpn } = options;
  const given = (flag: string, value: string | undefined): string[] => (value === undefined ? [] : [flag, value]);
  return [
    ...['-d', '-h', host, '-p', String(port), '-q', '1'],
    ...given('--cafile', caFile),
    ...given('--cert', certFile),
    ...given('--key', keyFile),
    ...given('-i', clientId),
    ...given('--tls-version', tls === '1.3' ? 'tlsv1.3' : undefined),
    ...given('--tls-alpn', alpn),
    ...given('-V', version === 5 ? 'mqttv5' : undefined),
  ];
};

/** mosquitto's own `--tls-version tlsv1.2` is a lower bound: only OpenSSL's configuration can be an upper one. */
const atMostTls12 = { OPENSSL_CONF: fileURLToPath(new URL('fixtures/tls-1.2.cnf', import.meta.url)) };

/** Runs a client with its output line by line: into a pipe it would write nothing before its end. */
const run = (program: string, options: MosquittoOptions, args: readonly string[]) => {
  const child = spawn('stdbuf', ['-oL', program, ...words(options), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: clientMsMax,
    env: {
      ...process.env,
      ...(options.tls === '1.2' && atMostTls12),
      ...(options.hostsFile !== undefined && { LD_PRELOAD: 'libnss_wrapper.so', NSS_WRAPPER_HOSTS: options.hostsFile }),
    },
  });
  const out = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      out[name] += text;
      child.emit('printed');
    });
  }
  const ended = once(child, 'close').then(([code]: unknown[]): Ended => {
    return { code: typeof code === 'number' ? code : -1, printed: out.stderr + out.stdout };
  });
  return { child, out, ended };
};

/** `mosquitto_pub`: one message with QoS 1, to its end. */
export const publish = (options: MosquittoOptions, topic: string, message = 'hello'): Promise<Ended> =>
  run('mosquitto_pub', options, ['-t', topic, '-m', message]).ended;

/** `mosquitto_sub -E`: subscribes and leaves at the SUBACK. */
export const subscribeAndLeave = (options: MosquittoOptions, filter: string): Promise<Ended> =>
  run('mosquitto_sub', options, ['-E', '-t', filter]).ended;

export interface Subscriber {
  /** Everything printed so far: messages as `topic payload` between lines about packets. */
  soFar(): string;
  /** Resolves when this has been printed; rejects when the client has ended without. */
  until(text: string): Promise<void>;
}

/** `mosquitto_sub` that stays until the test ends; resolves at its SUBACK. */
export const subscribe = async (
  t: TestContext,
  options: MosquittoOptions,
  ...filters: string[]
): Promise<Subscriber> => {
  const { child, out, ended } = run('mosquitto_sub', options, ['-v', ...filters.flatMap((filter) => ['-t', filter])]);
  t.after(async () => {
    child.kill();
    await ended;
  });
  const until = async (text: string): Promise<void> => {
    while (!out.stdout.includes(text)) {
      const over = await Promise.race([once(child, 'printed').then(() => undefined), ended]);
      if (over && !out.stdout.includes(text)) throw new Error(`ended without "${text}": ${over.printed}`);
    }
  };
  await until('received SUBACK');
  return { soFar: () => out.stdout, until };
};
