/** What the gateway asks of the rooms above it, and what all connections of one listener share. Types only. */
import type { TLSSocket } from 'node:tls';
import type { RecordAttempt } from '../journal/record.ts';
import type { Limits } from '../limits.ts';
import type { Peer } from '../mqtt/authority.ts';
import type { Resolution, ServerCertificate } from '../tls/served-domain.ts';
import type { HandshakeLine } from './handshake-line.ts';
import type { Protocol, ProtocolChoice } from './protocol.ts';
import type { ServerKind } from './server-kind.ts';
import type { TlsServers } from './tls-servers.ts';

/** An account in one region. */
export type Account = NonNullable<Peer['account']>;

/** `serverName` in lower case without a trailing dot; undefined when there was none or an IP literal. Matching is whole-name. */
export type ResolveServerName = (serverName: string | undefined) => Resolution | Promise<Resolution>;

/** For whom a server certificate is wanted; without an account it is the default endpoint's. */
export interface Endpoint {
  readonly account: Account | undefined;
  readonly serverName: string | undefined;
}

/** Asked for every connection to a name that brings no certificate along, so it should answer from memory. An endpoint with one certificate answers it for either kind. */
export type ServerCertificates = (
  endpoint: Endpoint,
  kind: ServerKind,
) => ServerCertificate | Promise<ServerCertificate>;

/** Takes over an authenticated connection. The certificate is proven to be the peer's, not yet to be registered. */
export type Accept = (tlsSocket: TLSSocket, peer: Peer, protocol: Protocol) => void;

/** Bounds that no operator needs to turn, so they are not in the configuration. */
export interface GatewayBounds {
  /** Connections that have not sent their whole ClientHello; one more, and the one that has waited longest is closed. */
  readonly hellosMax: number;
  /** Connections waiting for their handshake; one more is refused. */
  readonly handshakesWaitingMax: number;
  /** Handshakes begun in one turn of the event loop: what those already connected may have to wait for. */
  readonly handshakesPerTurnMax: number;
  /** How long a handshake keeps its slot while others wait. */
  readonly handshakeSlotMs: number;
  /** How long a refused client is given to read its alert and to hang up. */
  readonly lingerMs: number;
}

export const gatewayBounds: GatewayBounds = Object.freeze({
  hellosMax: 4096,
  handshakesWaitingMax: 2048,
  handshakesPerTurnMax: 8,
  handshakeSlotMs: 250,
  lingerMs: 1000,
});

export interface GatewayOptions {
  /** Address to bind, e.g. `127.0.0.1`. */
  readonly host: string;
  /** 0 = a free port. */
  readonly port: number;
  readonly limits: Pick<Limits, 'connectionsMax' | 'handshakesMax' | 'clientHelloBytesMax' | 'handshakeMs'>;
  /** Default: MQTT with a client certificate (port 8883). */
  readonly protocol?: ProtocolChoice;
  /** Refuse connections without a server name instead of deriving the account from the certificate. Default false. */
  readonly requireSni?: boolean;
  readonly resolve: ResolveServerName;
  readonly serverCertificates: ServerCertificates;
  readonly accept: Accept;
  readonly record: RecordAttempt;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** What the listeners of one node have in common. Default: nothing, it is the only one. */
  readonly shared?: Partial<Shared>;
  readonly bounds?: Partial<GatewayBounds>;
}

/** What the listeners of one node have in common. */
export interface Shared {
  /** A TLS session of one listener is resumed at another. */
  readonly tlsServers: TlsServers;
  /** Handshakes of all listeners stand in one line. */
  readonly line: HandshakeLine;
  /** TCP connections of all listeners. */
  readonly connections: { count: number };
}

/** What the connections of one listener share. */
export interface Gate {
  readonly options: GatewayOptions;
  readonly protocol: ProtocolChoice;
  readonly shared: Shared;
  readonly lingerMs: number;
}
