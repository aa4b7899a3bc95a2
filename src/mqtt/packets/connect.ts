/** Reads a CONNECT packet: its syntax in both versions. What it is allowed to ask for is judged by admission. Source: MQTT 3.1 of both. */
import type { Qos } from '../message.ts';
import { malformed, PacketFault, protocolError } from './codes.ts';
import { carrier, type Properties, readProperties } from './properties.ts';
import type { PacketReader } from './reader.ts';
import { Cursor } from './text.ts';
import type { Version } from './writer.ts';

export interface ConnectWill {
  readonly topic: string;
  readonly qos: Qos;
  readonly retain: boolean;
  /** A copy: the will outlives the packet. */
  readonly payload: Buffer;
  readonly properties: Properties;
}

export interface ConnectPacket {
  readonly version: Version;
  /** v3 Clean Session, v5 Clean Start. */
  readonly clean: boolean;
  readonly keepAliveSeconds: number;
  readonly clientId: string;
  readonly will: ConnectWill | undefined;
  readonly properties: Properties;
}

/** A CONNECT of another protocol level than 4 or 5: answered with v3's return code 1 (spec gateway.md 5.1). */
export class UnsupportedVersion extends PacketFault {
  constructor(detail: string) {
    super(0x84, detail, 'PROTOCOL_VERSION_UNSUPPORTED');
  }
}

/** Reads the CONNECT that the reader stands on and tells the reader its version. User name and password are passed over, never kept. */
export const readConnect = (reader: PacketReader): ConnectPacket => {
  const cursor = new Cursor(reader.buffer, reader.bodyStart, reader.end);
  const name = cursor.text();
  if (name !== 'MQTT' && name !== 'MQIsdp') throw protocolError('the protocol name is not MQTT'); // [MQTT-3.1.2-1]
  const level = cursor.u8();
  if (name !== 'MQTT' || (level !== 4 && level !== 5)) throw new UnsupportedVersion(`${name} level ${level}`);
  reader.version = level;
  if (level === 5 && !reader.minimal) throw malformed('remaining length in more bytes than needed');

  const flags = cursor.u8();
  const keepAliveSeconds = cursor.u16();
  checkFlags(flags, level);
  const properties = level === 5 ? readProperties(cursor, carrier.connect) : {};
  if (properties.hasAuthenticationData && properties.authenticationMethod === undefined) {
    throw protocolError('authentication data without a method');
  }
  const clientId = cursor.text();
  const will = flags & 0x04 ? readWill(cursor, flags, level) : undefined;
  if (flags & 0x80) cursor.text();
  if (flags & 0x40) cursor.binary();
  if (cursor.left > 0) throw malformed('bytes after the last field of CONNECT');
  return { version: level, clean: (flags & 0x02) !== 0, keepAliveSeconds, clientId, will, properties };
};

const checkFlags = (flags: number, version: Version): void => {
  if (flags & 0x01) throw malformed('reserved connect flag'); // [MQTT-3.1.2-3]
  const hasWill = (flags & 0x04) !== 0;
  if (!hasWill && flags & 0x38) throw malformed('will QoS or will retain without a will'); // [MQTT-3.1.2-11, MQTT-3.1.2-13]
  if ((flags & 0x18) === 0x18) throw malformed('will QoS 3'); // [MQTT-3.1.2-12]
  if (version === 4 && (flags & 0xc0) === 0x40) throw malformed('password without user name'); // [MQTT-3.1.2-22], v3 only
};

const readWill = (cursor: Cursor, flags: number, version: Version): ConnectWill => {
  const properties = version === 5 ? readProperties(cursor, carrier.will) : {};
  const topic = cursor.text();
  const payload = Buffer.from(cursor.binary());
  const { forwarded } = properties;
  return {
    topic,
    qos: flags & 0x08 ? 1 : flags & 0x10 ? 2 : 0,
    retain: (flags & 0x20) !== 0,
    payload,
    properties: { ...properties, ...(forwarded && { forwarded: Buffer.from(forwarded) }) },
  };
};
