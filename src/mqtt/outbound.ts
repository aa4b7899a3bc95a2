/**
 * What this node holds in memory for all its receivers together: what their sockets have not taken, and messages that they have not acknowledged. A message
 * that many receivers keep counts once. Near the bound QoS 0 messages reach only those who read as fast as they are sent; beyond it the slowest
 * connections are closed, and what waits for a session that is kept waits in the store alone.
 */
import { type EncodedPublish, keptMessageBytes } from './message.ts';

/** Part of `outboundBytesPerNodeMax` at which nothing more is held for QoS 0, and down to which connections are closed. */
const scarceShare = 3 / 4;
/** A socket that has taken nothing for as long belongs to a slow connection, milliseconds. */
export const slowMsMin = 1_000;

/** A connection that something is held for. */
export interface Holding {
  /** What is held for it, shared or not. */
  readonly heldBytes: number;
  /** Neither its socket nor its client keeps up. */
  readonly isSlow: boolean;
  /** Ends it, and frees all that is held for it at once. */
  cut(): void;
}

export class Outbound {
  bytes = 0;
  readonly #bytesMax: number;
  readonly #holders: () => Iterable<Holding>;
  #scheduled = false;

  constructor(bytesMax: number, holders: () => Iterable<Holding>) {
    this.#bytesMax = bytesMax;
    this.#holders = holders;
  }

  get isScarce(): boolean {
    return this.bytes > scarceShare * this.#bytesMax;
  }

  /** So many bytes more are held, or fewer. */
  readonly change = (bytes: number): void => {
    this.bytes += bytes;
    if (this.bytes <= this.#bytesMax || this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#relieve();
    });
  };

  /** One more keeps a message. */
  readonly hold = (encoded: EncodedPublish): void => {
    this.change(keptMessageBytes + (encoded.keepers === 0 ? encoded.bytes.length : 0));
    encoded.keepers++;
  };

  /** One of those who keep a message does not any more. */
  readonly release = (encoded: EncodedPublish): void => {
    encoded.keepers--;
    this.change(-keptMessageBytes - (encoded.keepers === 0 ? encoded.bytes.length : 0));
  };

  /** Closes slow connections, those that hold most first, until there is room again; others only as long as the bound itself is exceeded. */
  #relieve(): void {
    if (this.bytes <= this.#bytesMax) return;
    const holders = [...this.#holders()]
      .map((holder) => ({ holder, bytes: holder.heldBytes, isSlow: holder.isSlow }))
      .filter(({ bytes }) => bytes > 0)
      .sort((a, b) => b.bytes - a.bytes);
    for (const { holder, isSlow } of holders) if (isSlow && this.isScarce) holder.cut();
    for (const { holder, isSlow } of holders) if (!isSlow && this.bytes > this.#bytesMax) holder.cut();
  }
}
