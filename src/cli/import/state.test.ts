import assert from 'node:assert/strict';
import { appendFile, mkdtemp, readdir, readFile, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { CommandProblem } from '../io.ts';
import { firstMark, type Mark, openState } from './state.ts';

const fresh = async (t: TestContext) => {
  const folder = await mkdtemp(join(tmpdir(), 'fleetgate-state-'));
  t.after(() => rm(folder, { recursive: true }));
  return { folder, path: join(folder, 'x.import-state') };
};
const mark = (offset: number): Mark => ({
  next: { offset, line: offset + 1 },
  registered: offset,
  already: 0,
  refused: 0,
  reportBytes: 0,
});
/** What a run finds that comes after the one that is dead now. */
const found = async (path: string, identity = 'a', restart = false) => {
  const state = await openState(path, identity, restart);
  await state.close();
  return { mark: state.mark, changed: state.changed };
};

test('the last mark is found again, however often', async (t) => {
  const { folder, path } = await fresh(t);
  const state = await openState(path, 'a', false);
  assert.deepEqual(state.mark, firstMark);
  for (let offset = 1; offset <= 500; offset++) await state.save(mark(offset));
  await state.close();
  for (let run = 0; run < 3; run++) assert.deepEqual(await found(path), { mark: mark(500), changed: false });
  assert.deepEqual(await readdir(folder), ['x.import-state']);
});

test('wherever the file was cut off, the last whole mark counts', async (t) => {
  const { path } = await fresh(t);
  const state = await openState(path, 'a', false);
  await state.save(mark(1));
  const { length } = await readFile(path);
  await state.save(mark(22));
  await state.close();
  const whole = await readFile(path);
  for (let size = length; size <= whole.length; size++) {
    await writeFile(path, whole);
    await truncate(path, size);
    assert.deepEqual((await found(path)).mark, mark(size < whole.length ? 1 : 22));
  }
  await writeFile(path, whole);
  await appendFile(path, Buffer.alloc(100));
  assert.deepEqual((await found(path)).mark, mark(22), 'zeros of a crashed file system');
});

test('the state of another import, and --restart, begin anew', async (t) => {
  const { path } = await fresh(t);
  const state = await openState(path, 'a', false);
  await state.save(mark(5));
  await state.close();
  const before = await readFile(path);
  assert.deepEqual(await found(path, 'b'), { mark: firstMark, changed: true });
  await writeFile(path, before);
  assert.deepEqual(await found(path, 'a', true), { mark: firstMark, changed: false });
});

test('a file that is no state is not touched', async (t) => {
  const { path } = await fresh(t);
  for (const content of ['', 'my own notes\n', '{"fleetgate":"other"}\n', '{']) {
    await writeFile(path, content);
    await assert.rejects(
      found(path),
      (error) => error instanceof CommandProblem && /no state of an import/.test(error.message),
    );
    assert.equal(await readFile(path, 'utf8'), content);
  }
});

test('while another process imports by it, it is refused; what that process left ten minutes ago is not', async (t) => {
  const { path } = await fresh(t);
  await found(path);
  const text = await readFile(path, 'utf8');
  await writeFile(path, text.replace(/"pid":\d+/, `"pid":${process.ppid}`));
  await assert.rejects(
    found(path),
    (error) => error instanceof CommandProblem && /is importing this ledger/.test(error.message),
  );
  const longAgo = Date.now() / 1000 - 601;
  await utimes(path, longAgo, longAgo);
  assert.deepEqual((await found(path)).mark, firstMark);
});

test('a complete import leaves nothing', async (t) => {
  const { folder, path } = await fresh(t);
  const state = await openState(path, 'a', false);
  await state.remove();
  await state.close();
  assert.deepEqual(await readdir(folder), []);
});
