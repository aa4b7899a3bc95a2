/** The one stream of writes: its order, its groups, and whose failure is whose. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { type Statement, StoreUnavailable } from '../store/store.ts';
import { Appends, pendingBytesMax, statementsPerGroupMax } from './appends.ts';

const statement = (sql: string): Statement => ({ sql, parameters: [] });

/** A store that takes a turn per append, refuses statements named `bad`, and fails altogether when told. */
const createStore = () => {
  const groups: string[][] = [];
  const store = {
    groups,
    down: false,
    async append(statements: readonly Statement[]): Promise<void> {
      await turn();
      if (store.down) throw new StoreUnavailable('down');
      const texts = statements.map(({ sql }) => sql);
      if (texts.includes('bad')) throw new Error('bad');
      groups.push(texts);
    },
  };
  return store;
};

test('what is asked for while a group is under way goes into the next one, in order', async () => {
  const store = createStore();
  const appends = new Appends(store);
  const done = [appends.append([statement('1')]), appends.append([statement('2'), statement('3')])];
  await Promise.resolve().then(() => {});
  done.push(appends.append([statement('4')]), appends.append([statement('5')]));
  await Promise.all(done);
  assert.deepEqual(store.groups, [
    ['1', '2', '3'],
    ['4', '5'],
  ]);
});

test('a group has at most statementsPerGroupMax statements, unless one caller asks for more', async () => {
  const store = createStore();
  const appends = new Appends(store);
  const many = (count: number): Statement[] => Array.from({ length: count }, () => statement('x'));
  await Promise.all([
    appends.append(many(statementsPerGroupMax + 1)),
    appends.append(many(600)),
    appends.append(many(600)),
  ]);
  assert.deepEqual(
    store.groups.map(({ length }) => length),
    [statementsPerGroupMax + 1, 600, 600],
  );
});

test('a statement at fault is its caller’s alone, and the order of the others stays', async () => {
  const store = createStore();
  const appends = new Appends(store);
  const outcomes = await Promise.allSettled(
    ['1', '2', 'bad', '4', '5'].map((each) => appends.append([statement(each)])),
  );
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['fulfilled', 'fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
  );
  assert.deepEqual(store.groups.flat(), ['1', '2', '4', '5']);
});

test('when the store cannot serve, everybody of the group is told, and the next group is tried', async () => {
  const store = createStore();
  const appends = new Appends(store);
  store.down = true;
  const outcomes = await Promise.allSettled([appends.append([statement('1')]), appends.append([statement('2')])]);
  assert.ok(outcomes.every((each) => each.status === 'rejected' && each.reason instanceof StoreUnavailable));
  store.down = false;
  await appends.append([statement('3')]);
  assert.deepEqual(store.groups, [['3']]);
});

test('it is full beyond pendingBytesMax and until what waits is written; drained resolves then', async () => {
  const store = createStore();
  const appends = new Appends(store);
  const done = appends.append([statement('1')], pendingBytesMax);
  assert.equal(appends.isFull, false);
  void appends.append([statement('2')], 1);
  assert.equal(appends.isFull, true);
  await appends.drained();
  assert.equal(appends.isFull, false);
  await done;
  await appends.drained();
});
