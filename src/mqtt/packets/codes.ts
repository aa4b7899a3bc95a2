/** MQTT control packet types and MQTT 5 reason codes, by number. Source: MQTT 5.0 2.1.2 and 2.4; which of them AWS uses: spec gateway.md 5.12. */
import type { Reason } from '../../journal/record.ts';

export const packetType = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  suback: 9,
  unsubscribe: 10,
  unsuback: 11,
  pingreq: 12,
  pingresp: 13,
  disconnect: 14,
} as const;

export const code = {
  success: 0x00,
  disconnectWithWill: 0x04,
  unspecified: 0x80,
  malformed: 0x81,
  protocolError: 0x82,
  clientIdInvalid: 0x85,
  notAuthorized: 0x87,
  serverShuttingDown: 0x8b,
  badAuthenticationMethod: 0x8c,
  keepAliveTimeout: 0x8d,
  sessionTakenOver: 0x8e,
  topicFilterInvalid: 0x8f,
  topicNameInvalid: 0x90,
  packetIdInUse: 0x91,
  packetIdNotFound: 0x92,
  receiveMaximumExceeded: 0x93,
  topicAliasInvalid: 0x94,
  packetTooLarge: 0x95,
  quotaExceeded: 0x97,
  administrativeAction: 0x98,
  retainNotSupported: 0x9a,
  qosNotSupported: 0x9b,
  subscriptionIdentifiersNotSupported: 0xa1,
} as const;

/** A packet that ends the connection: v5 is told `code` in a DISCONNECT (or CONNACK), v3 sees a close. `detail` goes to the journal. */
export class PacketFault extends Error {
  readonly code: number;
  readonly reason: Reason;
  constructor(code: number, detail: string, reason: Reason = 'CLIENT_ERROR') {
    super(detail);
    this.code = code;
    this.reason = reason;
  }
}

export const malformed = (detail: string): PacketFault => new PacketFault(code.malformed, detail);
export const protocolError = (detail: string): PacketFault => new PacketFault(code.protocolError, detail);
