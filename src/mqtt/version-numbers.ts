/**
 * The `versionNumber` of life-cycle events: one more for each connection of a client id, the same on its connect and its disconnect, so that
 * whoever gets events out of order can tell which is newer. It begins at 0 again an hour after the last disconnect, or when the persistent session
 * has expired. Kept in the memory of the node: it also begins again when the node does. Source: spec gateway.md 7.
 */
import { type AccountRegion, accountKey } from '../aws/arn.ts';

/** How long the number of a client without a persistent session is remembered. */
export const versionKeptMs = 60 * 60 * 1000;
/** Disconnected clients whose number is remembered, about 30 MB; at the bound the one that went first begins at 0 again. */
export const versionsMax = 200_000;

interface Kept {
  readonly version: number;
  readonly untilMs: number;
}

export class VersionNumbers {
  /** By account, region and client id; in the order of their going. Connected clients are not in it: their connection knows the number. */
  readonly #kept = new Map<string, Kept>();

  get size(): number {
    return this.#kept.size;
  }

  /** The number of a connection that begins. */
  next(account: AccountRegion, clientId: string, nowMs: number): number {
    const key = keyOf(account, clientId);
    const kept = this.#kept.get(key);
    if (kept === undefined) return 0;
    this.#kept.delete(key);
    return kept.untilMs > nowMs ? kept.version + 1 : 0;
  }

  /** Keeps the number of a connection that ended, for `keptMs`. A connection that took its place meanwhile has given it away already. */
  keep(account: AccountRegion, clientId: string, { version, untilMs }: Kept, nowMs: number): void {
    const key = keyOf(account, clientId);
    this.#kept.delete(key);
    this.#kept.set(key, { version, untilMs });
    for (const [oldest, { untilMs: dueMs }] of this.#kept) {
      if (dueMs > nowMs && this.#kept.size <= versionsMax) break;
      this.#kept.delete(oldest);
    }
  }
}

const keyOf = (account: AccountRegion, clientId: string): string => `${accountKey(account)} ${clientId}`;
