/**
 * PUBREL from a client: it will not send that message again, its packet identifier is free. Source: MQTT 5.0 3.6, 4.3.3, MQTT 3.1.1 3.6.
 */
import type { Connection } from '../connection.ts';
import { readAcknowledgement, releaseCodes } from './acknowledgement.ts';
import { acknowledgementIdAt, acknowledgements, unknownPacketId } from './writer.ts';

export const pubrel = (connection: Connection): void => {
  const { packetId } = readAcknowledgement(connection.reader, 'PUBREL', releaseCodes);
  if (connection.client?.session.received?.delete(packetId)) {
    connection.outbox.appendWithId(acknowledgements.pubcomp, acknowledgementIdAt, packetId);
  } else {
    connection.send(unknownPacketId(connection.version, 'pubcomp', packetId));
  }
};
