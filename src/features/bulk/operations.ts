/** The short operations of bulk registration. Source: API reference; spec provisioning.md 10. */
import { Fault } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import { cursorOf } from '../creation-order.ts';
import { reportTypes } from './bulk-report.ts';
import { type BulkTask, changeStatus, findTask, getTask, listTasks } from './bulk-task.ts';
import type { ReportLinks } from './report-link.ts';
import type { BulkRunner } from './runner.ts';

/** Assumed. */
const pageDefault = 25;

/** Of the bytes of the file; 100 only when the task is Completed. */
const percentageOf = ({ status, input, progress }: BulkTask): number => {
  if (status === 'Completed') return 100;
  return input && input.bytes > 0 ? Math.min(99, Math.floor((progress.position / input.bytes) * 100)) : 0;
};

/** Faults: ResourceNotFoundException. */
export const describeTask: Handler<'DescribeThingRegistrationTask'> = async ({ taskId = '' }, call) => {
  const task = await getTask(call.db, call.account, taskId);
  const { templateBody, inputFileBucket, inputFileKey, roleArn, status, message, progress } = task;
  return {
    taskId,
    creationDate: new Date(task.createdAtMs),
    lastModifiedDate: new Date(task.modifiedAtMs),
    templateBody,
    inputFileBucket,
    inputFileKey,
    roleArn,
    status,
    ...(message !== undefined && { message }),
    successCount: progress.successCount,
    failureCount: progress.failureCount,
    percentageProgress: percentageOf(task),
  };
};

/** Assumed: newest first. Faults: InvalidRequestException for a token that is not ours. */
export const listThingRegistrationTasks: Handler<'ListThingRegistrationTasks'> = async (input, call) => {
  const { maxResults: limit = pageDefault, status } = input;
  const after = call.openMarker(input.nextToken);
  const tasks = await listTasks(call.db, call.account, { status, after, limit: limit + 1 });
  const page = tasks.slice(0, limit);
  const last = page.at(-1);
  return {
    taskIds: page.map(({ taskId }) => taskId),
    ...(tasks.length > limit && last && { nextToken: call.sealMarker(cursorOf(last.createdAtMs, last.taskId)) }),
  };
};

/**
 * What is done stays done; what is under way is left undone. Faults: ResourceNotFoundException; InvalidRequestException for a task that is at its end (Assumed).
 */
export const stopTask =
  (runner: Pick<BulkRunner, 'wake'>): Handler<'StopThingRegistrationTask'> =>
  async ({ taskId = '' }, call) => {
    await call.write(async (db) => {
      const task = await getTask(db, call.account, taskId);
      if (task.status === 'Cancelling') return;
      if (task.status !== 'InProgress') {
        throw new Fault('InvalidRequestException', `Thing registration task ${taskId} is ${task.status} already`);
      }
      await changeStatus(db, task, { from: 'InProgress', to: 'Cancelling', nowMs: call.now() });
    });
    runner.wake();
    return {};
  };

export interface ReportServices {
  readonly links: Pick<ReportLinks, 'link'>;
  /** Of the API's listener. */
  readonly apiUrl: () => string;
}

/** The address by which the caller came, a name of this server's, so that the link leads where it can be followed. */
const baseOf = (apiUrl: string, authority: string | undefined): string =>
  authority === undefined ? new URL(apiUrl).origin : `http://${authority}`;

/**
 * A link for each part of the report, of a task that is still running too: its last part grows. Faults: InvalidRequestException (reportType, a token that
 * is not ours, and a task that does not exist: the model has no other fault for it).
 */
export const listReports =
  ({ links, apiUrl }: ReportServices): Handler<'ListThingRegistrationTaskReports'> =>
  async (input, call) => {
    const { taskId = '', maxResults: limit = pageDefault } = input;
    const type = reportTypes.find((each) => each === input.reportType);
    if (!type) throw new Fault('InvalidRequestException', 'reportType must be ERRORS or RESULTS');
    const [, after = '0'] = /^(?:(\d{1,15}))?$/.exec(call.openMarker(input.nextToken)) ?? [];
    const task = await findTask(call.db, call.account, taskId);
    if (!task) throw new Fault('InvalidRequestException', `Thing registration task ${taskId} does not exist`);
    const { parts } = type === 'RESULTS' ? task.progress.results : task.progress.errors;
    const first = Number(after) + 1;
    const last = Math.min(parts, Number(after) + limit);
    const base = baseOf(apiUrl(), call.arrival.authority);
    return {
      resourceLinks: Array.from({ length: Math.max(0, last - first + 1) }, (_, index) =>
        links.link(base, { account: call.account, taskId, type, part: first + index }),
      ),
      reportType: type,
      ...(last < parts && { nextToken: call.sealMarker(String(last)) }),
    };
  };
