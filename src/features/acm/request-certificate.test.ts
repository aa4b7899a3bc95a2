/** Requests and what becomes of them, with the real CA, and a real DNS server where names must be proven. */
import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { type AcmSettings, acmBed, acmBox as box, described, recordsOf, statusesOf } from '../../../test/acm-bed.ts';
import { otherAccount, testAccount } from '../../../test/call.ts';
import { startDnsServer } from '../../../test/dns-server.ts';
import { fails } from '../../../test/handler-fault.ts';
import type { FaultName } from '../../aws/fault.ts';
import type { Operations } from '../../aws/operations.ts';
import { createKeyPool } from '../../pki/key-pool.ts';
import { findAcmCertificate, openAcmPrivateKey } from './acm-certificate.ts';
import { exportCertificate, updateCertificateOptions } from './issued-operations.ts';
import { listCertificates } from './list-certificates.ts';
import { deleteCertificate, getCertificate } from './operations.ts';

const { start, rsaRoot } = acmBed();
const [minuteMs, hourMs, dayMs] = [60_000, 3_600_000, 86_400_000];

test('a wildcard and its parent share one record, which is the same for every request of the account (spec identity 10)', async (t) => {
  const { call, callAs, request, requested } = await start(t);
  const arn = await requested({
    DomainName: '*.Fleet.corp',
    SubjectAlternativeNames: ['fleet.corp', 'api.fleet.corp'],
  });
  const { DomainValidationOptions = [], ...detail } = await described(call, arn);
  assert.deepEqual(
    [detail.DomainName, detail.SubjectAlternativeNames, detail.Status, detail.Type, detail.KeyAlgorithm],
    [
      '*.fleet.corp',
      ['*.fleet.corp', 'fleet.corp', 'api.fleet.corp'],
      'PENDING_VALIDATION',
      'AMAZON_ISSUED',
      'RSA_2048',
    ],
  );
  assert.deepEqual(
    [detail.NotAfter, detail.IssuedAt, detail.Serial, detail.InUseBy],
    [undefined, undefined, undefined, []],
  );
  const [wildcard, parent, other] = DomainValidationOptions;
  assert.deepEqual(wildcard?.ResourceRecord, parent?.ResourceRecord);
  assert.match(wildcard?.ResourceRecord?.Name ?? '', /^_[0-9a-f]{32}\.fleet\.corp\.$/);
  assert.match(wildcard?.ResourceRecord?.Value ?? '', /^_[0-9a-f]{32}\.[a-z]{10}\.acm-validations\.aws\.$/);
  assert.match(other?.ResourceRecord?.Name ?? '', /^_[0-9a-f]{32}\.api\.fleet\.corp\.$/);
  assert.deepEqual(
    { ...wildcard, ResourceRecord: undefined },
    {
      ...{ DomainName: '*.fleet.corp', ValidationDomain: '*.fleet.corp', ValidationStatus: 'PENDING_VALIDATION' },
      ...{ ResourceRecord: undefined, ValidationMethod: 'DNS' },
    },
  );
  const again = await described(call, await requested({}));
  assert.deepEqual(again.DomainValidationOptions?.[0]?.ResourceRecord, parent?.ResourceRecord);
  const given = { DomainName: 'fleet.corp', ValidationMethod: 'DNS' } as const;
  const elsewhere = callAs({ ...testAccount, region: 'eu-west-1' });
  const { CertificateArn: abroad = '' } = await request(given, elsewhere);
  assert.deepEqual(await recordsOf(elsewhere, abroad), await recordsOf(call, again.CertificateArn ?? ''));
  const { CertificateArn: foreign = '' } = await request(given, callAs(otherAccount));
  const records = await recordsOf(callAs(otherAccount), foreign);
  assert.notDeepEqual(
    records,
    await recordsOf(call, again.CertificateArn ?? ''),
    'another account proves it otherwise',
  );
  await assert.rejects(getCertificate({ CertificateArn: arn }, call), fails('RequestInProgressException'));
});

test('names are proven by the CNAME records that a DNS server has, each for itself; then the certificate is issued', async (t) => {
  const dns = await startDnsServer(t);
  const { call, requested, advance, renewed, troubles } = await start(t, { dnsServers: [dns.address] });
  const arn = await requested({ SubjectAlternativeNames: ['*.fleet.corp', 'api.fleet.corp'] });
  const records = await recordsOf(call, arn);
  const [first, second] = Object.entries(records);
  assert(first && second);
  await advance(10_000);
  const pending = 'PENDING_VALIDATION';
  assert.deepEqual(await statusesOf(call, arn), [pending, pending, pending, pending]);
  await dns.serve({ [first[0]]: 'something.else', [second[0]]: second[1] });
  await advance(10_000);
  assert.deepEqual(await statusesOf(call, arn), [pending, pending, pending, 'SUCCESS']);
  await dns.serve({ [first[0]]: first[1] });
  await advance(10_000);
  assert.deepEqual(
    await statusesOf(call, arn),
    ['ISSUED', 'SUCCESS', 'SUCCESS', 'SUCCESS'],
    'what was proven stays so',
  );
  assert.deepEqual([renewed, troubles], [[arn], []]);
});

test('a record that comes after ten minutes is seen within five, one after 72 hours never (user guide, "DNS validation")', async (t) => {
  const dns = await startDnsServer(t);
  const { call, requested, advance } = await start(t, { dnsServers: [dns.address] });
  const [slow, late] = [await requested({}), await requested({ DomainName: 'late.corp' })];
  await advance(11 * minuteMs);
  await dns.serve(await recordsOf(call, slow));
  await advance(4 * minuteMs);
  assert.deepEqual(await statusesOf(call, slow), ['PENDING_VALIDATION', 'PENDING_VALIDATION']);
  await advance(minuteMs);
  assert.deepEqual(await statusesOf(call, slow), ['ISSUED', 'SUCCESS']);
  await advance(72 * hourMs);
  assert.deepEqual(await statusesOf(call, late), ['VALIDATION_TIMED_OUT', 'FAILED']);
  await dns.serve(await recordsOf(call, late));
  await advance(dayMs);
  assert.deepEqual(await statusesOf(call, late), ['VALIDATION_TIMED_OUT', 'FAILED']);
  const { CertificateSummaryList: [listed] = [] } = await listCertificates(
    { CertificateStatuses: ['VALIDATION_TIMED_OUT'] },
    call,
  );
  assert.equal(listed?.CertificateArn, late);
  await deleteCertificate({ CertificateArn: late }, call);
});

for (const [KeyAlgorithm, keyUsages, chainLength] of [
  ['RSA_2048', ['DIGITAL_SIGNATURE', 'KEY_ENCIPHERMENT'], 1],
  ['EC_prime256v1', ['DIGITAL_SIGNATURE'], 2],
  ['EC_secp384r1', ['DIGITAL_SIGNATURE'], 2],
] as const) {
  test(`${KeyAlgorithm}: the issued certificate is a server's, of 13 months, under the service's own root`, async (t) => {
    const { call, requested, store } = await start(t);
    const arn = await requested({ DomainName: 'a.example', SubjectAlternativeNames: ['*.b.example'], KeyAlgorithm });
    const detail = await described(call, arn);
    assert.deepEqual([detail.Status, detail.KeyAlgorithm, detail.Subject], ['ISSUED', KeyAlgorithm, 'CN=a.example']);
    assert.deepEqual(
      detail.KeyUsages,
      keyUsages.map((Name) => ({ Name })),
    );
    assert.deepEqual(detail.ExtendedKeyUsages, [
      { Name: 'TLS_WEB_SERVER_AUTHENTICATION', OID: '1.3.6.1.5.5.7.3.1' },
      { Name: 'TLS_WEB_CLIENT_AUTHENTICATION', OID: '1.3.6.1.5.5.7.3.2' },
    ]);
    const days = ((detail.NotAfter?.getTime() ?? 0) - Date.now()) / dayMs;
    assert.ok(days > 394.9 && days <= 395, `${days} days`);
    assert.deepEqual([detail.RenewalEligibility, detail.RenewalSummary], ['ELIGIBLE', undefined]);
    assert.deepEqual(detail.Options, {
      CertificateTransparencyLoggingPreference: 'ENABLED',
      Export: 'DISABLED',
      ValidationMethod: 'DNS',
    });

    const { Certificate = '', CertificateChain = '' } = await getCertificate({ CertificateArn: arn }, call);
    const chain = [Certificate, ...(CertificateChain.match(/-----BEGIN[\s\S]+?-----END CERTIFICATE-----/g) ?? [])];
    const x509 = chain.map((pem) => new X509Certificate(pem));
    assert.equal(x509.length, 1 + chainLength);
    for (const [index, certificate] of x509.entries()) {
      const issuer = x509[index + 1] ?? certificate;
      assert(certificate.verify(issuer.publicKey) && certificate.checkIssued(issuer), certificate.subject);
    }
    assert.equal(x509.at(-1)?.fingerprint256, new X509Certificate(rsaRoot()).fingerprint256);
    assert.equal(x509[0]?.subjectAltName, 'DNS:a.example, DNS:*.b.example');
    const kept = await findAcmCertificate(store.db, testAccount, arn);
    assert(kept && x509[0]?.checkPrivateKey(createPrivateKey(openAcmPrivateKey(box, testAccount, kept) ?? '')));
  });
}

const immediate: [name: string, settings: AcmSettings, status: string][] = [
  ['a.localhost', {}, 'ISSUED'],
  ['*.a.test', {}, 'ISSUED'],
  ['a.EXAMPLE', {}, 'ISSUED'],
  ['a.example.com', {}, 'PENDING_VALIDATION'],
  ['a.myexample', {}, 'PENDING_VALIDATION'],
  ['a.example', { development: false }, 'PENDING_VALIDATION'],
  ['fleet.corp', { development: false, everyNameIsImmediate: true }, 'ISSUED'],
];
for (const [DomainName, settings, status] of immediate) {
  test(`${DomainName} is ${status} at once under ${JSON.stringify(settings)} (the issue: what validates at once)`, async (t) => {
    const { call, requested } = await start(t, settings);
    const arn = await requested({ DomainName, KeyAlgorithm: 'EC_prime256v1' });
    assert.equal((await described(call, arn)).Status, status);
  });
}

test('one name that must be proven keeps the others waiting', async (t) => {
  const { call, requested } = await start(t);
  const arn = await requested({ DomainName: 'a.example', SubjectAlternativeNames: ['fleet.corp'] });
  assert.deepEqual(await statusesOf(call, arn), ['PENDING_VALIDATION', 'PENDING_VALIDATION', 'PENDING_VALIDATION']);
});

test('the same request with the same token is the same certificate, for an hour (API reference, RequestCertificate)', async (t) => {
  const { call, callAs, requested, request, advance, store } = await start(t);
  const IdempotencyToken = 'once';
  const arn = await requested({ IdempotencyToken, Tags: [{ Key: 'a', Value: '1' }] });
  const asks = await Promise.all([1, 2, 3].map(() => requested({ IdempotencyToken })));
  assert.deepEqual(asks, [arn, arn, arn]);
  const distinct = [
    await requested({ IdempotencyToken: 'twice' }),
    await requested({ IdempotencyToken, SubjectAlternativeNames: ['a.corp'] }),
    await requested({ IdempotencyToken, Options: { CertificateTransparencyLoggingPreference: 'DISABLED' } }),
    await requested({}),
    await requested({}),
  ];
  assert.equal(new Set([arn, ...distinct]).size, 6);
  const given = { DomainName: 'fleet.corp', ValidationMethod: 'DNS', IdempotencyToken } as const;
  assert.notEqual((await request(given, callAs(otherAccount))).CertificateArn, arn);
  await advance(hourMs - minuteMs);
  assert.equal(await requested({ IdempotencyToken }), arn);
  await advance(minuteMs);
  const next = await requested({ IdempotencyToken });
  assert.notEqual(next, arn);
  await deleteCertificate({ CertificateArn: next }, call);
  assert.notEqual(await requested({ IdempotencyToken }), next, 'what was deleted is requested anew');
  assert.equal((await store.db.selectFrom('tags').selectAll().execute()).length, 1);
});

const invalid = 'InvalidParameterException';
type Given = Partial<Operations['acm']['RequestCertificate']['input']>;
const refused: [what: string, given: Given, fault: FaultName, message: RegExp][] = [
  [
    'no validation method, which means mail',
    { ValidationMethod: undefined },
    invalid,
    /EMAIL \(the default\) is not available.*ValidationMethod DNS/,
  ],
  ['validation by mail', { ValidationMethod: 'EMAIL' }, invalid, /EMAIL is not available in this version of Fleetgate/],
  ['validation over HTTP', { ValidationMethod: 'HTTP' }, invalid, /HTTP is not available/],
  [
    'a private CA',
    { CertificateAuthorityArn: 'arn:aws:acm-pca:us-east-1:000000000000:certificate-authority/a' },
    invalid,
    /Private certificate authorities/,
  ],
  ['export', { Options: { Export: 'ENABLED' } }, invalid, /exports no private keys/],
  ['another manager', { ManagedBy: 'CLOUDFRONT' }, invalid, /ManagedBy/],
  ['a key that is only imported', { KeyAlgorithm: 'RSA_4096' }, invalid, /not issued, only imported/],
  ['an address', { DomainName: '10.0.0.11' }, invalid, /10\.0\.0\.11 is no domain name/],
  ['a long common name', { DomainName: `${'a'.repeat(63)}.corp` }, invalid, /more than 64 characters/],
  [
    '101 names',
    { SubjectAlternativeNames: Array.from({ length: 100 }, (_, index) => `n${index}.corp`) },
    'LimitExceededException',
    /at most 100 domain names/,
  ],
  [
    'a name that is not requested',
    { DomainValidationOptions: [{ DomainName: 'other.corp', ValidationDomain: 'corp' }] },
    'InvalidDomainValidationOptionsException',
    /cannot validate/,
  ],
  [
    'a domain that is not above',
    { DomainValidationOptions: [{ DomainName: 'fleet.corp', ValidationDomain: 'leet.corp' }] },
    'InvalidDomainValidationOptionsException',
    /leet\.corp cannot validate fleet\.corp/,
  ],
  ['a reserved tag', { Tags: [{ Key: 'aws:a', Value: '' }] }, 'InvalidTagException', /reserved/],
];
test('what is not built, or makes no sense, is refused, and nothing is kept (API reference, RequestCertificate)', async (t) => {
  const { requested, store } = await start(t);
  for (const [what, given, fault, message] of refused) {
    await t.test(what, () => assert.rejects(requested(given), fails(fault, message)));
  }
  await requested({ DomainValidationOptions: [{ DomainName: 'fleet.corp', ValidationDomain: 'fleet.corp' }] });
  assert.equal((await store.db.selectFrom('acm_certificates').selectAll().execute()).length, 1);
});

test('60 days before its end a certificate is proven once more and renewed under its ARN, and every node is told', async (t) => {
  const dns = await startDnsServer(t);
  const { call, requested, advance, renewed, store } = await start(t, { dnsServers: [dns.address] });
  const arn = await requested({ KeyAlgorithm: 'EC_prime256v1' });
  const records = await recordsOf(call, arn);
  await dns.serve(records);
  await advance(0);
  const before = await described(call, arn);
  const keyBefore = (await findAcmCertificate(store.db, testAccount, arn))?.sealedPrivateKey;
  assert.equal(before.Status, 'ISSUED');

  await dns.serve({});
  await advance(334 * dayMs);
  assert.equal((await described(call, arn)).RenewalSummary, undefined, 'not yet');
  await advance(dayMs);
  const waiting = await described(call, arn);
  assert.deepEqual([waiting.Status, waiting.Serial], ['ISSUED', before.Serial]);
  assert.equal(waiting.RenewalSummary?.RenewalStatus, 'PENDING_VALIDATION');
  assert.equal(waiting.RenewalSummary.DomainValidationOptions?.[0]?.ValidationStatus, 'PENDING_VALIDATION');
  assert.equal(waiting.DomainValidationOptions?.[0]?.ValidationStatus, 'SUCCESS', 'the first proof stands');

  await dns.serve(records);
  assert.deepEqual(renewed, [arn]);
  await advance(hourMs);
  const after = await described(call, arn);
  assert.deepEqual(renewed, [arn, arn]);
  assert.notEqual(after.Serial, before.Serial);
  assert.notEqual((await findAcmCertificate(store.db, testAccount, arn))?.sealedPrivateKey, keyBefore);
  assert.equal(after.RenewalSummary?.RenewalStatus, 'SUCCESS');
  assert.equal(after.RenewalSummary.DomainValidationOptions?.[0]?.ValidationStatus, 'SUCCESS');
  assert.ok((after.NotAfter?.getTime() ?? 0) - (before.NotAfter?.getTime() ?? 0) >= 335 * dayMs - hourMs);
  assert.ok((after.NotBefore?.getTime() ?? 0) < Date.now(), 'clients whose clock did not move take it');
  await advance(dayMs);
  assert.equal((await described(call, arn)).Serial, after.Serial, 'once');
});

test('a certificate whose names cannot be proven any more ends, and its renewal has FAILED', async (t) => {
  const dns = await startDnsServer(t);
  const { call, requested, advance } = await start(t, { dnsServers: [dns.address] });
  const arn = await requested({ KeyAlgorithm: 'EC_prime256v1' });
  const records = await recordsOf(call, arn);
  await dns.serve(records);
  await advance(0);
  await dns.serve({});
  await advance(340 * dayMs);
  await advance(55 * dayMs + hourMs);
  const ended = await described(call, arn);
  assert.deepEqual([ended.Status, ended.RenewalSummary?.RenewalStatus], ['EXPIRED', 'FAILED']);
  await dns.serve(records);
  await advance(dayMs);
  assert.equal((await described(call, arn)).Serial, ended.Serial);
});

test('RenewCertificate renews what was issued here, at once or when its names are proven, and nothing else', async (t) => {
  const dns = await startDnsServer(t);
  const { call, requested, renew, advance, store } = await start(t, { dnsServers: [dns.address] });
  const arn = await requested({ DomainName: 'a.example', KeyAlgorithm: 'EC_prime256v1' });
  const before = await described(call, arn);
  assert.deepEqual(await renew({ CertificateArn: arn }, call), {});
  const after = await described(call, arn);
  assert.notEqual(after.Serial, before.Serial);
  assert.equal(after.RenewalSummary?.RenewalStatus, 'SUCCESS');

  const slow = await requested({ KeyAlgorithm: 'EC_prime256v1' });
  await assert.rejects(renew({ CertificateArn: slow }, call), fails('RequestInProgressException'));
  await dns.serve(await recordsOf(call, slow));
  await advance(0);
  const first = await described(call, slow);
  await renew({ CertificateArn: slow }, call);
  const pending = await described(call, slow);
  assert.deepEqual([pending.RenewalSummary?.RenewalStatus, pending.Serial], ['PENDING_AUTO_RENEWAL', first.Serial]);
  await advance(0);
  const second = await described(call, slow);
  assert.deepEqual([second.RenewalSummary?.RenewalStatus, second.Serial === first.Serial], ['SUCCESS', false]);
  await store.write((db) => db.updateTable('acm_certificates').set({ certificate_type: 'IMPORTED' }).execute());
  await assert.rejects(renew({ CertificateArn: slow }, call), fails('ValidationException', /cannot be renewed/));
});

test('no key is exported, and options that would lead there are refused (API reference, ExportCertificate)', async (t) => {
  const { call, requested, store } = await start(t);
  const CertificateArn = await requested({ DomainName: 'a.example', KeyAlgorithm: 'EC_prime256v1' });
  const Passphrase = new TextEncoder().encode('secret');
  const notPrivate = fails('ValidationException', /^Certificate ARN: arn:aws:acm:\S+ is not a private certificate$/);
  await assert.rejects(exportCertificate({ CertificateArn, Passphrase }, call), notPrivate);
  const pending = await requested({});
  const early = exportCertificate({ CertificateArn: pending, Passphrase }, call);
  await assert.rejects(early, fails('RequestInProgressException'));
  const set = (Options: Operations['acm']['UpdateCertificateOptions']['input']['Options']) =>
    updateCertificateOptions({ CertificateArn, Options }, call);
  await assert.rejects(set({ Export: 'ENABLED' }), fails('ValidationException', /exports no private keys/));
  await assert.rejects(set({ ValidationMethod: 'EMAIL' }), fails('ValidationException', /EMAIL is not available/));
  await set({ CertificateTransparencyLoggingPreference: 'DISABLED', Export: 'DISABLED', ValidationMethod: 'DNS' });
  const { Options } = await described(call, CertificateArn);
  assert.equal(Options?.CertificateTransparencyLoggingPreference, 'DISABLED');
  await store.write((db) => db.updateTable('acm_certificates').set({ certificate_type: 'IMPORTED' }).execute());
  await assert.rejects(set({ Export: 'DISABLED' }), fails('InvalidStateException', /was imported/));
});

test('two nodes that look at one certificate at the same time issue and renew it once', async (t) => {
  const dns = await startDnsServer(t);
  const { call, requested, look, renew, renewed, store } = await start(t, { dnsServers: [dns.address] });
  const arn = await requested({ KeyAlgorithm: 'EC_prime256v1' });
  await dns.serve(await recordsOf(call, arn));
  const both = () => Promise.all([1, 2].map(() => look({ account: testAccount, arn })));
  await both();
  await look({ account: testAccount, arn });
  assert.deepEqual(renewed, [arn], 'also for one that comes late');
  const before = await findAcmCertificate(store.db, testAccount, arn);
  await renew({ CertificateArn: arn }, call);
  await both();
  assert.deepEqual(renewed, [arn, arn]);
  assert.notEqual((await findAcmCertificate(store.db, testAccount, arn))?.certificatePem, before?.certificatePem);
});

test('no certificate outlives the root that it stands under', async (t) => {
  const { call, requested, advance } = await start(t);
  const ends = new X509Certificate(rsaRoot()).validToDate.getTime();
  await advance(ends - Date.now() - 100 * dayMs);
  const arn = await requested({ DomainName: 'a.example', KeyAlgorithm: 'EC_prime256v1' });
  assert.equal((await described(call, arn)).NotAfter?.getTime(), ends);
});

test('what fails here is told to the log, and tried again a minute later', async (t) => {
  const pool = createKeyPool({ keyPoolMax: 0 });
  t.after(pool.close);
  let broken = true;
  const takeKeyPair = async () => {
    if (broken) throw new Error('no keys');
    return pool.take();
  };
  const { call, requested, advance, troubles } = await start(t, { takeKeyPair });
  const arn = await requested({ DomainName: 'a.example' });
  assert.deepEqual([(await described(call, arn)).Status, troubles.length], ['PENDING_VALIDATION', 1]);
  broken = false;
  await advance(minuteMs - 5000);
  assert.equal((await described(call, arn)).Status, 'PENDING_VALIDATION');
  await advance(5000);
  assert.deepEqual([(await described(call, arn)).Status, troubles.length], ['ISSUED', 1]);
});

test('a certificate that is deleted while its names are looked up is not issued', async (t) => {
  let deleteNow = async (): Promise<unknown> => undefined;
  const pool = createKeyPool({ keyPoolMax: 0 });
  t.after(pool.close);
  const takeKeyPair = async () => {
    await deleteNow();
    return pool.take();
  };
  const { call, request, store, renewed, troubles } = await start(t, { takeKeyPair });
  deleteNow = () => store.write((db) => db.deleteFrom('acm_certificates').execute());
  await request({ DomainName: 'a.example', ValidationMethod: 'DNS' }, call);
  assert.deepEqual(await store.db.selectFrom('acm_certificates').selectAll().execute(), []);
  assert.deepEqual([renewed, troubles], [[], []]);
});
