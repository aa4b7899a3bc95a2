/**
 * Writes of all sessions of a broker: lists of statements, carried out in the order in which they were asked for, on either engine. One group is under way
 * at a time, and whatever is asked for meanwhile goes into the next: so a burst of messages costs one hop to the writer and one commit. Each caller is
 * told of its own statements only.
 */
import { type Statement, type Store, StoreUnavailable } from '../store/store.ts';

/** Statements of one group; a longer list is a group of its own. */
export const statementsPerGroupMax = 1000;
/** Bytes of messages that wait here; beyond it publishers are not read until it is less (`isFull`). */
export const pendingBytesMax = 64 * 1024 * 1024;

interface Waiting {
  readonly statements: readonly Statement[];
  readonly bytes: number;
  resolve(): void;
  reject(error: unknown): void;
}

export class Appends {
  readonly #store: Pick<Store, 'append'>;
  readonly #waiting: Waiting[] = [];
  #running: Promise<void> | undefined;
  #bytes = 0;

  constructor(store: Pick<Store, 'append'>) {
    this.#store = store;
  }

  get isFull(): boolean {
    return this.#bytes > pendingBytesMax;
  }

  /** Resolves when the statements are durable, all of them; rejects when none is. `bytes`: what they hold of messages. */
  append(statements: readonly Statement[], bytes = 0): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#bytes += bytes;
    this.#waiting.push({ statements, bytes, resolve, reject });
    this.#running ??= this.#run();
    return promise;
  }

  /** Resolves when nothing waits any more. */
  async drained(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async #run(): Promise<void> {
    await undefined; // what is asked for in the same breath goes along
    while (this.#waiting.length > 0) await this.#settle(this.#take());
    this.#running = undefined;
  }

  #take(): Waiting[] {
    let count = 0;
    let statements = 0;
    for (const waiting of this.#waiting) {
      statements += waiting.statements.length;
      if (count > 0 && statements > statementsPerGroupMax) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  /** When a statement is at fault, the halves are tried by themselves, and so on: in the end its failure is its caller's alone. */
  async #settle(group: readonly Waiting[]): Promise<void> {
    try {
      await this.#store.append(group.flatMap(({ statements }) => statements));
    } catch (error) {
      if (group.length > 1 && !(error instanceof StoreUnavailable)) {
        const middle = group.length >> 1;
        await this.#settle(group.slice(0, middle));
        await this.#settle(group.slice(middle));
        return;
      }
      for (const waiting of group) {
        this.#bytes -= waiting.bytes;
        waiting.reject(error);
      }
      return;
    }
    for (const waiting of group) {
      this.#bytes -= waiting.bytes;
      waiting.resolve();
    }
  }
}
