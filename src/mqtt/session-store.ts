/**
 * Sessions, their subscriptions and their queues in the store. Writes are lists of statements without reads and go through one `Appends`, so that those of
 * one client keep their order; what they rest on is in memory. Read are single queues; the whole is read once at start (`session-pages.ts`).
 */
import type { AccountRegion } from '../aws/arn.ts';
import type { Statement, Store } from '../store/store.ts';
import { Appends } from './appends.ts';
import type { DisconnectReason } from './ending.ts';
import { Message, type Qos } from './message.ts';
import type { Version } from './packets/writer.ts';
import type { Stored } from './queue.ts';
import type { ReceiptRows } from './receipts.ts';
import { released, textsOf } from './session-tables.ts';
import type { Changes } from './subscriptions.ts';

/** What is kept of a session. */
export interface KeptSession {
  readonly clientId: string;
  readonly sessionIdentifier: string;
  readonly epoch: number;
  readonly protocolVersion: Version;
  readonly cleanStart: boolean;
  readonly expirySeconds: number;
  readonly keepAliveSeconds: number;
  readonly connectedAtMs: number;
  readonly disconnectedAtMs: number | undefined;
  readonly disconnectReason: DisconnectReason | undefined;
}

/** A message as it waits for one owner. */
export interface KeptMessage {
  readonly topic: string;
  readonly qos: Qos;
  /** RETAIN of the copy that this owner gets. */
  readonly retain: boolean;
  /** Both own their whole buffer. */
  readonly payload: Uint8Array;
  readonly properties: Uint8Array | undefined;
  /** Infinity = never. */
  readonly expiresAtMs: number;
}

/** Whose rows: a client id, or a shared subscription as it was written. */
export interface Owner {
  readonly account: AccountRegion;
  readonly owner: string;
}

/** A row of a queue that has expired. */
export interface ExpiredRow extends Owner {
  readonly position: number;
  readonly cost: number;
  readonly expiresAtMs: number;
}

/** Messages of one read from a queue. */
const messagesPerReadMax = 250;

const valuesOf = ({ accountId, region }: AccountRegion): [string, string] => [accountId, region];

/** What a message costs in the store; every bound counts it. */
export const costOf = ({ topic, payload, properties }: KeptMessage): number =>
  256 + topic.length + payload.length + (properties?.length ?? 0);

export const messageOf = ({ topic, qos, retain, payload, properties, expiresAtMs }: KeptMessage): Message =>
  new Message({
    topic,
    qos,
    retain,
    source: Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength),
    payloadStart: 0,
    payloadEnd: payload.byteLength,
    properties: properties && Buffer.from(properties.buffer, properties.byteOffset, properties.byteLength),
    expiresAtMs,
  });

export class SessionStore {
  readonly appends: Appends;
  readonly db: Store['db'];
  readonly #texts: ReturnType<typeof textsOf>;

  constructor(store: Pick<Store, 'db' | 'append'>) {
    this.appends = new Appends(store);
    this.db = store.db;
    this.#texts = textsOf(store.db);
  }

  /** A session as it is now. `isNew`: nothing may be left of an earlier one of this client id. */
  keep(account: AccountRegion, session: KeptSession, { isNew }: { readonly isNew: boolean }): Promise<void> {
    const statements = isNew ? this.#leftovers(account, session.clientId) : [];
    statements.push({
      sql: this.#texts.keepSession,
      parameters: [
        ...valuesOf(account),
        session.clientId,
        session.sessionIdentifier,
        session.epoch,
        session.protocolVersion,
        session.cleanStart ? 1 : 0,
        session.expirySeconds,
        session.keepAliveSeconds,
        session.connectedAtMs,
        session.disconnectedAtMs ?? null,
        session.disconnectReason ?? null,
      ],
    });
    return this.appends.append(statements);
  }

  /** Ends a session with all that it holds. */
  end(account: AccountRegion, clientId: string): Promise<void> {
    const session = { sql: this.#texts.endSession, parameters: [...valuesOf(account), clientId] };
    return this.appends.append([session, ...this.#leftovers(account, clientId)]);
  }

  #leftovers(account: AccountRegion, clientId: string): Statement[] {
    const parameters = [...valuesOf(account), clientId];
    return [
      { sql: this.#texts.endSubscriptions, parameters },
      { sql: this.#texts.endQueue, parameters },
      { sql: this.#texts.endReceipts, parameters },
    ];
  }

  /** Subscriptions of one client as they are now, all of them or none. */
  subscribe(account: AccountRegion, clientId: string, subscriptions: Changes): Promise<void> {
    return this.appends.append(
      Array.from(subscriptions, ([filter, granted]) => {
        const key = [...valuesOf(account), clientId, filter];
        if (granted === undefined) return { sql: this.#texts.endSubscription, parameters: key };
        const { qos, noLocal, retainAsPublished, identifier = 0 } = granted;
        return {
          sql: this.#texts.keepSubscription,
          parameters: [...key, qos, noLocal ? 1 : 0, retainAsPublished ? 1 : 0, identifier],
        };
      }),
    );
  }

  /** The statement that writes one message. */
  row({ account, owner }: Owner, position: number, message: KeptMessage): Statement {
    const { qos, retain, topic, payload, properties, expiresAtMs } = message;
    return {
      sql: this.#texts.keepMessage,
      parameters: [
        ...valuesOf(account),
        owner,
        position,
        0,
        qos,
        retain ? 1 : 0,
        costOf(message),
        expiresAtMs === Number.POSITIVE_INFINITY ? null : expiresAtMs,
        topic,
        properties ?? null,
        payload,
      ],
    };
  }

  /** The statements that remove messages: all up to a position, and single ones. */
  removal(whose: Owner, upTo: number, single: readonly number[]): Statement[] {
    const { account, owner } = whose;
    return [
      { sql: this.#texts.endMessages, parameters: [...valuesOf(account), owner, upTo] },
      ...single.map((position) => this.removalOf(whose, position)),
    ];
  }

  /** The statement that removes one message. */
  removalOf({ account, owner }: Owner, position: number): Statement {
    return { sql: this.#texts.endMessage, parameters: [...valuesOf(account), owner, position] };
  }

  /** The same for a row that has expired, if it is still that one: not one that a client has received meanwhile, nor another's in its place. */
  removalOfExpired({ account, owner, position, expiresAtMs }: ExpiredRow): Statement {
    return { sql: this.#texts.endExpired, parameters: [...valuesOf(account), owner, position, expiresAtMs] };
  }

  /** The client has received a QoS 2 message: what is left of it is its release, which never expires. */
  release({ account, owner }: Owner, position: number): Promise<void> {
    const parameters = [released, null, ...valuesOf(account), owner, position];
    return this.appends.append([{ sql: this.#texts.releaseMessage, parameters }]);
  }

  /** Receipts of one client (receipts.ts). */
  receiptRows(account: AccountRegion, clientId: string): ReceiptRows {
    const statement = (sql: string, packetId: number): Statement => ({
      sql,
      parameters: [...valuesOf(account), clientId, packetId],
    });
    return {
      write: (packetId) => statement(this.#texts.keepReceipt, packetId),
      remove: (packetId) => statement(this.#texts.endReceipt, packetId),
      append: (statements) => this.appends.append(statements),
    };
  }

  /** At the start of the node nobody is connected. */
  async disconnectAll(nowMs: number): Promise<void> {
    const update = this.db
      .updateTable('mqtt_sessions')
      .set({ disconnected_at_ms: nowMs })
      .where('disconnected_at_ms', 'is', null);
    await this.appends.append([update.compile()]);
  }

  endQueue({ account, owner }: Owner): Promise<void> {
    return this.appends.append([{ sql: this.#texts.endQueue, parameters: [...valuesOf(account), owner] }]);
  }

  /** The first messages after one position and up to another, as many as fit into `bytes` but at least one. */
  async read(
    { account, owner }: Owner,
    { after, upTo, bytes }: { readonly after: number; readonly upTo: number; readonly bytes: number },
  ): Promise<{ readonly messages: readonly Stored<KeptMessage>[]; readonly isWhole: boolean }> {
    const within = this.db
      .selectFrom('mqtt_queue')
      .where('account_id', '=', account.accountId)
      .where('region', '=', account.region)
      .where('owner', '=', owner)
      .where('position', '>', after)
      .where('position', '<=', upTo)
      .orderBy('position');
    const sizes = await within.select(['position', 'bytes']).limit(messagesPerReadMax).execute();
    let count = 0;
    let total = 0;
    for (const size of sizes) {
      total += Number(size.bytes);
      if (count > 0 && total > bytes) break;
      count++;
    }
    if (count === 0) return { messages: [], isWhole: true };
    const rows = await within
      .select(['position', 'state', 'qos', 'retain', 'bytes', 'expires_at_ms', 'topic', 'properties', 'payload'])
      .limit(count)
      .execute();
    return {
      messages: rows.map((row) => ({
        position: Number(row.position),
        cost: Number(row.bytes),
        isReleased: Number(row.state) === released,
        message: {
          topic: row.topic,
          qos: toQos(row.qos),
          retain: Number(row.retain) === 1,
          payload: row.payload,
          properties: row.properties ?? undefined,
          expiresAtMs: row.expires_at_ms === null ? Number.POSITIVE_INFINITY : Number(row.expires_at_ms),
        },
      })),
      isWhole: rows.length === sizes.length && sizes.length < messagesPerReadMax,
    };
  }
}

export const toQos = (value: number): Qos => {
  const qos = Number(value);
  return qos === 0 || qos === 2 ? qos : 1;
};
