/**
 * The journal: what happened to each attempt, and why. `record` is handed to every room that refuses something. It only puts the record into
 * memory (tail.ts); a flush soon after writes what is new to the store (ring.ts) and the log, off the refusing path. The store of the
 * journal is a file of its own without fsync: losing the last moments of it in a crash harms no one, and a flood of refusals does not slow
 * acknowledged writes. While that store is unavailable the journal answers from memory.
 */
import { randomUUID } from 'node:crypto';
import { accountKey } from '../aws/arn.ts';
import type { Store } from '../store/store.ts';
import type { JournalRecord, RecordAttempt } from './record.ts';
import { highestSequence, matches, type RecordFilter, type Ring, readRing, writeRows } from './ring.ts';
import { plainText, type StoredRecord } from './stored-record.ts';
import { createTail } from './tail.ts';

/** From a record to its being written and logged. */
export const flushDelayMs = 200;
/** The same after a flush that failed. */
export const flushRetryMs = 5000;
/** Records one read may ask for. */
export const readLimitMax = 100;

export interface JournalQuery extends RecordFilter {
  /** Whose records; several rings are merged. `operator`: the node's own, of attempts that proved no account. */
  readonly rings: readonly Ring[];
  /** At most `readLimitMax`. */
  readonly limit: number;
}

export interface Journal {
  /** Never throws, never waits. */
  readonly record: RecordAttempt;
  /** Newest first. Falls back to what is in memory when the store cannot be read. */
  read(query: JournalQuery): Promise<readonly StoredRecord[]>;
  /** Resolves when everything recorded so far has been offered to the store and the log; never rejects. */
  flush(): Promise<void>;
  /** Records that were given up before they were written, because of a flood or a store that was down. */
  readonly dropped: number;
  /** Writes what is left. The store stays open: it belongs to whoever opened it. */
  close(): Promise<void>;
}

export interface JournalOptions {
  /** A store in which `journalMigrations` have run. */
  readonly store: Store;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Given each record once, when it is written first; repeats are not logged again. */
  readonly log?: (record: StoredRecord) => void;
  /** Told when the journal itself fails: its store, or a record that could not be read. */
  readonly trouble?: (error: unknown) => void;
  readonly newId?: () => string;
}

const sameRing = (record: StoredRecord, ring: Ring): boolean =>
  ring === 'operator'
    ? record.account === undefined
    : record.account !== undefined && accountKey(record.account) === accountKey(ring);

export const openJournal = async (options: JournalOptions): Promise<Journal> => {
  const { store, now, log, trouble, newId = randomUUID } = options;
  const tail = createTail();
  let sequence = await highestSequence(store.db);
  let timer: NodeJS.Timeout | undefined;
  let flushing = Promise.resolve();
  let closed = false;

  /** Whoever is told of a trouble cannot make a second one. */
  const complain = (error: unknown): void => {
    try {
      trouble?.(error);
    } catch {}
  };

  const schedule = (delayMs: number): void => {
    if (closed || timer) return;
    timer = setTimeout(() => {
      timer = undefined;
      void flush();
    }, delayMs).unref();
  };

  const logFresh = (): void => {
    for (const entry of tail.entries()) {
      if (!entry.fresh) continue;
      entry.fresh = false;
      log?.(entry.record);
    }
  };

  const writeDirty = async (): Promise<void> => {
    const dirty = [...tail.entries()].filter((entry) => entry.dirty);
    if (dirty.length === 0) return;
    const rows = dirty.map(({ source, record }) => ({ source, record }));
    for (const entry of dirty) entry.dirty = false;
    try {
      await store.write((db) => writeRows(db, rows));
    } catch (error) {
      for (const entry of dirty) entry.dirty = true;
      complain(error);
      schedule(flushRetryMs);
    }
  };

  /** One flush at a time: each takes what is new when its turn comes. */
  const flush = (): Promise<void> => {
    flushing = flushing.then(async () => {
      try {
        logFresh();
        await writeDirty();
      } catch (error) {
        complain(error);
      }
    });
    return flushing;
  };

  const record = (attempt: JournalRecord): void => {
    try {
      sequence += 1;
      tail.add(attempt, { id: newId(), atMs: now(), sequence });
      schedule(flushDelayMs);
    } catch (error) {
      complain(error);
    }
  };

  const readStore = async (ring: Ring, filter: RecordFilter, limit: number): Promise<StoredRecord[]> => {
    try {
      return await readRing(store.db, ring, filter, limit);
    } catch (error) {
      complain(error);
      return [];
    }
  };

  return {
    record,
    async read({ rings, limit, ...asked }) {
      const bound = Math.min(limit, readLimitMax);
      // Client ids are kept as plain text, so they are looked for as plain text.
      const filter: RecordFilter = {
        ...asked,
        ...(asked.clientId !== undefined && { clientId: plainText(asked.clientId) }),
        ...(asked.subject !== undefined && { subject: plainText(asked.subject) }),
      };
      const found = new Map<string, StoredRecord>();
      for (const ring of rings) {
        for (const stored of await readStore(ring, filter, bound)) found.set(stored.id, stored);
      }
      // What is in memory is newer than its row.
      for (const entry of tail.entries()) {
        if (rings.some((ring) => sameRing(entry.record, ring)) && matches(entry.record, filter)) {
          found.set(entry.record.id, entry.record);
        }
      }
      return [...found.values()].sort((a, b) => b.sequence - a.sequence).slice(0, bound);
    },
    flush,
    get dropped() {
      return tail.dropped;
    },
    async close() {
      closed = true;
      clearTimeout(timer);
      await flush();
    },
  };
};
