/**
 * The newest records in memory: what has yet to be written, and what may yet repeat.
 *
 * A refusal that repeats within `repeatWindowMs` is counted on the record that is already here, not appended. Memory is bounded twice: by
 * source, so that a flood from one address replaces only its own records, and as a whole, where the source with the most records gives up
 * its oldest. What is given up before it was written is lost and counted in `dropped`.
 */
import { createHash } from 'node:crypto';
import { accountKey } from '../aws/arn.ts';
import type { JournalRecord } from './record.ts';
import { sourceOf } from './source.ts';
import { type Stamp, type StoredRecord, storedRecord } from './stored-record.ts';

/** Records in memory, of all accounts: at most about 10 MB with the bounds of a record. */
export const tailRecordsMax = 1024;
/** Records in memory of one source. */
export const tailRecordsPerSourceMax = 64;
/** The same attempt within this time of the last one is a repeat. */
export const repeatWindowMs = 60_000;

export interface TailEntry {
  readonly key: string;
  readonly source: string;
  record: StoredRecord;
  /** Not yet written as it is now. */
  dirty: boolean;
  /** Not yet in the log. */
  fresh: boolean;
}

/** What makes two attempts the same. Hashed, so that a key's size does not depend on what a client sent. */
const sameness = (record: JournalRecord, source: string): string =>
  createHash('sha256')
    .update(
      JSON.stringify([
        record.account ? accountKey(record.account) : '',
        source,
        record.status,
        record.eventType,
        record.reason,
        record.detail,
        record.certificateId,
        record.clientId,
        record.action,
        record.resource,
        record.facts?.['topic'],
        record.facts?.['principalArn'],
        record.tls?.serverName,
        record.tls?.failure,
      ]),
    )
    .digest('base64url');

/** Calls of the API count apart from devices at the same address: a script that is refused must not push out why a device was. */
const countedAgainst = ({ eventType, sourceIp }: JournalRecord): string => {
  const source = sourceOf(sourceIp);
  return eventType === 'ApiCall' ? `api ${source}` : source;
};

export interface Tail {
  add(record: JournalRecord, stamp: Stamp): void;
  /** Every record in memory, oldest change first. */
  entries(): IterableIterator<TailEntry>;
  /** Records that were given up before they were written. */
  readonly dropped: number;
}

export const createTail = (): Tail => {
  /** By sameness; the one that changed last stands last. */
  const byKey = new Map<string, TailEntry>();
  const bySource = new Map<string, Set<TailEntry>>();
  let dropped = 0;

  const remove = (entry: TailEntry): void => {
    byKey.delete(entry.key);
    const ofSource = bySource.get(entry.source);
    ofSource?.delete(entry);
    if (ofSource?.size === 0) bySource.delete(entry.source);
  };
  const giveUpOldest = (entries: ReadonlySet<TailEntry>): void => {
    const [oldest] = entries;
    if (!oldest) return;
    if (oldest.dirty) dropped += 1;
    remove(oldest);
  };
  const largestSource = (): ReadonlySet<TailEntry> => {
    let largest: ReadonlySet<TailEntry> = new Set();
    for (const entries of bySource.values()) if (entries.size > largest.size) largest = entries;
    return largest;
  };
  const makeRoom = (source: string): void => {
    const own = bySource.get(source);
    if (own && own.size >= tailRecordsPerSourceMax) giveUpOldest(own);
    else if (byKey.size >= tailRecordsMax) giveUpOldest(largestSource());
  };
  const append = (entry: TailEntry): void => {
    byKey.set(entry.key, entry);
    const ofSource = bySource.get(entry.source) ?? new Set();
    bySource.set(entry.source, ofSource.add(entry));
  };

  return {
    add(record, stamp) {
      const source = countedAgainst(record);
      const key = sameness(record, source);
      const known = byKey.get(key);
      if (known && stamp.atMs - known.record.lastAtMs <= repeatWindowMs) {
        remove(known);
        // What was weighed may have changed since (a policy, a status): the newest facts count, under the first id and time.
        const { id, atMs, repeats } = known.record;
        known.record = { ...storedRecord(record, stamp), id, atMs, repeats: repeats + 1 };
        known.dirty = true;
        return append(known);
      }
      // The same thing later is a record of its own; the former one is written, or soon will be, under its own id.
      if (known) {
        if (known.dirty) dropped += 1;
        remove(known);
      }
      makeRoom(source);
      append({ key, source, record: storedRecord(record, stamp), dirty: true, fresh: true });
    },
    entries: () => byKey.values(),
    get dropped() {
      return dropped;
    },
  };
};
