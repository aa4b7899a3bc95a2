/**
 * What one connection is sent, held to AWS's limits per unit of time; there is none without `--rate-quotas aws`. QoS 0 messages beyond them are
 * dropped, others wait, and everything behind them, so that their order stays. Source: spec gateway.md 5.3, 5.7, 5.10, 12.
 */
import type { JournalRecord } from '../journal/record.ts';
import type { BrokerContext } from './context.ts';
import { type ConnectionRates, drainedPerMemberPerSecondMax, drainedPerSecondMax, Rate, throttled } from './quotas.ts';
import type { Timed } from './wheel.ts';

export interface PacePlan {
  readonly rates: ConnectionRates;
  record(fields: Pick<JournalRecord, 'reason' | 'detail'>): void;
  /** What waited may be tried again. */
  resume(): void;
}

export class Pace {
  readonly #context: BrokerContext;
  readonly #plan: PacePlan;
  readonly #drained: Rate;
  readonly #drainedFromGroups: Rate;
  readonly #wake: Timed;

  constructor(context: BrokerContext, plan: PacePlan) {
    this.#context = context;
    this.#plan = plan;
    this.#drained = new Rate(drainedPerSecondMax, context.now());
    this.#drainedFromGroups = new Rate(drainedPerMemberPerSecondMax, context.now());
    this.#wake = { slot: 0, due: () => plan.resume() };
  }

  /** Whether a QoS 0 message may be sent; if so, it counts. */
  takeOrDrop(): boolean {
    if (this.#plan.rates.publishesOut.take(this.#context.now())) return true;
    this.#tell();
    return false;
  }

  /** Whether one more message may be sent now; if not, `resume` is called later. */
  mayLeave(): boolean {
    return this.#isFree(this.#plan.rates.publishesOut) || this.#tell();
  }

  /** The same for one that was stored while its session had no connection. */
  mayDrain(): boolean {
    return this.#isFree(this.#drained);
  }

  /** A message is sent. */
  leave(): void {
    this.#plan.rates.publishesOut.spend(1, this.#context.now());
  }

  /** It was one that `mayDrain` was asked about. */
  drain(): void {
    this.#drained.spend(1, this.#context.now());
  }

  /** Whether this member may be handed one more message of its shared group; if so, it counts. */
  takeFromGroup(): boolean {
    return this.#drainedFromGroups.take(this.#context.now());
  }

  close(): void {
    this.#context.wheel.cancel(this.#wake);
  }

  #isFree(rate: Rate): boolean {
    const nowMs = this.#context.now();
    const waitMs = rate.waitMs(nowMs);
    if (waitMs === 0) return true;
    if (this.#wake.slot === 0) this.#context.wheel.schedule(this.#wake, nowMs + waitMs);
    return false;
  }

  #tell(): false {
    this.#context.metrics['PublishOut.Throttle']++;
    const told = throttled(this.#plan.rates, 'publishesOutPerSecondMax', this.#context.now());
    if (told !== undefined) this.#plan.record(told);
    return false;
  }
}
