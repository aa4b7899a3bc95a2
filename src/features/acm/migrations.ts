import type { Migration } from '../../store/migrate.ts';

/**
 * One row per certificate of ACM, named by the UUID of its ARN. `certificate_pem`, `chain_pem`, `private_key` (sealed, see pki/secret-box.ts) and the bounds of
 * its validity are null until it is issued. Usages are the words of the API between commas (`,A,B,`), for lists that filter by them.
 */
export const migrations: readonly Migration[] = [
  {
    name: 'acm-0001',
    sql: [
      `create table acm_certificates (
        account_id text not null,
        region text not null,
        certificate_uuid text not null,
        certificate_type text not null,
        status text not null,
        domain_name text not null,
        names text not null,
        key_algorithm text not null,
        key_usages text not null,
        extended_key_usages text not null,
        certificate_pem text,
        chain_pem text,
        private_key text,
        not_before_ms bigint,
        not_after_ms bigint,
        created_at_ms bigint not null,
        issued_at_ms bigint,
        primary key (account_id, region, certificate_uuid)
      )`,
      `create index acm_certificates_by_creation on acm_certificates (account_id, region, created_at_ms, certificate_uuid)`,
    ],
  },
  {
    // Requests: `validation` is JSON of what must be proven (validation.ts), null for what was imported. `next_action_ms` is when somebody must look again: at the
    // records in DNS while it is pending, or whether it can be renewed. `idempotency_key` stands for one hour (request-certificate.ts).
    name: 'acm-0002',
    sql: [
      `alter table acm_certificates add column validation text`,
      `alter table acm_certificates add column renewal_status text`,
      `alter table acm_certificates add column renewal_validation text`,
      `alter table acm_certificates add column renewal_updated_ms bigint`,
      `alter table acm_certificates add column next_action_ms bigint`,
      `alter table acm_certificates add column idempotency_key text`,
      `alter table acm_certificates add column transparency_preference text`,
      `create index acm_certificates_due on acm_certificates (next_action_ms) where next_action_ms is not null`,
      `create unique index acm_certificates_idempotency on acm_certificates (account_id, region, idempotency_key)
        where idempotency_key is not null`,
    ],
  },
  {
    // what is due is read account by account (due-certificates.ts)
    name: 'acm-0003',
    sql: [
      `drop index acm_certificates_due`,
      `create index acm_certificates_due_by_account on acm_certificates (account_id, next_action_ms)
        where next_action_ms is not null`,
    ],
  },
];
