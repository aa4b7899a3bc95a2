import type { Migration } from '../../store/migrate.ts';

export const migrations: readonly Migration[] = [
  {
    name: 'roles-0001',
    sql: [
      `create table role_aliases (
        account_id text not null,
        region text not null,
        role_alias text not null,
        role_arn text not null,
        credential_duration_seconds bigint not null,
        created_at_ms bigint not null,
        modified_at_ms bigint not null,
        primary key (account_id, region, role_alias)
      )`,
    ],
  },
];
