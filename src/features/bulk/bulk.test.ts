import assert from 'node:assert/strict';
import { test } from 'node:test';
import { faults, lamps, openBulkBed, roleOf, templateBody, thingNames } from '../../../test/bulk-bed.ts';
import { otherAccount, testAccount } from '../../../test/call.ts';
import type { Call } from '../../feature.ts';
import type { Store } from '../../store/store.ts';
import { getTask } from './bulk-task.ts';
import { describeTask, listReports, listThingRegistrationTasks, stopTask } from './operations.ts';
import { linkLifetimeMs } from './report-link.ts';
import { startTask } from './start-task.ts';
import { forgetBeyond, taskLifetimeMs } from './task-retention.ts';

test('one good and one bad line: Completed, one of each counted, each in its report (provisioning.md check 44)', async (t) => {
  const { bulk, put, start, report, describe, call } = await openBulkBed(t);
  await put('{"Name":"lamp-1","Serial":"1"}\n\n{"Name":7}\n');
  const taskId = await start();
  await bulk.runner.idle();
  const { status, successCount, failureCount, percentageProgress, message } = await describe(taskId);
  assert.deepEqual([status, successCount, failureCount, percentageProgress], ['Completed', 1, 1, 100]);
  assert.equal(message, undefined);
  assert.deepEqual(await report(taskId, 'RESULTS'), [
    {
      lineNumber: 1,
      offset: 0,
      response: { ResourceArns: { thing: 'arn:aws:iot:us-east-1:000000000000:thing/lamp-1' } },
    },
  ]);
  assert.deepEqual(await report(taskId, 'ERRORS'), [
    {
      ...{ lineNumber: 3, offset: 32, errorCode: 'InvalidParameters' },
      errorMessage: 'The values of the parameters must be strings',
    },
  ]);
  assert.deepEqual(await thingNames(call), ['lamp-1']);
});

test('while one runs another is refused, in this account and region alone (provisioning.md check 45)', async (t) => {
  const { bulk, put, start, callAs, addTask } = await openBulkBed(t);
  await addTask();
  await put('');
  await put('', otherAccount);
  await assert.rejects(start(), faults('InvalidRequestException', /is running/));
  const elsewhere = { ...testAccount, region: 'eu-west-1' };
  for (const account of [otherAccount, elsewhere]) await start(callAs(account));
  await bulk.runner.idle();
  await start();
});

const refusedStarts: readonly [what: string, change: Record<string, string>, message: RegExp][] = [
  ['a template that is none', { templateBody: '{' }, /JSON/],
  ['a template with an unknown section', { templateBody: '{"Resources":{},"More":{}}' }, /More/],
  ['a role of another account', { roleArn: roleOf(otherAccount) }, /belongs to another account/],
  ['a user instead of a role', { roleArn: 'arn:aws:iam::000000000000:user/bulk' }, /is not the ARN of an IAM role/],
  ['a key above the bucket', { inputFileKey: '../other/lamps' }, /plain path/],
  ['an absolute key', { inputFileKey: '/etc/passwd' }, /plain path/],
  ['a key with an empty segment', { inputFileKey: 'a//b' }, /plain path/],
];
for (const [what, change, message] of refusedStarts) {
  test(`${what} is refused at the start, and no task is left (API reference, StartThingRegistrationTask)`, async (t) => {
    const { bulk, call } = await openBulkBed(t);
    const names = { templateBody, inputFileBucket: 'fleet', inputFileKey: 'lamps', roleArn: roleOf(testAccount) };
    await assert.rejects(
      startTask(bulk.runner)({ ...names, ...change }, call),
      faults('InvalidRequestException', message),
    );
    assert.deepEqual(await listThingRegistrationTasks({}, call), { taskIds: [] });
  });
}

test('a file that is not there fails the task, with a sentence (spec provisioning.md 10)', async (t) => {
  const { bulk, start, describe } = await openBulkBed(t);
  const taskId = await start();
  await bulk.runner.idle();
  const { status, message, percentageProgress, successCount, failureCount } = await describe(taskId);
  assert.deepEqual([status, message], ['Failed', 'There is no object lamps in the bucket fleet.']);
  assert.deepEqual([percentageProgress, successCount, failureCount], [0, 0, 0]);
});

/** What stands in bad lines, and must stand in no report. */
const mark = 'HUNTER2';
const badLines: readonly [what: string, line: string | Uint8Array, code: string][] = [
  ['no JSON', `{"Name": ${mark}`, 'InvalidParameters'],
  ['a list', `["${mark}"]`, 'InvalidParameters'],
  ['null', 'null', 'InvalidParameters'],
  ['text', `"${mark}"`, 'InvalidParameters'],
  ['a number as a value', `{"Name":"lamp-1","Serial":1,"a":"${mark}"}`, 'InvalidParameters'],
  ['a nested value', `{"Name":{"a":"${mark}"}}`, 'InvalidParameters'],
  ['null as a value', '{"Name":null}', 'InvalidParameters'],
  [
    'no UTF-8',
    Buffer.concat([Buffer.from(`{"Name":"${mark}`), Buffer.of(0xff), Buffer.from('"}')]),
    'InvalidParameters',
  ],
  ['UTF-16', Buffer.from(`{"Name":"${mark}"}`, 'utf16le'), 'InvalidParameters'],
  ['what gzip makes', Buffer.of(0x1f, 0x8b, 0x08, 0x00, 0x00), 'InvalidParameters'],
  ['a parameter that is missing', `{"Serial":"${mark}"}`, 'InvalidParameters'],
  ['a name that is none', `{"Name":"${mark} with blanks"}`, 'InvalidParameters'],
  ['an attribute that is none', `{"Name":"lamp-1","Serial":"${mark} {}"}`, 'InvalidParameters'],
  ['a NUL', `{"Name":"lamp-1","Serial":"${mark}\\u0000"}`, 'InvalidParameters'],
  ['a thing that exists otherwise', `{"Name":"first","Serial":"${mark}"}`, 'ResourceConflicts'],
  ['a value beyond the bound', `{"Name":"lamp-1","Other":"${mark.repeat(600)}"}`, 'InvalidParameters'],
  ['a name of a parameter beyond the bound', `{"${mark.repeat(300)}":"x"}`, 'InvalidParameters'],
  ['a line beyond the bound', `{"Name":"${mark.repeat(40_000)}"}`, 'InvalidParameters'],
  ['deep nesting', `${'['.repeat(100_000)}`, 'InvalidParameters'],
];
test('a bad line stops no task, is counted, and its report repeats nothing of it', async (t) => {
  const { bulk, put, start, report, describe, call, troubles } = await openBulkBed(t);
  const lines = ['{"Name":"first"}', ...badLines.map(([, line]) => line), '{"Name":"last"}'];
  await put(Buffer.concat(lines.flatMap((line) => [Buffer.from(line), Buffer.from('\n')])));
  const taskId = await start();
  await bulk.runner.idle();
  const { status, successCount, failureCount } = await describe(taskId);
  assert.deepEqual([status, successCount, failureCount], ['Completed', 2, badLines.length]);
  const errors = await report(taskId, 'ERRORS');
  assert.deepEqual(
    errors.map(({ lineNumber, errorCode }) => [lineNumber, errorCode]),
    badLines.map(([, , code], index) => [index + 2, code]),
  );
  for (const [index, { errorMessage }] of errors.entries()) {
    assert.match(errorMessage ?? '', /^[A-Z][^\n]{10,1024}$/);
    assert.doesNotMatch(errorMessage ?? '', /HUNTER2/, `${badLines[index]?.[0]}`);
  }
  assert.deepEqual([...(await thingNames(call))].sort(), ['first', 'last']);
  assert.deepEqual(troubles, []);
});

test('a BOM, blanks, carriage returns and a last line without its end change nothing', async (t) => {
  const { bulk, put, start, report, describe } = await openBulkBed(t);
  await put('\ufeff{"Name":"lamp-1"}\r\n   \t\r\n\n {"Name":"lamp-2"} \r\n{"Name":"lamp-3"}');
  const taskId = await start();
  await bulk.runner.idle();
  const { status, successCount, failureCount } = await describe(taskId);
  assert.deepEqual([status, successCount, failureCount], ['Completed', 3, 0]);
  assert.deepEqual(
    (await report(taskId, 'RESULTS')).map(({ lineNumber, offset }) => [lineNumber, offset]),
    [
      [1, 0],
      [4, 29],
      [5, 50],
    ],
  );
});

test('parameters of the names of own members of objects are parameters like others', async (t) => {
  const { bulk, put, start, describe } = await openBulkBed(t);
  await put('{"Name":"lamp-1","__proto__":"x","constructor":"y","toString":"z"}\n');
  const taskId = await start();
  await bulk.runner.idle();
  assert.equal((await describe(taskId)).successCount, 1);
});

test('a task that does not exist, or is of another account or region, is found by nobody', async (t) => {
  const { bulk, addTask, callAs, call } = await openBulkBed(t);
  const taskId = await addTask();
  const strangers = [callAs(otherAccount), callAs({ ...testAccount, region: 'eu-west-1' })];
  const asked: [call: Call, taskId: string][] = [
    [call, 'none'],
    ...strangers.map((each): [Call, string] => [each, taskId]),
  ];
  for (const [by, id] of asked) {
    await assert.rejects(describeTask({ taskId: id }, by), faults('ResourceNotFoundException'));
    await assert.rejects(stopTask(bulk.runner)({ taskId: id }, by), faults('ResourceNotFoundException'));
    const reports = listReports(bulk)({ taskId: id, reportType: 'ERRORS' }, by);
    await assert.rejects(reports, faults('InvalidRequestException', /does not exist/));
  }
});

test('tasks are listed newest first, by status, page by page', async (t) => {
  const { bulk, put, start, call, advance } = await openBulkBed(t);
  const started: string[] = [];
  for (let i = 0; i < 5; i++) {
    if (i === 2) await put('');
    started.unshift(await start());
    await bulk.runner.idle();
    if (i !== 3) advance(1);
  }
  // two were made in one millisecond: either may come first, and neither twice or not at all
  const { taskIds = [] } = await listThingRegistrationTasks({}, call);
  assert.deepEqual(taskIds.toSorted(), started.toSorted());
  assert.deepEqual(taskIds.slice(2), started.slice(2));
  const paged: string[] = [];
  let nextToken: string | undefined;
  do {
    const page = await listThingRegistrationTasks({ maxResults: 2, nextToken }, call);
    paged.push(...(page.taskIds ?? []));
    nextToken = page.nextToken;
  } while (nextToken !== undefined);
  assert.deepEqual(paged, taskIds);
  const ofStatus = async (status: 'Failed' | 'Completed' | 'InProgress') =>
    (await listThingRegistrationTasks({ status }, call)).taskIds;
  assert.deepEqual(await ofStatus('Failed'), started.slice(3));
  assert.deepEqual(await ofStatus('Completed'), taskIds.slice(0, 3));
  assert.deepEqual(await ofStatus('InProgress'), []);
});

const rowsOf = async ({ db }: Pick<Store, 'db'>) => ({
  tasks: (await db.selectFrom('bulk_tasks').select('task_id').execute()).map(({ task_id }) => task_id),
  lines: (await db.selectFrom('bulk_report_lines').select('task_id').execute()).map(({ task_id }) => task_id),
});

test('what ended 30 days ago is cleared away, with its reports; what ended just now is kept, however old it is', async (t) => {
  const { bulk, put, start, describe, call, advance, store, addTask, report } = await openBulkBed(t);
  await put(lamps(3));
  const old = await start();
  await bulk.runner.idle();
  const { resourceLinks: [link = ''] = [] } = await listReports(bulk)({ taskId: old, reportType: 'RESULTS' }, call);
  // nobody works at it until it is too old
  const late = await addTask(otherAccount);
  advance(taskLifetimeMs - 1);
  await put('{"Name":"late"}');
  const young = await start();
  await bulk.runner.idle();
  advance(2);
  await bulk.runner.turn(call.now());
  await bulk.runner.idle();
  await assert.rejects(describe(old), faults('ResourceNotFoundException'));
  assert.deepEqual((await listThingRegistrationTasks({}, call)).taskIds, [young]);
  assert.equal((await report(young, 'RESULTS')).length, 1);
  const { tasks, lines } = await rowsOf(store);
  assert.deepEqual([tasks.toSorted(), new Set(lines)], [[late, young].toSorted(), new Set([young])]);
  assert.equal((await bulk.answerReport(new Map(new URL(link).searchParams))).status, 403, 'expired');
});

test('an account has a bounded number of finished tasks and of bytes of their reports; others keep theirs', async (t) => {
  const { bulk, put, start, call, advance, store, callAs } = await openBulkBed(t);
  const started: string[] = [];
  await put('', otherAccount);
  const others = await start(callAs(otherAccount));
  for (let i = 0; i < 4; i++) {
    await put(lamps(i + 1));
    started.unshift(await start());
    await bulk.runner.idle();
    advance(1);
  }
  const { resourceLinks: [link = ''] = [] } = await listReports(bulk)(
    { taskId: started[3] ?? '', reportType: 'RESULTS' },
    call,
  );
  const follow = async () => (await bulk.answerReport(new Map(new URL(link).searchParams))).status;
  assert.equal(await follow(), 200);
  await store.write((db) => forgetBeyond(db, testAccount, { tasks: 3, reportBytes: 1_000_000 }));
  assert.deepEqual((await listThingRegistrationTasks({}, call)).taskIds, started.slice(0, 3));
  await bulk.runner.turn(call.now());
  assert.equal(await follow(), 404, 'a link to what is gone leads nowhere');
  const newest = await getTask(call.db, testAccount, started[0] ?? '');
  await store.write((db) => forgetBeyond(db, testAccount, { tasks: 3, reportBytes: newest.progress.reportBytes + 1 }));
  assert.deepEqual((await listThingRegistrationTasks({}, call)).taskIds, started.slice(0, 1));
  await bulk.runner.turn(call.now());
  const { tasks, lines } = await rowsOf(store);
  assert.deepEqual(tasks.toSorted(), [started[0], others].toSorted());
  assert.deepEqual([...new Set(lines)], [started[0]]);
});

test('a link is good for an hour, and leads to the address at which the API was asked', async (t) => {
  const { bulk, put, start, call, advance } = await openBulkBed(t);
  await put(lamps(1));
  const taskId = await start();
  await bulk.runner.idle();
  const linkOf = async (arrival: Call['arrival']): Promise<URL> => {
    const { resourceLinks: [link = ''] = [] } = await listReports(bulk)(
      { taskId, reportType: 'RESULTS' },
      { ...call, arrival },
    );
    return new URL(link);
  };
  const arrival = { host: 'localhost', loopback: true };
  assert.equal((await linkOf(arrival)).origin, 'http://127.0.0.1:4566');
  const link = await linkOf({ ...arrival, authority: 'iot.example.com:14566' });
  assert.equal(link.origin, 'http://iot.example.com:14566');
  assert.equal((await linkOf({ ...arrival, authority: '[::1]' })).origin, 'http://[::1]');
  const follow = () => bulk.answerReport(new Map(link.searchParams));
  advance(linkLifetimeMs - 1);
  assert.equal((await follow()).status, 200);
  advance(1);
  const { status, body } = await follow();
  assert.equal(status, 403);
  assert.doesNotMatch(body, /lamp/);
});
