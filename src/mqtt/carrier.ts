import type { Duplex } from 'node:stream';
import type { Ending } from './ending.ts';

/** A stream that carries MQTT, and may know more of its end than that it came: a Close frame of WebSocket, a frame that holds no MQTT. */
export interface Carrier extends Duplex {
  /** Looked at when the stream has ended; absent: the connection was lost. */
  readonly farewell?: Ending | undefined;
}

/** A WebSocket that was opened with a signature is closed after this (spec gateway.md 2). */
export const signedWebsocketMsMax = 24 * 3_600_000;
