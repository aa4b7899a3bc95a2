/**
 * The API of a real node, over TCP: every answer is an HTTP answer with a request id and never a server error, the connection ends, and the node goes on
 * serving. The input's first byte: 0 sends the rest as it is; other even numbers sign it first, so that handlers see it; odd ones change the bytes afterwards.
 */
import { existsSync } from 'node:fs';
import { signRequest } from '../../../src/aws/sigv4.ts';
import { start } from '../../../src/index.ts';
import { toPem } from '../../../src/pki/pem.ts';
import { corpusOf, cut } from '../corpus.ts';
import { httpWords, orUnsignable, parseRequest, type RequestText, requestText } from '../http-text.ts';
import { mutate, Random } from '../mutate.ts';
import { exchange } from '../raw-socket.ts';
import { hold, type Target } from '../target.ts';

const answerMsMax = 10_000;
/** An answer comes sooner, or the server waits for more. */
const patienceMs = 15;
/** Not built yet (501) is an honest answer; 503 would be an overload, which one client alone must not cause. */
const serverError = /^5(?!01)/;
const statusLine = /HTTP\/1\.1 (\d{3}) [^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n/g;

const json = (value: object) => ({ body: JSON.stringify(value) });
const policy = JSON.stringify({
  Version: '2012-10-17',
  Statement: [
    { Effect: 'Allow', Action: 'iot:*', Resource: 'arn:aws:iot:us-east-1:000000000000:topic/${iot:ClientId}' },
  ],
});
const certificatePem = toPem('CERTIFICATE', corpusOf('certificate')[1] ?? Buffer.alloc(0));
const signingRequest = toPem('CERTIFICATE REQUEST', corpusOf('csr')[0] ?? Buffer.alloc(0));
const arn = `arn%3Aaws%3Aiot%3Aus-east-1%3A000000000000%3Acert%2F${'ab'.repeat(32)}`;
const form = { 'content-type': 'application/x-www-form-urlencoded' };

/** A request in the wire of IAM and STS. */
const formText = (
  version: '2010-05-08' | '2011-06-15',
  action: string,
  parameters: Readonly<Record<string, string>>,
): Buffer => {
  const body = new URLSearchParams({ Action: action, Version: version, ...parameters }).toString();
  return requestText('POST', '/', { headers: form, body });
};
const iamText = (action: string, parameters: Readonly<Record<string, string>> = {}): Buffer =>
  formText('2010-05-08', action, { UserName: 'a', RoleName: 'r', PolicyName: 'p', ...parameters });
const acmText = (action: string, input: object): Buffer =>
  requestText('POST', '/', {
    headers: { 'x-amz-target': `CertificateManager.${action}`, 'content-type': 'application/x-amz-json-1.1' },
    body: JSON.stringify(input),
  });

const identityPolicy = JSON.stringify({
  Version: '2012-10-17',
  Statement: [
    {
      ...{ Effect: 'Allow', Action: ['iot:*', 'sts:AssumeRole'], Resource: 'arn:aws:iot:*:*:thing/${aws:username}' },
      Condition: { 'ForAnyValue:StringLikeIfExists': { 'aws:TagKeys': ['a*', "${aws:PrincipalTag/b, 'c'}"] } },
    },
  ],
});
const trustPolicy = JSON.stringify({
  Version: '2012-10-17',
  Statement: [
    {
      Effect: 'Allow',
      Action: 'sts:AssumeRole',
      Principal: { AWS: '000000000000', Service: 'credentials.iot.amazonaws.com' },
    },
  ],
});
const managedPolicy = 'arn:aws:iam::000000000000:policy/p';
const role = 'arn:aws:iam::000000000000:role/r';
const acmArn = 'arn:aws:acm:us-east-1:000000000000:certificate/01234567-89ab-cdef-0123-456789abcdef';
const base64 = (text: string): string => Buffer.from(text).toString('base64');

const identities = [
  iamText('CreateUser', { Path: '/team/', 'Tags.member.1.Key': 'a', 'Tags.member.1.Value': 'b' }),
  iamText('CreateAccessKey'),
  iamText('PutUserPolicy', { PolicyDocument: identityPolicy }),
  iamText('CreatePolicy', { PolicyDocument: identityPolicy, Description: 'd' }),
  iamText('CreatePolicyVersion', { PolicyArn: managedPolicy, PolicyDocument: identityPolicy, SetAsDefault: 'true' }),
  iamText('AttachUserPolicy', { PolicyArn: managedPolicy }),
  iamText('CreateGroup', { GroupName: 'g' }),
  iamText('AddUserToGroup', { GroupName: 'g' }),
  iamText('CreateRole', { AssumeRolePolicyDocument: trustPolicy, MaxSessionDuration: '3600' }),
  iamText('UpdateAssumeRolePolicy', { PolicyDocument: trustPolicy }),
  iamText('PutRolePermissionsBoundary', { PermissionsBoundary: managedPolicy }),
  iamText('ListUsers', { PathPrefix: '/team/', MaxItems: '1', Marker: 'AAAA' }),
  iamText('GetPolicyVersion', { PolicyArn: managedPolicy, VersionId: 'v1' }),
  iamText('DeleteUser'),
  formText('2011-06-15', 'AssumeRole', {
    RoleArn: role,
    RoleSessionName: 's',
    Policy: identityPolicy,
    'PolicyArns.member.1.arn': managedPolicy,
  }),
  formText('2011-06-15', 'GetSessionToken', { DurationSeconds: '900' }),
];
const certificates = [
  acmText('ImportCertificate', {
    ...{
      Certificate: base64(certificatePem),
      CertificateChain: base64(certificatePem),
      Tags: [{ Key: 'a', Value: 'b' }],
    },
    PrivateKey: base64(toPem('PRIVATE KEY', corpusOf('csr')[0] ?? Buffer.alloc(0))),
  }),
  acmText('RequestCertificate', {
    ...{
      DomainName: 'a.example',
      SubjectAlternativeNames: ['*.a.example'],
      ValidationMethod: 'DNS',
      KeyAlgorithm: 'EC_prime256v1',
    },
  }),
  acmText('DescribeCertificate', { CertificateArn: acmArn }),
  acmText('ListCertificates', { CertificateStatuses: ['ISSUED'], Includes: { keyTypes: ['RSA_2048'] }, MaxItems: 1 }),
  acmText('DeleteCertificate', { CertificateArn: acmArn }),
];
const domains = [
  requestText(
    'POST',
    '/domainConfigurations/d',
    json({
      ...{
        domainName: 'iot.a.example',
        serverCertificateArns: [acmArn],
        validationCertificateArn: acmArn,
        serviceType: 'DATA',
      },
      ...{
        tlsConfig: { securityPolicy: 'IoTSecurityPolicy_TLS13_1_2_2022_10' },
        serverCertificateConfig: { enableOCSPCheck: true },
      },
      ...{ applicationProtocol: 'SECURE_MQTT', authenticationType: 'AWS_X509', tags: [{ Key: 'a', Value: 'b' }] },
    }),
  ),
  requestText('POST', '/domainConfigurations/e', json({ serviceType: 'DATA' })),
  requestText(
    'PUT',
    '/domainConfigurations/e',
    json({ domainConfigurationStatus: 'DISABLED', removeAuthorizerConfig: true }),
  ),
  requestText('GET', '/domainConfigurations?serviceType=DATA&pageSize=1&marker=AAAA'),
  requestText('DELETE', '/domainConfigurations/e'),
  requestText('POST', '/role-aliases/a', json({ roleArn: role, credentialDurationSeconds: 900 })),
  requestText('PUT', '/role-aliases/a', json({ roleArn: role })),
  requestText('GET', '/role-aliases?ascendingOrder=true'),
];

const signable = [
  ...identities,
  ...certificates,
  ...domains,
  requestText('GET', '/things?maxResults=2'),
  requestText('POST', '/things/a', json({ attributePayload: { attributes: { a: 'b' } } })),
  requestText(
    'PATCH',
    '/things/a',
    json({ attributePayload: { attributes: { a: '' }, merge: true }, expectedVersion: 1 }),
  ),
  requestText('DELETE', '/things/a'),
  requestText('PUT', '/things/a/principals', {
    headers: { 'x-amzn-principal': `arn:aws:iot:us-east-1:000000000000:cert/${'ab'.repeat(32)}` },
  }),
  requestText('POST', '/policies/p', json({ policyDocument: policy })),
  requestText('POST', '/policies/p/version?setAsDefault=true', json({ policyDocument: policy })),
  requestText('GET', '/policies?pageSize=1&isAscendingOrder=true&marker=AAAA'),
  requestText(
    'PUT',
    '/target-policies/p',
    json({ target: `arn:aws:iot:us-east-1:000000000000:cert/${'ab'.repeat(32)}` }),
  ),
  requestText('GET', `/things/a/principals?nextToken=${'A'.repeat(40)}`),
  requestText('POST', '/certificate/register-no-ca', json({ certificatePem, status: 'ACTIVE' })),
  requestText('POST', '/certificates?setAsActive=true', json({ certificateSigningRequest: signingRequest })),
  requestText('GET', `/certificates/${'ab'.repeat(32)}`),
  requestText('PUT', `/certificates/${'ab'.repeat(32)}?newStatus=INACTIVE`),
  requestText(
    'POST',
    `/test-authorization?clientId=a`,
    json({ principal: arn, authInfos: [{ actionType: 'PUBLISH', resources: ['a'] }] }),
  ),
  requestText('POST', `/effective-policies?thingName=a`, json({ principal: decodeURIComponent(arn) })),
  requestText('GET', '/endpoint?endpointType=iot%3AData-ATS'),
  requestText('GET', '/_fleetgate/journal?subject=a&limit=5'),
  requestText('GET', '/_fleetgate/hosts'),
  requestText('POST', '/', { headers: form, body: 'Action=GetCallerIdentity&Version=2011-06-15' }),
  requestText('POST', '/', { headers: form, body: 'Action=ListRoles&Version=2010-05-08&MaxItems=1' }),
  requestText('POST', '/', {
    headers: { 'x-amz-target': 'CertificateManager.ListCertificates', 'content-type': 'application/x-amz-json-1.1' },
    body: '{}',
  }),
];
const unsigned = [
  'GET /_fleetgate/health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /root-ca.pem HTTP/1.1\r\nHost: localhost\r\n\r\n',
  'POST /things/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n',
  'OPTIONS / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nAccess-Control-Request-Headers: x\r\n\r\n',
  'POST /things/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc',
  'GET /things?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=test%2F20240101%2Fus-east-1%2Fiot%2Faws4_request&X-Amz-Date=20240101T000000Z&X-Amz-SignedHeaders=host&X-Amz-Signature=00 HTTP/1.1\r\nHost: localhost\r\n\r\n',
];

const serviceOf = ({ headers, body }: RequestText): string => {
  if (headers.some(([name]) => name.toLowerCase() === 'x-amz-target')) return 'acm';
  return body.includes('2010-05-08') ? 'iam' : body.startsWith('Action=') ? 'sts' : 'iot';
};

/** The bytes on the wire of a request that is signed as it is; undefined for what no client can send. */
const wire = (request: RequestText, url: string): Buffer | undefined => {
  const { method, target, headers, body } = request;
  if (!/^[A-Z]{1,20}$/.test(method) || !target.startsWith('/') || !URL.canParse(`${url}${target}`)) return undefined;
  const own = headers.filter(
    ([name, value]) =>
      /^[\w-]+$/.test(name) && /^[\x20-\x7e]*$/.test(value) && !/^(host|content-length|transfer-encoding)$/i.test(name),
  );
  const bytes = Buffer.from(body, 'latin1');
  const at = new URL(`${url}${target}`);
  const key = { accessKeyId: 'test', secretAccessKey: 'test', region: 'us-east-1', service: serviceOf(request) };
  const unsigned = {
    ...key,
    method,
    url: at,
    headers: Object.fromEntries(own),
    body: bytes,
    nowMs: Date.now(),
  };
  const all = orUnsignable(() => signRequest(unsigned));
  if (all === undefined) return undefined;
  const lines = Object.entries({ ...all, 'content-length': String(bytes.length) }).map(
    ([name, value]) => `${name}: ${value}`,
  );
  return Buffer.from([`${method} ${at.pathname}${at.search} HTTP/1.1`, ...lines, '', body].join('\r\n'), 'latin1');
};

export default async (): Promise<Target> => {
  const node = await start({ accountId: '000000000000', region: 'us-east-1' });
  const words = httpWords.map((word) => Buffer.from(word, 'latin1'));
  const send = async (bytes: Buffer, seed: number): Promise<string> => {
    const pieces = seed % 5 === 4 ? cut(bytes, 7, seed) : [bytes];
    const endAfterMs = seed === 0 || bytes.length % 8 === 0 ? 0 : patienceMs;
    const { bytes: answer, closed } = await exchange(node.apiPort, { pieces, msMax: answerMsMax, endAfterMs });
    hold(closed, `an answer and a close within ${answerMsMax} ms`);
    const statuses: string[] = [];
    const fault = /^x-amzn-errortype: (\S+)|<Code>(\w+)/im.exec(answer.toString('latin1'));
    const faultName = fault?.[1] ?? fault?.[2];
    for (const [, status = '', headers = ''] of answer.toString('latin1').matchAll(statusLine)) {
      hold(!serverError.test(status), `no server error: ${status} ${faultName}`);
      hold(status === '100' || /^x-amzn-requestid: \S/im.test(headers), 'every answer has a request id');
      statuses.push(status);
    }
    hold(answer.length === 0 || statuses.length > 0, 'what is answered is HTTP');
    return faultName ?? (statuses.slice(0, 2).join(' ') || 'no answer');
  };
  return {
    corpus: [
      ...unsigned.map((text) => Buffer.concat([Buffer.of(0), Buffer.from(text)])),
      ...signable.flatMap((request) => [2, 3].map((mode) => Buffer.concat([Buffer.of(mode), request]))),
    ],
    dictionary: httpWords,
    bytesMax: 32_768,
    async run(input) {
      const [mode = 0] = input;
      const rest = input.subarray(1);
      const bytes = mode === 0 ? undefined : wire(parseRequest(rest), node.apiUrl);
      if (bytes === undefined) return send(rest, mode);
      if (mode % 2 === 0) return send(bytes, mode);
      return send(
        mutate(new Random(mode * 65_536 + rest.length), { corpus: [bytes], dictionary: words, bytesMax: 65_536 }),
        mode,
      );
    },
    async check() {
      const response = await fetch(`${node.apiUrl}/_fleetgate/health`);
      hold(response.status === 200, `a healthy client is served, not ${response.status}`);
      await response.arrayBuffer();
      const bytes = wire(parseRequest(requestText('GET', '/things?maxResults=1')), node.apiUrl);
      hold((await send(bytes ?? Buffer.alloc(0), 0)) === '200', 'a signed request is served');
      hold(existsSync(node.rootFile), 'the node stands');
    },
    close: () => node.close(100),
  };
};
