/** One connection of a simulated device: MQTT 5 over mutual TLS, one thing at a time, no second try. What goes wrong is told as the device sees it. */
import { isIP } from 'node:net';
import { connect as connectTls, type SecureContext, type TLSSocket } from 'node:tls';
import {
  connectPacket,
  disconnectPacket,
  type FromServer,
  inWords,
  isRefusal,
  NotMqtt,
  PacketReader,
  pubackPacket,
  publishPacket,
  subscribePacket,
} from './packets.ts';

/** Where devices connect. */
export interface Place {
  /** Sent as SNI, and what the server's certificate must be for. */
  readonly host: string;
  /** Where that host is. */
  readonly address: string;
  readonly port: number;
}

/** What ended a device's attempt; `message` says what it saw and ends without a full stop. */
export class Seen extends Error {
  override readonly name = 'Seen';
  /** `said`: the server told it. `closed`: the server ended the connection. `silent`: it waited in vain. `unreachable`: no TLS connection came about. */
  readonly kind: 'said' | 'closed' | 'silent' | 'unreachable';
  constructor(kind: Seen['kind'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

export interface ConnectOptions {
  readonly place: Place;
  /** With the device's certificate and key, and the roots that it trusts. */
  readonly secureContext: SecureContext;
  readonly clientId: string;
  /** For each answer, the handshake included. */
  readonly answerMsMax: number;
}

export interface Message {
  readonly topic: string;
  readonly payload: Buffer;
}

type Kind = FromServer['kind'];
type Packet<K extends Kind> = Extract<FromServer, { readonly kind: K }>;

interface Waiter {
  /** True when this is what it waits for: it is told then. */
  take(packet: FromServer): boolean;
  fail(why: Seen): void;
}

/** Longer than any device is busy here. */
const keepAliveSeconds = 1200;
/** From DISCONNECT until the socket is given up. */
const closeMsMax = 2_000;

const unreachable = ({ host, address, port }: Place, error: NodeJS.ErrnoException): Seen => {
  const code = error.code ?? error.message;
  const where = host === address ? `${host}:${port}` : `${host}:${port} (${address})`;
  if (/CERT|VERIFY|ISSUER|ALTNAME/.test(code) && !/ALERT/.test(code)) {
    return new Seen('unreachable', `the certificate of ${where} is not to be trusted (${code})`, { cause: error });
  }
  return new Seen('unreachable', `no TLS connection to ${where} (${code})`, { cause: error });
};

export class MqttClient {
  readonly #socket: TLSSocket;
  readonly #answerMsMax: number;
  readonly #reader = new PacketReader();
  readonly #waiters = new Set<Waiter>();
  readonly #closed = Promise.withResolvers<void>();
  #lastId = 0;
  /** Why the connection is over. */
  #ending: Seen | undefined;

  private constructor({ place, secureContext, answerMsMax }: ConnectOptions) {
    const { host, address, port } = place;
    this.#answerMsMax = answerMsMax;
    this.#socket = connectTls({ host: address, port, secureContext, servername: isIP(host) === 0 ? host : '' });
    let isOpen = false;
    this.#socket
      .once('secureConnect', () => {
        isOpen = true;
      })
      .on('data', (chunk: Buffer) => this.#hear(chunk))
      .on('error', (error: NodeJS.ErrnoException) => {
        const cut = `the server cut the connection (${error.code ?? error.message})`;
        this.#over(isOpen ? new Seen('closed', cut, { cause: error }) : unreachable(place, error));
      })
      .on('close', () => {
        this.#over(new Seen('closed', 'the server closed the connection without a word'));
        this.#closed.resolve();
      });
  }

  /** Resolves when the server has accepted the device. Faults: Seen. */
  static async open(options: ConnectOptions): Promise<MqttClient> {
    const client = new MqttClient(options);
    try {
      const accepted = client.#expect('connack', 'no answer to CONNECT', () => true);
      client.#socket.write(connectPacket(options.clientId, keepAliveSeconds));
      const { code, reason } = await accepted;
      if (isRefusal(code)) throw new Seen('said', `CONNECT was refused: ${inWords(code, reason)}`);
      return client;
    } catch (error) {
      client.#socket.destroy();
      throw error;
    }
  }

  /** Faults: Seen, also when one of the filters is refused. */
  async subscribe(filters: readonly string[]): Promise<void> {
    const id = this.#nextId();
    const granted = this.#expect('suback', 'no answer to SUBSCRIBE', (packet) => packet.id === id);
    this.#socket.write(subscribePacket(id, filters));
    const { codes, reason } = await granted;
    const refused = codes.findIndex(isRefusal);
    if (refused < 0) return;
    throw new Seen('said', `SUBSCRIBE to ${filters[refused]} was refused: ${inWords(codes[refused] ?? 0, reason)}`);
  }

  /** Resolves at the acknowledgement. Faults: Seen. */
  async publish(topic: string, payload: Uint8Array): Promise<void> {
    const id = this.#nextId();
    const acknowledged = this.#expect(
      'puback',
      `no acknowledgement of PUBLISH to ${topic}`,
      (packet) => packet.id === id,
    );
    this.#socket.write(publishPacket(id, topic, payload));
    const { code, reason } = await acknowledged;
    if (isRefusal(code)) throw new Seen('said', `PUBLISH to ${topic} was refused: ${inWords(code, reason)}`);
  }

  /** Publishes, and waits for a message on one of the topics of replies, to which the device has subscribed. Faults: Seen. */
  async request(topic: string, payload: Uint8Array, replies: readonly string[]): Promise<Message> {
    const waiting = `no answer on ${topic}/...; a policy without iot:Receive looks like this`;
    const reply = this.#expect('publish', waiting, (packet) => replies.includes(packet.topic));
    reply.catch(() => undefined); // the acknowledgement says it first
    await this.publish(topic, payload);
    return reply;
  }

  /** Says goodbye; resolves when the connection is over. */
  async end(): Promise<void> {
    this.#socket.end(disconnectPacket);
    const late = setTimeout(() => this.#socket.destroy(), closeMsMax);
    await this.#closed.promise;
    clearTimeout(late);
  }

  #nextId(): number {
    this.#lastId = (this.#lastId % 65_535) + 1;
    return this.#lastId;
  }

  #hear(chunk: Buffer): void {
    try {
      for (const packet of this.#reader.read(chunk)) {
        if (packet.kind === 'publish' && packet.id !== 0) this.#socket.write(pubackPacket(packet.id));
        if (packet.kind === 'disconnect') {
          this.#over(new Seen('closed', `the server ended the connection: ${inWords(packet.code, packet.reason)}`));
        }
        for (const waiter of this.#waiters) if (waiter.take(packet)) break;
      }
    } catch (error) {
      if (!(error instanceof NotMqtt)) throw error;
      this.#over(new Seen('closed', `what came was no MQTT: ${error.message}`, { cause: error }));
      this.#socket.destroy();
    }
  }

  /** The first reason counts. */
  #over(why: Seen): void {
    this.#ending ??= why;
    for (const waiter of this.#waiters) waiter.fail(this.#ending);
  }

  /** The next packet of a kind that `isMeant` agrees to. Faults: Seen. */
  #expect<K extends Kind>(kind: K, silence: string, isMeant: (packet: Packet<K>) => boolean): Promise<Packet<K>> {
    const { promise, resolve, reject } = Promise.withResolvers<Packet<K>>();
    if (this.#ending !== undefined) {
      reject(this.#ending);
      return promise;
    }
    const isOne = (packet: FromServer): packet is Packet<K> => packet.kind === kind;
    const done = (): void => {
      clearTimeout(late);
      this.#waiters.delete(waiter);
    };
    const waiter: Waiter = {
      take(packet) {
        if (!isOne(packet) || !isMeant(packet)) return false;
        done();
        resolve(packet);
        return true;
      },
      fail(why) {
        done();
        reject(why);
      },
    };
    const late = setTimeout(() => {
      waiter.fail(new Seen('silent', `${silence} (waited ${this.#answerMsMax / 1000} s)`));
    }, this.#answerMsMax);
    this.#waiters.add(waiter);
    return promise;
  }
}
