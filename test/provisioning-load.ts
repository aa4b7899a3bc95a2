/** A fleet that is provisioned by claim against one server: how many devices come in a second, how long one takes, and what the key pool has left. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { ClaimConnection, makeClaim, makeCsr, placeOf, registerTopic, thingPrefix } from './claim-connection.ts';
import { parseExposition } from './exposition.ts';
import { createTopic, csrTopic } from './fleet.ts';
import type { ServerOptions, ServerProcess } from './server-process.ts';

const kinds = ['csr', 'keys'] as const;
type Kind = (typeof kinds)[number];
/** So many that none of them publishes more often than AWS's 100 times in a second. */
const connectionsOf: Readonly<Record<Kind, number>> = { csr: 24, keys: 8 };

export interface ProvisioningLoadPlan {
  readonly dataFolder: string;
  /** Half of them with a CSR, half with keys of the service. */
  readonly devices: number;
  spawn(options: ServerOptions): Promise<ServerProcess>;
}

export interface ProvisioningLoad {
  readonly provisioned: number;
  /** What was refused or lost, as text. */
  readonly refused: readonly string[];
  readonly report: readonly string[];
}

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert(typeof address === 'object' && address !== null);
  server.close();
  await once(server, 'close');
  return address.port;
};

const percentile = (sorted: readonly number[], part: number): string =>
  (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN).toFixed(0);

export const loadProvisioning = async ({
  dataFolder,
  devices,
  spawn,
}: ProvisioningLoadPlan): Promise<ProvisioningLoad> => {
  const metricsPort = await freePort();
  const server = await spawn({ flags: ['--metrics-port', String(metricsPort)] });
  const url = await server.ready;
  if (url === undefined) assert.fail(`the server did not start: ${(await server.exited).stderr}`);
  const mqttPort = (await server.mqttPort) ?? assert.fail('the server has no port for MQTT');
  const claim = await makeClaim(url);
  const place = placeOf(mqttPort, await readFile(join(dataFolder, 'root-ca.pem'), 'utf8'), claim);
  const csr = makeCsr();
  const refused: string[] = [];
  let provisioned = 0;

  const keyPool = async (): Promise<{ readonly stock: number; readonly waiting: number }> => {
    const families = parseExposition(await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text());
    const value = (name: string): number => families.get(name)?.samples[0]?.value ?? assert.fail(`no ${name}`);
    return { stock: value('fleetgate_key_pairs'), waiting: value('fleetgate_key_pair_waiters') };
  };

  const provision = async (connection: ClaimConnection, kind: Kind, SerialNumber: string): Promise<boolean> => {
    const made = await (kind === 'csr' ? connection.ask(csrTopic, csr) : connection.ask(createTopic, {}));
    if (!made?.isAccepted) {
      refused.push(`${SerialNumber}: ${JSON.stringify(made?.members)}`);
      return false;
    }
    const { certificateOwnershipToken } = made.members;
    const born = await connection.ask(registerTopic, { certificateOwnershipToken, parameters: { SerialNumber } });
    if (born?.isAccepted && born.members['thingName'] === `${thingPrefix}${SerialNumber}`) return true;
    refused.push(`${SerialNumber}: ${JSON.stringify(born?.members)}`);
    return false;
  };

  /** All devices of a kind; answers the line of the report. */
  const run = async (kind: Kind): Promise<string> => {
    const count = Math.ceil(devices / kinds.length);
    const times: number[] = [];
    let last = 0;
    const startMs = performance.now();
    const work = async (_: unknown, index: number): Promise<void> => {
      const connection = await ClaimConnection.open(place, `${kind}${index}`);
      assert(connection, 'a claimant was not let in');
      while (last < count && !connection.isClosed) {
        const serialNumber = `${kind}-${++last}`;
        const fromMs = performance.now();
        if (await provision(connection, kind, serialNumber)) provisioned++;
        times.push(performance.now() - fromMs);
      }
      refused.push(...connection.surprises);
      connection.drop();
    };
    await Promise.all(Array.from({ length: connectionsOf[kind] }, work));
    const seconds = (performance.now() - startMs) / 1000;
    times.sort((a, b) => a - b);
    const name = kind === 'csr' ? 'with a CSR' : 'with keys of the service';
    return `${name}: ${count} devices, ${(count / seconds).toFixed(0)} per second, p50 ${percentile(times, 0.5)} ms, p99 ${percentile(times, 0.99)} ms`;
  };

  let mostWaiting = 0;
  const startMs = performance.now();
  let isOver = false;
  const watch = async (): Promise<void> => {
    while (!isOver) {
      mostWaiting = Math.max(mostWaiting, (await keyPool()).waiting);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  };
  const watching = watch();
  const lines = await Promise.all(kinds.map(run)).finally(() => {
    isOver = true;
  });
  const perSecond = (devices / (performance.now() - startMs)) * 1000;
  await watching;
  const { stock, waiting } = await keyPool();
  server.child.kill('SIGTERM');
  const { code, stderr } = await server.exited;
  if (code !== 0) refused.push(`the server ended with ${code}: ${stderr}`);
  return {
    provisioned,
    refused,
    report: [
      `${provisioned} of ${devices} devices by claim, ${perSecond.toFixed(0)} per second, ${refused.length} refused`,
      ...lines,
      `key pool: at most ${mostWaiting} waited for a pair; at the end ${waiting} wait and ${stock} are in stock`,
    ],
  };
};
