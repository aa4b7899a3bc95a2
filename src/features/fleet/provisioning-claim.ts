/**
 * Claims of trusted users: certificates for five minutes, with which one device is provisioned by one template. They are no device certificates: nothing lists,
 * describes or changes them, and no policy is attached to them. Source: spec provisioning.md 5.
 */
import type { AccountRegion } from '../../aws/arn.ts';
import type { Migration } from '../../store/migrate.ts';
import type { Db } from '../../store/store.ts';

interface ProvisioningClaimsTable {
  account_id: string;
  region: string;
  certificate_id: string;
  template_name: string;
  expires_at_ms: number;
}

declare module '../../store/tables.ts' {
  interface Tables {
    provisioning_claims: ProvisioningClaimsTable;
  }
}

export const provisioningClaimMigration: Migration = {
  name: 'fleet-provisioning-0002',
  sql: [
    `create table provisioning_claims (
      account_id text not null,
      region text not null,
      certificate_id text not null,
      template_name text not null,
      expires_at_ms bigint not null,
      primary key (region, certificate_id)
    )`,
    `create index provisioning_claims_by_account on provisioning_claims (account_id, region, expires_at_ms)`,
    `create index provisioning_claims_by_expiry on provisioning_claims (expires_at_ms)`,
  ],
};

/** Also how long a session with a claim may last. Source: developer guide, "Provisioning by trusted user". */
export const claimLifetimeMs = 300_000;
/** Expired claims are remembered for as long, so that the journal can say that one has expired. */
export const expiredClaimKeptMs = 3_600_000;
/** Claims of one account and region that have not expired; one more is throttled. */
export const claimsPerAccountMax = 1000;

export interface ProvisioningClaim {
  readonly account: AccountRegion;
  readonly certificateId: string;
  readonly templateName: string;
  readonly expiresAtMs: number;
}

export const insertClaim = async (
  db: Db,
  { account: { accountId, region }, certificateId, templateName, expiresAtMs }: ProvisioningClaim,
): Promise<void> => {
  await db
    .insertInto('provisioning_claims')
    .values({
      account_id: accountId,
      region,
      certificate_id: certificateId,
      template_name: templateName,
      expires_at_ms: expiresAtMs,
    })
    .execute();
};

/** A claim of this region, expired or not: whose it is, is part of the answer. */
export const findClaim = async (
  db: Db,
  region: string,
  certificateId: string,
): Promise<ProvisioningClaim | undefined> => {
  const row = await db
    .selectFrom('provisioning_claims')
    .selectAll()
    .where('region', '=', region)
    .where('certificate_id', '=', certificateId)
    .executeTakeFirst();
  return (
    row && {
      account: { accountId: row.account_id, region },
      certificateId,
      templateName: row.template_name,
      expiresAtMs: Number(row.expires_at_ms),
    }
  );
};

/** Of one account and region: those that have not expired. */
export const countClaims = async (db: Db, { accountId, region }: AccountRegion, nowMs: number): Promise<number> => {
  const { count } = await db
    .selectFrom('provisioning_claims')
    .select(({ fn }) => fn.countAll().as('count'))
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('expires_at_ms', '>', nowMs)
    .executeTakeFirstOrThrow();
  return Number(count);
};

export const forgetExpiredClaims = async (db: Db, nowMs: number): Promise<void> => {
  await db
    .deleteFrom('provisioning_claims')
    .where('expires_at_ms', '<=', nowMs - expiredClaimKeptMs)
    .execute();
};
