/**
 * QoS 2 messages that were taken from one client and not released by it (PUBREL) yet: the same message sent again is acknowledged again and goes
 * nowhere. Of a persistent session every receipt is a row, written with the rows of its message and gone before PUBCOMP, so that neither a
 * restart nor a lost connection makes a message come twice, or a new one under a used identifier be taken for an old one. Source: MQTT 5.0 4.3.3.
 */
import type { Statement } from '../store/store.ts';

/** v3 knows no Receive Maximum: this many times `inflightMax` may be unreleased. */
export const unreleasedFactor = 10;

/** The statements for receipts of one persistent session. */
export interface ReceiptRows {
  write(packetId: number): Statement;
  remove(packetId: number): Statement;
  /** Carries statements out, in order. */
  append(statements: readonly Statement[]): Promise<void>;
}

/** What is written with the rows of a message. */
export interface ReceiptRow {
  readonly write: Statement;
  /** Takes it back when it is unknown whether it was written. */
  readonly remove: Statement;
}

interface Receipt {
  /** Until then PUBREC must not leave; undefined = it may. */
  taken: Promise<void> | undefined;
  /** Until then PUBCOMP must not leave; undefined = no PUBREL has come. */
  released: Promise<void> | undefined;
}

export class Receipts {
  readonly #rows: ReceiptRows | undefined;
  /** By packet identifier; bounded by those who take. */
  readonly #receipts = new Map<number, Receipt>();

  /** `rows` is absent for a session that ends with its connection. */
  constructor(rows: ReceiptRows | undefined) {
    this.#rows = rows;
  }

  get size(): number {
    return this.#receipts.size;
  }

  /** The message with this identifier was taken before. Its `taken` rejects if the store did not take it after all. */
  find(packetId: number): Readonly<Receipt> | undefined {
    return this.#receipts.get(packetId);
  }

  /** One that the store has, when the node starts. */
  restore(packetId: number): void {
    this.#receipts.set(packetId, { taken: undefined, released: undefined });
  }

  /** Takes a message: `hand` passes it on and writes the row with it. Resolves when PUBREC may leave; undefined = at once. */
  take<Taken extends Promise<void> | undefined>(packetId: number, hand: (row: ReceiptRow | undefined) => Taken): Taken {
    const row = this.#rows && { write: this.#rows.write(packetId), remove: this.#rows.remove(packetId) };
    const taken = hand(row);
    const receipt: Receipt = { taken, released: undefined };
    this.#receipts.set(packetId, receipt);
    taken?.then(
      () => {
        receipt.taken = undefined;
      },
      () => {
        if (this.#receipts.get(packetId) === receipt) this.#receipts.delete(packetId);
      },
    );
    return taken;
  }

  /** The client releases a message. Resolves when PUBCOMP may leave; undefined = at once; 'unknown': there is none. */
  release(packetId: number): Promise<void> | undefined | 'unknown' {
    const receipt = this.#receipts.get(packetId);
    if (receipt === undefined) return 'unknown';
    if (this.#rows === undefined) {
      this.#receipts.delete(packetId);
      return undefined;
    }
    receipt.released ??= this.#rows.append([this.#rows.remove(packetId)]).then(
      () => {
        this.#receipts.delete(packetId);
      },
      (error: unknown) => {
        receipt.released = undefined;
        throw error;
      },
    );
    return receipt.released;
  }
}
