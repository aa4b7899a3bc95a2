/**
 * MQTT 5 properties as clients may send them: which type each has, in which packet it may stand, how often, and which values it may take.
 * A property of another packet, unknown, repeated or out of range faults. Source: MQTT 5.0 2.2.2.2 and the property sections of each packet.
 */
import { code, malformed, PacketFault, protocolError } from './codes.ts';
import { Cursor, decodeText } from './text.ts';

/** Packets that carry properties towards a server, as bits. `will` stands for those inside CONNECT, `puback` also for PUBREC, PUBREL and PUBCOMP. */
export const carrier = {
  connect: 1,
  will: 2,
  publish: 4,
  puback: 8,
  subscribe: 16,
  unsubscribe: 32,
  disconnect: 64,
} as const;
export type Carrier = (typeof carrier)[keyof typeof carrier];

export const property = {
  payloadFormat: 0x01,
  messageExpiry: 0x02,
  contentType: 0x03,
  responseTopic: 0x08,
  correlationData: 0x09,
  subscriptionIdentifier: 0x0b,
  sessionExpiry: 0x11,
  assignedClientId: 0x12,
  serverKeepAlive: 0x13,
  authenticationMethod: 0x15,
  authenticationData: 0x16,
  requestProblemInformation: 0x17,
  willDelay: 0x18,
  requestResponseInformation: 0x19,
  reasonString: 0x1f,
  receiveMaximum: 0x21,
  topicAliasMaximum: 0x22,
  topicAlias: 0x23,
  maximumQos: 0x24,
  retainAvailable: 0x25,
  userProperty: 0x26,
  maximumPacketSize: 0x27,
  wildcardAvailable: 0x28,
  subscriptionIdentifiersAvailable: 0x29,
  sharedAvailable: 0x2a,
} as const;

type Kind = 'flag' | 'u16' | 'u32' | 'varint' | 'text' | 'topic' | 'binary' | 'pair';
interface Rule {
  readonly kind: Kind;
  /** Bits of `carrier`; 0 = only servers send it. */
  readonly carriers: number;
  /** Zero is a protocol error. */
  readonly positive?: boolean;
}

const { connect, will, publish, puback, subscribe, unsubscribe, disconnect } = carrier;
const rules: (Rule | undefined)[] = [];
rules[property.payloadFormat] = { kind: 'flag', carriers: publish | will };
rules[property.messageExpiry] = { kind: 'u32', carriers: publish | will };
rules[property.contentType] = { kind: 'text', carriers: publish | will };
rules[property.responseTopic] = { kind: 'topic', carriers: publish | will };
rules[property.correlationData] = { kind: 'binary', carriers: publish | will };
rules[property.subscriptionIdentifier] = { kind: 'varint', carriers: subscribe, positive: true };
rules[property.sessionExpiry] = { kind: 'u32', carriers: connect | disconnect };
rules[property.authenticationMethod] = { kind: 'text', carriers: connect };
rules[property.authenticationData] = { kind: 'binary', carriers: connect };
rules[property.requestProblemInformation] = { kind: 'flag', carriers: connect };
rules[property.willDelay] = { kind: 'u32', carriers: will };
rules[property.requestResponseInformation] = { kind: 'flag', carriers: connect };
rules[property.reasonString] = { kind: 'text', carriers: puback | disconnect };
rules[property.receiveMaximum] = { kind: 'u16', carriers: connect, positive: true };
rules[property.topicAliasMaximum] = { kind: 'u16', carriers: connect };
rules[property.topicAlias] = { kind: 'u16', carriers: publish };
rules[property.userProperty] = {
  kind: 'pair',
  carriers: connect | will | publish | puback | subscribe | unsubscribe | disconnect,
};
rules[property.maximumPacketSize] = { kind: 'u32', carriers: connect, positive: true };
/** Identifiers that MQTT 5 defines but only a server may send. */
const serverOnly = new Set([0x12, 0x13, 0x1a, 0x1c, 0x24, 0x25, 0x28, 0x29, 0x2a]);

/** What was found; views into the packet. Texts are validated, user properties too, but kept only as bytes. */
export interface Properties {
  messageExpiry?: number;
  subscriptionIdentifier?: number;
  sessionExpiry?: number;
  authenticationMethod?: string;
  hasAuthenticationData?: boolean;
  requestProblemInformation?: number;
  receiveMaximum?: number;
  topicAlias?: number;
  topicAliasMaximum?: number;
  willDelay?: number;
  maximumPacketSize?: number;
  /** Bytes that travel on with a message: all but topic alias, message expiry and will delay; undefined = none. */
  forwarded?: Buffer;
}

const none: Properties = Object.freeze({});

/** Reads the property length and the properties at the cursor. */
export const readProperties = (cursor: Cursor, carrierBit: Carrier): Properties => {
  const bytes = cursor.varint();
  if (bytes === 0) return none;
  const start = cursor.skip(bytes);
  const fields = new Cursor(cursor.buffer, start, cursor.at);
  const found: Properties = {};
  const kept: Buffer[] = [];
  const seen = new Set<number>();
  while (fields.left > 0) {
    const from = fields.at;
    const id = fields.varint();
    const rule = rules[id];
    if (rule === undefined || (rule.carriers & carrierBit) === 0) throw misplaced(id, rule);
    if (id !== property.userProperty) {
      if (seen.has(id)) throw protocolError(`property ${hex(id)} twice`);
      seen.add(id);
    }
    if (rule.kind === 'pair') skipPair(fields);
    else assign(found, id, rule, fields);
    if (id !== property.topicAlias && id !== property.messageExpiry && id !== property.willDelay) {
      kept.push(fields.buffer.subarray(from, fields.at));
    }
  }
  if (carrierBit === publish || carrierBit === will) {
    const whole = kept.reduce((sum, part) => sum + part.length, 0) === bytes;
    if (whole) found.forwarded = cursor.buffer.subarray(start, cursor.at);
    else if (kept.length > 0) found.forwarded = Buffer.concat(kept);
  }
  return found;
};

const hex = (value: number): string => `0x${value.toString(16).padStart(2, '0')}`;

const misplaced = (id: number, rule: Rule | undefined): PacketFault =>
  rule !== undefined || serverOnly.has(id)
    ? protocolError(`property ${hex(id)} in a packet that may not carry it`)
    : malformed(`unknown property ${hex(id)}`);

const skipPair = (fields: Cursor): void => {
  for (let half = 0; half < 2; half++) {
    const bytes = fields.u16();
    const start = fields.skip(bytes);
    decodeText(fields.buffer, start, fields.at);
  }
};

const number = (fields: Cursor, { kind }: Rule): number => {
  if (kind === 'flag') return fields.u8();
  if (kind === 'u16') return fields.u16();
  return kind === 'u32' ? fields.u32() : fields.varint();
};

const assign = (found: Properties, id: number, rule: Rule, fields: Cursor): void => {
  if (rule.kind === 'text' || rule.kind === 'topic') {
    const text = fields.text();
    if (rule.kind === 'topic' && (text === '' || /[+#]/.test(text))) {
      throw protocolError('response topic is empty or holds a wildcard'); // [MQTT-3.3.2-14]
    }
    if (id === property.authenticationMethod) found.authenticationMethod = text;
    return;
  }
  if (rule.kind === 'binary') {
    fields.binary();
    if (id === property.authenticationData) found.hasAuthenticationData = true;
    return;
  }
  const value = number(fields, rule);
  if (rule.kind === 'flag' && value > 1) throw protocolError(`property ${hex(id)} is neither 0 nor 1`);
  if (rule.positive && value === 0) throw protocolError(`property ${hex(id)} is 0`);
  switch (id) {
    case property.messageExpiry:
      found.messageExpiry = value;
      break;
    case property.subscriptionIdentifier:
      found.subscriptionIdentifier = value;
      break;
    case property.sessionExpiry:
      found.sessionExpiry = value;
      break;
    case property.requestProblemInformation:
      found.requestProblemInformation = value;
      break;
    case property.receiveMaximum:
      found.receiveMaximum = value;
      break;
    case property.topicAlias:
      if (value === 0) throw new PacketFault(code.topicAliasInvalid, 'topic alias 0');
      found.topicAlias = value;
      break;
    case property.topicAliasMaximum:
      found.topicAliasMaximum = value;
      break;
    case property.willDelay:
      found.willDelay = value;
      break;
    case property.maximumPacketSize:
      found.maximumPacketSize = value;
      break;
    default:
      break;
  }
};

/** User properties among those that travel on with a message, in their order. */
export const readUserProperties = (forwarded: Buffer | undefined): (readonly [name: string, value: string])[] => {
  if (forwarded === undefined) return [];
  const fields = new Cursor(forwarded, 0, forwarded.length);
  const pairs: (readonly [string, string])[] = [];
  while (fields.left > 0) {
    const id = fields.varint();
    const rule = rules[id];
    if (rule?.kind === 'pair') pairs.push([fields.text(), fields.text()]);
    else if (rule !== undefined) assign({}, id, rule, fields);
  }
  return pairs;
};
