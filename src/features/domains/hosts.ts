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
