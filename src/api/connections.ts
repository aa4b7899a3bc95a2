/**
 * The listener's connections, at most `connectionsMax`. One whose request has been received and not yet answered keeps its place. Of the others one has to go
 * for each that comes too many: the one that has waited or been awaited for longest, of those that never asked anything whole or of those that were answered
 * before, whichever are more. So whoever fills the listener with connections makes room from among his own, and a new caller is refused only where everyone
 * is being served.
 */
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';

/** Whether a body follows the headers. */
export const announcesBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';

/** Watches over the connections of a server that does not listen yet. The answer lets go of one that has ceased to be HTTP. */
export const boundConnections = (server: Server, connectionsMax: number): ((socket: Socket) => void) => {
  // each in the order in which its wait began
  const unasked = new Set<Socket>();
  const answered = new Set<Socket>();
  /** How many requests of a connection are under way: a client may send the next before the answer. */
  const asking = new Map<Socket, number>();

  const makeRoom = (newest: Socket): void => {
    if (unasked.size + answered.size + asking.size <= connectionsMax) return;
    const [longest = newest] = answered.size >= unasked.size ? answered : unasked;
    longest.destroy();
  };

  const forget = (socket: Socket): void => {
    unasked.delete(socket);
    answered.delete(socket);
    asking.delete(socket);
  };

  server.on('connection', (socket) => {
    unasked.add(socket);
    socket.once('close', () => forget(socket));
    makeRoom(socket);
  });
  server.on('request', (message, response) => {
    const { socket } = message;
    let isWhole = false;
    const received = (): void => {
      isWhole = true;
      unasked.delete(socket);
      answered.delete(socket);
      asking.set(socket, (asking.get(socket) ?? 0) + 1);
    };
    if (announcesBody(message)) message.once('end', received);
    else received();
    response.once('close', () => {
      message.off('end', received);
      if (!isWhole || socket.destroyed) return;
      const others = (asking.get(socket) ?? 0) - 1;
      if (others > 0) asking.set(socket, others);
      else if (asking.delete(socket)) answered.add(socket);
    });
  });
  return forget;
};
