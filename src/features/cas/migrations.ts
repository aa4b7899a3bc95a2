import type { Migration } from '../../store/migrate.ts';

/**
 * `subject_hash`: hex SHA-256 of the subject's DER, by which a certificate finds its issuer. The partial index keeps the rule that per region at most one account
 * holds a CA in DEFAULT mode (spec identity 3.3).
 */
export const migrations: readonly Migration[] = [
  {
    name: 'cas-0001',
    sql: [
      `create table ca_certificates (
        account_id text not null,
        region text not null,
        ca_certificate_id text not null,
        subject_hash text not null,
        status text not null,
        certificate_mode text not null,
        pem text not null,
        auto_registration_status text not null,
        template_body text,
        template_name text,
        role_arn text,
        customer_version bigint not null,
        generation_id text not null,
        created_at_ms bigint not null,
        last_modified_at_ms bigint not null,
        not_before_ms bigint not null,
        not_after_ms bigint not null,
        primary key (account_id, region, ca_certificate_id)
      )`,
      `create index ca_certificates_by_creation on ca_certificates (account_id, region, created_at_ms, ca_certificate_id)`,
      `create index ca_certificates_by_subject on ca_certificates (region, subject_hash, account_id)`,
      `create index ca_certificates_by_template on ca_certificates (account_id, region, template_name, created_at_ms, ca_certificate_id)
        where template_name is not null`,
      `create unique index ca_certificates_default on ca_certificates (region, ca_certificate_id)
        where certificate_mode = 'DEFAULT'`,
      `create table registration_codes (
        account_id text not null,
        region text not null,
        registration_code text not null,
        created_at_ms bigint not null,
        primary key (account_id, region)
      )`,
    ],
  },
];
