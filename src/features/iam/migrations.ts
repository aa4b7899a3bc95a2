import type { Migration } from '../../store/migrate.ts';

/**
 * IAM is one per account: its rows have no region. Users, groups and roles are one table, as they bear policies alike; `name_key` is the name in lower case,
 * since names that differ in case only are one name. Everything that belongs to one of them goes by its id, so that a user may be renamed.
 * `iam_revisions` moves with every change of an account's IAM: whoever remembers something asks that one row whether it still holds.
 */
export const migrations: readonly Migration[] = [
  {
    name: 'iam-0001',
    sql: [
      `create table iam_revisions (
        account_id text not null primary key,
        revision bigint not null
      )`,
      `create table iam_entities (
        account_id text not null,
        entity_id text not null,
        kind text not null,
        name text not null,
        name_key text not null,
        path text not null,
        created_at_ms bigint not null,
        boundary_arn text,
        description text,
        trust_policy text,
        max_session_seconds bigint,
        primary key (account_id, entity_id)
      )`,
      'create unique index iam_entities_by_name on iam_entities (account_id, kind, name_key)',
      `create index iam_entities_by_boundary on iam_entities (account_id, boundary_arn)
        where boundary_arn is not null`,
      `create table iam_access_keys (
        account_id text not null,
        access_key_id text not null,
        user_id text not null,
        sealed_secret text not null,
        status text not null,
        created_at_ms bigint not null,
        last_used_at_ms bigint,
        last_used_service text,
        last_used_region text,
        primary key (account_id, access_key_id)
      )`,
      'create unique index iam_access_keys_by_id on iam_access_keys (access_key_id)',
      'create index iam_access_keys_by_user on iam_access_keys (account_id, user_id)',
      `create table iam_group_members (
        account_id text not null,
        user_id text not null,
        group_id text not null,
        primary key (account_id, user_id, group_id)
      )`,
      'create index iam_group_members_by_group on iam_group_members (account_id, group_id)',
      `create table iam_inline_policies (
        account_id text not null,
        entity_id text not null,
        policy_name text not null,
        document text not null,
        primary key (account_id, entity_id, policy_name)
      )`,
      `create table iam_policies (
        account_id text not null,
        policy_id text not null,
        policy_name text not null,
        name_key text not null,
        path text not null,
        description text,
        default_version bigint not null,
        last_version bigint not null,
        created_at_ms bigint not null,
        updated_at_ms bigint not null,
        primary key (account_id, policy_id)
      )`,
      'create unique index iam_policies_by_name on iam_policies (account_id, name_key)',
      `create table iam_policy_versions (
        account_id text not null,
        policy_id text not null,
        version bigint not null,
        document text not null,
        created_at_ms bigint not null,
        primary key (account_id, policy_id, version)
      )`,
      `create table iam_attachments (
        account_id text not null,
        entity_id text not null,
        policy_arn text not null,
        policy_name text not null,
        primary key (account_id, entity_id, policy_arn)
      )`,
      'create index iam_attachments_by_policy on iam_attachments (account_id, policy_arn)',
      `create table iam_tags (
        account_id text not null,
        resource_id text not null,
        key_key text not null,
        tag_key text not null,
        tag_value text not null,
        primary key (account_id, resource_id, key_key)
      )`,
    ],
  },
  {
    // JSON: the ids of the users and roles that the trust policy of a role names, by their ARNs there; null for one that was written before they were kept
    name: 'iam-0002',
    sql: ['alter table iam_entities add column trusted_ids text'],
  },
];
