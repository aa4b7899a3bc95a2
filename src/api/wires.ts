/**
 * How the services are told apart on one port, and the wire that each of them speaks. Told by what the request carries, never by the Host, which is one for
 * all of them: `X-Amz-Target` is JSON 1.1; a form, or an `Action` in the query, is Query, and there the signature's scope says whether iam or sts is meant;
 * everything else is REST, whose method and path are one service's only.
 */
import { Fault } from '../aws/fault.ts';
import type { ServiceName } from '../aws/operations.ts';
import { queryPairs } from '../aws/sigv4.ts';
import type { Refusal } from './faults.ts';
import type { Incoming } from './incoming.ts';
import { writeJsonFault } from './json-1-1.ts';
import { type QueryService, queryServices, writeXmlFault } from './query.ts';
import { type Answer, writeFault } from './rest-json.ts';
import { scopeService } from './signature.ts';

/** Signing names that each service accepts in the credential scope. Source: spec gateway 2.2, identity 1. */
export const signingNames: { readonly [Service in ServiceName]: readonly string[] } = {
  // AWS's models called it execute-api until 2023; the CLI that Debian 12 packages still signs so
  iot: ['iot', 'execute-api'],
  'iot-data': ['iotdata', 'iotdevicegateway'],
  sts: ['sts'],
  iam: ['iam'],
  acm: ['acm'],
};

/**
 * Services that exist once, not once per region, and the region that their calls are taken in. AWS refuses scopes of other regions at their one endpoint;
 * clients that were given an endpoint sign with the region of their settings all the same, and are welcome here.
 */
export const globalRegions: { readonly [Service in ServiceName]?: string } = { iam: 'us-east-1' };

const isForm = ({ headerMap }: Incoming): boolean =>
  /^application\/x-www-form-urlencoded\b/i.test(headerMap.get('content-type') ?? '');

/** The service of a request on the one path that JSON 1.1 and Query share; undefined for REST and for pages. */
export const rpcService = (request: Incoming): QueryService | 'acm' | undefined => {
  const { method, path, query, headers, headerMap } = request;
  if (path !== '/' || (method !== 'POST' && method !== 'GET')) return undefined;
  if (method === 'POST' && headerMap.has('x-amz-target')) return 'acm';
  const pairs = queryPairs(query);
  if (!(method === 'POST' && isForm(request)) && !pairs.some(([name]) => name === 'Action')) return undefined;
  const signed = scopeService(headers, pairs);
  if (signed === 'iam' || signed === 'sts') return signed;
  return queryServiceOf(pairs.find(([name]) => name === 'Version')?.[1]);
};

/** The Query service with this API version; sts when no service has it. */
export const queryServiceOf = (version: string | undefined): QueryService =>
  version === queryServices.iam.version ? 'iam' : 'sts';

/**
 * Refuses a body in the pieces that Amazon S3 takes: these services would read the frames as content, and what AWS answers then (SerializationException) does
 * not say why. The chunks of HTTP itself are another thing, and welcome. Faults: SerializationException.
 */
export const checkEncoding = (headers: ReadonlyMap<string, string>): void => {
  const codings = (headers.get('content-encoding') ?? '').toLowerCase().split(',');
  if (!codings.some((coding) => coding.trim() === 'aws-chunked')) return;
  throw new Fault(
    'SerializationException',
    'The Content-Encoding aws-chunked is for Amazon S3 only: send the body as it is',
  );
};

/** A refusal in the wire of the service that was asked. */
export const writeRefusal = (service: ServiceName, fault: Refusal, requestId: string): Answer => {
  if (service === 'acm') return writeJsonFault(fault);
  return service === 'sts' || service === 'iam'
    ? writeXmlFault(service, fault, requestId)
    : writeFault(service, fault, requestId);
};
