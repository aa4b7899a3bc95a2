import { isIPv6 } from 'node:net';

/**
 * Whom a record counts against: one IPv4 address, or one IPv6 network of 64 bits, which is what a single host can vary freely
 * (RFC 4291, section 2.5.1). IPv4 addresses in IPv6 clothes (`::ffff:192.0.2.1`) count as IPv4. Unknown addresses share one source.
 */
export const sourceOf = (address: string | undefined): string => {
  const text = (address ?? '').replace(/%.*$/, '').toLowerCase();
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(text)?.[1];
  if (mapped !== undefined) return mapped;
  if (!isIPv6(text)) return text.slice(0, 64);
  const [before = '', after] = text.split('::');
  const leading = before === '' ? [] : before.split(':');
  const trailing = after === undefined || after === '' ? [] : after.split(':');
  const missing = after === undefined ? 0 : 8 - leading.length - trailing.length - (text.includes('.') ? 1 : 0);
  const groups = [...leading, ...Array<string>(Math.max(0, missing)).fill('0'), ...trailing];
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
};
