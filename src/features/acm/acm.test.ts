/** Lists, tags and deletion of certificates, over rows that stand there as imports leave them. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { makeCall, otherAccount, testAccount } from '../../../test/call.ts';
import { fails } from '../../../test/handler-fault.ts';
import type { AccountRegion } from '../../aws/arn.ts';
import type { Operations } from '../../aws/operations.ts';
import type { Call, Feature, Holder } from '../../feature.ts';
import { createSecretBox } from '../../pki/secret-box.ts';
import type { Store } from '../../store/store.ts';
import { tags } from '../tags/feature.ts';
import { acmArn, type CertificateMaterial, insertImported } from './acm-certificate.ts';
import { addTagsToCertificate, listTagsForCertificate, removeTagsFromCertificate } from './acm-tags.ts';
import { acm } from './feature.ts';
import { listCertificates } from './list-certificates.ts';
import { deleteCertificate } from './operations.ts';

const box = createSecretBox(new Uint8Array(32).fill(7));
/** Nothing is requested here. */
const acmRequests = {
  issuance: { isImmediate: () => false, look: async () => undefined, turn: async () => undefined },
  validationKey: new Uint8Array(32),
};

/** With a slice that holds what `held` says. */
const start = async (t: TestContext) => {
  const held = new Map<string, string>();
  const holding: Feature = {
    name: 'holding',
    migrations: [],
    holders: async (_db, _account, arn) =>
      [held.get(arn)].flatMap((name): Holder[] => (name === undefined ? [] : [{ kind: 'domain-configuration', name }])),
  };
  return { ...(await makeCall(t, { features: [tags({}), acm({ box, acmRequests }), holding] })), held };
};

const dayMs = 24 * 60 * 60 * 1000;
const add = async (
  { call, store }: { readonly call: Call; readonly store: Store },
  uuid: string,
  material: Partial<CertificateMaterial> = {},
  account: AccountRegion = testAccount,
): Promise<string> => {
  const nowMs = call.now();
  await store.write((db) =>
    insertImported(db, box, account, {
      domainName: `${uuid}.example`,
      names: [`${uuid}.example`],
      keyAlgorithm: 'RSA_2048',
      keyUsages: ['DIGITAL_SIGNATURE'],
      extendedKeyUsages: ['TLS_WEB_SERVER_AUTHENTICATION'],
      certificatePem: '',
      chainPem: undefined,
      privateKeyPem: '',
      notBeforeMs: nowMs,
      notAfterMs: nowMs + 30 * dayMs,
      ...material,
      ...{ uuid, nowMs },
    }),
  );
  return acmArn(account, uuid);
};

type Input = Operations['acm']['ListCertificates']['input'];
const uuidsOf = async (call: Call, input: Input = {}): Promise<readonly (string | undefined)[]> =>
  ((await listCertificates(input, call)).CertificateSummaryList ?? []).map(({ CertificateArn = '' }) =>
    CertificateArn.split('/').at(-1),
  );

test('identity.md check 45: without Includes only certificates with RSA_2048 are listed, none with an EC key', async (t) => {
  const world = await start(t);
  for (const keyAlgorithm of [
    'RSA_1024',
    'RSA_2048',
    'RSA_4096',
    'EC_prime256v1',
    'EC_secp384r1',
    'EC_secp521r1',
  ] as const) {
    await add(world, keyAlgorithm, { keyAlgorithm });
    world.advance(1000);
  }
  const { call } = world;
  assert.deepEqual(await uuidsOf(call), ['RSA_2048']);
  assert.deepEqual(await uuidsOf(call, { Includes: {} }), ['RSA_2048']);
  assert.deepEqual(await uuidsOf(call, { Includes: { keyTypes: [] } }), ['RSA_2048']);
  assert.deepEqual(await uuidsOf(call, { Includes: { keyTypes: ['EC_prime256v1', 'RSA_1024'] } }), [
    'EC_prime256v1',
    'RSA_1024',
  ]);
});

test('filters by usage, status and origin; of several words one is enough (API reference, Filters)', async (t) => {
  const world = await start(t);
  const { call } = world;
  await add(world, 'server', { keyUsages: ['DIGITAL_SIGNATURE', 'KEY_ENCIPHERMENT'] });
  world.advance(1);
  await add(world, 'none', { keyUsages: ['ANY'], extendedKeyUsages: ['NONE'], notAfterMs: call.now() + dayMs });
  const cases: [Input, string[]][] = [
    [{}, ['none', 'server']],
    [{ Includes: { keyUsage: ['KEY_ENCIPHERMENT'] } }, ['server']],
    [{ Includes: { keyUsage: ['KEY_ENCIPHERMENT', 'ANY'] } }, ['none', 'server']],
    [{ Includes: { extendedKeyUsage: ['NONE'] } }, ['none']],
    [{ Includes: { extendedKeyUsage: ['TLS_WEB_SERVER_AUTHENTICATION'], keyUsage: ['ANY'] } }, []],
    [{ Includes: { exportOption: 'ENABLED' } }, []],
    [{ Includes: { exportOption: 'DISABLED' } }, ['none', 'server']],
    [{ Includes: { managedBy: 'CLOUDFRONT' } }, []],
    [{ CertificateKeyPairOrigins: ['CUSTOMER_PROVIDED'] }, ['none', 'server']],
    [{ CertificateKeyPairOrigins: ['AWS_MANAGED'] }, []],
    [{ CertificateKeyPairOrigins: ['ACME'] }, []],
    [{ CertificateStatuses: ['ISSUED'] }, ['none', 'server']],
    [{ CertificateStatuses: ['EXPIRED', 'FAILED'] }, []],
    [{ SortBy: 'CREATED_AT', SortOrder: 'ASCENDING' }, ['server', 'none']],
    [{ SortBy: 'CREATED_AT', SortOrder: 'DESCENDING' }, ['none', 'server']],
  ];
  for (const [input, expected] of cases) assert.deepEqual(await uuidsOf(call, input), expected, JSON.stringify(input));
  world.advance(2 * dayMs);
  assert.deepEqual(await uuidsOf(call, { CertificateStatuses: ['EXPIRED'] }), ['none']);
  assert.deepEqual(await uuidsOf(call, { CertificateStatuses: ['ISSUED'] }), ['server']);
  for (const half of [{ SortBy: 'CREATED_AT' }, { SortOrder: 'ASCENDING' }] as const) {
    await assert.rejects(uuidsOf(call, half), fails('ValidationException', /SortBy and SortOrder/));
  }
});

test('pages follow each other in both orders, and a token of another account is refused', async (t) => {
  const world = await start(t);
  const { call, callAs } = world;
  const made = ['a', 'b', 'c', 'd', 'e'];
  for (const [index, uuid] of made.entries()) {
    await add(world, uuid);
    if (index % 2 === 0) world.advance(1); // two of a pair share their millisecond
  }
  await add(world, 'foreign', {}, otherAccount);
  for (const [order, expected] of [
    [{ SortBy: 'CREATED_AT', SortOrder: 'ASCENDING' }, made],
    [{}, made.toReversed()],
  ] as const) {
    const seen: (string | undefined)[] = [];
    let NextToken: string | undefined;
    do {
      const input: Input = { ...order, MaxItems: 2, ...(NextToken !== undefined && { NextToken }) };
      const page = await listCertificates(input, call);
      seen.push(...(page.CertificateSummaryList ?? []).map(({ DomainName }) => DomainName?.split('.')[0]));
      NextToken = page.NextToken;
    } while (NextToken !== undefined);
    assert.deepEqual(seen, expected);
  }
  const { NextToken = '' } = await listCertificates({ MaxItems: 1 }, call);
  const stranger = callAs(otherAccount);
  await assert.rejects(listCertificates({ NextToken }, stranger), fails('InvalidRequestException'));
  assert.deepEqual(await uuidsOf(stranger), ['foreign']);
});

test('a list shows the first 100 names, whether there are more, and whether something uses the certificate', async (t) => {
  const world = await start(t);
  const names = Array.from({ length: 101 }, (_, index) => `n${index}.example`);
  const arn = await add(world, 'many', { domainName: 'n0.example', names });
  world.held.set(arn, 'arn:aws:iot:us-east-1:000000000000:domainconfiguration/d/aaaaa');
  const { CertificateSummaryList: [summary] = [] } = await listCertificates({}, world.call);
  assert.deepEqual(
    [summary?.SubjectAlternativeNameSummaries, summary?.HasAdditionalSubjectAlternativeNames, summary?.InUse],
    [names.slice(0, 100), true, true],
  );
});

test('a certificate that something uses is not deleted; afterwards it goes with its tags (spec identity 10)', async (t) => {
  const world = await start(t);
  const { call, held, changes } = world;
  const CertificateArn = await add(world, 'used');
  await addTagsToCertificate({ CertificateArn, Tags: [{ Key: 'a', Value: '1' }] }, call);
  const user = 'arn:aws:iot:us-east-1:000000000000:domainconfiguration/d/aaaaa';
  held.set(CertificateArn, user);
  await assert.rejects(deleteCertificate({ CertificateArn }, call), fails('ResourceInUseException', new RegExp(user)));
  assert.deepEqual([await uuidsOf(call), changes], [['used'], []]);
  held.clear();
  assert.deepEqual(await deleteCertificate({ CertificateArn }, call), {});
  assert.deepEqual(changes, [{ account: testAccount, kind: 'acm', id: CertificateArn }]);
  const missing = fails('ResourceNotFoundException', /Could not find certificate/);
  await assert.rejects(deleteCertificate({ CertificateArn }, call), missing);
  await assert.rejects(listTagsForCertificate({ CertificateArn }, call), missing);
  assert.deepEqual(await world.store.db.selectFrom('tags').selectAll().execute(), []);
});

test('tags are added, replaced, listed by key, and removed by key, or by key and value (API reference)', async (t) => {
  const world = await start(t);
  const { call } = world;
  const CertificateArn = await add(world, 'tagged');
  const list = async () => (await listTagsForCertificate({ CertificateArn }, call)).Tags;
  assert.deepEqual(await list(), []);
  await addTagsToCertificate({ CertificateArn, Tags: [{ Key: 'b', Value: '1' }, { Key: 'a' }] }, call);
  await addTagsToCertificate({ CertificateArn, Tags: [{ Key: 'b', Value: '2' }] }, call);
  const both = [
    { Key: 'a', Value: '' },
    { Key: 'b', Value: '2' },
  ];
  assert.deepEqual(await list(), both);
  await removeTagsFromCertificate({ CertificateArn, Tags: [{ Key: 'b', Value: '1' }, { Key: 'c' }] }, call);
  assert.deepEqual(await list(), both, 'another value, and a key that is not there');
  await removeTagsFromCertificate({ CertificateArn, Tags: [{ Key: 'b', Value: '2' }] }, call);
  await removeTagsFromCertificate({ CertificateArn, Tags: [{ Key: 'a' }] }, call);
  assert.deepEqual(await list(), []);
});

test('at most 50 tags, no reserved key, no key twice: and nothing is kept', async (t) => {
  const world = await start(t);
  const { call } = world;
  const CertificateArn = await add(world, 'tagged');
  const put = (Tags: { Key: string; Value: string }[]) => addTagsToCertificate({ CertificateArn, Tags }, call);
  const numbered = (count: number, Value = '') =>
    Array.from({ length: count }, (_, index) => ({ Key: `k${index}`, Value }));
  await put(numbered(50));
  await put(numbered(50, 'new'));
  await assert.rejects(put([{ Key: 'one', Value: '' }]), fails('TooManyTagsException', /at most 50/));
  await assert.rejects(put([{ Key: 'aws:x', Value: '' }]), fails('InvalidTagException', /reserved/));
  await assert.rejects(put([{ Key: 'k1', Value: '' }, ...numbered(2)]), fails('InvalidTagException', /twice/));
  const { Tags = [] } = await listTagsForCertificate({ CertificateArn }, call);
  assert.deepEqual([Tags.length, new Set(Tags.map(({ Value }) => Value))], [50, new Set(['new'])]);
});
