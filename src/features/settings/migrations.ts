import type { Migration } from '../../store/migrate.ts';

/** `revision` grows with every change of the account's options or levels; `event_configurations` is a JSON list. */
export const migrations: readonly Migration[] = [
  {
    name: 'settings-0001',
    sql: [
      `create table logging_options (
        account_id text not null,
        region text not null,
        role_arn text,
        default_log_level text not null,
        disable_all_logs bigint not null,
        event_configurations text not null,
        revision bigint not null,
        primary key (account_id, region)
      )`,
      `create table logging_levels (
        account_id text not null,
        region text not null,
        target_type text not null,
        target_name text not null,
        log_level text not null,
        primary key (account_id, region, target_type, target_name)
      )`,
    ],
  },
];
