/**
 * Sessions, their subscriptions and their queues in the store. Writes are lists of statements without reads and go through one `Appends`, so that those of
 * one client keep their order; what they rest on is in memory. Read is the whole once at start, in pages, and later single queues.
 */
import type { AccountRegion } from '../aws/arn.ts';
import type { Statement, Store } from '../store/store.ts';
import { Appends } from './appends.ts';
import type { DisconnectReason } from './ending.ts';
import { Message, type Qos } from './message.ts';
import type { Version } from './packets/writer.ts';
import { type Left, type Stored, stragglerSpan } from './queue.ts';
import type { ReceiptRows } from './receipts.ts';
import type { Changes, Granted } from './subscriptions.ts';

interface SessionsTable {
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

interface SubscriptionsTable {
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

interface ReceiptsTable {
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

/** A row that has expired. */
export interface ExpiredRow extends Owner {
  readonly position: number;
  readonly cost: number;
  readonly expiresAtMs: number;
}

/** `state` of a QoS 2 message that the client has received and was told to release. */
const released = 1;

const rowsPerPage = 1000;
/** Messages of one read from a queue. */
const messagesPerReadMax = 250;

const sessionKey = ['account_id', 'region', 'client_id'] as const;
const ownerKey = ['account_id', 'region', 'owner'] as const;

const valuesOf = ({ accountId, region }: AccountRegion): [string, string] => [accountId, region];

/** The texts of hot statements, with the order of their parameters; compiling one costs more than running it. */
const textsOf = (db: Store['db']) => {
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
          conflict.columns(sessionKey).doUpdateSet(({ ref }) => ({
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
  readonly #db: Store['db'];
  readonly #texts: ReturnType<typeof textsOf>;

  constructor(store: Pick<Store, 'db' | 'append'>) {
    this.appends = new Appends(store);
    this.#db = store.db;
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
    const update = this.#db
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
    const within = this.#db
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

  /** Rows that have expired, the oldest first, after one that was seen. */
  async expired(nowMs: number, after: ExpiredRow | undefined): Promise<readonly ExpiredRow[]> {
    const rows = await this.#db
      .selectFrom('mqtt_queue')
      .select(['expires_at_ms', 'account_id', 'region', 'owner', 'position', 'bytes'])
      .where('expires_at_ms', '<=', nowMs)
      .$if(after !== undefined, (query) =>
        query.where(({ eb, refTuple, tuple }) =>
          eb(
            refTuple('expires_at_ms', 'account_id', 'region', 'owner', 'position'),
            '>',
            tuple(after!.expiresAtMs, ...valuesOf(after!.account), after!.owner, after!.position),
          ),
        ),
      )
      .orderBy('expires_at_ms')
      .orderBy('account_id')
      .orderBy('region')
      .orderBy('owner')
      .orderBy('position')
      .limit(rowsPerPage)
      .execute();
    return rows.map((row) => ({
      account: { accountId: row.account_id, region: row.region },
      owner: row.owner,
      position: Number(row.position),
      cost: Number(row.bytes),
      expiresAtMs: Number(row.expires_at_ms),
    }));
  }

  /** Every session, page by page. */
  async *sessions(): AsyncGenerator<readonly (KeptSession & { readonly account: AccountRegion })[]> {
    let last: SessionsTable | undefined;
    do {
      const after = last;
      const rows: SessionsTable[] = await this.#db
        .selectFrom('mqtt_sessions')
        .selectAll()
        .$if(after !== undefined, (query) =>
          query.where(({ eb, refTuple, tuple }) =>
            eb(refTuple(...sessionKey), '>', tuple(after!.account_id, after!.region, after!.client_id)),
          ),
        )
        .orderBy('account_id')
        .orderBy('region')
        .orderBy('client_id')
        .limit(rowsPerPage)
        .execute();
      yield rows.map(toSession);
      last = rows.length === rowsPerPage ? rows.at(-1) : undefined;
    } while (last !== undefined);
  }

  /** Every subscription, page by page. */
  async *subscriptions(): AsyncGenerator<
    readonly { account: AccountRegion; clientId: string; filter: string; granted: Granted }[]
  > {
    let last: SubscriptionsTable | undefined;
    do {
      const after = last;
      const rows: SubscriptionsTable[] = await this.#db
        .selectFrom('mqtt_subscriptions')
        .selectAll()
        .$if(after !== undefined, (query) =>
          query.where(({ eb, refTuple, tuple }) =>
            eb(
              refTuple('account_id', 'region', 'client_id', 'filter'),
              '>',
              tuple(after!.account_id, after!.region, after!.client_id, after!.filter),
            ),
          ),
        )
        .orderBy('account_id')
        .orderBy('region')
        .orderBy('client_id')
        .orderBy('filter')
        .limit(rowsPerPage)
        .execute();
      yield rows.map((row) => ({
        account: { accountId: row.account_id, region: row.region },
        clientId: row.client_id,
        filter: row.filter,
        granted: {
          qos: toQos(row.qos),
          noLocal: Number(row.no_local) === 1,
          retainAsPublished: Number(row.retain_as_published) === 1,
          identifier: Number(row.subscription_identifier),
        },
      }));
      last = rows.length === rowsPerPage ? rows.at(-1) : undefined;
    } while (last !== undefined);
  }

  /** Every receipt, page by page. */
  async *receipts(): AsyncGenerator<readonly { account: AccountRegion; clientId: string; packetId: number }[]> {
    let last: ReceiptsTable | undefined;
    do {
      const after = last;
      const rows: ReceiptsTable[] = await this.#db
        .selectFrom('mqtt_receipts')
        .selectAll()
        .$if(after !== undefined, (query) =>
          query.where(({ eb, refTuple, tuple }) =>
            eb(
              refTuple('account_id', 'region', 'client_id', 'packet_id'),
              '>',
              tuple(after!.account_id, after!.region, after!.client_id, after!.packet_id),
            ),
          ),
        )
        .orderBy('account_id')
        .orderBy('region')
        .orderBy('client_id')
        .orderBy('packet_id')
        .limit(rowsPerPage)
        .execute();
      yield rows.map((row) => ({
        account: { accountId: row.account_id, region: row.region },
        clientId: row.client_id,
        packetId: Number(row.packet_id),
      }));
      last = rows.length === rowsPerPage ? rows.at(-1) : undefined;
    } while (last !== undefined);
  }

  /** What every owner has left, page by page. */
  async *queues(): AsyncGenerator<readonly (Owner & { readonly left: Left })[]> {
    let last: Owner | undefined;
    do {
      const after = last;
      const rows = await this.#db
        .selectFrom('mqtt_queue')
        .select(({ fn }) => [
          ...ownerKey,
          fn.countAll<number>().as('rows'),
          fn.sum<number>('bytes').as('bytes'),
          fn.min<number>('position').as('oldest'),
          fn.max<number>('position').as('newest'),
        ])
        .$if(after !== undefined, (query) =>
          query.where(({ eb, refTuple, tuple }) =>
            eb(refTuple(...ownerKey), '>', tuple(...valuesOf(after!.account), after!.owner)),
          ),
        )
        .groupBy(ownerKey)
        .orderBy('account_id')
        .orderBy('region')
        .orderBy('owner')
        .limit(rowsPerPage)
        .execute();
      const queues = [];
      for (const row of rows) {
        const owner: Owner = { account: { accountId: row.account_id, region: row.region }, owner: row.owner };
        const [oldest, newest] = [Number(row.oldest), Number(row.newest)];
        const stragglers = newest - oldest < stragglerSpan ? [] : await this.#positions(owner, newest - stragglerSpan);
        queues.push({
          ...owner,
          left: { rows: Number(row.rows), bytes: Number(row.bytes), oldest, newest, stragglers },
        });
      }
      yield queues;
      last = rows.length === rowsPerPage ? queues.at(-1) : undefined;
    } while (last !== undefined);
  }

  async #positions({ account, owner }: Owner, upTo: number): Promise<number[]> {
    const rows = await this.#db
      .selectFrom('mqtt_queue')
      .select('position')
      .where('account_id', '=', account.accountId)
      .where('region', '=', account.region)
      .where('owner', '=', owner)
      .where('position', '<=', upTo)
      .orderBy('position')
      .execute();
    return rows.map(({ position }) => Number(position));
  }
}

const toQos = (value: number): Qos => {
  const qos = Number(value);
  return qos === 0 || qos === 2 ? qos : 1;
};

const toSession = (row: SessionsTable): KeptSession & { readonly account: AccountRegion } => ({
  account: { accountId: row.account_id, region: row.region },
  clientId: row.client_id,
  sessionIdentifier: row.session_identifier,
  epoch: Number(row.epoch),
  protocolVersion: Number(row.protocol_version) === 5 ? 5 : 4,
  cleanStart: Number(row.clean_start) === 1,
  expirySeconds: Number(row.expiry_seconds),
  keepAliveSeconds: Number(row.keep_alive_seconds),
  connectedAtMs: Number(row.connected_at_ms),
  disconnectedAtMs: row.disconnected_at_ms === null ? undefined : Number(row.disconnected_at_ms),
  // written by `keep` alone, so one of ours
  disconnectReason: (row.disconnect_reason as DisconnectReason | null) ?? undefined,
});
