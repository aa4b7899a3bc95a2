/**
 * The MQTT 5 packets of a device that connects, subscribes, asks and publishes: what it writes and what it may be sent. Apart from the server's codec on purpose:
 * a mistake in that one must not be made twice, and understood by itself alone. Source: MQTT 5.0, chapter 3.
 */

/** Bytes of a packet from the server: an answer of fleet provisioning and its topic fit in. */
export const packetBytesMax = 262_144;

/** What the server sent cannot be MQTT 5. */
export class NotMqtt extends Error {
  override readonly name = 'NotMqtt';
}

const type = { connack: 2, publish: 3, puback: 4, suback: 9, disconnect: 14 } as const;

const u16 = (value: number): Buffer => Buffer.of(value >> 8, value & 0xff);
const field = (value: string | Uint8Array): Buffer => {
  const bytes = Buffer.from(value);
  return Buffer.concat([u16(bytes.length), bytes]);
};
const packet = (first: number, ...parts: readonly Uint8Array[]): Buffer => {
  const body = Buffer.concat(parts);
  const length: number[] = [];
  let rest = body.length;
  do {
    length.push((rest & 0x7f) | (rest > 127 ? 0x80 : 0));
    rest >>>= 7;
  } while (rest > 0);
  return Buffer.concat([Buffer.of(first, ...length), body]);
};

const noProperties = Buffer.of(0);
const cleanStart = 2;
const atLeastOnce = 1;

/** CONNECT that begins a session of its own, which ends with the connection. */
export const connectPacket = (clientId: string, keepAliveSeconds: number): Buffer =>
  packet(0x10, field('MQTT'), Buffer.of(5, cleanStart), u16(keepAliveSeconds), noProperties, field(clientId));

/** SUBSCRIBE, QoS 1. */
export const subscribePacket = (id: number, filters: readonly string[]): Buffer =>
  packet(0x82, u16(id), noProperties, ...filters.flatMap((filter) => [field(filter), Buffer.of(atLeastOnce)]));

/** PUBLISH, QoS 1. */
export const publishPacket = (id: number, topic: string, payload: Uint8Array): Buffer =>
  packet(0x30 | (atLeastOnce << 1), field(topic), u16(id), noProperties, payload);

export const pubackPacket = (id: number): Buffer => packet(0x40, u16(id));

export const disconnectPacket: Buffer = packet(0xe0);

export type FromServer =
  | { readonly kind: 'connack' | 'disconnect'; readonly code: number; readonly reason: string }
  | { readonly kind: 'suback'; readonly id: number; readonly codes: readonly number[]; readonly reason: string }
  | { readonly kind: 'puback'; readonly id: number; readonly code: number; readonly reason: string }
  /** `id` is 0 with QoS 0. */
  | { readonly kind: 'publish'; readonly id: number; readonly topic: string; readonly payload: Buffer }
  /** Of no meaning to this client. */
  | { readonly kind: 'other' };

/** Reads the fields of one packet. Faults: NotMqtt when it ends too early. */
class Fields {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  take(count: number): Buffer {
    if (count > this.left) throw new NotMqtt('a packet ends too early');
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  u8(): number {
    return this.take(1).readUInt8();
  }

  u16(): number {
    return this.take(2).readUInt16BE();
  }

  varint(): number {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.u8();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new NotMqtt('a length of more than four bytes');
  }

  text(): string {
    return this.take(this.u16()).toString('utf8');
  }
}

const reasonString = 0x1f;
/** Bytes of the properties that have a fixed size, by their identifiers; the others are text, but for two. Source: MQTT 5.0 2.2.2.2. */
const fixedBytes: Readonly<Record<number, number>> = {
  ...{ 1: 1, 2: 4, 17: 4, 19: 2, 23: 1, 24: 4, 25: 1, 33: 2, 34: 2, 35: 2, 36: 1, 37: 1, 39: 4, 40: 1, 41: 1, 42: 1 },
};
const subscriptionIdentifier = 0x0b;
const userProperty = 0x26;

/** Goes past the properties; what they give as the reason, in words, or ''. */
const readReason = (fields: Fields): string => {
  const properties = new Fields(fields.take(fields.varint()));
  let reason = '';
  while (properties.left > 0) {
    const id = properties.varint();
    const bytes = fixedBytes[id];
    if (bytes !== undefined) properties.take(bytes);
    else if (id === subscriptionIdentifier) properties.varint();
    else if (id === reasonString) reason = properties.text();
    else {
      properties.text();
      if (id === userProperty) properties.text();
    }
  }
  return reason;
};

/** Code and reason, which may both be left out where there is nothing to say. */
const readCode = (fields: Fields) => {
  const code = fields.left > 0 ? fields.u8() : 0;
  return { code, reason: fields.left > 0 ? readReason(fields) : '' };
};

const read = (first: number, body: Buffer): FromServer => {
  const fields = new Fields(body);
  switch (first >> 4) {
    case type.connack:
      fields.u8(); // whether there was a session, which a clean start has not
      return { kind: 'connack', ...readCode(fields) };
    case type.disconnect:
      return { kind: 'disconnect', ...readCode(fields) };
    case type.puback:
      return { kind: 'puback', id: fields.u16(), ...readCode(fields) };
    case type.suback: {
      const [id, reason] = [fields.u16(), readReason(fields)];
      return { kind: 'suback', id, reason, codes: [...fields.take(fields.left)] };
    }
    case type.publish: {
      const topic = fields.text();
      const id = (first & 0x06) === 0 ? 0 : fields.u16();
      readReason(fields);
      return { kind: 'publish', id, topic, payload: fields.take(fields.left) };
    }
    default:
      return { kind: 'other' };
  }
};

/** Makes packets of what a socket received. Holds at most one unfinished packet. */
export class PacketReader {
  #rest: Buffer = Buffer.alloc(0);

  /** The packets that are complete now. Faults: NotMqtt. */
  *read(chunk: Buffer): Generator<FromServer> {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    for (let body = bodyAt(bytes, at); body !== undefined; body = bodyAt(bytes, at)) {
      const first = bytes[at] ?? 0;
      at = body.end;
      yield read(first, bytes.subarray(body.start, body.end));
    }
    this.#rest = Buffer.from(bytes.subarray(at));
  }
}

/** Where the body of the packet that begins at `at` stands; undefined when not all of it is there. */
const bodyAt = (bytes: Buffer, at: number): { readonly start: number; readonly end: number } | undefined => {
  let length = 0;
  for (let index = 0; index < 4; index++) {
    const byte = bytes[at + 1 + index];
    if (byte === undefined) return undefined;
    length |= (byte & 0x7f) << (7 * index);
    if (byte >= 0x80) continue;
    if (length > packetBytesMax) throw new NotMqtt(`a packet of ${length} bytes`);
    const start = at + 2 + index;
    return start + length > bytes.length ? undefined : { start, end: start + length };
  }
  throw new NotMqtt('a length of more than four bytes');
};

/** What reason codes mean, in the words of MQTT 5.0 2.4; those that a device may meet. */
const words: Readonly<Record<number, string>> = {
  128: 'unspecified error',
  129: 'malformed packet',
  130: 'protocol error',
  131: 'implementation specific error',
  132: 'unsupported protocol version',
  133: 'client identifier not valid',
  134: 'bad user name or password',
  135: 'not authorized',
  136: 'server unavailable',
  137: 'server busy',
  138: 'banned',
  139: 'server shutting down',
  141: 'keep alive timeout',
  142: 'session taken over',
  143: 'topic filter invalid',
  144: 'topic name invalid',
  147: 'receive maximum exceeded',
  149: 'packet too large',
  150: 'message rate too high',
  151: 'quota exceeded',
  152: 'administrative action',
  153: 'payload format invalid',
  157: 'server moved',
  159: 'connection rate exceeded',
};

export const isRefusal = (code: number): boolean => code >= 0x80;

/** A refusal in words: `not authorized (0x87)`, with the server's own reason where it says more. */
export const inWords = (code: number, reason = ''): string => {
  const word = words[code] ?? 'refused';
  const own = reason !== '' && reason.toLowerCase() !== word ? `: ${reason}` : '';
  return `${word} (0x${code.toString(16).padStart(2, '0')})${own}`;
};
