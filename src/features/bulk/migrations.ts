import type { Migration } from '../../store/migrate.ts';

/**
 * `position`: bytes of the file that are done. `input_version` and `input_bytes` tell whether it is still the same file; null until it was first opened. A
 * report stands in parts, each the body of one link: how many there are, and the bytes of the last one. The partial index keeps the rule of one running
 * task. `status` FORGOTTEN is nobody's but the sweeper's.
 */
export const migrations: readonly Migration[] = [
  {
    name: 'bulk-0001',
    sql: [
      `create table bulk_tasks (
        account_id text not null,
        region text not null,
        task_id text not null,
        status text not null,
        message text,
        template_body text not null,
        input_bucket text not null,
        input_key text not null,
        role_arn text not null,
        input_version text,
        input_bytes bigint,
        position bigint not null,
        line_number bigint not null,
        success_count bigint not null,
        failure_count bigint not null,
        result_parts bigint not null,
        result_part_bytes bigint not null,
        error_parts bigint not null,
        error_part_bytes bigint not null,
        report_bytes bigint not null,
        created_at_ms bigint not null,
        modified_at_ms bigint not null,
        served_at_ms bigint not null,
        primary key (account_id, region, task_id)
      )`,
      `create unique index bulk_tasks_running on bulk_tasks (account_id, region)
        where status in ('InProgress', 'Cancelling')`,
      `create index bulk_tasks_by_creation on bulk_tasks (account_id, region, created_at_ms, task_id)`,
      `create index bulk_tasks_by_status on bulk_tasks (status, served_at_ms)`,
      `create table bulk_report_lines (
        account_id text not null,
        region text not null,
        task_id text not null,
        report_type text not null,
        part bigint not null,
        line_number bigint not null,
        line text not null,
        primary key (account_id, region, task_id, report_type, part, line_number)
      )`,
    ],
  },
];
