/** DISCONNECT from a client: the will is discarded unless v5 asks for it (0x04). Source: MQTT 3.14 of both; spec gateway.md 5.3, 5.8. */
import type { Connection } from '../connection.ts';
import { endings } from '../ending.ts';
import { code, malformed, protocolError } from './codes.ts';
import { carrier, readProperties } from './properties.ts';
import { Cursor } from './text.ts';

const reasonCodes = new Set([0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99]);

export const disconnected = (connection: Connection): void => {
  const { reader } = connection;
  const cursor = new Cursor(reader.buffer, reader.bodyStart, reader.end);
  if (cursor.left === 0) {
    connection.end(endings.clientDisconnected);
    return;
  }
  if (reader.version !== 5) throw malformed('DISCONNECT with a body');
  const reasonCode = cursor.u8();
  if (!reasonCodes.has(reasonCode)) throw malformed('reason code of DISCONNECT');
  const properties = cursor.left > 0 ? readProperties(cursor, carrier.disconnect) : {};
  if (cursor.left > 0) throw malformed('bytes after the properties of DISCONNECT');
  if (properties.sessionExpiry !== undefined) changeExpiry(connection, properties.sessionExpiry);
  connection.end(
    reasonCode === code.disconnectWithWill ? endings.clientDisconnectedWithWill : endings.clientDisconnected,
  );
};

/** 0 ends the session; a session without expiry gets none at the last moment [MQTT-3.14.2-2]. Source: spec gateway.md 5.3. */
const changeExpiry = ({ client, context }: Connection, seconds: number): void => {
  const { session } = client!;
  if (session.expirySeconds === 0 && seconds > 0) {
    throw protocolError('Session Expiry Interval above 0 after 0 at CONNECT');
  }
  session.expirySeconds = Math.min(seconds, context.limits.sessionExpirySecondsMax);
};
