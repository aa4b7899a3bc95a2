import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readInput, writeOutput } from './rest-json.ts';
import { findOperation } from './routes.ts';
import { bootApi, sendSigned } from './test-api.ts';

const read = (method: string, target: string, body: string | Uint8Array = '', headers: [string, string][] = []) => {
  const [path = '', query = ''] = target.split('?');
  const match = findOperation(method, path);
  assert(match, target);
  return readInput(match, { query, headers: new Map(headers), body: Buffer.from(body) });
};

const good: [rule: string, got: Record<string, unknown>, expected: object][] = [
  [
    'labels are decoded after the path was split',
    read('POST', '/attached-policies/arn%3Aaws%3Aiot%3Ar%3A1%3Acert%2Fab'),
    { target: 'arn:aws:iot:r:1:cert/ab' },
  ],
  ['a plus in a label or query is a plus', read('GET', '/things/a+b'), { thingName: 'a+b' }],
  ['a greedy label takes the rest', read('GET', '/destinations/arn:x/y/z'), { arn: 'arn:x/y/z' }],
  [
    'a query name may differ from its member',
    read('GET', '/certificates?isAscendingOrder=true&pageSize=3'),
    { ascendingOrder: true, pageSize: 3 },
  ],
  ['of a repeated parameter the first counts', read('GET', '/things?nextToken=a&nextToken=b'), { nextToken: 'a' }],
  [
    'a header is a member',
    read('PUT', '/things/a/principals', '', [['x-amzn-principal', 'p']]),
    { thingName: 'a', principal: 'p' },
  ],
  [
    'UTF-8 in a header',
    read('PUT', '/things/a/principals', '', [['x-amzn-principal', 'Ã¼']]),
    { thingName: 'a', principal: 'ü' },
  ],
  [
    'unknown members are ignored',
    read('POST', '/things/a', '{"zzz":1,"thingTypeName":"t"}'),
    { thingName: 'a', thingTypeName: 't' },
  ],
  ['null is absence', read('POST', '/things/a', '{"thingTypeName":null}'), { thingName: 'a' }],
  ['no body is no members', read('POST', '/things/a'), { thingName: 'a' }],
  ['a body where none is expected is ignored', read('GET', '/things/a', 'not json'), { thingName: 'a' }],
  ['a label wins over a body member of its name', read('POST', '/things/a', '{"thingName":"b"}'), { thingName: 'a' }],
  [
    'a blob payload is the body as it is',
    read('POST', '/topics/a%2Fb?qos=1', '\u0000x'),
    { topic: 'a/b', qos: 1, payload: new Uint8Array([0, 120]) },
  ],
  [
    'times in a query are ISO 8601 or epoch seconds',
    read('GET', '/audit/tasks?startTime=2026-01-01T00%3A00%3A00Z&endTime=1.5'),
    { startTime: new Date('2026-01-01T00:00:00Z'), endTime: new Date(1500) },
  ],
];
for (const [rule, got, expected] of good) {
  test(`read: ${rule}`, () => assert.deepEqual(plain(got), plain(expected)));
}

function plain(value: object): object {
  return Object.fromEntries(
    Object.entries(value).map(([key, item]: [string, unknown]) => [key, item instanceof Uint8Array ? [...item] : item]),
  );
}

test('__proto__ is a key like any other', () => {
  const input = read(
    'POST',
    '/things/a',
    '{"__proto__":{"thingTypeName":"x"},"attributePayload":{"attributes":{"__proto__":"y"}}}',
  );
  assert.equal(input['thingTypeName'], undefined);
  const { attributes } = input['attributePayload'] as { attributes: object };
  assert.deepEqual(Object.entries(attributes), [['__proto__', 'y']]);
});

const thing = '/things/a';
const bad: [rule: string, method: string, target: string, body: string | Uint8Array, message: RegExp][] = [
  ['no JSON', 'POST', thing, '{', /not valid JSON/],
  ['text after the JSON', 'POST', thing, '{}x', /not valid JSON/],
  ['bytes that are no UTF-8', 'POST', thing, new Uint8Array([0x22, 0xff, 0x22]), /not valid JSON/],
  ['a list for the whole', 'POST', thing, '[]', /Start of list found where not expected/],
  ['a string for the whole', 'POST', thing, '"a"', /STRING_VALUE can not be converted to a Structure/],
  ['null for the whole', 'POST', thing, 'null', /Structure|structure/],
  ['a number for a string', 'POST', thing, '{"thingTypeName":1}', /NUMBER_VALUE can not be converted to a String/],
  ['a boolean for a string', 'POST', thing, '{"thingTypeName":true}', /TRUE_VALUE can not be converted to a String/],
  [
    'an object for a string',
    'POST',
    thing,
    '{"thingTypeName":{}}',
    /Start of structure or map found where not expected/,
  ],
  ['a list for a string', 'POST', thing, '{"thingTypeName":[]}', /Start of list found where not expected/],
  [
    'a string for a structure',
    'POST',
    thing,
    '{"attributePayload":"a"}',
    /STRING_VALUE can not be converted to a Structure/,
  ],
  ['a list for a map', 'POST', thing, '{"attributePayload":{"attributes":["a"]}}', /Start of list/],
  ['a number in a map', 'POST', thing, '{"attributePayload":{"attributes":{"a":1}}}', /NUMBER_VALUE/],
  [
    'a string for a boolean',
    'PATCH',
    thing,
    '{"removeThingType":"true"}',
    /STRING_VALUE can not be converted to a Boolean/,
  ],
  [
    'a string for a number',
    'PATCH',
    thing,
    '{"expectedVersion":"1"}',
    /STRING_VALUE can not be converted to an Integer/,
  ],
  ['a fraction for an integer', 'PATCH', thing, '{"expectedVersion":1.5}', /an Integer/],
  ['an integer beyond exactness', 'PATCH', thing, '{"expectedVersion":9007199254740993}', /an Integer/],
  ['a lone surrogate', 'POST', thing, '{"thingTypeName":"\\ud800"}', /well-formed/],
  ['a word for a number in the query', 'GET', '/things?maxResults=many', '', /an Integer/],
  ['a fraction in the query', 'GET', '/things?maxResults=1.5', '', /an Integer/],
  ['an empty number in the query', 'GET', '/things?maxResults=', '', /an Integer/],
  ['a number for a boolean in the query', 'GET', '/policies?isAscendingOrder=1', '', /a Boolean/],
  ['no time in the query', 'GET', '/audit/tasks?startTime=soon', '', /since epoch/],
  ['no UTF-8 in a label', 'GET', '/things/%FF', '', /UTF-8/],
  ['no UTF-8 in the query', 'GET', '/things?nextToken=%FF', '', /UTF-8/],
  ['base64 of another alphabet', 'PUT', '/commands/a', '{"payload":{"content":"_-8="}}', /Base64/],
];
for (const [rule, method, target, body, message] of bad) {
  test(`SerializationException: ${rule} (spec identity 1)`, () =>
    assert.throws(() => read(method, target, body), { name: 'SerializationException', message }));
}

test('deep nesting costs nothing but its bytes', () => {
  const deep = `{"zzz":${'['.repeat(400_000)}${']'.repeat(400_000)},"thingTypeName":"t"}`;
  assert.deepEqual(read('POST', '/things/a', deep), { thingName: 'a', thingTypeName: 't' });
});

test('malformed JSON is 400 SerializationException on the wire', async (t) => {
  const api = await bootApi(t);
  const answer = await sendSigned(api, 'POST', '/things/a', { body: '{' });
  assert.deepEqual([answer.status, answer.fault], [400, 'SerializationException']);
  const wrong = await sendSigned(api, 'POST', '/things/a', { body: '{"thingTypeName":7}' });
  assert.deepEqual([wrong.status, wrong.message], [400, 'NUMBER_VALUE can not be converted to a String']);
});

test('a handler that answers what its schema does not have is our mistake', () => {
  const match = findOperation('GET', '/things/a');
  assert(match);
  assert.throws(() => writeOutput(match.operation, { thingName: 7 }), { name: 'AssertionError' });
});
