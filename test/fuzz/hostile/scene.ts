/** What an attack is given, and what it tells. */
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import mqttPacket, { type Packet } from 'mqtt-packet';

export interface Scene {
  readonly apiPort: number;
  readonly mqttPort: number;
  /** HTTPS and WebSocket. */
  readonly httpsPort: number;
  /** A certificate that may do everything, and one that nobody registered. */
  readonly registered: { readonly cert: string; readonly key: string };
  readonly stranger: { readonly cert: string; readonly key: string };
  /** Connections that the attack holds or makes at once. */
  readonly connections: number;
  /** How long it goes on. */
  readonly ms: number;
}

/** Counts by the attack's own words; a word that begins with `wrong` is a finding. */
export type Tally = Record<string, number>;

export type Attack = (scene: Scene, tally: (word: string, by?: number) => void) => Promise<void>;

/** A TCP connection that nothing surprises. It is counted when it opens and when it ends. */
export const dial = (port: number, tally: (word: string) => void): Socket => {
  const socket = connectTcp({ port, host: '127.0.0.1', noDelay: true });
  socket.on('connect', () => tally('opened'));
  socket.on('error', () => {});
  socket.on('close', () => tally('closed'));
  socket.resume();
  return socket;
};

/** TLS with a certificate, or without one where the port lets that pass. */
export const dialTls = (
  port: number,
  who: Scene['registered'] | undefined,
  tally: (word: string) => void,
): TLSSocket => {
  const socket = connectTls({
    port,
    host: '127.0.0.1',
    servername: 'localhost',
    rejectUnauthorized: false,
    ...who,
  });
  socket.setNoDelay(true);
  socket.on('secureConnect', () => tally('secured'));
  socket.on('error', () => {});
  socket.on('close', () => tally('closed'));
  socket.resume();
  return socket;
};

export type Version = 4 | 5;

export const packet = (version: Version, content: Packet): Buffer =>
  mqttPacket.generate(content, { protocolVersion: version });

export const connectPacket = (version: Version, clientId: string, clean = true): Buffer =>
  packet(version, {
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: version,
    clientId,
    clean,
    keepalive: 600,
    ...(version === 5 && !clean && { properties: { sessionExpiryInterval: 600 } }),
  });

/** A connected device; its bytes may be written at once, the server reads them after CONNECT. `clean` false: its session is kept. */
export const device = (
  scene: Scene,
  tally: (word: string) => void,
  { version = 4, clientId, clean = true }: { version?: Version; clientId: string; clean?: boolean },
): TLSSocket => {
  const socket = dialTls(scene.mqttPort, scene.registered, tally);
  socket.write(connectPacket(version, clientId, clean));
  return socket;
};

/** PUBLISH of version 3.1.1. */
export const publish = (
  topic: string,
  bytes: number,
  { qos = 0, retain = false }: { qos?: 0 | 1; retain?: boolean } = {},
): Buffer =>
  packet(4, { cmd: 'publish', topic, payload: Buffer.alloc(bytes, 0x78), qos, dup: false, retain, messageId: 7 });
export const subscribe = (filters: readonly string[], messageId = 1): Buffer =>
  packet(4, { cmd: 'subscribe', messageId, subscriptions: filters.map((topic) => ({ topic, qos: 1 as const })) });
export const unsubscribe = (filters: readonly string[]): Buffer =>
  packet(4, { cmd: 'unsubscribe', messageId: 2, unsubscriptions: [...filters] });
export const times = (count: number, bytes: Buffer): Buffer => Buffer.alloc(count * bytes.length, bytes);

/** Resolves when it is time, or at once when that has passed. */
export const until = (atMs: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, Math.max(0, atMs - performance.now())));

/** Keeps `count` of something going until the time is over: `one` makes one and resolves when it is gone. */
export const keepBusy = async (count: number, ms: number, one: (index: number) => Promise<void>): Promise<void> => {
  const endMs = performance.now() + ms;
  const lane = async (index: number): Promise<void> => {
    while (performance.now() < endMs) await one(index);
  };
  await Promise.all(Array.from({ length: count }, (_, index) => lane(index)));
};

export const gone = (socket: Socket): Promise<void> =>
  new Promise((resolve) => (socket.closed ? resolve() : socket.once('close', () => resolve())));

/** Writes again and again, as fast as the peer reads, until the time is over or the socket is gone. Resolves with the bytes written. */
export const flood = async (socket: Socket, bytes: Buffer, endMs: number): Promise<number> => {
  let written = 0;
  let wake = (): void => {};
  const onWake = (): void => wake();
  socket.on('drain', onWake).on('close', onWake);
  while (performance.now() < endMs && socket.writable) {
    written += bytes.length;
    const ready = socket.write(bytes);
    await new Promise<void>((resolve) => {
      wake = resolve;
      if (ready) setImmediate(resolve);
      else setTimeout(resolve, Math.max(0, endMs - performance.now()));
    });
  }
  return written;
};
