/**
 * A TLS 1.3 connection whose records the generator makes itself, so that it is far cheaper than the server it loads. Node's client shakes hands
 * and is then left behind: it hands out the traffic secrets (`keylog`), and from there on records are built and opened here. So messages can be encrypted
 * before the clock runs, one per record as devices send them, and many records leave in one write, which Node's own stream cannot do.
 * Source: RFC 8446 5.2 (records), 5.3 (nonces), 7.1 and 7.3 (keys); one cipher suite, TLS_AES_128_GCM_SHA256, without key updates.
 */
import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { Duplex } from 'node:stream';
import tls from 'node:tls';

export const suite = 'TLS_AES_128_GCM_SHA256';
/** What curves the generator offers, to every peer: those that devices have. */
export const curves = 'X25519:P-256';
const headerBytes = 5;
const tagBytes = 16;
const applicationData = 23;
const empty: Buffer = Buffer.alloc(0);

/** HKDF-Expand-Label for outputs of one hash block or less. */
const expandLabel = (secret: Buffer, label: string, bytes: number): Buffer => {
  const name = Buffer.from(`tls13 ${label}`);
  const info = Buffer.concat([Buffer.of(0, bytes, name.length), name, Buffer.of(0, 1)]);
  return createHmac('sha256', secret).update(info).digest().subarray(0, bytes);
};

/** Keys and the record counter of one direction. */
class Direction {
  readonly #key: Buffer;
  readonly #iv: Buffer;
  readonly #nonce: Buffer;
  records = 0;

  constructor(secret: Buffer) {
    this.#key = expandLabel(secret, 'key', 16);
    this.#iv = expandLabel(secret, 'iv', 12);
    this.#nonce = Buffer.from(this.#iv);
  }

  #next(): Buffer {
    this.#nonce.writeUInt32BE((this.#iv.readUInt32BE(8) ^ this.records) >>> 0, 8);
    this.records++;
    return this.#nonce;
  }

  /** Writes one record of application data at `at`; returns where it ends. */
  seal(plain: Buffer, into: Buffer, at: number): number {
    const length = plain.length + 1 + tagBytes;
    into[at] = applicationData;
    into.writeUInt16BE(0x0303, at + 1);
    into.writeUInt16BE(length, at + 3);
    const cipher = createCipheriv('aes-128-gcm', this.#key, this.#next());
    cipher.setAAD(into.subarray(at, at + headerBytes));
    cipher.update(plain).copy(into, at + headerBytes);
    cipher.update(Buffer.of(applicationData)).copy(into, at + headerBytes + plain.length);
    cipher.final();
    cipher.getAuthTag().copy(into, at + headerBytes + plain.length + 1);
    return at + headerBytes + length;
  }

  /** The application data of a record; undefined for another kind (session tickets). Throws when it is not ours. */
  open(record: Buffer): Buffer | undefined {
    const decipher = createDecipheriv('aes-128-gcm', this.#key, this.#next());
    decipher.setAAD(record.subarray(0, headerBytes));
    decipher.setAuthTag(record.subarray(-tagBytes));
    const plain = decipher.update(record.subarray(headerBytes, -tagBytes));
    decipher.final();
    return plain.at(-1) === applicationData ? plain.subarray(0, -1) : undefined;
  }
}

/** The bytes that a sealed message of `plainBytes` takes. */
export const sealedBytes = (plainBytes: number): number => headerBytes + plainBytes + 1 + tagBytes;

export interface WireOptions {
  readonly port: number;
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

/** All sockets of the process read into the same memory: each is done with it before the next one reads. */
const received = Buffer.alloc(65_536);

/** An established connection. `onData` gets the bytes of one record, `onRead` is told when all records of one reading were handed over. */
export class Wire {
  onData: (plain: Buffer) => void = () => {};
  onRead: () => void = () => {};
  readonly socket: net.Socket;
  #write: Direction | undefined;
  #read: Direction | undefined;
  /** Records of the handshake, or the beginning of one that is incomplete. */
  #rest: Buffer = empty;
  #tap: Duplex | undefined;
  /** While records are handed over: what is to be sent leaves in one write afterwards. */
  #answers: Buffer[] | undefined;

  private constructor(port: number) {
    const onread = { buffer: received, callback: (bytes: number) => this.#received(received.subarray(0, bytes)) };
    this.socket = net.connect({ port, host: '127.0.0.1', noDelay: true, onread });
    this.socket.on('error', () => {}); // 'close' follows
  }

  /** Shakes hands. Rejects when the server refuses. */
  static async connect({ port, cert, key, ca }: WireOptions): Promise<Wire> {
    const wire = new Wire(port);
    await once(wire.socket, 'connect');
    const tap = new Duplex({
      read() {},
      write: (chunk: Buffer, _encoding, done) => {
        if (!wire.#write) wire.socket.write(chunk);
        done();
      },
    });
    wire.#tap = tap;
    const offer = { servername: 'localhost', ecdhCurve: curves, ciphers: suite, minVersion: 'TLSv1.3' } as const;
    const secure = tls.connect({ socket: tap, cert, key, ca, ...offer });
    const secrets = new Map<string, Buffer>();
    secure.on('keylog', (line: Buffer) => {
      const [label = '', , secret = ''] = line.toString('latin1').trim().split(' ');
      secrets.set(label, Buffer.from(secret, 'hex'));
    });
    secure.resume();
    await once(secure, 'secureConnect');
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve))); // our Finished is on its way
    wire.#write = new Direction(secrets.get('CLIENT_TRAFFIC_SECRET_0')!);
    wire.#read = new Direction(secrets.get('SERVER_TRAFFIC_SECRET_0')!);
    wire.#tap = undefined;
    secure.on('error', () => {}).destroy();
    wire.#drain();
    return wire;
  }

  /** Encrypts `count` messages of `plainBytes` into records, one each, to be sent later and in this order. */
  seal(count: number, plainBytes: number, message: () => Buffer): Buffer {
    const into = Buffer.allocUnsafeSlow(count * sealedBytes(plainBytes));
    let at = 0;
    for (let left = count; left > 0; left--) at = this.#write!.seal(message(), into, at);
    return into;
  }

  /** Sends each message in a record of its own; from within `onData`, all of one reading in one write. */
  send(messages: readonly Buffer[]): void {
    if (this.#answers) {
      this.#answers.push(...messages);
      return;
    }
    const into = Buffer.allocUnsafe(messages.reduce((sum, one) => sum + sealedBytes(one.length), 0));
    let at = 0;
    for (const message of messages) at = this.#write!.seal(message, into, at);
    this.socket.write(into);
  }

  #received(chunk: Buffer): boolean {
    this.#tap?.push(Buffer.from(chunk));
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    if (this.#read) this.#drain();
    else this.#rest = Buffer.from(this.#rest);
    return true;
  }

  #drain(): void {
    const bytes = this.#rest;
    let at = 0;
    const answers: Buffer[] = [];
    this.#answers = answers;
    while (bytes.length - at >= headerBytes) {
      const end = at + headerBytes + bytes.readUInt16BE(at + 3);
      if (end > bytes.length) break;
      this.#open(bytes.subarray(at, end));
      at = end;
    }
    this.#rest = at === bytes.length ? empty : Buffer.from(bytes.subarray(at));
    this.#answers = undefined;
    if (answers.length > 0) this.send(answers);
    this.onRead();
  }

  /** Records before the first that opens belong to the handshake. */
  #open(record: Buffer): void {
    if (record[0] !== applicationData) return;
    const direction = this.#read!;
    const before = direction.records;
    try {
      const plain = direction.open(record);
      if (plain) this.onData(plain);
    } catch (error) {
      direction.records = before;
      if (before > 0) this.socket.destroy(error instanceof Error ? error : undefined);
    }
  }
}
