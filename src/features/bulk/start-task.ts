import { Fault } from '../../aws/fault.ts';
import { assertRoleArn } from '../../aws/role-arn.ts';
import type { Handler } from '../../feature.ts';
import { parseTemplate } from '../../templates/template.ts';
import { ProvisioningFault, toFault, withTemplate } from '../provisioning/provisioning-fault.ts';
import { isPlainKey } from './bulk-input.ts';
import { insertTask } from './bulk-task.ts';
import type { BulkRunner } from './runner.ts';
import { forgetBeyond, type KeptMax } from './task-retention.ts';

/** Finished tasks of an account and region, and the bytes of their reports; the oldest beyond are forgotten when another starts. */
export const keptMax: KeptMax = { tasks: 100, reportBytes: 4 * 1024 * 1024 * 1024 };

const assertTemplate = (templateBody: string): void => {
  try {
    withTemplate(() => parseTemplate(templateBody, 'REGISTER_THING'));
  } catch (cause) {
    throw cause instanceof ProvisioningFault ? toFault(cause) : cause;
  }
};

/**
 * Starts to register the devices of a file. Whether there is such a file is seen by the task, not here. The role must be one of the account; it is asked for
 * nothing. Source: API reference, StartThingRegistrationTask; spec provisioning.md 10.
 * Faults: InvalidRequestException (template, role, key, or another task of the account is running).
 */
export const startTask =
  (runner: Pick<BulkRunner, 'wake'>): Handler<'StartThingRegistrationTask'> =>
  async (input, call) => {
    const { account } = call;
    const { templateBody = '', inputFileBucket = '', inputFileKey = '', roleArn = '' } = input;
    assertRoleArn(roleArn, account, 'roleArn');
    assertTemplate(templateBody);
    if (!isPlainKey(inputFileKey)) {
      throw new Fault(
        'InvalidRequestException',
        'inputFileKey must be a plain path: no leading slash, no empty segment, no . or .. between slashes',
      );
    }
    const taskId = call.newId();
    await call.write(async (db) => {
      const task = { taskId, templateBody, inputFileBucket, inputFileKey, roleArn };
      if (!(await insertTask(db, account, task, call.now()))) {
        throw new Fault(
          'InvalidRequestException',
          'Another thing registration task of this account is running. Wait for its end, or stop it.',
        );
      }
      await forgetBeyond(db, account, keptMax);
    });
    runner.wake();
    return { taskId };
  };
