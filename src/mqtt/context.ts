/** What every part of one broker shares. */
import type { Limits } from '../config.ts';
import type { RecordAttempt } from '../journal/record.ts';
import type { Admit } from './authority.ts';
import type { Metrics } from './metrics.ts';
import type { Turn } from './outbox.ts';
import type { Wheel } from './wheel.ts';

export interface BrokerContext {
  readonly limits: Limits;
  readonly admit: Admit;
  readonly record: RecordAttempt;
  /** Milliseconds by the node's clock. */
  now(): number;
  /** A fresh lower-case UUID. */
  newId(): string;
  /** In [0, 1): chooses the member of a shared group. */
  random(): number;
  readonly metrics: Metrics;
  readonly wheel: Wheel;
  readonly turn: Turn;
}
