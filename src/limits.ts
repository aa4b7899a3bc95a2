/**
 * Every bound of the data plane, by name, with AWS's value (source: spec gateway.md 12) or, under `--limits open`, a self-hosted one. Any room may
 * import from here.
 */

/** Where AWS departs from MQTT, or leaves a choice of MQTT to itself. `--limits open` follows MQTT instead. */
export interface Dialect {
  /** Highest QoS: AWS knows no QoS 2 (spec gateway.md 5.11). */
  readonly qosMax: 1 | 2;
  /** `a/#` matches `a` as well [MQTT-4.7.1-2]; not on AWS (5.6). */
  readonly hashMatchesParent: boolean;
  /** v5 Subscription Identifiers are taken and sent. */
  readonly subscriptionIdentifiers: boolean;
  /** Filters with wildcards get retained messages when they are subscribed; on AWS only exact ones do (5.9). */
  readonly retainedForWildcards: boolean;
  /** v5 Retain As Published is honoured; on AWS live forwards never carry RETAIN (5.6). */
  readonly retainAsPublished: boolean;
  /** v5 Will Delay Interval is honoured; on AWS it is 0 (5.8). */
  readonly willDelay: boolean;
  /** DUP is set on what is sent again; never on AWS (5.5). */
  readonly duplicateFlag: boolean;
  /** Keep Alive 0 switches it off; on AWS it means the longest (5.2). */
  readonly keepAliveMayBeOff: boolean;
  /** v5 clients that allow topic aliases are sent them; never on AWS (5.7). */
  readonly outboundTopicAliases: boolean;
  /** Topics that begin with `$` are ordinary ones, but for `$aws`, `$SYS` and `$share`; on AWS all are reserved (6). */
  readonly dollarTopics: boolean;
  /** A message that is not acknowledged for an hour on a live connection is given up (5.7). */
  readonly givesUpDeliveries: boolean;
  /** v5: a filter that is not allowed gets 0x87; without it 0x80, which tells the client nothing (MQTT 5.0 3.9.3). */
  readonly namesDenials: boolean;
}

/** Bounds of one node's gateway and broker. Sizes in bytes, times in seconds or milliseconds as named. */
export interface Limits {
  readonly dialect: Dialect;
  readonly clientIdBytesMax: number;
  readonly topicBytesMax: number;
  /**
   * Slashes in a topic or filter, not counting the prefix of Basic Ingest and of shared subscriptions. Each level of a filter is a node of a tree that is
   * walked by recursion: a few thousand would be too many.
   */
  readonly topicSlashesMax: number;
  /**
   * Client ids and filters of sessions that outlive their connection, and topics of retained messages. They are keys of the store, of which PostgreSQL
   * indexes at most 2704 bytes: the first two together.
   */
  readonly keptClientIdBytesMax: number;
  readonly keptFilterBytesMax: number;
  readonly retainedTopicBytesMax: number;
  readonly payloadBytesMax: number;
  readonly packetBytesMax: number;
  readonly subscriptionsPerConnectionMax: number;
  readonly filtersPerSubscribeMax: number;
  /** AWS names none; a packet has room for tens of thousands, which take as long as they are many. */
  readonly filtersPerUnsubscribeMax: number;
  readonly keepAliveSecondsMin: number;
  readonly keepAliveSecondsMax: number;
  /** Unacknowledged QoS 1 messages per connection and direction; also Receive Maximum of the CONNACK. */
  readonly inflightMax: number;
  readonly topicAliasMax: number;
  /** Bytes waiting to be written to one connection; beyond it QoS 0 messages for it are dropped and QoS 1 publishers are held back. */
  readonly outboundBytesMax: number;
  /** The same, and messages that wait or are unacknowledged, of all connections together (mqtt/outbound.ts); beyond it the slowest are closed. */
  readonly outboundBytesPerNodeMax: number;
  /** Packets whose end has not arrived, of all connections together (mqtt/packets/gathering.ts); one that needs more is closed. */
  readonly partialPacketBytesPerNodeMax: number;
  /** Connections of this node; one more is closed before its handshake. */
  readonly connectionsMax: number;
  /** TLS handshakes under way at once; further ones wait, `connectionsMax` bounds how many. */
  readonly handshakesMax: number;
  readonly clientHelloBytesMax: number;
  /** From the accepted socket to the end of the TLS handshake. */
  readonly handshakeMs: number;
  /** From the end of the TLS handshake to the CONNECT packet. */
  readonly connectPacketMs: number;
  /** Bytes of an HTTP request body. */
  readonly httpBodyBytesMax: number;
  /** Account and region pairs that may come into being by first use. */
  readonly accountsMax: number;
  /** v3 persistent sessions live this long without a connection; v5 ones at most (`--session-expiry`). */
  readonly sessionExpirySecondsMax: number;
  /** Persistent sessions of one account and region; one more CONNECT that asks for one is refused. */
  readonly sessionsPerAccountMax: number;
  /** Messages that wait in the store for one session or shared group, and their cost in bytes; what comes beyond either is dropped. */
  readonly queuedMessagesPerSessionMax: number;
  readonly queuedBytesPerSessionMax: number;
  /** The same for all sessions and groups of one account and region together. */
  readonly queuedBytesPerAccountMax: number;
  /** Retained messages of one account and region; one more with a payload is refused. */
  readonly retainedPerAccountMax: number;
}

export const awsDialect: Dialect = Object.freeze({
  qosMax: 1,
  hashMatchesParent: false,
  subscriptionIdentifiers: false,
  retainedForWildcards: false,
  retainAsPublished: false,
  willDelay: false,
  duplicateFlag: false,
  keepAliveMayBeOff: false,
  outboundTopicAliases: false,
  dollarTopics: false,
  givesUpDeliveries: true,
  namesDenials: true,
});

export const openDialect: Dialect = Object.freeze({
  qosMax: 2,
  hashMatchesParent: true,
  subscriptionIdentifiers: true,
  retainedForWildcards: true,
  retainAsPublished: true,
  willDelay: true,
  duplicateFlag: true,
  keepAliveMayBeOff: true,
  outboundTopicAliases: true,
  dollarTopics: true,
  givesUpDeliveries: false,
  namesDenials: true,
});

export const awsLimits: Limits = Object.freeze({
  dialect: awsDialect,
  clientIdBytesMax: 128,
  topicBytesMax: 256,
  topicSlashesMax: 7,
  keptClientIdBytesMax: 1024,
  keptFilterBytesMax: 1536,
  retainedTopicBytesMax: 2560,
  payloadBytesMax: 131_072,
  packetBytesMax: 149_504,
  subscriptionsPerConnectionMax: 50,
  filtersPerSubscribeMax: 8,
  filtersPerUnsubscribeMax: 1000,
  keepAliveSecondsMin: 30,
  keepAliveSecondsMax: 1200,
  inflightMax: 100,
  topicAliasMax: 8,
  outboundBytesMax: 1_048_576,
  outboundBytesPerNodeMax: 536_870_912,
  partialPacketBytesPerNodeMax: 268_435_456,
  connectionsMax: 100_000,
  handshakesMax: 64,
  clientHelloBytesMax: 65_536,
  handshakeMs: 10_000,
  connectPacketMs: 30_000,
  httpBodyBytesMax: 1_048_576,
  accountsMax: 1000,
  sessionExpirySecondsMax: 3600,
  sessionsPerAccountMax: 500_000,
  queuedMessagesPerSessionMax: 10_000,
  queuedBytesPerSessionMax: 67_108_864,
  queuedBytesPerAccountMax: 4_294_967_296,
  retainedPerAccountMax: 5000,
});

/** For self-hosted use: what MQTT allows, bounded by what one machine bears. */
export const openLimits: Limits = Object.freeze({
  ...awsLimits,
  dialect: openDialect,
  clientIdBytesMax: 65_535,
  topicBytesMax: 65_535,
  topicSlashesMax: 1023,
  payloadBytesMax: 16_777_216,
  packetBytesMax: 16_908_288,
  subscriptionsPerConnectionMax: 1_000_000,
  filtersPerSubscribeMax: 65_535,
  filtersPerUnsubscribeMax: 65_535,
  keepAliveSecondsMin: 1,
  keepAliveSecondsMax: 65_535,
  inflightMax: 1000,
  topicAliasMax: 64,
  retainedPerAccountMax: 1_000_000,
});

/** By the values of `--limits`. */
export const limitSets = Object.freeze({ aws: awsLimits, open: openLimits });
