import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FunctionFailure } from './failure.ts';
import { createGate } from './gate.ts';

const bounds = { runningMax: 3, runningPerAccountMax: 2, waitingMax: 3, waitingPerAccountMax: 2 };
const isBusy = (error: unknown): boolean => error instanceof FunctionFailure && error.kind === 'busy';
/** Lets all promises that can settle do so. */
const turn = () => new Promise(setImmediate);

test('an account that has its places filled waits, while another one enters', async () => {
  const gate = createGate(bounds);
  const leave = await gate.enter('a', 1000);
  await gate.enter('a', 1000);
  const order: string[] = [];
  const third = gate.enter('a', 1000).then(() => order.push('a'));
  await gate.enter('b', 1000).then(() => order.push('b'));
  await turn();
  assert.deepEqual(order, ['b']);
  leave();
  await third;
  assert.deepEqual(order, ['b', 'a']);
});

test('places are given in the order of coming, past whoever may have no more', async () => {
  const gate = createGate(bounds);
  const [one, , other] = [await gate.enter('a', 1000), await gate.enter('a', 1000), await gate.enter('b', 1000)];
  const order: string[] = [];
  const waits = ['a', 'b', 'c'].map((account) => gate.enter(account, 1000).then(() => order.push(account)));
  other();
  await turn();
  assert.deepEqual(order, ['b']);
  other(); // a second time gives nothing back
  await turn();
  assert.deepEqual(order, ['b']);
  one();
  await waits[0];
  assert.deepEqual(order, ['b', 'a']);
  gate.close();
  await assert.rejects(Promise.all(waits), isBusy);
});

test('one more than may wait is refused at once, per account and in all', async () => {
  const gate = createGate(bounds);
  for (const account of ['a', 'a', 'b']) await gate.enter(account, 1000);
  const waits = ['a', 'a'].map((account) => gate.enter(account, 1000));
  await assert.rejects(gate.enter('a', 1000), isBusy);
  waits.push(gate.enter('b', 1000));
  await assert.rejects(gate.enter('c', 1000), isBusy);
  gate.close();
  for (const wait of waits) await assert.rejects(wait, isBusy);
  await assert.rejects(gate.enter('d', 1000), isBusy);
});

test('who waits too long is refused, and leaves the line', async () => {
  const gate = createGate({ ...bounds, waitingMax: 1 });
  const leave = await gate.enter('a', 1000);
  await gate.enter('a', 1000);
  await assert.rejects(gate.enter('a', 5), isBusy);
  const next = gate.enter('a', 1000);
  leave();
  await next;
});
