/**
 * Objects of an S3-compatible endpoint: `GET <endpoint>/<bucket>/<key>`, a window of bytes at a time. Only the configuration names the host, redirects are
 * not followed, no proxy of the environment is used, and of an answer no more is read, and no longer, than the bounds allow. Source: S3 API reference,
 * GetObject; issue "Provisioning", Build 6.
 */
import * as http from 'node:http';
import * as https from 'node:https';
import type { AccountRegion } from '../../aws/arn.ts';
import { encodeBytes } from '../../aws/sigv4.ts';
import {
  type BulkInput,
  changedProblem,
  type InputPlace,
  InputProblem,
  isPlainKey,
  windowBytes,
} from './bulk-input.ts';
import { type S3Key, signS3Get } from './s3-signature.ts';

/** From the request to the end of its answer. */
const timeoutMsDefault = 30_000;
const headerBytesMax = 16 * 1024;
/** Of a length and an ETag. */
const versionCharactersMax = 256;

export interface S3EndpointOptions {
  /** An http or https URL without user, query and fragment. */
  readonly endpoint: string;
  /** Signs requests for this account alone: what the key may read is nobody else's. Requests for other accounts are not signed. */
  readonly key?: S3Key & Pick<AccountRegion, 'accountId'>;
  readonly timeoutMs?: number;
}

interface Window {
  /** Of the whole object. */
  readonly bytes: number;
  readonly version: string;
  readonly body: Uint8Array;
}

const encodePath = (text: string): string =>
  text
    .split('/')
    .map((part) => encodeBytes(Buffer.from(part).toString('latin1')))
    .join('/');

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';

/** What a status that brings no bytes means. Source: S3 API reference, "Error Responses". */
const refused = ({ bucket, key }: InputPlace, status: number): InputProblem => {
  if (status === 404) return new InputProblem(`There is no object ${key} in the bucket ${bucket}.`);
  if (status === 401 || status === 403) {
    return new InputProblem(`The S3 endpoint does not let this server read ${key} of the bucket ${bucket}.`);
  }
  if (status >= 300 && status < 400) {
    return new InputProblem(`The S3 endpoint answered ${status}. Redirects are not followed.`);
  }
  const passing = status === 429 || status >= 500;
  return new InputProblem(`The S3 endpoint answered ${status} to ${key} of the bucket ${bucket}.`, { passing });
};

/** The extent of the object that an answer tells. Faults: InputProblem. */
const extentOf = ({ statusCode, headers }: http.IncomingMessage, offset: number): number => {
  const untold = () => new InputProblem('The S3 endpoint does not tell how long the object is, or takes no Range.');
  if (statusCode === 200) {
    // it gives all of the object, from its beginning
    const bytes = /^\d{1,15}$/.test(headers['content-length'] ?? '') ? Number(headers['content-length']) : undefined;
    if (bytes === undefined || offset !== 0) throw untold();
    return bytes;
  }
  const pattern = statusCode === 416 ? /^bytes \*\/(\d{1,15})$/ : /^bytes (\d{1,15})-\d{1,15}\/(\d{1,15})$/;
  const match = pattern.exec(headers['content-range'] ?? '');
  if (!match) throw untold();
  const [, first, total = first] = match;
  if (statusCode === 206 && Number(first) !== offset) throw untold();
  // there are bytes at the offset, and it says that there are none
  if (statusCode === 416 && Number(total) > offset) throw untold();
  return Number(total);
};

export const openS3Endpoint = ({
  endpoint,
  key: s3Key,
  timeoutMs = timeoutMsDefault,
}: S3EndpointOptions): BulkInput => {
  const base = new URL(endpoint);
  const client = base.protocol === 'https:' ? https : http;
  // of our own: NODE_USE_ENV_PROXY changes the global one only. Without kept connections none is found closed
  const agent = new client.Agent({ keepAlive: false });
  const prefix = base.pathname.replace(/\/+$/, '');
  let closed = false;

  const get = (place: InputPlace, offset: number, wanted: string | undefined): Promise<Window> => {
    if (closed) return Promise.reject(new InputProblem('The server is stopping.', { passing: true }));
    const path = `${prefix}/${encodePath(place.bucket)}/${encodePath(place.key)}`;
    const plain = { host: base.host, range: `bytes=${offset}-${offset + windowBytes - 1}` };
    const isSigned = s3Key?.accountId === place.account.accountId;
    const headers = isSigned ? signS3Get(s3Key, { path, headers: plain, nowMs: Date.now() }) : plain;
    const { promise, resolve, reject } = Promise.withResolvers<Window>();
    const asked = client.request(base, {
      agent,
      method: 'GET',
      path,
      maxHeaderSize: headerBytesMax,
      headers: { ...headers, 'accept-encoding': 'identity' },
    });
    /** The first word counts. */
    const fail = (problem: unknown): void => {
      reject(problem);
      asked.destroy();
    };
    const late = setTimeout(
      () => fail(new InputProblem(`The S3 endpoint did not answer within ${timeoutMs / 1000} s.`, { passing: true })),
      timeoutMs,
    );
    asked.on('error', (cause) => {
      const code = codeOf(cause);
      const what = code.startsWith('HPE_') ? 'answered what is no HTTP' : 'cannot be reached, or broke off';
      fail(new InputProblem(`The S3 endpoint ${what}${code && ` (${code})`}.`, { passing: true, cause }));
    });
    asked.on('upgrade', (response, socket) => {
      socket.destroy();
      fail(refused(place, response.statusCode ?? 0));
    });
    asked.on('response', (response) => {
      const { statusCode = 0 } = response;
      if (statusCode !== 200 && statusCode !== 206 && statusCode !== 416) return fail(refused(place, statusCode));
      let bytes: number;
      try {
        bytes = extentOf(response, offset);
      } catch (problem) {
        return fail(problem);
      }
      const encoding = response.headers['content-encoding'] ?? 'identity';
      if (encoding !== 'identity') {
        return fail(new InputProblem(`The object ${place.key} of the bucket ${place.bucket} is compressed.`));
      }
      const tag = response.headers.etag ?? response.headers['last-modified'] ?? '';
      const version = `${bytes} ${tag}`.slice(0, versionCharactersMax);
      if (wanted !== undefined && version !== wanted) return fail(changedProblem());
      const expected = statusCode === 416 ? 0 : Math.max(0, Math.min(windowBytes, bytes - offset));
      const chunks: Buffer[] = [];
      let read = 0;
      const done = (): void => {
        resolve({ bytes, version, body: Buffer.concat(chunks).subarray(0, expected) });
        asked.destroy();
      };
      if (expected === 0) return done();
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        read += chunk.length;
        if (read >= expected) done();
      });
      response.on('error', (cause) => fail(new InputProblem('The S3 endpoint broke off.', { passing: true, cause })));
      response.on('end', () => fail(new InputProblem('The S3 endpoint broke off.', { passing: true })));
    });
    asked.end();
    return promise.finally(() => clearTimeout(late));
  };

  return {
    async open(place, { offset, version: wanted }) {
      if (!isPlainKey(place.key) || !isPlainKey(place.bucket)) throw new InputProblem('That is no name of an object.');
      let window: Window | undefined = await get(place, offset, wanted);
      const { bytes, version } = window;
      return {
        bytes,
        version,
        async readAt(at) {
          const first = at === offset ? window : undefined;
          window = undefined;
          if (first) return first.body;
          return at >= bytes ? new Uint8Array() : (await get(place, at, version)).body;
        },
        close: async () => undefined,
      };
    },
    close() {
      closed = true;
      agent.destroy();
    },
  };
};
