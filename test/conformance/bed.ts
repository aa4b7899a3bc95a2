/**
 * What conformance cases share: one node per file with two principals, and rows. A row says what a client sends and, for each version, what it
 * must hear, line by line; the title of its case is its place in spec gateway.md with that expectation. Expected values come from the spec.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { CreatePolicyCommand } from '@aws-sdk/client-iot';
import type { IConnectPacket } from 'mqtt-packet';
import type { StartOptions } from '../../src/index.ts';
import type { ExplainedRecord } from '../../src/journal/endpoint.ts';
import type { Reason } from '../../src/journal/record.ts';
import { nameOfAwsMetric } from '../../src/metrics/prometheus.ts';
import { parseExposition } from '../exposition.ts';
import type { Identity } from '../harness.ts';
import { readJournal } from '../journal.ts';
import {
  type DialOptions,
  handshake,
  type Packets,
  RawMqtt,
  type Received,
  shown,
  subscribe,
  type Version,
} from '../raw-mqtt.ts';
import { bootFleet, type Fleet } from '../refusal.ts';

export type ConnectFields = Partial<Omit<IConnectPacket, 'cmd'>>;

export interface Scene {
  readonly fleet: Fleet;
  readonly node: Fleet['node'];
  /** May do everything. */
  readonly device: Identity;
  /** May connect as `own-...` and publish (retained too), subscribe and receive below `own/`; may subscribe to `deaf/#` but receive nothing of it. */
  readonly limited: Identity;
  /** A client id that no other case has. */
  newId(): string;
  /** A TLS connection without CONNECT. */
  dial(version: Version, options?: Partial<DialOptions>): Promise<RawMqtt>;
  /** A connected client; its CONNACK is taken and must be a success. Clean, with keep-alive 1200, unless the fields say otherwise. */
  enter(version: Version, fields?: ConnectFields, identity?: Identity): Promise<Entered>;
  /** A connected client that has subscribed with QoS 1; its SUBACK is taken. */
  listen(version: Version, filters: string | readonly string[], fields?: ConnectFields): Promise<Entered>;
  /** The newest refusals that the journal has of this connection. */
  refusalsOf(client: RawMqtt): Promise<ExplainedRecord[]>;
  advance(ms: number): Promise<void>;
  /** One of AWS's counters, e.g. `PublishIn.AuthError`, over MQTT so far; from the node's /metrics. */
  count(metric: string): Promise<number>;
  /** A principal with a policy of these statements. */
  principal(name: string, statements: readonly object[]): Promise<Identity>;
}

export interface Entered {
  readonly client: RawMqtt;
  readonly clientId: string;
  readonly connack: Extract<Received, { cmd: 'connack' }>;
}

export const connectPacket = (version: Version, fields: ConnectFields = {}): IConnectPacket => ({
  cmd: 'connect',
  protocolId: 'MQTT',
  protocolVersion: version,
  clean: true,
  keepalive: 1200,
  clientId: '',
  ...fields,
});

export const openScene = async (t: TestContext, options?: StartOptions): Promise<Scene> => {
  const fleet = await bootFleet(t, options);
  const { node } = fleet;
  await fleet.policy('own', [
    ['iot:Connect', 'client/own-*'],
    ['iot:Publish', 'topic/own/*'],
    ['iot:RetainPublish', 'topic/own/retained'],
    ['iot:Subscribe', 'topicfilter/own/*'],
    ['iot:Subscribe', 'topicfilter/deaf/*'],
    ['iot:Receive', 'topic/own/*'],
  ]);
  const [device, limited] = await Promise.all([
    fleet.device('device', { policyName: 'everything', days: 4000 }),
    fleet.device('limited', { policyName: 'own', days: 4000 }),
  ]);
  let ids = 0;
  const open: RawMqtt[] = [];
  t.after(() => {
    for (const { socket } of open) socket.destroy();
  });
  const scene: Scene = {
    fleet,
    node,
    device,
    limited,
    newId: () => `own-${++ids}`,
    async dial(version, dialOptions) {
      const socket = await handshake(node, { identity: device, ...dialOptions });
      const client = new RawMqtt(socket, version);
      open.push(client);
      ports.set(client, socket.localPort); // a closed socket has none any more
      return client;
    },
    async enter(version, fields = {}, identity = device) {
      const client = await scene.dial(version, { identity });
      const { clientId = scene.newId() } = fields;
      client.send(connectPacket(version, { ...fields, clientId }));
      const connack = await client.next();
      assert.ok(connack.cmd === 'connack' && shown(connack).startsWith('CONNACK 0x00'), shown(connack));
      return { client, clientId, connack };
    },
    async listen(version, filters, fields) {
      const entered = await scene.enter(version, fields);
      entered.client.send(subscribe(1, filters));
      assert.equal((await entered.client.next()).cmd, 'suback');
      return entered;
    },
    async refusalsOf(client) {
      const { records } = await readJournal(node, node.account, { failures: 'true', limit: '20' });
      return records.filter(({ record }) => record.sourcePort === ports.get(client));
    },
    advance: (ms) => node.clock.advance(ms),
    async count(metric) {
      const response = await fetch(`http://127.0.0.1:${node.metricsPort}/metrics`);
      const family = parseExposition(await response.text()).get(nameOfAwsMetric(metric));
      return family?.samples.find(({ labels }) => labels['protocol'] === 'MQTT')?.value ?? Number.NaN;
    },
    async principal(policyName, statements) {
      const policyDocument = JSON.stringify({ Version: '2012-10-17', Statement: statements });
      await fleet.client.send(new CreatePolicyCommand({ policyName, policyDocument }));
      return fleet.device(policyName, { policyName });
    },
  };
  return scene;
};

const ports = new WeakMap<object, number | undefined>();

/** One rule of the spec, as what is sent and what is heard. A version without lines has no such case. */
export interface Row {
  /** e.g. `5.5 QoS 2`. */
  readonly row: string;
  readonly sends: Packets | ((version: Version) => Packets);
  readonly v3?: readonly string[];
  readonly v5?: readonly string[];
  readonly as?: 'device' | 'limited';
  /** Fields of the CONNECT that goes before. */
  readonly connect?: ConnectFields;
  /** `sends` are the first bytes of the connection: no CONNECT goes before. */
  readonly bare?: boolean;
  /** The reason that the journal gives for this refusal. */
  readonly journal?: Reason;
  /** AWS's counter that this adds to. */
  readonly metric?: string;
}

export const name = (version: Version): string => (version === 4 ? 'v3' : 'v5');

/** One case per row and version. */
export const runRows = async (t: TestContext, scene: Scene, rows: readonly Row[]): Promise<void> => {
  for (const { row, sends, v3, v5, as = 'device', connect, bare = false, journal, metric } of rows) {
    for (const [version, lines] of [[4, v3] as const, [5, v5] as const]) {
      if (lines === undefined) continue;
      await t.test(`${row}, ${name(version)}: ${lines.join(', ') || 'nothing'}`, async () => {
        const identity = scene[as];
        const client = bare
          ? await scene.dial(version, { identity })
          : (await scene.enter(version, connect, identity)).client;
        const before = metric === undefined ? 0 : await scene.count(metric);
        client.send(typeof sends === 'function' ? sends(version) : sends);
        const closes = lines.at(-1) === 'close';
        const heard = closes ? [...(await client.closed()).map(shown), 'close'] : await client.heard(lines.length);
        assert.deepEqual(heard, lines);
        if (journal !== undefined) {
          const [newest] = await scene.refusalsOf(client);
          assert.equal(newest?.record.reason, journal);
        }
        if (metric !== undefined) assert.equal((await scene.count(metric)) - before, 1, metric);
        client.socket.destroy();
      });
    }
  }
};

/** The same rule for both versions, with a body of its own. */
export const bothVersions = async (
  t: TestContext,
  title: (version: Version) => string,
  body: (version: Version) => Promise<void>,
): Promise<void> => {
  for (const version of [4, 5] as const) await t.test(title(version), () => body(version));
};
