/**
 * PUBREL from a client: it will not send that message again, its packet identifier is free. Source: MQTT 5.0 3.6, 4.3.3, MQTT 3.1.1 3.6.
 */
import type { Connection } from '../connection.ts';
import { readAcknowledgement, releaseCodes } from './acknowledgement.ts';
import { acknowledgementIdAt, acknowledgements, unknownPacketId } from './writer.ts';

export const pubrel = (connection: Connection): void => {
  const { packetId } = readAcknowledgement(connection.reader, 'PUBREL', releaseCodes);
  const complete = (): void => connection.outbox.appendWithId(acknowledgements.pubcomp, acknowledgementIdAt, packetId);
  const receipts = connection.client?.session.receipts;
  const isRepeated = receipts?.find(packetId)?.released !== undefined;
  const durable = receipts === undefined ? 'unknown' : receipts.release(packetId);
  if (durable === 'unknown') connection.send(unknownPacketId(connection.version, 'pubcomp', packetId));
  else if (durable === undefined) complete();
  else if (isRepeated)
    connection.readAfter(durable.then(complete), 'store'); // or any number of them would wait
  else durable.then(complete, (error: unknown) => connection.failed(error));
};
