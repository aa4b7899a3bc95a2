/** What the store keeps of sessions, on its way into memory when the node starts, and what has expired, on its way out. */
import type { AccountRegion } from '../aws/arn.ts';
import type { BrokerContext } from './context.ts';
import type { Scope } from './session.ts';
import { expiredRows, queuePages, receiptPages, sessionPages, subscriptionPages } from './session-pages.ts';
import type { ExpiredRow } from './session-store.ts';

/** Reads every session, its subscriptions and how much waits for it. Messages stay in the store. Faults: StoreUnavailable. */
export const restore = async (
  { sessions, now }: BrokerContext,
  scopeOf: (account: AccountRegion) => Scope,
): Promise<void> => {
  const nowMs = now();
  for await (const page of sessionPages(sessions.db)) {
    for (const session of page) scopeOf(session.account).restore(session, nowMs);
  }
  for await (const page of subscriptionPages(sessions.db)) {
    for (const { account, clientId, filter, granted } of page) {
      scopeOf(account).restoreSubscription(clientId, filter, granted);
    }
  }
  for await (const page of receiptPages(sessions.db)) {
    for (const { account, clientId, packetId } of page) scopeOf(account).restoreReceipt(clientId, packetId);
  }
  for await (const page of queuePages(sessions.db)) {
    for (const { account, owner, left } of page) scopeOf(account).restoreQueue(owner, left);
  }
  await sessions.disconnectAll(nowMs);
};

/** Removes waiting messages that have expired. Those that are in memory are left to whoever sends them. */
export const sweepRows = async (
  { sessions, now }: BrokerContext,
  scopeOf: (account: AccountRegion) => Scope | undefined,
): Promise<void> => {
  const nowMs = now();
  let last: ExpiredRow | undefined;
  do {
    const rows = await expiredRows(sessions.db, nowMs, last);
    const removable = rows.filter(
      ({ account, owner, position, cost }) => scopeOf(account)?.expireRow(owner, position, cost) ?? true,
    );
    await sessions.appends.append(removable.map((row) => sessions.removalOfExpired(row)));
    last = rows.at(-1);
  } while (last !== undefined);
};
