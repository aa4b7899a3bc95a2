/** Bulk registration for stories: buckets as folders, and the end of a task. */
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { DescribeThingRegistrationTaskCommand, type IoTClient } from '@aws-sdk/client-iot';
import { waitMsMax } from './within.ts';

/** Puts an object into a bucket of an account's below the folder of `--buckets`. */
export const putObject = async (folder: string, accountId: string, name: string, text: string): Promise<void> => {
  const [bucket = '', key = ''] = name.split('/');
  await mkdir(join(folder, accountId, bucket), { recursive: true });
  await writeFile(join(folder, accountId, bucket, key), text);
};

/** The lines of a bulk file. */
export const linesOf = (parameters: readonly object[]): string =>
  parameters.map((each) => `${JSON.stringify(each)}\n`).join('');

/** Has one thing for each line, named by its parameter `Name`. */
export const thingTemplate = JSON.stringify({
  Parameters: { Name: { Type: 'String' } },
  Resources: { thing: { Type: 'AWS::IoT::Thing', Properties: { ThingName: { Ref: 'Name' } } } },
});

/** The same, but its answers name the thing by nine thousand characters: `wordyLines` make a report of two parts. */
export const wordyTemplate = thingTemplate.replace('"thing"', JSON.stringify('thing'.repeat(1800)));
export const wordyLines = linesOf(Array.from({ length: 130 }, () => ({ Name: 'bulb' })));

/** What a task is when it has come to its end. */
export const endOfTask = async (iot: IoTClient, taskId: string | undefined, msMax = waitMsMax) => {
  const until = performance.now() + msMax;
  for (;;) {
    const task = await iot.send(new DescribeThingRegistrationTaskCommand({ taskId }));
    if (task.status !== 'InProgress' && task.status !== 'Cancelling') return task;
    assert.ok(performance.now() < until, `the task is ${task.status} at ${task.percentageProgress} % still`);
    await delay(10);
  }
};
