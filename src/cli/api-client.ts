/** Calls operations of the public API as any client would: signed, over connections that are kept, again and again while the server asks to wait. */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { setTimeout as wait } from 'node:timers/promises';
import { signRequest } from '../aws/sigv4.ts';
import { CommandProblem } from './io.ts';
import type { Server } from './server.ts';
import { printable } from './terminal.ts';

export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PUT';
  /** Percent-encoded. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Readonly<Record<string, unknown>>;
}

export interface ApiAnswer {
  readonly status: number;
  /** The fault's name; undefined for a success. */
  readonly fault: string | undefined;
  readonly message: string;
  readonly members: Readonly<Record<string, unknown>>;
}

/** The server cannot be used as it is: it is gone, overloaded for too long, or does not know the key. No other request would fare better. */
export class ServerUnusable extends CommandProblem {}

export interface Patience {
  /** Tries of one request, the first included. */
  readonly triesMax: number;
  /** The longest pause after the first failure; it doubles with each. The pause itself is random, so that those who wait do not return together. */
  readonly firstPauseMs: number;
  readonly pauseMsMax: number;
  /** From the first byte asked to the last answered. */
  readonly answerMsMax: number;
}

/** About forty seconds in all. */
export const patience: Patience = { triesMax: 12, firstPauseMs: 100, pauseMsMax: 10_000, answerMsMax: 30_000 };

/** Tries of a request at which the server itself fails: it may be the request that it cannot bear. */
const failuresMax = 4;
/** Bytes of an answer; one that is longer comes from no such API. */
const answerBytesMax = 1_048_576;

export interface ApiClient {
  /**
   * Calls one operation that may safely be called twice. A fault of the caller, and one of the server that stays, is an answer.
   * Faults: ServerUnusable.
   */
  call(request: ApiRequest): Promise<ApiAnswer>;
  /** Ends all that wait, and all connections. */
  close(): void;
}

export interface ApiClientOptions {
  readonly server: Server;
  /** Connections kept open, and requests under way. */
  readonly connectionsMax: number;
  readonly now: () => number;
  /** Told why a request is being tried again. */
  readonly waiting?: (reason: string) => void;
  readonly patience?: Partial<Patience>;
}

const readAll = async (response: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = [];
  let size = 0;
  // without an encoding, a response's chunks are Buffers
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > answerBytesMax) throw new Error(`an answer of more than ${answerBytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
};

const membersOf = (body: string): Record<string, unknown> => {
  try {
    const parsed: unknown = JSON.parse(body);
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed) ? { ...parsed } : {};
  } catch {
    return {};
  }
};

const textIn = (members: Readonly<Record<string, unknown>>, ...names: readonly string[]): string | undefined => {
  for (const name of names) {
    const value = members[name];
    if (typeof value === 'string') return printable(value.slice(0, 500));
  }
  return undefined;
};

const toAnswer = (response: IncomingMessage, body: string): ApiAnswer => {
  const status = response.statusCode ?? 0;
  const members = membersOf(body);
  if (status >= 200 && status < 300) return { status, fault: undefined, message: '', members };
  const type = response.headers['x-amzn-errortype'];
  const named = (typeof type === 'string' ? type : textIn(members, '__type', 'code')) ?? `HTTP ${status}`;
  const fault = printable((named.split(':')[0] ?? named).slice(0, 100)).replace(/^.*#/, '');
  return { status, fault, message: textIn(members, 'message', 'Message') ?? '', members };
};

const asksToWait = ({ status, fault }: ApiAnswer): boolean =>
  status === 429 || status === 503 || /^Throttling|^TooManyRequests|^ServiceUnavailable/.test(fault ?? '');
const isOwnFailure = ({ status }: ApiAnswer): boolean => status >= 500 && status !== 501;
/** The key, or what it may do: the same for every request. */
const isKeyRefused = ({ status }: ApiAnswer): boolean => status === 401 || status === 403;

const shown = ({ status, fault, message }: ApiAnswer): string => `${fault ?? status}${message ? `: ${message}` : ''}`;

export const createApiClient = (options: ApiClientOptions): ApiClient => {
  const { server, connectionsMax, now, waiting = () => {} } = options;
  const { triesMax, firstPauseMs, pauseMsMax, answerMsMax } = { ...patience, ...options.patience };
  const closing = new AbortController();
  const secure = server.url.startsWith('https:');
  const settings = { keepAlive: true, maxSockets: connectionsMax };
  const agent = secure ? new HttpsAgent(settings) : new HttpAgent(settings);
  const send = secure ? httpsRequest : httpRequest;

  const once = ({ method, path, headers = {}, body }: ApiRequest): Promise<ApiAnswer> => {
    const url = `${server.url}${path}`;
    const text = body === undefined ? '' : JSON.stringify(body);
    const signed = signRequest({
      method,
      url,
      headers: { ...headers, ...(body !== undefined && { 'content-type': 'application/json' }) },
      body: text,
      accessKeyId: server.accessKeyId,
      secretAccessKey: server.secretAccessKey,
      ...(server.sessionToken !== undefined && { sessionToken: server.sessionToken }),
      region: server.region,
      service: 'iot',
      nowMs: now(),
    });
    return new Promise((resolve, reject) => {
      const length = { 'content-length': String(Buffer.byteLength(text)) };
      const sent = send(url, { method, agent, headers: { ...signed, ...(method !== 'GET' && length) } }, (response) => {
        readAll(response).then((answered) => resolve(toAnswer(response, answered)), reject);
      });
      const late = setTimeout(() => sent.destroy(new Error(`none within ${answerMsMax} ms`)), answerMsMax);
      sent
        .on('error', reject)
        .on('close', () => clearTimeout(late))
        .end(text);
    });
  };

  /** An answer, or the sentence of why there was none. */
  const attempt = async (request: ApiRequest): Promise<ApiAnswer | string> => {
    try {
      return await once(request);
    } catch (error) {
      closing.signal.throwIfAborted();
      const code = error instanceof Error && 'code' in error ? String(error.code) : '';
      return `no answer (${code || (error instanceof Error ? error.message : 'unknown')})`;
    }
  };

  const call = async (request: ApiRequest): Promise<ApiAnswer> => {
    for (let tries = 1; ; tries++) {
      const answer = await attempt(request);
      const answered = typeof answer !== 'string';
      if (answered && isKeyRefused(answer)) {
        throw new ServerUnusable(`The server at ${printable(server.url)} refuses the key: ${shown(answer)}`);
      }
      if (answered && !asksToWait(answer) && !isOwnFailure(answer)) return answer;
      if (answered && !asksToWait(answer) && tries >= Math.min(failuresMax, triesMax)) return answer;
      const reason = answered ? shown(answer) : answer;
      if (tries >= triesMax) {
        throw new ServerUnusable(`The server at ${printable(server.url)}, asked ${tries} times, said: ${reason}`);
      }
      waiting(reason);
      const longest = Math.min(pauseMsMax, firstPauseMs * 2 ** (tries - 1));
      await wait(longest * (0.5 + Math.random() / 2), undefined, { signal: closing.signal });
    }
  };

  return {
    call,
    close() {
      closing.abort(new ServerUnusable('The import was ended'));
      agent.destroy();
    },
  };
};
