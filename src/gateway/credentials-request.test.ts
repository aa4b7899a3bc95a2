/** How devices ask for credentials on the data port: what is taken for such a request, what is asked before anybody decides, and how refusals look. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bootData, device, otherDevice, send, signed, withCertificate } from '../../test/data-bed.ts';
import { Fault } from '../aws/fault.ts';
import type { CredentialsQuestion } from '../feature.ts';

const path = '/role-aliases/reader/credentials';
const credentials = {
  accessKeyId: 'ASIA',
  secretAccessKey: 'secret',
  sessionToken: 'token',
  expiration: '2026-01-01T00:00:00Z',
};

/** A data port whose provider gives to everybody and remembers who asked. */
const giving = () => {
  const questions: CredentialsQuestion[] = [];
  const giveCredentials = async (question: CredentialsQuestion) => {
    questions.push(question);
    return credentials;
  };
  return { questions, giveCredentials };
};

test('GET with a certificate is answered with the credentials, which nobody may keep a copy of', async (t) => {
  const { questions, giveCredentials } = giving();
  const bed = await bootData(t, { giveCredentials });
  const headers = { 'x-amzn-iot-thingname': 'lamp' };
  const { status, body, headers: answered } = await send(bed, 'GET', path, { tls: withCertificate, headers });
  assert.deepEqual([status, body], [200, { credentials }]);
  assert.deepEqual([answered['content-type'], answered['cache-control']], ['application/json', 'no-store']);
  const [question] = questions;
  assert.deepEqual([question?.roleAlias, question?.thingName], ['reader', 'lamp']);
  assert.equal(question?.peer.certificate?.certificateId, device.certificateId);
  assert.equal(question?.authority.principalId, device.certificateId);
});

for (const [written, meant] of [
  ['/role-aliases/a%3Db%40c%2Cd/credentials', 'a=b@c,d'],
  ['/role-aliases/a=b@c,d/credentials?x=y', 'a=b@c,d'],
  ['/role-aliases/a%2Fb/credentials', 'a/b'],
  ['/role-aliases/%E0%A4%A/credentials', '%E0%A4%A'],
] as const) {
  test(`${written} asks for ${meant}`, async (t) => {
    const { questions, giveCredentials } = giving();
    const bed = await bootData(t, { giveCredentials });
    await send(bed, 'GET', written, { tls: withCertificate });
    assert.deepEqual(
      questions.map(({ roleAlias }) => roleAlias),
      [meant],
    );
  });
}

for (const [method, other] of [
  ['POST', path],
  ['GET', '/role-aliases/reader'],
  ['GET', '/role-aliases/a/b/credentials'],
  ['GET', '/role-aliases//credentials'],
  ['GET', `${path}/`],
] as const) {
  test(`${method} ${other} asks for no credentials`, async (t) => {
    const { questions, giveCredentials } = giving();
    const bed = await bootData(t, { giveCredentials });
    assert.equal((await send(bed, method, other, { tls: withCertificate })).status, 404);
    assert.deepEqual(questions, []);
  });
}

test('only the certificate counts: without one, and with one that is not accepted, nobody is asked, whoever has signed', async (t) => {
  const { questions, giveCredentials } = giving();
  const bed = await bootData(t, { giveCredentials });
  const headers = signed(bed, 'GET', path);
  const nobody = await send(bed, 'GET', path, { headers });
  assert.deepEqual([nobody.status, nobody.body], [403, { message: 'Missing Authentication Token' }]);
  const tls = { cert: otherDevice.certificatePem, key: otherDevice.keyPem };
  const stranger = await send(bed, 'GET', path, { headers, tls });
  assert.deepEqual([stranger.status, stranger.body], [403, { message: 'Certificate is invalid on this endpoint' }]);
  for (const { headers: answered } of [nobody, stranger]) {
    assert.equal(answered['x-amzn-errortype'], 'AccessDeniedException');
  }
  assert.equal(questions.length, 0);
  for (const expected of ['NOT_AUTHENTICATED', 'DEVICE_CERTIFICATE_NOT_REGISTERED']) {
    const { reason, protocol } = await bed.records.next();
    assert.deepEqual([reason, protocol], [expected, 'HTTP']);
  }
  await send(bed, 'GET', path, { headers, tls: withCertificate });
  const principals = questions.map(({ authority }) => authority.principalId);
  assert.deepEqual(principals, [device.certificateId], 'a signature is not looked at');
});

test('a request that a page or a foreign name brings along is refused before the certificate is looked at (design 3)', async (t) => {
  const { questions, giveCredentials } = giving();
  const bed = await bootData(t, { giveCredentials });
  for (const headers of [
    { host: 'evil.example' },
    { origin: 'https://evil.example' },
    { 'sec-fetch-site': 'cross-site' },
  ]) {
    const { status } = await send(bed, 'GET', path, { tls: withCertificate, headers });
    assert.equal(status, 403, JSON.stringify(headers));
  }
  assert.deepEqual([questions, bed.asked()], [[], 0]);
});

for (const [fault, status] of [
  [new Fault('AccessDeniedException', 'Access Denied'), 403],
  [new Fault('ResourceNotFoundException', 'Role alias does not exist'), 404],
  [new Fault('InvalidRequestException', 'Unable to assume the role'), 400],
] as const) {
  test(`${fault.name} is ${status} with its message alone, and its name in a header (observed)`, async (t) => {
    const bed = await bootData(t, { giveCredentials: () => Promise.reject(fault) });
    const answer = await send(bed, 'GET', path, { tls: withCertificate });
    assert.deepEqual([answer.status, answer.body], [status, { message: fault.message }]);
    assert.equal(answer.headers['x-amzn-errortype'], fault.name);
    assert.match(String(answer.headers['x-amzn-requestid']), /^[0-9a-f-]{36}$/);
  });
}

test('what nobody expected is told to the log and not to the device', async (t) => {
  const logged: unknown[] = [];
  const bed = await bootData(t, {
    giveCredentials: () => Promise.reject(new Error('the key is 42')),
    log: ({ error, operation }) => logged.push([error, operation]),
  });
  const { status, body } = await send(bed, 'GET', path, { tls: withCertificate });
  assert.deepEqual([status, body], [500, { message: 'An internal failure has occurred' }]);
  assert.deepEqual(logged, [[new Error('the key is 42'), 'AssumeRoleWithCertificate']]);
});
