import assert from 'node:assert/strict';
import { test } from 'node:test';
import { operations } from './operations.ts';
import { readForm, readFormInput, writeXmlFault, writeXmlOutput } from './query.ts';
import { bootApi, sendRaw, sendSigned, type TestApi } from './test-api.ts';

const operationOf = (name: string) => {
  const operation = operations.find((candidate) => candidate.service === 'sts' && candidate.name === name);
  assert(operation, name);
  return operation;
};

const form = { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' };
const post = (api: TestApi, body: string) => sendSigned(api, 'POST', '/', { service: 'sts', headers: form, body });

test('GetCallerIdentity answers the documented XML, by form body and by query string', async (t) => {
  const api = await bootApi(t);
  const answer = await post(api, 'Action=GetCallerIdentity&Version=2011-06-15');
  const requestId = answer.headers.get('x-amzn-requestid');
  assert.equal(answer.headers.get('content-type'), 'text/xml');
  assert.equal(
    answer.body,
    '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>' +
      '<UserId>000000000000</UserId><Account>000000000000</Account><Arn>arn:aws:iam::000000000000:root</Arn>' +
      `</GetCallerIdentityResult><ResponseMetadata><RequestId>${requestId}</RequestId></ResponseMetadata></GetCallerIdentityResponse>`,
  );
  const got = await sendSigned(api, 'GET', '/?Action=GetCallerIdentity&Version=2011-06-15', { service: 'sts' });
  assert.match(got.body, /<Account>000000000000</);
});

const refusals: [rule: string, body: string, status: number, code: string, message: RegExp][] = [
  [
    'an unknown action',
    'Action=Nothing&Version=2011-06-15',
    400,
    'InvalidAction',
    /^Could not find operation Nothing for version 2011-06-15$/,
  ],
  ['another version', 'Action=GetCallerIdentity&Version=2010-05-08', 400, 'InvalidAction', /for version 2010-05-08$/],
  ['no action', 'Version=2011-06-15', 400, 'InvalidAction', /no Action/],
  [
    'an action without a handler',
    'Action=GetSessionToken&Version=2011-06-15',
    501,
    'NotImplemented',
    /^GetSessionToken is not available in this version of Fleetgate$/,
  ],
  ['a form that is no UTF-8', 'Action=GetCallerIdentity&x=%FF', 400, 'MalformedInput', /UTF-8/],
];
for (const [rule, body, status, code, message] of refusals) {
  test(`sts refuses ${rule}`, async (t) => {
    const api = await bootApi(t);
    const answer = await post(api, body);
    assert.deepEqual([answer.status, answer.fault], [status, code], answer.body);
    assert.match(answer.message, message);
    assert.match(answer.body, /^<ErrorResponse xmlns="[^"]+"><Error><Type>(Sender|Receiver)<\/Type>/);
  });
}

test('unsigned: MissingAuthenticationToken, but for the two operations of whoever has no credentials yet', async (t) => {
  const api = await bootApi(t);
  const send = (body: string) => sendRaw(api.port, 'POST', '/', { host: 'localhost', ...form }, body);
  const identity = await send('Action=GetCallerIdentity&Version=2011-06-15');
  assert.deepEqual(
    [identity.status, identity.fault, identity.message],
    [403, 'MissingAuthenticationToken', 'Request is missing Authentication Token'],
  );
  const web = await send('Action=AssumeRoleWithWebIdentity&Version=2011-06-15');
  assert.deepEqual([web.status, web.fault], [501, 'NotImplemented']);
});

test('constraint violations are ValidationError', async (t) => {
  const api = await bootApi(t, { handlers: { sts: { AssumeRole: async () => ({}) } } });
  const answer = await post(api, 'Action=AssumeRole&Version=2011-06-15&RoleArn=x&RoleSessionName=abc');
  assert.deepEqual([answer.status, answer.fault], [400, 'ValidationError']);
  assert.match(answer.message, /^1 validation error detected: Value 'x' at 'roleArn' failed/);
});

test('lists and structures of a form', () => {
  const read = (text: string) => readFormInput(operationOf('AssumeRole').input, readForm(text));
  assert.deepEqual(
    read(
      'Tags.member.1.Key=a+b&Tags.member.1.Value=%2B&Tags.member.2.Key=c&TransitiveTagKeys.member.1=x&DurationSeconds=900',
    ),
    { Tags: [{ Key: 'a b', Value: '+' }, { Key: 'c' }], TransitiveTagKeys: ['x'], DurationSeconds: 900 },
  );
  assert.throws(() => read('DurationSeconds=soon'), { name: 'SerializationException' });
});

test('a form is bounded in the number and the names of its parameters', () => {
  assert.throws(() => readForm('a&'.repeat(1001)), { name: 'SerializationException' });
  assert.throws(() => readForm(`${'a'.repeat(257)}=1`), { name: 'SerializationException' });
});

test('XML carries foreign text escaped, and nothing that XML cannot carry', () => {
  const output = { Arn: '<&"\'>\u0000\u001b\ud800é\r\n' };
  const { body } = writeXmlOutput(operationOf('GetCallerIdentity'), output, 'id');
  assert.match(String(body), /<Arn>&lt;&amp;&quot;'&gt;\uFFFDé&#xD;\n<\/Arn>/);
  const fault = writeXmlFault({ name: 'InvalidRequestException', message: '</Message>', members: {} }, 'id');
  assert.match(String(fault.body), /<Message>&lt;\/Message&gt;<\/Message>/);
});

test('faults of the sts model have their own code and status', () => {
  const fault = writeXmlFault({ name: 'MalformedPolicyDocumentException', message: 'm', members: {} }, 'id');
  assert.equal(fault.status, 400);
  assert.match(String(fault.body), /<Code>MalformedPolicyDocument<\/Code>/);
  const internal = writeXmlFault({ name: 'InternalFailureException', message: 'm', members: {} }, 'id');
  assert.equal(internal.status, 500);
  assert.match(String(internal.body), /<Type>Receiver<\/Type><Code>InternalFailure<\/Code>/);
});
