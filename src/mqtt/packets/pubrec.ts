/**
 * PUBREC from a client: it has the message and is told to release it, unless it refuses the message, which ends the exchange.
 * Source: MQTT 5.0 3.5, 4.3.3, MQTT 3.1.1 3.5.
 */
import type { Connection } from '../connection.ts';
import { failureMin, readAcknowledgement, receiptCodes } from './acknowledgement.ts';
import { unknownPacketId } from './writer.ts';

export const pubrec = (connection: Connection): void => {
  const { packetId, reasonCode } = readAcknowledgement(connection.reader, 'PUBREC', receiptCodes);
  const receiver = connection.client?.receiver;
  if (reasonCode >= failureMin) receiver?.acknowledge(packetId);
  else if (!receiver?.received(packetId)) connection.send(unknownPacketId(connection.version, 'pubrel', packetId));
};
