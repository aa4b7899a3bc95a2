/** Upgrades of HTTP connections to MQTT over WebSocket: the 101, the subprotocol, and the bounds of `ws`. Source: spec gateway.md 2; RFC 6455. */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import { closeGraceMs } from '../mqtt/connection.ts';
import { WebSocketStream } from './websocket-stream.ts';

/** Where MQTT is spoken. */
export const websocketPath = '/mqtt';

/** In the order of preference; a client that offers none of them is answered without. */
const subprotocols = ['mqtt', 'mqttv3.1'] as const;

export const websocketBounds = Object.freeze({
  /** Parts in which one message may arrive; a client that cuts a message finer is closed. */
  maxBufferedChunks: 8192,
  maxFragments: 4096,
  /** Answers to pings that may wait to be written; beyond it the connection is cut. */
  maxPendingAutoPongs: 60,
  /** From our Close frame until the socket is cut if the peer does not close. */
  closeTimeout: closeGraceMs,
});

export interface WebSockets {
  /** Answers an upgrade that was allowed; `opened` is called with the stream of MQTT, unless `ws` finds the request wrong and answers that. */
  upgrade(message: IncomingMessage, socket: Duplex, head: Buffer, opened: (stream: WebSocketStream) => void): void;
}

/** `messageBytesMax` bounds what one WebSocket message may hold: one MQTT packet at least. */
export const createWebSockets = (messageBytesMax: number): WebSockets => {
  const options = {
    ...websocketBounds,
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    // one frame of a connection at a time: a received chunk holds thousands of small ones, and others are served in between
    allowSynchronousEvents: false,
    maxPayload: messageBytesMax,
    // text is refused unread
    skipUTF8Validation: true,
    handleProtocols: (offered: ReadonlySet<string>) => subprotocols.find((name) => offered.has(name)) ?? false,
  };
  const server = new WebSocketServer(options);
  return {
    upgrade: (message, socket, head, opened) =>
      server.handleUpgrade(message, socket, head, (ws) => opened(new WebSocketStream(ws))),
  };
};
