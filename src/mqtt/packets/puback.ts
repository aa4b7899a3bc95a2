/** PUBACK from a client: its delivery is done, whatever reason code it gives. Source: MQTT 5.0 3.4, MQTT 3.1.1 3.4. */
import type { Connection } from '../connection.ts';
import { readAcknowledgement, receiptCodes } from './acknowledgement.ts';

export const puback = ({ reader, client }: Connection): void => {
  const { packetId } = readAcknowledgement(reader, 'PUBACK', receiptCodes);
  client?.receiver.acknowledge(packetId);
};
