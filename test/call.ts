/** What a handler's tests need: a real `Call` over a real store in a folder of its own, with the given features and nothing mocked. */
import { randomBytes, randomUUID } from 'node:crypto';
import type { TestContext } from 'node:test';
import type { AccountRegion } from '../src/aws/arn.ts';
import type { Bus } from '../src/bus/bus.ts';
import { type Change, onChange } from '../src/bus/changes.ts';
import { localBus } from '../src/bus/local.ts';
import { makeCall as makeCallOver } from '../src/call.ts';
import type { Call, Caller, Feature } from '../src/feature.ts';
import type { EventLogs } from '../src/journal/log-event.ts';
import type { JournalRecord } from '../src/journal/record.ts';
import { awsLimits } from '../src/limits.ts';
import { type Broker, createBroker } from '../src/mqtt/broker.ts';
import { migrations as mqttMigrations } from '../src/mqtt/migrations.ts';
import { migrate } from '../src/store/migrate.ts';
import type { Store } from '../src/store/store.ts';
import { memoryStore } from './memory-store.ts';
import { openTestStore } from './stores.ts';

export const testAccount: AccountRegion = { accountId: '000000000000', region: 'us-east-1' };
export const otherAccount: AccountRegion = { accountId: '111111111111', region: 'us-east-1' };
/** 2026-01-01T00:00:00Z. */
export const testStartMs = 1_767_225_600_000;

export interface TestCallOptions {
  /** In dependency order: the slice under test after those it builds on. */
  readonly features: readonly Feature[];
  readonly account?: AccountRegion;
  /** Default: none. */
  readonly logs?: EventLogs;
  /** The clock; by default one that stands at `testStartMs` and moves by `advance`. */
  readonly now?: () => number;
  /** The broker that calls reach; by default one that nobody is connected to. */
  readonly broker?: Broker;
}

export interface TestCall {
  readonly call: Call;
  /** The same store as another account or region sees it. */
  callAs(account: AccountRegion, caller?: Partial<Caller>): Call;
  /** Everything that the journal was told by calls. */
  readonly records: readonly JournalRecord[];
  readonly store: Store;
  readonly bus: Bus;
  /** Every notice of change so far, in order. */
  readonly changes: readonly Change[];
  /** Moves the default clock. */
  advance(ms: number): void;
}

export { makeFolder } from './folder.ts';

const emptyBroker = (t: TestContext, now: () => number): Broker => {
  const broker = createBroker({
    limits: awsLimits,
    admit: async () => ({ refusal: 'INTERNAL_SERVER_ERROR', account: undefined }),
    record: () => undefined,
    store: memoryStore(mqttMigrations),
    now,
    newId: randomUUID,
  });
  t.after(() => broker.close(0));
  return broker;
};

export const makeCall = async (t: TestContext, options: TestCallOptions): Promise<TestCall> => {
  const { features, account: ownAccount = testAccount } = options;
  let nowMs = testStartMs;
  const now = options.now ?? (() => nowMs);
  const store = await openTestStore(t);
  await migrate(
    store,
    features.flatMap((feature) => feature.migrations),
    now(),
  );
  const bus = localBus();
  const changes: Change[] = [];
  onChange(bus, (change) => changes.push(change));
  const records: JournalRecord[] = [];
  const record = (entry: JournalRecord): void => {
    records.push(entry);
    options.logs?.attempt(entry);
  };
  const broker = options.broker ?? emptyBroker(t, now);
  const { logs } = options;
  const shared = { store, bus, features, markerKey: randomBytes(32), now };
  const services = { ...shared, control: broker.control, record, ...(logs && { logs }) };
  const callAs = (account: AccountRegion, caller: Partial<Caller> = {}): Call =>
    makeCallOver(services, {
      account,
      caller: {
        accessKeyId: account.accountId,
        arn: `arn:aws:iam::${account.accountId}:root`,
        userId: account.accountId,
        ...caller,
      },
      arrival: { host: 'localhost', loopback: true },
      operation: 'test',
    });
  return {
    call: callAs(ownAccount),
    callAs,
    records,
    store,
    bus,
    changes,
    advance(ms) {
      nowMs += ms;
    },
  };
};
