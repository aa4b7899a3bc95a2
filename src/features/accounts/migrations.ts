import type { Migration } from '../../store/migrate.ts';

/** `endpoint_prefix` is derived from account and region; it stands here so that a server name leads back to its account. */
export const migrations: readonly Migration[] = [
  {
    name: 'accounts-0001',
    sql: [
      `create table accounts (
        account_id text not null,
        region text not null,
        endpoint_prefix text not null,
        created_at_ms bigint not null,
        primary key (account_id, region)
      )`,
      'create unique index accounts_by_endpoint_prefix on accounts (region, endpoint_prefix)',
    ],
  },
];
