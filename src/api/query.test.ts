import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FaultName } from '../aws/fault.ts';
import { operations } from './operations.ts';
import { type QueryService, readForm, readFormInput, writeXmlFault, writeXmlOutput } from './query.ts';
import type { Shape, Structure } from './shapes.ts';
import { bootApi, sendRaw, sendSigned, type TestApi } from './test-api.ts';

const operationOf = (name: string, service: QueryService = 'sts') => {
  const operation = operations.find((candidate) => candidate.service === service && candidate.name === name);
  assert(operation, name);
  return operation;
};

const form = { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' };
const post = (api: TestApi, body: string, service = 'sts') =>
  sendSigned(api, 'POST', '/', { service, headers: form, body });

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

const iamRefusals: [rule: string, body: string, status: number, code: string, message: RegExp][] = [
  [
    'an action without a handler',
    'Action=ListUsers&Version=2010-05-08',
    501,
    'NotImplemented',
    /^ListUsers is not available in this version of Fleetgate$/,
  ],
  [
    'an action of sts',
    'Action=GetCallerIdentity&Version=2010-05-08',
    400,
    'InvalidAction',
    /^Could not find operation GetCallerIdentity for version 2010-05-08$/,
  ],
  ['the version of sts', 'Action=ListUsers&Version=2011-06-15', 400, 'InvalidAction', /for version 2011-06-15$/],
];
for (const [rule, body, status, code, message] of iamRefusals) {
  test(`iam refuses ${rule}, in its own namespace`, async (t) => {
    const api = await bootApi(t);
    const answer = await post(api, body, 'iam');
    assert.deepEqual([answer.status, answer.fault], [status, code], answer.body);
    assert.match(answer.message, message);
    const xml = /^<ErrorResponse xmlns="https:\/\/iam\.amazonaws\.com\/doc\/2010-05-08\/"><Error><Type>/;
    assert.match(answer.body, xml);
  });
}

test('iam: lists, maps, times and nothing at all, as the examples of its API reference have them', async (t) => {
  const api = await bootApi(t, {
    handlers: {
      iam: {
        ListAccountAliases: async () => ({ AccountAliases: ['one', 'two'], IsTruncated: false }),
        GetAccountSummary: async () => ({ SummaryMap: { Users: 5, Groups: 0 } }),
        CreateUser: async (input) => ({
          User: {
            Path: input.Path ?? '/',
            UserName: input.UserName ?? '',
            UserId: 'AIDACKCEVSQ6C2EXAMPLE',
            Arn: `arn:aws:iam::123456789012:user/${input.Tags?.[1]?.Value}`,
            CreateDate: new Date('2019-12-31T12:00:00Z'),
          },
        }),
        DeleteUser: async () => ({}),
      },
    },
  });
  const call = async (parameters: string) => {
    const { body, headers } = await post(api, `Version=2010-05-08&${parameters}`, 'iam');
    assert.equal(headers.get('content-type'), 'text/xml');
    return body.replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/, 'id');
  };
  const response = (name: string, result: string) =>
    `<${name}Response xmlns="https://iam.amazonaws.com/doc/2010-05-08/">${result}` +
    `<ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></${name}Response>`;
  assert.equal(
    await call('Action=ListAccountAliases'),
    response(
      'ListAccountAliases',
      '<ListAccountAliasesResult><AccountAliases><member>one</member><member>two</member></AccountAliases>' +
        '<IsTruncated>false</IsTruncated></ListAccountAliasesResult>',
    ),
  );
  assert.equal(
    await call('Action=GetAccountSummary'),
    response(
      'GetAccountSummary',
      '<GetAccountSummaryResult><SummaryMap><entry><key>Users</key><value>5</value></entry>' +
        '<entry><key>Groups</key><value>0</value></entry></SummaryMap></GetAccountSummaryResult>',
    ),
  );
  assert.match(
    await call(
      'Action=CreateUser&UserName=Bob&Tags.member.1.Key=a&Tags.member.1.Value=&Tags.member.2.Key=b&Tags.member.2.Value=c',
    ),
    /<UserName>Bob<\/UserName>.*:user\/c<\/Arn><CreateDate>2019-12-31T12:00:00Z<\/CreateDate>/,
  );
  assert.equal(await call('Action=DeleteUser&UserName=Bob'), response('DeleteUser', ''));
});

test('iam is one for all regions: whatever region the scope names, the call is taken in us-east-1', async (t) => {
  const regions: string[] = [];
  const api = await bootApi(t, {
    handlers: {
      iam: {
        DeleteUser: async (_, call) => {
          regions.push(call.account.region);
          return {};
        },
      },
    },
  });
  for (const region of ['us-east-1', 'eu-west-1']) {
    const body = 'Action=DeleteUser&Version=2010-05-08&UserName=a';
    const answer = await sendSigned(api, 'POST', '/', { service: 'iam', region, headers: form, body });
    assert.equal(answer.status, 200);
  }
  assert.deepEqual(regions, ['us-east-1', 'us-east-1']);
  assert.deepEqual(
    api.log.map(({ account }) => account?.region),
    regions,
  );
});

test('unsigned: MissingAuthenticationToken, but for the two operations of whoever has no credentials yet', async (t) => {
  const api = await bootApi(t);
  const send = (body: string) => sendRaw(api.port, 'POST', '/', { host: 'localhost', ...form }, body);
  const identity = await send('Action=GetCallerIdentity&Version=2011-06-15');
  assert.deepEqual(
    [identity.status, identity.fault, identity.message],
    [403, 'MissingAuthenticationToken', 'Request is missing Authentication Token'],
  );
  const users = await send('Action=ListUsers&Version=2010-05-08');
  assert.equal(users.status, 403);
  assert.match(users.body, /xmlns="https:\/\/iam\..*<Code>MissingAuthenticationToken</);
  const saml = await send('Action=AssumeRoleWithSAML&Version=2010-05-08');
  assert.deepEqual([saml.status, saml.fault], [403, 'MissingAuthenticationToken'], 'iam has no such operation');
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

test('maps, times and bytes of a form', () => {
  const shape: Structure = {
    kind: 'structure',
    name: 'Asked',
    union: false,
    members: [
      ['Weights', { kind: 'map', value: { kind: 'number', fractional: false } }],
      ['Since', { kind: 'timestamp' }],
      ['Content', { kind: 'blob' }],
    ].map(([name, member]) => ({
      name: String(name),
      // the table above pairs a name with a shape
      shape: member as Shape,
      binding: { at: 'body', name: String(name) },
      sensitive: false,
    })),
  };
  const read = (text: string) => readFormInput(shape, readForm(text));
  const sent =
    'Weights.entry.1.key=__proto__&Weights.entry.1.value=1&Weights.entry.2.key=b&Weights.entry.2.value=2&Since=2026-01-01T00%3A00%3A00Z&Content=AP8%3D';
  const { Weights, Since, Content } = read(sent);
  assert.deepEqual(Object.entries(Weights as object), [
    ['__proto__', 1],
    ['b', 2],
  ]);
  assert.deepEqual(Since, new Date('2026-01-01T00:00:00Z'));
  assert.deepEqual(Content, new Uint8Array([0, 255]));
  for (const bad of ['Since=soon', 'Since=2026-13-01T00:00:00Z', 'Content=_', 'Weights.entry.1.value=x']) {
    assert.throws(() => read(bad), { name: 'SerializationException' }, bad);
  }
});

test('a form is bounded in the number and the names of its parameters', () => {
  assert.throws(() => readForm('a&'.repeat(1001)), { name: 'SerializationException' });
  assert.throws(() => readForm(`${'a'.repeat(257)}=1`), { name: 'SerializationException' });
});

test('XML carries foreign text escaped, and nothing that XML cannot carry', () => {
  const output = { Arn: '<&"\'>\u0000\u001b\ud800é\r\n' };
  const { body } = writeXmlOutput(operationOf('GetCallerIdentity'), output, 'id');
  assert.match(String(body), /<Arn>&lt;&amp;&quot;'&gt;\uFFFDé&#xD;\n<\/Arn>/);
  const fault = writeXmlFault('sts', { name: 'InvalidRequestException', message: '</Message>', members: {} }, 'id');
  assert.match(String(fault.body), /<Message>&lt;\/Message&gt;<\/Message>/);
});

test('faults of the iam model have their own code and status', () => {
  const expected: [name: FaultName, status: number, code: string][] = [
    ['NoSuchEntityException', 404, 'NoSuchEntity'],
    ['EntityAlreadyExistsException', 409, 'EntityAlreadyExists'],
    ['DeleteConflictException', 409, 'DeleteConflict'],
    ['LimitExceededException', 409, 'LimitExceeded'],
    ['MalformedPolicyDocumentException', 400, 'MalformedPolicyDocument'],
    ['ServiceFailureException', 500, 'ServiceFailure'],
    ['UnrecognizedClientException', 403, 'InvalidClientTokenId'],
    ['ThrottlingException', 400, 'Throttling'],
  ];
  for (const [name, status, code] of expected) {
    const fault = writeXmlFault('iam', { name, message: 'm', members: {} }, 'id');
    assert.deepEqual([fault.status, /<Code>(.*)<\/Code>/.exec(String(fault.body))?.[1]], [status, code]);
  }
});

test('faults of the sts model have their own code and status', () => {
  const fault = writeXmlFault('sts', { name: 'MalformedPolicyDocumentException', message: 'm', members: {} }, 'id');
  assert.equal(fault.status, 400);
  assert.match(String(fault.body), /<Code>MalformedPolicyDocument<\/Code>/);
  const internal = writeXmlFault('sts', { name: 'InternalFailureException', message: 'm', members: {} }, 'id');
  assert.equal(internal.status, 500);
  assert.match(String(internal.body), /<Type>Receiver<\/Type><Code>InternalFailure<\/Code>/);
});
