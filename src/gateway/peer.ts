/** What is known of a peer after its handshake, and the same for the journal when there is no after. */
import { hash, type X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { ChainEntry, DomainFacts, TlsFacts } from '../journal/record.ts';
import type { Peer } from '../mqtt/authority.ts';
import type { ServedDomain } from '../tls/served-domain.ts';
import type { ClientHello } from './client-hello.ts';

/** Certificates of a peer's chain that a record shows. */
const chainEntriesMax = 4;
/** Certificates of a peer's chain that a function is shown; OpenSSL takes 100 kB of them. */
const chainShownMax = 10;
/** A name longer than this is cut: it is foreign text of up to 100 kB. */
const nameCharactersMax = 1024;
/** A larger leaf is not copied into a record; real ones have 1 to 2 kB. */
const leafBytesMax = 16_384;

/** The certificateId: lower-case hex SHA-256 of the DER. */
const fingerprint = (der: Uint8Array): string => hash('sha256', der, 'hex');

/** Date's milliseconds; 0 for a date that a hostile certificate made unreadable. */
const milliseconds = (date: Date): number => (Number.isNaN(date.getTime()) ? 0 : date.getTime());

// OpenSSL's one-line-per-attribute names become one line; Node yields undefined, against its types, for an empty name
const oneLine = (name: string | undefined): string => (name ?? '').slice(0, nameCharactersMax).replaceAll('\n', ', ');

const chainEntry = (certificate: X509Certificate): ChainEntry => ({
  fingerprint: fingerprint(certificate.raw),
  subject: oneLine(certificate.subject),
  issuer: oneLine(certificate.issuer),
  notBeforeMs: milliseconds(certificate.validFromDate),
  notAfterMs: milliseconds(certificate.validToDate),
});

/** The chain as sent, leaf first; what of it can be read when a certificate is so broken that Node throws. */
const chainOf = <T>(leaf: X509Certificate, entriesMax: number, entry: (certificate: X509Certificate) => T): T[] => {
  const chain: T[] = [];
  try {
    let next: X509Certificate | undefined = leaf;
    for (; next && chain.length < entriesMax; next = next.issuerCertificate) chain.push(entry(next));
  } catch {
    // a shorter chain is worth more than none
  }
  return chain;
};

/** PEM, leaf first. */
export const chainPems = (leaf: X509Certificate): readonly string[] => chainOf(leaf, chainShownMax, String);

/** The facts that are known before any handshake. */
export const helloTlsFacts = ({ serverName, alpn }: Pick<ClientHello, 'serverName' | 'alpn'>): TlsFacts => ({
  ...(serverName === undefined ? {} : { serverName }),
  ...(alpn.length === 0 ? {} : { alpn }),
});

/** What of a domain configuration may explain a refusal. */
export const domainFacts = (domain: ServedDomain): DomainFacts => {
  const { name, securityPolicy, applicationProtocol, authenticationType, presented } = domain;
  return {
    ...{ name, securityPolicy: securityPolicy.name, applicationProtocol, authenticationType },
    ...(presented && { serverCertificate: presented }),
  };
};

/** The certificates' part of the facts. */
export const certificateTlsFacts = (leaf: X509Certificate): TlsFacts => {
  const leafPem = leaf.raw.length <= leafBytesMax ? leaf.toString() : undefined;
  return { chain: chainOf(leaf, chainEntriesMax, chainEntry), ...(leafPem === undefined ? {} : { leafPem }) };
};

export const certificateIdOf = (leaf: X509Certificate): string => fingerprint(leaf.raw);

/** The peer's leaf, whether the handshake is done, resumed or has just failed; undefined when none has arrived. */
export const peerCertificate = (tlsSocket: TLSSocket): X509Certificate | undefined => {
  try {
    return tlsSocket.getPeerX509Certificate();
  } catch {
    // a certificate that OpenSSL accepted and Node cannot wrap is as good as none
    return undefined;
  }
};

/** What is known of a peer without its TLS connection. */
interface PeerFacts extends Pick<Peer, 'account' | 'serverName' | 'remoteAddress' | 'remotePort'> {
  /** What the ClientHello told. */
  readonly helloFacts: TlsFacts;
}

/**
 * A peer whose handshake is done. The good path pays for the fingerprint of the leaf only; the chain is worked out when somebody asks for `tls`,
 * also when the socket is gone by then.
 */
export class TlsPeer implements Peer {
  readonly account: Peer['account'];
  readonly serverName: string | undefined;
  readonly certificate: Peer['certificate'];
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly local: { readonly address: string; readonly port: number };
  readonly #leaf: X509Certificate | undefined;
  readonly #facts: TlsFacts;

  constructor(tlsSocket: TLSSocket, leaf: X509Certificate | undefined, facts: PeerFacts) {
    this.account = facts.account;
    this.serverName = facts.serverName;
    this.remoteAddress = facts.remoteAddress;
    this.remotePort = facts.remotePort;
    this.local = { address: tlsSocket.localAddress ?? '', port: tlsSocket.localPort ?? 0 };
    this.certificate = leaf && { certificateId: certificateIdOf(leaf), der: leaf.raw };
    this.#leaf = leaf;
    const version = tlsSocket.getProtocol() ?? undefined;
    this.#facts = { ...facts.helloFacts, ...(version && { version }), resumed: tlsSocket.isSessionReused() };
  }

  get tls(): TlsFacts {
    return this.#leaf ? { ...this.#facts, ...certificateTlsFacts(this.#leaf) } : this.#facts;
  }
}

/** The same peer, as the protocol above TLS has told more about it. */
export const peerOver = (peer: Peer, more: Pick<Peer, 'transport' | 'signer'>): Peer => ({
  account: peer.account,
  serverName: peer.serverName,
  certificate: peer.certificate,
  remoteAddress: peer.remoteAddress,
  remotePort: peer.remotePort,
  ...(peer.local && { local: peer.local }),
  // worked out when somebody asks
  get tls() {
    return peer.tls;
  },
  ...more,
});
