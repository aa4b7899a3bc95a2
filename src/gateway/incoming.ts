/**
 * One TCP connection on its way in: ClientHello -> account and server certificate -> its turn in the line -> TLS -> handed over to `accept`.
 * Every step can refuse: then the journal is told the first cause, an alert is sent where TLS has one, and the socket is closed.
 * From the accepted socket to the end of the handshake at most `handshakeMs` may pass, whatever the client does or leaves undone.
 */
import type { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { JournalRecord, Reason, TlsFacts } from '../journal/record.ts';
import { defaultSecurityPolicy, policyOnPort, type SecurityPolicy } from '../tls/security-policy.ts';
import type { ClientCertificateAnswer, Resolution, ServedDomain, ServerCertificate } from '../tls/served-domain.ts';
import { type Alert, fatalAlert } from './alert.ts';
import { type ClientHello, isIpLiteral } from './client-hello.ts';
import { domainProtocol } from './domain-protocol.ts';
import type { Account, Gate } from './gate.ts';
import { handshakeFailure, type TlsError } from './handshake-failure.ts';
import type { Place } from './handshake-line.ts';
import { ClientHelloReader } from './hello-reader.ts';
import {
  certificateIdOf,
  certificateTlsFacts,
  chainPems,
  domainFacts,
  helloTlsFacts,
  peerCertificate,
  TlsPeer,
} from './peer.ts';
import { lookAlpn, type Protocol } from './protocol.ts';
import { watchForRejection } from './rejection.ts';
import { negotiatedVersion, type ServerKind, serverKind } from './server-kind.ts';

/** Characters of an internal error's message that a record shows. */
const errorCharactersMax = 200;

/**
 * `hello` bytes are read here; `deciding` rooms above are asked; `waiting` in the line; `handshake` OpenSSL has the socket; `asking` a function about
 * the certificate; `open` accepted;
 * `over` refused, closing or closed.
 */
type Step = 'hello' | 'deciding' | 'waiting' | 'handshake' | 'asking' | 'open' | 'over';

/** What the listener is told, each at least once. */
export interface Progress {
  /** No longer waiting for the ClientHello: it is there, or refused. */
  helloDone(): void;
  closed(): void;
}

const ignore = (): void => {};

/** Goes on at once with an answer that is there, and later with one that is not: the usual case costs no turn of the event loop. */
const when = <T>(ask: () => T | Promise<T>, next: (value: T) => void, failed: (error: unknown) => void): void => {
  let answer: T | Promise<T>;
  try {
    answer = ask();
  } catch (error) {
    failed(error);
    return;
  }
  if (answer instanceof Promise) answer.then(next, failed);
  else next(answer);
};

/** An IPv4 address that a dual-stack listener shows as IPv6. */
export const plainAddress = (address: string): string => (address.startsWith('::ffff:') ? address.slice(7) : address);

/** How a connection ends that only looks. */
const lookEnds: ReadonlySet<Reason> = new Set<Reason>(['SERVER_CERTIFICATE_REJECTED', 'CLIENT_CERTIFICATE_MISSING']);

export class Incoming {
  readonly #gate: Gate;
  readonly #socket: Socket;
  readonly #progress: Progress;
  /** Until OpenSSL has its bytes. */
  #reader: ClientHelloReader | undefined;
  readonly #remoteAddress: string;
  readonly #remotePort: number;
  #step: Step = 'hello';
  #timer: NodeJS.Timeout;
  #place: Place | undefined;
  /** Received before our certificate was shown. */
  #bytesBefore = 0;
  // what became known on the way, for the records
  #tls: TlsFacts = {};
  #account: Account | undefined;
  #serverName: string | undefined;
  #domain: ServedDomain | undefined;

  constructor(gate: Gate, socket: Socket, progress: Progress) {
    this.#gate = gate;
    this.#socket = socket;
    this.#progress = progress;
    this.#reader = new ClientHelloReader(gate.options.limits.clientHelloBytesMax);
    this.#remoteAddress = plainAddress(socket.remoteAddress ?? '');
    this.#remotePort = socket.remotePort ?? 0;
    this.#timer = setTimeout(() => this.#late(), gate.options.limits.handshakeMs);
    socket.on('error', ignore);
    socket.on('close', () => this.#closed());
    socket.on('data', this.#read);
  }

  get open(): boolean {
    return this.#step === 'open';
  }

  /** Ends it without a word, whatever it was doing. */
  destroy(): void {
    this.#step = 'over';
    this.#socket.destroy();
  }

  /** Makes room for newer connections while its ClientHello is still missing. */
  giveWay(): void {
    this.#refuse('CONNECTION_LIMIT', { detail: 'too many connections have not sent their ClientHello' });
  }

  readonly #read = (chunk: Buffer): void => {
    const reading = this.#reader?.push(chunk);
    if (!reading || reading.kind === 'more') return;
    if (reading.kind === 'refused') {
      this.#refuse('CLIENT_HELLO_INVALID', { detail: reading.detail }, reading.tls ? 'decodeError' : undefined);
      return;
    }
    this.#socket.removeListener('data', this.#read);
    this.#socket.pause();
    this.#step = 'deciding';
    this.#progress.helloDone();
    this.#tls = helloTlsFacts(reading.hello);
    this.#decide(reading.hello);
  };

  /** The account, by the server name of this ClientHello and nothing else (design 3: order of deciding the account). */
  #decide(hello: ClientHello): void {
    const { requireSni, resolve } = this.#gate.options;
    const named = hello.serverName !== undefined && !isIpLiteral(hello.serverName);
    this.#serverName = named ? hello.serverName : undefined;
    if (!named && requireSni) {
      this.#refuse('SNI_REQUIRED', {}, 'missingExtension');
      return;
    }
    const next = (resolution: Resolution): void => {
      if (this.#step !== 'deciding') return;
      if (resolution.kind === 'account') {
        this.#account = resolution.account;
        this.#domain = resolution.domain;
        if (resolution.domain) this.#tls = { ...this.#tls, domain: domainFacts(resolution.domain) };
      } else if (resolution.kind === 'disabled') {
        this.#account = resolution.account;
        this.#tls = { ...this.#tls, domain: { name: resolution.name } };
        this.#refuse('DOMAIN_CONFIGURATION_DISABLED', {}, 'accessDenied');
        return;
      }
      if (resolution.kind === 'unknown') this.#refuse('SNI_MISUSED', {}, 'unrecognizedName');
      else this.#choose(hello);
    };
    when(() => resolve(this.#serverName), next, this.#broken);
  }

  get #policy(): SecurityPolicy {
    return this.#domain?.securityPolicy ?? defaultSecurityPolicy;
  }

  /** Version, protocol and server certificate; then into the line. */
  #choose(hello: ClientHello): void {
    const version = negotiatedVersion(hello, this.#policy);
    if (!version) {
      this.#refuse('TLS_VERSION_UNSUPPORTED', {}, 'protocolVersion');
      return;
    }
    this.#tls = { ...this.#tls, version };
    const choice = this.#domain ? domainProtocol(this.#domain, this.#gate.protocol) : this.#gate.protocol;
    const protocol = choice(hello.alpn);
    if (protocol.name === 'unavailable') {
      this.#refuse('NOT_AVAILABLE', { detail: protocol.detail }, 'noApplicationProtocol');
      return;
    }
    const kind: ServerKind = serverKind(hello, version);
    const next = (certificate: ServerCertificate): void => {
      if (this.#step !== 'deciding') return;
      this.#step = 'waiting';
      const place = this.#gate.shared.line.enter((own) => {
        this.#place = own;
        this.#handshake(certificate, protocol);
      });
      if (place) this.#place = place;
      else this.#refuse('CONNECTION_LIMIT', { detail: 'too many TLS handshakes wait' });
    };
    if (this.#domain?.certificate) {
      next(this.#domain.certificate);
      return;
    }
    const endpoint = { account: this.#account, serverName: this.#serverName };
    when(() => this.#gate.options.serverCertificates(endpoint, kind), next, this.#broken);
  }

  #handshake(certificate: ServerCertificate, protocol: Protocol): void {
    const needs = {
      certificate,
      policy: policyOnPort(this.#policy, this.#gate.options.port),
      requestCertificate: protocol.clientCertificate !== 'none',
      alpn: protocol.alpn,
    };
    const outcome = {
      secured: (tlsSocket: TLSSocket) => this.#secured(tlsSocket, protocol),
      failed: (error: TlsError, tlsSocket: TLSSocket) => this.#failed(error, tlsSocket),
    };
    if (!this.#reader || this.#socket.destroyed) return;
    // OpenSSL must see every byte: those read here first, those that arrived since then after them
    this.#socket.unshift(this.#reader.received());
    this.#reader = undefined;
    this.#bytesBefore = this.#socket.bytesRead;
    try {
      this.#step = 'handshake';
      this.#gate.shared.tlsServers.handshake(this.#socket, needs, outcome);
    } catch (error) {
      this.#step = 'waiting';
      this.#broken(error);
    }
  }

  #failed(error: TlsError, tlsSocket: TLSSocket): void {
    if (this.#step !== 'handshake') return;
    // Node closes the socket itself, behind its alert; the timer stays as the last resort
    this.#step = 'over';
    const leaf = peerCertificate(tlsSocket);
    const { reason, failure } = handshakeFailure(error, leaf !== undefined);
    this.#tls = { ...this.#tls, failure };
    this.#record(reason, {}, leaf);
  }

  #secured(tlsSocket: TLSSocket, protocol: Protocol): void {
    this.#place?.leave();
    tlsSocket.on('error', ignore);
    if (this.#step !== 'handshake') {
      tlsSocket.destroy();
      return;
    }
    const leaf = peerCertificate(tlsSocket);
    if (!leaf && protocol.clientCertificate === 'required') {
      this.#record('CLIENT_CERTIFICATE_MISSING');
      // Node has no way to send certificate_required here; a close before any answer is as conformant (spec gateway.md 1.5)
      this.#turnAway(tlsSocket);
      return;
    }
    const acceptsClient = leaf && this.#domain?.acceptsClient;
    if (!acceptsClient) {
      this.#enter(tlsSocket, protocol, leaf);
      return;
    }
    this.#step = 'asking';
    clearTimeout(this.#timer);
    const answered = ({ accepted, detail }: ClientCertificateAnswer): void => {
      if (this.#step !== 'asking') return;
      if (accepted) this.#enter(tlsSocket, protocol, leaf);
      else {
        this.#record('CLIENT_CERTIFICATE_CALLBACK_REFUSED', detail === undefined ? {} : { detail }, leaf);
        this.#turnAway(tlsSocket);
      }
    };
    const question = { certificateId: certificateIdOf(leaf), chain: chainPems(leaf), serverName: this.#serverName };
    acceptsClient(question).then(answered, () => answered({ accepted: false }));
  }

  /** Closes after the handshake, without an answer. What the client has sent is read and dropped: closing over it would reset the connection. */
  #turnAway(tlsSocket: TLSSocket): void {
    this.#step = 'over';
    tlsSocket.resume();
    tlsSocket.end();
    this.#linger();
  }

  #enter(tlsSocket: TLSSocket, protocol: Protocol, leaf: X509Certificate | undefined): void {
    clearTimeout(this.#timer);
    this.#step = 'open';
    const peer = new TlsPeer(tlsSocket, leaf, {
      account: this.#account,
      serverName: this.#serverName,
      remoteAddress: this.#remoteAddress,
      remotePort: this.#remotePort,
      helloFacts: this.#tls,
    });
    watchForRejection(this.#socket, tlsSocket, (failure) => {
      this.#tls = { ...this.#tls, failure };
      this.#record('SERVER_CERTIFICATE_REJECTED', {}, leaf);
    });
    this.#gate.options.accept(tlsSocket, peer, protocol);
  }

  /** A room above could not answer, or the server's certificate is unusable: our fault, and the client may try again. */
  readonly #broken = (error: unknown): void => {
    const detail = (error instanceof Error ? error.message : String(error)).slice(0, errorCharactersMax);
    this.#refuse('INTERNAL_SERVER_ERROR', { detail }, 'internalError');
  };

  #late(): void {
    const { handshakeMs } = this.#gate.options.limits;
    const failure = `not finished within ${handshakeMs} ms`;
    if (this.#step === 'over') this.#socket.destroy();
    else if (this.#step === 'hello') this.#refuse('CLIENT_HELLO_INVALID', { detail: failure });
    else if (this.#step === 'handshake' && this.#socket.bytesRead === this.#bytesBefore) {
      // Observed: the AWS device SDKs (s2n-tls) do not trust a certificate in silence, and hold the connection for another 10 to 30 seconds
      this.#refuse('SERVER_CERTIFICATE_REJECTED', { detail: `it sent nothing more within ${handshakeMs} ms` });
    } else {
      this.#tls = { ...this.#tls, failure };
      this.#refuse('TLS_HANDSHAKE_FAILED');
    }
  }

  /** Ends it with a record, and with an alert unless OpenSSL has the socket already. */
  #refuse(reason: Reason, more: Partial<JournalRecord> = {}, alert?: Alert): void {
    if (this.#step === 'over') return;
    this.#step = 'over';
    this.#progress.helloDone();
    this.#place?.leave();
    this.#record(reason, more);
    if (!alert) {
      this.#socket.destroy();
      return;
    }
    // what else the client has sent is read and dropped: closing over unread bytes would reset the connection and lose the alert
    this.#socket.removeListener('data', this.#read);
    this.#socket.resume();
    this.#socket.end(fatalAlert(alert));
    this.#linger();
  }

  #linger(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#socket.destroy(), this.#gate.lingerMs);
  }

  #closed(): void {
    clearTimeout(this.#timer);
    this.#place?.leave();
    this.#progress.closed();
    // in the handshake the TLS side tells what happened, and that only after this; a port probe that says nothing is no attempt
    if (this.#step === 'handshake' || this.#step === 'open') return;
    if (this.#step === 'hello' && this.#reader && this.#reader.received().length > 0) {
      this.#record('CLIENT_HELLO_INVALID', { detail: 'closed before the ClientHello was complete' });
    } else if (this.#step === 'deciding' || this.#step === 'waiting') {
      this.#tls = { ...this.#tls, failure: 'closed by the client before its turn' };
      this.#record('TLS_HANDSHAKE_FAILED');
    }
    this.#step = 'over';
  }

  #record(reason: Reason, more: Partial<JournalRecord> = {}, leaf?: X509Certificate): void {
    if (lookEnds.has(reason) && this.#tls.alpn?.includes(lookAlpn)) return;
    this.#gate.options.record({
      eventType: 'Connection.AuthNError',
      status: 'Failure',
      reason,
      sourceIp: this.#remoteAddress,
      sourcePort: this.#remotePort,
      tls: leaf ? { ...this.#tls, ...certificateTlsFacts(leaf) } : this.#tls,
      ...(this.#account && { account: this.#account }),
      ...(leaf && { certificateId: certificateIdOf(leaf) }),
      ...more,
    });
  }
}
