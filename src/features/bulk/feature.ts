import type { Feature } from '../../feature.ts';
import { migrations } from './migrations.ts';
import { describeTask, listReports, listThingRegistrationTasks, type ReportServices, stopTask } from './operations.ts';
import type { BulkRunner } from './runner.ts';
import { startTask } from './start-task.ts';

export interface BulkServices {
  readonly bulk: ReportServices & { readonly runner: Pick<BulkRunner, 'wake' | 'turn'> };
}

/** Registration of many things at once, from a file. */
export const bulk = ({ bulk: services }: BulkServices): Feature => ({
  name: 'bulk',
  migrations,
  operations: {
    iot: {
      StartThingRegistrationTask: startTask(services.runner),
      StopThingRegistrationTask: stopTask(services.runner),
      DescribeThingRegistrationTask: describeTask,
      ListThingRegistrationTasks: listThingRegistrationTasks,
      ListThingRegistrationTaskReports: listReports(services),
    },
  },
  // goes on after a restart, and looks again at what could not be read
  tasks: [{ name: 'bulk-registration', everyMs: 10_000, run: (nowMs) => services.runner.turn(nowMs) }],
});
