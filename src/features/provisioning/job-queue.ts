/**
 * Work that goes on when the connection that asked for it is closed. It is bounded, and lives in memory alone: what is not taken, or is lost with the node, is
 * asked for again when its device comes again.
 */

/** Jobs under way at once. They mostly wait for the store. */
export const jobsAtOnceMax = 8;
/** Jobs that wait or are under way, of all accounts; one more is not taken. */
export const jobsMax = 10_000;
/** The same of one account, so that none can keep the others out. */
export const jobsPerAccountMax = 2_000;

/** `taken`: also when the same is waiting or under way already. */
export type Taken = 'taken' | 'full';

export interface JobQueue {
  /** `run` is called once for all who ask with the same key until it has ended. It must not reject. */
  add(job: { readonly account: string; readonly key: string; run(): Promise<void> }): Taken;
  /** Waiting or under way. */
  readonly size: number;
  /** Resolves when nothing waits or is under way. */
  idle(): Promise<void>;
  /** Begins nothing more and resolves when what is under way has ended. */
  close(): Promise<void>;
}

export const createJobQueue = (): JobQueue => {
  const keys = new Set<string>();
  const perAccount = new Map<string, number>();
  /** First come, first served. */
  const waiting = new Set<Parameters<JobQueue['add']>[0]>();
  const running = new Set<Promise<void>>();
  let isClosed = false;

  const count = (account: string, difference: number): void => {
    const sum = (perAccount.get(account) ?? 0) + difference;
    if (sum === 0) perAccount.delete(account);
    else perAccount.set(account, sum);
  };

  const proceed = (): void => {
    for (const job of waiting) {
      if (running.size >= jobsAtOnceMax || isClosed) return;
      waiting.delete(job);
      const work = job.run().finally(() => {
        running.delete(work);
        keys.delete(job.key);
        count(job.account, -1);
        proceed();
      });
      running.add(work);
    }
  };

  const settled = async (): Promise<void> => {
    while (running.size > 0) await Promise.all(running);
  };

  return {
    add(job) {
      if (keys.has(job.key)) return 'taken';
      const full = keys.size >= jobsMax || (perAccount.get(job.account) ?? 0) >= jobsPerAccountMax;
      if (full || isClosed) return 'full';
      keys.add(job.key);
      count(job.account, 1);
      waiting.add(job);
      proceed();
      return 'taken';
    },
    get size() {
      return keys.size;
    },
    idle: settled,
    async close() {
      isClosed = true;
      await settled();
    },
  };
};
