import assert from 'node:assert/strict';
import { appendFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { faults, lamps, numbers, openBulkBed, thingNames } from '../../../test/bulk-bed.ts';
import { testAccount } from '../../../test/call.ts';
import type { AccountRegion } from '../../aws/arn.ts';
import { type Store, StoreUnavailable } from '../../store/store.ts';
import { type BulkInput, fileBytesMax, InputProblem, windowBytes } from './bulk-input.ts';
import { getTask } from './bulk-task.ts';
import { stopTask } from './operations.ts';
import { runTask } from './run-task.ts';
import { taskLifetimeMs } from './task-retention.ts';

test('a task is stopped after the line under way: what is done stays done, and is reported', async (t) => {
  const { put, report, describe, call, addTask, work, node, store } = await openBulkBed(t);
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
  const { node, store, put, report, describe, addTask, call, advance, troubles } = await openBulkBed(t);
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
  const { put, report, describe, addTask, call, work, node } = await openBulkBed(t);
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
  const { put, describe, addTask, call, work, node, store, folder } = await openBulkBed(t);
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
  const { node, put, addTask, callAs, describe } = await openBulkBed(t);
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
  const { put, addTask, call, work } = await openBulkBed(t);
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
  const { put, addTask, call, work } = await openBulkBed(t);
  const taskId = await addTask();
  await put(`${' '.repeat(1023)}\n`.repeat((2 * windowBytes) / 1024 + 1));
  const task = await getTask(call.db, testAccount, taskId);
  assert.equal(await runTask(work, task), 'ended');
  const { progress } = await getTask(call.db, testAccount, taskId);
  assert.equal(progress.position, 2 * windowBytes);
  assert.deepEqual([progress.successCount, progress.failureCount], [0, 0]);
});

test('a file that changes fails the task, whose done lines stay done', async (t) => {
  const { put, addTask, call, describe, work, report, node } = await openBulkBed(t);
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
  const { bulk, start, describe, call, advance, report } = await openBulkBed(t, { input });
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
  const { bulk, start, describe, call, advance } = await openBulkBed(t, { input });
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
  const { bulk, start, describe } = await openBulkBed(t, { input: longer });
  const taskId = await start();
  await bulk.runner.idle();
  const { status, message } = await describe(taskId);
  assert.deepEqual([status, message], ['Failed', 'The input file is longer than 1 GB.']);
});

test('a task whose reports are full fails and says how far it came', async (t) => {
  const { put, addTask, call, describe, work, report } = await openBulkBed(t);
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
  const { put, addTask, describe, node, advance } = await openBulkBed(t);
  const taskId = await addTask();
  await put(lamps(2));
  advance(taskLifetimeMs + 1);
  const { runner } = node();
  runner.wake();
  await runner.idle();
  const { status, message } = await describe(taskId);
  assert.deepEqual([status, message], ['Failed', 'The task has not ended within 30 days.']);
});

test('a node that closes ends after the line under way, and begins nothing more', async (t) => {
  const { node, put, describe, addTask, troubles } = await openBulkBed(t);
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
