/**
 * What waits for one persistent session, in order. Every message has a row in the store before it is sent, and until it is acknowledged; memory holds
 * only what stands next, bounded by `memoryBytesMax`. Beyond that, and while nobody is connected, messages are in the store alone ("behind"), and are
 * read back in pages, never past a position that is still being written. Sending stops at the first message that is not durable. A queue that has
 * read back all but what is being written at this moment goes on with that from memory, so that a steady stream does not keep it behind for ever.
 *
 * A position is never used twice, and the packet identifier follows from it, so a message that is sent again has the identifier it had, also after a
 * restart. Source: MQTT 5.0 4.1, 4.4, 4.6; spec gateway.md 5.3.
 */

/** A message on its way through a queue: not durable yet, durable, or gone. */
export interface Entry<M> {
  readonly position: number;
  readonly cost: number;
  /** Undefined while it is in the store alone, or sent. */
  message: M | undefined;
  isDurable: boolean;
  isGone: boolean;
  /** The client has received a QoS 2 message; its release is all that is left to do. */
  isReleased: boolean;
  /** Until then the client must not be told so; undefined = it may. */
  releasing: Promise<void> | undefined;
}

/** A message as it came back from the store. */
export interface Stored<M> {
  readonly position: number;
  readonly cost: number;
  readonly isReleased: boolean;
  readonly message: M;
}

/** `taken`: `settled` will be called with the identifier. `gone`: nobody is to get it. `later`: `proceed` will be called. */
export type Verdict = 'taken' | 'gone' | 'later';

/** What is known of a message. */
export interface Past {
  /** Perhaps it was sent before. */
  readonly isRepeated: boolean;
  /** It came while nobody was connected. */
  readonly isStored: boolean;
  /** QoS 2: the client has received it and is to release it; it is not sent again. */
  readonly isReleased: boolean;
}

/** Takes messages from the head of a queue: the connection. */
export interface Sink<M> {
  take(message: M, packetId: number, past: Past): Verdict;
  /** Messages could not be read back. */
  failed(error: unknown): void;
}

/** The rows of owners. */
export interface Rows<M, O> {
  /** The first messages after one position and up to another, as many as fit into `bytes` but at least one; `isWhole`: there are no more. */
  read(
    owner: O,
    page: { readonly after: number; readonly upTo: number; readonly bytes: number },
  ): Promise<{ readonly messages: readonly Stored<M>[]; readonly isWhole: boolean }>;
  /** The client has received a QoS 2 message. Resolves when that is durable. */
  release(owner: O, position: number): Promise<void>;
  /** Removes everything up to a position, and single ones after it. A row that stays is sent again after the next connect, no more. */
  remove(owner: O, upTo: number, single: readonly number[]): void;
}

/** What is left in the store of an owner when the node starts. */
export interface Left {
  readonly rows: number;
  readonly bytes: number;
  readonly oldest: number;
  readonly newest: number;
  /** Positions so far behind the newest that their identifiers come round again. */
  readonly stragglers: readonly number[];
}

export const nothingLeft: Left = { rows: 0, bytes: 0, oldest: 1, newest: 0, stragglers: [] };

/** What several queues cost together. */
export interface Tally {
  bytes: number;
}

/** What queues share: most of them are idle, and there are very many. */
export interface QueueWorld<M, O> {
  readonly rows: Rows<M, O>;
  readonly tally: Tally;
  readonly memoryBytesMax: number;
  /** Calls `flush` when the turn ends. */
  schedule(queue: { flush(): void }): void;
  /** Told of messages in memory; absent: nobody counts them. */
  readonly memory?: QueueMemory<M>;
}

/** What all queues of the node hold in memory. */
export interface QueueMemory<M> {
  /** There is none left: a queue holds one message at a time, the others wait in the store alone. */
  readonly isScarce: boolean;
  hold(message: M): void;
  release(message: M): void;
  /** So many bytes are being read from the store, or are not any more. */
  change(bytes: number): void;
}

const entryOf = <M>(position: number, cost: number): Entry<M> => ({
  position,
  cost,
  message: undefined,
  isDurable: false,
  isGone: false,
  isReleased: false,
  releasing: undefined,
});

const packetIds = 65_535;
export const packetIdOf = (position: number): number => ((position - 1) % packetIds) + 1;
/** Positions between the newest and the one sent last; more would let identifiers meet. */
export const unsentSpanMax = 60_000;
/** A position this far behind the newest is a straggler. */
export const stragglerSpan = 32_000;

export class Queue<M, O> {
  readonly owner: O;
  /** Its owner is no more. */
  isDiscarded = false;
  /** Messages in the store, and what they cost. */
  rows: number;
  bytes: number;
  readonly #world: QueueWorld<M, O>;
  /** In memory and not sent; what stands before `#first` is done. */
  #unsent: Entry<M>[] | undefined;
  #first = 0;
  /** Of these, and of messages in memory that are being written while the queue is behind. */
  #unsentBytes = 0;
  /** Sent and unacknowledged, by packet identifier, oldest first. */
  #sent: Map<number, Entry<M>> | undefined;
  /** Being written, in order, in memory or not. */
  #writing: Set<Entry<M>> | undefined;
  /** A message became durable before one that was added before it: what is unread is not only what is being written. */
  #isUneven = false;
  /** Identifiers that an earlier connection has not acknowledged and that were not sent again yet. */
  #unsettled: Set<number> | undefined;
  /** Identifiers of messages that are not kept, until they are acknowledged or the connection ends. */
  #lent: Set<number> | undefined;
  #newest: number;
  /** Up to here, everything was sent or is gone. */
  #sentUpTo: number;
  /** Up to here, everything is in memory or gone. */
  #cursor: number;
  /** At the start of the node these were there: perhaps they had been sent. */
  readonly #leftUpTo: number;
  #acknowledged: number[] | undefined;
  /** When the connection came, these were there. */
  #storedUpTo = 0;
  #sink: Sink<M> | undefined;
  #reading = false;

  constructor(world: QueueWorld<M, O>, owner: O, { rows, bytes, oldest, newest, stragglers }: Left) {
    this.#world = world;
    this.owner = owner;
    world.tally.bytes += bytes;
    this.rows = rows;
    this.bytes = bytes;
    this.#newest = newest;
    this.#leftUpTo = newest;
    this.#cursor = oldest - 1;
    this.#sentUpTo = Math.max(oldest - 1, stragglers.at(-1) ?? 0);
    if (stragglers.length > 0) this.#unsettled = new Set(stragglers.map(packetIdOf));
  }

  /** A connection takes what waits. */
  get isAttached(): boolean {
    return this.#sink !== undefined;
  }

  get tally(): Tally {
    return this.#world.tally;
  }

  /** Messages stand in the store that are not in memory. */
  get isBehind(): boolean {
    return this.#cursor < this.#newest;
  }

  /** No message can be added until older ones were sent: identifiers have run out. */
  get isExhausted(): boolean {
    return this.#newest - this.#sentUpTo >= unsentSpanMax;
  }

  /** Adds a message that is being written; `durable` or `failed` follows. `make` is asked only when there is room in memory. */
  add(cost: number, make: () => M): Entry<M> {
    const isCurrent = !this.isBehind;
    const position = this.#next();
    const entry = entryOf<M>(position, cost);
    this.rows++;
    this.bytes += cost;
    this.#world.tally.bytes += cost;
    this.#writing ??= new Set();
    this.#writing.add(entry);
    if (this.#sink === undefined || !this.#hasRoom(cost)) return entry;
    this.#keep(entry, make());
    if (!isCurrent) return entry;
    this.#unsent ??= [];
    this.#unsent.push(entry);
    this.#cursor = position;
    return entry;
  }

  /** A packet identifier for a message that goes past the queue and is not kept. */
  lend(): number {
    const packetId = packetIdOf(this.#next());
    if (this.#cursor === this.#newest - 1) this.#cursor = this.#newest;
    this.#lent ??= new Set();
    this.#lent.add(packetId);
    return packetId;
  }

  durable(entry: Entry<M>): void {
    entry.isDurable = true;
    const first = this.#writing?.values().next().value;
    if (first !== entry && entry.position > this.#cursor) this.#isUneven = true;
    this.#written(entry);
    this.proceed();
  }

  /** Its row was not written. */
  failed(entry: Entry<M>): void {
    entry.isGone = true;
    this.#written(entry);
    this.#forget(entry);
    this.proceed();
  }

  /** A connection takes over: from now on messages are sent, those of earlier connections that were not acknowledged first. */
  attach(sink: Sink<M>): void {
    this.#sink = sink;
    this.#storedUpTo = this.#newest;
    this.proceed();
  }

  /** The connection is gone: what is in memory is freed. */
  detach(): void {
    if (this.#sink === undefined) return;
    this.flush();
    this.#sink = undefined;
    this.#lent = undefined;
    this.#cursor = this.#settledUpTo();
    if (this.#sent?.size) this.#unsettled = new Set([...(this.#unsettled ?? []), ...this.#sent.keys()]);
    else if (this.#unsettled?.size === 0) this.#unsettled = undefined;
    this.#sent = undefined;
    for (const entry of [...(this.#unsent ?? []), ...(this.#writing ?? [])]) this.#drop(entry);
    this.#unsent = undefined;
    this.#first = 0;
  }

  /** Its owner is no more, nor are its rows. */
  discard(): void {
    this.isDiscarded = true;
    this.#acknowledged = undefined;
    this.detach();
    this.#world.tally.bytes -= this.bytes;
    this.rows = 0;
    this.bytes = 0;
  }

  /** The client has received a QoS 2 message. Resolves when it may be told to release it; undefined = at once. */
  release(packetId: number): Promise<void> | undefined {
    const entry = this.#sent?.get(packetId);
    if (entry === undefined || entry.isReleased) return entry?.releasing;
    entry.isReleased = true;
    const releasing = this.#world.rows.release(this.owner, entry.position);
    entry.releasing = releasing;
    releasing.then(
      () => {
        entry.releasing = undefined;
      },
      () => {
        entry.isReleased = false;
        entry.releasing = undefined;
      },
    );
    return releasing;
  }

  /** The client has it. */
  settled(packetId: number): void {
    const entry = this.#sent?.get(packetId);
    this.#lent?.delete(packetId);
    if (entry === undefined) return;
    this.#sent?.delete(packetId);
    this.#remove(entry);
  }

  /** A row was found to have expired; false when it is in memory, where whoever sends it sees that. */
  expire(position: number, cost: number): boolean {
    if (this.#sink !== undefined && (position <= this.#cursor || this.#reading)) return false;
    this.#unsettled?.delete(packetIdOf(position));
    this.#forget({ cost });
    return true;
  }

  /** Sends what may be sent. */
  proceed(): void {
    const sink = this.#sink;
    if (sink === undefined) return;
    for (let entry = this.#unsent?.[this.#first]; entry !== undefined; entry = this.#unsent?.[this.#first]) {
      if (!entry.isGone && !entry.isDurable) break;
      const verdict = entry.isGone ? 'gone' : this.#offer(entry, sink);
      if (this.#sink !== sink) return; // it has ended its connection
      if (verdict === 'later') break;
      this.#first++;
      this.#drop(entry);
      if (verdict === 'gone' && !entry.isGone) this.#remove(entry);
    }
    if (this.#first > 0 && (this.#first === this.#unsent?.length || this.#first >= 1024)) {
      this.#unsent = this.#unsent?.slice(this.#first);
      this.#first = 0;
    }
    this.#fill(sink);
  }

  /** End of the turn: the rows of what was acknowledged are removed. */
  flush(): void {
    if (this.#acknowledged === undefined) return;
    const upTo = this.#settledUpTo();
    const single = this.#acknowledged.filter((position) => position > upTo);
    this.#acknowledged = undefined;
    this.#world.rows.remove(this.owner, upTo, single);
  }

  /** The next position whose identifier is free. */
  #next(): number {
    const isCurrent = !this.isBehind;
    do this.#newest++;
    while (this.#isInUse(packetIdOf(this.#newest)));
    if (isCurrent) this.#cursor = this.#newest - 1;
    return this.#newest;
  }

  #isInUse(packetId: number): boolean {
    return Boolean(this.#sent?.has(packetId) || this.#unsettled?.has(packetId) || this.#lent?.has(packetId));
  }

  /** Whatever became of its row: from now on it is in memory if it is to be sent next, else in the store alone. */
  #written(entry: Entry<M>): void {
    this.#writing?.delete(entry);
    if (this.#writing?.size === 0 && this.#sink === undefined) this.#writing = undefined;
    if (entry.position <= this.#cursor || entry.message === undefined) return;
    this.#drop(entry);
  }

  /** What this queue holds in memory. */
  get memoryBytes(): number {
    return this.#unsentBytes;
  }

  get #memoryBytesMax(): number {
    return this.#world.memory?.isScarce ? 0 : this.#world.memoryBytesMax;
  }

  #hasRoom(cost: number): boolean {
    return this.#unsentBytes === 0 || this.#unsentBytes + cost <= this.#memoryBytesMax;
  }

  #keep(entry: Entry<M>, message: M): void {
    entry.message = message;
    this.#unsentBytes += entry.cost;
    this.#world.memory?.hold(message);
  }

  #drop(entry: Entry<M>): void {
    if (entry.message === undefined) return;
    this.#world.memory?.release(entry.message);
    entry.message = undefined;
    this.#unsentBytes -= entry.cost;
  }

  #offer(entry: Entry<M>, sink: Sink<M>): Verdict {
    const packetId = packetIdOf(entry.position);
    const isRepeated = entry.position <= this.#leftUpTo || this.#unsettled?.has(packetId) === true;
    // Known as sent before it is: it may be acknowledged at once.
    this.#sent ??= new Map();
    this.#sent.set(packetId, entry);
    const isStored = entry.position <= this.#storedUpTo;
    const verdict = sink.take(entry.message!, packetId, { isRepeated, isStored, isReleased: entry.isReleased });
    if (this.#sink !== sink) return 'later';
    if (verdict !== 'taken') this.#sent.delete(packetId);
    if (verdict === 'later') return verdict;
    this.#unsettled?.delete(packetId);
    if (entry.position > this.#sentUpTo) this.#sentUpTo = entry.position;
    return verdict;
  }

  #remove(entry: Entry<M>): void {
    this.#forget(entry);
    if (this.#acknowledged === undefined) this.#world.schedule(this);
    this.#acknowledged ??= [];
    this.#acknowledged.push(entry.position);
  }

  /** Counts stay true as far as the store says so; a write of unknown outcome may leave a row that was not counted. */
  #forget({ cost }: { readonly cost: number }): void {
    const counted = Math.min(cost, this.bytes);
    this.rows = Math.max(0, this.rows - 1);
    this.bytes -= counted;
    this.#world.tally.bytes -= counted;
    if (this.rows === 0) this.#sentUpTo = this.#newest;
  }

  /** Up to here, no row is needed any more. */
  #settledUpTo(): number {
    const oldest = this.#sent?.values().next().value ?? this.#unsent?.[this.#first];
    return oldest === undefined ? this.#cursor : oldest.position - 1;
  }

  /** Reads a page back when there is room for it. */
  #fill(sink: Sink<M>): void {
    const { rows } = this.#world;
    const memoryBytesMax = this.#memoryBytesMax;
    if (this.#reading || !this.isBehind || this.#unsentBytes > memoryBytesMax / 2) return;
    const after = this.#cursor;
    const upTo = this.#writtenUpTo();
    if (upTo <= after) {
      this.#catchUp();
      return; // it goes on when that one is durable
    }
    this.#reading = true;
    const bytes = Math.max(1, memoryBytesMax - this.#unsentBytes);
    this.#world.memory?.change(bytes);
    const done = (): void => {
      this.#reading = false;
      this.#world.memory?.change(-bytes);
    };
    rows.read(this.owner, { after, upTo, bytes }).then(
      ({ messages, isWhole }) => {
        done();
        if (this.#sink === sink) {
          for (const { position, cost, message, isReleased } of messages) {
            this.#unsent ??= [];
            const entry: Entry<M> = { ...entryOf<M>(position, cost), isDurable: true, isReleased };
            this.#unsent.push(entry);
            this.#keep(entry, message);
          }
          this.#cursor = isWhole ? upTo : (messages.at(-1)?.position ?? upTo);
          if (!this.isBehind) this.#isUneven = false;
        }
        this.proceed();
      },
      (error: unknown) => {
        done();
        if (this.#sink === sink) sink.failed(error);
        else this.proceed();
      },
    );
  }

  /** All that is not in memory is being written: if it is at hand, it is sent from memory when it is durable. */
  #catchUp(): void {
    if (this.#isUneven) return;
    const next = [...(this.#writing ?? [])].filter(({ position }) => position > this.#cursor);
    if (next.some(({ message }) => message === undefined)) return;
    this.#unsent = [...(this.#unsent ?? []), ...next];
    this.#cursor = this.#newest;
  }

  /** Before the first position that is being written and not in memory. */
  #writtenUpTo(): number {
    for (const { position } of this.#writing ?? []) if (position > this.#cursor) return position - 1;
    return this.#newest;
  }
}
