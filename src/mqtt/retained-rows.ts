/** Retained messages in the store: one row per account, region and topic. */
import type { AccountRegion } from '../aws/arn.ts';
import { keepQuery } from '../store/kept-query.ts';
import type { Migration } from '../store/migrate.ts';
import type { Db } from '../store/store.ts';
import type { Qos } from './message.ts';

interface RetainedMessagesTable {
  account_id: string;
  region: string;
  topic: string;
  payload: Uint8Array;
  payload_bytes: number;
  qos: number;
  /** v5 properties that travel with the message, as they are encoded; null = none. */
  properties: Uint8Array | null;
  /** When the message itself expires (v5 Message Expiry Interval); null = never. */
  message_expires_at_ms: number | null;
  /** When the row counts as absent, for whatever reason. */
  expires_at_ms: number;
  updated_at_ms: number;
}
declare module '../store/tables.ts' {
  interface Tables {
    retained_messages: RetainedMessagesTable;
  }
}

export const retainedMigrations: readonly Migration[] = [
  {
    name: 'retained-0001',
    sql: [
      `create table retained_messages (
        account_id text not null,
        region text not null,
        topic text not null,
        payload bytea not null,
        payload_bytes bigint not null,
        qos bigint not null,
        properties bytea,
        message_expires_at_ms bigint,
        expires_at_ms bigint not null,
        updated_at_ms bigint not null,
        primary key (account_id, region, topic)
      )`,
      'create index retained_messages_by_expiry on retained_messages (account_id, region, expires_at_ms)',
    ],
  },
];

/** A retained message. */
export interface RetainedMessage {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: Qos;
  /** v5 properties that travel with it, as they are encoded. */
  readonly properties: Buffer | undefined;
  /** Infinity = never. */
  readonly messageExpiresAtMs: number;
  readonly updatedAtMs: number;
}

export interface RetainedHeader {
  readonly topic: string;
  readonly payloadBytes: number;
  readonly qos: number;
  readonly updatedAtMs: number;
}

/** Three years after its last update a message is forgotten (spec gateway.md 5.9). */
const keptMs = 3 * 365 * 86_400_000;

const toQos = (value: unknown): Qos => (Number(value) === 2 ? 2 : Number(value) === 1 ? 1 : 0);

const toMessage = (row: Omit<RetainedMessagesTable, 'payload_bytes'>): RetainedMessage => ({
  topic: row.topic,
  payload: Buffer.from(row.payload),
  qos: toQos(row.qos),
  properties: row.properties === null ? undefined : Buffer.from(row.properties),
  messageExpiresAtMs: row.message_expires_at_ms === null ? Infinity : Number(row.message_expires_at_ms),
  updatedAtMs: Number(row.updated_at_ms),
});

const selectOne = keepQuery((db, [accountId = '', region = '', topic = '']) =>
  db
    .selectFrom('retained_messages')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('topic', '=', topic),
);

export const findRow = async (
  db: Db,
  { accountId, region }: AccountRegion,
  topic: string,
  nowMs: number,
): Promise<RetainedMessage | undefined> => {
  const [row] = await selectOne(db, [accountId, region, topic]);
  return row === undefined || Number(row.expires_at_ms) <= nowMs ? undefined : toMessage(row);
};

const ofAccount = (db: Db, { accountId, region }: AccountRegion) =>
  db.selectFrom('retained_messages').where('account_id', '=', accountId).where('region', '=', region);

/** What is retained after this topic, in topic order. */
export const listRows = async (
  db: Db,
  account: AccountRegion,
  { after, limit, nowMs }: { readonly after: string; readonly limit: number; readonly nowMs: number },
): Promise<readonly RetainedHeader[]> => {
  const rows = await ofAccount(db, account)
    .select(['topic', 'payload_bytes', 'qos', 'updated_at_ms'])
    .where('topic', '>', after)
    .where('expires_at_ms', '>', nowMs)
    .orderBy('topic')
    .limit(limit)
    .execute();
  return rows.map((row) => ({
    topic: row.topic,
    payloadBytes: Number(row.payload_bytes),
    qos: Number(row.qos),
    updatedAtMs: Number(row.updated_at_ms),
  }));
};

/** Topics that begin with `prefix`, in order, the first after `after`. */
export const listTopics = async (
  db: Db,
  account: AccountRegion,
  { prefix, after, limit }: { readonly prefix: string; readonly after: string; readonly limit: number },
): Promise<readonly string[]> => {
  const rows = await ofAccount(db, account)
    .select('topic')
    .where('topic', '>', after)
    .where('topic', '>=', prefix)
    .where('topic', '<=', `${prefix}\u{10FFFF}`) // both engines compare the UTF-8 bytes
    .orderBy('topic')
    .limit(limit)
    .execute();
  return rows.map(({ topic }) => topic);
};

/** How many rows each account has, expired ones included. */
export const countRows = async (db: Db): Promise<readonly (AccountRegion & { readonly count: number })[]> => {
  const rows = await db
    .selectFrom('retained_messages')
    .select((query) => ['account_id', 'region', query.fn.countAll().as('count')])
    .groupBy(['account_id', 'region'])
    .execute();
  return rows.map((row) => ({ accountId: row.account_id, region: row.region, count: Number(row.count) }));
};

const valuesOf = (message: RetainedMessage) => ({
  payload: message.payload,
  payload_bytes: message.payload.length,
  qos: message.qos,
  properties: message.properties ?? null,
  message_expires_at_ms: message.messageExpiresAtMs === Infinity ? null : message.messageExpiresAtMs,
  expires_at_ms: Math.min(message.messageExpiresAtMs, message.updatedAtMs + keptMs),
  updated_at_ms: message.updatedAtMs,
});

/** Replaces what is retained on the topic; false when there is no row. */
export const replaceRow = async (
  db: Db,
  { accountId, region }: AccountRegion,
  message: RetainedMessage,
): Promise<boolean> => {
  const { numUpdatedRows } = await db
    .updateTable('retained_messages')
    .set(valuesOf(message))
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('topic', '=', message.topic)
    .executeTakeFirstOrThrow();
  return numUpdatedRows > 0n;
};

export const insertRow = async (
  db: Db,
  { accountId, region }: AccountRegion,
  message: RetainedMessage,
): Promise<void> => {
  await db
    .insertInto('retained_messages')
    .values({ account_id: accountId, region, topic: message.topic, ...valuesOf(message) })
    .execute();
};

/** How many rows went: 0 or 1. */
export const deleteRow = async (db: Db, { accountId, region }: AccountRegion, topic: string): Promise<number> => {
  const { numDeletedRows } = await db
    .deleteFrom('retained_messages')
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('topic', '=', topic)
    .executeTakeFirstOrThrow();
  return Number(numDeletedRows);
};

/** Deletes at most `limit` of an account's expired rows; how many went. */
export const deleteExpired = async (
  db: Db,
  account: AccountRegion,
  { nowMs, limit }: { readonly nowMs: number; readonly limit: number },
): Promise<number> => {
  const rows = await ofAccount(db, account).select('topic').where('expires_at_ms', '<=', nowMs).limit(limit).execute();
  if (rows.length === 0) return 0;
  const { numDeletedRows } = await db
    .deleteFrom('retained_messages')
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .where(
      'topic',
      'in',
      rows.map(({ topic }) => topic),
    )
    .executeTakeFirstOrThrow();
  return Number(numDeletedRows);
};
