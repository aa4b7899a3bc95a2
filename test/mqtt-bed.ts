/** A broker with everything around it real but small: streams in memory, a clock that the test moves, rights as a list of patterns. */
import { type Duplex, duplexPair } from 'node:stream';
import type { TestContext } from 'node:test';
import mqttPacket, { type Packet, type Parser } from 'mqtt-packet';
import type { AccountRegion } from '../src/aws/arn.ts';
import type { Weighing } from '../src/aws/decision.ts';
import { allMigrations } from '../src/features/migrations.ts';
import { type EventLogs, noLogs } from '../src/journal/log-event.ts';
import type { JournalRecord, Reason } from '../src/journal/record.ts';
import { awsLimits, type Limits } from '../src/limits.ts';
import type { Admission, Admit, AskedKeys, Authority, IotAction, Peer } from '../src/mqtt/authority.ts';
import { type BrokerOptions, createBroker } from '../src/mqtt/broker.ts';
import { migrate } from '../src/store/migrate.ts';
import { memoryStore } from './memory-store.ts';
import { openTestStore, type TestStore } from './stores.ts';

export const accountA: AccountRegion = { accountId: '000000000000', region: 'us-east-1' };
export const accountB: AccountRegion = { accountId: '111111111111', region: 'us-east-1' };

/** What a principal may do: action, or `*`, and a pattern of the resource with `*` for any run of characters. */
export type Allowed = readonly [action: IotAction | '*', resource: string];

const toPattern = (glob: string): RegExp =>
  new RegExp(
    `^${glob
      .split('*')
      .map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&'))
      .join('.*')}$`,
    's',
  );

/** Rights of one principal, changed by the test; connections of it ask here. */
export class Rights {
  revision = 1;
  /** Set while a change is being read. */
  reading: Promise<void> | undefined;
  readonly account: AccountRegion;
  readonly certificateId: string;
  released = 0;
  /** What a cure may need; default: the certificate. */
  facts: Readonly<Record<string, string>> | undefined;
  /** How often a decision was asked for. */
  asked = 0;
  /** What questions said beside action and resource, of those that said anything. */
  readonly askedKeys: AskedKeys[] = [];
  #allowed: readonly Allowed[];
  #lost: ((reason: Reason) => void)[] = [];

  constructor(account: AccountRegion, certificateId: string, allowed: readonly Allowed[]) {
    this.account = account;
    this.certificateId = certificateId;
    this.#allowed = allowed;
  }

  /** From now on this is allowed, and nothing else. */
  become(allowed: readonly Allowed[]): void {
    this.#allowed = allowed;
    this.revision++;
  }

  /** As `become`, but what is new is known only once the returned function was called. */
  becomeSlowly(allowed: readonly Allowed[]): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.reading = promise;
    return () => {
      this.reading = undefined;
      this.become(allowed);
      resolve();
    };
  }

  /** What changed cannot be read: everyone who waits for it learns so when the returned function was called. */
  failToRead(): () => void {
    const { promise, reject } = Promise.withResolvers<void>();
    this.reading = promise;
    return () => reject(new Error('store is down'));
  }

  /** The certificate is no longer ACTIVE. */
  lose(reason: Reason): void {
    for (const close of this.#lost.splice(0)) close(reason);
  }

  authority(): Authority {
    const rights = this;
    const allows = (action: IotAction, resource: string): boolean => {
      rights.asked++;
      return rights.#allowed.some(([a, pattern]) => (a === '*' || a === action) && toPattern(pattern).test(resource));
    };
    return {
      account: this.account,
      principalId: this.certificateId,
      get revision() {
        return rights.revision;
      },
      stale: () => rights.reading,
      allows(action, resource, keys) {
        if (keys) rights.askedKeys.push(keys);
        return allows(action, resource);
      },
      weigh: (action, resource): Weighing => ({
        decision: allows(action, resource) ? 'ALLOWED' : 'IMPLICIT_DENY',
        statements: [],
        unresolved: [],
      }),
      facts: () => rights.facts ?? { certificateId: rights.certificateId },
      onLost: (close) => {
        rights.#lost.push(close);
      },
      release: () => {
        rights.released++;
      },
    };
  }
}

export interface BedOptions {
  readonly limits?: Partial<Limits>;
  /** Replaces the registry. */
  readonly admit?: Admit;
  /** Limits per unit of time are kept; default: not. */
  readonly rateQuotas?: boolean;
  /** Default: none. */
  readonly logs?: EventLogs;
  /** Default: one of its own in memory. */
  readonly store?: BrokerOptions['store'];
  /** Default: none. */
  readonly requestTopics?: BrokerOptions['requestTopics'];
  /** Where the clock stands. */
  readonly nowMs?: number;
}

export type Version = 4 | 5;

/** A client that speaks through mqtt-packet, or raw bytes, and sees everything that comes back. */
export class RawClient {
  readonly socket: Duplex;
  readonly version: Version;
  readonly received: Packet[] = [];
  receivedBytes = 0;
  isClosed = false;
  readonly #parser: Parser;
  #wake: () => void = () => {};

  constructor(socket: Duplex, version: Version) {
    this.socket = socket;
    this.version = version;
    this.#parser = mqttPacket.parser({ protocolVersion: version });
    this.#parser.on('packet', (packet) => this.received.push(packet));
    socket.on('data', (chunk: Buffer) => {
      this.receivedBytes += chunk.length;
      this.#parser.parse(chunk);
      this.#wake();
    });
    socket.on('end', () => {
      this.isClosed = true;
      this.#wake();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.isClosed = true;
      this.#wake();
    });
  }

  send(packet: Packet): void {
    this.socket.write(mqttPacket.generate(packet, { protocolVersion: this.version }));
  }

  raw(...bytes: readonly (number | Uint8Array | string)[]): void {
    this.socket.write(
      Buffer.concat(bytes.map((part) => (typeof part === 'number' ? Buffer.of(part) : Buffer.from(part)))),
    );
  }

  /** Waits for the next packet that was not taken yet; faults when the connection closes instead. */
  async next(): Promise<Packet> {
    while (this.received.length === 0) {
      if (this.isClosed) throw new Error('the connection was closed');
      await this.#event();
    }
    return this.received.shift() as Packet; // the loop ended: there is one
  }

  /** Waits until `count` packets are there and takes them. */
  async take(count: number): Promise<Packet[]> {
    const packets: Packet[] = [];
    while (packets.length < count) packets.push(await this.next());
    return packets;
  }

  /** Waits for the end and gives what came before it. */
  async closed(): Promise<Packet[]> {
    while (!this.isClosed) await this.#event();
    return this.received.splice(0);
  }

  /** Everything that is there when a PINGREQ comes back: whatever was sent before has been handled then. */
  async settled(): Promise<Packet[]> {
    this.send({ cmd: 'pingreq' });
    const packets: Packet[] = [];
    for (;;) {
      const packet = await this.next();
      if (packet.cmd === 'pingresp') return packets;
      packets.push(packet);
    }
  }

  #event(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

/** A store for beds that keep something: of the engine that the tests run on, closed with its test. */
export const openBedStore = async (t: TestContext): Promise<TestStore> => {
  const store = await openTestStore(t);
  await migrate(store, allMigrations);
  return store;
};

export const createBed = ({
  limits = {},
  admit,
  rateQuotas = false,
  logs = noLogs,
  store = memoryStore(allMigrations),
  requestTopics = [],
  nowMs,
}: BedOptions = {}) => {
  const clock = { nowMs: nowMs ?? 1_700_000_000_000 };
  const records: JournalRecord[] = [];
  const troubles: unknown[] = [];
  const principals = new Map<string, Rights>();
  let ids = 0;

  const registry: Admit = async (peer): Promise<Admission> => {
    const rights = principals.get(peer.certificate?.certificateId ?? '');
    if (rights) return { authority: rights.authority() };
    return { refusal: 'DEVICE_CERTIFICATE_NOT_REGISTERED', account: peer.account };
  };
  const broker = createBroker({
    limits: { ...awsLimits, ...limits },
    rateQuotas,
    admit: admit ?? registry,
    store,
    record: (record) => records.push(record),
    logs,
    requestTopics,
    trouble: (error) => troubles.push(error),
    now: () => clock.nowMs,
    newId: () => `00000000-0000-4000-8000-${String(++ids).padStart(12, '0')}`,
    random: () => 0,
  });

  /** A principal; by default it may do everything. */
  const principal = (certificateId: string, allowed: readonly Allowed[] = [['*', '*']], account = accountA): Rights => {
    const rights = new Rights(account, certificateId, allowed);
    principals.set(certificateId, rights);
    return rights;
  };
  principal('all');

  const dial = (version: Version, certificateId = 'all'): RawClient => {
    const [near, far] = duplexPair();
    const peer: Peer = {
      account: principals.get(certificateId)?.account ?? accountA,
      serverName: 'localhost',
      certificate: { certificateId, der: new Uint8Array() },
      tls: { serverName: 'localhost' },
      remoteAddress: '127.0.0.1',
      remotePort: 50_000,
    };
    broker.accept(far, peer);
    return new RawClient(near, version);
  };

  return {
    broker,
    clock,
    records,
    troubles,
    principal,
    dial,
    /** Moves the clock and lets every time-out act. */
    advance(ms: number): void {
      clock.nowMs += ms;
      broker.tick(clock.nowMs);
    },
    /** A connected client: CONNACK is taken. */
    async connect(
      version: Version,
      clientId: string,
      more: Record<string, unknown> = {},
      certificateId = 'all',
    ): Promise<RawClient> {
      const client = dial(version, certificateId);
      client.send({ cmd: 'connect', clientId, protocolVersion: version, clean: true, keepalive: 60, ...more });
      const connack = await client.next();
      if (connack.cmd !== 'connack') throw new Error(`expected CONNACK, got ${connack.cmd}`);
      return client;
    },
    failures: () => records.filter(({ status }) => status === 'Failure'),
  };
};
export type Bed = ReturnType<typeof createBed>;
