/**
 * Keeps what is in memory of all accounts' logging levels as the store has it: read at start, read again when a notice says so, and every
 * `recheckMs` where a notice was lost.
 */
import { type AccountRegion, accountKey } from '../../aws/arn.ts';
import type { Bus } from '../../bus/bus.ts';
import { onChange } from '../../bus/changes.ts';
import { type LogLevels, type LogTargetKind, type LogThreshold, targetKey } from '../../journal/event-logs.ts';
import type { Db } from '../../store/store.ts';
import { findOptions, listLevels, listRevisions, targetLevelsMax } from './logging.ts';

export interface LiveLoggingOptions {
  readonly db: Db;
  readonly bus: Bus;
  /** Told of the levels of an account and region whenever they may have changed; undefined: nothing is to be written. */
  readonly set: (account: AccountRegion, levels: LogLevels | undefined) => void;
  /** Told of a reading that failed; it is tried again. */
  readonly failed: (cause: unknown) => void;
  /** Default 30 s. */
  readonly recheckMs?: number;
}

export interface LiveLogging {
  /** Resolves when everything that is known to have changed has been read. */
  idle(): Promise<void>;
  close(): Promise<void>;
}

const recheckMsDefault = 30_000;

const readLevels = async (db: Db, account: AccountRegion): Promise<LogLevels | undefined> => {
  const options = await findOptions(db, account);
  if (options === undefined || options.disableAllLogs) return undefined;
  const targets = await listLevels(db, account, { after: undefined, limit: targetLevelsMax });
  const byEventType = new Map<string, LogThreshold>();
  for (const { eventType, logLevel } of options.eventConfigurations) {
    byEventType.set(eventType, logLevel ?? options.defaultLogLevel);
  }
  const byTarget = new Map<string, LogThreshold>();
  for (const { targetType, targetName, logLevel } of targets) {
    // the types that SetV2LoggingLevel stores: DEFAULT is the account's own, thing groups are refused
    byTarget.set(targetKey(targetType as LogTargetKind, targetName), logLevel);
  }
  return { byDefault: options.defaultLogLevel, byEventType, byTarget };
};

/** Rejects when the store cannot be read at start. */
export const followLogging = async (options: LiveLoggingOptions): Promise<LiveLogging> => {
  const { db, bus, set, failed, recheckMs = recheckMsDefault } = options;
  const known = new Map<string, number>();
  let reading = Promise.resolve();

  const recheck = async (): Promise<void> => {
    for (const { account, revision } of await listRevisions(db)) {
      if (known.get(accountKey(account)) === revision) continue;
      set(account, await readLevels(db, account));
      known.set(accountKey(account), revision);
    }
  };
  /** One reading at a time, so that an older one never overwrites a newer. */
  const queue = (work: () => Promise<void>): void => {
    reading = reading.then(work).catch(failed);
  };

  const endNotices = onChange(bus, ({ kind }) => {
    if (kind === 'logging') queue(recheck);
  });
  const timer = setInterval(() => queue(recheck), recheckMs);
  timer.unref();
  try {
    await recheck();
  } catch (cause) {
    clearInterval(timer);
    endNotices();
    throw cause;
  }
  return {
    idle: () => reading,
    async close() {
      clearInterval(timer);
      endNotices();
      await reading;
    },
  };
};
