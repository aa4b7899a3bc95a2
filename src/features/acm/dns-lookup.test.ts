import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import { startDnsServer } from '../../../test/dns-server.ts';
import { dnsLookup } from './dns-lookup.ts';

test('a CNAME is looked up at the server that is named, and what is not there has none (RFC 1034)', async (t) => {
  const { address, serve, stop } = await startDnsServer(t, { '_a.fleet.corp': '_b.acm-validations.aws' });
  const lookUp = dnsLookup([address]);
  assert.deepEqual(await lookUp('_a.fleet.corp'), ['_b.acm-validations.aws']);
  assert.deepEqual(await lookUp('_A.Fleet.Corp'), ['_b.acm-validations.aws'], 'names have no case');
  assert.deepEqual(await lookUp('_c.fleet.corp'), []);
  await serve({ '_c.fleet.corp': 'd' });
  assert.deepEqual(await lookUp('_c.fleet.corp'), ['d'], 'nothing is remembered');
  assert.deepEqual(await lookUp('_a.fleet.corp'), []);
  await stop();
  assert.equal(await lookUp('_a.fleet.corp'), undefined, 'nobody is there');
});

test('a server that never answers costs a bounded time', async (t) => {
  const silent = createSocket('udp4').bind(0, '127.0.0.1');
  t.after(() => silent.close());
  await once(silent, 'listening');
  const began = performance.now();
  assert.equal(await dnsLookup([`127.0.0.1:${silent.address().port}`], 300)('_a.fleet.corp'), undefined);
  assert.ok(performance.now() - began < 3000);
});
