import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACMClient, DescribeCertificateCommand, ListCertificatesCommand } from '@aws-sdk/client-acm';
import { Fault, type FaultName } from '../aws/fault.ts';
import acmTable from './constraints/acm.json' with { type: 'json' };
import { writeJsonFault } from './json-1-1.ts';
import { operations } from './operations.ts';
import { bootApi, type Received, sendRaw, sendSigned, type TestApi } from './test-api.ts';

const contentType = 'application/x-amz-json-1.1';
const certificateArn = 'arn:aws:acm:us-east-1:000000000000:certificate/5a4f0c1e-6a8e-4d1b-9c53-0d9d5f2f6a11';

const acmHandlers = {
  acm: {
    DescribeCertificate: async (input: { CertificateArn?: string | undefined }) => {
      if (input.CertificateArn !== certificateArn) {
        throw new Fault('ResourceNotFoundException', `Could not find certificate ${input.CertificateArn}.`);
      }
      return { Certificate: { CertificateArn: certificateArn, NotAfter: new Date(1655249872319) } };
    },
    DeleteCertificate: async () => ({}),
    SearchCertificates: async () => ({}),
  },
};

const send = (api: TestApi, target: string, body: string, headers: Readonly<Record<string, string>> = {}) =>
  sendSigned(api, 'POST', '/', {
    service: 'acm',
    headers: { 'content-type': contentType, 'x-amz-target': target, ...headers },
    body,
  });

const jsonOf = ({ body }: Received): unknown => JSON.parse(body);

test('an operation is named by X-Amz-Target; JSON comes and goes with the members of the model (spec identity 10)', async (t) => {
  const api = await bootApi(t, { handlers: acmHandlers });
  const described = await send(
    api,
    'CertificateManager.DescribeCertificate',
    JSON.stringify({ CertificateArn: certificateArn }),
  );
  assert.deepEqual([described.status, described.headers.get('content-type')], [200, contentType]);
  assert.deepEqual(jsonOf(described), { Certificate: { CertificateArn: certificateArn, NotAfter: 1655249872.319 } });
  const deleted = await send(
    api,
    'CertificateManager.DeleteCertificate',
    JSON.stringify({ CertificateArn: certificateArn }),
  );
  assert.deepEqual([deleted.status, deleted.body], [200, ''], 'no output is no body');
});

test('a charset beside the content type is welcome', async (t) => {
  const api = await bootApi(t, { handlers: acmHandlers });
  const body = JSON.stringify({ CertificateArn: certificateArn });
  const headers = { 'content-type': 'Application/X-Amz-Json-1.1; charset=utf-8' };
  assert.equal((await send(api, 'CertificateManager.DescribeCertificate', body, headers)).status, 200);
});

test('the SDK reads what came and what was refused', async (t) => {
  const api = await bootApi(t, { handlers: acmHandlers });
  const acm = new ACMClient({
    endpoint: api.url,
    region: 'eu-west-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    maxAttempts: 1,
  });
  t.after(() => acm.destroy());
  const { Certificate } = await acm.send(new DescribeCertificateCommand({ CertificateArn: certificateArn }));
  assert.equal(Certificate?.NotAfter?.getTime(), 1655249872319);
  const other = certificateArn.replace('5a4f', '0000');
  await assert.rejects(acm.send(new DescribeCertificateCommand({ CertificateArn: other })), {
    name: 'ResourceNotFoundException',
    message: `Could not find certificate ${other}.`,
  });
  await assert.rejects(acm.send(new ListCertificatesCommand({})), {
    name: 'NotImplementedException',
    message: 'ListCertificates is not available in this version of Fleetgate',
  });
});

const known = 'CertificateManager.DescribeCertificate';
const filter = (depth: number): string =>
  `{"FilterStatement":${'{"Not":'.repeat(depth)}{"Filter":{"CertificateArn":"${certificateArn}"}}${'}'.repeat(depth)}}`;
const refusals: [rule: string, target: string, body: string, type: string, status: number, message: RegExp][] = [
  [
    'an operation without a handler',
    'CertificateManager.ListCertificates',
    '{}',
    'NotImplementedException',
    501,
    /^ListCertificates is not available/,
  ],
  ['an unknown operation', 'CertificateManager.Nothing', '{}', 'UnknownOperationException', 400, /Manager\.Nothing$/],
  [
    'the operation of another service',
    'DynamoDB_20120810.ListTables',
    '{}',
    'UnknownOperationException',
    400,
    /ListTables$/,
  ],
  ['what is no JSON', known, '{', 'SerializationException', 400, /not valid JSON/],
  ['a list for the whole', known, '[]', 'SerializationException', 400, /Start of list/],
  [
    'a number for a string',
    known,
    '{"CertificateArn":1}',
    'SerializationException',
    400,
    /NUMBER_VALUE can not be converted to a String/,
  ],
  [
    'a value that breaks a constraint',
    known,
    '{"CertificateArn":"x"}',
    'ValidationException',
    400,
    /^\d validation errors? detected: Value 'x' at 'certificateArn'/,
  ],
  ['no input where some is required', known, '', 'ValidationException', 400, /Value null at 'certificateArn'/],
  [
    'structures in themselves without end',
    'CertificateManager.SearchCertificates',
    filter(50_000),
    'SerializationException',
    400,
    /nested deeper than 64/,
  ],
];
for (const [rule, target, body, type, status, message] of refusals) {
  test(`refused: ${rule}: the fault stands in __type and in the header`, async (t) => {
    const api = await bootApi(t, { handlers: acmHandlers });
    const answer = await send(api, target, body);
    assert.deepEqual([answer.status, answer.fault, answer.headers.get('content-type')], [status, type, contentType]);
    assert.deepEqual(jsonOf(answer), { __type: type, message: answer.message });
    assert.match(answer.message, message);
    assert.match(answer.headers.get('x-amzn-requestid') ?? '', /^[0-9a-f-]{36}$/);
  });
}

test('an operation of which no constraints are known is still read by its shape: no member takes a value of another type', async (t) => {
  const unknown = operations.filter(
    ({ service, name }) => service === 'acm' && !Object.hasOwn(acmTable.faults, name), // the SDK is newer than the table
  );
  assert.notEqual(unknown.length, 0);
  const handlers = Object.fromEntries(unknown.map(({ name }) => [name, async () => ({})]));
  const api = await bootApi(t, { handlers: { acm: handlers } });
  for (const { name, input } of unknown) {
    for (const { name: member, shape } of input?.members ?? []) {
      const body = JSON.stringify({ [member]: shape.kind === 'string' ? 1 : 'a' });
      const { status, fault } = await send(api, `CertificateManager.${name}`, body);
      assert.deepEqual([status, fault], [400, 'SerializationException'], `${name} ${body}`);
    }
  }
});

test('structures in themselves are read to a depth of 64', async (t) => {
  const api = await bootApi(t, { handlers: acmHandlers });
  const answer = await send(api, 'CertificateManager.SearchCertificates', filter(60));
  assert.equal(answer.status, 200, answer.body);
});

test('another content type is refused by name, before anything is read', async (t) => {
  const api = await bootApi(t, { handlers: acmHandlers });
  for (const type of ['application/json', 'application/x-www-form-urlencoded', 'application/x-amz-json-1.0']) {
    const answer = await send(api, known, '{}', { 'content-type': type });
    assert.deepEqual([answer.status, answer.fault], [400, 'UnknownOperationException']);
    assert.match(answer.message, /takes a body of the Content-Type application\/x-amz-json-1\.1$/);
  }
});

test('the signature is for acm, covers the target, and its refusals have status 400 here', async (t) => {
  const api = await bootApi(t, { handlers: acmHandlers });
  const headers = { 'content-type': contentType, 'x-amz-target': known };
  const other = await sendSigned(api, 'POST', '/', { service: 'iot', headers, body: '{}' });
  assert.deepEqual([other.status, other.fault], [400, 'InvalidSignatureException']);
  assert.match(other.message, /scoped to correct service: 'acm'/);
  const unsigned = await sendRaw(api.port, 'POST', '/', { host: 'localhost', ...headers }, '{}');
  assert.deepEqual([unsigned.status, unsigned.fault], [400, 'MissingAuthenticationTokenException']);
  const stranger = await sendSigned(api, 'POST', '/', {
    service: 'acm',
    headers,
    body: '{}',
    accessKeyId: 'AKIDNOBODY',
  });
  assert.deepEqual([stranger.status, stranger.fault], [400, 'UnrecognizedClientException']);
  const named = await send(api, known, '{}', { host: 'acm.eu-west-1.fleet.example' });
  assert.match(named.message, /scoped to a valid region/, 'the Host names another region');
});

test('a mistake of the caller is 400 whatever the model says, ours are not', () => {
  const expected: [name: FaultName, status: number][] = [
    ['AccessDeniedException', 400],
    ['ThrottlingException', 400],
    ['ResourceInUseException', 400],
    ['ResourceNotFoundException', 400],
    ['LimitExceededException', 400],
    ['RequestEntityTooLargeException', 413],
    ['InternalServerException', 500],
    ['InternalFailureException', 500],
    ['ServiceUnavailableException', 503],
  ];
  for (const [name, status] of expected) {
    assert.deepEqual([name, writeJsonFault({ name, message: '', members: {} }).status], [name, status]);
  }
});
