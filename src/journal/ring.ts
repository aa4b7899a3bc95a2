/**
 * The journal on disk: one ring of records per account and region, and one of the node itself (both columns empty) for attempts that proved no
 * account. A ring is cut fairly, not by age alone: the newest record of every source is kept before the second newest of any, so one
 * address that fails ten thousand times cannot push out the one record of another. Failures are kept before successes, and a provisioning before a connection.
 */

import { sql } from 'kysely';
import type { AccountRegion } from '../aws/arn.ts';
import type { Migration } from '../store/migrate.ts';
import type { Db } from '../store/store.ts';
import type { StoredRecord } from './stored-record.ts';

/** Records of one ring. */
export const ringRecordsMax = 500;
/** Of them, failures of one source, certificates and things that it was given, and other successes. */
export const ringFailuresPerSourceMax = 50;
export const ringProvisionedPerSourceMax = 100;
export const ringSuccessesPerSourceMax = 5;
/** Rows per insert: SQL engines bound the values of one statement. */
const rowsPerInsertMax = 100;

interface JournalTable {
  account_id: string;
  region: string;
  record_id: string;
  sequence: number;
  source: string;
  status: string;
  certificate_id: string;
  client_id: string;
  /** The StoredRecord as JSON. */
  body: string;
}

declare module '../store/tables.ts' {
  interface Tables {
    journal_records: JournalTable;
  }
}

export const journalMigrations: readonly Migration[] = [
  {
    name: 'journal-0001',
    sql: [
      `create table journal_records (
        account_id text not null,
        region text not null,
        record_id text not null,
        sequence bigint not null,
        source text not null,
        status text not null,
        certificate_id text not null,
        client_id text not null,
        body text not null,
        primary key (account_id, region, record_id)
      )`,
      'create index journal_records_newest on journal_records (account_id, region, sequence)',
    ],
  },
];

/** Whose ring: an account's, or the node's own. */
export type Ring = AccountRegion | 'operator';
const columnsOf = (ring: Ring) =>
  ring === 'operator' ? { account_id: '', region: '' } : { account_id: ring.accountId, region: ring.region };

export interface RingRow {
  readonly source: string;
  readonly record: StoredRecord;
}

/** Certificates and things that were given to devices: the trail of each is worth more than that of a connection, of which there are many. */
const provisioned = 'Provisioned';
/** Records of one source that are kept alike. */
const keptAs = ({ status, eventType }: StoredRecord): string =>
  status === 'Success' && (eventType === 'ProvisionDevice' || eventType === 'GetDeviceCredentials')
    ? provisioned
    : status;

/** Writes new records and the counts of repeated ones, then cuts every ring that was touched. Part of one unit. */
export const writeRows = async (db: Db, rows: readonly RingRow[]): Promise<void> => {
  for (let start = 0; start < rows.length; start += rowsPerInsertMax) {
    await db
      .insertInto('journal_records')
      .values(
        rows.slice(start, start + rowsPerInsertMax).map(({ source, record }) => ({
          ...columnsOf(record.account ?? 'operator'),
          record_id: record.id,
          sequence: record.sequence,
          source,
          status: keptAs(record),
          certificate_id: record.certificateId ?? '',
          client_id: record.clientId ?? '',
          body: JSON.stringify(record),
        })),
      )
      .onConflict((conflict) =>
        conflict
          .columns(['account_id', 'region', 'record_id'])
          .doUpdateSet((row) => ({ sequence: row.ref('excluded.sequence'), body: row.ref('excluded.body') })),
      )
      .execute();
  }
  const rings = new Map<string | undefined, Ring>(
    rows.map(({ record }) => [JSON.stringify(record.account), record.account ?? 'operator']),
  );
  for (const ring of rings.values()) await cutRing(db, ring);
};

const cutRing = async (db: Db, ring: Ring): Promise<void> => {
  const { account_id, region } = columnsOf(ring);
  await sql`
    delete from journal_records where account_id = ${account_id} and region = ${region} and record_id in (
      select record_id from (
        select record_id, status, place, row_number() over (
          order by case status when 'Failure' then 0 when ${provisioned} then 1 else 2 end, place, sequence desc) as rank_in_ring
        from (
          select record_id, status, sequence, row_number() over (partition by source, status order by sequence desc) as place
          from journal_records where account_id = ${account_id} and region = ${region}
        ) as placed
      ) as ranked
      where rank_in_ring > ${ringRecordsMax}
        or (status = 'Failure' and place > ${ringFailuresPerSourceMax})
        or (status = ${provisioned} and place > ${ringProvisionedPerSourceMax})
        or (status = 'Success' and place > ${ringSuccessesPerSourceMax})
    )`.execute(db);
};

/** Which records of a ring are wanted. All given members must hold. */
export interface RecordFilter {
  /** A whole certificateId or the beginning of one, lower-case hex. */
  readonly certificateId?: string;
  readonly clientId?: string;
  /** Either of the two, or the certificate that a device was given: what a user typed. */
  readonly subject?: string;
  readonly failuresOnly?: boolean;
}

/** The first digits of a certificateId that are enough to mean one: as many as sentences show. */
const certificatePrefix = /^[0-9a-f]{8,64}$/;

/** The same filter for records in memory. */
export const matches = (record: StoredRecord, filter: RecordFilter): boolean =>
  (!filter.failuresOnly || record.status === 'Failure') &&
  (filter.certificateId === undefined || (record.certificateId ?? '').startsWith(filter.certificateId)) &&
  (filter.clientId === undefined || record.clientId === filter.clientId) &&
  (filter.subject === undefined ||
    record.clientId === filter.subject ||
    (certificatePrefix.test(filter.subject) &&
      [record.certificateId, record.facts?.['deviceCertificateId']].some((id) =>
        id?.startsWith(filter.subject ?? ''),
      )));

/** Records of one ring, newest first, at most `limit`. */
export const readRing = async (db: Db, ring: Ring, filter: RecordFilter, limit: number): Promise<StoredRecord[]> => {
  const { account_id, region } = columnsOf(ring);
  const { certificateId, clientId, subject, failuresOnly } = filter;
  let query = db
    .selectFrom('journal_records')
    .select('body')
    .where('account_id', '=', account_id)
    .where('region', '=', region);
  const startsWith = (prefix: string) => sql<boolean>`substr(certificate_id, 1, ${prefix.length}) = ${prefix}`;
  // hexadecimal digits, which mean nothing else in a pattern
  const given = (prefix: string) => `%"deviceCertificateId":"${prefix}%`;
  if (failuresOnly) query = query.where('status', '=', 'Failure');
  if (certificateId !== undefined) query = query.where(startsWith(certificateId));
  if (clientId !== undefined) query = query.where('client_id', '=', clientId);
  if (subject !== undefined) {
    query = query.where((either) =>
      certificatePrefix.test(subject)
        ? either.or([either('client_id', '=', subject), startsWith(subject), either('body', 'like', given(subject))])
        : either('client_id', '=', subject),
    );
  }
  const rows = await query.orderBy('sequence', 'desc').limit(limit).execute();
  // The text is what writeRows stored.
  return rows.map(({ body }) => JSON.parse(body) as StoredRecord);
};

/** The highest sequence on disk, 0 when there is none. */
export const highestSequence = async (db: Db): Promise<number> => {
  const row = await db
    .selectFrom('journal_records')
    .select((select) => select.fn.max('sequence').as('highest'))
    .executeTakeFirst();
  return Number(row?.highest ?? 0);
};
