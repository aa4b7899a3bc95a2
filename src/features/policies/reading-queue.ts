/**
 * What is in memory and must be read again from the store. Batches are read one at a time; what a turn of the event loop asks for is read together, and
 * what was marked while it was being read is read again. Accounts take turns, a batch each, so that a busy one delays nobody else by more.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { type AccountRegion, accountKey } from '../../aws/arn.ts';

/** Something that is read from the store and may have to be read again. */
export interface Readable {
  readonly account: AccountRegion;
  /** Decisions must wait: a change is known that has not been read. */
  isStale: boolean;
  /** Nobody needs it any more. */
  isOver: boolean;
  /** Rises with every mark; a reading counts only if it stood still meanwhile. */
  marks: number;
  /** Settles with the reading that is queued or under way; undefined when there is none. */
  reading: PromiseWithResolvers<void> | undefined;
  /** When it was last read, by `performance.now()`; undefined before the first time. */
  readAtMs: number | undefined;
}

export const unread = {
  isStale: false,
  isOver: false,
  marks: 0,
  reading: undefined,
  readAtMs: undefined,
} satisfies Partial<Readable>;

interface ReadingQueueOptions<Item extends Readable> {
  /** Reads a batch of one account; answers what could not be read completely and has to come again. */
  readonly read: (account: AccountRegion, items: readonly Item[]) => Promise<ReadonlySet<Item>>;
  /** Told of a batch that failed; whoever awaits it is rejected, and what is still needed is tried again after `retryMs`. */
  readonly failed: (cause: unknown) => void;
}

/** Items that one call of `read` is given. */
export const batchMax = 200;
const retryMs = 250;

const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });

/** Holds what the callers hold, never more: an item is in it once, and leaves it by `drop`. */
export const createReadingQueue = <Item extends Readable>({ read, failed }: ReadingQueueOptions<Item>) => {
  const queues = new Map<string, Set<Item>>();
  /** The batch under way: it may have seen things as they were before a notice. */
  let flying: readonly Item[] = [];
  let draining: Promise<void> | undefined;
  let isClosed = false;

  const add = (item: Item): void => {
    if (item.isOver || isClosed) return;
    item.reading ??= Promise.withResolvers();
    // one that nobody waits for may fail: `failed` has been told
    item.reading.promise.catch(() => undefined);
    const key = accountKey(item.account);
    queues.set(key, (queues.get(key) ?? new Set()).add(item));
    draining ??= drain();
  };

  const take = (queue: Set<Item>): Item[] => {
    const taken: Item[] = [];
    for (const item of queue) {
      if (taken.length === batchMax) break;
      queue.delete(item);
      taken.push(item);
    }
    return taken;
  };

  const readBatch = async (batch: readonly Item[]): Promise<void> => {
    const [first] = batch;
    if (!first) return;
    const marks = batch.map((item) => item.marks);
    const again = await read(first.account, batch);
    for (const [index, item] of batch.entries()) {
      if (again.has(item) || item.marks !== marks[index]) {
        add(item);
        continue;
      }
      item.readAtMs = performance.now();
      item.isStale = false;
      item.reading?.resolve();
      item.reading = undefined;
    }
  };

  const fail = (item: Item, cause: unknown): void => {
    item.reading?.reject(cause);
    item.reading = undefined;
    add(item);
  };

  const drain = async (): Promise<void> => {
    await turn();
    for (const [key, queue] of queues) {
      if (isClosed) break;
      flying = take(queue);
      try {
        await readBatch(flying);
      } catch (cause) {
        failed(cause);
        for (const item of flying) fail(item, cause);
        await pause(retryMs);
      }
      flying = [];
      // a queue that is put in again comes up again in this same loop, after the others
      queues.delete(key);
      if (queue.size > 0) queues.set(key, queue);
    }
    draining = undefined;
  };

  return {
    /** Has an item read without holding anything up: it is current, only perhaps old. */
    refresh(item: Item): void {
      if (!item.reading) add(item);
    },

    /** Has an item read because something about it changed: until then it is stale. */
    mark(item: Item): void {
      item.marks += 1;
      item.isStale = true;
      add(item);
    },

    /** Takes an item out for good; whoever awaits its reading goes on. */
    drop(item: Item): void {
      item.isOver = true;
      item.reading?.resolve();
      queues.get(accountKey(item.account))?.delete(item);
    },

    /** What is being read at this moment. */
    inFlight: (): readonly Item[] => flying,

    /** Resolves when nothing is queued; undefined when nothing is. */
    busy: (): Promise<void> | undefined => draining,

    /** Reads no further batch. */
    async close(): Promise<void> {
      isClosed = true;
      await draining;
    },
  };
};

/** Whether an item may be used as it is: not stale, and not older than `ageMsMax`. */
export const isFresh = ({ readAtMs, isStale }: Readable, ageMsMax: number): boolean =>
  !isStale && readAtMs !== undefined && performance.now() - readAtMs < ageMsMax;
