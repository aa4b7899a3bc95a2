import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { closedWithoutAlert, isRejection, type TlsError } from './handshake-failure.ts';

/** A client that rejects our certificate only after the handshake does so at once; a later end has other causes. */
const rejectionMs = 5000;

/**
 * Calls `rejected`, with what was seen, when a client turns away from our certificate only after the handshake:
 * - by an alert, which in TLS 1.3 may follow its Finished message;
 * - in TLS 1.2 without an alert, a close_notify or a byte of its own. Observed: that is how Node's client (mqtt.js, the AWS JavaScript SDKs) ends
 *   a connection whose server it does not trust; the count of raw bytes does not move after the handshake. (In TLS 1.3 it hangs up before its
 *   last message, so the handshake fails.) A polite end has a close_notify. In all our protocols the client speaks first, so a connection on
 *   which the server has written is beyond this.
 */
export const watchForRejection = (socket: Socket, tlsSocket: TLSSocket, rejected: (failure: string) => void): void => {
  if (tlsSocket.isSessionReused()) return;
  const until = performance.now() + rejectionMs;
  tlsSocket.once('error', (error: TlsError) => {
    if (isRejection(error) && performance.now() < until) rejected(error.reason ?? error.code ?? '');
  });
  if (tlsSocket.getProtocol() !== 'TLSv1.2') return;
  const bytesAtStart = socket.bytesRead;
  let ended = false;
  tlsSocket.once('end', () => {
    ended = true;
  });
  tlsSocket.once('close', (hadError) => {
    const silent = socket.bytesRead === bytesAtStart && tlsSocket.bytesWritten === 0;
    if (silent && (ended || hadError) && performance.now() < until) rejected(closedWithoutAlert.failure);
  });
};
