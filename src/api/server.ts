/**
 * The API's HTTP listener: bounds on connections, requests, headers, bodies and time; a request id on every answer; everything else is `dispatch.ts`.
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hostname } from 'node:os';
import type { Duplex } from 'node:stream';
import { Fault } from '../aws/fault.ts';
import { boundConnections } from './connections.ts';
import { type ApiLogEntry, createDispatch, type Dispatched, type Dispatching } from './dispatch.ts';
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

export interface ApiOptions extends Omit<Dispatching, 'hostNames' | 'extras' | 'ensureAccount'> {
  /** Address to bind, e.g. `127.0.0.1`. */
  readonly host: string;
  /** 0 = a free port. */
  readonly port: number;
  readonly limits?: Partial<ApiLimits>;
  readonly extras?: Dispatching['extras'];
  readonly ensureAccount?: Dispatching['ensureAccount'];
  /** Suffix of the endpoints; it and all names below it are this server's. */
  readonly domain: string;
  /** Further plain names of this server, beside loopback's, the machine's own and `host`. */
  readonly names: readonly string[];
  readonly allowedOrigins: readonly string[];
  /** Told of every answer; `error` is set when the caller was told less than is known. Must not throw. */
  readonly log: (entry: ApiLogEntry) => void;
  /** A fresh lower-case UUID. */
  readonly newId?: () => string;
}

export interface Api {
  readonly port: number;
  /** Takes no new connection, ends idle ones, lets requests under way finish for `graceMs`, then cuts them. */
  close(graceMs: number): Promise<void>;
}

const isWildcard = (host: string): boolean => host === '' || host === '0.0.0.0' || host === '::';

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

const listen = (server: Server, port: number, host: string): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host, backlog: 511 }, () => {
      server.off('error', reject);
      // listening on a port, a server's address is an AddressInfo
      resolve((server.address() as AddressInfo).port);
    });
  });

/** Starts to listen. Rejects with node's own error (EADDRINUSE, EACCES) when it cannot. */
export const startApi = async (options: ApiOptions): Promise<Api> => {
  const limits = { ...apiLimits, ...options.limits };
  const newId = options.newId ?? randomUUID;
  const ownNames = [hostname(), ...(isWildcard(options.host) ? [] : [options.host])];
  const dispatch = createDispatch({
    ...options,
    extras: options.extras ?? [],
    ensureAccount: options.ensureAccount ?? (() => Promise.resolve()),
    hostNames: {
      domain: options.domain,
      names: [...options.names, ...ownNames],
      allowedOrigins: options.allowedOrigins,
    },
  });
  let underWay = 0;
  /** Those whose body is awaited, longest first, as what tells each of them that it is not awaited any more. */
  const awaited = new Set<(fault: Fault) => void>();
  let closing = false;

  const tooMany = (): Fault => new Fault('ServiceUnavailableException', 'Too many requests at once; try again');
  const overloaded = (requestId: string): Dispatched => {
    const fault = tooMany();
    return { answer: writeFault('iot', fault, requestId), fault: fault.name };
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
  const hasBody = ({ headerMap }: Incoming): boolean =>
    headerMap.has('transfer-encoding') || (headerMap.get('content-length') ?? '0') !== '0';
  const withBoundedWait = (request: Incoming): Incoming => ({
    ...request,
    async body() {
      if (!hasBody(request)) return request.body();
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
  });

  const serve = async (message: IncomingMessage, response: ServerResponse): Promise<void> => {
    const requestId = newId();
    const request = withBoundedWait(incoming(message, limits.bodyBytesMax));
    const done = underWay > limits.requestsMax ? overloaded(requestId) : await dispatch(request, requestId);
    const { answer, origin, ...logged } = done;
    options.log({ requestId, method: request.method, path: request.path, status: answer.status, ...logged });
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

  const server = createServer({
    maxHeaderSize: limits.headerBytesMax,
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.keepAliveMs,
    connectionsCheckingInterval: 1000,
    // a request without Host gets the refusal of any wrong Host
    requireHostHeader: false,
  });
  // the size of all headers is bounded; a bound on their number would drop the rest unseen
  server.maxHeadersCount = 0;
  boundConnections(server, limits.connectionsMax);
  server.on('request', (message, response) => {
    underWay += 1;
    response.on('error', () => message.destroy());
    serve(message, response)
      .catch((error: unknown) => {
        message.destroy();
        if (error instanceof ClientGone) return;
        const { method = '', url = '' } = message;
        options.log({ requestId: '', method, path: url.split('?')[0] ?? '', status: 0, error });
      })
      .finally(() => {
        underWay -= 1;
      });
  });
  // an expectation that nobody knows may be passed over (RFC 9110 10.1.1); Node would answer it without asking for the Host
  server.on('checkExpectation', (message, response) => server.emit('request', message, response));
  server.on('clientError', (error, socket) => refuseBytes(error, socket, newId()));

  const port = await listen(server, options.port, options.host);
  return {
    port,
    close: (graceMs) =>
      new Promise((resolve) => {
        closing = true;
        const cut = setTimeout(() => server.closeAllConnections(), graceMs);
        server.close(() => {
          clearTimeout(cut);
          resolve();
        });
        server.closeIdleConnections();
      }),
  };
};
