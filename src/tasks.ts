/**
 * The task runner: periodic work of all slices and of the node, one node at a time, by the node's clock. A task has one row in the store: when it is
 * due, and who has the lease to run it until when. Whoever wins the lease runs the task, renews the lease while it lasts, and states when it
 * is due next; a lease that is no longer renewed expires, so that work goes on when its node has died. Tasks must bear being cut off and run
 * again: nothing stops a run that lost its lease.
 */
import type { Task } from './feature.ts';
import type { Migration } from './store/migrate.ts';
import type { Store } from './store/store.ts';

interface TaskLeasesTable {
  task_name: string;
  /** Of the runner that holds the lease; '' = nobody. */
  holder_id: string;
  leased_until_ms: number;
  due_at_ms: number;
}
declare module './store/tables.ts' {
  interface Tables {
    task_leases: TaskLeasesTable;
  }
}

export const migrations: readonly Migration[] = [
  {
    name: 'tasks-0001',
    sql: [
      `create table task_leases (
        task_name text not null primary key,
        holder_id text not null,
        leased_until_ms bigint not null,
        due_at_ms bigint not null
      )`,
    ],
  },
];

/** How long a lease lasts when it is not renewed; it is renewed when a third of it is gone. */
export const leaseMs = 60_000;
/** How often a node looks whether something is due. */
const tickMs = 1000;
/** After a start nothing is looked at for this long: a node that lives for moments only does no house-keeping. */
export const firstLookMs = 10_000;

export interface TaskRunnerOptions {
  /** A store in which `migrations` have run. */
  readonly store: Pick<Store, 'db' | 'write'>;
  readonly tasks: readonly Task[];
  /** Milliseconds by the node's clock. */
  now(): number;
  /** A fresh identifier: names this runner in the leases. */
  newId(): string;
  /** A run, or the look at its lease, failed; it is tried again at the next turn. For the log. */
  failed(taskName: string, error: unknown): void;
}

export interface TaskRunner {
  /** Renews leases, runs what is due by now, and resolves when it is done. It also happens by itself every second. */
  turn(): Promise<void>;
  /** Begins nothing any more and waits for runs under way, for at most `graceMs`. The lease of one that is cut off expires by itself. */
  close(graceMs: number): Promise<void>;
}

/** One task as this node sees it. */
interface Slot {
  readonly task: Task;
  /** Before that there is nothing to look at in the store. */
  lookAtMs: number;
  /** Set while this node holds the lease. */
  renewAtMs: number | undefined;
  /** Looks and runs, one after the other. */
  work: Promise<void>;
  busy: boolean;
}

/** Names the first task that is there twice. */
const checkNames = (tasks: readonly Task[]): void => {
  const names = new Set<string>();
  for (const { name } of tasks) {
    if (names.has(name)) throw new Error(`Two tasks are named ${name}`);
    names.add(name);
  }
};

/**
 * Whether nobody may run a task just now, and until when. A row further in the future than any runner would have put it was written by a
 * clock that has since been set back: it counts as past.
 */
const heldUntil = (row: TaskLeasesTable, { everyMs }: Task, nowMs: number): number => {
  const leased = row.holder_id !== '' && row.leased_until_ms <= nowMs + 2 * leaseMs ? row.leased_until_ms : nowMs;
  const due = row.due_at_ms <= nowMs + everyMs + leaseMs ? row.due_at_ms : nowMs;
  return Math.max(leased, due);
};

/** Starts the runner. Faults: Error for two tasks of one name. */
export const startTasks = ({ store, tasks, now, newId, failed }: TaskRunnerOptions): TaskRunner => {
  checkNames(tasks);
  const holderId = newId();
  const startedAtMs = now();
  let closed = false;
  const slots: readonly Slot[] = tasks.map((task) => ({
    task,
    lookAtMs: startedAtMs + Math.min(task.everyMs, firstLookMs),
    renewAtMs: undefined,
    work: Promise.resolve(),
    busy: false,
  }));

  /** 'taken', or the time until which somebody else has it or nothing is due. */
  const claim = async ({ task }: Slot): Promise<'taken' | number> => {
    const seen = await store.db
      .selectFrom('task_leases')
      .selectAll()
      .where('task_name', '=', task.name)
      .executeTakeFirst();
    const untilMs = seen === undefined ? 0 : heldUntil(seen, task, now());
    if (untilMs > now()) return untilMs;
    return store.write(async (db) => {
      const nowMs = now();
      await db
        .insertInto('task_leases')
        .values({ task_name: task.name, holder_id: '', leased_until_ms: 0, due_at_ms: nowMs })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
      const row = await db
        .selectFrom('task_leases')
        .selectAll()
        .where('task_name', '=', task.name)
        .executeTakeFirstOrThrow();
      const heldUntilMs = heldUntil(row, task, nowMs);
      if (heldUntilMs > nowMs) return heldUntilMs;
      await db
        .updateTable('task_leases')
        .set({ holder_id: holderId, leased_until_ms: nowMs + leaseMs })
        .where('task_name', '=', task.name)
        .execute();
      return 'taken';
    });
  };

  /** Changes the lease as long as it is still ours. */
  const update = ({ task }: Slot, change: Partial<TaskLeasesTable>): Promise<unknown> =>
    store.write((db) =>
      db
        .updateTable('task_leases')
        .set(change)
        .where('task_name', '=', task.name)
        .where('holder_id', '=', holderId)
        .execute(),
    );

  const run = async (slot: Slot): Promise<void> => {
    const { task } = slot;
    const startedMs = now();
    if (closed || startedMs < slot.lookAtMs) return;
    slot.lookAtMs = startedMs + task.everyMs;
    const claimed = await claim(slot);
    if (claimed !== 'taken') {
      slot.lookAtMs = Math.min(claimed, slot.lookAtMs);
      return;
    }
    slot.renewAtMs = startedMs + leaseMs / 3;
    try {
      if (!closed) await task.run(startedMs);
    } finally {
      slot.renewAtMs = undefined;
      await update(slot, { holder_id: '', leased_until_ms: 0, due_at_ms: startedMs + task.everyMs });
    }
  };

  /** Looks at one task after whatever it is doing now. */
  const look = (slot: Slot): Promise<void> => {
    slot.work = slot.work.then(async () => {
      slot.busy = true;
      await run(slot).catch((error: unknown) => {
        if (!closed) failed(slot.task.name, error);
      });
      slot.busy = false;
    });
    return slot.work;
  };

  const renew = (slot: Slot): void => {
    const nowMs = now();
    if (slot.renewAtMs === undefined || nowMs < slot.renewAtMs) return;
    slot.renewAtMs = nowMs + leaseMs / 3;
    update(slot, { leased_until_ms: nowMs + leaseMs }).catch((error: unknown) => failed(slot.task.name, error));
  };

  const timer = setInterval(() => {
    for (const slot of slots) {
      renew(slot);
      if (!slot.busy && now() >= slot.lookAtMs) look(slot);
    }
  }, tickMs);
  timer.unref();

  return {
    async turn() {
      for (const slot of slots) renew(slot);
      await Promise.all(slots.map(look));
    },
    async close(graceMs) {
      closed = true;
      clearInterval(timer);
      let late: NodeJS.Timeout | undefined;
      const grace = new Promise<void>((resolve) => {
        late = setTimeout(resolve, graceMs);
      });
      await Promise.race([Promise.all(slots.map(({ work }) => work)), grace]);
      clearTimeout(late);
    },
  };
};
