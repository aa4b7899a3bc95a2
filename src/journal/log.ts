/**
 * The structured log: one JSON object per line, with the field names of AWS's log events, so that searches written for CloudWatch work here.
 * Source: spec gateway.md 8. Lines are written behind a bounded buffer; a reader that stalls costs lines, never time.
 */
import pino from 'pino';
import { explain } from './explain.ts';
import type { JournalRecord } from './record.ts';
import type { StoredRecord } from './stored-record.ts';

/** Bytes of log waiting to be written; further lines are dropped. */
export const logBufferBytesMax = 4 * 1024 * 1024;

const logLevels: Readonly<Record<string, string>> = {
  trace: 'DEBUG',
  debug: 'DEBUG',
  info: 'INFO',
  warn: 'WARN',
  error: 'ERROR',
  fatal: 'ERROR',
};

/** `YYYY-MM-DD hh:mm:ss.SSS`, UTC. */
export const logTimestamp = (timeMs: number): string =>
  new Date(timeMs).toISOString().replace('T', ' ').replace('Z', '');

export interface Log {
  /** For what is no attempt of a device: starts, stops, troubles. */
  readonly server: pino.Logger;
  /** One record of the journal as one line. */
  attempt(record: StoredRecord): void;
  /** Writes what is buffered, before the process ends. */
  flush(): void;
}

export interface LogOptions {
  /** One of pino's level names, or `silent`. */
  readonly level: string;
  /** A file descriptor (default 1, standard output) or anything that takes lines. */
  readonly destination?: number | { write(line: string): void };
}

const nowhere = { account: { accountId: '', region: '' }, apiUrl: '' };

/** The resource's name behind `topic/`, `topicfilter/`. */
export const topicOf = ({ resource = '' }: JournalRecord): string | undefined =>
  /^arn:[^:]*:iot:[^:]*:[^:]*:(?:topic|topicfilter)\/([\s\S]*)$/.exec(resource)?.[1];

/** A refusal in the journal's own sentence. */
export const detailsOf = (record: StoredRecord): string | undefined =>
  record.status === 'Failure' ? explain(record, nowhere).sentence : record.detail;

/** What only Connection.AuthNError has. */
export const authenticationOf = ({ eventType, reason, tls }: JournalRecord): Readonly<Record<string, unknown>> =>
  eventType === 'Connection.AuthNError'
    ? {
        authenticationType: reason?.startsWith('SECURITY_TOKEN_') ? 'AWS_SIGV4' : 'AWS_X509',
        serverNameIndication: tls?.serverName,
      }
    : {};

/** What only events of fleet provisioning have. */
export const provisioningOf = ({ eventType, facts = {} }: JournalRecord): Readonly<Record<string, unknown>> =>
  eventType === 'GetDeviceCredentials' || eventType === 'ProvisionDevice'
    ? {
        deviceCertificateId: facts['deviceCertificateId'],
        provisioningTemplateName: facts['provisioningTemplateName'],
      }
    : {};

/** The fields of one log event. */
export const logEvent = (record: StoredRecord): Readonly<Record<string, unknown>> => ({
  timestamp: logTimestamp(record.atMs),
  traceId: record.id,
  accountId: record.account?.accountId,
  status: record.status,
  eventType: record.eventType,
  protocol: record.protocol ?? 'MQTT',
  ...authenticationOf(record),
  ...provisioningOf(record),
  topicName: topicOf(record) ?? record.facts?.['topic'],
  clientId: record.clientId,
  principalId: record.certificateId,
  sourceIp: record.sourceIp,
  sourcePort: record.sourcePort,
  ...(record.eventType === 'Disconnect' && { disconnectReason: record.reason }),
  reason: record.reason,
  details: detailsOf(record),
});

const openLines = (destination: number | { write(line: string): void }) => {
  if (typeof destination !== 'number') return { stream: destination, flush() {} };
  const stream = pino.destination({ dest: destination, sync: false, maxLength: logBufferBytesMax });
  return { stream, flush: () => stream.flushSync() };
};

export const openLog = ({ level, destination = 1 }: LogOptions): Log => {
  const { stream, flush } = openLines(destination);
  const options: pino.LoggerOptions = {
    level,
    base: null,
    messageKey: 'details',
    formatters: { level: (label) => ({ logLevel: logLevels[label] ?? label.toUpperCase() }) },
  };
  const server = pino({ ...options, timestamp: () => `,"timestamp":"${logTimestamp(Date.now())}"` }, stream);
  const attempts = pino({ ...options, timestamp: false }, stream);
  return {
    server,
    attempt(record) {
      if (record.status === 'Failure') attempts.error(logEvent(record));
      else attempts.info(logEvent(record));
    },
    flush() {
      try {
        flush();
      } catch {
        // The descriptor was never ready or is gone: there is nothing left to write to.
      }
    },
  };
};
