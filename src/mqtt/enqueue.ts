/**
 * One message on its way into the queues of sessions and groups: one row for each, written together, and only then sent. Bounds are those of `Limits`:
 * what comes beyond one of them is dropped, which the journal is told once, until the queue is down to half of it.
 */
import type { Statement } from '../store/store.ts';
import type { BrokerContext } from './context.ts';
import type { Extras, Message, Qos } from './message.ts';
import type { Tally } from './queue.ts';
import type { SessionQueue } from './session-queue.ts';
import { costOf, type KeptMessage, type Owner } from './session-store.ts';

/** A queue, as far as its bounds go. */
interface Bounded {
  readonly owner: Owner;
  readonly rows: number;
  readonly bytes: number;
  readonly tally: Tally;
  readonly isExhausted: boolean;
  /** Its owner is no more. */
  readonly isDiscarded: boolean;
  isDropping: boolean;
}

/** A queue without packet identifiers: that of a group. */
export interface Shelf extends Bounded {
  add(cost: number): { readonly position: number };
  durable(entry: { readonly position: number }): void;
  failed(entry: { readonly position: number }): void;
}

interface Written {
  readonly queue: Bounded;
  readonly position: number;
  readonly row: Statement;
  durable(): void;
  failed(): void;
}

export class Enqueuing {
  readonly #context: BrokerContext;
  readonly #message: Message;
  readonly #written: Written[] = [];
  /** Written with the rows. */
  readonly #statements: Statement[] = [];
  readonly #undo: Statement[] = [];
  #bytes = 0;

  constructor(context: BrokerContext, message: Message) {
    this.#context = context;
    this.#message = message;
  }

  /** Adds the message for a session; false at a bound. */
  toSession(queue: SessionQueue, qos: Qos, extras: Extras | undefined): boolean {
    const { topic, expiresAtMs, parts } = this.#message;
    const kept: KeptMessage = {
      topic,
      qos,
      retain: extras?.retain ?? false,
      payload: parts.payload,
      properties: joined(parts.properties, extras?.identifiers),
      expiresAtMs,
    };
    const cost = costOf(kept);
    if (!this.#fits(queue, cost)) return false;
    if (!queue.isAttached) this.#context.metrics['Queued.Success']++;
    const make = () => ({ topic, encoded: this.#message.encoded(queue.owner.version, qos, extras) });
    const entry = queue.add(cost, make);
    this.#write(queue, entry.position, kept, {
      durable: () => queue.durable(entry),
      failed: () => queue.failed(entry),
    });
    return true;
  }

  /** Adds the message for whichever member of a group connects next; false at a bound. */
  toGroup(group: Shelf): boolean {
    const { topic, qos, retain, expiresAtMs, parts } = this.#message;
    const { limits, now } = this.#context;
    const keptUntilMs = Math.min(expiresAtMs, now() + 1000 * limits.sessionExpirySecondsMax);
    const kept: KeptMessage = { topic, qos, retain, ...parts, expiresAtMs: keptUntilMs };
    const cost = costOf(kept);
    if (!this.#fits(group, cost)) return false;
    this.#context.metrics['Queued.Success']++;
    const entry = group.add(cost);
    this.#write(group, entry.position, kept, {
      durable: () => group.durable(entry),
      failed: () => group.failed(entry),
    });
    return true;
  }

  /** A statement that holds or fails with the rows; `undo` is for when it is unknown whether it does. */
  also(statement: Statement, undo?: Statement): void {
    this.#statements.push(statement);
    if (undo !== undefined) this.#undo.push(undo);
  }

  /** Resolves when all rows are durable and on their way to whoever is connected; rejects when none is kept. Undefined = there are none. */
  commit(): Promise<void> | undefined {
    const statements = [...this.#statements, ...this.#rows().map(({ row }) => row)];
    if (statements.length === 0) return undefined;
    const { appends } = this.#context.sessions;
    return appends.append(statements, this.#bytes).then(
      () => {
        for (const each of this.#written) each.durable();
      },
      (error: unknown) => {
        this.#context.metrics['Queued.ServerError']++;
        this.#takeBack();
        throw error;
      },
    );
  }

  #write(queue: Bounded, position: number, kept: KeptMessage, then: Pick<Written, 'durable' | 'failed'>): void {
    const row = this.#context.sessions.row(queue.owner, position, kept);
    this.#written.push({ queue, position, row, ...then });
    this.#bytes += costOf(kept);
  }

  /** Without those whose owner has ended meanwhile: its positions may be another's by now. */
  #rows(): readonly Written[] {
    return this.#written.filter(({ queue }) => !queue.isDiscarded);
  }

  /** Nobody was told that the message was taken. Whether its rows were written may be unknown, so they are removed. */
  #takeBack(): void {
    const { sessions } = this.#context;
    for (const each of this.#written) each.failed();
    const rows = this.#rows().map(({ queue, position }) => sessions.removalOf(queue.owner, position));
    sessions.appends.append([...rows, ...this.#undo]).catch(() => undefined); // then they are sent again at most
  }

  #fits(queue: Bounded, cost: number): boolean {
    const { limits, metrics } = this.#context;
    const bound = reached(queue, cost, limits);
    if (bound === undefined) {
      if (queue.isDropping && queue.rows <= limits.queuedMessagesPerSessionMax / 2) queue.isDropping = false;
      return true;
    }
    metrics['Queued.Throttle']++;
    if (!queue.isDropping) this.#recordDropping(queue, bound);
    queue.isDropping = true;
    return false;
  }

  #recordDropping({ owner: { account, owner } }: Bounded, bound: string): void {
    this.#context.record({
      account,
      ...(owner.startsWith('$share/') ? { facts: { sharedSubscription: owner } } : { clientId: owner }),
      eventType: 'Publish-Out',
      status: 'Failure',
      reason: 'LIMIT_EXCEEDED',
      detail: `new messages are dropped: ${bound}`,
    });
  }
}

/** The bound that one more message would break, by its name; undefined = none. */
const reached = (queue: Bounded, cost: number, limits: BrokerContext['limits']): string | undefined => {
  if (queue.rows >= limits.queuedMessagesPerSessionMax || queue.isExhausted) return 'queuedMessagesPerSessionMax';
  if (queue.bytes + cost > limits.queuedBytesPerSessionMax) return 'queuedBytesPerSessionMax';
  return queue.tally.bytes + cost > limits.queuedBytesPerAccountMax ? 'queuedBytesPerAccountMax' : undefined;
};

const joined = (properties: Uint8Array | undefined, identifiers: Buffer | undefined): Uint8Array | undefined =>
  identifiers === undefined ? properties : new Uint8Array(Buffer.concat([properties ?? new Uint8Array(), identifiers]));
