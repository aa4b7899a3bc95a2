import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { authorities, type KeyKind } from '../../../test/ca.ts';
import { makeCall, makeFolder, otherAccount, testAccount } from '../../../test/call.ts';
import { fails } from '../../../test/handler-fault.ts';
import { version1Pem } from '../../../test/openssl.ts';
import type { Call } from '../../feature.ts';
import { parseCertificate } from '../../pki/certificate.ts';
import { certificateArn } from '../certificates/certificate.ts';
import { migrations as certificateMigrations } from '../certificates/migrations.ts';
import { describeCertificate, listCertificates } from '../certificates/operations.ts';
import { registerCertificateWithoutCA } from '../certificates/register-certificate-without-ca.ts';
import { cas } from './feature.ts';
import { deleteCACertificate, listCertificatesByCA } from './operations.ts';
import { registerCACertificate } from './register-ca-certificate.ts';
import { findSigner, insertUnderCa, registerCertificate } from './register-certificate.ts';
import { getRegistrationCode } from './registration-code.ts';
import { updateCACertificate } from './update-ca-certificate.ts';

const findTemplateType = async () => undefined;
const start = async (t: TestContext) => {
  const made = await makeCall(t, {
    features: [{ name: 'certificates', migrations: certificateMigrations }, cas({ findTemplateType })],
    now: Date.now,
  });
  const maker = authorities(await makeFolder(t));
  let proofs = 0;
  return {
    ...made,
    ...maker,
    async holdDefault(call: Call, name: string, caCertificate: string): Promise<string> {
      const { registrationCode } = await getRegistrationCode({}, call);
      const subject = `/CN=${registrationCode}`;
      const verificationCertificate = await maker.leaf(`proof${proofs++}`, name, { subject });
      const input = { caCertificate, verificationCertificate, setAsActive: true };
      return String((await registerCACertificate(findTemplateType)(input, call)).certificateId);
    },
  };
};
const hold = async (call: Call, caCertificate: string, setAsActive = true): Promise<string> => {
  const input = { caCertificate, certificateMode: 'SNI_ONLY' as const, setAsActive };
  return String((await registerCACertificate(findTemplateType)(input, call)).certificateId);
};
const setStatus = (call: Call, certificateId: string, newStatus: 'ACTIVE' | 'INACTIVE') =>
  updateCACertificate(findTemplateType)({ certificateId, newStatus }, call);
const idOf = (pem: string): string => new X509Certificate(pem).fingerprint256.replaceAll(':', '').toLowerCase();
const describe = async (certificateId: string, call: Call) =>
  (await describeCertificate({ certificateId }, call)).certificateDescription ?? assert.fail();
const noCa = fails('CertificateStateException', 'No CA certificate exists for the given certificate');

test('without a registered CA of its issuer: 406 CertificateStateException (identity.md check 13)', async (t) => {
  const { call, callAs, ca, leaf } = await start(t);
  const pem = await ca('a');
  const certificatePem = await leaf('device', 'a');
  await assert.rejects(registerCertificate({ certificatePem }, call), noCa);
  // neither does another account's, nor one with another name, nor one of another region
  await hold(callAs(otherAccount), pem);
  await hold(callAs({ ...testAccount, region: 'eu-west-1' }), pem);
  await hold(call, await ca('b'));
  await assert.rejects(registerCertificate({ certificatePem }, call), noCa);
  await assert.rejects(registerCertificate({ certificatePem, caCertificatePem: pem }, call), noCa);
  assert.deepEqual((await listCertificates({}, call)).certificates, []);
});

for (const key of ['rsa', 'P-256', 'P-384', 'P-521'] as const satisfies readonly KeyKind[]) {
  test(`under an ACTIVE CA in SNI_ONLY mode with a key of kind ${key}: SNI_ONLY, with caCertificateId (identity.md check 14)`, async (t) => {
    const { call, ca, leaf, changes } = await start(t);
    const caCertificateId = await hold(call, await ca('a', { key, subject: '/C=JP/O=Maker/CN=a' }));
    const pss = ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:32'];
    const extras = key === 'rsa' ? ['-sha256', ...pss] : [];
    const certificatePem = await leaf('device', 'a', { key, extras });
    const certificateId = idOf(certificatePem);
    assert.deepEqual(await registerCertificate({ certificatePem }, call), {
      certificateArn: certificateArn(testAccount, certificateId),
      certificateId,
    });
    const { status, certificateMode, customerVersion, ownedBy, ...rest } = await describe(certificateId, call);
    assert.deepEqual(
      [status, certificateMode, customerVersion, ownedBy, rest.caCertificateId],
      ['INACTIVE', 'SNI_ONLY', 1, testAccount.accountId, caCertificateId],
    );
    assert.deepEqual(changes.at(-1), { account: testAccount, kind: 'certificate', id: certificateId });
    const { certificates } = await listCertificatesByCA({ caCertificateId }, call);
    assert.deepEqual(
      certificates?.map((each) => each.certificateId),
      [certificateId],
    );
  });
}

test('under a CA in DEFAULT mode: DEFAULT; a version 1 certificate is as good (identity 2.1, 2.3)', async (t) => {
  const { call, ca, leaf, version1, holdDefault } = await start(t);
  await holdDefault(call, 'a', await ca('a'));
  await leaf('device', 'a');
  const certificatePem = await version1('device', 'a');
  assert.match(new X509Certificate(certificatePem).toString(), /BEGIN/);
  const { certificateId = '' } = await registerCertificate({ certificatePem, status: 'ACTIVE' }, call);
  const { status, certificateMode } = await describe(certificateId, call);
  assert.deepEqual([status, certificateMode], ['ACTIVE', 'DEFAULT']);
});

test('under an INACTIVE CA: 406, and again 200 when it is ACTIVE; what was registered stays (identity.md check 15)', async (t) => {
  const { call, ca, leaf } = await start(t);
  const pem = await ca('a');
  const caId = await hold(call, pem, false);
  const [first, second] = [await leaf('one', 'a'), await leaf('two', 'a')];
  const inactive = fails('CertificateStateException', `The CA certificate ${caId} is not ACTIVE`);
  await assert.rejects(registerCertificate({ certificatePem: first }, call), inactive);
  await assert.rejects(registerCertificate({ certificatePem: first, caCertificatePem: pem }, call), inactive);
  await setStatus(call, caId, 'ACTIVE');
  await registerCertificate({ certificatePem: first, setAsActive: true }, call);
  await setStatus(call, caId, 'INACTIVE');
  await assert.rejects(registerCertificate({ certificatePem: second }, call), inactive);
  assert.equal((await describe(idOf(first), call)).status, 'ACTIVE');
  await deleteCACertificate({ certificateId: caId }, call);
  await assert.rejects(registerCertificate({ certificatePem: second }, call), noCa);
  assert.equal((await describe(idOf(first), call)).caCertificateId, caId);
});

test('two CAs with equal subject and key: 409 CertificateConflictException, unless the CA is given (identity.md check 16)', async (t) => {
  const { call, ca, leaf } = await start(t);
  const one = await ca('one', { subject: '/CN=Maker' });
  const two = await ca('two', { subject: '/CN=Maker', keyOf: 'one' });
  const [oneId, twoId] = [await hold(call, one), await hold(call, two, false)];
  const certificatePem = await leaf('device', 'one');
  const conflict = fails('CertificateConflictException');
  await assert.rejects(registerCertificate({ certificatePem }, call), conflict);
  await setStatus(call, twoId, 'ACTIVE');
  await assert.rejects(registerCertificate({ certificatePem }, call), conflict);
  const other = await ca('other', { subject: '/CN=Maker', keyOf: 'one' });
  await assert.rejects(registerCertificate({ certificatePem, caCertificatePem: other }, call), noCa);
  const { certificateId = '' } = await registerCertificate({ certificatePem, caCertificatePem: two }, call);
  assert.equal((await describe(certificateId, call)).caCertificateId, twoId);
  const second = await leaf('second', 'one');
  await setStatus(call, oneId, 'INACTIVE');
  await setStatus(call, twoId, 'INACTIVE');
  await assert.rejects(registerCertificate({ certificatePem: second }, call), fails('CertificateStateException'));
});

test('of CAs with one name and several keys, the one that signed counts (identity 2.3)', async (t) => {
  const { call, ca, leaf } = await start(t);
  const names = ['one', 'two', 'three'];
  const held: string[] = [];
  for (const name of names) held.push(await hold(call, await ca(name, { subject: '/CN=Maker' })));
  const certificatePem = await leaf('device', 'two');
  const { certificateId = '' } = await registerCertificate({ certificatePem }, call);
  assert.equal((await describe(certificateId, call)).caCertificateId, held[1]);
  // the signer is INACTIVE, the others are not
  await setStatus(call, String(held[2]), 'INACTIVE');
  const third = await leaf('third', 'three');
  const inactive = fails('CertificateStateException', `The CA certificate ${held[2]} is not ACTIVE`);
  await assert.rejects(registerCertificate({ certificatePem: third }, call), inactive);
});

test('a signature that does not verify is CertificateValidationException, whichever CA is given (identity 2.3)', async (t) => {
  const { call, ca, leaf } = await start(t);
  const genuine = await ca('genuine', { subject: '/CN=Maker' });
  await ca('forger', { subject: '/CN=Maker' });
  await hold(call, genuine);
  const certificatePem = await leaf('device', 'forger');
  const forged = fails('CertificateValidationException', /signature of the certificate does not verify/);
  await assert.rejects(registerCertificate({ certificatePem }, call), forged);
  await assert.rejects(registerCertificate({ certificatePem, caCertificatePem: genuine }, call), forged);
  // only the direct issuer counts, not a CA above it
  await ca('root');
  const between = await leaf('between', 'root');
  await hold(call, await ca('root2', { subject: '/CN=root', keyOf: 'root' }));
  const below = await leaf('below', 'between');
  assert.match(between, /BEGIN/);
  await assert.rejects(registerCertificate({ certificatePem: below }, call), noCa);
  assert.deepEqual((await listCertificates({}, call)).certificates, []);
});

test('what is no certificate, weak or expired is refused before the CA is looked for (identity 2.3)', async (t) => {
  const { call, ca, leaf } = await start(t);
  await ca('a');
  const invalid = (message: RegExp) => fails('CertificateValidationException', message);
  const attempt = (certificatePem: string, caCertificatePem?: string) =>
    registerCertificate({ certificatePem, ...(caCertificatePem !== undefined && { caCertificatePem }) }, call);
  await assert.rejects(attempt('hello'), invalid(/no readable PEM block/));
  await assert.rejects(attempt(await leaf('weak', 'a', { key: 'rsa-1024' })), invalid(/1024 bits/));
  await assert.rejects(attempt(await leaf('sha1', 'a', { extras: ['-sha1'] })), invalid(/SHA1WITHECDSA/));
  await assert.rejects(attempt(version1Pem, 'hello'), invalid(/no readable PEM block/));
  await assert.rejects(attempt(version1Pem), noCa);
});

const initial: [status: string | undefined, setAsActive: boolean | undefined, outcome: string][] = [
  [undefined, undefined, 'INACTIVE'],
  ['ACTIVE', undefined, 'ACTIVE'],
  ['REVOKED', undefined, 'REVOKED'],
  ['INACTIVE', true, 'ACTIVE'],
  ['INACTIVE', false, 'INACTIVE'],
  ['PENDING_TRANSFER', undefined, 'CertificateStateException'],
  ['PENDING_ACTIVATION', undefined, 'CertificateStateException'],
  ['REGISTER_INACTIVE', undefined, 'CertificateStateException'],
];
test('the status at registration; the flag wins over it (identity 2.3)', async (t) => {
  const { call, ca, leaf } = await start(t);
  await hold(call, await ca('a'));
  for (const [index, [status, setAsActive, outcome]] of initial.entries()) {
    const certificatePem = await leaf(`d${index}`, 'a');
    // the enum's values can come through the API's own checks
    const input = {
      certificatePem,
      ...(status && { status: status as 'ACTIVE' }),
      ...(setAsActive !== undefined && { setAsActive }),
    };
    const attempt = registerCertificate(input, call);
    if (outcome.endsWith('Exception'))
      await assert.rejects(attempt, fails('CertificateStateException', /with the status/));
    else assert.equal((await describe(String((await attempt).certificateId), call)).status, outcome, String(index));
  }
});

test('a certificate that the account has is ResourceAlreadyExistsException, before its CA is asked for (identity 2.3)', async (t) => {
  const { call, ca, leaf } = await start(t);
  const caId = await hold(call, await ca('a'));
  const [under, without] = [await leaf('under', 'a'), await leaf('without', 'a')];
  await registerCertificate({ certificatePem: under }, call);
  // Assumed: it may be registered without the CA that is there
  await registerCertificateWithoutCA({ certificatePem: without }, call);
  await setStatus(call, caId, 'INACTIVE');
  for (const certificatePem of [under, without]) {
    const certificateId = idOf(certificatePem);
    const members = { resourceId: certificateId, resourceArn: certificateArn(testAccount, certificateId) };
    const exists = fails(
      'ResourceAlreadyExistsException',
      'The certificate is already provisioned or registered',
      members,
    );
    await assert.rejects(registerCertificate({ certificatePem }, call), exists);
    await assert.rejects(registerCertificateWithoutCA({ certificatePem }, call), exists);
  }
  const { certificateMode, caCertificateId } = await describe(idOf(without), call);
  assert.deepEqual([certificateMode, caCertificateId], ['SNI_ONLY', undefined]);
});

test('one account of a region holds a certificate in DEFAULT mode, also when its CA has moved on (identity 2.3)', async (t) => {
  const { call, callAs, ca, leaf, holdDefault } = await start(t);
  const other = callAs(otherAccount);
  const pem = await ca('a');
  const caId = await holdDefault(call, 'a', pem);
  const certificatePem = await leaf('device', 'a');
  await registerCertificate({ certificatePem }, call);
  await setStatus(call, caId, 'INACTIVE');
  await deleteCACertificate({ certificateId: caId }, call);
  await holdDefault(other, 'a', pem);
  const held = fails('InvalidRequestException', 'This request is not valid');
  await assert.rejects(registerCertificate({ certificatePem }, other), held);
  await registerCertificateWithoutCA({ certificatePem }, other);
  assert.equal((await describe(idOf(certificatePem), other)).certificateMode, 'SNI_ONLY');
});

test('the same certificate many times at once: it is registered once (identity 2.3)', async (t) => {
  const { call, ca, leaf } = await start(t);
  await hold(call, await ca('a'));
  const certificatePem = await leaf('device', 'a');
  const outcomes = await Promise.allSettled(
    Array.from({ length: 12 }, () => registerCertificate({ certificatePem }, call)),
  );
  assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected') fails('ResourceAlreadyExistsException')(outcome.reason);
  }
});

test('a CA that was deactivated or deleted after it was chosen registers nothing (identity 2.3)', async (t) => {
  const { call, store, ca, leaf } = await start(t);
  const caId = await hold(call, await ca('a'));
  const certificate = parseCertificate(await leaf('device', 'a'));
  const { caCertificateId } = await findSigner(call.db, call.account, certificate, undefined);
  assert.equal(caCertificateId, caId);
  const under = { certificate, caCertificateId, status: 'ACTIVE', generationId: 'g', nowMs: call.now() } as const;
  const insert = () => store.write((db) => insertUnderCa(db, call.account, under));
  await setStatus(call, caId, 'INACTIVE');
  await assert.rejects(insert(), fails('CertificateStateException', /is not ACTIVE/));
  await deleteCACertificate({ certificateId: caId }, call);
  await assert.rejects(insert(), noCa);
  assert.deepEqual((await listCertificates({}, call)).certificates, []);
});

test('the signer is told INACTIVE although another CA of its name is ACTIVE (identity 2.3)', async (t) => {
  const { call, ca, leaf } = await start(t);
  await hold(call, await ca('one', { subject: '/CN=Maker' }));
  const signer = await hold(call, await ca('two', { subject: '/CN=Maker' }), false);
  const certificate = parseCertificate(await leaf('device', 'two'));
  const choice = findSigner(call.db, call.account, certificate, undefined);
  await assert.rejects(choice, fails('CertificateStateException', `The CA certificate ${signer} is not ACTIVE`));
});
