/**
 * Which Host and Origin may talk to this server at all: asked before authentication, because a web page knows the development credentials too.
 * A page of a foreign origin is told by its Origin (or, where browsers send none, by Sec-Fetch-Site), a page that had its own name point at this machine (DNS
 * rebinding) is told by its Host. Source: design 3; issue, "Host and Origin rules".
 */
import { isIP } from 'node:net';
import { Fault } from '../aws/fault.ts';
import { regionPattern } from './authenticate.ts';

/** The names that this server answers to, beside loopback's. */
export interface HostNames {
  /** Itself and everything below it: `fleet.example`, `iot.eu-west-1.fleet.example`. */
  readonly domain: string;
  /** Configured plain names, the host's own name, and the listener's address if it is a particular one. */
  readonly names: readonly string[];
  /** Origins of pages that may call, e.g. `https://console.example`; beside the server's own. */
  readonly allowedOrigins: readonly string[];
  /** Of the server's own pages; default `http`. */
  readonly scheme?: 'http' | 'https';
}

/** The same with one more name, if there is one. */
export const withName = (hostNames: HostNames, name: string | undefined): HostNames =>
  name === undefined ? hostNames : { ...hostNames, names: [...hostNames.names, name] };

/** Both 127.0.0.0/8 and ::1, also as IPv4 mapped into IPv6. */
export const isLoopbackAddress = (address: string | undefined): boolean =>
  address !== undefined && (address === '::1' || /^(::ffff:)?127(\.\d{1,3}){3}$/.test(address));

/** The host of a Host header without its port, lower-case, IPv6 without brackets; undefined when it is malformed. */
export const hostOf = (header: string): string | undefined => {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/.exec(header.toLowerCase());
  const host = match?.[1] ?? match?.[2]?.replace(/\.$/, '');
  return host === undefined || host === '' || host.length > 253 ? undefined : host;
};

const isLoopbackName = (host: string): boolean =>
  host === 'localhost' || host.endsWith('.localhost') || isLoopbackAddress(host);

const within = (host: string, domain: string): boolean => host === domain || host.endsWith(`.${domain}`);

/**
 * The host that a request is addressed to. `localAddress` is this end of its connection: an IP literal that names it is no rebinding.
 * Faults: ForbiddenException for a name that is not this server's.
 */
export const checkHost = (header: string | undefined, names: HostNames, localAddress: string | undefined): string => {
  const host = header === undefined ? undefined : hostOf(header);
  if (host === undefined) throw new Fault('ForbiddenException', 'The Host header is missing or malformed');
  const own =
    isLoopbackName(host) ||
    within(host, names.domain.toLowerCase()) ||
    names.names.some((name) => name.toLowerCase() === host) ||
    (isIP(host) !== 0 && localAddress?.replace(/^::ffff:/, '') === host);
  if (own) return host;
  throw new Fault(
    'ForbiddenException',
    `'${host}' is not a name of this server; start it with --names to add one (requests to unknown names are refused because of DNS rebinding)`,
  );
};

/** The region that a service's host name carries, e.g. `eu-west-1` of `iot.eu-west-1.<domain>`; undefined when it carries none. */
export const regionOfHost = (host: string, domain: string): string | undefined => {
  const suffix = `.${domain.toLowerCase()}`;
  if (!host.endsWith(suffix)) return undefined;
  const labels = host.slice(0, -suffix.length).split('.');
  const region = labels.at(-1) ?? '';
  return labels.length >= 2 && /^(iot|sts|acm)$/.test(labels.at(-2) ?? '') && regionPattern.test(region)
    ? region
    : undefined;
};

/**
 * The origin that the answer may be shown to; undefined when the request names none. `hostHeader` has passed `checkHost`.
 * Faults: ForbiddenException for a foreign origin.
 */
export const checkOrigin = (origin: string | undefined, hostHeader: string, names: HostNames): string | undefined => {
  if (origin === undefined) return undefined;
  // a page under this server's own name and port is this server's page
  if (origin === `${names.scheme ?? 'http'}://${hostHeader}`.toLowerCase() || names.allowedOrigins.includes(origin))
    return origin;
  throw new Fault('ForbiddenException', `Pages of the origin ${origin.slice(0, 256)} may not call this server`);
};

/**
 * Refuses what a page of another site makes a browser send without an Origin (an image, a link with a signature in it).
 * `fetchSite` is the header Sec-Fetch-Site, `origin` the one that `checkOrigin` allowed.
 */
export const checkFetchSite = (fetchSite: string | undefined, origin: string | undefined): void => {
  if (origin !== undefined || fetchSite === undefined || fetchSite === 'same-origin' || fetchSite === 'none') return;
  throw new Fault('ForbiddenException', 'Pages of other sites may not call this server');
};
