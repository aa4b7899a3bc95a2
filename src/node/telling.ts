/** What a node tells: the journal of attempts, and AWS's log events. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { followLogging } from '../features/settings/live-logging.ts';
import { createEventLogs, droppedLine } from '../journal/event-logs.ts';
import { openJournal } from '../journal/journal.ts';
import { openLogFiles } from '../journal/log-files.ts';
import type { RecordAttempt } from '../journal/record.ts';
import type { Base } from './base.ts';
import type { Opened } from './closing.ts';

export const openTelling = async ({ store, journalStore, bus, folder, now, log, trouble }: Base, opened: Opened) => {
  const journal = await openJournal({
    ...{ store: journalStore, now, log: log.attempt },
    trouble: trouble('the journal could not be written'),
  });
  opened.add(journal.close);
  const logFiles = openLogFiles({
    folder: join(folder, 'logs'),
    trouble: trouble('log events could not be written'),
    droppedLine: droppedLine({ now, newId: randomUUID }),
  });
  opened.add(logFiles.close);
  const logs = createEventLogs({
    ...{ write: logFiles.write, now, newId: randomUUID },
    trouble: trouble('a log event could not be told'),
  });
  const logging = await followLogging({
    ...{ db: store.db, bus, set: logs.setLevels },
    failed: trouble('logging levels could not be read again'),
  });
  opened.add(logging.close);
  const record: RecordAttempt = (attempt) => {
    journal.record(attempt);
    logs.attempt(attempt);
  };
  return { journal, logs, logging, record };
};

export type Telling = Awaited<ReturnType<typeof openTelling>>;
