/**
 * The configurations of AWS's default endpoints: an account has a row for one only once it has changed something of it. Its host follows the server's `--domain`,
 * so that the row is found by its account and the name of the endpoint, never by the host. Source: spec identity 7, 8.
 */
import type { AccountRegion } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import type { Db } from '../../store/store.ts';
import { type DomainConfiguration, defaultEndpoints, getOwnConfiguration } from './domain-configuration.ts';
import { type EndpointType, hostNamesOf } from './endpoint.ts';

/** A default endpoint as it is while nothing of it was changed. Its dates are not known: the beginning of time. */
const untouchedEndpoint = (
  account: AccountRegion,
  name: (typeof defaultEndpoints)[number],
  domain: string,
  securityPolicy: string,
): DomainConfiguration => ({
  ...{ account, name, suffix: '', domainName: hostNamesOf(account, domain)[name], domainType: 'ENDPOINT' },
  ...{ status: 'ENABLED', statusChangedAtMs: 0, createdAtMs: 0, securityPolicy },
  ...{ authenticationType: 'DEFAULT', applicationProtocol: 'DEFAULT', ocsp: {} },
  ...{ serverCertificateArn: undefined, validationCertificateArn: undefined, served: undefined },
  ...{ certificateDetail: undefined, clientCertificateCallbackArn: undefined },
});

/** What the default endpoints are made of. */
export interface EndpointDefaults {
  /** Suffix of the account endpoints. */
  readonly domain: string;
  readonly securityPolicy: string;
}

/** What the account has changed of a default endpoint, whatever its host is called. Its `domainName` is none. */
export const findEndpointConfiguration = async (
  db: Db,
  account: AccountRegion,
  type: EndpointType,
): Promise<DomainConfiguration | undefined> => {
  const own = await getOwnConfiguration(db, account, type);
  return own?.domainType === 'ENDPOINT' ? own : undefined;
};

/** Default endpoints included. Faults: ResourceNotFoundException. */
export const getDomainConfiguration = async (
  db: Db,
  account: AccountRegion,
  name: string,
  { domain, securityPolicy }: EndpointDefaults,
): Promise<DomainConfiguration> => {
  const own = await getOwnConfiguration(db, account, name);
  const endpoint = defaultEndpoints.find((known) => known === name);
  if (endpoint && own) return { ...own, domainName: hostNamesOf(account, domain)[endpoint] };
  if (endpoint) return untouchedEndpoint(account, endpoint, domain, securityPolicy);
  if (own) return own;
  throw new Fault('ResourceNotFoundException', `The domain configuration ${name} does not exist`);
};
