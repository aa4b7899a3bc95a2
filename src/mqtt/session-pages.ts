/** What the store keeps of all sessions, read page by page in the order of its keys: for the start of the node, and the sweep of what has expired. */
import type { AccountRegion } from '../aws/arn.ts';
import type { Db } from '../store/store.ts';
import type { DisconnectReason } from './ending.ts';
import { type Left, stragglerSpan } from './queue.ts';
import { type ExpiredRow, type KeptSession, type Owner, toQos } from './session-store.ts';
import type { ReceiptsTable, SessionsTable, SubscriptionsTable } from './session-tables.ts';
import type { Granted } from './subscriptions.ts';

const rowsPerPage = 1000;

const ownerKey = ['account_id', 'region', 'owner'] as const;

/** `read` gives the rows after one, `rowsPerPage` of them if there are so many. */
async function* pagesOf<Row>(
  read: (after: Row | undefined) => Promise<readonly Row[]>,
): AsyncGenerator<readonly Row[]> {
  let last: Row | undefined;
  do {
    const rows = await read(last);
    yield rows;
    last = rows.length === rowsPerPage ? rows.at(-1) : undefined;
  } while (last !== undefined);
}

const accountOf = (row: { account_id: string; region: string }): AccountRegion => ({
  accountId: row.account_id,
  region: row.region,
});

/** Every session. */
export async function* sessionPages(
  db: Db,
): AsyncGenerator<readonly (KeptSession & { readonly account: AccountRegion })[]> {
  const pages = pagesOf<SessionsTable>((after) =>
    db
      .selectFrom('mqtt_sessions')
      .selectAll()
      .$if(after !== undefined, (query) =>
        query.where(({ eb, refTuple, tuple }) =>
          eb(
            refTuple('account_id', 'region', 'client_id'),
            '>',
            tuple(after!.account_id, after!.region, after!.client_id),
          ),
        ),
      )
      .orderBy('account_id')
      .orderBy('region')
      .orderBy('client_id')
      .limit(rowsPerPage)
      .execute(),
  );
  for await (const rows of pages) yield rows.map(toSession);
}

/** Every subscription. */
export async function* subscriptionPages(
  db: Db,
): AsyncGenerator<readonly { account: AccountRegion; clientId: string; filter: string; granted: Granted }[]> {
  const pages = pagesOf<SubscriptionsTable>((after) =>
    db
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
      .execute(),
  );
  for await (const rows of pages) {
    yield rows.map((row) => ({
      account: accountOf(row),
      clientId: row.client_id,
      filter: row.filter,
      granted: {
        qos: toQos(row.qos),
        noLocal: Number(row.no_local) === 1,
        retainAsPublished: Number(row.retain_as_published) === 1,
        identifier: Number(row.subscription_identifier),
      },
    }));
  }
}

/** Every receipt of a QoS 2 message (receipts.ts). */
export async function* receiptPages(
  db: Db,
): AsyncGenerator<readonly { account: AccountRegion; clientId: string; packetId: number }[]> {
  const pages = pagesOf<ReceiptsTable>((after) =>
    db
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
      .execute(),
  );
  for await (const rows of pages) {
    yield rows.map((row) => ({ account: accountOf(row), clientId: row.client_id, packetId: Number(row.packet_id) }));
  }
}

/** What every owner of a queue has left. */
export async function* queuePages(db: Db): AsyncGenerator<readonly (Owner & { readonly left: Left })[]> {
  const pages = pagesOf<{
    readonly account_id: string;
    readonly region: string;
    readonly owner: string;
    readonly rows: unknown;
    readonly bytes: unknown;
    readonly oldest: unknown;
    readonly newest: unknown;
  }>((after) =>
    db
      .selectFrom('mqtt_queue')
      .select(({ fn }) => [
        ...ownerKey,
        fn.countAll().as('rows'),
        fn.sum('bytes').as('bytes'),
        fn.min('position').as('oldest'),
        fn.max('position').as('newest'),
      ])
      .$if(after !== undefined, (query) =>
        query.where(({ eb, refTuple, tuple }) =>
          eb(refTuple(...ownerKey), '>', tuple(after!.account_id, after!.region, after!.owner)),
        ),
      )
      .groupBy(ownerKey)
      .orderBy('account_id')
      .orderBy('region')
      .orderBy('owner')
      .limit(rowsPerPage)
      .execute(),
  );
  for await (const rows of pages) {
    const queues = [];
    for (const row of rows) {
      const owner: Owner = { account: accountOf(row), owner: row.owner };
      const [oldest, newest] = [Number(row.oldest), Number(row.newest)];
      const stragglers = newest - oldest < stragglerSpan ? [] : await positions(db, owner, newest - stragglerSpan);
      queues.push({
        ...owner,
        left: { rows: Number(row.rows), bytes: Number(row.bytes), oldest, newest, stragglers },
      });
    }
    yield queues;
  }
}

const positions = async (db: Db, { account, owner }: Owner, upTo: number): Promise<number[]> => {
  const rows = await db
    .selectFrom('mqtt_queue')
    .select('position')
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .where('owner', '=', owner)
    .where('position', '<=', upTo)
    .orderBy('position')
    .execute();
  return rows.map(({ position }) => Number(position));
};

/** Rows that have expired, the oldest first, after one that was seen. */
export const expiredRows = async (
  db: Db,
  nowMs: number,
  after: ExpiredRow | undefined,
): Promise<readonly ExpiredRow[]> => {
  const rows = await db
    .selectFrom('mqtt_queue')
    .select(['expires_at_ms', ...ownerKey, 'position', 'bytes'])
    .where('expires_at_ms', '<=', nowMs)
    .$if(after !== undefined, (query) =>
      query.where(({ eb, refTuple, tuple }) =>
        eb(
          refTuple('expires_at_ms', 'account_id', 'region', 'owner', 'position'),
          '>',
          tuple(after!.expiresAtMs, after!.account.accountId, after!.account.region, after!.owner, after!.position),
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
    account: accountOf(row),
    owner: row.owner,
    position: Number(row.position),
    cost: Number(row.bytes),
    expiresAtMs: Number(row.expires_at_ms),
  }));
};

const toSession = (row: SessionsTable): KeptSession & { readonly account: AccountRegion } => ({
  account: accountOf(row),
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
