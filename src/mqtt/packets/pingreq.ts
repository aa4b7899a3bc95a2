/** PINGREQ: answered at once; that it arrived resets the keep-alive like any packet. Source: MQTT 3.12; spec gateway.md 5.2. */
import type { Connection } from '../connection.ts';
import { malformed } from './codes.ts';
import { pingresp } from './writer.ts';

export const pingreq = (connection: Connection): void => {
  if (connection.reader.end > connection.reader.bodyStart) throw malformed('PINGREQ with a body');
  connection.context.metrics['Ping.Success']++;
  connection.outbox.append(pingresp, 0, pingresp.length);
  const { traffic } = connection;
  if (traffic.quietAt !== connection.context.logs.revision) {
    // answered in the turn in which it is read: no whole millisecond passes
    const atMs = connection.context.now();
    traffic.write({ eventType: 'Ping', more: { latency: 0, requestTimestamp: atMs, responseTimestamp: atMs } });
  }
};
