/** Devices for stories: MQTT.js over TLS or WebSocket with a certificate, and what they see. Nothing is sent again or reconnected behind a story's back. */
import { readFile } from 'node:fs/promises';
import type { TLSSocket } from 'node:tls';
import mqtt from 'mqtt';
import type { FleetNode } from '../src/index.ts';
import type { Identity } from './harness.ts';
import { within } from './within.ts';

export interface DeviceOptions {
  readonly clientId: string;
  /** 4 = MQTT 3.1.1, the default. */
  readonly version?: 4 | 5;
  /** SNI; `localhost`, the default account, without it. */
  readonly serverName?: string;
  /** Of an earlier connection, to be resumed. */
  readonly session?: Buffer;
  readonly tls?: 'TLSv1.2' | 'TLSv1.3';
  /** Over the port of HTTPS. */
  readonly transport?: 'websocket';
  /** `false`: the session is kept when the device leaves. Default true. */
  readonly clean?: boolean;
  readonly will?: { readonly topic: string; readonly payload: string };
}

/** How a connection ended. */
export interface Closing {
  /** By `performance.now()`. */
  readonly atMs: number;
  /** Of the server's DISCONNECT; v5 only. */
  readonly reasonCode: number | undefined;
}

export interface Device {
  readonly client: mqtt.MqttClient;
  readonly socket: TLSSocket;
  /** `topic payload` of every message so far. */
  readonly received: readonly string[];
  /** Resolves when a message has come, by `topic payload`. */
  until(message: string): Promise<void>;
  /** Resolves when the socket is closed. */
  closed(): Promise<Closing>;
  /** A TLS session that can be resumed. */
  readonly session: Promise<Buffer>;
}

/** Resolves when the server has accepted the connection; rejects when it has not. */
export const connectDevice = async (
  node: Pick<FleetNode, 'mqttPort' | 'rootPem'> & Partial<Pick<FleetNode, 'httpsPort'>>,
  identity: Identity,
  options: DeviceOptions,
): Promise<Device> => {
  const { clientId, version = 4, serverName = 'localhost', session, tls, clean = true, will, transport } = options;
  const [cert, key] = await Promise.all([readFile(identity.certFile), readFile(identity.keyFile)]);
  const url = transport ? `wss://localhost:${node.httpsPort}/mqtt` : `mqtts://127.0.0.1:${node.mqttPort}`;
  const client = mqtt.connect(url, {
    clientId,
    protocolVersion: version,
    clean,
    servername: serverName,
    ca: node.rootPem,
    cert,
    key,
    reconnectPeriod: 0,
    ...(version === 5 && !clean && { properties: { sessionExpiryInterval: 600 } }),
    ...(session && { session }),
    ...(tls && { minVersion: tls, maxVersion: tls }),
    ...(will && { will: { topic: will.topic, payload: Buffer.from(will.payload), qos: 0, retain: false } }),
  });
  // MQTT.js types its stream as any duplex; with mqtts it is a TLS socket, and no story looks at that of a WebSocket
  const socket = client.stream as TLSSocket;
  const received: string[] = [];
  let reasonCode: number | undefined;
  client.on('message', (topic, payload) => received.push(`${topic} ${payload}`));
  client.on('disconnect', (packet) => {
    reasonCode = packet.reasonCode;
  });
  const sessions = Promise.withResolvers<Buffer>();
  socket.on('session', sessions.resolve);
  const closed = new Promise<Closing>((resolve) => {
    const settle = (): void => resolve({ atMs: performance.now(), reasonCode });
    if (transport) client.once('close', settle);
    else socket.once('close', settle);
  });
  const accepted = Promise.withResolvers<void>();
  client.once('connect', () => accepted.resolve());
  client.on('error', accepted.reject);
  void closed.then(() => accepted.reject(new Error(`${clientId} was not let in`)));
  await within(accepted.promise, `CONNACK for ${clientId}`);

  const arrival = async (message: string): Promise<void> => {
    while (!received.includes(message)) {
      const next = new Promise<void>((resolve) => client.once('message', () => resolve()));
      const end = closed.then(() => Promise.reject(new Error(`${clientId} was closed before ${message} came`)));
      await Promise.race([next, end]);
    }
  };
  return {
    client,
    socket,
    received,
    until: (message) => within(arrival(message), `${message} for ${clientId}`),
    closed: () => within(closed, `the end of ${clientId}`),
    session: sessions.promise,
  };
};
