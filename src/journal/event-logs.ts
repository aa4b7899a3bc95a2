/**
 * Which log events of an account are written, and how one looks: levels per account, event type and target in memory, one JSON object per line.
 * The levels are told by whoever reads them from the store (features/settings). Source: spec gateway.md 8.
 */
import { type AccountRegion, accountKey } from '../aws/arn.ts';
import { authenticationOf, detailsOf, logTimestamp, provisioningOf, topicOf } from './log.ts';
import type { EventLogs, LogEntry, LogEventType, LogLevel, LogSubject } from './log-event.ts';
import type { JournalRecord } from './record.ts';
import { printableJson } from './stored-record.ts';

export type LogThreshold = LogLevel | 'DISABLED';
/** What a level may be set for, beside the account and its event types. */
export type LogTargetKind = 'CLIENT_ID' | 'SOURCE_IP' | 'PRINCIPAL_ID';

/** The levels of one account and region. No levels at all: nothing is written. */
export interface LogLevels {
  readonly byDefault: LogThreshold;
  /** In place of the default, by event type. */
  readonly byEventType: ReadonlyMap<string, LogThreshold>;
  /** In place of both, by target; of several that match, the one that writes most. Keys: `targetKey`. */
  readonly byTarget: ReadonlyMap<string, LogThreshold>;
}

export const targetKey = (kind: LogTargetKind, name: string): string => `${kind} ${name}`;

/** Written only when the account's event configurations name them. */
const offByDefault: ReadonlySet<string> = new Set<LogEventType>(['Ping', 'Connection.AuthNError']);

/** What ordinary traffic writes, and at which level. */
const traffic: readonly (readonly [LogEventType, LogLevel])[] = [
  ['Publish-In', 'INFO'],
  ['Publish-Out', 'INFO'],
  ['Queued', 'INFO'],
  ['Subscribe', 'INFO'],
  ['Unsubscribe', 'INFO'],
  ['Ping', 'DEBUG'],
];

/** Characters of one text of an event; the rest is cut. AWS's topics have 256 at most. */
export const logTextCharactersMax = 2048;
/** Entries of a list in an event, such as the filters of one packet. */
export const logListMax = 100;
/**
 * Events of Connection.AuthNError per second and account: whoever causes them has proven nothing, and must not push everything else out of the account's
 * files. Further ones are counted, in a line before the next one that is written.
 */
export const strangerEventsPerSecondMax = 20;

const verbosity: Record<LogThreshold, number> = { DISABLED: 0, ERROR: 1, WARN: 2, INFO: 3, DEBUG: 4 };

/** The level that decides about events of this type and subject. */
const thresholdOf = (levels: LogLevels, eventType: LogEventType, subject: LogSubject): LogThreshold => {
  const ofType = levels.byEventType.get(eventType);
  if (ofType === undefined && offByDefault.has(eventType)) return 'DISABLED';
  let found: LogThreshold | undefined;
  const consider = (kind: LogTargetKind, name: string | undefined): void => {
    const level = name === undefined ? undefined : levels.byTarget.get(targetKey(kind, name));
    if (level !== undefined && (found === undefined || verbosity[level] > verbosity[found])) found = level;
  };
  if (levels.byTarget.size > 0) {
    consider('CLIENT_ID', subject.clientId);
    consider('SOURCE_IP', subject.sourceIp);
    consider('PRINCIPAL_ID', subject.principalId);
  }
  return found ?? ofType ?? levels.byDefault;
};

const levelOf = ({ logLevel, status, eventType }: LogEntry): LogLevel =>
  logLevel ?? (status === 'Failure' ? 'ERROR' : eventType === 'Ping' ? 'DEBUG' : 'INFO');

/** No text and no list of an event is larger than its bound. */
const bounded = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.slice(0, logListMax).map(bounded);
  if (typeof value !== 'string' || value.length <= logTextCharactersMax) return value;
  return `${value.slice(0, logTextCharactersMax)}...`;
};

/** One event as a line, without its end. */
const lineOf = (
  account: AccountRegion,
  entry: LogEntry,
  { nowMs, traceId }: { readonly nowMs: number; readonly traceId: string },
): string => {
  const { status, eventType, protocol, more, logLevel: _, ...fields } = entry;
  const event: Record<string, unknown> = {
    timestamp: logTimestamp(nowMs),
    logLevel: levelOf(entry),
    traceId,
    accountId: account.accountId,
    status,
    eventType,
    protocol,
    ...fields,
    ...more,
  };
  for (const name in event) event[name] = bounded(event[name]);
  return printableJson(event);
};

/** The line that stands for events which were given up before they were written. */
export const droppedLine =
  ({ now, newId }: Pick<EventLogsOptions, 'now' | 'newId'>) =>
  (account: AccountRegion, dropped: number, bound = 'logPendingMax'): string =>
    printableJson({
      timestamp: logTimestamp(now()),
      logLevel: 'WARN',
      traceId: newId(),
      accountId: account.accountId,
      status: 'Failure',
      eventType: 'LogEventsDropped',
      details: `${dropped} log events were dropped: ${bound}`,
    });

export interface EventLogsOptions {
  /** Takes a line; never throws, never waits. */
  readonly write: (account: AccountRegion, line: string) => void;
  /** Milliseconds by the node's clock. */
  readonly now: () => number;
  /** A fresh lower-case UUID. */
  readonly newId: () => string;
  /** Told when an event could not be put into words. */
  readonly trouble?: (error: unknown) => void;
}

export interface OpenEventLogs extends EventLogs {
  /** From now on these are the levels of an account and region; undefined: nothing is written. */
  setLevels(account: AccountRegion, levels: LogLevels | undefined): void;
}

/** The event of what the journal was told; its details are the journal's own sentence. */
const entryOf = (record: JournalRecord, eventType: LogEventType, protocol: LogEntry['protocol']): LogEntry => {
  const stored = { ...record, id: '', atMs: 0, lastAtMs: 0, repeats: 0, sequence: 0 };
  return {
    eventType,
    status: record.status,
    protocol,
    topicName: topicOf(record) ?? record.facts?.['topic'],
    clientId: record.clientId ?? record.facts?.['clientId'],
    principalId: record.certificateId,
    sourceIp: record.sourceIp,
    sourcePort: record.sourcePort,
    reason: record.reason,
    details: detailsOf(stored),
    more: { ...authenticationOf(record), ...provisioningOf(record) },
  };
};

export const createEventLogs = ({ write, now, newId, trouble = () => undefined }: EventLogsOptions): OpenEventLogs => {
  const accounts = new Map<string, LogLevels>();
  /** What strangers caused in this second, of accounts that have levels. */
  const strangers = new Map<string, { sinceMs: number; events: number }>();
  const dropped = droppedLine({ now, newId });

  /** Whether one more event that a stranger caused is written. */
  const takesStranger = (account: AccountRegion): boolean => {
    const key = accountKey(account);
    const second = strangers.get(key) ?? { sinceMs: now(), events: 0 };
    strangers.set(key, second);
    if (Math.abs(now() - second.sinceMs) >= 1000) {
      const lost = second.events - strangerEventsPerSecondMax;
      second.sinceMs = now();
      second.events = 0;
      if (lost > 0) write(account, dropped(account, lost, 'strangerEventsPerSecondMax'));
    }
    second.events++;
    return second.events <= strangerEventsPerSecondMax;
  };

  const wants = (account: AccountRegion, eventType: LogEventType, level: LogLevel, subject: LogSubject): boolean => {
    const levels = accounts.get(accountKey(account));
    return levels !== undefined && verbosity[level] <= verbosity[thresholdOf(levels, eventType, subject)];
  };
  const log = (account: AccountRegion, entry: LogEntry): void => {
    if (accounts.size === 0 || !wants(account, entry.eventType, levelOf(entry), entry)) return;
    try {
      write(account, lineOf(account, entry, { nowMs: now(), traceId: newId() }));
    } catch (error) {
      trouble(error);
    }
  };
  const logs: OpenEventLogs & { revision: number } = {
    revision: 0,
    setLevels(account, levels) {
      if (levels === undefined) {
        accounts.delete(accountKey(account));
        strangers.delete(accountKey(account));
      } else accounts.set(accountKey(account), levels);
      logs.revision++;
    },
    wantsTraffic: (account, subject) =>
      accounts.size > 0 && traffic.some(([eventType, level]) => wants(account, eventType, level, subject)),
    log,
    attempt(record) {
      const { account, eventType, status, clientId, sourceIp, certificateId } = record;
      if (accounts.size === 0 || account === undefined || eventType === 'Disconnect') return;
      if (eventType === 'ApiCall' || eventType === 'AssumeRoleWithCertificate') return;
      const level = status === 'Failure' ? 'ERROR' : 'INFO';
      if (!wants(account, eventType, level, { clientId, sourceIp, principalId: certificateId })) return;
      try {
        if (eventType === 'Connection.AuthNError' && !takesStranger(account)) return;
        log(account, entryOf(record, eventType, record.protocol ?? 'MQTT'));
      } catch (error) {
        trouble(error);
      }
    },
  };
  return logs;
};
