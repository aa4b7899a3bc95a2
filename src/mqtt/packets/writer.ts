/** Encodes what the server sends, except PUBLISH (message.ts). v5 gets reason codes and strings, v3 what MQTT 3.1.1 has room for. */
import { code, packetType } from './codes.ts';
import { property } from './properties.ts';

export type Version = 4 | 5;

/** Bytes that a Variable Byte Integer takes. */
export const varintBytes = (value: number): number =>
  value < 128 ? 1 : value < 16_384 ? 2 : value < 2_097_152 ? 3 : 4;

/** Writes a Variable Byte Integer at `at`; returns where the next field begins. */
export const putVarint = (into: Buffer, value: number, at: number): number => {
  let rest = value;
  let next = at;
  while (rest > 127) {
    into[next++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  into[next++] = rest;
  return next;
};

const varint = (value: number): Buffer => {
  const bytes = Buffer.allocUnsafe(varintBytes(value));
  putVarint(bytes, value, 0);
  return bytes;
};
const u16 = (value: number): Buffer => Buffer.of(value >> 8, value & 0xff);
const u32 = (value: number): Buffer =>
  Buffer.of(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
const text = (value: string): Buffer => {
  const bytes = Buffer.from(value, 'utf8');
  return Buffer.concat([u16(bytes.length), bytes]);
};
const withId = (id: number, value: Uint8Array): Buffer => Buffer.concat([Buffer.of(id), value]);

const packet = (type: number, ...parts: readonly Uint8Array[]): Buffer => {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.of(type << 4), varint(body.length), body]);
};
const section = (properties: readonly Uint8Array[]): Buffer => {
  const body = Buffer.concat(properties);
  return Buffer.concat([varint(body.length), body]);
};
const reasonProperties = (reason: string | undefined): Buffer[] =>
  reason === undefined ? [] : [withId(property.reasonString, text(reason))];

/** What an accepting v5 CONNACK tells the client. */
export interface Capabilities {
  readonly sessionPresent: boolean;
  readonly qosMax: 1 | 2;
  readonly subscriptionIdentifiers: boolean;
  readonly receiveMaximum: number;
  readonly packetBytesMax: number;
  readonly topicAliasMax: number;
  readonly keepAliveSeconds: number;
  /** Present when it differs from what the client asked for. */
  readonly sessionExpirySeconds?: number;
  /** Present when the server made the client id. */
  readonly assignedClientId?: string;
}

/** CONNACK with success. v3 is told of `sessionPresent` alone. */
export const connackAccepted = (version: Version, capabilities: Capabilities): Buffer => {
  const flags = capabilities.sessionPresent ? 1 : 0;
  if (version === 4) return Buffer.of(0x20, 2, flags, 0);
  const properties = [
    withId(property.receiveMaximum, u16(capabilities.receiveMaximum)),
    ...(capabilities.qosMax === 1 ? [Buffer.of(property.maximumQos, 1)] : []), // 2 is said by its absence (MQTT 5.0 3.2.2.3.4)
    Buffer.of(property.retainAvailable, 1),
    withId(property.maximumPacketSize, u32(capabilities.packetBytesMax)),
    withId(property.topicAliasMaximum, u16(capabilities.topicAliasMax)),
    Buffer.of(property.wildcardAvailable, 1),
    Buffer.of(property.subscriptionIdentifiersAvailable, capabilities.subscriptionIdentifiers ? 1 : 0),
    Buffer.of(property.sharedAvailable, 1),
    withId(property.serverKeepAlive, u16(capabilities.keepAliveSeconds)),
  ];
  const { sessionExpirySeconds, assignedClientId } = capabilities;
  if (sessionExpirySeconds !== undefined) properties.push(withId(property.sessionExpiry, u32(sessionExpirySeconds)));
  if (assignedClientId !== undefined) properties.push(withId(property.assignedClientId, text(assignedClientId)));
  return packet(packetType.connack, Buffer.of(flags, code.success), section(properties));
};

/** CONNACK with a v5 reason code, or a v3 return code (1 to 5). */
export const connackRefused = (version: Version, reasonCode: number, reason?: string): Buffer =>
  version === 4
    ? Buffer.of(0x20, 2, 0, reasonCode)
    : packet(packetType.connack, Buffer.of(0, reasonCode), section(reasonProperties(reason)));

/** PUBACK of a message that was not accepted; v5 only. */
export const pubackRefused = (packetId: number, reasonCode: number, reason?: string): Buffer =>
  packet(packetType.puback, u16(packetId), Buffer.of(reasonCode), section(reasonProperties(reason)));

/** PUBREC of a message that was not accepted: its exchange ends here; v5 only. MQTT 5.0 4.3.3. */
export const pubrecRefused = (packetId: number, reasonCode: number, reason?: string): Buffer =>
  packet(packetType.pubrec, u16(packetId), Buffer.of(reasonCode), section(reasonProperties(reason)));

/** Successful acknowledgements as both versions write them, with room for the packet identifier at `acknowledgementIdAt`. */
export const acknowledgements = {
  puback: Buffer.of(packetType.puback << 4, 2, 0, 0),
  pubrec: Buffer.of(packetType.pubrec << 4, 2, 0, 0),
  pubrel: Buffer.of((packetType.pubrel << 4) | 2, 2, 0, 0),
  pubcomp: Buffer.of(packetType.pubcomp << 4, 2, 0, 0),
} as const;
export const acknowledgementIdAt = 2;

/** PUBREL or PUBCOMP for a packet identifier that is not known; v3 has no room for the reason. MQTT 5.0 3.6.2.1, 3.7.2.1. */
export const unknownPacketId = (version: Version, type: 'pubrel' | 'pubcomp', packetId: number): Buffer => {
  const first = acknowledgements[type][0]!;
  return version === 4
    ? Buffer.of(first, 2, packetId >> 8, packetId & 0xff)
    : Buffer.of(first, 3, packetId >> 8, packetId & 0xff, code.packetIdNotFound);
};

/** One code per filter, in the order of the SUBSCRIBE [MQTT-3.9.3-1]. */
export const suback = (version: Version, packetId: number, codes: readonly number[], reason?: string): Buffer =>
  version === 4
    ? packet(packetType.suback, u16(packetId), Uint8Array.from(codes))
    : packet(packetType.suback, u16(packetId), section(reasonProperties(reason)), Uint8Array.from(codes));

export const unsuback = (version: Version, packetId: number, codes: readonly number[]): Buffer =>
  version === 4
    ? packet(packetType.unsuback, u16(packetId))
    : packet(packetType.unsuback, u16(packetId), section([]), Uint8Array.from(codes));

export const pingresp: Buffer = Buffer.of(packetType.pingresp << 4, 0);

/** DISCONNECT towards a v5 client; v3 has none from the server. */
export const disconnect = (reasonCode: number, reason?: string): Buffer =>
  packet(packetType.disconnect, Buffer.of(reasonCode), section(reasonProperties(reason)));

/** Subscription Identifiers as the properties of a PUBLISH, one after the other. */
export const encodeIdentifiers = (identifiers: readonly number[]): Buffer =>
  Buffer.concat(identifiers.map((identifier) => withId(property.subscriptionIdentifier, varint(identifier))));

/** A v5 message property section as a publisher inside the server states it. */
export interface MessageProperties {
  readonly payloadFormatUtf8?: boolean;
  readonly contentType?: string;
  readonly responseTopic?: string;
  readonly correlationData?: Uint8Array;
  /** In order; names may repeat. */
  readonly userProperties?: readonly (readonly [name: string, value: string])[];
}

/** The bytes of message properties, without their length; undefined when there are none. */
export const encodeMessageProperties = (properties: MessageProperties): Buffer | undefined => {
  const parts: Buffer[] = [];
  if (properties.payloadFormatUtf8) parts.push(Buffer.of(property.payloadFormat, 1));
  if (properties.contentType !== undefined) parts.push(withId(property.contentType, text(properties.contentType)));
  if (properties.responseTopic !== undefined)
    parts.push(withId(property.responseTopic, text(properties.responseTopic)));
  const { correlationData } = properties;
  if (correlationData !== undefined) {
    parts.push(withId(property.correlationData, Buffer.concat([u16(correlationData.length), correlationData])));
  }
  for (const [name, value] of properties.userProperties ?? []) {
    parts.push(withId(property.userProperty, Buffer.concat([text(name), text(value)])));
  }
  return parts.length === 0 ? undefined : Buffer.concat(parts);
};
