/**
 * From a request to its answer. The order of every request: Host and Origin (before anything else is looked at); what it asks for (a page of the node's own, a
 * JSON 1.1 operation, a Query operation, a REST operation); authentication; is the operation handled at all; its input by schema; the constraints; may the
 * caller do this; the account exists; the handler; its output by schema. Faults take the wire of what was asked for.
 */

import type { AccountRegion } from '../aws/arn.ts';
import { Fault } from '../aws/fault.ts';
import type { FindIdentity } from '../aws/identity.ts';
import type { ServiceName } from '../aws/operations.ts';
import { normalizePath } from '../aws/sigv4.ts';
import type { Arrival, AskedCall, Call, Caller, Handlers } from '../feature.ts';
import { type Authenticated, authenticate } from './authenticate.ts';
import type { Extra } from './extras.ts';
import { checkFetchSite, checkHost, checkOrigin, type HostNames, regionOfHost, withName } from './host.ts';
import { ClientGone, type Incoming } from './incoming.ts';
import { findTarget, readJsonInput, writeJsonOutput } from './json-1-1.ts';
import { handlerOf, type Operation, serviceNames } from './operations.ts';
import { findAction, type QueryService, readForm, readFormInput, unsignedActions, writeXmlOutput } from './query.ts';
import { refusal } from './refusal.ts';
import { type Answer, readInput, readQuery, writeOutput } from './rest-json.ts';
import { findOperation } from './routes.ts';
import { isSigned } from './signature.ts';
import { MalformedInput, validate } from './validate.ts';
import { checkEncoding, globalRegions, queryServiceOf, rpcService, signingNames } from './wires.ts';

export type { Extra, ExtraAnswer, ExtraRequest } from './extras.ts';

/** What the log is told of one answer. Never a query string, a body, a key. `error` is there when the fault hides something from the caller. */
export interface ApiLogEntry {
  readonly requestId: string;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly operation?: string;
  readonly account?: AccountRegion;
  readonly fault?: string;
  readonly error?: unknown;
}

export interface Dispatching {
  readonly handlers: Handlers;
  readonly credentials: FindIdentity;
  readonly extras: readonly Extra[];
  readonly hostNames: HostNames;
  /** One more name of this server, lower case, that this request may be addressed to. */
  readonly ownName?: (request: Incoming) => string | undefined;
  readonly makeCall: (account: AccountRegion, caller: Caller, arrival: Arrival, operation: string) => Call;
  /** Default: all services; of others every request is an unknown operation. A listener without `iot` serves REST alone. */
  readonly services?: readonly ServiceName[];
  /** Default: whoever has signed. */
  readonly whoAsks?: WhoAsks;
  /** Default: whoever has signed may do everything in their account. */
  readonly authorize?: AuthorizeCall;
  /** Told of a call that its handler refused, or the constraints of its input already. Must not throw. */
  readonly refused?: (asked: RefusedCall, fault: Fault) => void;
  /** Told of a request that proved nobody, where `whoAsks` is the default. Must not throw. */
  readonly unproven?: (error: unknown, arrival: Arrival) => void;
  /** Awaited before the first handler of an account and region. A rejection refuses the request and is asked again by the next. */
  readonly ensureAccount: (account: AccountRegion) => Promise<void>;
}

/** `malformed`: which constraints of its input it broke, without any value. */
export interface RefusedCall extends AskedCall {
  readonly malformed?: string;
}

/** Who sends a request, with its body. Host and Origin have been looked at. Faults: those of `authenticate`, ForbiddenException. */
export type WhoAsks = (request: Incoming, service: ServiceName, arrival: Arrival) => Promise<Authenticated>;

/** Resolves when the caller may do this. Faults: AccessDeniedException. */
export type AuthorizeCall = (asked: AskedCall) => Promise<void>;

/** An answer with what the log and the sender want to know beside it. */
export interface Dispatched {
  readonly answer: Answer;
  /** The origin that may read the answer. */
  readonly origin?: string;
  readonly operation?: string;
  readonly account?: AccountRegion;
  readonly fault?: string;
  readonly error?: unknown;
}

/** Accounts known to exist, so that `ensureAccount` is asked once. At the bound the oldest is forgotten and asked again. */
const ensuredMax = 10_000;

/** Everything one request gathers on its way, for its answer and the log. */
interface Progress {
  readonly request: Incoming;
  readonly requestId: string;
  service: ServiceName;
  arrival: Arrival;
  origin?: string;
  operation?: string;
  account?: AccountRegion;
}

const unavailable = (operation: string): Fault =>
  new Fault('NotImplementedException', `${operation} is not available in this version of Fleetgate`);

const text = (status: number, body: string): Answer => ({
  status,
  headers: { 'content-type': 'text/plain; charset=utf-8' },
  body,
});

const welcome =
  'This is Fleetgate, an endpoint of the AWS IoT API. Point an AWS client at it: aws --endpoint-url <this address> iot list-things\n' +
  'Health: /_fleetgate/health\n';

/** What a preflight may be granted: lists of header names are repeated as asked, up to this length. */
const preflightHeadersMax = 2048;

const preflight = ({ headerMap }: Incoming, origin: string | undefined): Answer => {
  if (origin === undefined) throw new Fault('UnknownOperationException', 'OPTIONS is answered to pages only');
  const asked = headerMap.get('access-control-request-headers') ?? '';
  const granted = asked.length <= preflightHeadersMax && /^[\w\-, ]*$/.test(asked) ? asked : '';
  return {
    status: 204,
    headers: {
      'access-control-allow-methods': 'GET, HEAD, POST, PUT, PATCH, DELETE',
      ...(granted !== '' && { 'access-control-allow-headers': granted }),
      'access-control-max-age': '600',
    },
    body: '',
  };
};

/** Operations that answer that a message was taken, and the request id once more; the model of Publish has no output at all. Source: spec gateway 3, 4. */
const acknowledging: ReadonlySet<string> = new Set(['Publish', 'SendDirectMessage']);

const acknowledged = ({ status }: Answer, output: Record<string, unknown> = {}, requestId: string): Answer => ({
  status,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ message: 'OK', traceId: requestId, ...output }),
});

/** Answers requests, one call each; it keeps nothing but the accounts it has seen. */
export const createDispatch = (
  options: Dispatching,
): ((request: Incoming, requestId: string) => Promise<Dispatched>) => {
  const { handlers, credentials, hostNames, makeCall, services = serviceNames } = options;
  const isServed = (service: ServiceName): boolean => services.includes(service);
  const [mainService = 'iot'] = services;
  const extras = new Map(options.extras.map((extra) => [`${extra.method} ${extra.path}`, extra]));
  const ensured = new Map<string, Promise<void>>();

  const ensureAccount = (account: AccountRegion): Promise<void> => {
    const key = `${account.accountId}/${account.region}`;
    const known = ensured.get(key);
    if (known) return known;
    const attempt = options.ensureAccount(account).catch((error: unknown) => {
      ensured.delete(key);
      throw error;
    });
    if (ensured.size >= ensuredMax) {
      const oldest = ensured.keys().next();
      if (!oldest.done) ensured.delete(oldest.value);
    }
    ensured.set(key, attempt);
    return attempt;
  };

  const whoSigned: WhoAsks = async (request, service, arrival) => {
    try {
      return await authenticate(request, {
        services: signingNames[service],
        hostRegion: regionOfHost(arrival.host, hostNames.domain),
        credentials,
      });
    } catch (error) {
      options.unproven?.(error, arrival);
      throw error;
    }
  };
  const { whoAsks = whoSigned } = options;

  const authenticated = async (progress: Progress): Promise<Authenticated> => {
    const { request, service, arrival } = progress;
    checkFetchSite(request.headerMap.get('sec-fetch-site'), progress.origin);
    const who = await whoAsks(request, service, arrival);
    checkEncoding(request.headerMap);
    const region = globalRegions[service] ?? who.account.region;
    progress.account = { ...who.account, region };
    return { ...who, account: progress.account };
  };

  /** The part of the way that all wires share: constraints, account, handler. */
  const run = async (
    operation: Operation,
    { account, caller }: Authenticated,
    arrival: Arrival,
    read: () => Record<string, unknown>,
  ): Promise<Record<string, unknown> | undefined> => {
    const handler = handlerOf(handlers, operation);
    if (!handler) throw unavailable(operation.name);
    const input = read();
    const asked = { service: operation.service, operation: operation.name, ...{ input, account, caller, arrival } };
    const noted = async <Result>(work: () => Result | Promise<Result>): Promise<Result> => {
      try {
        return await work();
      } catch (error) {
        const malformed = error instanceof MalformedInput && { malformed: error.broken };
        if (error instanceof Fault) options.refused?.({ ...asked, ...malformed }, error);
        throw error;
      }
    };
    await noted(() => validate(operation, input));
    await options.authorize?.(asked);
    await ensureAccount(account);
    const call = makeCall(account, caller, arrival, `${operation.service} ${operation.name}`);
    return noted(() => handler(input, call));
  };

  const serveExtra = async (extra: Extra, progress: Progress): Promise<Answer> => {
    const { request, arrival } = progress;
    const who = extra.signed ? await authenticated(progress) : undefined;
    if (extra.signed && who) {
      const { account, caller } = who;
      await options.authorize?.({ service: 'fleetgate', operation: extra.name, input: {}, account, caller, arrival });
    }
    const { status, contentType, body } = await extra.handle({
      query: readQuery(request.query),
      body: who ? who.body : await request.body(),
      arrival,
      localAddress: request.localAddress,
      forwarded: request.forwarded,
      account: who?.account,
      caller: who?.caller,
    });
    return { status, headers: { 'content-type': contentType }, body };
  };

  const formOf = ({ method, query }: Incoming, body: Uint8Array): ReadonlyMap<string, string> => {
    const sent = Buffer.from(body).toString('latin1');
    return readForm(method === 'GET' || sent === '' ? query : sent);
  };

  const serveJson = async (progress: Progress): Promise<Answer> => {
    const operation = findTarget(progress.request.headerMap);
    progress.operation = operation.name;
    const who = await authenticated(progress);
    const output = await run(operation, who, progress.arrival, () => readJsonInput(operation, who.body));
    return writeJsonOutput(operation, output);
  };

  /** The only refusal that is answered by what an unsigned form says: which service it means, and whether it needs no signature. */
  const refuseUnsigned = async (progress: Progress, error: unknown): Promise<never> => {
    if (!(error instanceof Fault) || error.name !== 'MissingAuthenticationTokenException') throw error;
    const form = formOf(progress.request, await progress.request.body());
    const version = form.get('Version');
    if (version !== undefined) progress.service = queryServiceOf(version);
    const action = form.get('Action');
    if (action === undefined || progress.service !== 'sts' || !unsignedActions.has(action)) throw error;
    progress.operation = action;
    throw unavailable(action);
  };

  const serveQuery = async (service: QueryService, progress: Progress): Promise<Answer> => {
    const { request } = progress;
    const who = await authenticated(progress).catch((error: unknown) => refuseUnsigned(progress, error));
    const form = formOf(request, who.body);
    const operation = findAction(service, form);
    progress.operation = operation.name;
    const output = await run(operation, who, progress.arrival, () => readFormInput(operation.input, form));
    return writeXmlOutput(operation, output, progress.requestId);
  };

  const serveRest = async (progress: Progress): Promise<Answer> => {
    const { request } = progress;
    // dot and empty segments are not part of what was signed: such a path is no operation's
    const isPlain = normalizePath(request.path) === request.path || !isSigned(request.headers, request.query);
    const found = isPlain ? findOperation(request.method, request.path) : undefined;
    if (!found || !isServed(found.operation.service)) {
      if (mainService === 'iot-data' && isPlain && hasOtherMethod(request)) {
        throw new Fault('MethodNotAllowedException', `${request.method} is no method of this path`);
      }
      throw new Fault(
        'UnknownOperationException',
        `No operation has this method and path: ${request.method} ${request.path.slice(0, 256)}`,
      );
    }
    const { operation } = found;
    progress.operation = operation.name;
    progress.service = operation.service;
    const who = await authenticated(progress);
    const parts = { query: request.query, headers: request.headerMap, body: who.body };
    const output = await run(operation, who, progress.arrival, () => readInput(found, parts));
    const answer = writeOutput(operation, output);
    return acknowledging.has(operation.name) ? acknowledged(answer, output, progress.requestId) : answer;
  };

  const serve = (progress: Progress): Answer | Promise<Answer> => {
    const { request } = progress;
    const { headerMap, method, path } = request;
    const hostHeader = headerMap.get('host');
    const host = checkHost(hostHeader, withName(hostNames, options.ownName?.(request)), request.localAddress);
    const { remoteAddress: ip, remotePort: port } = request;
    progress.arrival = {
      host,
      ...(hostHeader !== undefined && { authority: hostHeader }),
      loopback: request.loopback,
      ...(ip !== undefined && port !== undefined && { source: { ip: ip.replace(/^::ffff:/, ''), port } }),
    };
    const origin = checkOrigin(headerMap.get('origin'), hostHeader ?? '', hostNames);
    if (origin !== undefined) progress.origin = origin;
    if (method === 'OPTIONS') return preflight(request, origin);
    const extra = extras.get(`${method === 'HEAD' ? 'GET' : method} ${path}`);
    if (extra) return serveExtra(extra, progress);
    const service = rpcService(request);
    if (service && isServed(service)) {
      progress.service = service;
      return service === 'acm' ? serveJson(progress) : serveQuery(service, progress);
    }
    if (path === '/' && isServed('iot') && (method === 'GET' || method === 'HEAD')) return text(200, welcome);
    return serveRest(progress);
  };

  return async (request, requestId) => {
    const progress: Progress = {
      request,
      requestId,
      service: mainService,
      arrival: { host: '', loopback: request.loopback },
    };
    try {
      const answer = await serve(progress);
      return { answer, ...facts(progress) };
    } catch (error) {
      if (error instanceof ClientGone) throw error;
      return { ...refusal(progress.service, error, requestId), ...facts(progress) };
    }
  };
};

const facts = ({ origin, operation, account }: Progress): Omit<Dispatched, 'answer'> => ({
  ...(origin !== undefined && { origin }),
  ...(operation !== undefined && { operation }),
  ...(account && { account }),
});

/** Whether the path is an operation's of the data plane under some other method. */
const hasOtherMethod = ({ path }: Incoming): boolean =>
  ['GET', 'POST', 'DELETE'].some((method) => findOperation(method, path)?.operation.service === 'iot-data');
