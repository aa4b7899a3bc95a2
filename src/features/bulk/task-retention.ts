/**
 * Tasks that have come to their end are kept for a while: how long is a matter of time, how many and with what reports one of the account. What is beyond is
 * forgotten at once, which hides it, and cleared away part by part.
 */
import type { AccountRegion } from '../../aws/arn.ts';
import type { Db, Store } from '../../store/store.ts';
import { deleteReportPart } from './bulk-report.ts';
import { finishedStatuses, forgotten, type TaskName, tasksOf, toTask, updateTask } from './bulk-task.ts';

/** A task that has not come to its end by then fails, and one that has is kept as long. Source: spec provisioning.md 10. */
export const taskLifetimeMs = 30 * 24 * 60 * 60 * 1000;

export interface KeptMax {
  readonly tasks: number;
  readonly reportBytes: number;
}

/** Forgets the oldest finished tasks of an account beyond what is kept. */
export const forgetBeyond = async (db: Db, account: AccountRegion, kept: KeptMax): Promise<void> => {
  const finished = await tasksOf(db, account)
    .where('status', 'in', finishedStatuses)
    .orderBy('created_at_ms', 'desc')
    .orderBy('task_id', 'desc')
    .execute();
  let reportBytes = 0;
  for (const [index, row] of finished.entries()) {
    reportBytes += Number(row.report_bytes);
    if (index < kept.tasks && reportBytes <= kept.reportBytes) continue;
    await updateTask(db, { account, taskId: row.task_id }).set({ status: forgotten }).execute();
  }
};

/** Forgets tasks of all accounts that came to their end before. */
const forgetEndedBefore = async (db: Db, beforeMs: number): Promise<void> => {
  await db
    .updateTable('bulk_tasks')
    .set({ status: forgotten })
    .where('status', 'in', finishedStatuses)
    .where('modified_at_ms', '<', beforeMs)
    .execute();
};

/** Whether anything is to be forgotten or swept: asked before a unit is spent on it. */
const hasRefuse = async (db: Db, beforeMs: number): Promise<boolean> => {
  const found = await db
    .selectFrom('bulk_tasks')
    .select('task_id')
    .where(({ eb, and, or }) =>
      or([
        eb('status', '=', forgotten),
        and([eb('status', 'in', finishedStatuses), eb('modified_at_ms', '<', beforeMs)]),
      ]),
    )
    .limit(1)
    .executeTakeFirst();
  return found !== undefined;
};

const findForgotten = async (db: Db): Promise<TaskName | undefined> => {
  const row = await db.selectFrom('bulk_tasks').selectAll().where('status', '=', forgotten).limit(1).executeTakeFirst();
  return row && toTask(row);
};

const deleteTaskRow = async (db: Db, { account, taskId }: TaskName): Promise<void> => {
  await db
    .deleteFrom('bulk_tasks')
    .where('account_id', '=', account.accountId)
    .where('region', '=', account.region)
    .where('task_id', '=', taskId)
    .execute();
};

/** Clears away tasks that ended long ago, and forgotten ones, one part of a report in a unit. */
export const sweepTasks = async (
  store: Pick<Store, 'db' | 'write'>,
  nowMs: number,
  pauses: () => boolean,
): Promise<void> => {
  const beforeMs = nowMs - taskLifetimeMs;
  if (!(await hasRefuse(store.db, beforeMs))) return;
  await store.write((db) => forgetEndedBefore(db, beforeMs));
  const sweepSome = async (db: Db): Promise<boolean> => {
    const task = await findForgotten(db);
    if (!task) return false;
    if (!(await deleteReportPart(db, task))) await deleteTaskRow(db, task);
    return true;
  };
  for (let goesOn = true; goesOn && !pauses(); ) goesOn = await store.write(sweepSome);
};
