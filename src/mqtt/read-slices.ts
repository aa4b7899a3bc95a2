/**
 * How long connections are read in one turn of the event loop. Received chunks hold thousands of packets, and one packet may be as dear as a policy of
 * wildcards makes it; so all connections together are read for `readSliceMs` in a turn, and those that have more go on in the next. Whoever comes when that
 * is used up still gets `readSliceMsMin`.
 */

/** A packet once begun is finished. */
export const readSliceMs = 5;
const readSliceMsMin = 0.25;

export class ReadSlices {
  /** Connections that go on being read in the next turn; they share the time. */
  busy = 0;
  #spentMs = 0;
  #scheduled = false;

  /** How long a connection may be read that begins now. */
  get ms(): number {
    return Math.max(readSliceMsMin, Math.min(readSliceMs / (1 + this.busy), readSliceMs - this.#spentMs));
  }

  /** A connection was read for so long. */
  spend(ms: number): void {
    this.#spentMs += ms;
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#spentMs = 0;
    });
  }
}
