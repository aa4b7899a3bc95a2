import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  amzDateOf,
  canonicalRequest,
  emptyPayloadHash,
  normalizePath,
  parseAmzDate,
  presignUrl,
  queryPairs,
  sha256Hex,
  signatureOf,
  signRequest,
} from './sigv4.ts';

const secretAccessKey = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';
const amzDate = '20150830T123600Z';

test('the worked example of the IAM user guide gives its signature', () => {
  const canonical = canonicalRequest({
    method: 'GET',
    path: '/',
    query: 'Action=ListUsers&Version=2010-05-08',
    headers: [
      ['Content-Type', 'application/x-www-form-urlencoded; charset=utf-8'],
      ['Host', 'iam.amazonaws.com'],
      ['X-Amz-Date', amzDate],
    ],
    signedHeaders: ['content-type', 'host', 'x-amz-date'],
    payloadHash: emptyPayloadHash,
  });
  assert.equal(sha256Hex(canonical), 'f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59');
  const scope = { date: '20150830', region: 'us-east-1', service: 'iam' };
  assert.equal(
    signatureOf(secretAccessKey, scope, amzDate, canonical),
    '5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7',
  );
});

const suite: [name: string, path: string, query: string, signature: string][] = [
  ['get-vanilla', '/', '', '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31'],
  [
    'get-vanilla-query-order-key-case',
    '/',
    'Param2=value2&Param1=value1',
    'b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500',
  ],
];
for (const [name, path, query, expected] of suite) {
  test(`case ${name} of AWS's SigV4 test suite`, () => {
    const canonical = canonicalRequest({
      method: 'GET',
      path,
      query,
      headers: [
        ['Host', 'example.amazonaws.com'],
        ['X-Amz-Date', amzDate],
      ],
      signedHeaders: ['host', 'x-amz-date'],
      payloadHash: emptyPayloadHash,
    });
    const scope = { date: '20150830', region: 'us-east-1', service: 'service' };
    assert.equal(signatureOf(secretAccessKey, scope, amzDate, canonical), expected);
  });
}

const canonicalLines = (path: string, query = '', headers: [string, string][] = []): string[] =>
  canonicalRequest({
    method: 'GET',
    path,
    query,
    headers,
    signedHeaders: [...new Set(headers.map(([name]) => name.toLowerCase()))].sort(),
    payloadHash: emptyPayloadHash,
  }).split('\n');

const paths: [sent: string, signed: string, rule: string][] = [
  ['/things/a%3Ab', '/things/a%253Ab', 'the path as sent is encoded once more'],
  ['/attached-policies/arn%3Aaws%2Fx', '/attached-policies/arn%253Aaws%252Fx', 'an encoded slash stays in its segment'],
  ['/a/./b/../c//d/', '/a/c/d/', 'dot and empty segments go, the trailing slash stays'],
  ['/..', '/', 'nothing stands above the root'],
  ['/a:b@c', '/a%3Ab%40c', 'what clients leave bare is encoded all the same'],
  ['/a~b-._', '/a~b-._', 'unreserved characters stay'],
];
for (const [sent, signed, rule] of paths) {
  test(`path ${sent} is signed as ${signed}: ${rule} (botocore, SDK v3)`, () =>
    assert.equal(canonicalLines(sent)[1], signed));
}

const queries: [sent: string, signed: string, rule: string][] = [
  ['b=2&a=1', 'a=1&b=2', 'sorted by name'],
  ['a=2&a=1', 'a=1&a=2', 'then by value'],
  ['a-b=1&a=2', 'a=2&a-b=1', 'by the whole name, not by the joined text'],
  ['flag', 'flag=', 'a name alone has the empty value'],
  ['x=a%2fb', 'x=a%2Fb', 'hexadecimal digits in upper case'],
  ['x=a+b', 'x=a%2Bb', 'a plus is a plus'],
  ['x=a/b=c', 'x=a%2Fb%3Dc', 'only the first equals sign divides'],
  ['x=%zz', 'x=%25zz', 'a percent sign that starts no escape is itself'],
];
for (const [sent, signed, rule] of queries) {
  test(`query ${sent} is signed as ${signed}: ${rule}`, () => assert.equal(canonicalLines('/', sent)[2], signed));
}

test('header values are trimmed, inner blanks folded, repeated headers joined by commas in their order', () => {
  const lines = canonicalLines('/', '', [
    ['My-Header', '  a   b  '],
    ['Host', 'h'],
    ['my-header', 'c'],
  ]);
  assert.deepEqual(lines.slice(3, 5), ['host:h', 'my-header:a b,c']);
});

test('signRequest signs what it sends and leaves out what intermediaries change', () => {
  const headers = signRequest({
    method: 'POST',
    url: 'http://127.0.0.1:4566/things/a',
    headers: { 'Content-Type': 'application/json', 'User-Agent': 'x' },
    body: '{}',
    accessKeyId: '000000000000',
    secretAccessKey: 'test',
    region: 'us-east-1',
    service: 'iot',
    nowMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
  });
  assert.equal(headers['x-amz-date'], '20260102T030405Z');
  assert.equal(headers['x-amz-content-sha256'], sha256Hex('{}'));
  assert.match(
    headers['authorization'] ?? '',
    /^AWS4-HMAC-SHA256 Credential=000000000000\/20260102\/us-east-1\/iot\/aws4_request, SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date, Signature=[0-9a-f]{64}$/,
  );
});

test('presignUrl carries everything in the query', () => {
  const url = presignUrl({
    method: 'GET',
    url: 'http://127.0.0.1:4566/?Action=GetCallerIdentity',
    accessKeyId: 'test',
    secretAccessKey: 'test',
    region: 'us-east-1',
    service: 'sts',
    nowMs: Date.UTC(2026, 0, 2),
    expiresSeconds: 60,
  });
  const names = queryPairs(new URL(url).search.slice(1)).map(([name]) => name);
  assert.deepEqual(names, [
    'Action',
    'X-Amz-Algorithm',
    'X-Amz-Credential',
    'X-Amz-Date',
    'X-Amz-Expires',
    'X-Amz-SignedHeaders',
    'X-Amz-Signature',
  ]);
});

/** However a client spells the name: the URL parser drops a carriage return, and an escape is decoded by the reader. */
const claimed: [query: string, name: string, header: boolean][] = [
  ['X-Amz-Algorithm=x', 'X-Amz-Algorithm', true],
  ['a=b&X-Amz-Signature', 'X-Amz-Signature', true],
  ['%58-Amz-Algorithm', 'X-Amz-Algorithm', true],
  ['%\r58-Amz-Signature=', 'X-Amz-Signature', true],
  ['X-Amz-Date=20260102T000000Z', 'X-Amz-Date', false],
  ['X-Amz-Security-Token=t', 'X-Amz-Security-Token', false],
];
for (const [query, name, header] of claimed) {
  test(`a URL that holds ${JSON.stringify(query)} is not signed a second time: two claims are refused by the reader`, () => {
    const request = {
      ...{ method: 'GET', url: `http://127.0.0.1:4566/?${query}`, nowMs: Date.UTC(2026, 0, 2) },
      ...{ accessKeyId: 'test', secretAccessKey: 'test', region: 'us-east-1', service: 'iot' },
    };
    const refused = { name: 'UnsignableRequest', message: `A URL whose query holds ${name} already cannot be signed` };
    assert.throws(() => presignUrl({ ...request, expiresSeconds: 60 }), refused);
    if (header) assert.throws(() => signRequest(request), refused);
    else assert.match(signRequest(request)['authorization'] ?? '', /Signature=/);
  });
}

test('a date is taken only in its one spelling', () => {
  const ms = Date.UTC(2026, 1, 28, 23, 59, 59);
  assert.equal(parseAmzDate(amzDateOf(ms)), ms);
  for (const text of ['20260230T000000Z', '20260228T240000Z', '2026-02-28T00:00:00Z', '20260228T000000', '']) {
    assert.equal(parseAmzDate(text), undefined, text);
  }
});

test('a normal path stays itself', () => {
  for (const path of ['/', '/a', '/a/', '/a%2Fb']) assert.equal(normalizePath(path), path);
});
