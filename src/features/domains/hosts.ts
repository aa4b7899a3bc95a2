import { isIP } from 'node:net';
import type { AccountRegion } from '../../aws/arn.ts';
import { endpointTypes, hostNamesOf } from './endpoint.ts';

/**
 * The lines that lead the endpoint names of these accounts to `address`, in the form of /etc/hosts, which libnss-wrapper (`NSS_WRAPPER_HOSTS`) reads
 * too: one name per line. Source: hosts(5), nss_wrapper(1).
 */
export const hostsLines = (
  accounts: readonly AccountRegion[],
  { domain, address }: { readonly domain: string; readonly address: string },
): readonly string[] =>
  accounts.flatMap((account) => {
    const names = hostNamesOf(account, domain);
    return endpointTypes.map((type) => `${address} ${names[type]}`);
  });

/** How a request came in: the host that it was addressed to, and this end of its connection. */
export interface ReachedBy {
  readonly host: string;
  readonly localAddress: string | undefined;
}

/**
 * The address by which a caller reached this machine, and so reaches it for other names too. What it wrote itself comes first: behind a translation of
 * addresses this end has another one.
 */
export const addressReached = ({ host, localAddress = '127.0.0.1' }: ReachedBy): string =>
  isIP(host) === 0 ? localAddress.replace(/^::ffff:/, '') : host;
