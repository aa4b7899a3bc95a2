import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sourceOf } from './source.ts';

const cases: [address: string | undefined, source: string, rule: string][] = [
  ['192.0.2.1', '192.0.2.1', 'an IPv4 address counts for itself'],
  ['::ffff:192.0.2.1', '192.0.2.1', 'also in IPv6 clothes'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64', 'an IPv6 host counts as its network'],
  ['2001:DB8:1:2::9', '2001:db8:1:2::/64', 'in whatever spelling'],
  ['2001:db8::1', '2001:db8:0:0::/64', 'zeros that were left out count'],
  ['::1', '0:0:0:0::/64', 'loopback'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64', 'without the zone'],
  ['64:ff9b::192.0.2.1', '64:ff9b:0:0::/64', 'with an embedded IPv4 address'],
  [undefined, '', 'nobody knows'],
  ['x'.repeat(500), 'x'.repeat(64), 'what is no address is bounded'],
];
for (const [address, source, rule] of cases) {
  test(`${address?.slice(0, 40)} counts against ${source.slice(0, 40)}: ${rule}`, () =>
    assert.equal(sourceOf(address), source));
}
