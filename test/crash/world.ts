/** What the clients of a crash test share: the ledger, the server that may be asked now, and how they pace themselves by what the others achieve. */
import type { Received } from '../raw-mqtt.ts';
import type { Ledger } from './ledger.ts';
import type { Place } from './wire.ts';

/** A whole number from `low` to `high`. */
export const between = (low: number, high: number): number => low + Math.floor(Math.random() * (high - low + 1));
export const chance = (probability: number): boolean => Math.random() < probability;
export const oneOf = <T>(list: readonly T[]): T => list[between(0, list.length - 1)]!;

export class World {
  readonly ledger: Ledger;
  /** No new load: everybody comes to an end. */
  isStopping = false;
  /** Everything that is owed has arrived, or never will. */
  isOver = false;
  #serving = Promise.withResolvers<Place>();
  #isUp = false;
  readonly #waiting = new Set<{ readonly at: number; resolve(): void }>();

  constructor(ledger: Ledger) {
    this.ledger = ledger;
  }

  /** A connection that ends while the server is up was ended by it. */
  get isUp(): boolean {
    return this.#isUp;
  }

  /** Waits for a server that may be asked. */
  get place(): Promise<Place> {
    return this.#serving.promise;
  }

  up(place: Place): void {
    this.#isUp = true;
    this.ledger.note('up');
    this.#serving.resolve(place);
  }

  down(): void {
    if (!this.#isUp) return;
    this.#isUp = false;
    this.ledger.note('down');
    this.#serving = Promise.withResolvers();
  }

  /** Ends everything that runs here, after a failure. */
  abort(): void {
    this.isStopping = true;
    this.isOver = true;
    this.down();
    this.#serving.promise.catch(() => undefined);
    this.#serving.reject(new Error('The test has failed'));
    this.progress();
  }

  /** Resolves after so many more acknowledgements to publishers, or when the load ends. */
  later(count: number): Promise<void> {
    if (this.isStopping) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add({ at: this.ledger.totals.acknowledged + count, resolve });
    return promise;
  }

  /** A publisher got an acknowledgement, or the load has ended. */
  progress(): void {
    for (const waiting of this.#waiting) {
      if (!this.isStopping && this.ledger.totals.acknowledged < waiting.at) continue;
      this.#waiting.delete(waiting);
      waiting.resolve();
    }
  }

  /** A connection has ended that its client did not end. */
  lost(clientId: string): void {
    this.ledger.note('closed', clientId);
    if (this.#isUp) this.ledger.violate(`${clientId}: the server, which was up, ended the connection`);
  }

  /** What no client of ours provokes. */
  unexpected(clientId: string, packet: Received): void {
    const code = 'reasonCode' in packet ? packet.reasonCode : undefined;
    if (packet.cmd === 'pingresp') return;
    this.ledger.violate(`${clientId} got ${packet.cmd} ${code ?? ''}`);
  }
}
