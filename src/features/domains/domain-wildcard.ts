/**
 * The wildcard names of certificates that are presented: what they cover is their account's, as far as it has proven them. Source: spec identity 8, checks at creation.
 */
import type { AccountRegion } from '../../aws/arn.ts';
import type { Db } from '../../store/store.ts';

interface DomainWildcardsTable {
  parent: string;
  account_id: string;
  region: string;
  name: string;
}

declare module '../../store/tables.ts' {
  interface Tables {
    domain_wildcards: DomainWildcardsTable;
  }
}

/** Whether another account presents a certificate with a wildcard of its own that covers the name. */
export const isCoveredElsewhere = async (
  db: Db,
  { accountId }: AccountRegion,
  domainName: string,
): Promise<boolean> => {
  const parent = domainName.slice(domainName.indexOf('.') + 1);
  const row = await db
    .selectFrom('domain_wildcards')
    .select('name')
    .where('parent', '=', parent)
    .where('account_id', '!=', accountId)
    .executeTakeFirst();
  return row !== undefined;
};

/** Replaces the wildcards of one configuration; `names` are those of its certificate that the account has proven to be its own. */
export const saveWildcards = async (
  db: Db,
  { accountId, region }: AccountRegion,
  name: string,
  names: readonly string[],
): Promise<void> => {
  await db
    .deleteFrom('domain_wildcards')
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('name', '=', name)
    .execute();
  const parents = new Set(names.filter((it) => it.startsWith('*.')).map((it) => it.slice(2)));
  if (parents.size === 0) return;
  await db
    .insertInto('domain_wildcards')
    .values([...parents].map((parent) => ({ parent, account_id: accountId, region, name })))
    .execute();
};
