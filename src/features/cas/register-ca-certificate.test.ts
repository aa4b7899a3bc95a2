import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { authorities, type KeyKind } from '../../../test/ca.ts';
import { makeCall, makeFolder, otherAccount, testAccount } from '../../../test/call.ts';
import { fails } from '../../../test/handler-fault.ts';
import { version1Pem } from '../../../test/openssl.ts';
import type { Call } from '../../feature.ts';
import { migrations as certificateMigrations } from '../certificates/migrations.ts';
import { tags } from '../tags/feature.ts';
import { listTags } from '../tags/tag.ts';
import { cas } from './feature.ts';
import { deleteCACertificate, describeCACertificate, listCACertificates } from './operations.ts';
import { registerCACertificate } from './register-ca-certificate.ts';
import { deleteRegistrationCode, getRegistrationCode } from './registration-code.ts';
import type { FindTemplateType } from './registration-config.ts';

const findTemplateType: FindTemplateType = async (_db, _account, name) =>
  name === 'jitp' ? 'JITP' : name === 'fleet' ? 'FLEET_PROVISIONING' : undefined;
const register = registerCACertificate(findTemplateType);
const dayMs = 24 * 60 * 60 * 1000;

/** openssl signs by the real clock, so the node has it, too. */
const start = async (t: TestContext) => {
  let aheadMs = 0;
  const made = await makeCall(t, {
    features: [tags({}), { name: 'certificates', migrations: certificateMigrations }, cas({ findTemplateType })],
    now: () => Math.floor(Date.now()) + aheadMs,
  });
  const maker = authorities(await makeFolder(t));
  return {
    ...made,
    ...maker,
    setAheadMs: (ms: number) => {
      aheadMs = ms;
    },
    /** A verification certificate of an account for a CA. */
    async proof(ca: string, call: Call, name = 'proof'): Promise<string> {
      const { registrationCode = '' } = await getRegistrationCode({}, call);
      return maker.leaf(name, ca, { subject: `/O=Acme/CN=${registrationCode}` });
    },
  };
};
const idOf = (pem: string): string => new X509Certificate(pem).fingerprint256.replaceAll(':', '').toLowerCase();
const arnOf = (id: string, account = testAccount): string =>
  `arn:aws:iot:${account.region}:${account.accountId}:cacert/${id}`;
const known = async (call: Call) => (await listCACertificates({}, call)).certificates?.length;

test('one registration code of 64 hex digits per account and region, also when many ask at once (identity.md check 1)', async (t) => {
  const { call, callAs } = await start(t);
  const codes = await Promise.all(Array.from({ length: 8 }, () => getRegistrationCode({}, call)));
  const [{ registrationCode: code = '' } = {}] = codes;
  assert.match(code, /^[0-9a-f]{64}$/);
  assert.deepEqual(new Set(codes.map((each) => each.registrationCode)), new Set([code]));
  assert.equal((await getRegistrationCode({}, call)).registrationCode, code);
  for (const other of [otherAccount, { ...testAccount, region: 'eu-west-1' }]) {
    assert.notEqual((await getRegistrationCode({}, callAs(other))).registrationCode, code);
  }
});

test('a deleted registration code is gone, and the next one is another (identity.md check 2)', async (t) => {
  const { call } = await start(t);
  await assert.rejects(deleteRegistrationCode({}, call), fails('ResourceNotFoundException'));
  const { registrationCode } = await getRegistrationCode({}, call);
  assert.deepEqual(await deleteRegistrationCode({}, call), {});
  await assert.rejects(deleteRegistrationCode({}, call), fails('ResourceNotFoundException'));
  assert.notEqual((await getRegistrationCode({}, call)).registrationCode, registrationCode);
});

test('DEFAULT with its proof: described as in seed 004, INACTIVE and DISABLE unless asked (identity 3.2, 3.4)', async (t) => {
  const { call, ca, proof, changes } = await start(t);
  const caCertificate = await ca('rootCA', { key: 'rsa', extras: ['-addext', 'basicConstraints=CA:TRUE'] });
  const id = idOf(caCertificate);
  const verificationCertificate = await proof('rootCA', call);
  assert.deepEqual(await register({ caCertificate, verificationCertificate }, call), {
    certificateArn: arnOf(id),
    certificateId: id,
  });
  const { certificateDescription, ...siblings } = await describeCACertificate(
    { certificateId: id.toUpperCase() },
    call,
  );
  const { creationDate, generationId, ...facts } = certificateDescription ?? assert.fail();
  const x509 = new X509Certificate(caCertificate);
  assert.match(String(generationId), /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  assert.deepEqual(facts, {
    certificateArn: arnOf(id),
    certificateId: id,
    status: 'INACTIVE',
    certificatePem: x509.toString(),
    ownedBy: testAccount.accountId,
    autoRegistrationStatus: 'DISABLE',
    lastModifiedDate: creationDate,
    customerVersion: 1,
    validity: { notBefore: x509.validFromDate, notAfter: x509.validToDate },
    certificateMode: 'DEFAULT',
  });
  assert.deepEqual(siblings, {}, 'no registrationConfig');
  assert.deepEqual(changes, [{ account: testAccount, kind: 'ca', id }]);
});

test('SNI_ONLY needs no proof; setAsActive, allowAutoRegistration and tags are kept (identity 3.2)', async (t) => {
  const { call, ca } = await start(t);
  const caCertificate = await ca('a');
  const flags = { setAsActive: true, allowAutoRegistration: true, tags: [{ Key: 'k', Value: 'v' }] };
  const { certificateArn = '', certificateId } = await register(
    { caCertificate, certificateMode: 'SNI_ONLY', ...flags },
    call,
  );
  const { certificateDescription } = await describeCACertificate({ certificateId }, call);
  const { status, autoRegistrationStatus, certificateMode } = certificateDescription ?? assert.fail();
  assert.deepEqual([status, autoRegistrationStatus, certificateMode], ['ACTIVE', 'ENABLE', 'SNI_ONLY']);
  assert.deepEqual(await listTags(call.db, call.account, certificateArn), flags.tags);
});

for (const key of ['rsa', 'P-256', 'P-384', 'P-521'] as const satisfies readonly KeyKind[]) {
  test(`a CA with a key of kind ${key} proves that it is held, in RSASSA-PSS too (identity 2.1, 3.2)`, async (t) => {
    const { call, ca, leaf } = await start(t);
    const caCertificate = await ca('a', { key });
    const { registrationCode = '' } = await getRegistrationCode({}, call);
    const pss = ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:32'];
    const extras = key === 'rsa' ? ['-sha384', ...pss] : ['-sha384'];
    const verificationCertificate = await leaf('proof', 'a', { subject: `/CN=${registrationCode}`, extras });
    await register({ caCertificate, verificationCertificate }, call);
    assert.equal(await known(call), 1);
  });
}

test('a version 1 verification certificate, and one with a weak key of its own, prove as well (identity 2.1)', async (t) => {
  const { call, ca, leaf, version1 } = await start(t);
  const { registrationCode = '' } = await getRegistrationCode({}, call);
  const caCertificate = await ca('a');
  await leaf('proof', 'a', { subject: `/CN=${registrationCode}`, key: 'rsa-1024' });
  const verificationCertificate = await version1('proof', 'a');
  await register({ caCertificate, verificationCertificate }, call);
  assert.equal(await known(call), 1);
});

test('DEFAULT without a verification certificate, and SNI_ONLY with one: 400 InvalidRequestException (identity.md check 17)', async (t) => {
  const { call, ca, proof } = await start(t);
  const caCertificate = await ca('a');
  const verificationCertificate = await proof('a', call);
  const invalid = fails('InvalidRequestException', /^verificationCertificate (is required|must not)/);
  await assert.rejects(register({ caCertificate }, call), invalid);
  await assert.rejects(register({ caCertificate, certificateMode: 'DEFAULT' }, call), invalid);
  await assert.rejects(
    register({ caCertificate, verificationCertificate, certificateMode: 'SNI_ONLY' }, call),
    invalid,
  );
  assert.equal(await known(call), 0);
});

test('a verification certificate with another common name: RegistrationCodeValidationException (identity.md check 18)', async (t) => {
  const { call, callAs, ca, leaf, proof } = await start(t);
  const caCertificate = await ca('a');
  const refused = fails('RegistrationCodeValidationException');
  const attempt = async (verificationCertificate: string) =>
    assert.rejects(register({ caCertificate, verificationCertificate }, call), refused);
  await attempt(await leaf('before', 'a', { subject: `/CN=${'0'.repeat(64)}` }));
  const { registrationCode: code = '' } = await getRegistrationCode({}, call);
  const subjects = [
    `/CN=${code.slice(1)}`,
    `/CN=${code.toUpperCase()}`,
    `/O=${code}`,
    `/CN=${code}/CN=other`,
    `/CN=other/CN=${code}`,
    '/O=x/CN=device',
  ];
  for (const [index, subject] of subjects.entries()) await attempt(await leaf(`v${index}`, 'a', { subject }));
  await attempt(await proof('a', callAs(otherAccount), 'theirs'));
  const old = await proof('a', call, 'old');
  await deleteRegistrationCode({}, call);
  await attempt(old);
  await getRegistrationCode({}, call);
  await attempt(old);
  assert.equal(await known(call), 0);
});

test('a verification certificate by another key, another name, expired or no certificate: CertificateValidationException (identity.md check 19)', async (t) => {
  const { call, ca, leaf, proof, setAheadMs } = await start(t);
  const caCertificate = await ca('a', { subject: '/CN=Maker' });
  await ca('namesake', { subject: '/CN=Maker' });
  await ca('renamed', { subject: '/CN=maker', keyOf: 'a' });
  const attempt = (verificationCertificate: string, message: RegExp) =>
    assert.rejects(
      register({ caCertificate, verificationCertificate }, call),
      fails('CertificateValidationException', message),
    );
  await attempt(await proof('namesake', call), /signature of the verification certificate does not verify/);
  // signed with the key of the first, under another name
  const { registrationCode = '' } = await getRegistrationCode({}, call);
  const subject = `/CN=${registrationCode}`;
  const renamed = ['-CAkey', 'a.key'];
  await attempt(
    await leaf('other', 'renamed', { subject, extras: renamed }),
    /was issued by CN=maker, not by the CA CN=Maker/,
  );
  await attempt('hello', /no readable PEM block/);
  await attempt(version1Pem, /was issued by CN=Test maker/);
  await attempt(
    await leaf('sha1', 'a', { subject, extras: ['-sha1'] }),
    /SHA1WITHECDSA of the verification certificate/,
  );
  const short = await leaf('short', 'a', { subject, days: 1 });
  setAheadMs(2 * dayMs);
  await attempt(short, /expired on/);
  setAheadMs(-dayMs);
  await assert.rejects(
    register({ caCertificate, verificationCertificate: short }, call),
    fails('CertificateValidationException', /not valid before/),
  );
  assert.equal(await known(call), 0);
});

const unfit: [what: string, key: KeyKind, extras: string[], message: RegExp][] = [
  ['without basicConstraints', 'P-256', [], /lacks basicConstraints CA:TRUE/],
  ['of an end entity', 'P-256', ['-addext', 'basicConstraints=critical,CA:FALSE'], /lacks basicConstraints CA:TRUE/],
  [
    'whose key usage forbids to sign certificates',
    'P-256',
    ['-addext', 'basicConstraints=CA:TRUE', '-addext', 'keyUsage=digitalSignature'],
    /key usage forbids/,
  ],
  ['with RSA-1024', 'rsa-1024', ['-addext', 'basicConstraints=CA:TRUE'], /at least 2048/],
  ['signed with SHA-1', 'rsa', ['-sha1', '-addext', 'basicConstraints=CA:TRUE'], /SHA1WITHRSA/],
];
for (const [what, key, extras, message] of unfit) {
  test(`a CA certificate ${what} is CertificateValidationException (identity 3.2)`, async (t) => {
    const { call, ca } = await start(t);
    const caCertificate = await ca('a', { key, extras });
    const attempt = register({ caCertificate, certificateMode: 'SNI_ONLY' }, call);
    await assert.rejects(attempt, fails('CertificateValidationException', message));
    assert.equal(await known(call), 0);
  });
}

test('no certificate, a version 1 certificate, and one outside its validity are CertificateValidationException (identity 3.2)', async (t) => {
  const { call, ca, setAheadMs } = await start(t);
  const caCertificate = await ca('a');
  const attempt = (pem: string) => register({ caCertificate: pem, certificateMode: 'SNI_ONLY' }, call);
  for (const pem of ['hello', version1Pem]) await assert.rejects(attempt(pem), fails('CertificateValidationException'));
  for (const days of [-1, 3651]) {
    setAheadMs(days * dayMs);
    await assert.rejects(attempt(caCertificate), fails('CertificateValidationException', /expired|not valid before/));
  }
});

test('a CA that the account has is ResourceAlreadyExistsException in either mode, until it is deleted (identity 3.2, 3.3)', async (t) => {
  const { call, ca, proof } = await start(t);
  const caCertificate = await ca('a');
  const verificationCertificate = await proof('a', call);
  const { certificateId } = await register({ caCertificate, certificateMode: 'SNI_ONLY' }, call);
  const id = idOf(caCertificate);
  const exists = fails('ResourceAlreadyExistsException', undefined, { resourceId: id, resourceArn: arnOf(id) });
  await assert.rejects(register({ caCertificate, certificateMode: 'SNI_ONLY' }, call), exists);
  await assert.rejects(register({ caCertificate, verificationCertificate }, call), exists);
  await deleteCACertificate({ certificateId }, call);
  await register({ caCertificate, verificationCertificate }, call);
});

test('DEFAULT in one account of a region, SNI_ONLY in any; each region by itself (identity.md check 20; 3.3)', async (t) => {
  const { call, callAs, ca, proof } = await start(t);
  const caCertificate = await ca('a');
  const [second, third] = [callAs(otherAccount), callAs({ ...testAccount, accountId: '222222222222' })];
  const elsewhere = callAs({ ...otherAccount, region: 'eu-west-1' });
  const inDefault = async (who: Call) =>
    register({ caCertificate, verificationCertificate: await proof('a', who) }, who);
  await inDefault(call);
  await assert.rejects(inDefault(second), fails('InvalidRequestException', 'Cannot accept this CACertificate'));
  assert.equal(await known(second), 0);
  await register({ caCertificate, certificateMode: 'SNI_ONLY' }, second);
  await register({ caCertificate, certificateMode: 'SNI_ONLY' }, third);
  await inDefault(elsewhere);
  await deleteCACertificate({ certificateId: idOf(caCertificate) }, second);
  await assert.rejects(inDefault(second), fails('InvalidRequestException', 'Cannot accept this CACertificate'));
  await deleteCACertificate({ certificateId: idOf(caCertificate) }, call);
  await inDefault(second);
});

test('two accounts that register a CA in DEFAULT mode at once: one has it (identity 3.3)', async (t) => {
  const { call, callAs, ca, proof } = await start(t);
  const other = callAs(otherAccount);
  for (let round = 0; round < 4; round++) {
    const caCertificate = await ca(`r${round}`);
    const proofs = [await proof(`r${round}`, call), await proof(`r${round}`, other)];
    const asks = Array.from({ length: 8 }, (_, index) =>
      register({ caCertificate, verificationCertificate: proofs[index % 2] }, index % 2 ? other : call),
    );
    const outcomes = await Promise.allSettled(asks);
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') assert.match(outcome.reason.name, /^(InvalidRequest|ResourceAlreadyExists)Ex/);
    }
  }
  assert.equal(Number(await known(call)) + Number(await known(other)), 4);
});

test('the 11th CA with one subject is LimitExceededException, also at once; other subjects and accounts are free (identity.md check 21)', async (t) => {
  const { call, callAs, ca } = await start(t);
  const first = await ca('a', { subject: '/CN=Maker' });
  const others = await Promise.all(
    Array.from({ length: 11 }, (_, index) => ca(`b${index}`, { subject: '/CN=Maker', keyOf: 'a' })),
  );
  await register({ caCertificate: first, certificateMode: 'SNI_ONLY' }, call);
  const outcomes = await Promise.allSettled(
    others.map((caCertificate) => register({ caCertificate, certificateMode: 'SNI_ONLY' }, call)),
  );
  const refused = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
  assert.equal(refused.length, 2);
  const limit = fails('LimitExceededException', 'Limit reached for number of CA Certificates with same subject');
  for (const reason of refused) limit(reason);
  await register({ caCertificate: await ca('c', { keyOf: 'a' }), certificateMode: 'SNI_ONLY' }, call);
  const [eleventh = ''] = others.filter((_, index) => outcomes[index]?.status === 'rejected');
  await register({ caCertificate: eleventh, certificateMode: 'SNI_ONLY' }, callAs(otherAccount));
});
