/** Periodic work: one node at a time, by the node's clock, through failures and dead nodes. Source: the contract of `Task`. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { stores, type TestStore } from '../test/stores.ts';
import type { Task } from './feature.ts';
import { migrate } from './store/migrate.ts';
import { firstLookMs, leaseMs, migrations, startTasks } from './tasks.ts';

const startMs = 1_700_000_000_000;
const everyMs = 3_600_000;

for (const [engine, open] of stores) {
  const bed = async (t: TestContext) => {
    const store = await open(t);
    await migrate(store, migrations);
    const clock = { nowMs: startMs };
    const failures: [name: string, error: unknown][] = [];
    let ids = 0;
    const runner = (tasks: readonly Task[], over: Pick<TestStore, 'db' | 'write'> = store) => {
      const started = startTasks({
        store: over,
        tasks,
        now: () => clock.nowMs,
        newId: () => `node-${++ids}`,
        failed: (name, error) => failures.push([name, error]),
      });
      t.after(() => started.close(0));
      return started;
    };
    const row = async () => ({ ...(await store.db.selectFrom('task_leases').selectAll().executeTakeFirstOrThrow()) });
    return { store, clock, failures, runner, row };
  };

  test(`${engine}: a task runs once per period, with the time of the node's clock`, async (t) => {
    const { clock, runner, row } = await bed(t);
    const runs: number[] = [];
    const { turn } = runner([{ name: 'sweep', everyMs, run: async (nowMs) => void runs.push(nowMs) }]);
    await turn();
    assert.deepEqual(runs, [], 'not within the first moments of a node');
    clock.nowMs += firstLookMs;
    await turn();
    await turn();
    assert.deepEqual(runs, [startMs + firstLookMs]);
    assert.deepEqual(await row(), {
      task_name: 'sweep',
      holder_id: '',
      leased_until_ms: 0,
      due_at_ms: startMs + firstLookMs + everyMs,
    });
    clock.nowMs += everyMs - 1;
    await turn();
    assert.equal(runs.length, 1);
    clock.nowMs += 1;
    await turn();
    assert.deepEqual(runs, [startMs + firstLookMs, startMs + firstLookMs + everyMs]);
  });

  test(`${engine}: of two nodes over one store only one runs a task per period`, async (t) => {
    const { store, clock, runner } = await bed(t);
    const other = engine === 'sqlite' ? store : await store.reopen(); // a file has one process
    const runs: string[] = [];
    const task = (by: string): Task => ({ name: 'sweep', everyMs, run: async () => void runs.push(by) });
    const a = runner([task('a')]);
    const b = runner([task('b')], other);
    for (let period = 0; period < 3; period++) {
      clock.nowMs += everyMs;
      await Promise.all([a.turn(), b.turn()]);
      assert.equal(runs.length, period + 1, runs.join());
    }
  });

  test(`${engine}: a node that takes long keeps its lease, and others leave the task alone meanwhile`, async (t) => {
    const { clock, runner, row } = await bed(t);
    const runs: string[] = [];
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const slow = runner([
      {
        name: 'sweep',
        everyMs: 1000,
        async run() {
          runs.push('slow');
          begun.resolve();
          await gate.promise;
        },
      },
    ]);
    clock.nowMs += 1000;
    const turn = slow.turn();
    await begun.promise;
    const first = (await row()).leased_until_ms;
    assert.equal(first, clock.nowMs + leaseMs);
    clock.nowMs += leaseMs / 3;
    const next = slow.turn();
    while ((await row()).leased_until_ms === first) await setImmediate();
    const other = runner([{ name: 'sweep', everyMs: 1000, run: async () => void runs.push('other') }]);
    clock.nowMs = first;
    await other.turn();
    assert.deepEqual(runs, ['slow'], 'the lease was renewed, so it is not over at its first end');
    assert.equal((await row()).leased_until_ms, startMs + 1000 + leaseMs / 3 + leaseMs);
    gate.resolve();
    await Promise.all([turn, next]);
    assert.equal((await row()).holder_id, '');
  });

  test(`${engine}: the lease of a node that died in the middle of a run expires, and another runs the task`, async (t) => {
    const { clock, runner } = await bed(t);
    const runs: string[] = [];
    const begun = Promise.withResolvers<void>();
    const dead = runner([
      {
        name: 'sweep',
        everyMs,
        async run() {
          runs.push('dead');
          begun.resolve();
          await new Promise(() => {});
        },
      },
    ]);
    clock.nowMs += firstLookMs;
    void dead.turn();
    await begun.promise;
    await dead.close(0);
    const heir = runner([{ name: 'sweep', everyMs, run: async () => void runs.push('heir') }]);
    clock.nowMs += leaseMs - 1;
    await heir.turn();
    assert.deepEqual(runs, ['dead']);
    clock.nowMs += 1;
    await heir.turn();
    assert.deepEqual(runs, ['dead', 'heir'], 'at the end of the lease, without waiting for another period');
  });

  test(`${engine}: what fails is told and tried again at the next turn; other tasks run on`, async (t) => {
    const { clock, failures, runner } = await bed(t);
    let runs = 0;
    let others = 0;
    const { turn } = runner([
      {
        name: 'faulty',
        everyMs,
        async run() {
          if (++runs === 1) throw new Error('not today');
        },
      },
      { name: 'sound', everyMs, run: async () => void others++ },
    ]);
    clock.nowMs += firstLookMs;
    await turn();
    assert.deepEqual(
      failures.map(([name, error]) => [name, String(error)]),
      [['faulty', 'Error: not today']],
    );
    clock.nowMs += everyMs;
    await turn();
    assert.deepEqual([runs, others, failures.length], [2, 2, 1]);
  });

  test(`${engine}: a store that cannot be written costs one turn and is told`, async (t) => {
    const { store, clock, failures, runner } = await bed(t);
    let broken = true;
    let runs = 0;
    const { turn } = runner([{ name: 'sweep', everyMs, run: async () => void runs++ }], {
      db: store.db,
      write: (unit) => (broken ? Promise.reject(new Error('disk full')) : store.write(unit)),
    });
    clock.nowMs += firstLookMs;
    await turn();
    assert.deepEqual([runs, failures.length], [0, 1]);
    broken = false;
    clock.nowMs += everyMs;
    await turn();
    assert.deepEqual([runs, failures.length], [1, 1]);
  });

  test(`${engine}: a clock that was set back does not stop a task for good`, async (t) => {
    const { clock, runner } = await bed(t);
    let runs = 0;
    const task: Task = { name: 'sweep', everyMs, run: async () => void runs++ };
    clock.nowMs += 365 * 86_400_000;
    const ahead = runner([task]);
    clock.nowMs += firstLookMs;
    await ahead.turn();
    await ahead.close(0);
    clock.nowMs = startMs;
    const behind = runner([task]);
    clock.nowMs += firstLookMs;
    await behind.turn();
    assert.equal(runs, 2);
  });
}

const [, openAny] = stores[0]!;

test('closing waits for the run under way, and begins nothing any more', async (t) => {
  const store = await openAny(t);
  await migrate(store, migrations);
  const clock = { nowMs: startMs };
  const begun = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  let ended = 0;
  const { turn, close } = startTasks({
    store,
    tasks: [
      {
        name: 'sweep',
        everyMs,
        async run() {
          begun.resolve();
          await gate.promise;
          ended++;
        },
      },
    ],
    now: () => clock.nowMs,
    newId: () => 'node',
    failed: (_, error) => assert.fail(String(error)),
  });
  clock.nowMs += everyMs;
  void turn();
  await begun.promise;
  const closing = close(60_000);
  gate.resolve();
  await closing;
  assert.equal(ended, 1);
  assert.equal((await store.db.selectFrom('task_leases').select('holder_id').executeTakeFirstOrThrow()).holder_id, '');
  clock.nowMs += everyMs;
  await turn();
  assert.equal(ended, 1);
});

test('two tasks of one name are refused at boot', async (t) => {
  const store = await openAny(t);
  const task: Task = { name: 'sweep', everyMs, run: async () => {} };
  assert.throws(
    () => startTasks({ store, tasks: [task, task], now: Date.now, newId: () => 'node', failed: () => {} }),
    /^Error: Two tasks are named sweep$/,
  );
});
