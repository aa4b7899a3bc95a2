/**
 * The host names of an account's endpoints, and the way back: which account a server name belongs to (design 3; spec gateway 1.1, identity 7).
 * A name counts as a whole or not at all, whatever its case; a trailing dot is tolerated. `resolve` runs at every TLS handshake: names it has met
 * are answered from memory, without a promise.
 */
import { isIP } from 'node:net';
import type { AccountRegion } from '../../aws/arn.ts';
import { type Accounts, endpointPrefix, isRegion } from '../accounts/account.ts';

/** The types of DescribeEndpoint that Fleetgate serves, as AWS spells them. */
export const endpointTypes = ['iot:Data', 'iot:Data-ATS', 'iot:CredentialProvider', 'iot:Jobs'] as const;
export type EndpointType = (typeof endpointTypes)[number];

/** What stands between an account's prefix and the region. */
const middles: Readonly<Record<EndpointType, string>> = {
  'iot:Data': '.iot',
  'iot:Data-ATS': '-ats.iot',
  'iot:CredentialProvider': '.credentials.iot',
  'iot:Jobs': '.jobs.iot',
};

const namePattern = /^(a[a-z0-9]{13})(-ats|\.credentials|\.jobs)?\.iot\.([a-z0-9-]+)\.(.+)$/;

/**
 * Whether a name, lower-case, stands where the endpoints of all accounts are, those that nobody has opened yet among them: whatever it is, it is this server's
 * to give, and saying so tells nothing of who is here.
 */
export const isEndpointName = (name: string, domain: string): boolean => {
  if (!name.endsWith(`.${domain}`)) return false;
  const [, region = ''] = /^.+\.iot\.([a-z0-9-]+)$/.exec(name.slice(0, -domain.length - 1)) ?? [];
  return isRegion(region);
};

/** RFC 1035 2.3.4; Node hands over SNI of any content. */
const nameCharsMax = 253;
/** Server names whose account is kept in memory; at the bound all are forgotten and read again. */
export const resolvedNamesMax = 10_000;

/** Whose name it is; `absent`: there is none, or an IP address, which SNI does not allow (RFC 6066 3); `unknown`: nobody's, to be refused. */
export type Resolution =
  | { readonly kind: 'account'; readonly account: AccountRegion }
  | { readonly kind: 'absent' }
  | { readonly kind: 'unknown' };

export interface DomainSettings {
  /** Suffix of the account endpoints; `localhost` counts as "none is configured". */
  readonly domain: string;
  /** Plain names of the default account, beside `localhost` and `hostName`. */
  readonly names: readonly string[];
  /** The host's own name. */
  readonly hostName: string;
  /** The default account and region. */
  readonly accountId: string;
  readonly region: string;
}

export interface Endpoints {
  readonly defaultAccount: AccountRegion;
  /** Suffix of the account endpoints, lower case. */
  readonly domain: string;
  /** Whether the operator has given the endpoints a domain of their own. */
  readonly hasOwnDomain: boolean;
  /** Whether a name, lower-case, is one of the default account's plain names. */
  isPlainName(name: string): boolean;
  hostNames(account: AccountRegion): Readonly<Record<EndpointType, string>>;
  /** A promise only for a name that this node has not met yet. */
  resolve(serverName: string | undefined): Resolution | Promise<Resolution>;
}

const absent: Resolution = Object.freeze({ kind: 'absent' });
const unknown: Resolution = Object.freeze({ kind: 'unknown' });

const normalize = (name: string): string => name.toLowerCase().replace(/\.$/, '');
const isIpLiteral = (name: string): boolean => isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0;

/** `hostNames` alone, for who needs no resolving. */
export const hostNamesOf = (account: AccountRegion, domain: string): Readonly<Record<EndpointType, string>> => {
  const prefix = endpointPrefix(account);
  const name = (type: EndpointType): string => `${prefix}${middles[type]}.${account.region}.${domain}`;
  return {
    'iot:Data': name('iot:Data'),
    'iot:Data-ATS': name('iot:Data-ATS'),
    'iot:CredentialProvider': name('iot:CredentialProvider'),
    'iot:Jobs': name('iot:Jobs'),
  };
};

export const openEndpoints = (settings: DomainSettings, accounts: Pick<Accounts, 'findByEndpoint'>): Endpoints => {
  const domain = normalize(settings.domain);
  const defaultAccount: AccountRegion = { accountId: settings.accountId, region: settings.region };
  const plainNames = new Set(['localhost', settings.hostName, ...settings.names].map(normalize));
  const resolved = new Map<string, Resolution>();

  const remember = (name: string, account: AccountRegion): Resolution => {
    if (resolved.size >= resolvedNamesMax) resolved.clear();
    const resolution: Resolution = Object.freeze({ kind: 'account', account });
    resolved.set(name, resolution);
    return resolution;
  };

  return {
    defaultAccount,
    domain,
    hasOwnDomain: domain !== 'localhost',
    isPlainName: (name) => plainNames.has(name),
    hostNames: (account) => hostNamesOf(account, domain),
    resolve(serverName) {
      if (serverName === undefined || isIpLiteral(serverName)) return absent;
      if (serverName.length > nameCharsMax + 1) return unknown;
      const name = normalize(serverName);
      const met = resolved.get(name);
      if (met) return met;
      if (plainNames.has(name)) return remember(name, defaultAccount);
      const [, prefix, , region, suffix] = namePattern.exec(name) ?? [];
      if (prefix === undefined || region === undefined || suffix !== domain) return unknown;
      const found = accounts.findByEndpoint(region, prefix);
      if (!(found instanceof Promise)) return remember(name, found);
      return found.then((account) => (account ? remember(name, account) : unknown));
    },
  };
};
