import type { Migration } from '../../store/migrate.ts';

/** `last_version` only rises, so that the id of a deleted version is never given again (spec policy 1). */
export const migrations: readonly Migration[] = [
  {
    name: 'policies-0001',
    sql: [
      `create table policies (
        account_id text not null,
        region text not null,
        policy_name text not null,
        generation_id text not null,
        default_version bigint not null,
        last_version bigint not null,
        created_at_ms bigint not null,
        modified_at_ms bigint not null,
        primary key (account_id, region, policy_name)
      )`,
      `create index policies_by_creation on policies (account_id, region, created_at_ms, policy_name)`,
      `create table policy_versions (
        account_id text not null,
        region text not null,
        policy_name text not null,
        version bigint not null,
        document text not null,
        created_at_ms bigint not null,
        primary key (account_id, region, policy_name, version)
      )`,
      `create table policy_attachments (
        account_id text not null,
        region text not null,
        target text not null,
        policy_name text not null,
        created_at_ms bigint not null,
        primary key (account_id, region, target, policy_name)
      )`,
      `create index policy_attachments_by_policy on policy_attachments (account_id, region, policy_name, created_at_ms, target)`,
    ],
  },
];
