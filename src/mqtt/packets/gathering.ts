/**
 * Memory for packets whose end has not arrived, of all connections of a node together. Whoever has not sent a whole CONNECT yet may be anybody with a
 * certificate of their own making: they share half of it, so that they cannot keep out those who are connected.
 */
export class Gathering {
  /** Held just now. */
  bytes = 0;
  readonly #bytesMax: number;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Whether so many bytes more may be held; then they count until they are given back. */
  take(bytes: number, isConnected: boolean): boolean {
    if (this.bytes + bytes > (isConnected ? this.#bytesMax : this.#bytesMax / 2)) return false;
    this.bytes += bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.bytes -= bytes;
  }
}
