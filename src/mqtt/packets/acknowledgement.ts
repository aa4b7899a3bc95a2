/**
 * The body that PUBACK, PUBREC, PUBREL and PUBCOMP share: a packet identifier and, from v5 clients, a reason code and properties.
 * Source: MQTT 5.0 3.4 to 3.7, MQTT 3.1.1 3.4 to 3.7.
 */
import { code, malformed, protocolError } from './codes.ts';
import { carrier, readProperties } from './properties.ts';
import type { PacketReader } from './reader.ts';
import { Cursor } from './text.ts';

/** From this reason code on, a packet says that something failed. */
export const failureMin = 0x80;

/** Reason codes of PUBACK and PUBREC, and of PUBREL and PUBCOMP. MQTT 5.0 3.4.2.1, 3.5.2.1, 3.6.2.1, 3.7.2.1. */
export const receiptCodes: ReadonlySet<number> = new Set([0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]);
export const releaseCodes: ReadonlySet<number> = new Set([code.success, code.packetIdNotFound]);

/** One object serves all packets: rules run synchronously. */
const view = { packetId: 0, reasonCode: 0 };

/** Reads the acknowledgement that the reader stands on into the shared view. `name` is its packet's, for the fault. */
export const readAcknowledgement = (
  reader: PacketReader,
  name: string,
  reasonCodes: ReadonlySet<number>,
): Readonly<typeof view> => {
  const { buffer, bodyStart, end } = reader;
  if (end - bodyStart < 2) throw malformed('packet ends inside a field');
  view.packetId = (buffer[bodyStart]! << 8) | buffer[bodyStart + 1]!;
  if (view.packetId === 0) throw protocolError('packet identifier 0');
  view.reasonCode = code.success;
  if (end - bodyStart === 2) return view;
  if (reader.version !== 5) throw malformed(`bytes after the packet identifier of ${name}`);
  const cursor = new Cursor(buffer, bodyStart + 2, end);
  view.reasonCode = cursor.u8();
  if (!reasonCodes.has(view.reasonCode)) throw malformed(`reason code of ${name}`);
  if (cursor.left > 0) readProperties(cursor, carrier.puback);
  if (cursor.left > 0) throw malformed(`bytes after the properties of ${name}`);
  return view;
};
