import type { Feature } from '../../feature.ts';
import { describeEndpoint } from './describe-endpoint.ts';
import type { Endpoints } from './endpoint.ts';

/** The endpoints of accounts. Which account a server name means is told to the gateway by `endpoint.ts`. */
export const domains = (endpoints: Endpoints): Feature => ({
  name: 'domains',
  migrations: [],
  operations: { iot: { DescribeEndpoint: describeEndpoint(endpoints) } },
});
