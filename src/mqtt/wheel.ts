/**
 * Time-outs of very many connections in slots of one second: entering, moving and leaving cost a set operation, and a tick touches what
 * is due. Nobody's clock is asked here: `tick` says how late it is, so a moved clock moves the time-outs with it.
 */
export interface Timed {
  /** The slot it waits in; 0 = none. The wheel's own mark. */
  slot: number;
  due(nowMs: number): void;
}

export class Wheel {
  readonly #slots = new Map<number, Set<Timed>>();

  /** Calls `timed.due` at the first tick at or after `atMs`, and forgets an earlier appointment. */
  schedule(timed: Timed, atMs: number): void {
    this.cancel(timed);
    const slot = Math.max(1, Math.ceil(atMs / 1000));
    timed.slot = slot;
    const waiting = this.#slots.get(slot);
    if (waiting === undefined) this.#slots.set(slot, new Set([timed]));
    else waiting.add(timed);
  }

  cancel(timed: Timed): void {
    if (timed.slot === 0) return;
    const waiting = this.#slots.get(timed.slot);
    waiting?.delete(timed);
    if (waiting?.size === 0) this.#slots.delete(timed.slot);
    timed.slot = 0;
  }

  /** Runs everything that is due at `nowMs`, the earliest first. */
  tick(nowMs: number): void {
    const current = Math.floor(nowMs / 1000);
    const due = [...this.#slots.keys()].filter((slot) => slot <= current).sort((a, b) => a - b);
    for (const slot of due) {
      for (const timed of [...(this.#slots.get(slot) ?? [])]) {
        this.cancel(timed);
        timed.due(nowMs);
      }
    }
  }
}
