/**
 * HTTP for any of this node's listeners: bounds on connections, requests, headers, bodies and time; a request id on every answer. What the answer is, the
 * dispatch says that it is given.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Fault } from '../aws/fault.ts';
import type { ServiceName } from '../aws/operations.ts';
import { announcesBody, boundConnections } from './connections.ts';
import type { ApiLogEntry, Dispatched } from './dispatch.ts';
import { ClientGone, drain, type Incoming, incoming } from './incoming.ts';
import { type Answer, writeFault } from './rest-json.ts';

/** Bounds of the listener. */
export interface ApiLimits {
  /** One more, and a silent connection is closed (connections.ts). */
  readonly connectionsMax: number;
  /** Requests that are worked on; one more is answered ServiceUnavailableException. */
  readonly requestsMax: number;
  /** Requests whose body is awaited, beside those; one more, and the one that has been awaited for longest is answered ServiceUnavailableException. */
  readonly bodiesMax: number;
  /** The request line and all headers; more is answered 431. */
  readonly headerBytesMax: number;
  /** A larger body is RequestEntityTooLargeException. */
  readonly bodyBytesMax: number;
  /** From the first byte of a request to the end of its headers, and to the end of its body; late ones are answered 408. */
  readonly headersMs: number;
  readonly requestMs: number;
  /** An idle connection is closed after this. */
  readonly keepAliveMs: number;
}

export const apiLimits: ApiLimits = Object.freeze({
  connectionsMax: 1024,
  requestsMax: 256,
  bodiesMax: 256,
  headerBytesMax: 32_768,
  bodyBytesMax: 1_048_576,
  headersMs: 10_000,
  requestMs: 30_000,
  keepAliveMs: 65_000,
});

/** What `clientError` hands over. Source: node:http. */
export type HttpError = NodeJS.ErrnoException & { readonly rawPacket?: Buffer };

export interface HttpServing {
  readonly limits: ApiLimits;
  readonly dispatch: (request: Incoming, requestId: string) => Promise<Dispatched>;
  /** In whose wire a request is refused that nobody has looked at. */
  readonly service: ServiceName;
  /** Told of every answer; `error` is set when the caller was told less than is known. Must not throw. */
  readonly log: (entry: ApiLogEntry) => void;
  /** A fresh lower-case UUID. */
  readonly newId: () => string;
  /** Asked about bytes that are no HTTP; true: it has dealt with them, and with the socket. */
  readonly strange?: (error: HttpError, socket: Duplex) => boolean;
}

export interface HttpServer {
  /** To listen, or to be given connections by its event `connection`. */
  readonly server: Server;
  /** Lets go of a connection that was upgraded to something else: its bounds are somebody else's from now on. */
  forget(socket: Socket): void;
  /** Ends idle connections, lets requests under way finish for `graceMs`, then cuts them. Resolves when a server that listens has no connection left. */
  close(graceMs: number): Promise<void>;
}

const exposed = 'x-amzn-requestid, x-amzn-errortype, date';

/** Writes all of an answer but its end, so that the client has it whole before the rest of its own request is read. */
const send = (response: ServerResponse, answer: Answer, headers: Readonly<Record<string, string>>): void => {
  const body = typeof answer.body === 'string' ? Buffer.from(answer.body, 'utf8') : answer.body;
  const empty = answer.status === 204;
  response.writeHead(answer.status, {
    ...answer.headers,
    ...(!empty && { 'content-length': String(body.length) }),
    ...headers,
  });
  if (empty || body.length === 0 || response.req.method === 'HEAD') response.flushHeaders();
  else response.write(body);
};

/** What answers bytes that are no HTTP request, or one that is too large or too slow. Source: node:http, event `clientError`. */
const refuseBytes = (error: NodeJS.ErrnoException, socket: Duplex, requestId: string): void => {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const codes: Readonly<Record<string, number>> = { HPE_HEADER_OVERFLOW: 431, ERR_HTTP_REQUEST_TIMEOUT: 408 };
  const status = codes[error.code ?? ''] ?? 400;
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nConnection: close\r\nContent-Length: 0\r\nx-amzn-RequestId: ${requestId}\r\n\r\n`,
  );
};

/** From the answer to a connection that leaves HTTP until the socket is cut if the client does not close it. */
const lingerMs = 1000;

/** An answer straight onto a socket that no HTTP server holds any more; its last. */
export const writeRaw = (socket: Socket, { status, headers, body }: Answer, requestId: string): void => {
  const bytes = typeof body === 'string' ? Buffer.from(body, 'utf8') : body;
  const lines = Object.entries({
    ...headers,
    'content-length': String(bytes.length),
    connection: 'close',
    'x-amzn-RequestId': requestId,
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  const cut = setTimeout(() => socket.destroy(), lingerMs);
  socket.on('error', () => undefined).once('close', () => clearTimeout(cut));
  // unread bytes would turn the close into a reset, and lose the answer
  socket.resume();
  socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}\r\n`);
  socket.end(bytes);
};

/** An HTTP server that does not listen yet. */
export const createHttpServer = ({ limits, dispatch, service, log, newId, strange }: HttpServing): HttpServer => {
  let underWay = 0;
  /** Those whose body is awaited, longest first, as what tells each of them that it is not awaited any more. */
  const awaited = new Set<(fault: Fault) => void>();
  let closing = false;

  const tooMany = (): Fault => new Fault('ServiceUnavailableException', 'Too many requests at once; try again');
  const overloaded = (requestId: string): Dispatched => {
    const fault = tooMany();
    return { answer: writeFault(service, fault, requestId), fault: fault.name };
  };

  /** Waits for the bytes of a client, who may be slow on purpose, without holding a place among the requests that are worked on. */
  const receiving = async <T>(bytes: () => Promise<T>): Promise<T> => {
    underWay -= 1;
    try {
      return await bytes();
    } finally {
      underWay += 1;
    }
  };
  /** The request behind a message, with the wait for its body bounded. */
  const received = (message: IncomingMessage): Incoming => {
    const request = incoming(message, limits.bodyBytesMax);
    if (!announcesBody(message)) return request;
    return {
      ...request,
      async body() {
        const { promise: givenUp, reject: giveUp } = Promise.withResolvers<never>();
        // a body that is there is read in no time: so it is the one withheld for longest that goes, and it may be withheld on purpose
        const [longest] = awaited.size >= limits.bodiesMax ? awaited : [];
        if (longest) {
          awaited.delete(longest);
          longest(tooMany());
        }
        awaited.add(giveUp);
        return receiving(() => Promise.race([request.body(), givenUp])).finally(() => awaited.delete(giveUp));
      },
    };
  };

  const serve = async (message: IncomingMessage, response: ServerResponse): Promise<void> => {
    const requestId = newId();
    const request = received(message);
    const done = underWay > limits.requestsMax ? overloaded(requestId) : await dispatch(request, requestId);
    const { answer, origin, ...logged } = done;
    log({ requestId, method: request.method, path: request.path, status: answer.status, ...logged });
    if (response.destroyed) return;
    send(response, answer, {
      'x-amzn-RequestId': requestId,
      ...((closing || !message.complete) && { connection: 'close' }),
      ...(origin !== undefined && {
        'access-control-allow-origin': origin,
        'access-control-expose-headers': exposed,
      }),
      vary: 'Origin',
    });
    if (!message.complete) await receiving(() => drain(message));
    response.end();
  };

  const server: Server = createServer({
    maxHeaderSize: limits.headerBytesMax,
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.keepAliveMs,
    connectionsCheckingInterval: 1000,
    // any other Upgrade may be passed over (RFC 9110 7.8); without anybody who listens for it this one is too, and with a body: Node would hand out a stream of
    // its own that ends the process when the client leaves before the body is whole
    shouldUpgradeCallback: (message) =>
      server.listenerCount('upgrade') > 0 &&
      /^websocket$/i.test(message.headers.upgrade ?? '') &&
      !announcesBody(message),
    // a request without Host gets the refusal of any wrong Host
    requireHostHeader: false,
  });
  // the size of all headers is bounded; a bound on their number would drop the rest unseen
  server.maxHeadersCount = 0;
  const forget = boundConnections(server, limits.connectionsMax);
  server.on('request', (message, response) => {
    underWay += 1;
    response.on('error', () => message.destroy());
    serve(message, response)
      .catch((error: unknown) => {
        message.destroy();
        if (error instanceof ClientGone) return;
        const { method = '', url = '' } = message;
        log({ requestId: '', method, path: url.split('?')[0] ?? '', status: 0, error });
      })
      .finally(() => {
        underWay -= 1;
      });
  });
  // an expectation that nobody knows may be passed over (RFC 9110 10.1.1); Node would answer it without asking for the Host
  server.on('checkExpectation', (message, response) => server.emit('request', message, response));
  server.on('clientError', (error: HttpError, socket) => {
    if (!strange?.(error, socket)) refuseBytes(error, socket, newId());
  });

  return {
    server,
    forget,
    close: (graceMs) =>
      new Promise((resolve) => {
        closing = true;
        const cut = setTimeout(() => server.closeAllConnections(), graceMs);
        cut.unref();
        server.close((error) => {
          // one that never listened has no count of its connections: whoever gave them waits for them
          if (!error) clearTimeout(cut);
          resolve();
        });
        server.closeIdleConnections();
      }),
  };
};
