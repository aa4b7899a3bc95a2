import type { Migration } from '../../store/migrate.ts';

/** One row per tag of a resource; the resource is named by its whole ARN. */
export const migrations: readonly Migration[] = [
  {
    name: 'tags-0001',
    sql: [
      `create table tags (
        account_id text not null,
        region text not null,
        resource_arn text not null,
        tag_key text not null,
        tag_value text not null,
        primary key (account_id, region, resource_arn, tag_key)
      )`,
    ],
  },
];
