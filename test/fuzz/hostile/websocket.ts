/** WebSocket by hand: what a library would never send. Source: RFC 6455. */
import type { TLSSocket } from 'node:tls';
import { dialTls, type Scene } from './scene.ts';

export const opcode = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9 } as const;

/** A frame of a client, masked with zeros. */
export const frame = (
  payload: Uint8Array,
  { code = opcode.binary, fin = true, mask = true, reserved = 0 }: Partial<FrameShape> = {},
): Buffer => {
  const extended = payload.length < 126 ? 0 : payload.length < 65_536 ? 2 : 8;
  const header = Buffer.alloc(2 + extended + (mask ? 4 : 0));
  header[0] = (fin ? 0x80 : 0) | (reserved << 4) | code;
  header[1] = (mask ? 0x80 : 0) | (extended === 0 ? payload.length : extended === 2 ? 126 : 127);
  if (extended === 2) header.writeUInt16BE(payload.length, 2);
  if (extended === 8) header.writeBigUInt64BE(BigInt(payload.length), 2);
  return Buffer.concat([header, payload]);
};

export interface FrameShape {
  readonly code: number;
  readonly fin: boolean;
  readonly mask: boolean;
  /** RSV1 to RSV3. */
  readonly reserved: number;
}

export const upgradeRequest = ({ httpsPort }: Scene): Buffer =>
  Buffer.from(
    [
      'GET /mqtt HTTP/1.1',
      `Host: localhost:${httpsPort}`,
      'Upgrade: websocket',
      'Connection: Upgrade',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
      'Sec-WebSocket-Protocol: mqtt',
      '\r\n',
    ].join('\r\n'),
  );

/** A WebSocket of the registered device, open; undefined when it was not let in. */
export const openWebSocket = async (scene: Scene, tally: (word: string) => void): Promise<TLSSocket | undefined> => {
  const socket = dialTls(scene.httpsPort, scene.registered, tally);
  socket.write(upgradeRequest(scene));
  const answer = await new Promise<string>((resolve) => {
    socket.once('data', (chunk: Buffer) => resolve(chunk.toString('latin1', 0, 12)));
    socket.once('close', () => resolve(''));
  });
  if (answer === 'HTTP/1.1 101') return socket;
  socket.destroy();
  return undefined;
};
