/**
 * How a device asks for temporary credentials of a role: GET /role-aliases/ALIAS/credentials with its certificate, and in a header, if it likes, the name of its
 * thing. A signature says nothing here. What is refused is answered as AWS was seen to: `{"message": "..."}` with the fault's name in `x-amzn-errortype`.
 * Source: developer guide, "Authorizing direct calls to AWS services using AWS IoT Core credential provider".
 * Observed: the messages, in github.com/awslabs/aws-iot-core-credential-provider-session-helper, docs/dev_notes.md.
 */
import type { Dispatched } from '../api/dispatch.ts';
import { checkFetchSite, checkHost, checkOrigin, type HostNames, withName } from '../api/host.ts';
import type { Incoming } from '../api/incoming.ts';
import { refusal } from '../api/refusal.ts';
import { Fault } from '../aws/fault.ts';
import type { GiveCredentials } from '../feature.ts';
import type { Authority } from '../mqtt/authority.ts';
import type { DataConnection, Principals } from './principal.ts';

export interface CredentialsRequests {
  readonly principals: Pick<Principals, 'ofCertificate'>;
  readonly hostNames: HostNames;
  readonly giveCredentials: GiveCredentials;
}

const pathPattern = /^\/role-aliases\/([^/]+)\/credentials$/;

/** The alias in the path of such a request; undefined for any other. */
export const askedRoleAlias = ({ method, path }: Incoming): string | undefined => {
  const written = method === 'GET' ? pathPattern.exec(path)?.[1] : undefined;
  if (written === undefined) return undefined;
  try {
    return decodeURIComponent(written);
  } catch {
    // then it is nobody's name as it stands
    return written;
  }
};

/** Observed: where no alias, but the endpoint is to blame. */
const refusedCertificate = 'Certificate is invalid on this endpoint';

export const answerCredentials = ({
  principals,
  hostNames,
  giveCredentials,
}: CredentialsRequests): ((
  request: Incoming,
  connection: DataConnection,
  roleAlias: string,
  requestId: string,
) => Promise<Dispatched>) => {
  const rightsOf = async (request: Incoming, connection: DataConnection): Promise<Authority> => {
    try {
      return await principals.ofCertificate(request, connection);
    } catch (error) {
      if (!(error instanceof Fault) || error.name !== 'ForbiddenException') throw error;
      const message = connection.peer.certificate ? refusedCertificate : error.message;
      throw new Fault('AccessDeniedException', message, {}, { cause: error });
    }
  };

  /** Faults: ForbiddenException. */
  const checkPlaces = ({ headerMap, localAddress }: Incoming, { peer }: DataConnection): void => {
    const hostHeader = headerMap.get('host');
    checkHost(hostHeader, withName(hostNames, peer.serverName), localAddress);
    const origin = checkOrigin(headerMap.get('origin'), hostHeader ?? '', hostNames);
    checkFetchSite(headerMap.get('sec-fetch-site'), origin);
  };

  return async (request, connection, roleAlias, requestId) => {
    const operation = 'AssumeRoleWithCertificate';
    try {
      checkPlaces(request, connection);
      const authority = await rightsOf(request, connection);
      const thingName = request.headerMap.get('x-amzn-iot-thingname');
      const credentials = await giveCredentials({ peer: connection.peer, authority, roleAlias, thingName });
      const headers = { 'content-type': 'application/json', 'cache-control': 'no-store' };
      const answer = { status: 200, headers, body: JSON.stringify({ credentials }) };
      return { answer, operation, account: authority.account };
    } catch (error) {
      return { ...refusal('iot', error, requestId), operation };
    }
  };
};
