/**
 * Collects the first flight of a TLS client until its ClientHello is whole.
 *
 * The hello may be spread over several records and a record over several chunks; records may share a chunk (RFC 8446 5.1). All bytes are kept,
 * because OpenSSL must be given every one of them afterwards. Memory: at most twice `bytesMax` and one chunk. Work: linear in the bytes, however
 * they are cut, because both buffers grow by doubling and no record is walked twice.
 */
import { type ClientHello, parseClientHello } from './client-hello.ts';

export type HelloReading =
  | { readonly kind: 'more' }
  | { readonly kind: 'hello'; readonly hello: ClientHello }
  /** `tls`: it was TLS, so that an alert is worth sending. */
  | { readonly kind: 'refused'; readonly detail: string; readonly tls: boolean };

const handshakeRecord = 22;
const clientHelloMessage = 1;
const recordHeaderBytes = 5;
const messageHeaderBytes = 4;
/** RFC 8446 5.1. */
const recordBytesMax = 16_384;

const more: HelloReading = { kind: 'more' };
const refused = (detail: string, tls = true): HelloReading => ({ kind: 'refused', detail, tls });

/** `to` with `piece` written at `length`; a new buffer of at least double size when there is no room. */
const append = (to: Buffer, length: number, piece: Buffer): Buffer => {
  let target = to;
  if (length + piece.length > to.length) {
    target = Buffer.allocUnsafeSlow(Math.max(2 * to.length, length + piece.length));
    to.copy(target, 0, 0, length);
  }
  piece.copy(target, length);
  return target;
};

/** What the first bytes are, when they are not TLS: the sentence that saves the reader of the journal a packet capture. */
const notTls = (bytes: Buffer): string => {
  if (bytes[0] === 0x10) return 'not TLS: an MQTT CONNECT packet without encryption';
  if (/^[A-Z]{3,8} /.test(bytes.toString('latin1', 0, 9))) return 'not TLS: an HTTP request without encryption';
  return 'not TLS';
};

const nothing = Buffer.alloc(0);

export class ClientHelloReader {
  readonly #bytesMax: number;
  /** Everything received, up to `#length`. */
  #bytes: Buffer = nothing;
  #length = 0;
  /** Where the next record begins. */
  #next = 0;
  /** The handshake message out of its records, up to `#messageLength`. */
  #message: Buffer = nothing;
  #messageLength = 0;

  /** `bytesMax` bounds the records of the ClientHello with their headers. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Takes the next bytes. To be called until it answers something else than `more`. The chunk is not modified. */
  push(chunk: Buffer): HelloReading {
    this.#bytes = this.#length === 0 ? chunk : append(this.#bytes, this.#length, chunk);
    this.#length += chunk.length;
    if (this.#length > 0 && this.#bytes[0] !== handshakeRecord) {
      return refused(notTls(this.#bytes.subarray(0, this.#length)), false);
    }
    while (this.#next + recordHeaderBytes <= this.#length) {
      const from = this.#next + recordHeaderBytes;
      const length = this.#bytes.readUInt16BE(this.#next + 3);
      if (this.#bytes[this.#next] !== handshakeRecord || this.#bytes[this.#next + 1] !== 3) {
        return refused('malformed TLS record', this.#next > 0);
      }
      if (length === 0 || length > recordBytesMax) return refused('malformed TLS record: length');
      if (from + length > this.#length) break;
      this.#next = from + length;
      const reading = this.#gather(this.#bytes.subarray(from, this.#next));
      if (reading !== more) return reading;
    }
    return this.#length >= this.#bytesMax ? refused('ClientHello too large') : more;
  }

  /** Everything that was pushed, for OpenSSL. */
  received(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Adds one record's content to the message, and reads the message when it is whole. */
  #gather(content: Buffer): HelloReading {
    this.#message = this.#messageLength === 0 ? content : append(this.#message, this.#messageLength, content);
    this.#messageLength += content.length;
    if (this.#message[0] !== clientHelloMessage) return refused('not a ClientHello');
    if (this.#messageLength < messageHeaderBytes) return more;
    const end = messageHeaderBytes + this.#message.readUIntBE(1, 3);
    if (end > this.#bytesMax) return refused('ClientHello too large');
    if (this.#messageLength < end) return more;
    const hello = parseClientHello(this.#message.subarray(messageHeaderBytes, end));
    return typeof hello === 'string' ? refused(hello) : { kind: 'hello', hello };
  }
}
