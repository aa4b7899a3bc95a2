import assert from 'node:assert/strict';
import { hostname } from 'node:os';
import { test } from 'node:test';
import { checkHost, isLoopbackAddress, regionOfHost } from './host.ts';
import { bootApi, sendRaw, sendSigned } from './test-api.ts';

const hosts: [host: string, status: number, rule: string][] = [
  ['localhost', 200, 'a loopback name'],
  ['LOCALHOST:4566', 200, 'in any case, with any port'],
  ['a.b.localhost:1', 200, 'below localhost'],
  ['127.0.0.1', 200, 'a loopback address'],
  ['127.9.9.9:80', 200, 'all of 127.0.0.0/8'],
  ['[::1]:4566', 200, 'IPv6 loopback'],
  ['gate:4566', 200, 'a configured name'],
  ['fleet.example', 200, 'the domain'],
  ['iot.us-east-1.fleet.example', 200, 'below the domain'],
  [hostname(), 200, 'the name of the machine'],
  ['evil.example', 403, 'DNS rebinding'],
  ['notfleet.example', 403, 'whole labels only'],
  ['fleet.example.evil.example', 403, 'a prefix is nothing'],
  ['localhost.evil.example', 403, 'a prefix is nothing'],
  ['127.0.0.1.evil.example', 403, 'a name that looks like an address'],
  ['192.168.1.1', 403, 'an address that is not this connection’s'],
  ['localhost@evil.example', 403, 'malformed'],
  ['localhost, evil.example', 403, 'two hosts in one'],
  ['', 403, 'empty'],
];
for (const [host, status, rule] of hosts) {
  test(`Host '${host}' is answered ${status}: ${rule} (design 3)`, async (t) => {
    const api = await bootApi(t);
    const answer = await sendRaw(api.port, 'GET', '/', { host });
    assert.equal(answer.status, status);
    if (status === 403) assert.equal(answer.fault, 'ForbiddenException');
  });
}

test('no Host, or two of them: refused', async (t) => {
  const api = await bootApi(t);
  assert.equal((await sendRaw(api.port, 'GET', '/', {})).status, 403);
  const two = [
    ['Host', 'localhost'],
    ['Host', 'localhost'],
  ] as const;
  assert.equal((await sendRaw(api.port, 'GET', '/', two)).status, 403);
});

test('a rebinding Host is refused before the signature is looked at, though the signature is good', async (t) => {
  const api = await bootApi(t);
  const answer = await sendSigned(api, 'GET', '/things', { headers: { host: 'evil.example' } });
  assert.deepEqual([answer.status, answer.fault], [403, 'ForbiddenException']);
  assert.match(answer.message, /evil\.example.*DNS rebinding/);
});

test('an address literal that is this end of the connection is a fit Host on a wildcard listener', () => {
  const names = { domain: 'localhost', names: [], allowedOrigins: [] };
  assert.equal(checkHost('192.168.1.1:80', names, '192.168.1.1'), '192.168.1.1');
  assert.equal(checkHost('192.168.1.1:80', names, '::ffff:192.168.1.1'), '192.168.1.1');
  assert.throws(() => checkHost('192.168.1.2:80', names, '192.168.1.1'), { name: 'ForbiddenException' });
});

test('loopback is 127.0.0.0/8 and ::1, also mapped into IPv6', () => {
  for (const address of ['127.0.0.1', '127.1.2.3', '::1', '::ffff:127.0.0.1'])
    assert(isLoopbackAddress(address), address);
  for (const address of ['10.0.0.1', '::', '::ffff:10.0.0.1', '1127.0.0.1', undefined]) {
    assert(!isLoopbackAddress(address), String(address));
  }
});

test('the region in a host name', () => {
  assert.equal(regionOfHost('iot.eu-west-1.fleet.example', 'fleet.example'), 'eu-west-1');
  assert.equal(regionOfHost('abc-ats.iot.eu-west-1.fleet.example', 'fleet.example'), 'eu-west-1');
  assert.equal(regionOfHost('sts.us-gov-west-1.fleet.example', 'fleet.example'), 'us-gov-west-1');
  assert.equal(regionOfHost('fleet.example', 'fleet.example'), undefined);
  assert.equal(regionOfHost('eu-west-1.fleet.example', 'fleet.example'), undefined);
  assert.equal(regionOfHost('iot.eu-west-1.other.example', 'fleet.example'), undefined);
});

const origins: [origin: string, allowed: boolean, rule: string][] = [
  ['http://localhost:4566', true, 'the own origin: the page came from this Host'],
  ['https://console.example', true, 'configured'],
  ['http://localhost:3000', false, 'another port is another origin'],
  ['https://localhost:4566', false, 'another scheme is another origin'],
  ['https://evil.example', false, 'foreign'],
  ['https://console.example.evil.example', false, 'a prefix is nothing'],
  ['null', false, 'a sandbox, a file, a redirect'],
  ['', false, 'empty'],
];
for (const [origin, allowed, rule] of origins) {
  test(`Origin '${origin}' is ${allowed ? 'allowed' : 'refused before authentication'}: ${rule} (design 3)`, async (t) => {
    const api = await bootApi(t);
    const headers = { host: 'localhost:4566', origin };
    const answer = await sendSigned(api, 'GET', '/things', { headers });
    assert.equal(answer.status, allowed ? 200 : 403);
    if (!allowed) assert.equal(answer.fault, 'ForbiddenException');
    assert.equal(answer.headers.get('access-control-allow-origin'), allowed ? origin : undefined);

    const asked = {
      ...headers,
      'access-control-request-method': 'PUT',
      'access-control-request-headers': 'authorization,x-amz-date',
    };
    const preflight = await sendRaw(api.port, 'OPTIONS', '/things/a', asked);
    assert.equal(preflight.status, allowed ? 204 : 403);
    assert.equal(preflight.headers.get('access-control-allow-origin'), allowed ? origin : undefined);
    if (allowed) assert.equal(preflight.headers.get('access-control-allow-headers'), 'authorization,x-amz-date');
  });
}

test('OPTIONS without Origin is no operation', async (t) => {
  const api = await bootApi(t);
  assert.equal((await sendRaw(api.port, 'OPTIONS', '/things', { host: 'localhost' })).status, 404);
});

test('a link or image of another site with a signature in it is refused by Sec-Fetch-Site; the plain welcome is not', async (t) => {
  const api = await bootApi(t);
  for (const [site, status] of [
    ['cross-site', 403],
    ['same-site', 403],
    ['same-origin', 200],
    ['none', 200],
  ] as const) {
    const headers = { 'sec-fetch-site': site };
    assert.equal((await sendSigned(api, 'GET', '/things', { headers })).status, status, site);
    assert.equal((await sendRaw(api.port, 'GET', '/', { host: 'localhost', ...headers })).status, 200, site);
  }
});
