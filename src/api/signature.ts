/**
 * Where a request carries its signature, and what it says about itself: the Authorization header or a presigned query. Reading only; nothing is believed yet.
 * Faults: MissingAuthenticationTokenException without any, IncompleteSignatureException for one that cannot be read or lacks a part
 * (spec identity 1). Messages with AWS's wording where it is known; the Authorization value itself is never repeated.
 */
import { Fault } from '../aws/fault.ts';
import { algorithm, amzDateOf, type HeaderList, parseAmzDate, queryPairs, type Scope } from '../aws/sigv4.ts';

/** What a request claims about its signature. */
export interface Claim {
  readonly accessKeyId: string;
  readonly scope: Scope;
  readonly terminator: string;
  /** Lower-case, in the order of the claim. */
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  /** yyyymmddThhmmssZ. */
  readonly amzDate: string;
  readonly signedAtMs: number;
  /** Presigned: how long the signature holds. Undefined: the skew rule. */
  readonly expiresSeconds: number | undefined;
  readonly sessionToken: string | undefined;
  /** The claim stands in the query: the signature itself is no part of what was signed. */
  readonly presigned: boolean;
}

/** Seven days, the longest life of a presigned request. */
export const expiresSecondsMax = 604_800;

const incomplete = (message: string): Fault => new Fault('IncompleteSignatureException', message);

/** All values of a header, in their order. */
export const headerValues = (headers: HeaderList, name: string): string[] =>
  headers.filter(([candidate]) => candidate.toLowerCase() === name).map(([, value]) => value);

const single = (values: readonly string[], what: string): string | undefined => {
  if (values.length > 1) throw incomplete(`${what} must not appear more than once`);
  return values[0];
};

const readCredential = (text: string): Pick<Claim, 'accessKeyId' | 'scope' | 'terminator'> => {
  const parts = text.split('/');
  if (parts.length !== 5) {
    throw incomplete(
      `Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got ${parts.length}`,
    );
  }
  const [accessKeyId = '', date = '', region = '', service = '', terminator = ''] = parts;
  return { accessKeyId, scope: { date, region, service }, terminator };
};

const readSignedHeaders = (text: string): readonly string[] => {
  const names = text.toLowerCase().split(';');
  if (new Set(names).size !== names.length || !names.every((name) => /^[a-z0-9!#$%&'*+\-.^_`|~]+$/.test(name))) {
    throw incomplete('SignedHeaders must be a list of distinct header names with semicolons between them');
  }
  return names;
};

const readDate = (text: string): { amzDate: string; signedAtMs: number } => {
  const basicMs = parseAmzDate(text);
  if (basicMs !== undefined) return { amzDate: text, signedAtMs: basicMs };
  throw incomplete("Date must be in ISO-8601 'basic format'. See http://en.wikipedia.org/wiki/ISO_8601");
};

/** A Date header holds the basic form or an HTTP date; what was signed is the basic form of it. */
const readDateHeader = (text: string): { amzDate: string; signedAtMs: number } => {
  const httpMs = /^[A-Z][a-z]{2}, .* GMT$/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(httpMs) ? readDate(text) : { amzDate: amzDateOf(httpMs), signedAtMs: httpMs };
};

/** The `name=value` parts of an Authorization header. */
const authorizationParts = (text: string): ReadonlyMap<string, string> => {
  const parts = new Map<string, string>();
  for (const part of text.split(',')) {
    const equals = part.indexOf('=');
    if (equals < 0) throw incomplete('Authorization header has a part without an equals sign');
    const name = part.slice(0, equals).trim();
    if (parts.has(name)) throw incomplete(`Authorization header has ${name} more than once`);
    parts.set(name, part.slice(equals + 1).trim());
  }
  return parts;
};

const fromHeader = (authorization: string, headers: HeaderList): Claim => {
  const blank = authorization.indexOf(' ');
  const scheme = blank < 0 ? authorization : authorization.slice(0, blank);
  if (scheme !== algorithm) throw incomplete(`Authorization header must begin with '${algorithm}'`);
  const parts = authorizationParts(authorization.slice(blank + 1));
  const amzDate = single(headerValues(headers, 'x-amz-date'), 'X-Amz-Date');
  const date = single(headerValues(headers, 'date'), 'Date');
  const missing = ['Credential', 'Signature', 'SignedHeaders']
    .filter((name) => !parts.get(name))
    .map((name) => `Authorization header requires '${name}' parameter.`);
  if (amzDate === undefined && date === undefined) {
    missing.push("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.");
  }
  if (missing.length > 0) throw incomplete(missing.join(' '));
  return {
    ...readCredential(parts.get('Credential') ?? ''),
    ...(amzDate === undefined ? readDateHeader(date ?? '') : readDate(amzDate)),
    signedHeaders: readSignedHeaders(parts.get('SignedHeaders') ?? ''),
    signature: parts.get('Signature') ?? '',
    expiresSeconds: undefined,
    sessionToken: single(headerValues(headers, 'x-amz-security-token'), 'X-Amz-Security-Token'),
    presigned: false,
  };
};

const readExpires = (text: string): number => {
  const seconds = Number(text);
  if (!/^[0-9]{1,7}$/.test(text) || seconds > expiresSecondsMax) {
    throw new Fault(
      'InvalidSignatureException',
      `X-Amz-Expires must be a number of seconds up to ${expiresSecondsMax}`,
    );
  }
  return seconds;
};

const fromQuery = (pairs: readonly (readonly [string, string])[]): Claim => {
  const parameter = (name: string): string | undefined =>
    single(
      pairs.filter(([candidate]) => candidate === name).map(([, value]) => value),
      name,
    );
  const required = (name: string): string => {
    const value = parameter(name);
    if (!value) throw incomplete(`AWS query-string parameters must include '${name}'.`);
    return value;
  };
  if (required('X-Amz-Algorithm') !== algorithm) throw incomplete(`X-Amz-Algorithm must be '${algorithm}'`);
  const expires = parameter('X-Amz-Expires');
  return {
    ...readCredential(required('X-Amz-Credential')),
    ...readDate(required('X-Amz-Date')),
    signedHeaders: readSignedHeaders(required('X-Amz-SignedHeaders')),
    signature: required('X-Amz-Signature'),
    expiresSeconds: expires === undefined ? undefined : readExpires(expires),
    sessionToken: parameter('X-Amz-Security-Token'),
    presigned: true,
  };
};

/** The claim of a request. Two claims in one request are refused: which of them is meant would be a guess. */
export const readClaim = (headers: HeaderList, query: string): Claim => {
  const authorization = single(headerValues(headers, 'authorization'), 'Authorization header');
  const pairs = queryPairs(query);
  const presigned = pairs.some(([name]) => name === 'X-Amz-Signature' || name === 'X-Amz-Algorithm');
  if (authorization !== undefined && presigned) {
    throw incomplete('A request carries its signature in the Authorization header or in the query, not in both');
  }
  if (presigned) return fromQuery(pairs);
  if (authorization === undefined) {
    throw new Fault('MissingAuthenticationTokenException', 'Missing Authentication Token');
  }
  return fromHeader(authorization, headers);
};

/** The service in the scope of a request's signature, however it is signed; undefined when nothing can be read. Nothing is believed yet. */
export const scopeService = (
  headers: HeaderList,
  pairs: readonly (readonly [string, string])[],
): string | undefined => {
  const [authorization] = headerValues(headers, 'authorization');
  const credential =
    /\bCredential=([^,\s]+)/.exec(authorization ?? '')?.[1] ?? pairs.find(([name]) => name === 'X-Amz-Credential')?.[1];
  return credential?.split('/')[3];
};

/** Whether a request tries to prove its sender by a signature at all, good or bad. */
export const isSigned = (headers: HeaderList, query: string): boolean =>
  headerValues(headers, 'authorization').length > 0 ||
  queryPairs(query).some(([name]) => name === 'X-Amz-Signature' || name === 'X-Amz-Algorithm');
