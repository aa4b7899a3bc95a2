import type { Migration } from '../../store/migrate.ts';

/**
 * `attributes` is a JSON object of strings. `thing_type_name` and `billing_group_name` stay null until those resources exist.
 * The partial index lets the database itself refuse a second exclusive thing of one principal.
 */
export const migrations: readonly Migration[] = [
  {
    name: 'things-0001',
    sql: [
      `create table things (
        account_id text not null,
        region text not null,
        thing_name text not null,
        thing_id text not null,
        version bigint not null,
        attributes text not null,
        thing_type_name text,
        billing_group_name text,
        created_at_ms bigint not null,
        primary key (account_id, region, thing_name)
      )`,
      `create table thing_principals (
        account_id text not null,
        region text not null,
        thing_name text not null,
        principal text not null,
        thing_principal_type text not null,
        created_at_ms bigint not null,
        primary key (account_id, region, thing_name, principal)
      )`,
      `create index thing_principals_by_principal on thing_principals (account_id, region, principal, thing_name)`,
      `create unique index thing_principals_exclusive on thing_principals (account_id, region, principal)
        where thing_principal_type = 'EXCLUSIVE_THING'`,
    ],
  },
];
