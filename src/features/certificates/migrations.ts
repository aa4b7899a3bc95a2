import type { Migration } from '../../store/migrate.ts';

/**
 * One row per account, region and certificate: the same certificate may be held by several accounts. The partial index keeps the rule that
 * per region at most one of them holds it in DEFAULT mode (spec identity 2.3). `ca_certificate_id` is null for what was issued or registered without a CA.
 */
export const migrations: readonly Migration[] = [
  {
    name: 'certificates-0001',
    sql: [
      `create table certificates (
        account_id text not null,
        region text not null,
        certificate_id text not null,
        status text not null,
        certificate_mode text not null,
        pem text not null,
        ca_certificate_id text,
        owned_by text not null,
        previous_owned_by text,
        customer_version bigint not null,
        generation_id text not null,
        created_at_ms bigint not null,
        last_modified_at_ms bigint not null,
        not_before_ms bigint not null,
        not_after_ms bigint not null,
        primary key (account_id, region, certificate_id)
      )`,
      `create index certificates_by_creation on certificates (account_id, region, created_at_ms, certificate_id)`,
      `create index certificates_by_id on certificates (region, certificate_id)`,
      `create unique index certificates_default on certificates (region, certificate_id)
        where certificate_mode = 'DEFAULT'`,
    ],
  },
  {
    // Transfer: while it waits, the certificate has a second row, in the target account, which does not own it and so does not hold it in DEFAULT mode.
    name: 'certificates-0002',
    sql: [
      `alter table certificates add column transferred_to text`,
      `alter table certificates add column transfer_message text`,
      `alter table certificates add column transferred_at_ms bigint`,
      `alter table certificates add column accepted_at_ms bigint`,
      `alter table certificates add column rejected_at_ms bigint`,
      `alter table certificates add column reject_reason text`,
      `drop index certificates_default`,
      `create unique index certificates_default on certificates (region, certificate_id)
        where certificate_mode = 'DEFAULT' and owned_by = account_id`,
      `create index certificates_by_ca on certificates (account_id, region, ca_certificate_id, created_at_ms, certificate_id)
        where ca_certificate_id is not null`,
      `create index certificates_outgoing on certificates (account_id, region, created_at_ms, certificate_id)
        where transferred_to is not null`,
    ],
  },
  {
    // Succession: `predecessors` is null for all but certificates that retire others when their device first connects with them (succession.ts).
    name: 'certificates-0003',
    sql: [
      `alter table certificates add column predecessors text`,
      `alter table certificates add column retired_by text`,
    ],
  },
];
