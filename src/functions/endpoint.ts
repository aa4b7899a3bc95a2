/**
 * Functions behind an HTTP endpoint that speaks Lambda's Invoke: `POST <endpoint>/2015-03-31/functions/<name>[:<qualifier>]/invocations`.
 * Only the configuration names the host. Requests are not signed, redirects are not followed, no proxy of the environment is used, and of
 * the answer no more is read, and no longer, than the bounds allow. Source: Lambda API reference, Invoke; issue "Provisioning", Build 5.
 */
import * as http from 'node:http';
import * as https from 'node:https';
import { errorTypeOf, FunctionFailure } from './failure.ts';
import { answerBytesMax, type FunctionRequest, readAnswer, timeoutFailure, tooLongFailure } from './request.ts';

/** Bytes of the answer's headers. */
const headerBytesMax = 16 * 1024;
/** Idle connections that are kept, and how long; most servers close theirs after five seconds. */
const idleConnectionsMax = 16;
const idleMs = 4000;

export interface FunctionEndpoint {
  /** Faults: FunctionFailure. */
  invoke(request: FunctionRequest): Promise<unknown>;
  close(): void;
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';

/** What a status other than 200 means. Source: Lambda API reference, Invoke, Errors. */
const statusFailure = (name: string, status: number): FunctionFailure => {
  if (status === 404) return new FunctionFailure('not-found', `The functions endpoint knows no function ${name}.`);
  if (status === 429) return new FunctionFailure('busy', `The functions endpoint has no capacity left for ${name}.`);
  if (status >= 400) {
    return new FunctionFailure('error', `The functions endpoint answered ${status} when it was asked for ${name}.`);
  }
  const redirect = status >= 300 ? ' Redirects are not followed: give --functions-endpoint the final URL.' : '';
  return new FunctionFailure(
    'bad-answer',
    `The functions endpoint answered ${status} in place of 200 when it was asked for ${name}.${redirect}`,
  );
};

/** The function ran and failed: its body tells how. Faults: FunctionFailure, always. */
const functionError = (name: string, body: Uint8Array): never => {
  let told: { errorType?: unknown; errorMessage?: unknown } = {};
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(body));
    if (typeof value === 'object' && value !== null) told = value;
  } catch {
    // What it says is for the log alone, and that it failed is known.
  }
  const detail = typeof told.errorMessage === 'string' ? told.errorMessage : '';
  throw new FunctionFailure('error', `The function ${name} ended with an error${errorTypeOf(told.errorType)}.`, detail);
};

export const createEndpoint = (url: string, runningMax: number): FunctionEndpoint => {
  const base = new URL(url);
  const client = base.protocol === 'https:' ? https : http;
  // Agents of our own: NODE_USE_ENV_PROXY changes the global one only.
  const agent = new client.Agent({
    keepAlive: true,
    maxSockets: runningMax,
    maxFreeSockets: idleConnectionsMax,
    timeout: idleMs,
  });
  const freshAgent = new client.Agent({ keepAlive: false, maxSockets: runningMax });
  const prefix = base.pathname.replace(/\/+$/, '');
  let closed = false;

  const attempt = (request: FunctionRequest, by: http.Agent): Promise<unknown> => {
    const { functionName, qualifier } = request.target;
    const named = encodeURIComponent(qualifier === undefined ? functionName : `${functionName}:${qualifier}`);
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const asked = client.request(base, {
      agent: by,
      method: 'POST',
      path: `${prefix}/2015-03-31/functions/${named}/invocations`,
      maxHeaderSize: headerBytesMax,
      headers: {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(request.eventText),
        'accept-encoding': 'identity',
        'x-amz-invocation-type': 'RequestResponse',
        'x-fleetgate-function-arn': request.functionArn,
      },
    });
    let isSettled = false;
    let isAnswered = false;
    /** The first word counts; the connection is not used again. */
    const fail = (failure: FunctionFailure): void => {
      isSettled = true;
      reject(failure);
      asked.destroy();
    };
    const late = setTimeout(() => fail(timeoutFailure(request)), Math.max(0, request.deadlineMs - performance.now()));
    asked.on('error', (error) => {
      if (isSettled) return;
      const code = codeOf(error);
      const isStale = asked.reusedSocket && !isAnswered && (code === 'ECONNRESET' || code === 'EPIPE');
      if (isStale && !closed) {
        // The server closed an idle connection while we took it. It may have read the event: a function can be asked twice.
        isSettled = true;
        resolve(attempt(request, freshAgent));
      } else if (code.startsWith('HPE_')) {
        fail(new FunctionFailure('bad-answer', 'The functions endpoint answered what is no HTTP.', code));
      } else {
        const what = isAnswered ? 'broke off its answer' : 'cannot be reached';
        fail(new FunctionFailure('error', `The functions endpoint ${what}${code && ` (${code})`}.`, error.message));
      }
    });
    asked.on('upgrade', (response, socket) => {
      socket.destroy();
      fail(statusFailure(functionName, response.statusCode ?? 0));
    });
    asked.on('response', (response) => {
      isAnswered = true;
      if (response.statusCode !== 200) return fail(statusFailure(functionName, response.statusCode ?? 0));
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > answerBytesMax) fail(tooLongFailure(request));
        else chunks.push(chunk);
      });
      response.on('error', (error) =>
        fail(new FunctionFailure('error', 'The functions endpoint broke off its answer.', error.message)),
      );
      response.on('end', () => {
        isSettled = true;
        const body = Buffer.concat(chunks);
        const isError = response.headers['x-amz-function-error'] !== undefined;
        resolve(new Promise((read) => read(isError ? functionError(functionName, body) : readAnswer(request, body))));
      });
    });
    asked.end(request.eventText);
    return promise.finally(() => clearTimeout(late));
  };

  return {
    invoke: (request) => attempt(request, agent),
    close() {
      closed = true;
      agent.destroy();
      freshAgent.destroy();
    },
  };
};
