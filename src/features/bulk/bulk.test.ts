import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { appendFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { makeCall, makeFolder, otherAccount, testAccount } from '../../../test/call.ts';
import type { AccountRegion } from '../../aws/arn.ts';
import { Fault, type FaultName } from '../../aws/fault.ts';
import type { Call } from '../../feature.ts';
import { keyIdentifierOf, keySigner } from '../../pki/build.ts';
import { deviceIssuance, deviceIssuerNameDer } from '../../pki/issue.ts';
import { type Store, StoreUnavailable } from '../../store/store.ts';
import { migrations as cas } from '../cas/migrations.ts';
import { migrations as certificates } from '../certificates/migrations.ts';
import { policies } from '../policies/feature.ts';
import { tags } from '../tags/feature.ts';
import { things } from '../things/feature.ts';
import { listThings } from '../things/list-things.ts';
import { type BulkInput, fileBytesMax, InputProblem, windowBytes } from './bulk-input.ts';
import type { ReportType } from './bulk-report.ts';
import { forgetBeyond, getTask, insertTask } from './bulk-task.ts';
import { migrations } from './migrations.ts';
import { openBulk } from './open-bulk.ts';
import { openInput } from './open-input.ts';
import { describeTask, listReports, listThingRegistrationTasks, stopTask } from './operations.ts';
import { linkLifetimeMs } from './report-link.ts';
import { runTask, type TaskWork, taskLifetimeMs } from './run-task.ts';
import { startTask } from './start-task.ts';

const ca = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
const issue = deviceIssuance({
  nameDer: deviceIssuerNameDer,
  keyIdentifier: keyIdentifierOf(ca.publicKey.export({ type: 'spki', format: 'der' })),
  keyKind: 'ec',
  sign: keySigner(ca.privateKey),
});
const key = randomBytes(32);

const templateBody = JSON.stringify({
  Parameters: { Name: { Type: 'String' }, Serial: { Type: 'String', Default: '0' } },
  Resources: {
    thing: {
      Type: 'AWS::IoT::Thing',
      Properties: { ThingName: { Ref: 'Name' }, AttributePayload: { serial: { Ref: 'Serial' } } },
      OverrideSettings: { AttributePayload: 'FAIL' },
    },
  },
});
const roleOf = ({ accountId }: AccountRegion): string => `arn:aws:iam::${accountId}:role/bulk`;

const open = async (t: TestContext, { input }: { readonly input?: BulkInput } = {}) => {
  const folder = await makeFolder(t);
  const features = [
    tags({}),
    { name: 'certificates', migrations: certificates },
    { name: 'cas', migrations: cas },
    things(),
    policies(),
    { name: 'bulk', migrations },
  ];
  const made = await makeCall(t, { features });
  const troubles: unknown[] = [];
  /** A node's part in it, of which there may be several over one store. */
  const node = (store: Pick<Store, 'db' | 'write'> = made.store) => {
    const bulk = openBulk({
      ...{ store, bus: made.bus, issue, key, now: made.call.now, apiUrl: () => 'http://127.0.0.1:4566' },
      input: input ?? openInput({ folder }),
      trouble: (error) => troubles.push(error),
    });
    t.after(bulk.close);
    return bulk;
  };
  const bulk = node();
  /** Puts the file `fleet/lamps` of an account. */
  const put = async (text: string | Uint8Array, account = testAccount): Promise<string> => {
    await mkdir(join(folder, account.accountId, 'fleet'), { recursive: true });
    const path = join(folder, account.accountId, 'fleet', 'lamps');
    await writeFile(path, text);
    return path;
  };
  const start = async (call: Call = made.call, inputFileKey = 'lamps'): Promise<string> => {
    const names = { inputFileBucket: 'fleet', inputFileKey, roleArn: roleOf(call.account) };
    const { taskId } = await startTask(bulk.runner)({ templateBody, ...names }, call);
    return taskId ?? assert.fail();
  };
  /** The lines of a report, as whoever asks for its links reads it. */
  const report = async (taskId: string, reportType: ReportType, call: Call = made.call): Promise<ReportedLine[]> => {
    const { resourceLinks = [] } = await listReports(bulk)({ taskId, reportType, maxResults: 250 }, call);
    const texts: string[] = [];
    for (const link of resourceLinks) {
      const { status, body } = await bulk.answerReport(new URL(link).searchParams as ReadonlyMap<string, string>);
      assert.equal(status, 200);
      texts.push(body);
    }
    return texts
      .join('')
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line));
  };
  /** Adds a task of which nothing is done, that no runner has been told of. */
  const addTask = async (account = testAccount) => {
    const taskId = made.call.newId();
    const task = { taskId, templateBody, inputFileBucket: 'fleet', inputFileKey: 'lamps', roleArn: roleOf(account) };
    assert.ok(await made.store.write((db) => insertTask(db, account, task, made.call.now())));
    return taskId;
  };
  const work: TaskWork = {
    issue,
    input: input ?? openInput({ folder }),
    callFor: (account) => made.callAs(account),
    trouble: (error) => troubles.push(error),
    pauses: () => false,
  };
  const describe = (taskId: string, call: Call = made.call) => describeTask({ taskId }, call);
  return { ...made, bulk, node, folder, put, start, report, troubles, addTask, work, describe };
};

interface ReportedLine {
  readonly lineNumber: number;
  readonly offset: number;
  readonly errorCode?: string;
  readonly errorMessage?: string;
  readonly response?: unknown;
}

const thingNames = async (call: Call): Promise<readonly (string | undefined)[]> => {
  const names: (string | undefined)[] = [];
  let nextToken: string | undefined;
  do {
    const page = await listThings({ maxResults: 250, nextToken }, call);
    names.push(...(page.things ?? []).map(({ thingName }) => thingName));
    nextToken = page.nextToken;
  } while (nextToken !== undefined);
  return names;
};

const lamps = (count: number): string =>
  Array.from({ length: count }, (_, index) => `${JSON.stringify({ Name: `lamp-${index + 1}` })}\n`).join('');
const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

const faults = (name: FaultName, message?: RegExp) => (error: unknown) => {
  assert(error instanceof Fault, String(error));
  assert.equal(error.name, name, error.message);
  if (message) assert.match(error.message, message);
  return true;
};

test('one good and one bad line: Completed, one of each counted, each in its report (provisioning.md check 44)', async (t) => {
  const { bulk, put, start, report, describe, call } = await open(t);
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
  const { bulk, put, start, callAs, addTask } = await open(t);
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
    const { bulk, call } = await open(t);
    const names = { templateBody, inputFileBucket: 'fleet', inputFileKey: 'lamps', roleArn: roleOf(testAccount) };
    await assert.rejects(
      startTask(bulk.runner)({ ...names, ...change }, call),
      faults('InvalidRequestException', message),
    );
    assert.deepEqual(await listThingRegistrationTasks({}, call), { taskIds: [] });
  });
}

test('a file that is not there fails the task, with a sentence (spec provisioning.md 10)', async (t) => {
  const { bulk, start, describe } = await open(t);
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
  const { bulk, put, start, report, describe, call, troubles } = await open(t);
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
  const { bulk, put, start, report, describe } = await open(t);
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
  const { bulk, put, start, describe } = await open(t);
  await put('{"Name":"lamp-1","__proto__":"x","constructor":"y","toString":"z"}\n');
  const taskId = await start();
  await bulk.runner.idle();
  assert.equal((await describe(taskId)).successCount, 1);
});

test('a task is stopped after the line under way: what is done stays done, and is reported', async (t) => {
  const { put, report, describe, call, addTask, work, node, store } = await open(t);
  const taskId = await addTask();
  await put(lamps(20));
  const stop = stopTask({ wake: () => undefined });
  let units = 0;
  const write: Store['write'] = async (unit) => {
    units += 1;
    // the file is noted, five lines are done, and the sixth is prepared
    if (units === 7) {
      await stop({ taskId }, call);
      assert.equal((await describe(taskId)).status, 'Cancelling');
      await stop({ taskId }, call);
    }
    return store.write(unit);
  };
  const task = await getTask(call.db, testAccount, taskId);
  await assert.rejects(runTask({ ...work, callFor: () => ({ ...call, write }) }, task), { name: 'TaskMoved' });
  const { runner } = node();
  runner.wake();
  await runner.idle();
  const { status, successCount, failureCount, percentageProgress } = await describe(taskId);
  assert.deepEqual([status, successCount, failureCount, percentageProgress], ['Cancelled', 5, 0, 24]);
  const lines = (await report(taskId, 'RESULTS')).map(({ lineNumber }) => lineNumber);
  assert.deepEqual(lines, numbers(5));
  assert.equal((await thingNames(call)).length, 5);
  await assert.rejects(stop({ taskId }, call), faults('InvalidRequestException', /is Cancelled already/));
});

test('a task that does not exist, or is of another account or region, is found by nobody', async (t) => {
  const { bulk, addTask, callAs, call } = await open(t);
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
  const { bulk, put, start, call, advance } = await open(t);
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

/** Breaks off around every unit that is the n-th: before it, or after it is durable, as the answer of a server may be lost. */
const breaking = (store: Store, every: number): Pick<Store, 'db' | 'write'> => {
  let units = 0;
  const stores: Pick<Store, 'db' | 'write'> = {
    db: store.db,
    async write(unit) {
      units += 1;
      if (units % every === 0 && units % (2 * every) !== 0) throw new StoreUnavailable('broken before');
      const written = await store.write(unit);
      if (units % (2 * every) === 0) throw new StoreUnavailable('broken after');
      return written;
    },
  };
  return stores;
};

test('a store that breaks off before or after any unit: each line is done once, counted once, reported once', async (t) => {
  const { node, store, put, report, describe, addTask, call, advance, troubles } = await open(t);
  const good = Array.from({ length: 40 }, (_, i) => (i % 4 === 3 ? `{"Name":${i}}\n` : `{"Name":"lamp-${i}"}\n`));
  await put(good.join(''));
  const taskId = await addTask();
  const { runner } = node(breaking(store, 3));
  for (let turns = 0; turns < 100 && (await describe(taskId)).status === 'InProgress'; turns++) {
    await runner.turn(call.now());
    await runner.idle();
    advance(10_000);
  }
  const { status, successCount, failureCount } = await describe(taskId);
  assert.deepEqual([status, successCount, failureCount], ['Completed', 30, 10]);
  const [results, errors] = [await report(taskId, 'RESULTS'), await report(taskId, 'ERRORS')];
  const lines = [...results, ...errors].map(({ lineNumber }) => lineNumber).sort((a, b) => a - b);
  assert.deepEqual(lines, numbers(40));
  assert.equal((await thingNames(call)).length, 30);
  assert.ok(troubles.length > 10 && troubles.every((error) => error instanceof StoreUnavailable));
});

test('two nodes at one task do each line once', async (t) => {
  const { put, report, describe, addTask, call, work, node } = await open(t);
  await put(lamps(60));
  const taskId = await addTask();
  // both know the file by then
  await runTask({ ...work, pauses: () => true }, await getTask(call.db, testAccount, taskId));
  const task = await getTask(call.db, testAccount, taskId);
  const ends = await Promise.allSettled([runTask(work, task), runTask(work, task)]);
  const names = ends.map((end) => (end.status === 'fulfilled' ? end.value : (end.reason as Error).name));
  assert.deepEqual(names.toSorted(), ['TaskMoved', 'ended']);
  const whole = async (id: string, count: number) => {
    const { status, successCount, failureCount } = await describe(id);
    assert.deepEqual([status, successCount, failureCount], ['Completed', count, 0]);
    const lines = (await report(id, 'RESULTS')).map(({ lineNumber }) => lineNumber);
    assert.deepEqual(lines, numbers(count));
  };
  await whole(taskId, 60);
  assert.equal((await thingNames(call)).length, 60);
  await put(lamps(60).replaceAll('lamp', 'bulb'));
  const another = await addTask();
  const nodes = [node(), node()];
  for (const { runner } of nodes) runner.wake();
  for (const { runner } of nodes) await runner.idle();
  await whole(another, 60);
});

test('a task whose lines are all done is Completed, though its file is gone', async (t) => {
  const { put, describe, addTask, call, work, node, store, folder } = await open(t);
  await put(lamps(3));
  const taskId = await addTask();
  let units = 0;
  const write: Store['write'] = async (unit) => {
    // after the file is noted and three lines are done
    units += 1;
    if (units > 4) throw new StoreUnavailable('broken');
    return store.write(unit);
  };
  const task = await getTask(call.db, testAccount, taskId);
  const callFor = () => ({ ...call, write });
  await assert.rejects(runTask({ ...work, callFor }, task), StoreUnavailable);
  assert.deepEqual([(await describe(taskId)).status, (await describe(taskId)).percentageProgress], ['InProgress', 99]);
  await rm(join(folder, testAccount.accountId), { recursive: true });
  const { runner } = node();
  runner.wake();
  await runner.idle();
  const { status, successCount } = await describe(taskId);
  assert.deepEqual([status, successCount], ['Completed', 3]);
});

test('tasks of more accounts than are worked at at once all come to their end', async (t) => {
  const { node, put, addTask, callAs, describe } = await open(t);
  const accounts = Array.from(
    { length: 9 },
    (_, i): AccountRegion => ({ ...testAccount, accountId: `${100000000000 + i}` }),
  );
  const tasks: [account: AccountRegion, taskId: string][] = [];
  for (const account of accounts) {
    await put(lamps(5), account);
    tasks.push([account, await addTask(account)]);
  }
  const { runner } = node();
  runner.wake();
  await runner.idle();
  for (const [account, taskId] of tasks) {
    const { status, successCount } = await describe(taskId, callAs(account));
    assert.deepEqual([status, successCount], ['Completed', 5]);
  }
});

test('a task that pauses among blank lines goes on behind them', async (t) => {
  const { put, addTask, call, work } = await open(t);
  const taskId = await addTask();
  await put(`${'\n'.repeat(12)}{"Name":"lamp-1"}\n`);
  const positions: number[] = [];
  for (let ended = false; !ended; ) {
    const task = await getTask(call.db, testAccount, taskId);
    positions.push(task.progress.position);
    assert.ok(positions.length < 20, `${positions}`);
    let asked = 0;
    ended = (await runTask({ ...work, pauses: () => ++asked > 4 }, task)) === 'ended';
  }
  const { progress, status } = await getTask(call.db, testAccount, taskId);
  assert.deepEqual([status, progress.successCount, progress.lineNumber], ['Completed', 1, 13]);
  assert.deepEqual(
    positions,
    [...positions].sort((a, b) => a - b),
  );
  assert.ok(positions.length > 2);
});

test('a long stretch of blank lines is told of, window by window', async (t) => {
  const { put, addTask, call, work } = await open(t);
  const taskId = await addTask();
  await put(`${' '.repeat(1023)}\n`.repeat((2 * windowBytes) / 1024 + 1));
  const task = await getTask(call.db, testAccount, taskId);
  assert.equal(await runTask(work, task), 'ended');
  const { progress } = await getTask(call.db, testAccount, taskId);
  assert.equal(progress.position, 2 * windowBytes);
  assert.deepEqual([progress.successCount, progress.failureCount], [0, 0]);
});

test('a file that changes fails the task, whose done lines stay done', async (t) => {
  const { put, addTask, call, describe, work, report, node } = await open(t);
  const taskId = await addTask();
  const path = await put(lamps(10));
  let asked = 0;
  const task = await getTask(call.db, testAccount, taskId);
  assert.equal(await runTask({ ...work, pauses: () => ++asked > 3 }, task), 'paused');
  await appendFile(path, lamps(20));
  const { runner } = node();
  runner.wake();
  await runner.idle();
  const { status, message, successCount } = await describe(taskId);
  assert.deepEqual([status, successCount], ['Failed', 3]);
  assert.match(message ?? '', /was changed while the task read it/);
  assert.equal((await report(taskId, 'RESULTS')).length, 3);
});

/** A file of lamps that cannot be read beyond its third line while `isBroken`. */
const fragile = (count: number) => {
  const state = { isBroken: true, opened: 0 };
  const bytes = Buffer.from(lamps(count));
  const third = Buffer.byteLength(lamps(3));
  const input: BulkInput = {
    async open() {
      state.opened += 1;
      return {
        bytes: bytes.length,
        version: 'v',
        async readAt(offset) {
          if (!state.isBroken) return bytes.subarray(offset);
          if (offset >= third) throw new InputProblem('The endpoint is away.', { passing: true });
          return bytes.subarray(offset, third);
        },
        close: async () => undefined,
      };
    },
    close: () => undefined,
  };
  return { input, state };
};

test('a file that cannot be read for a while is read on when it can', async (t) => {
  const { input, state } = fragile(6);
  const { bulk, start, describe, call, advance, report } = await open(t, { input });
  const taskId = await start();
  await bulk.runner.idle();
  for (let turns = 0; turns < 3; turns++) {
    const { status, successCount, percentageProgress } = await describe(taskId);
    assert.deepEqual([status, successCount, percentageProgress], ['InProgress', 3, 50]);
    await bulk.runner.turn(call.now());
    await bulk.runner.idle();
    assert.equal(state.opened, turns + 1, 'not before its time');
    advance(10_000);
    await bulk.runner.turn(call.now());
    await bulk.runner.idle();
  }
  state.isBroken = false;
  advance(10_000);
  await bulk.runner.turn(call.now());
  await bulk.runner.idle();
  const { status, successCount, message } = await describe(taskId);
  assert.deepEqual([status, successCount, message], ['Completed', 6, undefined]);
  assert.deepEqual(
    (await report(taskId, 'RESULTS')).map(({ lineNumber }) => lineNumber),
    numbers(6),
  );
});

test('a file that cannot be read five times in a row fails its task', async (t) => {
  const { input, state } = fragile(6);
  const { bulk, start, describe, call, advance } = await open(t, { input });
  const taskId = await start();
  await bulk.runner.idle();
  for (let turns = 0; turns < 10; turns++) {
    advance(10_000);
    await bulk.runner.turn(call.now());
    await bulk.runner.idle();
  }
  const { status, successCount, message } = await describe(taskId);
  assert.deepEqual([status, successCount, message], ['Failed', 3, 'The endpoint is away.']);
  assert.equal(state.opened, 5);
});

test('a file beyond the bound is not begun', async (t) => {
  const longer: BulkInput = {
    open: async () => ({
      bytes: fileBytesMax + 1,
      version: 'v',
      readAt: () => assert.fail('nothing of it is read'),
      close: async () => undefined,
    }),
    close: () => undefined,
  };
  const { bulk, start, describe } = await open(t, { input: longer });
  const taskId = await start();
  await bulk.runner.idle();
  const { status, message } = await describe(taskId);
  assert.deepEqual([status, message], ['Failed', 'The input file is longer than 1 GB.']);
});

test('a task whose reports are full fails and says how far it came', async (t) => {
  const { put, addTask, call, describe, work, report } = await open(t);
  const taskId = await addTask();
  await put(lamps(50));
  await runTask({ ...work, reportBytesMax: 1000 }, await getTask(call.db, testAccount, taskId));
  const { status, message = '', successCount = 0 } = await describe(taskId);
  assert.equal(status, 'Failed');
  assert.match(message, new RegExp(`^The reports of the task are full\\. ${successCount} lines are done`));
  assert.equal((await report(taskId, 'RESULTS')).length, successCount);
  assert.ok(successCount > 2 && successCount < 20);
});

test('a task that has not come to its end in 30 days fails (spec provisioning.md 10)', async (t) => {
  const { put, addTask, describe, node, advance } = await open(t);
  const taskId = await addTask();
  await put(lamps(2));
  advance(taskLifetimeMs + 1);
  const { runner } = node();
  runner.wake();
  await runner.idle();
  const { status, message } = await describe(taskId);
  assert.deepEqual([status, message], ['Failed', 'The task has not ended within 30 days.']);
});

const rowsOf = async ({ db }: Pick<Store, 'db'>) => ({
  tasks: (await db.selectFrom('bulk_tasks').select('task_id').execute()).map(({ task_id }) => task_id),
  lines: (await db.selectFrom('bulk_report_lines').select('task_id').execute()).map(({ task_id }) => task_id),
});

test('what ended 30 days ago is cleared away, with its reports; what ended just now is kept, however old it is', async (t) => {
  const { bulk, put, start, describe, call, advance, store, addTask, report } = await open(t);
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
  assert.equal(
    (await bulk.answerReport(new URL(link).searchParams as ReadonlyMap<string, string>)).status,
    403,
    'expired',
  );
});

test('an account has a bounded number of finished tasks and of bytes of their reports; others keep theirs', async (t) => {
  const { bulk, put, start, call, advance, store, callAs } = await open(t);
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
  const follow = async () =>
    (await bulk.answerReport(new URL(link).searchParams as ReadonlyMap<string, string>)).status;
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
  const { bulk, put, start, call, advance } = await open(t);
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
  const follow = () => bulk.answerReport(link.searchParams as ReadonlyMap<string, string>);
  advance(linkLifetimeMs - 1);
  assert.equal((await follow()).status, 200);
  advance(1);
  const { status, body } = await follow();
  assert.equal(status, 403);
  assert.doesNotMatch(body, /lamp/);
});

test('a node that closes ends after the line under way, and begins nothing more', async (t) => {
  const { node, put, describe, addTask, troubles } = await open(t);
  await put(lamps(500));
  const taskId = await addTask();
  const bulk = node();
  bulk.runner.wake();
  while ((await describe(taskId)).successCount === 0) await new Promise(setImmediate);
  await bulk.close();
  const { successCount, status } = await describe(taskId);
  bulk.runner.wake();
  await bulk.runner.turn(0);
  await bulk.runner.idle();
  assert.equal((await describe(taskId)).successCount, successCount);
  assert.equal(status, 'InProgress');
  assert.deepEqual(troubles, []);
});
