/**
 * Accounts come into being at first use, one row per account and region, and never go away by themselves. All that a node has met it keeps in
 * memory, so that neither a request nor a TLS handshake of a known account waits for the store.
 */
import { createHash } from 'node:crypto';
import { type AccountRegion, accountKey } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import type { Db, Store } from '../../store/store.ts';

interface AccountsTable {
  account_id: string;
  region: string;
  endpoint_prefix: string;
  created_at_ms: number;
}
declare module '../../store/tables.ts' {
  interface Tables {
    accounts: AccountsTable;
  }
}

const accountIdPattern = /^[0-9]{12}$/;
const regionPattern = /^[a-z]{2,4}(?:-[a-z]{2,4})?-(?:central|(?:north|south)(?:east|west)?|east|west)-[1-9][0-9]?$/;

/** Whether a region has the form of AWS's own: `us-east-1`, `ap-southeast-7`, `us-gov-west-1`. A list would age. */
export const isRegion = (text: string): boolean => regionPattern.test(text);

const alphabet = 'abcdefghijklmnopqrstuvwxyz0123456789';
const prefixChars = 14;

/**
 * What tells an account's endpoints from those of others: 14 lower-case alphanumerics that start with `a` (spec identity 7). Derived, so that it
 * survives the loss of the data folder: devices have the name in their configuration. 67 bits of SHA-256, by long division.
 */
export const endpointPrefix = ({ accountId, region }: AccountRegion): string => {
  const digest = createHash('sha256').update(`fleetgate endpoint ${accountId} ${region}`).digest('hex');
  let rest = BigInt(`0x${digest}`);
  let prefix = 'a';
  while (prefix.length < prefixChars) {
    prefix += alphabet[Number(rest % 36n)];
    rest /= 36n;
  }
  return prefix;
};

/** When the account came into being, in its first region: ms since the epoch. */
export const accountCreatedAtMs = async (db: Db, accountId: string): Promise<number> => {
  const row = await db
    .selectFrom('accounts')
    .select(({ fn }) => fn.min('created_at_ms').as('created_at_ms'))
    .where('account_id', '=', accountId)
    .executeTakeFirst();
  return Number(row?.created_at_ms);
};

/**
 * Regions of one account. AWS has fewer; whoever has any key of an account may make them come into being (GetCallerIdentity needs no permission), and so must not
 * use up the pairs that all accounts share.
 */
export const regionsPerAccountMax = 100;

export interface AccountsOptions {
  readonly store: Pick<Store, 'db' | 'write'>;
  /** Pairs of account and region that may come into being. */
  readonly accountsMax: number;
  readonly now: () => number;
}

export interface Accounts {
  /**
   * Makes sure that the account exists in the region; undefined when that is known already.
   * Faults: InvalidSignatureException for a region that is none; LimitExceededException beyond `accountsMax` or `regionsPerAccountMax`: unlike a throttling error, no
   * client tries that again.
   */
  ensure(account: AccountRegion): Promise<void> | undefined;
  /** The account whose endpoints in this region carry the prefix. A promise only for one that this node has not met yet. */
  findByEndpoint(region: string, prefix: string): AccountRegion | Promise<AccountRegion | undefined>;
  /** All accounts, by id and region. */
  list(): Promise<readonly AccountRegion[]>;
}

export const openAccounts = ({ store, accountsMax, now }: AccountsOptions): Accounts => {
  /** At most `accountsMax` of each; at the bound (another node created more) they are filled anew. */
  const known = new Set<string>();
  const byEndpoint = new Map<string, AccountRegion>();
  const remember = (account: AccountRegion): AccountRegion => {
    if (known.size >= accountsMax) {
      known.clear();
      byEndpoint.clear();
    }
    const own = Object.freeze({ accountId: account.accountId, region: account.region });
    known.add(accountKey(own));
    byEndpoint.set(`${endpointPrefix(own)}.${own.region}`, own);
    return own;
  };

  const create = async (account: AccountRegion): Promise<void> => {
    if (!accountIdPattern.test(account.accountId) || !isRegion(account.region)) {
      throw new Fault('InvalidSignatureException', 'Credential should be scoped to a valid region.');
    }
    await store.write(async (db) => {
      const { numInsertedOrUpdatedRows } = await db
        .insertInto('accounts')
        .values({
          account_id: account.accountId,
          region: account.region,
          endpoint_prefix: endpointPrefix(account),
          created_at_ms: now(),
        })
        .onConflict((conflict) => conflict.columns(['account_id', 'region']).doNothing())
        .executeTakeFirst();
      if (numInsertedOrUpdatedRows === 0n) return;
      const counted = db.selectFrom('accounts').select(({ fn }) => fn.countAll<number>().as('count'));
      const all = await counted.executeTakeFirstOrThrow();
      if (Number(all.count) > accountsMax) {
        throw new Fault('LimitExceededException', `There are ${accountsMax} pairs of account and region already`);
      }
      const own = await counted.where('account_id', '=', account.accountId).executeTakeFirstOrThrow();
      if (Number(own.count) > regionsPerAccountMax) {
        throw new Fault('LimitExceededException', `The account is in ${regionsPerAccountMax} regions already`);
      }
    });
    remember(account);
  };

  const read = async (region: string, prefix: string): Promise<AccountRegion | undefined> => {
    const row = await store.db
      .selectFrom('accounts')
      .select('account_id')
      .where('region', '=', region)
      .where('endpoint_prefix', '=', prefix)
      .executeTakeFirst();
    return row && remember({ accountId: row.account_id, region });
  };

  return {
    ensure: (account) => (known.has(accountKey(account)) ? undefined : create(account)),
    findByEndpoint: (region, prefix) => byEndpoint.get(`${prefix}.${region}`) ?? read(region, prefix),
    async list() {
      const rows = await store.db
        .selectFrom('accounts')
        .select(['account_id', 'region'])
        .orderBy('account_id')
        .orderBy('region')
        .execute();
      return rows.map((row) => ({ accountId: row.account_id, region: row.region }));
    },
  };
};
