import type { Migration } from '../../store/migrate.ts';

/** `last_version` only rises, so that the id of a deleted version is never given again. `hook_target_arn` is null where no hook is asked. */
export const migrations: readonly Migration[] = [
  {
    name: 'provisioning-0001',
    sql: [
      `create table provisioning_templates (
        account_id text not null,
        region text not null,
        template_name text not null,
        template_type text not null,
        description text,
        enabled bigint not null,
        provisioning_role_arn text not null,
        hook_target_arn text,
        hook_payload_version text,
        default_version bigint not null,
        last_version bigint not null,
        created_at_ms bigint not null,
        modified_at_ms bigint not null,
        primary key (account_id, region, template_name)
      )`,
      `create table provisioning_template_versions (
        account_id text not null,
        region text not null,
        template_name text not null,
        version bigint not null,
        body text not null,
        created_at_ms bigint not null,
        primary key (account_id, region, template_name, version)
      )`,
    ],
  },
];
