/**
 * What became of each line of a bulk file: RESULTS of those that were done, ERRORS of the others. A report line is written in the unit that moves the task on,
 * so that a report has each line once. No line of the input is repeated. Assumed: the form of both, which the developer guide does not show (spec
 * provisioning.md 10).
 */
import type { AccountRegion } from '../../aws/arn.ts';
import type { Db } from '../../store/store.ts';
import type { Provisioned } from '../provisioning/provision.ts';
import type { ReportExtent, TaskProgress } from './bulk-task.ts';
import type { InputLine } from './read-lines.ts';

interface BulkReportLinesTable {
  account_id: string;
  region: string;
  task_id: string;
  report_type: string;
  /** From 1. */
  part: number;
  line_number: number;
  /** JSON. */
  line: string;
}
declare module '../../store/tables.ts' {
  interface Tables {
    bulk_report_lines: BulkReportLinesTable;
  }
}

export type ReportType = 'RESULTS' | 'ERRORS';
export const reportTypes: readonly ReportType[] = ['ERRORS', 'RESULTS'];

/** Bytes of one part, which is answered in one piece; a longer single line has a part of its own. */
const partBytesMax = 1024 * 1024;
/** Bytes of both reports of one task, as many as a million devices have. A task whose reports grow beyond fails. */
export const reportBytesMax = 2 * 1024 * 1024 * 1024;
/** Characters of a message in ERRORS. */
const messageCharactersMax = 1024;

export interface ReportLine {
  readonly type: ReportType;
  readonly text: string;
}

export const resultOf = ({ lineNumber, offset }: InputLine, provisioned: Provisioned): ReportLine => {
  const { resourceArns, certificatePem } = provisioned;
  const response = {
    ResourceArns: resourceArns,
    ...(certificatePem !== undefined && { CertificatePem: certificatePem }),
  };
  return { type: 'RESULTS', text: JSON.stringify({ lineNumber, offset, response }) };
};

export const errorOf = (
  { lineNumber, offset }: InputLine,
  { errorCode, message }: { readonly errorCode: string; readonly message: string },
): ReportLine => {
  const errorMessage = message.slice(0, messageCharactersMax);
  return { type: 'ERRORS', text: JSON.stringify({ lineNumber, offset, errorCode, errorMessage }) };
};

const extended = ({ parts, partBytes }: ReportExtent, bytes: number): ReportExtent =>
  parts === 0 || partBytes + bytes > partBytesMax
    ? { parts: parts + 1, partBytes: bytes }
    : { parts, partBytes: partBytes + bytes };

/** Where a task stands after a line of which this is reported. */
export const progressAfter = (before: TaskProgress, line: InputLine, { type, text }: ReportLine): TaskProgress => {
  const bytes = Buffer.byteLength(text) + 1;
  const isDone = type === 'RESULTS';
  return {
    position: line.end,
    lineNumber: line.lineNumber,
    successCount: before.successCount + (isDone ? 1 : 0),
    failureCount: before.failureCount + (isDone ? 0 : 1),
    results: isDone ? extended(before.results, bytes) : before.results,
    errors: isDone ? before.errors : extended(before.errors, bytes),
    reportBytes: before.reportBytes + bytes,
  };
};

export const insertReportLine = async (
  db: Db,
  { account, taskId }: { readonly account: AccountRegion; readonly taskId: string },
  { lineNumber, results, errors }: TaskProgress,
  { type, text }: ReportLine,
): Promise<void> => {
  await db
    .insertInto('bulk_report_lines')
    .values({
      account_id: account.accountId,
      region: account.region,
      task_id: taskId,
      report_type: type,
      part: (type === 'RESULTS' ? results : errors).parts,
      line_number: lineNumber,
      line: text,
    })
    .execute();
};

export interface ReportPart {
  readonly account: AccountRegion;
  readonly taskId: string;
  readonly type: ReportType;
  readonly part: number;
}

/** The text of one part, a line for each line; '' when there is none. */
export const readReportPart = async (db: Db, { account, taskId, type, part }: ReportPart): Promise<string> => {
  const rows = await db
    .selectFrom('bulk_report_lines')
    .select('line')
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .where('task_id', '=', taskId)
    .where('report_type', '=', type)
    .where('part', '=', part)
    .orderBy('line_number')
    .execute();
  return rows.map(({ line }) => `${line}\n`).join('');
};

/** Deletes one part; false when the report has none any more. */
export const deleteReportPart = async (
  db: Db,
  { account, taskId }: { readonly account: AccountRegion; readonly taskId: string },
): Promise<boolean> => {
  const first = await db
    .selectFrom('bulk_report_lines')
    .select(['report_type', 'part'])
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .where('task_id', '=', taskId)
    .limit(1)
    .executeTakeFirst();
  if (!first) return false;
  await db
    .deleteFrom('bulk_report_lines')
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .where('task_id', '=', taskId)
    .where('report_type', '=', first.report_type)
    .where('part', '=', first.part)
    .execute();
  return true;
};
