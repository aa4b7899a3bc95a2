/**
 * How many TLS handshakes run at once. Each one blocks the event loop for about a millisecond, so a storm of them would ruin the latency of those
 * already connected (performance notes): further ones wait in order, at most `perTurnMax` begin in one turn of the event loop, and what would
 * make the line longer than `waitingMax` is refused, the newest first.
 *
 * A handshake whose client has gone silent costs no time but holds its slot; so after `slotMs` a slot may be taken over when somebody waits.
 * The silent one goes on until its own time limit ends it. Otherwise a few dozen stalled clients could keep everybody else out.
 */
export interface LineBounds {
  readonly handshakesMax: number;
  readonly waitingMax: number;
  readonly perTurnMax: number;
  readonly slotMs: number;
}

/** A place in the line, then a running handshake; `leave` is to be called when that is over or the socket is gone, once or more often. */
export interface Place {
  leave(): void;
}

export class HandshakeLine {
  readonly #bounds: LineBounds;
  /** Insertion order is the order of service. */
  readonly #waiting = new Map<Place, (place: Place) => void>();
  /** Place -> when it began, in ms of `performance.now()`; oldest first. */
  readonly #running = new Map<Place, number>();
  #startedThisTurn = 0;
  #turn: NodeJS.Immediate | undefined;
  #expiry: NodeJS.Timeout | undefined;

  constructor(bounds: LineBounds) {
    this.#bounds = bounds;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Runs `start` now (before this returns) or when its turn comes, not after `leave`; undefined when the line is full. */
  enter(start: (place: Place) => void): Place | undefined {
    if (this.#waiting.size >= this.#bounds.waitingMax) return undefined;
    const place: Place = { leave: () => this.#leave(place) };
    this.#waiting.set(place, start);
    this.#advance();
    return place;
  }

  #leave(place: Place): void {
    this.#waiting.delete(place);
    if (this.#running.delete(place) && this.#waiting.size > 0) this.#advance();
  }

  #advance(): void {
    for (const [place, start] of this.#waiting) {
      if (this.#startedThisTurn >= this.#bounds.perTurnMax) return;
      if (!this.#free()) return;
      this.#waiting.delete(place);
      this.#running.set(place, performance.now());
      this.#startedThisTurn += 1;
      this.#turn ??= setImmediate(() => {
        this.#turn = undefined;
        this.#startedThisTurn = 0;
        this.#advance();
      });
      start(place);
    }
  }

  /** Is there a slot? If not, takes over one that is held too long, or comes back when the oldest will be. */
  #free(): boolean {
    if (this.#running.size < this.#bounds.handshakesMax) return true;
    const oldest = this.#running.entries().next().value;
    if (!oldest) return true;
    const [place, since] = oldest;
    const leftMs = since + this.#bounds.slotMs - performance.now();
    if (leftMs <= 0) return this.#running.delete(place);
    this.#expiry ??= setTimeout(() => {
      this.#expiry = undefined;
      this.#advance();
    }, leftMs);
    return false;
  }

  /** Drops everybody who waits. */
  close(): void {
    this.#waiting.clear();
    clearTimeout(this.#expiry);
    if (this.#turn) clearImmediate(this.#turn);
  }
}
