/**
 * Whether what a node remembers of an account's IAM still holds: asked of one row, at most once a second and account, and at once after a notice. So a change
 * acts within a second on every node, also where its notice was lost.
 */
import type { Bus } from '../../bus/bus.ts';
import { onChange } from '../../bus/changes.ts';
import type { Db } from '../../store/store.ts';
import { readRevision } from './iam-write.ts';

/** How long a revision is believed without a notice. */
export const freshForMs = 1000;
/** Accounts whose revision is remembered. At the bound the one that was asked first is forgotten, and asked again. */
const accountsMax = 10_000;

export interface RevisionOptions {
  readonly db: Db;
  readonly bus: Bus;
  /** Milliseconds by a clock that nobody moves. */
  readonly elapsedMs: () => number;
}

export interface Revisions {
  /** The revision of an account's IAM; a promise only when it must be asked for. Rejects when the store cannot be asked. */
  current(accountId: string): number | Promise<number>;
  close(): void;
}

export const createRevisions = ({ db, bus, elapsedMs }: RevisionOptions): Revisions => {
  const known = new Map<string, { readonly revision: number; readonly askedAtMs: number }>();
  /** Being read; whoever asks meanwhile waits for the same answer. A notice takes it out, so that later askers read anew. */
  const reading = new Map<string, Promise<number>>();

  const read = (accountId: string): Promise<number> => {
    const askedAtMs = elapsedMs();
    const asked: Promise<number> = readRevision(db, accountId)
      .then((revision) => {
        if (reading.get(accountId) !== asked) return revision; // a notice came: this is the answer to a question of before it
        known.delete(accountId);
        const [oldest] = known.keys();
        if (known.size >= accountsMax && oldest !== undefined) known.delete(oldest);
        known.set(accountId, { revision, askedAtMs });
        return revision;
      })
      .finally(() => {
        if (reading.get(accountId) === asked) reading.delete(accountId);
      });
    reading.set(accountId, asked);
    return asked;
  };

  const close = onChange(bus, ({ kind, account: { accountId } }) => {
    if (kind !== 'iam') return;
    known.delete(accountId);
    reading.delete(accountId);
  });

  return {
    current(accountId) {
      const found = known.get(accountId);
      if (found && elapsedMs() - found.askedAtMs < freshForMs) return found.revision;
      return reading.get(accountId) ?? read(accountId);
    },
    close,
  };
};
