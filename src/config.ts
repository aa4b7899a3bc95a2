/**
 * Everything an operator may set, read once into a frozen object. Any room may import types from here; only `node.ts` and `main.ts` read values.
 * Every bound of the data plane is named here with AWS's value as default (source: spec gateway.md 12).
 */

/** Bounds of one node's gateway and broker. Sizes in bytes, times in seconds or milliseconds as named. */
export interface Limits {
  readonly clientIdBytesMax: number;
  readonly topicBytesMax: number;
  /** Slashes in a topic or filter, not counting the prefix of Basic Ingest and of shared subscriptions. */
  readonly topicSlashesMax: number;
  readonly payloadBytesMax: number;
  readonly packetBytesMax: number;
  readonly subscriptionsPerConnectionMax: number;
  readonly filtersPerSubscribeMax: number;
  readonly keepAliveSecondsMin: number;
  readonly keepAliveSecondsMax: number;
  /** Unacknowledged QoS 1 messages per connection and direction; also Receive Maximum of the CONNACK. */
  readonly inflightMax: number;
  readonly topicAliasMax: number;
  /** Bytes waiting to be written to one connection; beyond it QoS 0 messages for it are dropped and QoS 1 publishers are held back. */
  readonly outboundBytesMax: number;
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
}

export const awsLimits: Limits = Object.freeze({
  clientIdBytesMax: 128,
  topicBytesMax: 256,
  topicSlashesMax: 7,
  payloadBytesMax: 131_072,
  packetBytesMax: 149_504,
  subscriptionsPerConnectionMax: 50,
  filtersPerSubscribeMax: 8,
  keepAliveSecondsMin: 30,
  keepAliveSecondsMax: 1200,
  inflightMax: 100,
  topicAliasMax: 8,
  outboundBytesMax: 1_048_576,
  connectionsMax: 100_000,
  handshakesMax: 64,
  clientHelloBytesMax: 65_536,
  handshakeMs: 10_000,
  connectPacketMs: 30_000,
  httpBodyBytesMax: 1_048_576,
  accountsMax: 1000,
});

/** A long-lived key of an account's root, for use from other machines. */
export interface RootKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface Config {
  /** Address the listeners bind, e.g. `127.0.0.1`. */
  readonly host: string;
  /** 0 = a free port, for each port. */
  readonly apiPort: number;
  readonly mqttPort: number;
  readonly httpsPort: number;
  /** Folder of the store, the keys and the certificates. */
  readonly dataFolder: string;
  /** Suffix of the account endpoints: `<prefix>-ats.iot.<region>.<domain>`. */
  readonly domain: string;
  /** Plain host names, beside `localhost` and the host's own name, that belong to the default account and region. */
  readonly names: readonly string[];
  readonly accountId: string;
  readonly region: string;
  /** Development: `explain last` may read the operator journal, the clock may be moved. Honoured for loopback peers only. */
  readonly requireSni: boolean;
  /** Origins of web pages that may call the API, beside its own. */
  readonly allowedOrigins: readonly string[];
  /** PEM files that replace the server certificate of the default endpoint. */
  readonly serverCert?: string;
  readonly serverKey?: string;
  readonly rootKey?: RootKey;
  /** pino's level names; `silent` for none. */
  readonly logLevel: string;
  readonly limits: Limits;
}
