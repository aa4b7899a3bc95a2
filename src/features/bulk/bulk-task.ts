/** A bulk registration as its account sees it: the record, its queries, and the one way in which it moves on. Source: spec provisioning.md 10. */
import type { AccountRegion } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import type { Db } from '../../store/store.ts';
import { afterCursor, type CreationPage } from '../creation-order.ts';

interface BulkTasksTable {
  account_id: string;
  region: string;
  task_id: string;
  status: string;
  message: string | null;
  template_body: string;
  input_bucket: string;
  input_key: string;
  role_arn: string;
  input_version: string | null;
  input_bytes: number | null;
  position: number;
  line_number: number;
  success_count: number;
  failure_count: number;
  result_parts: number;
  result_part_bytes: number;
  error_parts: number;
  error_part_bytes: number;
  report_bytes: number;
  created_at_ms: number;
  modified_at_ms: number;
  served_at_ms: number;
}
declare module '../../store/tables.ts' {
  interface Tables {
    bulk_tasks: BulkTasksTable;
  }
}

export type TaskStatus = 'InProgress' | 'Completed' | 'Failed' | 'Cancelled' | 'Cancelling';
const runningStatuses = ['InProgress', 'Cancelling'] as const;
export const finishedStatuses = ['Completed', 'Failed', 'Cancelled'] as const;
/** Hidden from its account: the sweeper takes away its report, and then the task. */
export const forgotten = 'FORGOTTEN';

/** A report as it grows: `parts` is how many there are, `partBytes` how long the last one is. */
export interface ReportExtent {
  readonly parts: number;
  readonly partBytes: number;
}

/** How far a task has come. It changes in the unit that does a line, and nowhere else. */
export interface TaskProgress {
  /** Bytes of the file that are done. */
  readonly position: number;
  /** Of the last line that is done; 0 before the first. */
  readonly lineNumber: number;
  readonly successCount: number;
  readonly failureCount: number;
  readonly results: ReportExtent;
  readonly errors: ReportExtent;
  /** Both reports together. */
  readonly reportBytes: number;
}

export interface BulkTask {
  readonly taskId: string;
  readonly status: TaskStatus;
  /** Why it failed. */
  readonly message: string | undefined;
  readonly templateBody: string;
  readonly inputFileBucket: string;
  readonly inputFileKey: string;
  readonly roleArn: string;
  /** Absent until the file was first opened. */
  readonly input: { readonly version: string; readonly bytes: number } | undefined;
  readonly progress: TaskProgress;
  readonly createdAtMs: number;
  readonly modifiedAtMs: number;
}

/** A task with whose it is. */
export interface OwnedTask extends BulkTask {
  readonly account: AccountRegion;
}

export const toTask = (row: BulkTasksTable): OwnedTask => ({
  account: { accountId: row.account_id, region: row.region },
  taskId: row.task_id,
  // the column holds nothing else where it is not `forgotten`, which every query leaves out
  status: row.status as TaskStatus,
  message: row.message ?? undefined,
  templateBody: row.template_body,
  inputFileBucket: row.input_bucket,
  inputFileKey: row.input_key,
  roleArn: row.role_arn,
  input: row.input_version === null ? undefined : { version: row.input_version, bytes: Number(row.input_bytes) },
  progress: {
    position: Number(row.position),
    lineNumber: Number(row.line_number),
    successCount: Number(row.success_count),
    failureCount: Number(row.failure_count),
    results: { parts: Number(row.result_parts), partBytes: Number(row.result_part_bytes) },
    errors: { parts: Number(row.error_parts), partBytes: Number(row.error_part_bytes) },
    reportBytes: Number(row.report_bytes),
  },
  createdAtMs: Number(row.created_at_ms),
  modifiedAtMs: Number(row.modified_at_ms),
});

const columnsOf = ({ position, lineNumber, successCount, failureCount, ...reports }: TaskProgress) => ({
  position,
  line_number: lineNumber,
  success_count: successCount,
  failure_count: failureCount,
  result_parts: reports.results.parts,
  result_part_bytes: reports.results.partBytes,
  error_parts: reports.errors.parts,
  error_part_bytes: reports.errors.partBytes,
  report_bytes: reports.reportBytes,
});

const nothingDone: TaskProgress = {
  position: 0,
  lineNumber: 0,
  successCount: 0,
  failureCount: 0,
  results: { parts: 0, partBytes: 0 },
  errors: { parts: 0, partBytes: 0 },
  reportBytes: 0,
};

export type NewTask = Pick<BulkTask, 'taskId' | 'templateBody' | 'inputFileBucket' | 'inputFileKey' | 'roleArn'>;

/** False while another one of the account is running. */
export const insertTask = async (
  db: Db,
  { accountId, region }: AccountRegion,
  task: NewTask,
  createdAtMs: number,
): Promise<boolean> => {
  const inserted = await db
    .insertInto('bulk_tasks')
    .values({
      account_id: accountId,
      region,
      task_id: task.taskId,
      status: 'InProgress',
      message: null,
      template_body: task.templateBody,
      input_bucket: task.inputFileBucket,
      input_key: task.inputFileKey,
      role_arn: task.roleArn,
      input_version: null,
      input_bytes: null,
      ...columnsOf(nothingDone),
      created_at_ms: createdAtMs,
      modified_at_ms: createdAtMs,
      served_at_ms: createdAtMs,
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return Number(inserted.numInsertedOrUpdatedRows) === 1;
};

/** All that the account sees. */
export const tasksOf = (db: Db, { accountId, region }: AccountRegion) =>
  db
    .selectFrom('bulk_tasks')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('status', '!=', forgotten);

export const findTask = async (db: Db, account: AccountRegion, taskId: string): Promise<OwnedTask | undefined> => {
  const row = await tasksOf(db, account).where('task_id', '=', taskId).executeTakeFirst();
  return row && toTask(row);
};

/** Faults: ResourceNotFoundException. */
export const getTask = async (db: Db, account: AccountRegion, taskId: string): Promise<OwnedTask> => {
  const task = await findTask(db, account, taskId);
  if (!task) throw new Fault('ResourceNotFoundException', `Thing registration task ${taskId} does not exist`);
  return task;
};

/** Newest first. */
export const listTasks = async (
  db: Db,
  account: AccountRegion,
  { status, after, limit }: Omit<CreationPage, 'ascending'> & { readonly status: string | undefined },
): Promise<readonly BulkTask[]> => {
  const from = afterCursor({ after, limit, ascending: false });
  let query = tasksOf(db, account);
  if (status !== undefined) query = query.where('status', '=', status);
  if (from) {
    query = query.where(({ eb, refTuple, tuple }) =>
      eb(refTuple('created_at_ms', 'task_id'), from.operator, tuple(from.createdAtMs, from.key)),
    );
  }
  const rows = await query.orderBy('created_at_ms', 'desc').orderBy('task_id', 'desc').limit(limit).execute();
  return rows.map(toTask);
};

/** Running tasks of all accounts, the one that has waited longest first. */
export const listRunningTasks = async (db: Db, limit: number): Promise<readonly OwnedTask[]> => {
  const rows = await db
    .selectFrom('bulk_tasks')
    .selectAll()
    .where('status', 'in', runningStatuses)
    .orderBy('served_at_ms')
    .orderBy('task_id')
    .limit(limit)
    .execute();
  return rows.map(toTask);
};

export type TaskName = Pick<OwnedTask, 'account' | 'taskId'>;
/** An update of one task's row. */
export const updateTask = (db: Db, { account, taskId }: TaskName) =>
  db
    .updateTable('bulk_tasks')
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .where('task_id', '=', taskId);

/** The task is not where it was thought to be: it was stopped, or somebody else is at work on it. */
export class TaskMoved extends Error {
  override readonly name = 'TaskMoved';
}

/**
 * Moves a running task from one place to the next, in the unit that does what lies between; so no line is done twice, whoever does it and whatever
 * breaks off. Faults: TaskMoved, at which the unit must fail.
 */
export const moveTask = async (
  db: Db,
  task: TaskName,
  { from, to, nowMs }: { readonly from: TaskProgress; readonly to: TaskProgress; readonly nowMs: number },
): Promise<void> => {
  const moved = await updateTask(db, task)
    .set({ ...columnsOf(to), modified_at_ms: nowMs })
    .where('status', '=', 'InProgress')
    .where('position', '=', from.position)
    .executeTakeFirst();
  if (Number(moved.numUpdatedRows) !== 1) throw new TaskMoved('The task was stopped or has moved on');
};

/** Says of a task that was never opened which file it reads. Faults: TaskMoved. */
export const noteInput = async (db: Db, task: TaskName, input: { version: string; bytes: number }): Promise<void> => {
  const noted = await updateTask(db, task)
    .set({ input_version: input.version, input_bytes: input.bytes })
    .where('status', '=', 'InProgress')
    .where('input_version', 'is', null)
    .executeTakeFirst();
  if (Number(noted.numUpdatedRows) !== 1) throw new TaskMoved('The task was stopped, or its file opened elsewhere');
};

/** False when the task was not in that status. */
export const changeStatus = async (
  db: Db,
  task: TaskName,
  { from, to, message, nowMs }: { from: TaskStatus; to: TaskStatus; message?: string; nowMs: number },
): Promise<boolean> => {
  const changed = await updateTask(db, task)
    .set({ status: to, message: message ?? null, modified_at_ms: nowMs })
    .where('status', '=', from)
    .executeTakeFirst();
  return Number(changed.numUpdatedRows) === 1;
};

/** Puts a task behind those that wait. */
export const noteServed = async (db: Db, task: TaskName, nowMs: number): Promise<void> => {
  await updateTask(db, task).set({ served_at_ms: nowMs }).execute();
};
