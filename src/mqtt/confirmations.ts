/** Who waits for the PUBACK of one message: the direct messages of one connection (spec gateway.md 4, SendDirectMessage). */
import type { BrokerContext } from './context.ts';
import type { EncodedPublish } from './message.ts';
import type { Timed } from './wheel.ts';

/** Confirmations that are waited for at once on one connection; who wants one more is turned away. */
export const confirmationsMax = 100;

export class Confirmations {
  readonly #context: BrokerContext;
  readonly #waiting = new Map<EncodedPublish, (acknowledged: boolean) => void>();

  constructor(context: BrokerContext) {
    this.#context = context;
  }

  get hasRoom(): boolean {
    return this.#waiting.size < confirmationsMax;
  }

  /** Whether the message is acknowledged within `ms` of the node's clock, give or take a tick; false too when the connection ends before. */
  wait(message: EncodedPublish, ms: number): Promise<boolean> {
    const { wheel, now } = this.#context;
    return new Promise((resolve) => {
      const settle = (acknowledged: boolean): void => {
        wheel.cancel(late);
        this.#waiting.delete(message);
        resolve(acknowledged);
      };
      const late: Timed = { slot: 0, due: () => settle(false) };
      this.#waiting.set(message, settle);
      wheel.schedule(late, now() + ms);
    });
  }

  /** Nobody may be waiting for it. */
  acknowledged(message: EncodedPublish): void {
    this.#waiting.get(message)?.(true);
  }

  /** No acknowledgement comes any more. */
  close(): void {
    for (const settle of [...this.#waiting.values()]) settle(false);
  }
}
