/**
 * A WebSocket as the stream that MQTT is spoken on (spec gateway.md 2): binary frames in and out, whatever their borders. Back-pressure passes through in both
 * directions: while nobody reads, the socket is paused, and a write is done when the kernel has taken it. Memory: what one stream holds in each
 * direction, one received chunk, and one message that is not whole yet (`websocketBounds`).
 */
import { Duplex } from 'node:stream';
import type WebSocket from 'ws';
import type { Carrier } from '../mqtt/carrier.ts';
import { type Ending, endings } from '../mqtt/ending.ts';

/** RFC 6455 7.4.1. */
const statusCode = { normal: 1000, unsupportedData: 1003 } as const;
/** What `ws` gives out where no Close frame came. */
const noCloseFrame = 1006;

/** Not a goodbye: frames that are not those of MQTT, or larger than a packet may be. */
const faulty = (detail: string): Ending => ({ disconnectReason: 'CLIENT_ERROR', failure: 'CLIENT_ERROR', detail });

/** The code by which `ws` names a message over its bounds. */
const tooLarge = new Set(['WS_ERR_UNSUPPORTED_MESSAGE_LENGTH', 'WS_ERR_TOO_MANY_BUFFERED_PARTS']);

const endingOf = (error: Error & { readonly code?: string }): Ending =>
  tooLarge.has(error.code ?? '')
    ? {
        disconnectReason: 'CLIENT_ERROR',
        failure: 'LIMIT_EXCEEDED',
        detail: 'a WebSocket message above packetBytesMax',
      }
    : faulty(`WebSocket: ${error.message}`);

export class WebSocketStream extends Duplex implements Carrier {
  farewell: Ending | undefined;
  readonly #ws: WebSocket;
  /** Told when the WebSocket is closed. */
  readonly #closed: Promise<void>;

  constructor(ws: WebSocket) {
    super({ autoDestroy: true, allowHalfOpen: true });
    this.#ws = ws;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#closed = promise;
    ws.on('message', (data: Buffer, isBinary: boolean) => {
      if (this.readableEnded || this.farewell) return;
      if (!isBinary) {
        this.#finish(faulty('a text frame: MQTT travels in binary frames'));
        ws.close(statusCode.unsupportedData, 'MQTT travels in binary frames');
      } else if (data.length > 0 && !this.push(data)) ws.pause();
    });
    // of the receiver: a frame against the rules; `ws` has answered it with a Close frame
    ws.on('error', (error) => this.#finish(endingOf(error)));
    ws.on('close', (code) => {
      // a Close frame of the client's own: whoever closes first is answered with the same
      const said = code !== noCloseFrame && !this.writableEnded;
      this.#finish(said ? endings.clientDisconnected : undefined);
      resolve();
    });
  }

  /** No byte more will come; `farewell` says why, where that is known. */
  #finish(farewell: Ending | undefined): void {
    if (this.destroyed || this.farewell) return;
    this.farewell = farewell;
    if (!this.readableEnded) this.push(null);
  }

  override _read(): void {
    if (this.#ws.isPaused) this.#ws.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#ws.readyState !== this.#ws.OPEN) {
      done(); // nobody reads it any more; how it ended is told by the end of the other direction
      return;
    }
    // an error here is the socket's, whose end is told by 'close'
    this.#ws.send(chunk, { binary: true, compress: false }, () => done());
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#ws.close(statusCode.normal);
    void this.#closed.then(() => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#ws.terminate();
    done(error);
  }
}
