/**
 * The listener for whoever watches the node: `/metrics` for Prometheus, and the two health paths. Always on 127.0.0.1 and without authentication, so
 * it answers nobody who is not on this machine, and no web page: the Host must be loopback's and no Origin given (DNS rebinding; design.md 3).
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hostOf, isLoopbackAddress } from '../api/host.ts';
import { type Health, healthAnswers } from './health.ts';
import { contentType, exposition, type MetricFamily } from './prometheus.ts';

const address = '127.0.0.1';
/** Scrapers that may be connected at once; one more is closed at once. */
export const scrapersMax = 32;
/** A scrape must have come in by then. */
const requestMs = 5_000;

export interface MetricsOptions {
  /** 0 = a free port. */
  readonly port: number;
  readonly families: () => readonly MetricFamily[];
  readonly health: Health;
}

export interface MetricsListener {
  readonly port: number;
  close(): Promise<void>;
}

const isLoopbackHost = (header: string | undefined): boolean => {
  const host = header === undefined ? undefined : hostOf(header);
  return host === 'localhost' || isLoopbackAddress(host);
};

/** Rejects with what `listen` says when the port cannot be had. */
export const startMetrics = async ({ port, families, health }: MetricsOptions): Promise<MetricsListener> => {
  const answer = (request: IncomingMessage): { status: number; type: string; body: string } => {
    const text = (status: number, body: string) => ({ status, type: 'text/plain; charset=utf-8', body: `${body}\n` });
    const { method, headers, url = '' } = request;
    const path = url.split('?')[0] ?? '';
    if (!isLoopbackHost(headers.host) || headers.origin !== undefined) return text(403, 'Only this machine may ask');
    if (method !== 'GET' && method !== 'HEAD') return text(405, 'GET only');
    if (path === '/metrics') return { status: 200, type: contentType, body: exposition(families()) };
    if (!Object.hasOwn(healthAnswers, path)) return text(404, '/metrics is here');
    const told = healthAnswers[path]!(health);
    return { status: told.status, type: 'application/json', body: `${JSON.stringify(told.body)}\n` };
  };
  const respond = (request: IncomingMessage, response: ServerResponse): void => {
    const { status, type, body } = answer(request);
    response.writeHead(status, {
      'content-type': type,
      'content-length': Buffer.byteLength(body),
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    });
    response.end(request.method === 'HEAD' ? undefined : body);
    request.resume();
  };
  const server = createServer(
    { requestTimeout: requestMs, headersTimeout: requestMs, requireHostHeader: false },
    respond,
  );
  server.maxConnections = scrapersMax;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen({ port, host: address }, resolve);
  await promise;
  server.on('error', () => undefined); // of accepting one connection; the next may succeed
  return {
    // bound to an address and a port, so never a string or null
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
};
