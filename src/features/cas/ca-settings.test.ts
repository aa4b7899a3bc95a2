import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { makeCall, otherAccount, testAccount, testStartMs } from '../../../test/call.ts';
import { fails } from '../../../test/handler-fault.ts';
import type { FaultName } from '../../aws/fault.ts';
import type { Operations } from '../../aws/operations.ts';
import type { Call } from '../../feature.ts';
import { insertCertificate } from '../certificates/certificate.ts';
import { migrations as certificateMigrations } from '../certificates/migrations.ts';
import { tags } from '../tags/feature.ts';
import { listTags, saveTags } from '../tags/tag.ts';
import {
  caCertificateArn,
  caHoldersMax,
  casPerSubjectMax,
  findCaCertificate,
  findCaHolders,
  findCasOfIssuer,
  insertCaCertificate,
  type NewCaCertificate,
} from './ca-certificate.ts';
import { isTemplateOfCa } from './ca-list.ts';
import { cas } from './feature.ts';
import { deleteCACertificate, describeCACertificate, listCACertificates, listCertificatesByCA } from './operations.ts';
import type { FindTemplateType, readRegistrationConfig } from './registration-config.ts';
import { updateCACertificate } from './update-ca-certificate.ts';

const findTemplateType: FindTemplateType = async (_db, account, name) =>
  account.accountId !== testAccount.accountId
    ? undefined
    : name === 'jitp'
      ? 'JITP'
      : name === 'fleet'
        ? 'FLEET_PROVISIONING'
        : undefined;
const update = updateCACertificate(findTemplateType);
const start = (t: TestContext) =>
  makeCall(t, {
    features: [tags({}), { name: 'certificates', migrations: certificateMigrations }, cas({ findTemplateType })],
  });
const caId = 'a'.repeat(64);
const issuer = Buffer.from('the DER of a name');
const insert = (call: Call, given: Partial<NewCaCertificate> = {}) =>
  call.write((db) =>
    insertCaCertificate(db, call.account, {
      caCertificateId: caId,
      subjectDer: issuer,
      certificatePem: 'not looked at here',
      status: 'INACTIVE',
      certificateMode: 'SNI_ONLY',
      autoRegistrationStatus: 'DISABLE',
      registrationConfig: undefined,
      generationId: 'one',
      createdAtMs: call.now(),
      notBeforeMs: 0,
      notAfterMs: 1,
      ...given,
    }),
  );
const describe = async (call: Call) => {
  const { certificateDescription, registrationConfig } = await describeCACertificate({ certificateId: caId }, call);
  const { status, autoRegistrationStatus, customerVersion, lastModifiedDate } = certificateDescription ?? assert.fail();
  return { status, autoRegistrationStatus, customerVersion, lastModifiedDate, registrationConfig };
};

const roleArn = `arn:aws:iam::${testAccount.accountId}:role/service/Provisioning`;
const templateBody = JSON.stringify({
  Parameters: { 'AWS::IoT::Certificate::Id': { Type: 'String' } },
  Resources: {
    certificate: {
      Type: 'AWS::IoT::Certificate',
      Properties: { CertificateId: { Ref: 'AWS::IoT::Certificate::Id' }, Status: 'ACTIVE' },
    },
    policy: { Type: 'AWS::IoT::Policy', Properties: { PolicyName: 'p' } },
  },
});
const withoutPolicyText = templateBody.replace('"PolicyName":"p"', '');

test('each setting is changed by itself, with a new customerVersion and a notice; what changes nothing is no change (identity 3.4)', async (t) => {
  const { call, changes, advance } = await start(t);
  await insert(call);
  const certificateId = caId.toUpperCase();
  const steps: [
    input: Omit<Operations['iot']['UpdateCACertificate']['input'], 'certificateId'>,
    expected: Partial<Awaited<ReturnType<typeof describe>>>,
  ][] = [
    [{ newStatus: 'ACTIVE' }, { status: 'ACTIVE' }],
    [{ newStatus: 'ACTIVE' }, {}],
    [{}, {}],
    [{ newAutoRegistrationStatus: 'ENABLE' }, { autoRegistrationStatus: 'ENABLE' }],
    [{ registrationConfig: { templateName: 'jitp' } }, { registrationConfig: { templateName: 'jitp' } }],
    [{ registrationConfig: { templateBody, roleArn } }, { registrationConfig: { templateBody, roleArn } }],
    [{ registrationConfig: { templateBody, roleArn } }, {}],
    [{ newStatus: 'INACTIVE', removeAutoRegistration: false }, { status: 'INACTIVE' }],
  ];
  let expected = await describe(call);
  for (const [input, difference] of steps) {
    advance(1000);
    const noted = changes.length;
    assert.deepEqual(await update({ certificateId, ...input }, call), {});
    const isChange = Object.keys(difference).length > 0;
    if (isChange) {
      const customerVersion = (expected.customerVersion ?? 0) + 1;
      expected = { ...expected, ...difference, customerVersion, lastModifiedDate: new Date(call.now()) };
    }
    assert.deepEqual(await describe(call), expected, JSON.stringify(input));
    assert.equal(changes.length - noted, isChange ? 1 : 0);
  }
  assert.deepEqual(changes.at(-1), { account: testAccount, kind: 'ca', id: caId });
});

test('removeAutoRegistration drops the registrationConfig and nothing else (identity.md check 23)', async (t) => {
  const { call } = await start(t);
  await insert(call, { autoRegistrationStatus: 'ENABLE', registrationConfig: { templateBody, roleArn } });
  assert.deepEqual((await describe(call)).registrationConfig, { templateBody, roleArn });
  await update({ certificateId: caId, removeAutoRegistration: true }, call);
  const answer = await describeCACertificate({ certificateId: caId }, call);
  assert(!('registrationConfig' in answer));
  assert.equal(answer.certificateDescription?.autoRegistrationStatus, 'ENABLE');
  assert.equal(answer.certificateDescription?.customerVersion, 2);
  const both = { registrationConfig: { templateName: 'jitp' }, removeAutoRegistration: true };
  await assert.rejects(update({ certificateId: caId, ...both }, call), fails('InvalidRequestException', /together/));
});

const configs: [
  what: string,
  config: Parameters<typeof readRegistrationConfig>[0],
  fault: FaultName,
  message: RegExp | string,
][] = [
  ['both templates', { templateBody, roleArn, templateName: 'jitp' }, 'InvalidRequestException', /not both/],
  ['no template', {}, 'InvalidRequestException', /must have templateBody or templateName/],
  ['a role alone', { roleArn }, 'InvalidRequestException', /must have templateBody or templateName/],
  ['a body without a role', { templateBody }, 'InvalidRequestException', /must have roleArn/],
  [
    'no ARN of a role',
    { templateBody, roleArn: roleArn.replace('role', 'user') },
    'InvalidRequestException',
    /IAM role/,
  ],
  [
    'a role of another account',
    { templateName: 'jitp', roleArn: roleArn.replace(testAccount.accountId, otherAccount.accountId) },
    'InvalidRequestException',
    /another account/,
  ],
  ['a body that is no JSON', { templateBody: '{', roleArn }, 'InvalidRequestException', /not JSON/],
  [
    'a body whose policy has neither name nor document',
    { templateBody: withoutPolicyText, roleArn },
    'InvalidRequestException',
    'Invalid registration template. Neither policyName nor policyDocument is present in the Template.',
  ],
  [
    'a body for another kind of template',
    { templateBody: templateBody.replace('"Resources"', '"DeviceConfiguration":{},"Resources"'), roleArn },
    'InvalidRequestException',
    /fleet provisioning only/,
  ],
  ['an unknown template', { templateName: 'nobody' }, 'ResourceNotFoundException', /"nobody" does not exist/],
  ['a template of another type', { templateName: 'fleet' }, 'InvalidRequestException', /FLEET_PROVISIONING, not JITP/],
];
for (const [what, registrationConfig, fault, message] of configs) {
  test(`a registrationConfig with ${what} is ${fault} (identity 3.2, provisioning 3)`, async (t) => {
    const { call, changes } = await start(t);
    await insert(call);
    await assert.rejects(update({ certificateId: caId, registrationConfig }, call), fails(fault, message));
    assert.equal((await describe(call)).registrationConfig, undefined);
    assert.deepEqual(changes, []);
  });
}

test("a template of one account is none of another's (design 4)", async (t) => {
  const { callAs } = await start(t);
  const other = callAs(otherAccount);
  await insert(other);
  const registrationConfig = { templateName: 'jitp' };
  await assert.rejects(update({ certificateId: caId, registrationConfig }, other), fails('ResourceNotFoundException'));
});

test('an ACTIVE CA is not deleted: 406; an INACTIVE one is, with its tags and without its certificates (identity.md check 22)', async (t) => {
  const { call, changes } = await start(t);
  await insert(call, { status: 'ACTIVE' });
  const arn = caCertificateArn(call.account, caId);
  await call.write((db) => saveTags(db, call.account, arn, [{ Key: 'k', Value: 'v' }]));
  await insertUnder(call, 'c');
  const certificateId = caId;
  await assert.rejects(deleteCACertificate({ certificateId }, call), fails('CertificateStateException', /deactivated/));
  assert.equal((await describe(call)).status, 'ACTIVE');
  await update({ certificateId, newStatus: 'INACTIVE' }, call);
  assert.deepEqual(await deleteCACertificate({ certificateId }, call), {});
  assert.deepEqual(changes.at(-1), { account: testAccount, kind: 'ca', id: caId });
  await assert.rejects(describe(call), fails('ResourceNotFoundException'));
  assert.deepEqual(await listTags(call.db, call.account, arn), []);
  assert.equal((await listCertificatesByCA({ caCertificateId: caId }, call)).certificates?.length, 1);
});

test('a CA that this account does not hold is ResourceNotFoundException everywhere', async (t) => {
  const { call, callAs } = await start(t);
  await insert(callAs(otherAccount));
  await insert(callAs({ ...testAccount, region: 'eu-west-1' }));
  const unknown = fails('ResourceNotFoundException', `The CA certificate ${caId} does not exist`);
  const certificateId = caId;
  await assert.rejects(describeCACertificate({ certificateId }, call), unknown);
  await assert.rejects(update({ certificateId, newStatus: 'ACTIVE' }, call), unknown);
  await assert.rejects(deleteCACertificate({ certificateId }, call), unknown);
  assert.deepEqual(await listCACertificates({}, call), { certificates: [] });
  assert.deepEqual(await listCertificatesByCA({ caCertificateId: caId }, call), { certificates: [] });
});

const insertUnder = (call: Call, digit: string, caCertificateId = caId) =>
  call.write((db) =>
    insertCertificate(db, call.account, {
      certificateId: digit.repeat(64),
      status: 'INACTIVE',
      certificateMode: 'SNI_ONLY',
      pem: '',
      caCertificateId,
      generationId: 'g',
      createdAtMs: call.now(),
      notBeforeMs: 0,
      notAfterMs: 1,
    }),
  );

/** Follows the markers of a list to its end. */
const pagesOf = async (
  ask: (page: { marker?: string }) => Promise<{
    certificates?: { certificateId?: string | undefined }[] | undefined;
    nextMarker?: string | undefined;
  }>,
): Promise<(string | undefined)[]> => {
  const found: (string | undefined)[] = [];
  let marker: string | undefined;
  do {
    const page = await ask(marker === undefined ? {} : { marker });
    found.push(...(page.certificates ?? []).map(({ certificateId }) => certificateId));
    marker = page.nextMarker;
  } while (marker !== undefined);
  return found;
};
const ids = ['1', '2', '3', '4', '5'].map((digit) => digit.repeat(64));

test('CAs are listed by creation, page by page, all or those of one template (identity 1.2, 3.4)', async (t) => {
  const { call, callAs, advance } = await start(t);
  for (const [index, caCertificateId] of ids.entries()) {
    const registrationConfig = index % 2 ? { templateName: 'jitp' } : undefined;
    await insert(call, { caCertificateId, registrationConfig });
    if (index % 2) advance(1);
  }
  const list = (input: Operations['iot']['ListCACertificates']['input']) =>
    pagesOf((page) => listCACertificates({ pageSize: 2, ...input, ...page }, call));
  assert.deepEqual(await list({}), ids.toReversed());
  assert.deepEqual(await list({ ascendingOrder: true }), ids);
  assert.deepEqual(await list({ templateName: 'jitp', pageSize: 1 }), [ids[3], ids[1]]);
  assert.deepEqual(await list({ templateName: 'other' }), []);
  assert.deepEqual((await listCACertificates({ pageSize: 1 }, call)).certificates, [
    {
      certificateArn: caCertificateArn(testAccount, ids[4] ?? ''),
      certificateId: ids[4],
      status: 'INACTIVE',
      creationDate: new Date(testStartMs + 2),
    },
  ]);
  const { nextMarker = '' } = await listCACertificates({ pageSize: 1 }, call);
  const foreign = listCACertificates({ marker: nextMarker }, callAs(otherAccount));
  await assert.rejects(foreign, fails('InvalidRequestException'));
  assert.deepEqual(
    [await isTemplateOfCa(call.db, call.account, 'jitp'), await isTemplateOfCa(call.db, otherAccount, 'jitp')],
    [true, false],
  );
});

test('ListCertificatesByCA lists what was registered under one CA, page by page (identity 2.3)', async (t) => {
  const { call } = await start(t);
  await insert(call);
  for (const digit of ['1', '2', '3', '4', '5']) await insertUnder(call, digit);
  await insertUnder(call, '6', 'b'.repeat(64));
  const list = (input: Partial<Operations['iot']['ListCertificatesByCA']['input']>) =>
    pagesOf((page) => listCertificatesByCA({ caCertificateId: caId.toUpperCase(), ...input, ...page }, call));
  assert.deepEqual(await list({}), ids.toReversed());
  assert.deepEqual(await list({ pageSize: 2, ascendingOrder: true }), ids);
});

test('the CAs of an issuer are those of this account and region with that subject, at most ten (identity 2.3)', async (t) => {
  const { call, callAs, advance, store } = await start(t);
  for (const account of [otherAccount, { ...testAccount, region: 'eu-west-1' }]) await insert(callAs(account));
  await insert(call, { caCertificateId: 'd'.repeat(64), subjectDer: Buffer.from('another name') });
  assert.deepEqual(await findCasOfIssuer(store.db, testAccount, issuer), []);
  for (let index = 0; index < casPerSubjectMax + 1; index++) {
    await insert(call, { caCertificateId: index.toString(16).repeat(64) });
    advance(1);
  }
  const found = await findCasOfIssuer(store.db, testAccount, issuer);
  assert.deepEqual(
    found.map(({ caCertificateId }) => caCertificateId[0]),
    ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'],
  );
  assert.equal(await findCaCertificate(store.db, testAccount, 'A'.repeat(64)), undefined);
});

test('of all accounts that hold a CA of this name, those in DEFAULT mode come first, the oldest before all (spec gateway 1.1)', async (t) => {
  const { callAs, advance, store } = await start(t);
  const account = (number: number) => ({ accountId: String(100_000_000_000 + number), region: 'us-east-1' });
  await insert(callAs(account(0)));
  for (let index = 1; index < caHoldersMax + 3; index++) {
    advance(1);
    const caCertificateId = index.toString(16).padStart(64, '0');
    await insert(callAs(account(100 - index)), { caCertificateId, certificateMode: 'DEFAULT' });
  }
  const holders = await findCaHolders(store.db, 'us-east-1', issuer);
  assert.equal(holders.length, caHoldersMax);
  assert.deepEqual(
    holders.slice(0, 3).map((holder) => holder.account),
    [account(99), account(98), account(97)],
  );
  assert(holders.every(({ ca }) => ca.certificateMode === 'DEFAULT'));
  assert.deepEqual(await findCaHolders(store.db, 'eu-west-1', issuer), []);
});
