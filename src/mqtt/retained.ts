/**
 * Retained messages: the last message of a topic that was published with RETAIN, kept for whoever subscribes later. The store is the only
 * truth; in memory is how many an account has, and what is being written.
 *
 * Writes are done by one writer, many in one unit and one unit at a time, in the order in which they came; of several that wait for one topic only the
 * last is written. So the bound holds exactly, and nobody waits longer than two units. Whoever reads waits for what is being written to
 * the topic, and learns what was committed while it was reading: so no subscriber is sent an older message after a newer one.
 *
 * Waiting writes are bounded by those who wait for them: a connection is not read on before its message is stored.
 * With several nodes each knows the counts of the others as of its last `sweep`.
 */
import { type AccountRegion, accountKey } from '../aws/arn.ts';
import { type Db, type Store, StoreUnavailable } from '../store/store.ts';
import {
  countRows,
  deleteExpired,
  deleteRow,
  findRow,
  insertRow,
  listRows,
  listTopics,
  type RetainedHeader,
  type RetainedMessage,
  replaceRow,
} from './retained-rows.ts';
import { matchesFilter } from './topic.ts';

/** Writes of one unit. */
const writesPerUnitMax = 256;
/** Expired rows that one unit deletes. */
const deletesPerUnitMax = 500;
/** Topics that are looked through at a time. */
const topicsPerPage = 256;

/** `full`: the account has as many as it may, and this would be one more. Nothing was changed then. */
export type RetainOutcome = 'kept' | 'full';

export interface RetainedOptions {
  /** Without one nothing is retained, and whoever wants to is told that the store cannot serve. */
  readonly store: Pick<Store, 'db' | 'write'> | undefined;
  readonly retainedPerAccountMax: number;
  /** `a/#` finds `a` as well. */
  readonly hashMatchesParent: boolean;
  now(): number;
}

interface Write {
  readonly account: AccountRegion;
  message: RetainedMessage;
  readonly done: PromiseWithResolvers<RetainOutcome>;
}

interface AccountCount {
  readonly account: AccountRegion;
  count: number;
}

interface Written {
  readonly outcome: RetainOutcome;
  /** Of the account's number of rows. */
  readonly change: number;
}

/** A read under way of one topic. */
interface Read {
  /** What was committed meanwhile: a message, or 'none' for its deletion. */
  latest: RetainedMessage | 'none' | undefined;
}

const keyOf = (account: AccountRegion, topic: string): string => `${accountKey(account)}/${topic}`;

export class Retained {
  readonly #options: RetainedOptions;
  /** Rows by account; undefined until they were counted. */
  #counts: Map<string, AccountCount> | undefined;
  /** By account and topic, in the order in which they came. */
  #waiting = new Map<string, Write>();
  #underWay = new Map<string, Write>();
  readonly #reads = new Map<string, Set<Read>>();
  /** What this writer does in the store, one after the other; never rejects. */
  #work: Promise<unknown> = Promise.resolve();

  constructor(options: RetainedOptions) {
    this.#options = options;
  }

  /** Keeps a message in place of the former one of its topic; an empty payload deletes. Resolves when that is durable. Faults: StoreUnavailable. */
  write(account: AccountRegion, message: RetainedMessage): Promise<RetainOutcome> {
    const { store } = this.#options;
    if (store === undefined) return Promise.reject(new StoreUnavailable('This broker has no store'));
    const key = keyOf(account, message.topic);
    const waiting = this.#waiting.get(key);
    if (waiting !== undefined) {
      waiting.message = message;
      return waiting.done.promise;
    }
    const done = Promise.withResolvers<RetainOutcome>();
    this.#waiting.set(key, { account, message, done });
    if (this.#waiting.size === 1) this.#inTurn(() => this.#flush(store));
    return done.promise;
  }

  /** Messages of all accounts, as far as they were counted. */
  get size(): number {
    return [...(this.#counts?.values() ?? [])].reduce((sum, { count }) => sum + count, 0);
  }

  /** False when nothing is retained in the account, which is known without the store. */
  mayHave(account: AccountRegion): boolean {
    if (this.#options.store === undefined) return false;
    if (this.#counts === undefined || this.#waiting.size > 0 || this.#underWay.size > 0) return true;
    return (this.#counts.get(accountKey(account))?.count ?? 0) > 0;
  }

  /**
   * Reads one topic and calls `use` with what is retained there, in a moment in which it is the latest: what `use` sends is never older than what
   * live receivers were sent before. Not called when there is nothing, nor when something was committed to the topic meanwhile, which a subscriber
   * gets live; that is answered. Faults: StoreUnavailable.
   */
  async read(account: AccountRegion, topic: string, use: (message: RetainedMessage) => void): Promise<Read['latest']> {
    const { store, now } = this.#options;
    if (store === undefined) return undefined;
    const key = keyOf(account, topic);
    await settled(this.#waiting.get(key) ?? this.#underWay.get(key));
    const read: Read = { latest: undefined };
    const reads = this.#reads.get(key) ?? new Set();
    this.#reads.set(key, reads.add(read));
    try {
      const row = await findRow(store.db, account, topic, now());
      if (read.latest === undefined && row !== undefined) use(row);
      return read.latest;
    } finally {
      reads.delete(read);
      if (reads.size === 0) this.#reads.delete(key);
    }
  }

  /** Faults: StoreUnavailable. */
  async find(account: AccountRegion, topic: string): Promise<RetainedMessage | undefined> {
    let found: RetainedMessage | undefined;
    const latest = await this.read(account, topic, (message) => {
      found = message;
    });
    return latest === 'none' ? undefined : (latest ?? found);
  }

  /** What is retained, in topic order, the first after `after`. Faults: StoreUnavailable. */
  async list(
    account: AccountRegion,
    { after, limit }: { readonly after: string; readonly limit: number },
  ): Promise<readonly RetainedHeader[]> {
    const { store, now } = this.#options;
    if (store === undefined) return [];
    await this.settled();
    return listRows(store.db, account, { after, limit, nowMs: now() });
  }

  /** Topics that match a filter with wildcards, a page at a time; pages may be empty. Faults: StoreUnavailable. */
  async *topics(account: AccountRegion, filter: string): AsyncGenerator<readonly string[]> {
    const { store, hashMatchesParent } = this.#options;
    if (store === undefined) return;
    await this.settled();
    const prefix = filter.slice(0, filter.search(/[+#]/)).replace(/\/$/, ''); // without the last slash: 'a/#' may find 'a'
    let after = '';
    for (;;) {
      const page = await listTopics(store.db, account, { prefix, after, limit: topicsPerPage });
      yield page.filter((topic) => matchesFilter(filter, topic, hashMatchesParent));
      if (page.length < topicsPerPage) return;
      after = page.at(-1) ?? '';
    }
  }

  /** Counts anew, and deletes what has expired. For the task runner. Faults: StoreUnavailable. */
  async sweep(nowMs: number): Promise<void> {
    const { store } = this.#options;
    if (store === undefined) return;
    await this.#inTurn(() => this.#count(store.db));
    for (const { account } of this.#counts?.values() ?? []) {
      let deleted: number;
      do {
        deleted = await this.#inTurn(async () => {
          const count = await store.write((db) => deleteExpired(db, account, { nowMs, limit: deletesPerUnitMax }));
          this.#add(account, -count);
          return count;
        });
      } while (deleted === deletesPerUnitMax);
    }
  }

  /** Resolves when everything that waits by now has been written, or has failed. */
  async settled(): Promise<void> {
    await Promise.all([...this.#underWay.values(), ...this.#waiting.values()].map(settled));
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#work.then(work);
    this.#work = done.catch(() => undefined);
    return done;
  }

  /** Writes what waits, as much as one unit takes. */
  async #flush(store: Pick<Store, 'db' | 'write'>): Promise<void> {
    const all = [...this.#waiting];
    this.#underWay = new Map(all.slice(0, writesPerUnitMax));
    this.#waiting = new Map(all.slice(writesPerUnitMax));
    if (this.#waiting.size > 0) this.#inTurn(() => this.#flush(store));
    const batch = [...this.#underWay.values()];
    try {
      if (this.#counts === undefined) await this.#count(store.db);
      const written = await store.write((db) => this.#writeAll(db, batch));
      for (const [index, { account, message, done }] of batch.entries()) {
        const { outcome, change } = written[index]!; // one for each
        this.#add(account, change);
        if (outcome === 'kept') this.#overtake(account, message);
        done.resolve(outcome);
      }
    } catch (error) {
      for (const { done } of batch) done.reject(error);
    } finally {
      this.#underWay = new Map();
    }
  }

  async #writeAll(db: Db, batch: readonly Write[]): Promise<readonly Written[]> {
    const nowMs = this.#options.now();
    const counts = new Map<string, number>();
    const written: Written[] = [];
    for (const { account, message } of batch) {
      const key = accountKey(account);
      const count = counts.get(key) ?? this.#counts?.get(key)?.count ?? 0;
      const one = await this.#writeOne(db, account, { message, count, nowMs });
      counts.set(key, count + one.change);
      written.push(one);
    }
    return written;
  }

  async #writeOne(
    db: Db,
    account: AccountRegion,
    { message, count, nowMs }: { readonly message: RetainedMessage; readonly count: number; readonly nowMs: number },
  ): Promise<Written> {
    if (message.payload.length === 0) {
      return { outcome: 'kept', change: -(await deleteRow(db, account, message.topic)) };
    }
    if (await replaceRow(db, account, message)) return { outcome: 'kept', change: 0 };
    const { retainedPerAccountMax } = this.#options;
    const freed =
      count < retainedPerAccountMax ? 0 : await deleteExpired(db, account, { nowMs, limit: deletesPerUnitMax });
    if (count - freed >= retainedPerAccountMax) return { outcome: 'full', change: -freed };
    await insertRow(db, account, message);
    return { outcome: 'kept', change: 1 - freed };
  }

  /** Tells those who are reading the topic what has just been committed. */
  #overtake(account: AccountRegion, message: RetainedMessage): void {
    const latest = message.payload.length === 0 ? 'none' : message;
    for (const read of this.#reads.get(keyOf(account, message.topic)) ?? []) read.latest = latest;
  }

  async #count(db: Db): Promise<void> {
    const counts = new Map<string, AccountCount>();
    for (const { count, ...account } of await countRows(db)) counts.set(accountKey(account), { account, count });
    this.#counts = counts;
  }

  #add(account: AccountRegion, change: number): void {
    const key = accountKey(account);
    const known = this.#counts?.get(key);
    if (known !== undefined) known.count += change;
    else this.#counts?.set(key, { account, count: change });
  }
}

const settled = async (write: Write | undefined): Promise<void> => {
  await write?.done.promise.catch(() => undefined);
};
