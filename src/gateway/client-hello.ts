/**
 * The body of a TLS ClientHello, read from untrusted bytes (RFC 8446 4.1.2, RFC 5246 7.4.1.2, RFC 6066 3, RFC 7301 3.1).
 *
 * The gateway needs it before OpenSSL sees it: the server name decides the account, the offered algorithms the server certificate, the ALPN
 * names the protocol (design: "the gateway reads the ClientHello itself"). Only what decides something is kept; everything else is OpenSSL's
 * to judge. Nothing here throws: a read beyond the end marks the cursor as failed, and the caller looks once at the end. Every byte is looked
 * at a bounded number of times.
 */
import { isIP } from 'node:net';

export interface ClientHello {
  /** `client_version`; 0x0303 in everything since TLS 1.2. */
  readonly legacyVersion: number;
  /** Undefined when the extension is absent, as in a plain TLS 1.2 client. */
  readonly supportedVersions: readonly number[] | undefined;
  readonly cipherSuites: readonly number[];
  /** The server name in lower case, one trailing dot removed. May be an IP literal, against RFC 6066 but seen: see `isIpLiteral`. */
  readonly serverName: string | undefined;
  /** In the client's order, at most `alpnNamesMax`; bytes as latin1. */
  readonly alpn: readonly string[];
  readonly signatureAlgorithms: readonly number[] | undefined;
  /** `signature_algorithms_cert`: what the client can verify inside certificates, when that differs. */
  readonly certificateSignatureAlgorithms: readonly number[] | undefined;
  readonly groups: readonly number[] | undefined;
  /** A TLS 1.2 session ticket was sent (an empty extension only asks for one). */
  readonly sessionTicket: boolean;
  /** A TLS 1.3 pre-shared key was offered. */
  readonly preSharedKey: boolean;
}

/** Further ALPN names are not kept: nobody offers so many, and records carry the list. */
const alpnNamesMax = 16;

/** Letters, digits, `-`, `.`, and `_` which real names have; `:[]%` so that an IPv6 literal is recognised as such. */
const serverNamePattern = /^[a-z0-9._:[\]%-]{1,255}$/;

const extension = {
  serverName: 0,
  groups: 10,
  signatureAlgorithms: 13,
  alpn: 16,
  sessionTicket: 35,
  preSharedKey: 41,
  supportedVersions: 43,
  certificateSignatureAlgorithms: 50,
} as const;

/** Reads forward; a read beyond the end yields nothing and sets `failed` for good. */
class Cursor {
  readonly #bytes: Buffer;
  #at: number;
  readonly #end: number;
  failed = false;
  constructor(bytes: Buffer, at = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#at = at;
    this.#end = end;
  }
  get left(): number {
    return this.#end - this.#at;
  }
  #step(length: number): number {
    const from = this.#at;
    if (length > this.left) {
      this.failed = true;
      this.#at = this.#end;
      return -1;
    }
    this.#at += length;
    return from;
  }
  u8(): number {
    const at = this.#step(1);
    return at < 0 ? 0 : (this.#bytes[at] ?? 0);
  }
  u16(): number {
    const at = this.#step(2);
    return at < 0 ? 0 : this.#bytes.readUInt16BE(at);
  }
  /** The next `length` bytes as a cursor of their own; an empty one, with this one failed, when there are not so many. */
  part(length: number): Cursor {
    const at = this.#step(length);
    return at < 0 ? new Cursor(this.#bytes, this.#end, this.#end) : new Cursor(this.#bytes, at, at + length);
  }
  latin1(length: number): string {
    const at = this.#step(length);
    return at < 0 ? '' : this.#bytes.toString('latin1', at, at + length);
  }
}

/** The u16 values of a list that fills its cursor; undefined when it is empty or odd. */
const u16List = (list: Cursor): number[] | undefined => {
  if (list.left === 0 || list.left % 2 !== 0) return undefined;
  const values: number[] = [];
  while (list.left > 0) values.push(list.u16());
  return values;
};

/** RFC 6066 3: exactly one host_name, which is how OpenSSL reads it too. */
const readServerName = (body: Cursor): string | undefined => {
  const list = body.part(body.u16());
  const type = list.u8();
  const name = list.latin1(list.u16()).toLowerCase();
  if (body.failed || body.left > 0 || list.failed || list.left > 0 || type !== 0) return undefined;
  const plain = name.endsWith('.') ? name.slice(0, -1) : name;
  return serverNamePattern.test(plain) ? plain : undefined;
};

/** RFC 7301 3.1: a non-empty list of non-empty names. */
const readAlpn = (body: Cursor): string[] | undefined => {
  const list = body.part(body.u16());
  if (body.failed || body.left > 0 || list.left === 0) return undefined;
  const names: string[] = [];
  while (list.left > 0) {
    const length = list.u8();
    const name = list.latin1(length);
    if (length === 0 || list.failed) return undefined;
    if (names.length < alpnNamesMax) names.push(name);
  }
  return names;
};

/** A list whose length stands before it in two bytes, filling its extension. */
const readU16List = (body: Cursor): number[] | undefined => {
  const list = body.part(body.u16());
  return body.failed || body.left > 0 ? undefined : u16List(list);
};

/** What the extensions add to a ClientHello, being filled. */
type Extensions = { -readonly [K in keyof Omit<ClientHello, 'legacyVersion' | 'cipherSuites'>]: ClientHello[K] };

/** Reads one extension into `found`; false when it is malformed. Unknown ones are OpenSSL's. */
const readExtension = (type: number, body: Cursor, found: Extensions): boolean => {
  switch (type) {
    case extension.serverName:
      found.serverName = readServerName(body);
      return found.serverName !== undefined;
    case extension.alpn: {
      const names = readAlpn(body);
      if (names) found.alpn = names;
      return names !== undefined;
    }
    case extension.groups:
      found.groups = readU16List(body);
      return found.groups !== undefined;
    case extension.signatureAlgorithms:
      found.signatureAlgorithms = readU16List(body);
      return found.signatureAlgorithms !== undefined;
    case extension.certificateSignatureAlgorithms:
      found.certificateSignatureAlgorithms = readU16List(body);
      return found.certificateSignatureAlgorithms !== undefined;
    case extension.supportedVersions: {
      const list = body.part(body.u8());
      found.supportedVersions = body.failed || body.left > 0 ? undefined : u16List(list);
      return found.supportedVersions !== undefined;
    }
    case extension.sessionTicket:
      found.sessionTicket = body.left > 0;
      return true;
    case extension.preSharedKey:
      found.preSharedKey = true;
      return true;
    default:
      return true;
  }
};

/**
 * Reads the body of a ClientHello message (after its 4-byte handshake header).
 * A string is the fault: which part was malformed, in words for the journal.
 */
export const parseClientHello = (message: Buffer): ClientHello | string => {
  const cursor = new Cursor(message);
  const legacyVersion = cursor.u16();
  cursor.part(32);
  const sessionId = cursor.part(cursor.u8());
  const cipherSuites = u16List(cursor.part(cursor.u16()));
  const compression = cursor.part(cursor.u8());
  if (cursor.failed || sessionId.left > 32 || compression.left === 0) return 'malformed ClientHello';
  if (legacyVersion >> 8 !== 3) return 'malformed ClientHello: version';
  if (!cipherSuites) return 'malformed ClientHello: cipher suites';

  const found: Extensions = {
    supportedVersions: undefined,
    serverName: undefined,
    alpn: [],
    signatureAlgorithms: undefined,
    certificateSignatureAlgorithms: undefined,
    groups: undefined,
    sessionTicket: false,
    preSharedKey: false,
  };
  if (cursor.left > 0) {
    const extensions = cursor.part(cursor.u16());
    if (cursor.failed || cursor.left > 0) return 'malformed ClientHello: extensions';
    const seen = new Set<number>();
    while (extensions.left > 0) {
      const type = extensions.u16();
      const body = extensions.part(extensions.u16());
      if (extensions.failed) return 'malformed ClientHello: extensions';
      if (seen.has(type)) return `malformed ClientHello: extension ${type} twice`;
      seen.add(type);
      if (!readExtension(type, body, found)) {
        return `malformed ClientHello: ${type === extension.serverName ? 'host name (SNI)' : `extension ${type}`}`;
      }
    }
  }
  return { legacyVersion, cipherSuites, ...found };
};

/** RFC 6066 3 forbids IP literals as server names; clients that send one mean no name (spec gateway.md 1.1). */
export const isIpLiteral = (serverName: string): boolean => isIP(serverName.replace(/^\[(.*)\]$/, '$1')) !== 0;
