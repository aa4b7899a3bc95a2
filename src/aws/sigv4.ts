/**
 * AWS Signature Version 4, both directions: `signRequest` and `presignUrl` for clients of ours (the command, tests), the pieces for the verifier.
 *
 * A signature is HMAC(signing key, string to sign); the string to sign names the time, the scope and the hash of the canonical request; the
 * canonical request is method, path, query, signed headers and body hash in one fixed spelling. All strings are "byte strings" (one character =
 * one byte, as node:http delivers them), so that what was signed as UTF-8 verifies whatever it holds.
 *
 * Source: IAM user guide, "Create a signed AWS API request". Two rules that the guide leaves open are taken from botocore's SigV4Auth and the SDK's
 * SignatureV4, which agree: dot segments and empty segments are removed from the path, and the path as sent (already percent-encoded) is encoded
 * once more, for every service but S3: `/a%2Fb` is signed as `/a%252Fb`.
 */
import { createHash, createHmac } from 'node:crypto';

export const algorithm = 'AWS4-HMAC-SHA256';
export const emptyPayloadHash = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

/** `<date>/<region>/<service>/aws4_request`; `date` is yyyymmdd. */
export interface Scope {
  readonly date: string;
  readonly region: string;
  readonly service: string;
}

export type HeaderList = readonly (readonly [name: string, value: string])[];

/** What the canonical request is made of. */
export interface RequestParts {
  readonly method: string;
  /** The path as on the wire: percent-encoded, without the query. */
  readonly path: string;
  /** What follows the `?` on the wire; '' for none. */
  readonly query: string;
  /** All headers, names in any case, repeated ones in their order. */
  readonly headers: HeaderList;
  /** Lower-case names, sorted. */
  readonly signedHeaders: readonly string[];
  /** Lower-case hex SHA-256 of the body. */
  readonly payloadHash: string;
}

export const sha256Hex = (bytes: Uint8Array | string): string =>
  createHash('sha256')
    .update(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
    .digest('hex');

const hmac = (key: Uint8Array | string, text: string): Buffer =>
  createHmac('sha256', key).update(text, 'latin1').digest();

const unreservedByte = /[A-Za-z0-9\-._~]/;
const encodedByte: readonly string[] = Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte);
  return unreservedByte.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
});

/** Percent-encodes every byte but RFC 3986's unreserved ones. */
export const encodeBytes = (text: string): string => {
  if (/^[A-Za-z0-9\-._~]*$/.test(text)) return text;
  let encoded = '';
  for (let i = 0; i < text.length; i++) encoded += encodedByte[text.charCodeAt(i) & 0xff];
  return encoded;
};

/** Undoes percent-encoding into a byte string; a `%` that starts no escape stays, and so does `+`, which is no blank in a URL. */
export const decodeBytes = (text: string): string =>
  text.includes('%')
    ? text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    : text;

/** The path without empty and dot segments, a trailing slash kept. */
export const normalizePath = (path: string): string => {
  const segments: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '' || segment === '.') continue;
    if (segment === '..') segments.pop();
    else segments.push(segment);
  }
  return segments.length === 0 ? '/' : `/${segments.join('/')}${path.endsWith('/') ? '/' : ''}`;
};

const canonicalPath = (path: string): string => normalizePath(path).split('/').map(encodeBytes).join('/');

/** The pairs of a query string as on the wire, names decoded, in their order; '' makes none. */
export const queryPairs = (query: string): [name: string, value: string][] =>
  query
    .split('&')
    .filter((part) => part !== '')
    .map((part) => {
      const equals = part.indexOf('=');
      return equals < 0
        ? [decodeBytes(part), '']
        : [decodeBytes(part.slice(0, equals)), decodeBytes(part.slice(equals + 1))];
    });

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const canonicalQuery = (query: string, omitted: readonly string[]): string =>
  queryPairs(query)
    .filter(([name]) => !omitted.includes(name))
    .map(([name, value]): [string, string] => [encodeBytes(name), encodeBytes(value)])
    .sort(([nameA, valueA], [nameB, valueB]) => compare(nameA, nameB) || compare(valueA, valueB))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');

const canonicalHeaders = (headers: HeaderList, signedHeaders: readonly string[]): string => {
  const values = new Map<string, string[]>();
  for (const [name, value] of headers) {
    const key = name.toLowerCase();
    const folded = value.trim().replace(/\s+/g, ' ');
    const list = values.get(key);
    if (list) list.push(folded);
    else values.set(key, [folded]);
  }
  return signedHeaders.map((name) => `${name}:${(values.get(name) ?? []).join(',')}\n`).join('');
};

/** The canonical request. `omittedQuery` names the query parameters that were added after signing (X-Amz-Signature). */
export const canonicalRequest = (request: RequestParts, omittedQuery: readonly string[] = []): string =>
  [
    request.method,
    canonicalPath(request.path),
    canonicalQuery(request.query, omittedQuery),
    canonicalHeaders(request.headers, request.signedHeaders),
    request.signedHeaders.join(';'),
    request.payloadHash,
  ].join('\n');

export const scopeText = (scope: Scope): string => `${scope.date}/${scope.region}/${scope.service}/aws4_request`;

/** `amzDate` is yyyymmddThhmmssZ. */
export const stringToSign = (amzDate: string, scope: Scope, canonical: string): string =>
  [algorithm, amzDate, scopeText(scope), sha256Hex(canonical)].join('\n');

/** Signing keys worth keeping: one per secret, day, region and service. At the bound the oldest is forgotten, and derived again when asked for. */
const signingKeysMax = 256;
const signingKeys = new Map<string, Buffer>();

/** The key that signs for one secret and scope: a chain of four HMACs, remembered. */
export const signingKey = (secretAccessKey: string, scope: Scope): Buffer => {
  const name = `${scopeText(scope)}\n${secretAccessKey}`;
  const known = signingKeys.get(name);
  if (known) return known;
  const dateKey = hmac(Buffer.from(`AWS4${secretAccessKey}`, 'utf8'), scope.date);
  const key = hmac(hmac(hmac(dateKey, scope.region), scope.service), 'aws4_request');
  if (signingKeys.size >= signingKeysMax) {
    const oldest = signingKeys.keys().next();
    if (!oldest.done) signingKeys.delete(oldest.value);
  }
  signingKeys.set(name, key);
  return key;
};

/** The signature of a canonical request: 64 lower-case hex digits. */
export const signatureOf = (secretAccessKey: string, scope: Scope, amzDate: string, canonical: string): string =>
  hmac(signingKey(secretAccessKey, scope), stringToSign(amzDate, scope, canonical)).toString('hex');

/** yyyymmddThhmmssZ of a time in ms since the epoch. */
export const amzDateOf = (ms: number): string => `${new Date(ms).toISOString().replace(/[-:]/g, '').slice(0, 15)}Z`;

/** The time, in ms since the epoch, that a yyyymmddThhmmssZ names; undefined when it is none. */
export const parseAmzDate = (text: string): number | undefined => {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (!match) return undefined;
  const [, year, month, day, hour, minute, second] = match;
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(ms) || amzDateOf(ms) !== text ? undefined : ms;
};

/** Who signs, for what, and when. */
export interface Signing {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly region: string;
  /** The service's signing name: `iot`, `iotdata`, `iotdevicegateway`, `sts`. */
  readonly service: string;
  /** Real time in ms since the epoch: a signature lasts five minutes. */
  readonly nowMs: number;
}

export interface UnsignedRequest extends Signing {
  readonly method: string;
  /** Absolute; its path and query must be percent-encoded as they will be sent. */
  readonly url: string | URL;
  /** ASCII values. `host` is taken from the URL unless it stands here. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
}

/** Headers that intermediaries change, and so must not be signed. */
const neverSigned: ReadonlySet<string> = new Set(
  'authorization cache-control connection expect from keep-alive max-forwards pragma referer te trailer transfer-encoding upgrade user-agent x-amzn-trace-id'.split(
    ' ',
  ),
);

/** A claim is known by one of these two; the others are its parts. */
const claimNames = ['X-Amz-Signature', 'X-Amz-Algorithm'];
const claimParts = [
  ...claimNames,
  'X-Amz-Credential',
  'X-Amz-Date',
  'X-Amz-Expires',
  'X-Amz-SignedHeaders',
  'X-Amz-Security-Token',
];

/** A request that no signature of ours can vouch for. */
export class UnsignableRequest extends Error {
  override readonly name = 'UnsignableRequest';
}

/** A URL that claims a signature already cannot get another: the reader refuses two claims, since which one is meant would be a guess. */
const refuseClaim = (url: URL, names: readonly string[]): void => {
  const claimed = queryPairs(url.search.slice(1)).find(([name]) => names.includes(name));
  if (claimed) throw new UnsignableRequest(`A URL whose query holds ${claimed[0]} already cannot be signed`);
};

/**
 * The headers to send, lower-case: those given, `host`, `x-amz-date`, `x-amz-content-sha256`, the token if any, and `authorization`.
 * UnsignableRequest for a URL that is presigned.
 */
export const signRequest = (request: UnsignedRequest): Record<string, string> => {
  const url = new URL(request.url);
  refuseClaim(url, claimNames);
  const amzDate = amzDateOf(request.nowMs);
  const payloadHash = sha256Hex(bodyBytes(request.body));
  const headers: Record<string, string> = { host: url.host };
  for (const [name, value] of Object.entries(request.headers ?? {})) headers[name.toLowerCase()] = value;
  headers['x-amz-date'] = amzDate;
  headers['x-amz-content-sha256'] = payloadHash;
  if (request.sessionToken !== undefined) headers['x-amz-security-token'] = request.sessionToken;
  const signedHeaders = Object.keys(headers)
    .filter((name) => !neverSigned.has(name))
    .sort();
  const scope: Scope = { date: amzDate.slice(0, 8), region: request.region, service: request.service };
  const canonical = canonicalRequest({
    method: request.method,
    path: url.pathname,
    query: url.search.slice(1),
    headers: Object.entries(headers),
    signedHeaders,
    payloadHash,
  });
  const signature = signatureOf(request.secretAccessKey, scope, amzDate, canonical);
  headers['authorization'] =
    `${algorithm} Credential=${request.accessKeyId}/${scopeText(scope)}, SignedHeaders=${signedHeaders.join(';')}, Signature=${signature}`;
  return headers;
};

/**
 * The same URL with its signature in the query: only `host` is signed. `expiresSeconds` is at most 604800 (seven days).
 * UnsignableRequest for a URL whose query holds a part of a signature.
 */
export const presignUrl = (request: UnsignedRequest & { readonly expiresSeconds: number }): string => {
  const url = new URL(request.url);
  refuseClaim(url, claimParts);
  const amzDate = amzDateOf(request.nowMs);
  const scope: Scope = { date: amzDate.slice(0, 8), region: request.region, service: request.service };
  const added: [string, string][] = [
    ['X-Amz-Algorithm', algorithm],
    ['X-Amz-Credential', `${request.accessKeyId}/${scopeText(scope)}`],
    ['X-Amz-Date', amzDate],
    ['X-Amz-Expires', String(request.expiresSeconds)],
    ['X-Amz-SignedHeaders', 'host'],
  ];
  if (request.sessionToken !== undefined) added.push(['X-Amz-Security-Token', request.sessionToken]);
  const parameters = added.map(([name, value]) => `${name}=${encodeBytes(value)}`);
  const query = [...(url.search === '' ? [] : [url.search.slice(1)]), ...parameters].join('&');
  const canonical = canonicalRequest({
    method: request.method,
    path: url.pathname,
    query,
    headers: [['host', request.headers?.['host'] ?? url.host]],
    signedHeaders: ['host'],
    payloadHash: sha256Hex(bodyBytes(request.body)),
  });
  const signature = signatureOf(request.secretAccessKey, scope, amzDate, canonical);
  return `${url.origin}${url.pathname}?${query}&X-Amz-Signature=${signature}`;
};

const bodyBytes = (body: Uint8Array | string | undefined): Uint8Array =>
  typeof body === 'string' ? Buffer.from(body, 'utf8') : (body ?? new Uint8Array(0));
