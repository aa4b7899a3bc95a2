/** One HTTP request as the rest of api/ sees it: raw path and query, all headers in order, which end of which connection, and a bounded body. */
import type { IncomingMessage } from 'node:http';
import { Fault } from '../aws/fault.ts';
import type { HeaderList } from '../aws/sigv4.ts';
import { isLoopbackAddress } from './host.ts';

export interface Incoming {
  readonly method: string;
  /** As on the wire, percent-encoded, without the query. */
  readonly path: string;
  /** What follows the `?`; '' for none. */
  readonly query: string;
  readonly headers: HeaderList;
  /** Lower-case name -> values joined by commas. */
  readonly headerMap: ReadonlyMap<string, string>;
  /** Both ends of the TCP connection are loopback addresses. */
  readonly loopback: boolean;
  /** A proxy's header is there. */
  readonly forwarded: boolean;
  /** This end of the connection. */
  readonly localAddress: string | undefined;
  /** The other end. */
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  /** Which connection it is: the same object for all its requests. */
  readonly connection: object;
  /** The whole body. Faults: RequestEntityTooLargeException. Rejects with ClientGone when the client leaves before its end. */
  readonly body: () => Promise<Uint8Array>;
}

/** The client closed the connection before its request was whole: nobody is left to answer. */
export class ClientGone extends Error {
  override readonly name = 'ClientGone';
}

/**
 * Names of headers by which a proxy tells whom it speaks for. There is no list of them that would be whole: `Forwarded` and all its relatives
 * (RFC 7239 and what came before it, also with underscores), every `...-client-ip`, and what is left of the request as it came in.
 */
const forwardingHeader =
  /forwarded|^(?:via|cdn-loop|client-ip|x-scheme)$|^x-(?:original|envoy|proxyuser)-|(?:client|connecting|real|user)[-_]?ip$/;

const headerList = (raw: readonly string[]): HeaderList => {
  const headers: [string, string][] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) headers.push([raw[i] ?? '', raw[i + 1] ?? '']);
  return headers;
};

const joined = (headers: HeaderList): ReadonlyMap<string, string> => {
  const map = new Map<string, string>();
  for (const [name, value] of headers) {
    const key = name.toLowerCase();
    const before = map.get(key);
    map.set(key, before === undefined ? value : `${before},${value}`);
  }
  return map;
};

const readBody = (message: IncomingMessage, bytesMax: number): Promise<Uint8Array> =>
  new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const settle = (end: () => void): void => {
      message.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
      end();
    };
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      chunks.push(chunk);
      if (size <= bytesMax) return;
      message.pause();
      settle(() => reject(new Fault('RequestEntityTooLargeException', `The body is larger than ${bytesMax} bytes`)));
    };
    const onEnd = (): void => settle(() => resolve(Buffer.concat(chunks)));
    const onClose = (): void => settle(() => reject(new ClientGone('The client left before the end of its request')));
    message.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
  });

/** Bytes and time that an unread body may cost after its request was refused; beyond it the connection is closed. */
const drainBytesMax = 8_388_608;
const drainMs = 2000;

/** Reads what is left of a body and forgets it, so that a client that sends before it reads gets its answer. */
export const drain = (message: IncomingMessage): Promise<void> =>
  new Promise((resolve) => {
    if (message.readableEnded || message.destroyed) {
      resolve();
      return;
    }
    let size = 0;
    const settle = (): void => {
      clearTimeout(timer);
      message.off('data', onData).off('end', settle).off('close', settle).off('error', settle);
      message.on('error', () => undefined);
      resolve();
    };
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      if (size > drainBytesMax) {
        message.pause();
        settle();
      }
    };
    const timer = setTimeout(settle, drainMs);
    message.on('data', onData).on('end', settle).on('close', settle).on('error', settle).resume();
  });

/** The request behind a node:http message. */
export const incoming = (message: IncomingMessage, bodyBytesMax: number): Incoming => {
  const target = message.url ?? '';
  const mark = target.indexOf('?');
  const headers = headerList(message.rawHeaders);
  const headerMap = joined(headers);
  const { remoteAddress, remotePort, localAddress } = message.socket;
  return {
    method: message.method ?? '',
    path: mark < 0 ? target : target.slice(0, mark),
    query: mark < 0 ? '' : target.slice(mark + 1),
    headers,
    headerMap,
    loopback: isLoopbackAddress(remoteAddress) && isLoopbackAddress(localAddress),
    forwarded: [...headerMap.keys()].some((name) => forwardingHeader.test(name)),
    localAddress,
    remoteAddress,
    remotePort,
    connection: message.socket,
    body: () => readBody(message, bodyBytesMax),
  };
};
