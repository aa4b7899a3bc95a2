/** PUBCOMP from a client: a QoS 2 delivery is done. Source: MQTT 5.0 3.7, 4.3.3, MQTT 3.1.1 3.7. */
import type { Connection } from '../connection.ts';
import { readAcknowledgement, releaseCodes } from './acknowledgement.ts';

export const pubcomp = ({ reader, client }: Connection): void => {
  const { packetId } = readAcknowledgement(reader, 'PUBCOMP', releaseCodes);
  client?.receiver.acknowledge(packetId);
};
