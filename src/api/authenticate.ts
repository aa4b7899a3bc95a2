/**
 * Who sent this request? SigV4, always verified. The checks in their order: the claim can be read; its scope fits (terminator, service, region, day); what
 * must be signed is signed; it is neither stale nor from the future; the key is known; the signature is right; the body is the one that was signed.
 * The order among refusals is ours where several apply. The body is asked for last, so that a stranger's body is not read.
 * Source: spec identity 1, gateway 2.2; IAM user guide, "Signature Version 4". Time is real time: the clock of tests does not move it.
 */
import { timingSafeEqual } from 'node:crypto';
import type { AccountRegion } from '../aws/arn.ts';
import { Fault } from '../aws/fault.ts';
import type { CredentialFacts, FindIdentity, KnownIdentity } from '../aws/identity.ts';
import { amzDateOf, canonicalRequest, type HeaderList, queryPairs, sha256Hex, signatureOf } from '../aws/sigv4.ts';
import type { Caller } from '../feature.ts';
import { type Claim, expiresSecondsMax, headerValues, readClaim } from './signature.ts';
import { invalid, mismatch, overFault, strangeKey, unrecognized } from './signature-fault.ts';

export interface SignedRequest extends CredentialFacts {
  readonly method: string;
  /** The raw path, and what follows the `?`. */
  readonly path: string;
  readonly query: string;
  readonly headers: HeaderList;
  /** Reads the body; asked at most once. */
  readonly body: () => Promise<Uint8Array>;
}

export interface Expectation {
  /** The scope's service must be one of these; the first is named in the refusal. */
  readonly services: readonly string[];
  /** The region that the Host names, if it names one. */
  readonly hostRegion: string | undefined;
  readonly credentials: FindIdentity;
  /** Hosts that may have been signed instead of the Host header as it came (spec gateway 2.1: some signers leave out the port). */
  readonly otherHosts?: readonly string[];
  /** The token of a presigned request may have been appended after it was signed; that form is tried first (spec gateway 2.1). */
  readonly tokenMayFollow?: boolean;
  /** The longest life of a presigned request; default as long as any may live. */
  readonly expiresSecondsMax?: number;
}

export interface Authenticated {
  readonly account: AccountRegion;
  readonly caller: Caller;
  readonly body: Uint8Array;
}

/** A signature may be this much older or younger than now. Source: issue; spec gateway 2.1. */
const skewMs = 300_000;

/** `us-east-1`, `us-gov-west-1`, `eusc-de-east-1`: any region that has the shape of one. */
export const regionPattern = /^[a-z]{2,4}-(?:[a-z]{2,10}-){1,2}[0-9]{1,2}$/;

const checkScope = (claim: Claim, { services, hostRegion }: Expectation): void => {
  const { date, region, service } = claim.scope;
  if (claim.terminator !== 'aws4_request') {
    throw invalid(
      "Credential should be scoped with a valid terminator: 'aws4_request'.",
      'the scope does not end in aws4_request',
    );
  }
  if (!services.includes(service)) {
    throw invalid(
      `Credential should be scoped to correct service: '${services[0] ?? ''}'. `,
      `the scope names another service than ${services.join(' or ')}`,
    );
  }
  if (!regionPattern.test(region) || (hostRegion !== undefined && hostRegion !== region)) {
    throw invalid(
      'Credential should be scoped to a valid region. ',
      hostRegion === undefined ? 'the scope names no region' : `the scope names another region than ${hostRegion}`,
    );
  }
  if (date !== claim.amzDate.slice(0, 8)) {
    throw invalid(
      `Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '${date.slice(0, 16)}' != '${claim.amzDate.slice(0, 8)}', from '${claim.amzDate}'.`,
      'the scope names another day than the request',
    );
  }
};

/**
 * Host and everything that decides about the request must be signed: the x-amz-* headers, as AWS asks, and the x-amzn-* headers, which carry input
 * (x-amzn-principal); but for the trace id, which proxies add. `Date` too where it is the signature's time.
 */
const checkSignedHeaders = (claim: Claim, headers: HeaderList): void => {
  const signed = new Set(claim.signedHeaders);
  if (!signed.has('host')) {
    throw invalid(
      "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
      'the host is not signed',
    );
  }
  const dateDecides = !claim.presigned && headerValues(headers, 'x-amz-date').length === 0;
  for (const [name] of headers) {
    const header = name.toLowerCase();
    const decides = (/^x-amzn?-/.test(header) && header !== 'x-amzn-trace-id') || (header === 'date' && dateDecides);
    if (decides && !signed.has(header)) {
      throw invalid(
        `'${header}' must be a 'SignedHeader' in the AWS Authorization.`,
        'a header is not signed that must be',
      );
    }
  }
};

const checkTime = (claim: Claim, expiresSecondsMax: number, nowMs: number): void => {
  const { amzDate, signedAtMs, expiresSeconds } = claim;
  if (expiresSeconds !== undefined && expiresSeconds > expiresSecondsMax) {
    throw invalid(`X-Amz-Expires must be at most ${expiresSecondsMax}`, 'X-Amz-Expires is too large');
  }
  const now = amzDateOf(nowMs);
  const oldestMs = nowMs - (expiresSeconds === undefined ? skewMs : expiresSeconds * 1000);
  if (signedAtMs < oldestMs) {
    const allowed = expiresSeconds === undefined ? '5 min.' : `${expiresSeconds} s.`;
    throw invalid(
      `Signature expired: ${amzDate} is now earlier than ${amzDateOf(oldestMs)} (${now} - ${allowed})`,
      'it is too old',
      'EXPIRED',
    );
  }
  if (signedAtMs > nowMs + skewMs) {
    throw invalid(
      `Signature not yet current: ${amzDate} is still later than ${amzDateOf(nowMs + skewMs)} (${now} + 5 min.)`,
      "its time is ahead of this server's clock",
    );
  }
};

/** What stands for the hash of a body that is not hashed, or hashed piece by piece. Source: S3 API reference, "Authenticating requests". */
const payloadMarker = /^(?:UNSIGNED-PAYLOAD|STREAMING-[A-Z0-9-]+)$/;

/**
 * Refuses those marks: none of these services has an operation with an unsigned payload, so AWS calculates with the hash of what came and finds another
 * signature. Here it is said why, before the body is read. Observed: apache/opendal-reqsign #346.
 */
const checkMarker = (declared: string, query: string): void => {
  const presigned = queryPairs(query).find(([name]) => name.toLowerCase() === 'x-amz-content-sha256')?.[1] ?? '';
  const marker = [declared, presigned].find((value) => payloadMarker.test(value));
  if (marker === undefined) return;
  throw invalid(
    'The request signature we calculated does not match the signature you provided. ' +
      `X-Amz-Content-Sha256 is '${marker.slice(0, 64)}', which only Amazon S3 takes: sign the SHA-256 of the body.`,
    'the body is not signed',
    'SIGNATURE_MISMATCH',
  );
};

const sameText = (a: string, b: string): boolean =>
  a.length === b.length && timingSafeEqual(Buffer.from(a, 'latin1'), Buffer.from(b, 'latin1'));

const tokenFits = (identity: KnownIdentity, claim: Claim): boolean => {
  const { sessionToken } = identity;
  if (sessionToken === undefined || claim.sessionToken === undefined) return sessionToken === claim.sessionToken;
  return sameText(sha256Hex(sessionToken), sha256Hex(claim.sessionToken));
};

/** Faults: SignatureFault of the problem EXPIRED for a session that is over. */
const findIdentity = async (
  claim: Claim,
  { loopback, forwarded }: SignedRequest,
  { credentials }: Expectation,
): Promise<KnownIdentity | undefined> => {
  try {
    return await credentials(claim.accessKeyId, { loopback, forwarded }, claim.sessionToken);
  } catch (error) {
    if (!(error instanceof Fault) || error.name !== 'ExpiredTokenException') throw error;
    throw overFault('EXPIRED', claim, {});
  }
};

/** The ways in which the claim may have been made. At least one. */
const variantsOf = (claim: Claim, { headers }: SignedRequest, { otherHosts = [], tokenMayFollow }: Expectation) => {
  const omitted = claim.presigned ? ['X-Amz-Signature'] : [];
  const queries =
    tokenMayFollow && claim.presigned && claim.sessionToken !== undefined
      ? [[...omitted, 'X-Amz-Security-Token'], omitted]
      : [omitted];
  const withHost = (host: string): HeaderList =>
    headers.map(([name, value]) => [name, name.toLowerCase() === 'host' ? host : value]);
  const heads = [headers, ...otherHosts.map(withHost)];
  return queries.flatMap((omittedQuery) => heads.map((head) => ({ headers: head, omittedQuery })));
};

/**
 * The account, region and caller that a request proves, and its body.
 * Faults: IncompleteSignatureException, MissingAuthenticationTokenException, InvalidSignatureException, UnrecognizedClientException,
 * ExpiredTokenException.
 */
export const authenticate = async (request: SignedRequest, expected: Expectation): Promise<Authenticated> => {
  const claim = readClaim(request.headers, request.query);
  checkScope(claim, expected);
  checkSignedHeaders(claim, request.headers);
  checkTime(claim, expected.expiresSecondsMax ?? expiresSecondsMax, Date.now());
  const identity = /^\w{1,128}$/.test(claim.accessKeyId) ? await findIdentity(claim, request, expected) : undefined;
  if (!identity || !tokenFits(identity, claim)) throw unrecognized(strangeKey(claim));
  const { over } = identity;

  const variants = variantsOf(claim, request, expected);
  const verify = (payloadHash: string): void => {
    let refused: Fault | undefined;
    for (const { headers, omittedQuery } of variants) {
      const canonical = canonicalRequest(
        { ...request, headers, signedHeaders: claim.signedHeaders, payloadHash },
        omittedQuery,
      );
      const signature = signatureOf(identity.secretAccessKey, claim.scope, claim.amzDate, canonical);
      if (sameText(signature, claim.signature)) return;
      refused ??= mismatch(canonical, claim, identity);
    }
    if (refused) throw over ? overFault(over, claim, { identity }) : refused;
  };
  // a declared hash lets the signature be judged before the body is read; it must then be the hash of that body
  const declared = headerValues(request.headers, 'x-amz-content-sha256').join(',');
  checkMarker(declared, request.query);
  if (declared !== '') verify(declared);
  const body = await request.body();
  const payloadHash = sha256Hex(body);
  if (payloadHash !== declared) verify(payloadHash);
  const account: AccountRegion = { accountId: identity.accountId, region: claim.scope.region };
  if (over) throw overFault(over, claim, { identity, account });
  return {
    account,
    caller: {
      accessKeyId: claim.accessKeyId,
      arn: identity.arn,
      userId: identity.userId,
      ...(identity.iam && { iam: identity.iam }),
      ...(identity.session && { session: identity.session }),
    },
    body,
  };
};
