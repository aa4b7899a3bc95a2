/** Healthy clients, and how long they wait: a device with an open connection, devices that arrive, and callers of the API on old and new connections. */
import { Agent, request } from 'node:http';
import { signRequest } from '../../../src/aws/sigv4.ts';
import { connectDevice } from '../../device.ts';
import type { Identity } from '../../harness.ts';
import type { Server } from './server.ts';

export const kinds = ['message', 'api', 'new api', 'new device'] as const;
export type Kind = (typeof kinds)[number];

/** Waits of one kind in milliseconds, and those that came to nothing. */
export interface Waits {
  readonly ms: readonly number[];
  readonly failed: number;
  /** Why the first of them failed. */
  readonly failure: string;
}

const everyMs: Readonly<Record<Kind, number>> = { message: 20, api: 50, 'new api': 100, 'new device': 250 };
const waitMsMax = 10_000;

/** The smallest wait that a share of all waits does not exceed; 0 for none. */
export const quantile = (ms: readonly number[], share: number): number =>
  [...ms].sort((a, b) => a - b)[Math.min(ms.length - 1, Math.floor(ms.length * share))] ?? 0;

const callApi = (server: Server, agent: Agent | false): Promise<void> =>
  new Promise((resolve, reject) => {
    const body = JSON.stringify({ attributePayload: { attributes: { a: 'b' } } });
    const key = { accessKeyId: 'test', secretAccessKey: 'test', region: 'us-east-1', service: 'iot' };
    const url = `${server.apiUrl}/things/healthy`;
    const headers = signRequest({ method: 'PATCH', url, body, ...key, nowMs: Date.now() });
    const options = {
      method: 'PATCH',
      headers: { ...headers, 'content-length': Buffer.byteLength(body) },
      timeout: waitMsMax,
    };
    const sent = request(url, { ...options, agent }, (response) => {
      response.resume();
      response.on('end', () =>
        response.statusCode === 200 ? resolve() : reject(new Error(`HTTP ${response.statusCode}`)),
      );
    });
    sent.on('timeout', () => sent.destroy(new Error('timeout')));
    sent.on('error', reject);
    sent.end(body);
  });

export interface Probe {
  /** What was measured since the last call. */
  take(): Readonly<Record<Kind, Waits>>;
  /** The device's connection has never been lost. */
  readonly connected: boolean;
  close(): Promise<void>;
}

/** Begins to measure; the thing `healthy` must exist. */
export const startProbe = async (server: Server, identity: Identity): Promise<Probe> => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const device = await connectDevice(server, identity, { clientId: 'healthy' });
  device.socket.setNoDelay(true); // or the client's own wait for an ACK is all that is measured
  await device.client.subscribeAsync('healthy/#', { qos: 1 });
  let connected = true;
  let closing = false;
  device.socket.once('close', () => {
    connected = closing;
  });
  let arrivals = 0;
  const fresh = (): Record<Kind, { ms: number[]; failed: number; failure: string }> => ({
    message: { ms: [], failed: 0, failure: '' },
    api: { ms: [], failed: 0, failure: '' },
    'new api': { ms: [], failed: 0, failure: '' },
    'new device': { ms: [], failed: 0, failure: '' },
  });
  let waits = fresh();
  const actions: Readonly<Record<Kind, () => Promise<unknown>>> = {
    async message() {
      const payload = String(++arrivals);
      const heard = new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => finish(() => reject(new Error('no echo'))), waitMsMax).unref();
        const hear = (_topic: string, message: Buffer): void => {
          if (String(message) === payload) finish(resolve);
        };
        const finish = (then: () => void): void => {
          clearTimeout(timer);
          device.client.off('message', hear);
          then();
        };
        device.client.on('message', hear);
      });
      await Promise.all([device.client.publishAsync('healthy/echo', payload, { qos: 1 }), heard]);
    },
    api: () => callApi(server, agent),
    'new api': () => callApi(server, false),
    async 'new device'() {
      const { client } = await connectDevice(server, identity, { clientId: `arrival-${++arrivals}` });
      client.end(true);
    },
  };
  const loops = kinds.map(async (kind) => {
    while (!closing) {
      const startedAt = performance.now();
      const into = waits[kind];
      try {
        await actions[kind]();
        into.ms.push(performance.now() - startedAt);
      } catch (error) {
        if (closing) return;
        into.failed++;
        into.failure ||= String(error);
      }
      const left = everyMs[kind] - (performance.now() - startedAt);
      await new Promise((resolve) => setTimeout(resolve, Math.max(left, 1)));
    }
  });
  return {
    take() {
      const taken = waits;
      waits = fresh();
      return taken;
    },
    get connected() {
      return connected;
    },
    async close() {
      closing = true;
      device.client.end(true);
      agent.destroy();
      await Promise.race([Promise.all(loops), new Promise((resolve) => setTimeout(resolve, 1_000).unref())]);
    },
  };
};
