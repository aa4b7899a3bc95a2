/** Attacks on a server of its own process, one after the other or together, with healthy clients beside them; and one line on each of what they cost. */
import { setTimeout as wait } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { CreateThingCommand } from '@aws-sdk/client-iot';
import { selfSigned, throwAwayFolder } from '../../throw-away-certificates.ts';
import { allowEverything, registerHealthy } from '../healthy.ts';
import type { Orders } from './attacker.ts';
import { type Kind, kinds, quantile, startProbe, type Waits } from './probe.ts';
import type { Scene, Tally } from './scene.ts';
import { type Server, startServer } from './server.ts';

export interface Report {
  readonly attacks: readonly string[];
  readonly peakBytes: number;
  readonly waits: Readonly<Record<Kind, Waits>>;
  readonly tally: Tally;
  /** What must not be, in sentences. */
  readonly findings: readonly string[];
}

export interface Siege {
  /** Without attacks: how it is when all is calm. */
  run(attacks: readonly string[], size: Pick<Scene, 'connections' | 'ms'>): Promise<Report>;
  /** The server's resident memory before any attack. */
  readonly calmBytes: number;
  residentBytes(): Promise<number>;
  close(): Promise<void>;
}

/** Generous: a healthy client may wait, but not give up. A machine of two cores carries server, attacker and clients at once. */
export const waitMsMax = 5_000;
/** Memory that attacks may cost beyond the calm, by the bounds of the limits and what sockets take. */
export const growthBytesMax = 700 * 1_048_576;

const attack = (orders: Orders): Promise<Tally> =>
  new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./attacker.ts', import.meta.url), { workerData: orders });
    worker.once('message', (tally: Tally) => {
      resolve(tally);
      void worker.terminate(); // what it still waits for, it waits for in vain
    });
    worker.once('error', reject);
    worker.once('exit', () => reject(new Error(`${orders.attack} ended early`)));
  });

/** Old connections keep being served whatever happens; those who arrive may be refused while a flood lasts, but not for good. */
const judge = (
  server: Server,
  connected: boolean,
  waits: Report['waits'],
  grownBytes: number,
  tally: Tally,
): string[] => {
  const findings: string[] = [];
  if (!server.alive) findings.push(`the server ended: ${server.log().slice(0, 2_000)}`);
  if (!connected) findings.push('the healthy device lost its connection');
  for (const kind of ['message', 'api'] as const) {
    const { failed, failure, ms } = waits[kind];
    if (failed > 0) findings.push(`${failed} of ${failed + ms.length} (${kind}) failed: ${failure}`);
    if (quantile(ms, 0.99) > waitMsMax) findings.push(`${kind}: p99 above ${waitMsMax} ms`);
  }
  if (grownBytes > growthBytesMax) findings.push(`memory grew by ${Math.round(grownBytes / 1_048_576)} MB`);
  findings.push(...Object.keys(tally).filter((word) => word.startsWith('wrong')));
  return findings;
};

export const startSiege = async (): Promise<Siege> => {
  const server = await startServer();
  const healthy = await registerHealthy(server.apiUrl);
  await healthy.iot.send(new CreateThingCommand({ thingName: 'healthy' }));
  const folder = throwAwayFolder();
  const known = selfSigned(folder, 'known', 'ec');
  const stranger = selfSigned(folder, 'stranger', 'ec');
  await allowEverything(healthy.iot, known.certificatePem);
  const probe = await startProbe(server, healthy.identity);
  const base = {
    apiPort: server.apiPort,
    mqttPort: server.mqttPort,
    httpsPort: server.httpsPort,
    registered: { cert: known.certificatePem, key: known.keyPem },
    stranger: { cert: stranger.certificatePem, key: stranger.keyPem },
  };
  const calmBytes = await server.residentBytes();
  return {
    calmBytes,
    residentBytes: () => server.residentBytes(),
    async run(names, size) {
      probe.take();
      let peakBytes = 0;
      let done = false;
      const watching = (async () => {
        while (!done) {
          peakBytes = Math.max(peakBytes, await server.residentBytes());
          await wait(100);
        }
      })();
      const started = names.map((name) => attack({ attack: name, scene: { ...base, ...size } }));
      const tallies = await Promise.all(started.length > 0 ? started : [wait(size.ms, {})]);
      done = true;
      await watching;
      const waits = probe.take();
      const tally: Tally = {};
      for (const [word, count] of tallies.flatMap((each) => Object.entries(each)))
        tally[word] = (tally[word] ?? 0) + count;
      const findings = judge(server, probe.connected, waits, peakBytes - calmBytes, tally);
      return { attacks: names, peakBytes, waits, tally, findings };
    },
    async close() {
      await probe.close();
      await healthy.close();
      await server.close();
    },
  };
};

const megabytes = (bytes: number): string => `${Math.round(bytes / 1_048_576)} MB`;

/** One line: memory, then what each kind of healthy client waited (p50, p99, largest, in ms), then the attack's own counts. */
export const reportLine = ({ attacks, peakBytes, waits, tally }: Report): string => {
  const shown = kinds.map((kind) => {
    const { ms, failed } = waits[kind];
    const [p50, p99, max] = [0.5, 0.99, 1].map((share) => quantile(ms, share).toFixed(1));
    return `${kind} ${p50}/${p99}/${max} ms${failed > 0 ? ` (${failed} of ${failed + ms.length} failed)` : ''}`;
  });
  const counts = Object.entries(tally).map(([word, count]) => `${count} ${word}`);
  return [attacks.join(' + ') || 'calm', megabytes(peakBytes), ...shown, ...counts].join('; ');
};
