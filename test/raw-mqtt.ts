/**
 * A client that says exactly the bytes it is told, over real TLS, and hears everything that comes back: packets in order, then the close.
 * Ordinary packets are built by mqtt-packet, the ones that no library would send by hand from the parts below.
 */
import { readFileSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import { connect as connectTls, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import mqttPacket, { type IPublishPacket, type ISubscribePacket, type ISubscription, type Packet } from 'mqtt-packet';
import type { Identity } from './harness.ts';

export type Version = 4 | 5;
export const versions = [4, 5] as const;

export const u16 = (value: number): Buffer => Buffer.of(value >> 8, value & 0xff);
export const u32 = (value: number): Buffer => Buffer.concat([u16(value >>> 16), u16(value & 0xffff)]);
/** A length-prefixed field: text or bytes. */
export const field = (value: string | Uint8Array): Buffer => {
  const bytes = Buffer.from(value);
  return Buffer.concat([u16(bytes.length), bytes]);
};
/** A Variable Byte Integer. */
export const varint = (value: number): Buffer => {
  const bytes: number[] = [];
  let rest = value;
  do {
    bytes.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    rest >>>= 7;
  } while (rest > 0);
  return Buffer.from(bytes);
};
type Part = number | Uint8Array;
const joined = (parts: readonly Part[]): Buffer =>
  Buffer.concat(parts.map((part) => (typeof part === 'number' ? Buffer.of(part) : part)));
/** A packet by hand: first byte, remaining length, and a body of bytes and fields. */
export const packet = (first: number, ...body: readonly Part[]): Buffer => {
  const rest = joined(body);
  return Buffer.concat([Buffer.of(first), varint(rest.length), rest]);
};
/** Properties by hand with their length; nothing at all for v3. */
export const properties = (version: Version, ...parts: readonly Part[]): Buffer => {
  if (version === 4) return Buffer.alloc(0);
  const section = joined(parts);
  return Buffer.concat([varint(section.length), section]);
};

export const pingreq = packet(0xc0);

/** A PUBLISH; QoS 1 unless it says otherwise. */
export const publish = (
  messageId: number,
  topic: string,
  payload: string | Buffer = 'x',
  more: Partial<IPublishPacket> = {},
): IPublishPacket => ({ cmd: 'publish', qos: 1, dup: false, retain: false, messageId, topic, payload, ...more });

/** A SUBSCRIBE of filters; QoS 1 unless they say otherwise. */
export const subscribe = (
  messageId: number,
  filters: string | readonly (string | Partial<ISubscription>)[],
  more: Partial<ISubscribePacket> = {},
): ISubscribePacket => ({
  cmd: 'subscribe',
  messageId,
  subscriptions: [filters].flat().map((each) => ({
    ...{ topic: '', qos: 1, nl: false, rap: false, rh: 0 },
    ...(typeof each === 'string' ? { topic: each } : each),
  })),
  ...more,
});

export const unsubscribe = (messageId: number, ...unsubscriptions: string[]): Packet => ({
  cmd: 'unsubscribe',
  messageId,
  unsubscriptions,
});

export type Packets = Packet | Uint8Array | readonly (Packet | Uint8Array)[];

export const bytesOf = (packets: Packets, version: Version): Buffer =>
  Buffer.concat(
    [packets]
      .flat()
      .map((each) =>
        each instanceof Uint8Array ? each : mqttPacket.generate(each as Packet, { protocolVersion: version }),
      ),
  );

const hex = (code: number): string => `0x${code.toString(16).toUpperCase().padStart(2, '0')}`;
const coded = (name: string, code: number | undefined): string => (code ? `${name} ${hex(code)}` : name);
const codes = (list: readonly unknown[]): string => list.map((code) => hex(Number(code))).join(' ');

/** One packet from a server as a line, without reason strings and the packet identifiers that the server chooses. */
export const shown = (received: Packet): string => {
  switch (received.cmd) {
    case 'connack': {
      const line = `CONNACK ${hex(received.reasonCode ?? received.returnCode ?? 0)}`;
      return received.sessionPresent ? `${line} session present` : line;
    }
    case 'publish': {
      const { topic, payload, qos, retain, dup } = received;
      return `PUBLISH ${topic} ${payload} q${qos}${retain ? ' RETAIN' : ''}${dup ? ' DUP' : ''}`;
    }
    case 'puback':
      return coded(`PUBACK ${received.messageId}`, received.reasonCode);
    case 'suback':
      return `SUBACK ${received.messageId} ${codes(received.granted)}`;
    case 'unsuback':
      return `UNSUBACK ${[received.messageId, codes(received.granted ?? [])].join(' ').trim()}`;
    case 'disconnect':
      return `DISCONNECT ${hex(received.reasonCode ?? 0)}`;
    default:
      return received.cmd.toUpperCase();
  }
};

/** What a server sends, with the properties that it came with. */
export type Received = Packet & { readonly properties?: Readonly<Record<string, unknown>> };

export interface DialOptions {
  readonly identity: Identity;
  /** Of the listener; the node's MQTT port without it. */
  readonly port?: number;
  /** SNI; `localhost`, the default account, without it. */
  readonly serverName?: string;
  readonly alpn?: readonly string[];
}

/** Whatever is waited for comes within this, or never. */
const waitMsMax = 10_000;

const contexts = new Map<string, SecureContext>();
/** Parsed once per identity: a case costs one handshake and nothing more. */
const contextOf = (ca: string, { certificatePem, keyFile }: Identity): SecureContext => {
  const known = contexts.get(keyFile);
  if (known !== undefined) return known;
  const context = createSecureContext({ ca, cert: certificatePem, key: readFileSync(keyFile) });
  contexts.set(keyFile, context);
  return context;
};

/** Ends the TLS handshake; nothing else is said yet. */
export const handshake = async (
  node: { readonly mqttPort: number; readonly rootPem: string },
  { identity, port = node.mqttPort, serverName = 'localhost', alpn }: DialOptions,
): Promise<TLSSocket> => {
  const socket = connectTls({
    host: '127.0.0.1',
    port,
    servername: serverName,
    secureContext: contextOf(node.rootPem, identity),
    ...(alpn && { ALPNProtocols: [...alpn] }),
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once('secureConnect', resolve);
  socket.once('error', reject);
  await within(promise, () => 'the handshake did not end');
  return socket;
};

/** A client over TLS that has not said anything yet. */
export const dial = async (
  node: { readonly mqttPort: number; readonly rootPem: string },
  version: Version,
  options: DialOptions,
): Promise<RawMqtt> => new RawMqtt(await handshake(node, options), version);

const within = async <T>(wanted: Promise<T>, failure: () => string): Promise<T> => {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`${failure()} within ${waitMsMax} ms`)), waitMsMax);
  try {
    return await Promise.race([wanted, late.promise]);
  } finally {
    clearTimeout(timer);
  }
};

export class RawMqtt {
  readonly socket: Duplex;
  readonly version: Version;
  /** Everything so far that was not taken. */
  readonly received: Received[] = [];
  /** Every byte so far. */
  bytes: Buffer = Buffer.alloc(0);
  isClosed = false;
  #wake: () => void = () => {};

  constructor(socket: Duplex, version: Version) {
    this.socket = socket;
    this.version = version;
    const parser = mqttPacket.parser({ protocolVersion: version });
    parser.on('error', () => {}); // what is no MQTT stands in `bytes`
    parser.on('packet', (received) => this.received.push(received));
    socket.on('data', (chunk: Buffer) => {
      this.bytes = Buffer.concat([this.bytes, chunk]);
      parser.parse(chunk);
      this.#wake();
    });
    const over = (): void => {
      this.isClosed = true;
      this.#wake();
    };
    socket.on('end', over);
    socket.on('error', over);
    socket.on('close', over);
  }

  send(packets: Packets): void {
    this.socket.write(bytesOf(packets, this.version));
  }

  /** The next packet that was not taken yet. Faults when the connection is closed instead. */
  async next(): Promise<Received> {
    const [received] = await this.take(1);
    if (received === undefined) throw new Error('the connection was closed');
    return received;
  }

  /** Waits until so many packets are there, or for the close, and takes them. */
  async take(count: number): Promise<Received[]> {
    await this.#until(() => this.received.length >= count || this.isClosed, `packet ${count}`);
    return this.received.splice(0, count);
  }

  /** Waits for the close, whatever bytes come before it. */
  async drained(): Promise<void> {
    await this.#until(() => this.isClosed, 'the close');
  }

  /** What comes until the server closes. */
  async closed(): Promise<Received[]> {
    await this.#until(() => this.isClosed, 'the close');
    return this.received.splice(0);
  }

  /** Everything that is there when a PINGREQ is answered: whatever was sent before has been handled then. */
  async settled(): Promise<Received[]> {
    this.send({ cmd: 'pingreq' });
    const answered = (): boolean => this.received.some(({ cmd }) => cmd === 'pingresp') || this.isClosed;
    await this.#until(answered, 'PINGRESP');
    const all = this.received.splice(0);
    return this.isClosed ? all : all.filter(({ cmd }) => cmd !== 'pingresp');
  }

  /** Takes `count` packets, then whatever else is there. As lines, with `close` when the connection is over. */
  async heard(count = 0): Promise<string[]> {
    const taken = await this.take(count);
    const more = this.isClosed ? this.received.splice(0) : await this.settled();
    return [...[...taken, ...more].map(shown), ...(this.isClosed ? ['close'] : [])];
  }

  /** Ends the connection with a DISCONNECT; when it resolves the server has noticed. */
  async leave(): Promise<void> {
    this.send({ cmd: 'disconnect' });
    await this.drained();
  }

  /** Ends the connection without a DISCONNECT, as a lost network does; resolves when it is over on this side. */
  async drop(): Promise<void> {
    this.socket.destroy();
    await this.closed();
  }

  #until(isThere: () => boolean, what: string): Promise<void> {
    const wait = async (): Promise<void> => {
      while (!isThere()) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    };
    const failure = (): string => `${what} did not come (so far: ${this.received.map(shown).join(', ') || 'nothing'})`;
    return within(wait(), failure);
  }
}
