/**
 * Does the lines of one task, one after the other, from where the store says that it stands. A line that can be done is one unit of writing: the device, the
 * task's new place and the line of the report, all or none. One that cannot is a unit with the last two. So whatever breaks off, and whoever goes on, no
 * line is done twice or left out. Source: issue "Provisioning", Build 6.
 */
import { setImmediate as otherWork } from 'node:timers/promises';
import type { AccountRegion } from '../../aws/arn.ts';
import type { IssueDeviceCertificate } from '../../pki/issue.ts';
import { StoreUnavailable } from '../../store/store.ts';
import { parseTemplate, type Template } from '../../templates/template.ts';
import type { ProvisioningCall } from '../provisioning/provisioning-call.ts';
import { ProvisioningFault, withTemplate } from '../provisioning/provisioning-fault.ts';
import { registerSingleThing } from '../provisioning/register-single-thing.ts';
import { type BulkInput, fileBytesMax, type InputFile, InputProblem, windowBytes } from './bulk-input.ts';
import { errorOf, insertReportLine, progressAfter, type ReportLine, reportBytesMax, resultOf } from './bulk-report.ts';
import { changeStatus, moveTask, noteInput, type OwnedTask, TaskMoved, type TaskProgress } from './bulk-task.ts';
import { type InputLine, readLines } from './read-lines.ts';
import { readParameters } from './register-line.ts';
import { taskLifetimeMs } from './task-retention.ts';

export interface TaskWork {
  readonly issue: IssueDeviceCertificate;
  readonly input: BulkInput;
  readonly callFor: (account: AccountRegion) => ProvisioningCall;
  /** A fault of ours at a line, for the log; its report says InternalFailure. */
  readonly trouble: (error: unknown) => void;
  /** Asked between lines: the task waits where it stands. */
  readonly pauses: () => boolean;
  /** Bytes of both reports; default `reportBytesMax`. */
  readonly reportBytesMax?: number;
}

/** The end of a task that cannot go on; `message` is for its account. */
class TaskFailure extends Error {
  override readonly name = 'TaskFailure';
}

const errorCodeOf = (error: ProvisioningFault) => ({ errorCode: error.errorCode, message: error.message });
const internalFailure = { errorCode: 'InternalFailure', message: 'The server failed at this line' };

/** Errors that are not a line's fault: the line is done again later. */
const endsWork = (error: unknown): boolean => error instanceof StoreUnavailable || error instanceof TaskMoved;

/** Does one line; the task's new place, unless the line is blank. Faults: TaskMoved, StoreUnavailable. */
const doLine = async (
  work: TaskWork,
  task: OwnedTask,
  template: Template,
  from: TaskProgress,
  line: InputLine,
): Promise<TaskProgress | undefined> => {
  const call = work.callFor(task.account);
  const step = (report: ReportLine): TaskProgress => progressAfter(from, line, report);
  const keep = async (db: Parameters<typeof moveTask>[0], report: ReportLine): Promise<void> => {
    const to = step(report);
    await moveTask(db, task, { from, to, nowMs: call.now() });
    await insertReportLine(db, task, to, report);
  };
  try {
    const parameters = readParameters(line.bytes);
    if (!parameters) return undefined;
    const provisioned = await registerSingleThing(
      { issue: work.issue, keepAnswer: (db, outcome) => keep(db, resultOf(line, outcome)) },
      call,
      template,
      parameters,
    );
    return step(resultOf(line, provisioned));
  } catch (error) {
    if (endsWork(error)) throw error;
    if (!(error instanceof ProvisioningFault)) work.trouble(error);
    const report = errorOf(line, error instanceof ProvisioningFault ? errorCodeOf(error) : internalFailure);
    await call.write((db) => keep(db, report));
    return step(report);
  }
};

const templateOf = ({ templateBody }: OwnedTask): Template => {
  try {
    return withTemplate(() => parseTemplate(templateBody, 'REGISTER_THING'));
  } catch (error) {
    // it was read when the task was started, by another version of this program
    throw error instanceof ProvisioningFault ? new TaskFailure(error.message) : error;
  }
};

/** 'done' at the end of the file, 'paused' before it. Faults: as `doLine`, InputProblem, TaskFailure. */
const doLines = async (work: TaskWork, task: OwnedTask, file: InputFile): Promise<'done' | 'paused'> => {
  const template = templateOf(task);
  /** As the store has it. */
  let at = task.progress;
  /** The last of the blank lines that follow. */
  let blank: InputLine | undefined;
  const { now, write } = work.callFor(task.account);
  const passBlank = async ({ end: position, lineNumber }: InputLine): Promise<void> => {
    const to = { ...at, position, lineNumber };
    await write((db) => moveTask(db, task, { from: at, to, nowMs: now() }));
    at = to;
    blank = undefined;
  };
  for await (const line of readLines(file.readAt, { offset: at.position, lineNumber: at.lineNumber })) {
    // so that no task reads the same blank lines in every slice of its time
    const pauses = work.pauses();
    if (blank && (pauses || blank.end - at.position >= windowBytes)) await passBlank(blank);
    if (pauses) return 'paused';
    if (now() > task.createdAtMs + taskLifetimeMs) throw new TaskFailure('The task has not ended within 30 days.');
    if (at.reportBytes > (work.reportBytesMax ?? reportBytesMax)) {
      throw new TaskFailure(
        `The reports of the task are full. ${at.lineNumber} lines are done: put the others into another file.`,
      );
    }
    const done = await doLine(work, task, template, at, line);
    blank = done ? undefined : line;
    at = done ?? at;
    await otherWork();
  }
  return 'done';
};

const openFile = async (work: TaskWork, task: OwnedTask): Promise<InputFile> => {
  const { account, inputFileBucket: bucket, inputFileKey: key, input, progress } = task;
  const file = await work.input.open({ account, bucket, key }, { offset: progress.position, version: input?.version });
  try {
    const { bytes, version } = file;
    if (bytes > fileBytesMax) throw new TaskFailure(`The input file is longer than ${fileBytesMax / 1024 ** 3} GB.`);
    if (!input) await work.callFor(account).write((db) => noteInput(db, task, { version, bytes }));
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
};

/**
 * Goes on with a task that is InProgress, until its end or the next pause; says whether it has come to an end.
 * Faults: TaskMoved, StoreUnavailable, InputProblem that is passing.
 */
export const runTask = async (work: TaskWork, task: OwnedTask): Promise<'ended' | 'paused'> => {
  const { write, now } = work.callFor(task.account);
  const end = async (change: { to: 'Completed' | 'Failed'; message?: string }): Promise<'ended'> => {
    await write((db) => changeStatus(db, task, { from: 'InProgress', nowMs: now(), ...change }));
    return 'ended';
  };
  const { input, progress } = task;
  let file: InputFile | undefined;
  try {
    // all is done but to say so: there is nothing left by which the file could be known again
    if (input && progress.position >= input.bytes) return await end({ to: 'Completed' });
    file = await openFile(work, task);
    if ((await doLines(work, task, file)) === 'paused') return 'paused';
    return await end({ to: 'Completed' });
  } catch (error) {
    if (error instanceof TaskFailure || (error instanceof InputProblem && !error.passing)) {
      return await end({ to: 'Failed', message: error.message });
    }
    throw error;
  } finally {
    await file?.close();
  }
};
