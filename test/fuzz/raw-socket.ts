/** A TCP client that sends exactly what it is told and hears the answer out. */
import { connect, type Socket } from 'node:net';

export interface Heard {
  readonly bytes: Buffer;
  /** False: the server had not closed the connection when the time was over. */
  readonly closed: boolean;
}

export interface Speech {
  readonly pieces: readonly Uint8Array[];
  /** Longest wait for the server's close. */
  readonly msMax: number;
  /** Says that no more will come (a half-open connection) after this many milliseconds, or with the first answer; 0 with the last piece. */
  readonly endAfterMs?: number;
}

/** Sends the pieces and reads until the server closes. Never rejects: a reset is an end like any other. */
export const exchange = (port: number, { pieces, msMax, endAfterMs = 0 }: Speech): Promise<Heard> =>
  new Promise((resolve) => {
    const socket: Socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const chunks: Buffer[] = [];
    const end = (): void => {
      clearTimeout(patience);
      if (socket.writable) socket.end();
    };
    const settle = (closed: boolean): void => {
      clearTimeout(timer);
      clearTimeout(patience);
      socket.destroy();
      resolve({ bytes: Buffer.concat(chunks), closed });
    };
    const timer = setTimeout(() => settle(false), msMax);
    const patience = setTimeout(end, endAfterMs);
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      end();
    });
    socket.on('close', () => settle(true));
    for (const piece of pieces) socket.write(piece);
    if (endAfterMs === 0) end();
  });
