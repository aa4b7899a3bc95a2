import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { test } from 'node:test';
import { presignUrl, signRequest } from '../aws/sigv4.ts';
import { bootApi, sendRaw, sendSigned, type TestApi } from './test-api.ts';

type Headers = Record<string, string>;
const minutesMs = 60_000;

const sign = (api: TestApi, changed: Partial<Parameters<typeof signRequest>[0]> = {}): Headers =>
  signRequest({
    method: 'GET',
    url: `${api.url}/things`,
    accessKeyId: '000000000000',
    secretAccessKey: 'test',
    region: 'us-east-1',
    service: 'iot',
    nowMs: Date.now(),
    ...changed,
  });

const edit = (headers: Headers, name: string, change: (value: string) => string | undefined): Headers => {
  const { [name]: value = '', ...rest } = headers;
  const changed = change(value);
  return changed === undefined ? rest : { ...rest, [name]: changed };
};

const authorization = (change: (value: string) => string | undefined) => (api: TestApi) =>
  edit(sign(api), 'authorization', change);

const incomplete = [400, 'IncompleteSignatureException'] as const;
const invalid = [403, 'InvalidSignatureException'] as const;
const unknown = [403, 'UnrecognizedClientException'] as const;
const missing = [403, 'MissingAuthenticationTokenException'] as const;

/** What nginx, HAProxy, Envoy, Apache and the content networks add; RFC 7239, RFC 9110 7.6.3, RFC 8586. */
const proxyHeaders = [
  ...['Forwarded', 'Via', 'CDN-Loop', 'X-Forwarded', 'X-Forwarded-For', 'X-Forwarded-Host', 'X-Forwarded-Ssl'],
  ...['X-Forwarded-Client-Cert', 'X_Forwarded_For', 'X-Original-Forwarded-For', 'X-Original-URI', 'X-Original-Host'],
  ...['X-Real-IP', 'Client-IP', 'X-Client-IP', 'X-Cluster-Client-IP', 'True-Client-IP', 'Fastly-Client-IP'],
  ...['CF-Connecting-IP', 'X-Azure-ClientIP', 'X-Appengine-User-IP', 'X-Envoy-External-Address', 'X-Scheme'],
];

const refusals: [
  rule: string,
  headers: (api: TestApi) => Headers | [string, string][],
  [status: number, fault: string] | readonly [number, string],
  message: RegExp,
][] = [
  ['unsigned', () => ({ host: 'localhost' }), missing, /^Missing Authentication Token$/],
  ['another scheme', () => ({ host: 'localhost', authorization: 'Bearer abc' }), incomplete, /must begin with/],
  ['no parts at all', () => ({ host: 'localhost', authorization: 'AWS4-HMAC-SHA256' }), incomplete, /equals sign/],
  ['another algorithm', authorization((value) => value.replace('SHA256', 'SHA512')), incomplete, /must begin with/],
  [
    'no Credential',
    authorization((value) => value.replace(/Credential=[^,]+, /, '')),
    incomplete,
    /requires 'Credential' parameter\.$/,
  ],
  ['no Signature', authorization((value) => value.replace(/, Signature=.*/, '')), incomplete, /'Signature' parameter/],
  [
    'no SignedHeaders',
    authorization((value) => value.replace(/SignedHeaders=[^,]+, /, '')),
    incomplete,
    /'SignedHeaders' parameter/,
  ],
  ['no date', (api) => edit(sign(api), 'x-amz-date', () => undefined), incomplete, /'X-Amz-Date' or a 'Date' header/],
  ['a date of another form', (api) => edit(sign(api), 'x-amz-date', () => '2026-01-01'), incomplete, /ISO-8601/],
  [
    'a credential of four parts',
    authorization((value) => value.replace('/aws4_request', '')),
    incomplete,
    /exactly 5 slash-delimited elements/,
  ],
  ['a part twice', authorization((value) => `${value}, Signature=${'0'.repeat(64)}`), incomplete, /more than once/],
  [
    'two Authorization headers',
    (api) => {
      const headers = sign(api);
      return [...Object.entries(headers), ['Authorization', headers['authorization'] ?? '']];
    },
    incomplete,
    /must not appear more than once/,
  ],
  [
    'two dates',
    (api) => [...Object.entries(sign(api)), ['X-Amz-Date', '20200101T000000Z']],
    incomplete,
    /more than once/,
  ],
  [
    'another terminator',
    authorization((value) => value.replace('aws4_request', 'aws5_request')),
    invalid,
    /valid terminator: 'aws4_request'/,
  ],
  ['another service', (api) => sign(api, { service: 'sts' }), invalid, /scoped to correct service: 'iot'/],
  [
    'the data plane on the control plane',
    (api) => sign(api, { service: 'iotdata' }),
    invalid,
    /correct service: 'iot'/,
  ],
  ['what is no region', (api) => sign(api, { region: 'mars' }), invalid, /scoped to a valid region/],
  [
    'a Host of another region',
    (api) => sign(api, { headers: { host: 'iot.eu-west-1.fleet.example' } }),
    invalid,
    /scoped to a valid region/,
  ],
  [
    'the scope of another day',
    authorization((value) => value.replace(/\/\d{8}\//, '/20200101/')),
    invalid,
    /Date in Credential scope does not match/,
  ],
  [
    'six minutes old',
    (api) => sign(api, { nowMs: Date.now() - 6 * minutesMs }),
    invalid,
    /^Signature expired: \d{8}T\d{6}Z is now earlier than \d{8}T\d{6}Z \(\d{8}T\d{6}Z - 5 min\.\)$/,
  ],
  [
    'six minutes early',
    (api) => sign(api, { nowMs: Date.now() + 6 * minutesMs }),
    invalid,
    /^Signature not yet current: .* \+ 5 min\.\)$/,
  ],
  [
    'an unknown key',
    (api) => sign(api, { accessKeyId: 'AKIDUNKNOWN' }),
    unknown,
    /^The security token included in the request is invalid\.$/,
  ],
  ['a key with strange characters', (api) => sign(api, { accessKeyId: "test' or 1" }), unknown, /security token/],
  ['a long-lived key with a token', (api) => sign(api, { sessionToken: 'x' }), unknown, /security token/],
  [
    'a temporary key without its token',
    (api) => sign(api, { accessKeyId: 'ASIATEMPORARY', secretAccessKey: 'temporary' }),
    unknown,
    /security token/,
  ],
  [
    'a temporary key with another token',
    (api) => sign(api, { accessKeyId: 'ASIATEMPORARY', secretAccessKey: 'temporary', sessionToken: 'x' }),
    unknown,
    /security token/,
  ],
  ...proxyHeaders.map((name): (typeof refusals)[number] => [
    `development credentials through a proxy that sends ${name}`,
    (api): Headers => ({ ...sign(api), [name]: '10.0.0.1' }),
    unknown,
    /security token/,
  ]),
  [
    'another secret',
    (api) => sign(api, { secretAccessKey: 'guess' }),
    invalid,
    /^The request signature we calculated does not match the signature you provided\. Check your AWS Secret Access Key and signing method\. Consult the service documentation for details\./,
  ],
  ['a signature cut short', authorization((value) => value.slice(0, -1)), invalid, /does not match/],
  ['the signature of another path', (api) => sign(api, { url: `${api.url}/policies` }), invalid, /does not match/],
  [
    'the signature of another query',
    (api) => sign(api, { url: `${api.url}/things?maxResults=1` }),
    invalid,
    /does not match/,
  ],
  ['the signature of another method', (api) => sign(api, { method: 'POST' }), invalid, /does not match/],
  [
    'a signed header changed',
    (api) => ({ ...sign(api, { headers: { 'x-amz-meta': 'a' } }), 'x-amz-meta': 'b' }),
    invalid,
    /does not match/,
  ],
  [
    'an unsigned x-amz header',
    (api) => ({ ...sign(api), 'x-amz-meta': 'b' }),
    invalid,
    /'x-amz-meta' must be a 'SignedHeader'/,
  ],
  [
    'an unsigned x-amzn header',
    (api) => ({ ...sign(api), 'x-amzn-principal': 'b' }),
    invalid,
    /'x-amzn-principal' must be/,
  ],
  [
    'Host not signed',
    authorization((value) => value.replace('=host;', '=')),
    invalid,
    /'Host' or ':authority' must be a 'SignedHeader'/,
  ],
  [
    'UNSIGNED-PAYLOAD',
    (api) => edit(sign(api), 'x-amz-content-sha256', () => 'UNSIGNED-PAYLOAD'),
    invalid,
    /does not match/,
  ],
];
for (const [rule, headers, [status, fault], message] of refusals) {
  test(`refused: ${rule} (spec identity 1)`, async (t) => {
    const api = await bootApi(t);
    const answer = await sendRaw(api.port, 'GET', '/things', headers(api));
    assert.deepEqual([answer.status, answer.fault], [status, fault], answer.body);
    assert.match(answer.message, message);
    assert.match(answer.headers.get('x-amzn-requestid') ?? '', /^[0-9a-f-]{36}$/);
  });
}

test('admitted: four minutes old or early, an unsigned trace id, a Date header instead of X-Amz-Date, temporary and long-lived keys', async (t) => {
  const api = await bootApi(t);
  const { send, get } = {
    send: (headers: Headers) => sendRaw(api.port, 'GET', '/things', headers),
    get: (changed: Parameters<typeof sign>[1]) => sendRaw(api.port, 'GET', '/things', sign(api, changed)),
  };
  assert.equal((await get({ nowMs: Date.now() - 4 * minutesMs })).status, 200);
  assert.equal((await get({ nowMs: Date.now() + 4 * minutesMs })).status, 200);
  assert.equal((await send({ ...sign(api), 'X-Amzn-Trace-Id': 'Root=1' })).status, 200);
  const temporary = { accessKeyId: 'ASIATEMPORARY', secretAccessKey: 'temporary', sessionToken: 'the-token' };
  assert.match((await get(temporary)).body, /777788889999/);
  const long = { accessKeyId: 'AKIDLONG', secretAccessKey: 'a/long+secret' };
  assert.match((await send({ ...sign(api, long), Via: 'proxy' })).body, /444455556666/);
});

test('development credentials count on loopback only: by another address of this machine they are unknown (design 3)', async (t) => {
  const address = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;
  if (address === undefined) return t.skip('this machine has loopback only');
  const api = await bootApi(t, { host: '0.0.0.0' });
  const url = `http://${address}:${api.port}/things`;
  const call = async (key: object) => (await fetch(url, { headers: withoutHost(sign(api, { url, ...key })) })).status;
  assert.equal(await call({}), 403);
  assert.equal(await call({ accessKeyId: 'AKIDLONG', secretAccessKey: 'a/long+secret' }), 200);
});

const withoutHost = ({ host: _, ...headers }: Headers): Headers => headers;

test('replayed with another body: refused, whether the body hash was declared or not', async (t) => {
  const api = await bootApi(t);
  const original = '{"thingTypeName":"a"}';
  const changed = '{"thingTypeName":"b"}';
  const headers = sign(api, { method: 'POST', url: `${api.url}/things/a`, body: original });
  const post = (sent: Headers, body: string) => sendRaw(api.port, 'POST', '/things/a', sent, body);
  assert.equal((await post(headers, original)).status, 200);
  assert.deepEqual((await post(headers, changed)).fault, 'InvalidSignatureException');
  assert.deepEqual((await post(headers, '')).fault, 'InvalidSignatureException');
});

test('a stranger is answered before the body is there', async (t) => {
  const api = await bootApi(t);
  const headers = sign(api, { method: 'POST', url: `${api.url}/things/a`, body: '{}', secretAccessKey: 'guess' });
  const lines = Object.entries({ ...headers, 'content-length': '1000' }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  const socket = connect(api.port, '127.0.0.1');
  t.after(() => socket.destroy());
  socket.write(`POST /things/a HTTP/1.1\r\n${lines.join('')}\r\n{}`);
  const [answer] = await once(socket, 'data');
  assert.match(String(answer), /^HTTP\/1\.1 403 [\s\S]*InvalidSignatureException/);
});

const presigned = (api: TestApi, changed: Partial<Parameters<typeof presignUrl>[0]> = {}): string => {
  const url = presignUrl({
    method: 'GET',
    url: `${api.url}/?Action=GetCallerIdentity&Version=2011-06-15`,
    accessKeyId: '000000000000',
    secretAccessKey: 'test',
    region: 'us-east-1',
    service: 'sts',
    nowMs: Date.now(),
    expiresSeconds: 60,
    ...changed,
  });
  return url.slice(api.url.length);
};
const hostOf = (api: TestApi): Headers => ({ host: api.url.slice('http://'.length) });

test('presigned: good for its time, whatever the order of its parameters', async (t) => {
  const api = await bootApi(t);
  const target = presigned(api, { nowMs: Date.now() - 30 * minutesMs, expiresSeconds: 3600 });
  assert.match((await sendRaw(api.port, 'GET', target, hostOf(api))).body, /<Account>000000000000<\/Account>/);
  const reversed = `/?${target.slice(2).split('&').reverse().join('&')}`;
  assert.equal((await sendRaw(api.port, 'GET', reversed, hostOf(api))).status, 200);
});

const presignedRefusals: [rule: string, target: (api: TestApi) => string, [status: number, code: string], RegExp][] = [
  [
    'past its time',
    (api) => presigned(api, { nowMs: Date.now() - 2 * minutesMs }),
    [403, 'SignatureDoesNotMatch'],
    /^Signature expired/,
  ],
  [
    'from the future',
    (api) => presigned(api, { nowMs: Date.now() + 6 * minutesMs }),
    [403, 'SignatureDoesNotMatch'],
    /not yet current/,
  ],
  [
    'more than seven days',
    (api) => presigned(api, { expiresSeconds: 604_801 }),
    [403, 'SignatureDoesNotMatch'],
    /up to 604800/,
  ],
  [
    'another action',
    (api) => presigned(api).replace('GetCallerIdentity', 'GetSessionToken'),
    [403, 'SignatureDoesNotMatch'],
    /does not match/,
  ],
  ['a parameter added', (api) => `${presigned(api)}&Extra=1`, [403, 'SignatureDoesNotMatch'], /does not match/],
  [
    'a parameter twice',
    (api) => `${presigned(api)}&X-Amz-Date=20200101T000000Z`,
    [400, 'IncompleteSignature'],
    /more than once/,
  ],
  [
    'no date',
    (api) => presigned(api).replace(/&X-Amz-Date=[^&]+/, ''),
    [400, 'IncompleteSignature'],
    /must include 'X-Amz-Date'/,
  ],
  [
    'no signature',
    (api) => presigned(api).replace(/&X-Amz-Signature=.+/, ''),
    [400, 'IncompleteSignature'],
    /must include 'X-Amz-Signature'/,
  ],
  [
    'another service',
    (api) => presigned(api, { service: 'iot' }),
    [403, 'SignatureDoesNotMatch'],
    /correct service: 'sts'/,
  ],
  [
    'an unknown key',
    (api) => presigned(api, { accessKeyId: 'AKIDUNKNOWN' }),
    [403, 'InvalidClientTokenId'],
    /security token/,
  ],
];
for (const [rule, target, [status, code], message] of presignedRefusals) {
  test(`refused presigned, in the words of sts: ${rule}`, async (t) => {
    const api = await bootApi(t);
    const answer = await sendRaw(api.port, 'GET', target(api), hostOf(api));
    assert.deepEqual([answer.status, answer.fault], [status, code], answer.body);
    assert.match(answer.message, message);
  });
}

test('a signature in the header and one in the query: refused', async (t) => {
  const api = await bootApi(t);
  const target = presigned(api, { service: 'iot', url: `${api.url}/things` });
  const answer = await sendRaw(api.port, 'GET', target, sign(api, { url: `${api.url}/things` }));
  assert.deepEqual([answer.status, answer.fault], [400, 'IncompleteSignatureException']);
});

test('each service takes its own signing names only (spec gateway 2.2)', async (t) => {
  const api = await bootApi(t);
  const cases: [method: string, target: string, service: string, status: number][] = [
    ['GET', '/things', 'iot', 200],
    ['GET', '/things', 'iotdevicegateway', 403],
    ['GET', '/things/a/shadow', 'iotdata', 501],
    ['GET', '/things/a/shadow', 'iotdevicegateway', 501],
    ['GET', '/things/a/shadow', 'iot', 403],
    ['GET', '/?Action=GetCallerIdentity', 'sts', 200],
    ['GET', '/?Action=GetCallerIdentity', 'iot', 403],
  ];
  for (const [method, target, service, status] of cases) {
    assert.equal((await sendSigned(api, method, target, { service })).status, status, `${target} as ${service}`);
  }
});
