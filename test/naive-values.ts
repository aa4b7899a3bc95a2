/** How the naive evaluators of policies compare what is not text: written from the guides alone, and sharing no code with src/. */
import { BlockList, isIP } from 'node:net';

/** `base`: an operator that is not negated, `Bool`, `IpAddress`, `Numeric...` or `Date...`. */
export const comparesValues = (base: string, value: string, wanted: string): boolean => {
  if (base === 'Bool') return /^(true|false)$/i.test(wanted) && value.toLowerCase() === wanted.toLowerCase();
  if (base === 'IpAddress') return ipCompares(value, wanted);
  const read = base.startsWith('Numeric') ? readNumber : readDate;
  const [a, b] = [read(value), read(wanted)];
  switch (base.replace(/^(Numeric|Date)/, '')) {
    case 'Equals':
      return a === b;
    case 'LessThan':
      return a < b;
    case 'LessThanEquals':
      return a <= b;
    case 'GreaterThan':
      return a > b;
    case 'GreaterThanEquals':
      return a >= b;
    default:
      throw new Error(`no oracle for ${base}`);
  }
};

const readNumber = (text: string): number =>
  /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;

const readDate = (text: string): number => {
  if (/^-?\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  return /^\d{4}-\d\d(-\d\d(T.*(Z|[+-]\d\d:\d\d))?)?$/.test(text) ? Date.parse(text) : Number.NaN;
};

function ipCompares(value: string, range: string): boolean {
  const family = (text: string): 'ipv4' | 'ipv6' => (isIP(text) === 4 ? 'ipv4' : 'ipv6');
  const [address = '', bits] = range.split('/');
  if (isIP(value) === 0 || isIP(address) === 0 || family(address) !== family(value)) return false;
  const widest = isIP(address) === 4 ? 32 : 128;
  if (bits !== undefined && (!/^(0|[1-9]\d*)$/.test(bits) || Number(bits) > widest)) return false;
  const ranges = new BlockList();
  ranges.addSubnet(address, Number(bits ?? widest), family(address));
  return ranges.check(value, family(value));
}
