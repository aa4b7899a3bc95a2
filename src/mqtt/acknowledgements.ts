/**
 * Acknowledgements towards one publisher that wait until its message is durable. They leave in the order of the messages [MQTT-4.6.0-2]; so one that waits
 * holds up those after it. Most connections never have any: their messages are for nobody whose session is kept.
 */

interface Waiting {
  readonly packetId: number;
  /** Undefined until it may leave. */
  send: (() => void) | undefined;
}

export class Acknowledgements {
  readonly #waiting: Waiting[] = [];

  get size(): number {
    return this.#waiting.length;
  }

  has(packetId: number): boolean {
    return this.#waiting.some((each) => each.packetId === packetId);
  }

  /** Calls `send` when `durable` has resolved, `refuse` when it has rejected, each in its turn. */
  add(
    packetId: number,
    durable: Promise<void> | undefined,
    { send, refuse }: { readonly send: () => void; readonly refuse: (error: unknown) => void },
  ): Promise<void> | undefined {
    const waiting: Waiting = { packetId, send: durable === undefined ? send : undefined };
    this.#waiting.push(waiting);
    return durable?.then(
      () => this.#release(waiting, send),
      (error: unknown) => this.#release(waiting, () => refuse(error)),
    );
  }

  #release(waiting: Waiting, send: () => void): void {
    waiting.send = send;
    let count = 0;
    while (this.#waiting[count]?.send !== undefined) count++;
    for (const each of this.#waiting.splice(0, count)) each.send?.();
  }
}
