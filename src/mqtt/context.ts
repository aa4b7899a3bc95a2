/** What every part of one broker shares. */

import type { EventLogs } from '../journal/log-event.ts';
import type { RecordAttempt } from '../journal/record.ts';
import type { Limits } from '../limits.ts';
import type { Admit } from './authority.ts';
import type { Events } from './events.ts';
import type { FanOutLine } from './fan-out.ts';
import type { Metrics } from './metrics.ts';
import type { Outbound } from './outbound.ts';
import type { Turn } from './outbox.ts';
import type { Gathering } from './packets/gathering.ts';
import type { Quotas } from './quotas.ts';
import type { ReadSlices } from './read-slices.ts';
import type { RequestLine } from './request-line.ts';
import type { RequestTopics } from './requests.ts';
import type { Retained } from './retained.ts';
import type { SessionStore } from './session-store.ts';
import type { VersionNumbers } from './version-numbers.ts';
import type { Wheel } from './wheel.ts';
import type { Wills } from './wills.ts';

/**
 * Work done so far in rough units, an ordinary packet or delivery being one. Whoever works adds to it; it tells when the clock is worth
 * asking, which costs as much as half a packet.
 */
export interface Effort {
  units: number;
}
/** Units between two looks at the clock, and those of whatever may be dear by itself: a decision that was not remembered. */
export const effortPerLook = 32;
/** A packet is one unit more for every 1024 bytes, which may hold hundreds of properties or filters. */
export const effortBytesShift = 10;

export interface BrokerContext {
  readonly limits: Limits;
  readonly admit: Admit;
  readonly record: RecordAttempt;
  /** Told of what ended a connection and is nobody's fault but ours or the world's. Must not throw. */
  readonly trouble: (error: unknown) => void;
  /** Milliseconds by the node's clock. */
  now(): number;
  /** A fresh lower-case UUID. */
  newId(): string;
  /** In [0, 1): chooses the member of a shared group. */
  random(): number;
  /** Of MQTT, over WebSocket too. */
  readonly metrics: Metrics;
  /** Of HTTPS publishing and the data API. */
  readonly httpMetrics: Metrics;
  /** AWS's log events; see TrafficLog for what happens per packet. */
  readonly logs: EventLogs;
  /** Life-cycle events. */
  readonly events: Events;
  readonly versionNumbers: VersionNumbers;
  /** Limits per unit of time; undefined: none is kept. */
  readonly quotas: Quotas | undefined;
  readonly retained: Retained;
  readonly sessions: SessionStore;
  readonly wheel: Wheel;
  readonly wills: Wills;
  readonly turn: Turn;
  readonly effort: Effort;
  readonly slices: ReadSlices;
  readonly fanOuts: FanOutLine;
  readonly outbound: Outbound;
  readonly gathering: Gathering;
  /** Reserved topics on which clients ask. */
  readonly requestTopics: RequestTopics;
  readonly requestLine: RequestLine;
}
