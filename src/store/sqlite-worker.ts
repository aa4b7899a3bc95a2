/**
 * The writer thread: the only connection that writes. It follows the main thread's orders; what it decides itself is only what happens
 * after a failure: a transaction that SQLite took back (full disk, input/output errors) stays lost until the next `begin`, and a connection
 * that failed by the world's fault is opened anew there, so that service resumes when the cause is gone.
 */
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import type { StatementResult } from './kysely-over.ts';
import { openConnection, type SqliteConnection } from './sqlite-connection.ts';
import { failureOf, needsReopening, type SqliteFailure, threadDied } from './sqlite-failure.ts';
import type { Control, WriterReady, WriterReply, WriterRequest, WriterSettings } from './sqlite-protocol.ts';

assert(parentPort, 'sqlite-worker.ts is a worker thread');
const port = parentPort;
// Structured clone keeps the shape that sqlite-writer.ts gave, not its type.
const settings = workerData as WriterSettings;

/** The write-ahead log is cut back to this after a burst. */
const walBytesKept = 16 * 1024 * 1024;
/** Files up to this size are checked page by page (about 0.1 s); larger ones are found damaged when a damaged page is read. */
const quickCheckBytesMax = 32 * 1024 * 1024;

let connection: SqliteConnection | undefined;
/** Why the transaction of this group is gone. A fresh thread has none: a group that began on the thread before it is lost. */
let lost: SqliteFailure | undefined = {
  message: 'The writer was started again in the middle of a transaction',
  errcode: threadDied,
};

/** Throws when pages of the file are damaged. */
const checkPages = (checked: SqliteConnection): void => {
  if (statSync(settings.file).size > quickCheckBytesMax) return;
  const verdict = checked.run({ sql: 'PRAGMA quick_check(1)', parameters: [] }).rows[0]?.['quick_check'];
  if (verdict !== 'ok') throw Object.assign(new Error(String(verdict)), { errcode: 11 });
};

const open = (mode: WriterSettings['mode']): SqliteConnection => {
  const opened = openConnection(settings.file, mode);
  try {
    opened.exec('PRAGMA journal_mode = WAL');
    opened.exec(`PRAGMA synchronous = ${settings.synchronous}`);
    opened.exec(`PRAGMA journal_size_limit = ${walBytesKept}`);
    if (settings.pageCountMax) opened.exec(`PRAGMA max_page_count = ${settings.pageCountMax}`);
    if (mode === 'create') checkPages(opened);
    return opened;
  } catch (error) {
    opened.close();
    throw error;
  }
};

/** The file may be another one than the writer has open: repaired, or replaced by a backup. */
let isReplaced = false;

const control = (step: Control): void => {
  if (step === 'begin') {
    lost = undefined;
    if (isReplaced) {
      connection?.close();
      connection = undefined;
      isReplaced = false;
    }
    connection ??= open('write');
    if (connection.inTransaction) connection.exec('ROLLBACK');
    connection.run({ sql: 'BEGIN IMMEDIATE', parameters: [] });
    return;
  }
  if (lost) return;
  assert(connection);
  if (step === 'savepoint') connection.run({ sql: 'SAVEPOINT unit', parameters: [] });
  if (step === 'undo') connection.run({ sql: 'ROLLBACK TO unit', parameters: [] });
  if (step !== 'savepoint') connection.run({ sql: 'RELEASE unit', parameters: [] });
};

/** Takes the group back and remembers why, until the next `begin`. */
const loseGroup = (failure: SqliteFailure): void => {
  lost = failure;
  try {
    if (connection?.inTransaction) connection.exec('ROLLBACK');
    if (needsReopening(failure)) {
      connection?.close();
      connection = undefined;
    }
  } catch {
    connection = undefined; // the failure that is reported is the first one
  }
};

const perform = ({ kind, statements }: WriterRequest): StatementResult | undefined => {
  assert(connection);
  if (kind === 'commit') {
    connection.run({ sql: 'COMMIT', parameters: [] });
    return undefined;
  }
  if (kind === 'append') {
    control('savepoint');
    try {
      for (const statement of statements) connection.run(statement);
    } catch (error) {
      if (connection.inTransaction) control('undo');
      throw error;
    }
    control('release');
    return undefined;
  }
  assert(statements[0]);
  return connection.run(statements[0]);
};

/** By a connection of its own: that of the writer may still hold pages from before the damage. */
const check = (): void => {
  const fresh = openConnection(settings.file, 'read');
  try {
    checkPages(fresh);
    isReplaced = true;
  } finally {
    fresh.close();
  }
};

const answer = (request: WriterRequest): WriterReply => {
  const { id, kind } = request;
  if (kind === 'check') {
    try {
      check();
      return { id };
    } catch (error) {
      return { id, failure: failureOf(error) };
    }
  }
  try {
    for (const step of request.controls) control(step);
  } catch (error) {
    loseGroup(failureOf(error));
  }
  if (lost) return { id, failure: lost, groupLost: true };
  try {
    const result = perform(request);
    return result ? { id, result } : { id };
  } catch (error) {
    const failure = failureOf(error);
    if (kind !== 'commit' && connection?.inTransaction) return { id, failure };
    loseGroup(failure);
    return { id, failure, groupLost: true };
  }
};

const ready: WriterReady = (() => {
  try {
    connection = open(settings.mode);
    return {};
  } catch (error) {
    return { failure: failureOf(error) };
  }
})();
port.postMessage(ready);
port.on('message', (request: WriterRequest | 'close') => {
  if (request !== 'close') return port.postMessage(answer(request));
  try {
    connection?.close();
  } finally {
    port.close();
  }
});
