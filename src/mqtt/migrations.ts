import type { Migration } from '../store/migrate.ts';

/**
 * Sessions that outlive their connection. `disconnected_at_ms` is null while connected. `mqtt_queue` holds what its owner has not acknowledged:
 * `owner` is a client id, or a shared subscription as it was written (`$share/...`, which no client id begins with). Packet identifiers follow
 * from positions. `subscription_identifier` 0 = none; in the queue they stand among the properties. `state` 1: the client has received a QoS 2 message (PUBREC). Large columns stand last, so that counting passes them by.
 */
export const migrations: readonly Migration[] = [
  {
    name: 'mqtt-0001',
    sql: [
      `create table mqtt_sessions (
        account_id text not null,
        region text not null,
        client_id text not null,
        session_identifier text not null,
        epoch bigint not null,
        protocol_version bigint not null,
        clean_start bigint not null,
        expiry_seconds bigint not null,
        keep_alive_seconds bigint not null,
        connected_at_ms bigint not null,
        disconnected_at_ms bigint,
        disconnect_reason text,
        primary key (account_id, region, client_id)
      )`,
      `create table mqtt_subscriptions (
        account_id text not null,
        region text not null,
        client_id text not null,
        filter text not null,
        qos bigint not null,
        no_local bigint not null,
        retain_as_published bigint not null,
        subscription_identifier bigint not null,
        primary key (account_id, region, client_id, filter)
      )`,
      `create table mqtt_queue (
        account_id text not null,
        region text not null,
        owner text not null,
        position bigint not null,
        state bigint not null default 0,
        qos bigint not null,
        retain bigint not null,
        bytes bigint not null,
        expires_at_ms bigint,
        topic text not null,
        properties bytea,
        payload bytea not null,
        primary key (account_id, region, owner, position)
      )`,
      `create index mqtt_queue_by_expiry on mqtt_queue (expires_at_ms, account_id, region, owner, position)
        where expires_at_ms is not null`,
    ],
  },
  {
    // QoS 2 messages that were taken from a client and not released by it yet.
    name: 'mqtt-0002',
    sql: [
      `create table mqtt_receipts (
        account_id text not null,
        region text not null,
        client_id text not null,
        packet_id bigint not null,
        primary key (account_id, region, client_id, packet_id)
      )`,
    ],
  },
];
