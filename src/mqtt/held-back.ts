/**
 * Publishers that wait for one slow receiver: their sockets are not read until it has caught up, or for `holdBackMsMax` at most, so that a stuck receiver
 * does not stop a fleet. From then on, until it has caught up, nobody waits for it.
 */
import type { BrokerContext } from './context.ts';
import type { Timed } from './wheel.ts';

/** Longest time that one slow receiver holds publishers back. */
export const holdBackMsMax = 5_000;

/** A connection that publishes and can be asked to wait. */
export interface Publisher {
  /** Stop reading; ignored by one that is itself over its bound. */
  holdBack(by: HeldBack): void;
  letGo(by: HeldBack): void;
  /** Stop reading until `work` is done; its failure is the server's error. */
  pauseFor(work: Promise<void>): void;
}

export class HeldBack implements Timed {
  slot = 0;
  /** Publishers were held back for as long as allowed, in vain. */
  isInVain = false;
  readonly #context: Pick<BrokerContext, 'wheel' | 'now'>;
  #publishers: Set<Publisher> | undefined;

  constructor(context: Pick<BrokerContext, 'wheel' | 'now'>) {
    this.#context = context;
  }

  hold(publisher: Publisher): void {
    if (this.isInVain) return;
    this.#publishers ??= new Set();
    if (this.#publishers.size === 0) this.#context.wheel.schedule(this, this.#context.now() + holdBackMsMax);
    this.#publishers.add(publisher);
    publisher.holdBack(this);
  }

  /** The wheel's call: they have waited long enough. */
  due(): void {
    this.isInVain = true;
    this.#letGo();
  }

  /** The receiver has caught up, or is gone. */
  release(): void {
    this.isInVain = false;
    if (this.#publishers !== undefined) this.#letGo();
  }

  #letGo(): void {
    this.#context.wheel.cancel(this);
    const publishers = this.#publishers;
    this.#publishers = undefined;
    for (const publisher of publishers ?? []) publisher.letGo(this);
  }

  /** Forgets a publisher that is gone or must not wait. */
  forget(publisher: Publisher): void {
    this.#publishers?.delete(publisher);
    if (this.#publishers?.size === 0) this.#context.wheel.cancel(this);
  }
}
