import { isIP } from 'node:net';
import { sameAccount } from '../../aws/arn.ts';
import { Fault } from '../../aws/fault.ts';
import type { Handler } from '../../feature.ts';
import { type Endpoints, endpointTypes } from './endpoint.ts';

/**
 * The host name of the caller's endpoint of one type; a name only, never an address or a port. The type is matched whatever its case; without one
 * `iot:Data` is meant.
 * Depends on how the request arrived: a machine without wildcard DNS can not look up `<prefix>-ats.iot.<region>.localhost`, so the default account is
 * told a plain name while no domain is configured (design 3).
 * Source: API reference, DescribeEndpoint; spec identity 7. Faults: InvalidRequestException for a type that is not served.
 */
export const describeEndpoint =
  (endpoints: Endpoints): Handler<'DescribeEndpoint'> =>
  async (input, { account, arrival }) => {
    const asked = (input.endpointType ?? 'iot:Data').toLowerCase();
    const type = endpointTypes.find((known) => known.toLowerCase() === asked);
    if (!type) {
      throw new Fault('InvalidRequestException', `Endpoint type is not one of ${endpointTypes.join(', ')}`);
    }
    const ownName = endpoints.hostNames(account)[type];
    if (endpoints.hasOwnDomain || !sameAccount(account, endpoints.defaultAccount)) return { endpointAddress: ownName };
    if (arrival.loopback) return { endpointAddress: 'localhost' };
    const isName = endpoints.isPlainName(arrival.host) && isIP(arrival.host) === 0;
    return { endpointAddress: isName ? arrival.host : ownName };
  };
