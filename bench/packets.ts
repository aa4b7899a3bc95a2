/** The few MQTT 3.1.1 packets that the generator sends, serialised by hand: the bench must not measure its own codec with ours. */

const text = (value: string): Buffer => {
  const bytes = Buffer.from(value, 'utf8');
  return Buffer.concat([Buffer.of(bytes.length >> 8, bytes.length & 0xff), bytes]);
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

const keepAliveSeconds = 1200;
const cleanSession = 2;

/** `persistent`: the session outlives the connection. */
export const connectPacket = (clientId: string, persistent = false): Buffer =>
  packet(
    0x10,
    text('MQTT'),
    Buffer.of(4, persistent ? 0 : cleanSession, keepAliveSeconds >> 8, keepAliveSeconds & 0xff),
    text(clientId),
  );

export const subscribePacket = (filter: string, qos: number): Buffer =>
  packet(0x82, Buffer.of(0, 1), text(filter), Buffer.of(qos));

export interface Publish {
  readonly bytes: Buffer;
  /** Where the packet identifier stands; -1 for QoS 0. */
  readonly idAt: number;
}

/** A PUBLISH with `payloadBytes` of payload; its packet identifier is to be written at `idAt`. */
export const publishPacket = (topic: string, qos: number, payloadBytes: number): Publish => {
  const name = text(topic);
  const id = qos === 0 ? Buffer.alloc(0) : Buffer.of(0, 1);
  const bytes = packet(0x30 | (qos << 1), name, id, Buffer.alloc(payloadBytes, 'x'));
  return { bytes, idAt: qos === 0 ? -1 : bytes.length - payloadBytes - 2 };
};

export const disconnectPacket: Buffer = Buffer.of(0xe0, 0);

/** Splits received bytes into packets; told of each by its first byte and the offsets of its body. Incomplete ones wait for the next call. */
export class PacketSplitter {
  #rest: Buffer = Buffer.alloc(0);

  split(bytes: Buffer, each: (first: number, buffer: Buffer, start: number, end: number) => void): void {
    const buffer = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    let at = 0;
    while (buffer.length - at >= 2) {
      let length = 0;
      let body = at + 1;
      for (let shift = 0; ; shift += 7) {
        const byte = buffer[body++];
        if (byte === undefined) break;
        length |= (byte & 0x7f) << shift;
        if (byte < 0x80) break;
      }
      if (body + length > buffer.length || buffer[body - 1]! >= 0x80) break;
      each(buffer[at]!, buffer, body, body + length);
      at = body + length;
    }
    this.#rest = at === buffer.length ? Buffer.alloc(0) : Buffer.from(buffer.subarray(at));
  }
}
