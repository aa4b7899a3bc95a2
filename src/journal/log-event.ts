/**
 * AWS IoT's log events (what CloudWatch calls `AWSIotLogsV2`), as whoever sees one tells them: types, and nothing that costs. Whether an event is
 * written is decided by the account's logging levels. Source: spec gateway.md 8.
 */
import type { AccountRegion } from '../aws/arn.ts';
import type { JournalRecord } from './record.ts';

export type LogLevel = 'DEBUG' | 'INFO' | 'WARN' | 'ERROR';

/** AWS's event types that this version can cause. */
export type LogEventType =
  | 'Connect'
  | 'Connection.AuthNError'
  | 'DeleteConnection'
  | 'Disconnect'
  | 'GetConnection'
  | 'GetDeviceCredentials'
  | 'GetRetainedMessage'
  | 'ListRetainedMessage' // AWS's singular
  | 'ListSubscriptions'
  | 'Ping'
  | 'ProvisionDevice'
  | 'Publish-In'
  | 'Publish-Out'
  | 'Queued'
  | 'RetrieveOCSPStapleData'
  | 'SendDirectMessage'
  | 'Subscribe'
  | 'Unsubscribe';

/** Whom an event is about, as far as it is known: what logging levels may single out. */
export interface LogSubject {
  readonly clientId?: string | undefined;
  /** The certificateId, or the userId of an IAM identity. */
  readonly principalId?: string | undefined;
  readonly sourceIp?: string | undefined;
}

/** One event. Never in it: payloads, passwords, tokens, query strings. */
export interface LogEntry extends LogSubject {
  readonly eventType: LogEventType;
  readonly status: 'Success' | 'Failure';
  /** Default: Failure is ERROR, Success INFO (Ping: DEBUG). */
  readonly logLevel?: LogLevel;
  readonly protocol: 'MQTT' | 'HTTP';
  readonly sourcePort?: number | undefined;
  readonly topicName?: string | undefined;
  /** On failure: AWS's word for the cause, such as AUTHORIZATION_FAILURE. */
  readonly reason?: string | undefined;
  /** A sentence. */
  readonly details?: string | undefined;
  readonly disconnectReason?: string | undefined;
  /** More fields of this event type, by AWS's names. */
  readonly more?: Readonly<Record<string, unknown>>;
}

/** What every room that does something for a device is handed. */
export interface EventLogs {
  /** Moves whenever some account's levels change: whoever remembers that nothing is wanted keeps the revision beside it. */
  readonly revision: number;
  /** Whether some ordinary traffic of this subject is written: successful publishes, deliveries, pings, queueing. */
  wantsTraffic(account: AccountRegion, subject: LogSubject): boolean;
  /** Writes an event if the account's levels ask for it. Never throws, never waits. */
  log(account: AccountRegion, entry: LogEntry): void;
  /** The same for what the journal is told, except for disconnects, which are told by `log`. */
  attempt(record: JournalRecord): void;
}

/** For whoever keeps no logs. */
export const noLogs: EventLogs = Object.freeze({
  revision: 0,
  wantsTraffic: () => false,
  log: () => undefined,
  attempt: () => undefined,
});
