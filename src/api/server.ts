/** The API's listener on a port of its own. How it serves HTTP: `http-server.ts`; what it answers: `dispatch.ts`. */
import { randomUUID } from 'node:crypto';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hostname } from 'node:os';
import { type ApiLogEntry, createDispatch, type Dispatching } from './dispatch.ts';
import { type ApiLimits, apiLimits, createHttpServer } from './http-server.ts';

export { type ApiLimits, apiLimits } from './http-server.ts';

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
  const http = createHttpServer({
    limits,
    dispatch,
    service: 'iot',
    log: options.log,
    newId: options.newId ?? randomUUID,
  });
  return { port: await listen(http.server, options.port, options.host), close: http.close };
};
