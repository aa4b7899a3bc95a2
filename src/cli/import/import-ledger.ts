/**
 * The work of an import: entries are read in order, carried out several at a time, and settled in order again, so that one mark says all: whatever stands
 * before it is done, whatever stands behind it may be done once more.
 */
import type { Entry, Ledger } from './entry.ts';
import type { Outcome } from './import-entry.ts';
import type { Report } from './report.ts';
import type { Mark, State } from './state.ts';

/** Entries read ahead, for each that is under way: a slow one does not hold up its neighbours at once. */
const aheadPerSlot = 8;
/** How much work may have to be done again after a crash. */
const saveMs = 200;

export interface Importing {
  readonly ledger: Ledger;
  readonly state: State;
  readonly report: Report;
  /** Entries under way at once. */
  readonly concurrency: number;
  carryOut(entry: Entry): Promise<Outcome>;
  settled(mark: Mark): void;
  now(): number;
}

/** Lets at most `max` run at once; the others wait, in their order. */
const slots = (max: number) => {
  let free = max;
  const waiting: (() => void)[] = [];
  return async <Result>(work: () => Promise<Result>): Promise<Result> => {
    if (free > 0) free--;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else free++;
    }
  };
};

interface UnderWay {
  readonly entry: Entry;
  /** Never rejects: nobody may be waiting yet. */
  readonly outcome: Promise<Outcome | { readonly error: unknown }>;
}

/**
 * Imports from the state's mark to the end of the ledger; answers the last mark, which is saved.
 * Whatever `carryOut` throws ends the import, after what was settled before it has been marked.
 */
export const importLedger = async (importing: Importing): Promise<Mark> => {
  const { ledger, state, report, concurrency, now } = importing;
  const inSlot = slots(concurrency);
  const queue: UnderWay[] = [];
  let mark = state.mark;
  let savedMs = now();
  let failure: { readonly error: unknown } | undefined;

  const save = async (): Promise<void> => {
    savedMs = now();
    await report.sync();
    await state.save(mark);
  };

  const begin = (entry: Entry): UnderWay => ({
    entry,
    outcome: inSlot(() => {
      if (failure) throw failure.error;
      return importing.carryOut(entry);
    }).catch((error: unknown) => {
      failure ??= { error };
      return failure;
    }),
  });

  const settle = async ({ entry, outcome }: UnderWay): Promise<void> => {
    const done = await outcome;
    if ('error' in done) throw done.error;
    if (done.kind === 'refused') await report.write(entry, done);
    mark = { ...mark, next: entry.next, [done.kind]: mark[done.kind] + 1, reportBytes: report.bytes };
    importing.settled(mark);
    if (now() - savedMs >= saveMs) await save();
  };

  try {
    for await (const entry of ledger.entries(mark.next)) {
      queue.push(begin(entry));
      const first = queue.length > concurrency * aheadPerSlot ? queue.shift() : undefined;
      if (first) await settle(first);
    }
    for (let first = queue.shift(); first; first = queue.shift()) await settle(first);
  } finally {
    failure ??= { error: undefined };
    await save();
  }
  return mark;
};
