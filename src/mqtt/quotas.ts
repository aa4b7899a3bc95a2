/**
 * AWS's limits per unit of time, by the node's clock; only under `--rate-quotas aws`. Without the switch there is no `Quotas`, connections have no
 * `ConnectionRates`, and nothing here is allocated or asked. Source: spec gateway.md 12; what happens above a limit: 5.1, 5.5, 5.7, 5.10.
 */
import type { JournalRecord } from '../journal/record.ts';

/** PUBLISH packets per second of one connection, of each direction. */
export const publishesPerSecondMax = 100;
/** Bytes per second that one connection is read; what is more waits. */
export const bytesPerSecondMax = 524_288;
/** Between two CONNECTs of one client id that are let in, milliseconds. */
export const connectIntervalMs = 1_000;
/** Between two RETAIN publishes to one topic, milliseconds. */
export const retainIntervalMs = 1_000;
/** Messages per second that were stored for a session and are sent after it has come back. */
export const drainedPerSecondMax = 10;
/** Messages per second that were stored for a shared group and are sent to one member. */
export const drainedPerMemberPerSecondMax = 20;
/** Client ids and topics whose last time is remembered, each; at the bound the ones that are over go, and then all. */
export const recentMax = 100_000;

/** A bucket of one second: full at first, refilled evenly. */
export class Rate {
  readonly perSecond: number;
  #left: number;
  #atMs: number;

  constructor(perSecond: number, nowMs: number) {
    this.perSecond = perSecond;
    this.#left = perSecond;
    this.#atMs = nowMs;
  }

  /** Takes one if there is one. */
  take(nowMs: number): boolean {
    this.#refill(nowMs);
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }

  /** Takes that much in any case; answers the milliseconds until nothing is owed, 0 when nothing is. */
  spend(amount: number, nowMs: number): number {
    this.#refill(nowMs);
    this.#left -= amount;
    return this.#left >= 0 ? 0 : Math.ceil((-this.#left * 1000) / this.perSecond);
  }

  /** Milliseconds until one can be taken. */
  waitMs(nowMs: number): number {
    this.#refill(nowMs);
    return this.#left >= 1 ? 0 : Math.ceil(((1 - this.#left) * 1000) / this.perSecond);
  }

  #refill(nowMs: number): void {
    const elapsedMs = nowMs - this.#atMs;
    if (elapsedMs <= 0) return;
    this.#atMs = nowMs;
    this.#left = Math.min(this.perSecond, this.#left + (elapsedMs * this.perSecond) / 1000);
  }
}

/** One per key and interval. */
export class Recent {
  readonly #intervalMs: number;
  readonly #keysMax: number;
  /** The longest ago first. */
  readonly #lastMs = new Map<string, number>();

  constructor(intervalMs: number, keysMax = recentMax) {
    this.#intervalMs = intervalMs;
    this.#keysMax = keysMax;
  }

  /** Takes the turn of a key unless its last one is too near. */
  take(key: string, nowMs: number): boolean {
    const lastMs = this.#lastMs.get(key);
    if (lastMs !== undefined && nowMs - lastMs < this.#intervalMs) return false;
    this.#lastMs.delete(key);
    if (this.#lastMs.size >= this.#keysMax) this.#forget(nowMs);
    this.#lastMs.set(key, nowMs);
    return true;
  }

  #forget(nowMs: number): void {
    for (const [key, lastMs] of this.#lastMs) {
      if (nowMs - lastMs < this.#intervalMs) break;
      this.#lastMs.delete(key);
    }
    if (this.#lastMs.size >= this.#keysMax) this.#lastMs.clear();
  }
}

/** Of one broker. */
export interface Quotas {
  /** By account, region and client id. */
  readonly connects: Recent;
  /** By account, region and topic. */
  readonly retains: Recent;
}
export const createQuotas = (): Quotas => ({
  connects: new Recent(connectIntervalMs),
  retains: new Recent(retainIntervalMs),
});

/** Of one connection. */
export interface ConnectionRates {
  readonly publishesIn: Rate;
  readonly bytesIn: Rate;
  readonly publishesOut: Rate;
  /** When the journal was told last, per limit. */
  readonly told: Map<string, number>;
}
export const connectionRates = (nowMs: number): ConnectionRates => ({
  publishesIn: new Rate(publishesPerSecondMax, nowMs),
  bytesIn: new Rate(bytesPerSecondMax, nowMs),
  publishesOut: new Rate(publishesPerSecondMax, nowMs),
  told: new Map(),
});

/** At most once in this time the journal is told that a connection is over one limit, milliseconds. */
export const toldIntervalMs = 60_000;

/** The fields of a journal record about a limit that a connection went over; undefined when it was told of not long ago. */
export const throttled = (
  { told }: ConnectionRates,
  limit: string,
  nowMs: number,
): (Pick<JournalRecord, 'detail'> & { status: 'Failure'; reason: 'THROTTLED' }) | undefined => {
  const lastMs = told.get(limit);
  if (lastMs !== undefined && nowMs - lastMs < toldIntervalMs) return undefined;
  told.set(limit, nowMs);
  return { status: 'Failure', reason: 'THROTTLED', detail: limit };
};
