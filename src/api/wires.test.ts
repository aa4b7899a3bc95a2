import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bootApi, type Received, sendRaw, sendSigned } from './test-api.ts';

const form = { 'content-type': 'application/x-www-form-urlencoded' };
const json = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': 'CertificateManager.ListCertificates' };

/** The wire of an answer, by what stands in it. */
const wireOf = ({ body, headers }: Received): string => {
  const namespace = /xmlns="https:\/\/(\w+)\.amazonaws\.com/.exec(body)?.[1];
  if (namespace !== undefined) return namespace;
  return headers.get('content-type') === 'application/x-amz-json-1.1' ? 'acm' : 'rest';
};

type Told = [
  request: [method: string, target: string, headers: Readonly<Record<string, string>>, body: string],
  service: string,
  wire: string,
  rule: string,
];
const told: Told[] = [
  [['POST', '/', json, '{}'], 'acm', 'acm', 'X-Amz-Target is JSON 1.1'],
  [['POST', '/', json, '{}'], 'iam', 'acm', 'whatever service the signature is for'],
  [['POST', '/', { ...form, 'x-amz-target': 'x' }, 'a=b'], 'sts', 'acm', 'and whatever the body is said to be'],
  [['POST', '/things/a', json, '{}'], 'iot', 'rest', 'but on one path only'],
  [['POST', '/', form, 'Action=ListUsers&Version=2010-05-08'], 'iam', 'iam', 'a form signed for iam'],
  [['POST', '/', form, 'Action=GetCallerIdentity&Version=2011-06-15'], 'iam', 'iam', 'even if it means sts'],
  [['POST', '/', form, 'Action=ListUsers&Version=2010-05-08'], 'sts', 'sts', 'a form signed for sts'],
  [['GET', '/?Action=ListUsers&Version=2010-05-08', {}, ''], 'iam', 'iam', 'an Action in the query'],
  [
    ['GET', '/?Action=ListUsers&Version=2010-05-08', {}, ''],
    'sqs',
    'iam',
    'a strange scope leaves the version to decide',
  ],
  [['GET', '/?Action=ListUsers&Version=2012-11-05', {}, ''], 'sqs', 'sts', 'and a strange version too leaves sts'],
  [['POST', '/', {}, '{}'], 'iot', 'rest', 'neither target nor form'],
];
for (const [[method, target, headers, body], service, wire, rule] of told) {
  test(`${method} ${target}, signed for ${service}, is answered as ${wire}: ${rule}`, async (t) => {
    const api = await bootApi(t);
    assert.equal(wireOf(await sendSigned(api, method, target, { service, headers, body })), wire);
  });
}

test('unsigned, the version alone tells which Query service answers', async (t) => {
  const api = await bootApi(t);
  const send = (method: string, target: string, body: string) =>
    sendRaw(api.port, method, target, { host: 'localhost', ...(body !== '' && form) }, body);
  assert.equal(wireOf(await send('POST', '/', 'Action=ListUsers&Version=2010-05-08')), 'iam');
  assert.equal(wireOf(await send('POST', '/', 'Action=ListUsers')), 'sts');
  assert.equal(wireOf(await send('GET', '/?Action=ListUsers&Version=2010-05-08', '')), 'iam');
});

test('a presigned URL tells its service by its credential', async (t) => {
  const api = await bootApi(t);
  const credential = 'AKIDNOBODY%2F20260101%2Fus-east-1%2Fiam%2Faws4_request';
  const answer = await sendRaw(api.port, 'GET', `/?Action=GetUser&X-Amz-Credential=${credential}`, {
    host: 'localhost',
  });
  assert.equal(wireOf(answer), 'iam');
});
