/**
 * A turn of work that many accounts wait for, shared so that none of them waits for what another has asked for. Each account stands in one line of lanes, a few
 * times at most; whose lane is first begins one piece of its work, and the lane stands at the end of the line again when that is done. So an account with
 * a thousand pieces of slow work takes its few lanes and no more, and one with a single piece has it begun in the first round.
 */

/** What an account is given of a turn: begins its next piece of work; undefined: nothing more of it in this turn. A piece of work must not reject. */
export type Share = () => Promise<unknown> | undefined;

export interface FairTurns {
  /** Accounts that have work, in the order in which they have their first lane. */
  readonly accountIds: readonly string[];
  /** Asked once for each account, when its first lane is first in the line. Must not reject. */
  readonly openShare: (accountId: string) => Promise<Share>;
  /** Pieces of work at once, of all accounts and of one. */
  readonly atOnceMax: number;
  readonly atOnceOfAccountMax: number;
  /** Whether the turn is over: nothing more is begun. */
  readonly isOver: () => boolean;
}

/** Resolves when all that was begun is done, with the account whose share was opened last: the next turn begins behind it. */
export const takeFairTurns = async (turns: FairTurns): Promise<string | undefined> => {
  const { accountIds, atOnceMax, atOnceOfAccountMax } = turns;
  const shares = new Map<string, Promise<Share>>();
  let reached: string | undefined;
  const shareOf = (accountId: string): Promise<Share> => {
    const open = shares.get(accountId) ?? turns.openShare(accountId);
    if (!shares.has(accountId)) reached = accountId;
    shares.set(accountId, open);
    return open;
  };
  const lanes = Array.from({ length: atOnceOfAccountMax }, () => accountIds).flat();
  const worker = async (): Promise<void> => {
    while (!turns.isOver()) {
      const accountId = lanes.shift();
      if (accountId === undefined) return;
      const work = (await shareOf(accountId))();
      if (work === undefined) continue;
      await work;
      lanes.push(accountId);
    }
  };
  await Promise.all(Array.from({ length: atOnceMax }, worker));
  return reached;
};

/** `accountIds` in their order, from the first behind `after` on, and round. */
export const orderBehind = (accountIds: readonly string[], after: string | undefined): readonly string[] => {
  const first = accountIds.findIndex((accountId) => after === undefined || accountId > after);
  return first <= 0 ? accountIds : [...accountIds.slice(first), ...accountIds.slice(0, first)];
};
