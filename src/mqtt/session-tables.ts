/** Tables of sessions, their subscriptions, queues and receipts, and the texts of the statements that write them. What they mean: `migrations.ts`. */
import type { Statement, Store } from '../store/store.ts';

export interface SessionsTable {
  account_id: string;
  region: string;
  client_id: string;
  session_identifier: string;
  epoch: number;
  protocol_version: number;
  clean_start: number;
  expiry_seconds: number;
  keep_alive_seconds: number;
  connected_at_ms: number;
  disconnected_at_ms: number | null;
  disconnect_reason: string | null;
}

export interface SubscriptionsTable {
  account_id: string;
  region: string;
  client_id: string;
  filter: string;
  qos: number;
  no_local: number;
  retain_as_published: number;
  subscription_identifier: number;
}

interface QueueTable {
  account_id: string;
  region: string;
  owner: string;
  position: number;
  state: number;
  qos: number;
  retain: number;
  bytes: number;
  expires_at_ms: number | null;
  topic: string;
  properties: Uint8Array | null;
  payload: Uint8Array;
}

export interface ReceiptsTable {
  account_id: string;
  region: string;
  client_id: string;
  packet_id: number;
}

declare module '../store/tables.ts' {
  interface Tables {
    mqtt_sessions: SessionsTable;
    mqtt_subscriptions: SubscriptionsTable;
    mqtt_queue: QueueTable;
    mqtt_receipts: ReceiptsTable;
  }
}

/** `state` of a QoS 2 message that the client has received and was told to release. */
export const released = 1;

/** The texts of hot statements, with the order of their parameters; compiling one costs more than running it. */
export const textsOf = (db: Store['db']) => {
  const session: SessionsTable = {
    account_id: '',
    region: '',
    client_id: '',
    session_identifier: '',
    epoch: 0,
    protocol_version: 0,
    clean_start: 0,
    expiry_seconds: 0,
    keep_alive_seconds: 0,
    connected_at_ms: 0,
    disconnected_at_ms: 0,
    disconnect_reason: '',
  };
  const subscription: SubscriptionsTable = {
    account_id: '',
    region: '',
    client_id: '',
    filter: '',
    qos: 0,
    no_local: 0,
    retain_as_published: 0,
    subscription_identifier: 0,
  };
  const message: QueueTable = {
    account_id: '',
    region: '',
    owner: '',
    position: 0,
    state: 0,
    qos: 0,
    retain: 0,
    bytes: 0,
    expires_at_ms: 0,
    topic: '',
    properties: new Uint8Array(),
    payload: new Uint8Array(),
  };
  const receipt: ReceiptsTable = { account_id: '', region: '', client_id: '', packet_id: 0 };
  const ofClient = <T extends 'mqtt_sessions' | 'mqtt_subscriptions' | 'mqtt_receipts'>(table: T) =>
    db
      .deleteFrom(table as 'mqtt_sessions')
      .where('account_id', '=', '')
      .where('region', '=', '')
      .where('client_id', '=', '');
  const ofOwner = db
    .deleteFrom('mqtt_queue')
    .where('account_id', '=', '')
    .where('region', '=', '')
    .where('owner', '=', '');
  const key = ['account_id', 'region', 'client_id', 'filter'] as const;
  const text = (query: { compile(): Statement }): string => query.compile().sql;
  return {
    keepSession: text(
      db
        .insertInto('mqtt_sessions')
        .values(session)
        .onConflict((conflict) =>
          conflict.columns(['account_id', 'region', 'client_id']).doUpdateSet(({ ref }) => ({
            session_identifier: ref('excluded.session_identifier'),
            epoch: ref('excluded.epoch'),
            protocol_version: ref('excluded.protocol_version'),
            clean_start: ref('excluded.clean_start'),
            expiry_seconds: ref('excluded.expiry_seconds'),
            keep_alive_seconds: ref('excluded.keep_alive_seconds'),
            connected_at_ms: ref('excluded.connected_at_ms'),
            disconnected_at_ms: ref('excluded.disconnected_at_ms'),
            disconnect_reason: ref('excluded.disconnect_reason'),
          })),
        ),
    ),
    endSession: text(ofClient('mqtt_sessions')),
    keepSubscription: text(
      db
        .insertInto('mqtt_subscriptions')
        .values(subscription)
        .onConflict((conflict) =>
          conflict.columns(key).doUpdateSet(({ ref }) => ({
            qos: ref('excluded.qos'),
            no_local: ref('excluded.no_local'),
            retain_as_published: ref('excluded.retain_as_published'),
            subscription_identifier: ref('excluded.subscription_identifier'),
          })),
        ),
    ),
    endSubscriptions: text(ofClient('mqtt_subscriptions')),
    endSubscription: text(
      db
        .deleteFrom('mqtt_subscriptions')
        .where('account_id', '=', '')
        .where('region', '=', '')
        .where('client_id', '=', '')
        .where('filter', '=', ''),
    ),
    keepMessage: text(db.insertInto('mqtt_queue').values(message)),
    endQueue: text(ofOwner),
    endMessages: text(ofOwner.where('position', '<=', 0)),
    endMessage: text(ofOwner.where('position', '=', 0)),
    endExpired: text(ofOwner.where('position', '=', 0).where('expires_at_ms', '<=', 0)),
    releaseMessage: text(
      db
        .updateTable('mqtt_queue')
        .set({ state: released, expires_at_ms: null })
        .where('account_id', '=', '')
        .where('region', '=', '')
        .where('owner', '=', '')
        .where('position', '=', 0),
    ),
    keepReceipt: text(
      db
        .insertInto('mqtt_receipts')
        .values(receipt)
        .onConflict((conflict) => conflict.doNothing()),
    ),
    endReceipt: text(
      db
        .deleteFrom('mqtt_receipts')
        .where('account_id', '=', '')
        .where('region', '=', '')
        .where('client_id', '=', '')
        .where('packet_id', '=', 0),
    ),
    endReceipts: text(ofClient('mqtt_receipts')),
  };
};
