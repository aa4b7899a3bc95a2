/** Which certificates somebody must look at, account by account, so that one with thousands of them is no reason to read past them. */
import type { AccountRegion } from '../../aws/arn.ts';
import type { Db } from '../../store/store.ts';
import { acmArn } from './acm-certificate.ts';

export interface DueCertificate {
  readonly account: AccountRegion;
  readonly arn: string;
}

/** Those that have something due, in the order of their identifiers. One step of an index for each account that waits for anything, however much that is. */
export const listDueAccounts = async (db: Db, nowMs: number): Promise<readonly string[]> => {
  const rows = await db
    .withRecursive('waiting(account_id)', (query) =>
      query
        .selectNoFrom((eb) =>
          eb
            .selectFrom('acm_certificates')
            .select('account_id')
            .where('next_action_ms', 'is not', null)
            .orderBy('account_id')
            .limit(1)
            .as('account_id'),
        )
        .unionAll(
          query
            .selectFrom('waiting')
            .select((eb) =>
              eb
                .selectFrom('acm_certificates as next')
                .select('next.account_id')
                .whereRef('next.account_id', '>', 'waiting.account_id')
                .where('next.next_action_ms', 'is not', null)
                .orderBy('next.account_id')
                .limit(1)
                .as('account_id'),
            )
            .where('waiting.account_id', 'is not', null),
        ),
    )
    .selectFrom('waiting')
    .select('waiting.account_id')
    .where(({ exists, selectFrom }) =>
      exists(
        selectFrom('acm_certificates')
          .select('acm_certificates.account_id')
          .whereRef('acm_certificates.account_id', '=', 'waiting.account_id')
          .where('next_action_ms', '<=', nowMs),
      ),
    )
    .execute();
  return rows.flatMap(({ account_id }) => account_id ?? []);
};

/** Of one account in all regions: first those requested after `youngSinceMs`, as somebody may wait for them, then the longest due. */
export const listDue = async (
  db: Db,
  accountId: string,
  { nowMs, youngSinceMs, limit }: { readonly nowMs: number; readonly youngSinceMs: number; readonly limit: number },
): Promise<readonly DueCertificate[]> => {
  const rows = await db
    .selectFrom('acm_certificates')
    .select(['region', 'certificate_uuid'])
    .where('account_id', '=', accountId)
    .where('next_action_ms', '<=', nowMs)
    .orderBy((eb) => eb.case().when('created_at_ms', '>', youngSinceMs).then(0).else(1).end())
    .orderBy('next_action_ms')
    .limit(limit)
    .execute();
  return rows.map(({ region, certificate_uuid: uuid }) => ({
    account: { accountId, region },
    arn: acmArn({ accountId, region }, uuid),
  }));
};
