/**
 * Messages with so many receivers, or such dear ones, that handing them out at once would keep everybody else waiting: what is left of them after a slice of
 * time stands in one line and is handed out a slice per turn of the event loop, the messages by turns. Whoever published such a message is not read
 * until all its receivers have been asked, so that what it publishes keeps its order.
 */

/** Longest time that one message, or all that stand in line, is handed out while others wait, milliseconds; a receiver once begun is finished. */
export const fanOutSliceMs = 5;
/** Messages that stand in line; one more is handed out at once, however long that takes. Publishers have one each at most. */
export const fanOutsMax = 1024;

/** What is left of one message. */
export interface FanOut {
  /** Goes on until there is nothing left (true) or `isOver` says so, which it asks after every receiver. */
  proceed(isOver: () => boolean): boolean;
}

export class FanOutLine {
  #waiting: FanOut[] = [];
  #scheduled = false;

  get hasRoom(): boolean {
    return this.#waiting.length < fanOutsMax;
  }

  add(fanOut: FanOut): void {
    this.#waiting.push(fanOut);
    this.#schedule();
  }

  /** Hands out everything at once: nobody else is served any more. */
  finish(): void {
    for (const fanOut of this.#waiting.splice(0)) fanOut.proceed(() => false);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#run();
    });
  }

  /** One slice, in which every message that stands in line gets the same time. */
  #run(): void {
    const share = fanOutSliceMs / this.#waiting.length;
    const endMs = performance.now() + fanOutSliceMs;
    for (let count = this.#waiting.length; count > 0 && performance.now() < endMs; count--) {
      const fanOut = this.#waiting.shift()!;
      const shareEndMs = performance.now() + share;
      if (!fanOut.proceed(() => performance.now() >= shareEndMs)) this.#waiting.push(fanOut);
    }
    if (this.#waiting.length > 0) this.#schedule();
  }
}
