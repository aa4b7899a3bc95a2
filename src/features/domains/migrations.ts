import type { Migration } from '../../store/migrate.ts';

/**
 * One row per domain configuration; those of AWS's default endpoints only once something of them was changed. A domain name is served once on the whole
 * node, as a ClientHello names neither account nor region. `served_*` is the server certificate as it is presented: a copy, so that a bad
 * replacement in ACM takes nothing away. `domain_wildcards` are the parents of the wildcard names on served certificates.
 */
export const migrations: readonly Migration[] = [
  {
    name: 'domains-0001',
    sql: [
      `create table domain_configurations (
        account_id text not null,
        region text not null,
        name text not null,
        suffix text not null,
        domain_name text not null,
        domain_type text not null,
        status text not null,
        status_changed_at_ms bigint not null,
        created_at_ms bigint not null,
        security_policy text not null,
        authentication_type text not null,
        application_protocol text not null,
        server_certificate_arn text,
        validation_certificate_arn text,
        served_chain_pem text,
        served_key_sealed text,
        certificate_detail text,
        enable_ocsp_check integer,
        ocsp_lambda_arn text,
        ocsp_authorized_responder_arn text,
        client_certificate_callback_arn text,
        primary key (account_id, region, name)
      )`,
      `create unique index domain_configurations_by_domain on domain_configurations (domain_name)`,
      `create index domain_configurations_by_certificate on domain_configurations (server_certificate_arn)
        where server_certificate_arn is not null`,
      `create table domain_wildcards (
        parent text not null,
        account_id text not null,
        region text not null,
        name text not null,
        primary key (parent, account_id, region, name)
      )`,
    ],
  },
  {
    // the host of a default endpoint follows `--domain`, so that its row is found by its account and name alone
    name: 'domains-0002',
    sql: [
      `update domain_configurations set domain_name = account_id || '/' || region || '/' || name
        where domain_type = 'ENDPOINT'`,
    ],
  },
];
