import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Entry, Ledger } from './entry.ts';
import type { Outcome } from './import-entry.ts';
import { type Importing, importLedger } from './import-ledger.ts';
import { firstMark, type Mark } from './state.ts';

/** An import of so many entries that keeps what it is told; `from` as an earlier run left it. */
const importing = (
  entries: number,
  carryOut: (line: number) => Promise<Outcome>,
  options: Partial<Importing> & { from?: Mark } = {},
) => {
  const saved: Mark[] = [];
  const written: number[] = [];
  let unsynced = 0;
  const seen = { read: 0, now: 0 };
  const ledger: Ledger = {
    identity: 'x',
    folder: '/',
    offsetEnd: entries,
    notes: [],
    async *entries({ offset }) {
      for (let line = offset + 1; line <= entries; line++) {
        seen.read = line;
        const entry: Entry = { line, next: { offset: line, line: line + 1 }, wanted: { certificate: `${line}.pem` } };
        yield entry;
      }
    },
    close: async () => {},
  };
  const run = importLedger({
    ledger,
    state: {
      mark: options.from ?? firstMark,
      changed: false,
      save: async (mark) => {
        assert.equal(unsynced, 0, 'what a mark counts as reported is on the disk before it');
        saved.push(mark);
      },
      remove: async () => {},
      close: async () => {},
    },
    report: {
      get bytes() {
        return written.length;
      },
      write: async ({ line }) => {
        written.push(line);
        unsynced++;
      },
      sync: async () => {
        unsynced = 0;
      },
      causes: async () => [],
      close: async () => {},
    },
    concurrency: 4,
    carryOut: ({ line }) => carryOut(line),
    settled: () => {},
    // every look at the clock is a second later: everything is saved at once
    now: () => (seen.now += 1000),
    ...options,
  });
  return { run, saved, written, seen };
};

const registered: Outcome = { kind: 'registered' };
const refused: Outcome = { kind: 'refused', message: 'no' };
const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

test('entries run several at a time, never more, and are settled in the order of the ledger', async () => {
  let underWay = 0;
  let most = 0;
  const { run, saved, written } = importing(100, async (line) => {
    most = Math.max(most, ++underWay);
    for (let turns = line % 7; turns > 0; turns--) await nextTurn();
    underWay--;
    return line % 10 === 0 ? refused : registered;
  });
  const last = await run;
  assert.deepEqual(last, {
    next: { offset: 100, line: 101 },
    registered: 90,
    already: 0,
    refused: 10,
    reportBytes: 10,
  });
  assert.equal(most, 4);
  assert.deepEqual(written, [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
  assert.deepEqual(
    saved.map(({ next }) => next.offset),
    [...Array(100).keys(), 99].map((index) => index + 1),
  );
  for (const mark of saved) assert.equal(mark.reportBytes, Math.floor(mark.next.offset / 10), 'report and mark agree');
});

test('it goes on behind the mark, and adds to its counts', async () => {
  const done: number[] = [];
  const from = { next: { offset: 7, line: 8 }, registered: 5, already: 1, refused: 1, reportBytes: 0 };
  const { run } = importing(
    10,
    async (line) => {
      done.push(line);
      return { kind: 'already' };
    },
    { from },
  );
  assert.deepEqual(await run, {
    next: { offset: 10, line: 11 },
    registered: 5,
    already: 4,
    refused: 1,
    reportBytes: 0,
  });
  assert.deepEqual(done, [8, 9, 10]);
});

test('nothing behind an entry that is not done is marked, and reading waits for it', async () => {
  let release = (_: Outcome): void => {};
  const held = new Promise<Outcome>((resolve) => {
    release = resolve;
  });
  const { run, saved, seen } = importing(1000, async (line) => (line === 3 ? held : registered));
  for (let turns = 0; turns < 200; turns++) await nextTurn();
  assert.equal(saved.at(-1)?.next.offset, 2);
  assert.equal(seen.read, 3 + 4 * 8, 'eight for each slot are read ahead');
  release(registered);
  assert.equal((await run).registered, 1000);
});

test('a server that cannot be used ends it, with what was done before marked, and begins nothing more', async () => {
  const begun: number[] = [];
  const problem = new Error('gone');
  const { run, saved } = importing(1000, async (line) => {
    begun.push(line);
    if (line === 20) throw problem;
    for (let turns = line % 3; turns > 0; turns--) await nextTurn();
    return registered;
  });
  await assert.rejects(run, problem);
  assert.equal(saved.at(-1)?.next.offset, 19);
  for (let turns = 0; turns < 100; turns++) await nextTurn();
  assert.ok(begun.length < 30, `${begun.length} were begun`);
});
