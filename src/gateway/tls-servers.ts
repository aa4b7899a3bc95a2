/**
 * One `tls.Server` for each (server certificate, security policy, certificate request, ALPN answer), made at first use, at most `tlsServersMax`,
 * the least recently used dropped first. None of them listens: sockets whose ClientHello has been read are injected. Neither SNICallback nor
 * ALPNCallback is used: the first applies one certificate only and cannot vary the certificate request, the second cannot decline (design 2.8).
 * A renewed server certificate is another object, hence another server: new connections get it, old ones keep theirs.
 *
 * Client certificates are asked for but not verified against any CA: the registry decides by fingerprint, TLS itself proves that the peer holds
 * the key. Session tickets of both TLS versions carry the client's certificate; their key is common to all servers, lives in memory only and is
 * replaced every `ticketKeysPeriodMs`, which makes older tickets worthless: such a client pays a full handshake.
 */
import { constants, randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import type { SecurityPolicy } from '../tls/security-policy.ts';
import type { ServerCertificate } from '../tls/served-domain.ts';
import type { TlsError } from './handshake-failure.ts';

/** What distinguishes one server from another. */
export interface ServerNeeds {
  readonly certificate: ServerCertificate;
  readonly policy: SecurityPolicy;
  readonly requestCertificate: boolean;
  readonly alpn: string | undefined;
}

/** How a handshake ends: one of the two is called, once; neither when the socket is destroyed by this side. */
export interface HandshakeOutcome {
  secured(tlsSocket: TLSSocket): void;
  failed(error: TlsError, tlsSocket: TLSSocket): void;
}

/** Node has no public name for the socket under a TLSSocket, but the events of an injected socket name only the latter. */
const socketUnder = (tlsSocket: TLSSocket): Socket | undefined =>
  (tlsSocket as TLSSocket & { readonly _parent?: Socket })._parent;

/** Node's types have no null for "no response", its documentation has: then the handshake goes on without. */
const ocspAnswer = (staple: () => Uint8Array | undefined): Buffer => {
  const response = staple();
  return (response ? Buffer.from(response) : null) as Buffer;
};

/** Node's form: 16 bytes name, 16 bytes HMAC key, 16 bytes AES key. */
const newTicketKeys = (): Buffer => randomBytes(48);

export class TlsServers {
  /** Least recently used first. */
  readonly #servers = new Map<string, Server>();
  readonly #outcomes = new WeakMap<Socket, HandshakeOutcome>();
  /** A number for each certificate, so that it can be part of a key. */
  readonly #certificateNumbers = new WeakMap<ServerCertificate, number>();
  #lastNumber = 0;
  readonly #tlsServersMax: number;
  readonly #ticketKeysPeriodMs: number;
  readonly #now: () => number;
  #ticketKeys = newTicketKeys();
  #ticketKeysSinceMs: number;

  constructor(options: {
    /** Milliseconds since the epoch; only the rotation of ticket keys depends on it. */
    readonly now: () => number;
    readonly tlsServersMax?: number;
    readonly ticketKeysPeriodMs?: number;
  }) {
    this.#now = options.now;
    this.#tlsServersMax = options.tlsServersMax ?? 64;
    this.#ticketKeysPeriodMs = options.ticketKeysPeriodMs ?? 12 * 3_600_000;
    this.#ticketKeysSinceMs = options.now();
  }

  get size(): number {
    return this.#servers.size;
  }

  /**
   * Begins the handshake on a paused socket that holds, unread, all bytes received so far. Throws when key and certificate are unusable.
   */
  handshake(socket: Socket, needs: ServerNeeds, outcome: HandshakeOutcome): void {
    const server = this.#serverFor(needs);
    this.#outcomes.set(socket, outcome);
    server.emit('connection', socket);
  }

  #serverFor(needs: ServerNeeds): Server {
    this.#rotateTicketKeys();
    const number = this.#numberOf(needs.certificate);
    const key = `${number} ${needs.policy.name} ${needs.requestCertificate ? 'x509' : '-'} ${needs.alpn ?? ''}`;
    const kept = this.#servers.get(key);
    const server = kept ?? this.#create(needs);
    if (kept) this.#servers.delete(key);
    this.#servers.set(key, server);
    if (this.#servers.size > this.#tlsServersMax) {
      for (const oldest of this.#servers.keys()) {
        this.#servers.delete(oldest);
        break;
      }
    }
    return server;
  }

  #numberOf(certificate: ServerCertificate): number {
    let number = this.#certificateNumbers.get(certificate);
    if (number === undefined) {
      this.#lastNumber += 1;
      number = this.#lastNumber;
      this.#certificateNumbers.set(certificate, number);
    }
    return number;
  }

  #create({ certificate, policy, requestCertificate, alpn }: ServerNeeds): Server {
    const server = createServer({
      key: certificate.privateKeyPem,
      cert: certificate.chainPem,
      minVersion: policy.minVersion,
      maxVersion: policy.maxVersion,
      ciphers: policy.ciphers,
      honorCipherOrder: true,
      requestCert: requestCertificate,
      rejectUnauthorized: false,
      // an empty list instead of none: Node would otherwise look for the issuer among the public roots
      ca: [],
      ...(alpn === undefined ? {} : { ALPNProtocols: [alpn] }),
      ...(policy.dhe && { dhparam: 'auto' }),
      // a session made without a certificate request must not be resumed where a certificate is wanted, nor one with suites that the policy does not have
      sessionIdContext: `${requestCertificate ? 'x509' : 'none'} ${policy.name.slice(-24)}`,
      sessionTimeout: Math.ceil(this.#ticketKeysPeriodMs / 1000),
      ticketKeys: this.#ticketKeys,
      // a renegotiated TLS 1.2 session could change its certificate after we have looked at it
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    });
    server.on('secureConnection', (tlsSocket) => this.#outcomeOf(tlsSocket)?.secured(tlsSocket));
    const { staple } = certificate;
    if (staple) server.on('OCSPRequest', (_leaf, _issuer, answer) => answer(null, ocspAnswer(staple)));
    server.on('tlsClientError', (error, tlsSocket) => this.#outcomeOf(tlsSocket)?.failed(error, tlsSocket));
    return server;
  }

  /** The outcome of a handshake, given out once; a socket that nobody waits for is closed. */
  #outcomeOf(tlsSocket: TLSSocket): HandshakeOutcome | undefined {
    const socket = socketUnder(tlsSocket);
    const outcome = socket && this.#outcomes.get(socket);
    if (socket) this.#outcomes.delete(socket);
    if (!outcome) tlsSocket.destroy();
    return outcome;
  }

  #rotateTicketKeys(): void {
    if (this.#now() - this.#ticketKeysSinceMs < this.#ticketKeysPeriodMs) return;
    this.#ticketKeysSinceMs = this.#now();
    this.#ticketKeys = newTicketKeys();
    for (const server of this.#servers.values()) server.setTicketKeys(this.#ticketKeys);
  }
}
