/** IP addresses and CIDR ranges as byte arrays. An IPv4 address mapped into IPv6 is the IPv4 address. */

/** 4 or 16 bytes. */
export type IpAddress = readonly number[];

const octetPattern = /^(?:0|[1-9][0-9]{0,2})$/;

function parseIpv4(text: string): number[] | undefined {
  const octets = text.split('.', 5);
  if (octets.length !== 4 || !octets.every((octet) => octetPattern.test(octet) && Number(octet) <= 255))
    return undefined;
  return octets.map(Number);
}

/** The bytes of colon-separated groups; the last group may be an IPv4 address. */
function parseGroups(text: string): number[] | undefined {
  if (text === '') return [];
  const groups = text.split(':', 9);
  const bytes: number[] = [];
  for (const [i, group] of groups.entries()) {
    if (/^[0-9a-f]{1,4}$/i.test(group)) {
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 255);
    } else {
      const tail = i === groups.length - 1 ? parseIpv4(group) : undefined;
      if (!tail) return undefined;
      bytes.push(...tail);
    }
  }
  return bytes;
}

function parseIpv6(text: string): number[] | undefined {
  const [before = '', after, more] = text.split('::', 3);
  if (more !== undefined) return undefined;
  const start = parseGroups(before);
  if (after === undefined) return start?.length === 16 ? start : undefined;
  const end = parseGroups(after);
  if (!start || !end || before.includes('.') || start.length + end.length > 14) return undefined;
  return [...start, ...new Array<number>(16 - start.length - end.length).fill(0), ...end];
}

const mappedPrefix = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255];
const isMapped = (address: IpAddress): boolean =>
  address.length === 16 && mappedPrefix.every((byte, i) => address[i] === byte);

const parse = (text: string): number[] | undefined => (text.includes(':') ? parseIpv6(text) : parseIpv4(text));

/** An address, its zone (`%eth0`) ignored; undefined when it is none. */
export function parseIp(text: string): IpAddress | undefined {
  const address = parse(text.replace(/%.*$/s, ''));
  return address && isMapped(address) ? address.slice(12) : address;
}

export interface IpRange {
  readonly address: IpAddress;
  /** Leading bits that must be equal. */
  readonly bits: number;
}

/** A single address or `address/bits`; bits beyond the prefix are ignored. Undefined when it is neither. */
export function parseIpRange(text: string): IpRange | undefined {
  const [address = '', length, more] = text.split('/', 3);
  const parsed = parse(address);
  if (!parsed || more !== undefined) return undefined;
  if (length !== undefined && !octetPattern.test(length)) return undefined;
  const bits = length === undefined ? parsed.length * 8 : Number(length);
  if (bits > parsed.length * 8) return undefined;
  return isMapped(parsed) && bits >= 96 ? { address: parsed.slice(12), bits: bits - 96 } : { address: parsed, bits };
}

/** Whether the address lies in the range; never for another family. */
export function inRange(range: IpRange, address: IpAddress): boolean {
  if (range.address.length !== address.length) return false;
  const wholeBytes = range.bits >> 3;
  for (let i = 0; i < wholeBytes; i++) if (range.address[i] !== address[i]) return false;
  const rest = range.bits & 7;
  const mask = 255 & (255 << (8 - rest));
  return rest === 0 || ((range.address[wholeBytes] ?? 0) & mask) === ((address[wholeBytes] ?? 0) & mask);
}
