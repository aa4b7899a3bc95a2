/**
 * How many certificates wait for their RegisterThing: each of them holds a row for an hour. What would be more is throttled. Whoever has stolen a claim can make
 * certificates until it is revoked; so one claim has half of the room, and a new one finds the other half. Counts are asked of the store seldom, and kept with what
 * was made since: each node may go a little beyond the bounds.
 */
import { type AccountRegion, accountKey } from '../../aws/arn.ts';
import type { Db } from '../../store/store.ts';
import { ProvisioningFault } from '../provisioning/provisioning-fault.ts';
import type { Attempt } from './fleet-topics.ts';
import { countUnspentTokens } from './ownership-token.ts';

export interface UnclaimedBounds {
  /** Certificates of one account and region. */
  readonly perAccountMax: number;
  /** Those of them that one claim has made. */
  readonly perClaimMax: number;
}

export const unclaimedBounds: UnclaimedBounds = { perAccountMax: 100_000, perClaimMax: 50_000 };

/** Between two counts of the same. */
const recountMs = 10_000;
/** Claims whose count is kept; at the bound the one that was counted first is forgotten, and counted anew when it comes. */
const claimsMax = 1000;

interface Count {
  count: number;
  readonly countedAtMs: number;
}

export class Unclaimed {
  readonly #bounds: UnclaimedBounds;
  /** One for each account that has asked; accounts are bounded. */
  readonly #accounts = new Map<string, Count>();
  readonly #claims = new Map<string, Count>();

  constructor(bounds = unclaimedBounds) {
    this.#bounds = bounds;
  }

  /** Counts one more in. Faults: ProvisioningFault (Throttled). */
  async add({ call, request }: Pick<Attempt, 'call' | 'request'>): Promise<void> {
    const { db, account } = call;
    const nowMs = call.now();
    const { perAccountMax, perClaimMax } = this.#bounds;
    const inAccount = await this.#inAccount(db, account, nowMs);
    if (inAccount.count >= perAccountMax) throw tooMany('Too many certificates wait for their RegisterThing.');
    // below that no claim can have reached its own bound
    if (inAccount.count >= perClaimMax) {
      const ofClaim = await this.#ofClaim(db, account, request.authority.principalId, nowMs);
      if (ofClaim.count >= perClaimMax)
        throw tooMany('Too many certificates of this claim wait for their RegisterThing.');
      ofClaim.count++;
    }
    inAccount.count++;
  }

  async #inAccount(db: Db, account: AccountRegion, nowMs: number): Promise<Count> {
    const key = accountKey(account);
    const known = this.#accounts.get(key);
    if (known && (known.count < this.#bounds.perAccountMax || isRecent(known, nowMs))) return known;
    const counted = { count: await countUnspentTokens(db, account), countedAtMs: nowMs };
    this.#accounts.set(key, counted);
    return counted;
  }

  async #ofClaim(db: Db, account: AccountRegion, principalId: string, nowMs: number): Promise<Count> {
    const key = `${accountKey(account)}/${principalId}`;
    const known = this.#claims.get(key);
    // what it made while there was room for all is in the store alone
    if (known && isRecent(known, nowMs)) return known;
    const counted = { count: await countUnspentTokens(db, account, principalId), countedAtMs: nowMs };
    this.#claims.delete(key);
    this.#claims.set(key, counted);
    for (const first of this.#claims.keys()) {
      if (this.#claims.size <= claimsMax) break;
      this.#claims.delete(first);
    }
    return counted;
  }
}

/** The clock may also have been set back. */
const isRecent = ({ countedAtMs }: Count, nowMs: number): boolean => Math.abs(nowMs - countedAtMs) < recountMs;

const tooMany = (message: string): ProvisioningFault => new ProvisioningFault('Throttled', message);
