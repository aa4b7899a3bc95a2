/** PUBACK from a client: its delivery is done, whatever reason code it gives. Source: MQTT 5.0 3.4, MQTT 3.1.1 3.4. */
import type { Connection } from '../connection.ts';
import { malformed, protocolError } from './codes.ts';
import { carrier, readProperties } from './properties.ts';
import { Cursor } from './text.ts';

const reasonCodes = new Set([0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]);

export const puback = ({ reader, client }: Connection): void => {
  const { buffer, bodyStart, end } = reader;
  if (end - bodyStart < 2) throw malformed('packet ends inside a field');
  const packetId = (buffer[bodyStart]! << 8) | buffer[bodyStart + 1]!;
  if (packetId === 0) throw protocolError('packet identifier 0');
  if (end - bodyStart > 2) {
    if (reader.version !== 5) throw malformed('bytes after the packet identifier of PUBACK');
    const cursor = new Cursor(buffer, bodyStart + 2, end);
    if (!reasonCodes.has(cursor.u8())) throw malformed('reason code of PUBACK');
    if (cursor.left > 0) readProperties(cursor, carrier.puback);
    if (cursor.left > 0) throw malformed('bytes after the properties of PUBACK');
  }
  client?.receiver.acknowledge(packetId);
};
