import assert from 'node:assert/strict';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { authorities } from '../../../test/ca.ts';
import { makeCall, makeFolder, otherAccount, testAccount } from '../../../test/call.ts';
import { openssl } from '../../../test/openssl.ts';
import { iotArn } from '../../aws/arn.ts';
import { Fault, type FaultName } from '../../aws/fault.ts';
import type { Call } from '../../feature.ts';
import { keyIdentifierOf, keySigner } from '../../pki/build.ts';
import { deviceIssuance, deviceIssuerNameDer } from '../../pki/issue.ts';
import { migrations as cas } from '../cas/migrations.ts';
import { registerCACertificate } from '../cas/register-ca-certificate.ts';
import { type CertificateStatus, findCertificate, insertCertificate } from '../certificates/certificate.ts';
import { migrations as certificates } from '../certificates/migrations.ts';
import { createPolicy } from '../policies/create-policy.ts';
import { policies } from '../policies/feature.ts';
import { listAttachedPolicies } from '../policies/list-attachments.ts';
import { getPolicy, listPolicies } from '../policies/operations.ts';
import { tags } from '../tags/feature.ts';
import { attachThingPrincipal } from '../things/attach-thing-principal.ts';
import { createThing } from '../things/create-thing.ts';
import { things } from '../things/feature.ts';
import { listPrincipalThings, listThingPrincipals } from '../things/list-attachments.ts';
import { listThings } from '../things/list-things.ts';
import { describeThing } from '../things/operations.ts';
import { documentPolicyName } from './provision.ts';
import { registerThingOverHttp } from './register-single-thing.ts';

const ca = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
const issue = deviceIssuance({
  nameDer: deviceIssuerNameDer,
  keyIdentifier: keyIdentifierOf(ca.publicKey.export({ type: 'spki', format: 'der' })),
  keyKind: 'ec',
  sign: keySigner(ca.privateKey),
});
const registerThing = registerThingOverHttp({ issue });
const start = (t: TestContext) =>
  makeCall(t, {
    features: [
      tags({}),
      { name: 'certificates', migrations: certificates },
      { name: 'cas', migrations: cas },
      things(),
      policies(),
    ],
    now: Date.now,
  });

const faults = (name: FaultName, message?: RegExp) => (error: unknown) => {
  assert(error instanceof Fault, String(error));
  assert.equal(error.name, name, error.message);
  if (message) assert.match(error.message, message);
  return true;
};
const failure = (message: RegExp) => faults('ResourceRegistrationFailureException', message);

const certificateId = 'a'.repeat(64);
const principal = iotArn(testAccount, 'cert', certificateId);
const register = (call: Call, status: CertificateStatus = 'INACTIVE') =>
  call.write((db) =>
    insertCertificate(db, call.account, {
      ...{ certificateId, status, certificateMode: 'SNI_ONLY', pem: 'a PEM\n', generationId: 'g' },
      ...{ createdAtMs: 1, notBeforeMs: 0, notAfterMs: 2 },
    }),
  );

const document = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}';
const thing = { Type: 'AWS::IoT::Thing', Properties: { ThingName: { Ref: 'Name' } } };
const certificate = {
  Type: 'AWS::IoT::Certificate',
  Properties: { CertificateId: { Ref: 'Id' }, Status: 'ACTIVE' },
  OverrideSettings: { Status: 'REPLACE' },
};
const policy = { Type: 'AWS::IoT::Policy', Properties: { PolicyDocument: document } };
const Parameters = { Name: { Type: 'String' }, Id: { Type: 'String' } };
const templateOf = (Resources: object): string => JSON.stringify({ Parameters, Resources });
const parameters = { Name: 'lamp', Id: certificateId };

/** All that a provisioning could have left behind. */
const remains = async (call: Call) => ({
  things: (await listThings({}, call)).things?.map(({ thingName }) => thingName),
  policies: (await listPolicies({}, call)).policies?.map(({ policyName }) => policyName),
  status: (await findCertificate(call.db, call.account, certificateId))?.status,
  policiesOf: (await listAttachedPolicies({ target: principal }, call)).policies?.length,
  thingsOf: (await listPrincipalThings({ principal }, call)).things,
});

test('provisioning.md check 43: a CSR becomes a certificate; the answer has it and an ARN for each logical name (API reference)', async (t) => {
  const { call, changes } = await start(t);
  const folder = await makeFolder(t);
  const key = 'req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out a.csr -subj /CN=lamp';
  await openssl(folder, ...key.split(' '));
  const csr = await openssl(folder, 'req', '-in', 'a.csr');
  const templateBody = JSON.stringify({
    Parameters: { ...Parameters, CSR: { Type: 'String' } },
    Resources: {
      thing,
      cert: { Type: 'AWS::IoT::Certificate', Properties: { CertificateSigningRequest: { Ref: 'CSR' } } },
      rights: policy,
    },
    Mappings: { a: { b: { c: 'd' } } },
    DeviceConfiguration: { fallback: 'x' },
  });
  const answer = await registerThing({ templateBody, parameters: { Name: 'lamp', CSR: csr } }, call);
  const x509 = new X509Certificate(answer.certificatePem ?? '');
  const id = x509.fingerprint256.replaceAll(':', '').toLowerCase();
  assert.equal(
    x509.publicKey.export({ type: 'spki', format: 'pem' }),
    await openssl(folder, 'pkey', '-in', 'key.pem', '-pubout'),
  );
  assert.deepEqual(answer, {
    certificatePem: x509.toString(),
    resourceArns: {
      thing: iotArn(testAccount, 'thing', 'lamp'),
      rights: iotArn(testAccount, 'policy', documentPolicyName(document)),
      cert: iotArn(testAccount, 'cert', id),
    },
  });
  const { status, certificateMode } = (await findCertificate(call.db, call.account, id)) ?? {};
  assert.deepEqual([status, certificateMode], ['ACTIVE', 'DEFAULT']);
  assert.deepEqual((await listThingPrincipals({ thingName: 'lamp' }, call)).principals, [
    iotArn(testAccount, 'cert', id),
  ]);
  assert.deepEqual(
    changes.map(({ kind, id: changed }) => [kind, changed]),
    [
      ['certificate', id],
      ['principal', id],
    ],
  );
});

test('a CSR that cannot be answered, or is not one, is InvalidRequestException and leaves nothing', async (t) => {
  const { call } = await start(t);
  const cert = { Type: 'AWS::IoT::Certificate', Properties: { CertificateSigningRequest: { Ref: 'Name' } } };
  const asked = registerThing({ templateBody: templateOf({ thing, cert }), parameters }, call);
  await assert.rejects(asked, faults('InvalidRequestException', /CERTIFICATE REQUEST/));
  assert.deepEqual((await listThings({}, call)).things, []);
});

test('provisioning.md check 37: the name of a policy document is its SHA-1 in upper-case hex, and devices with the same document share the policy', async (t) => {
  const { call } = await start(t);
  await register(call);
  const policyName = documentPolicyName(document);
  assert.match(policyName, /^[0-9A-F]{40}$/);
  for (const Name of ['lamp', 'pump']) {
    const answer = await registerThing(
      { templateBody: templateOf({ thing, certificate, policy }), parameters: { ...parameters, Name } },
      call,
    );
    assert.equal(answer.certificatePem, 'a PEM\n');
    assert.equal(answer.resourceArns?.['policy'], iotArn(testAccount, 'policy', policyName));
  }
  assert.deepEqual(await remains(call), {
    ...{
      things: ['lamp', 'pump'],
      policies: [policyName],
      status: 'ACTIVE',
      policiesOf: 1,
      thingsOf: ['lamp', 'pump'],
    },
  });
  assert.equal((await getPolicy({ policyName }, call)).policyDocument, document);
  assert.equal(documentPolicyName('abc'), 'A9993E364706816ABA3E25717850C26C9CD0D89D', 'FIPS 180-4, the example');
});

test('provisioning.md check 36: a PolicyDocument is accepted as an object and as a string', async (t) => {
  const { call } = await start(t);
  await register(call);
  const asObject = { Type: 'AWS::IoT::Policy', Properties: { PolicyDocument: JSON.parse(document) } };
  await registerThing({ templateBody: templateOf({ certificate, asObject, policy }), parameters }, call);
  assert.deepEqual((await remains(call)).policies, [documentPolicyName(document)]);
});

test('provisioning.md check 35: an existing thing is merged, the certificate attached beside the one it has, the version raised', async (t) => {
  const { call, changes } = await start(t);
  await register(call, 'PENDING_ACTIVATION');
  await createThing({ thingName: 'lamp', attributePayload: { attributes: { a: '1', b: '2' } } }, call);
  const given = { ...thing.Properties, AttributePayload: { b: '3' } };
  const body = (override: string) =>
    templateOf({
      thing: { ...thing, Properties: given, OverrideSettings: { AttributePayload: override } },
      certificate,
    });
  await assert.rejects(
    registerThing({ templateBody: body('FAIL'), parameters }, call),
    failure(/^ResourceConflictsException: Thing lamp exists already/),
  );
  assert.deepEqual([(await remains(call)).status, changes.length], ['PENDING_ACTIVATION', 0]);

  await registerThing({ templateBody: body('MERGE'), parameters }, call);
  const { attributes, version } = await describeThing({ thingName: 'lamp' }, call);
  assert.deepEqual([attributes, version], [{ a: '1', b: '3' }, 2]);
  assert.deepEqual(
    changes.map(({ kind, id }) => [kind, id]),
    [
      ['thing', 'lamp'],
      ['certificate', certificateId],
      ['principal', certificateId],
    ],
  );
  // again: everything is there, so that nothing is told
  await registerThing({ templateBody: body('MERGE'), parameters }, call);
  assert.deepEqual([(await describeThing({ thingName: 'lamp' }, call)).version, changes.length], [2, 3]);
});

test('a thing alone is registered without a certificate', async (t) => {
  const { call } = await start(t);
  assert.deepEqual(await registerThing({ templateBody: templateOf({ thing }), parameters }, call), {
    resourceArns: { thing: iotArn(testAccount, 'thing', 'lamp') },
  });
});

const tenMore = Object.fromEntries(
  Array.from({ length: 10 }, (_, i) => {
    const PolicyDocument = document.replace('"Effect"', `"Sid":"s${i}","Effect"`);
    return [`p${i}`, { ...policy, Properties: { PolicyDocument } }];
  }),
);
const named = (properties: object) => ({ ...thing, Properties: { ...thing.Properties, ...properties } });
const unmade: [what: string, resources: object, message: RegExp][] = [
  [
    'a policy that does not exist',
    { thing, certificate, p: { ...policy, Properties: { PolicyName: 'missing' } } },
    /^Policy not found \(name=missing\)$/,
  ],
  [
    'a document that is no policy',
    { thing, certificate, p: { ...policy, Properties: { PolicyDocument: '{}' } } },
    /^p: /,
  ],
  ['more policies than a certificate can have', { thing, certificate, ...tenMore }, /at most 10 policies/],
  [
    'a thing type',
    { thing: named({ ThingTypeName: 'lamps' }), certificate, policy },
    /^Thing type lamps does not exist/,
  ],
  [
    'a thing group',
    { thing: named({ ThingGroups: ['hall'] }), certificate, policy },
    /^Thing group hall does not exist/,
  ],
  ['a billing group', { thing: named({ BillingGroup: 'b' }), certificate, policy }, /^Billing group b does not exist/],
  [
    'more attributes than a thing can have',
    { thing: named({ AttributePayload: { a: '1', b: '2', c: '3', d: '4' } }), certificate, policy },
    /at most 3 attributes/,
  ],
  [
    'a status that is decided',
    { thing, policy, certificate: { ...certificate, OverrideSettings: { Status: 'FAIL' } } },
    /^ResourceConflictsException: The certificate/,
  ],
];
for (const [what, resources, message] of unmade) {
  test(`${what}: ResourceRegistrationFailureException, and nothing of it remains (spec provisioning.md 9, design 5)`, async (t) => {
    const { call, changes } = await start(t);
    await register(call);
    await createPolicy({ policyName: 'own', policyDocument: document }, call);
    const prior = { Type: 'AWS::IoT::Policy', Properties: { PolicyName: 'own' } };
    const first = {
      Resources: {
        certificate: { ...certificate, Properties: { CertificateId: certificateId, Status: 'INACTIVE' } },
        prior,
      },
    };
    await registerThing({ templateBody: JSON.stringify(first) }, call);
    const [before, told] = [await remains(call), changes.length];
    await assert.rejects(registerThing({ templateBody: templateOf(resources), parameters }, call), failure(message));
    assert.deepEqual(await remains(call), before);
    assert.equal(changes.length, told);
  });
}

test('an empty list of groups is fine', async (t) => {
  const { call } = await start(t);
  await register(call);
  await registerThing(
    { templateBody: templateOf({ thing: named({ ThingGroups: [] }), certificate }), parameters },
    call,
  );
  assert.deepEqual((await remains(call)).things, ['lamp']);
});

test('a thing that another certificate has for itself alone is shared, a certificate with a thing for itself alone is not (spec identity 4.2)', async (t) => {
  const { call } = await start(t);
  await register(call);
  await createThing({ thingName: 'pump' }, call);
  await attachThingPrincipal({ thingName: 'pump', principal, thingPrincipalType: 'EXCLUSIVE_THING' }, call);
  const asked = registerThing({ templateBody: templateOf({ thing, certificate }), parameters }, call);
  await assert.rejects(asked, failure(/belongs exclusively to thing pump/));
  assert.deepEqual((await remains(call)).things, ['pump']);
});

const bad: [what: string, input: { templateBody: string; parameters?: Record<string, string> }, message: RegExp][] = [
  ['a body that is no JSON', { templateBody: '{' }, /not JSON/],
  [
    'a body quoted twice (Observed, in published reports)',
    { templateBody: JSON.stringify(templateOf({ thing })) },
    /quoted twice/,
  ],
  ['a parameter without a value', { templateBody: templateOf({ thing }) }, /Name/],
  ['a name that no thing can have', { templateBody: templateOf({ thing }), parameters: { Name: 'a/b' } }, /ThingName/],
  [
    'provisioning.md check 38: a policy without a property',
    { templateBody: templateOf({ certificate, p: { ...policy, Properties: {} } }) },
    /^Invalid registration template\. Neither/,
  ],
  [
    'an id that no certificate has',
    { templateBody: templateOf({ certificate }), parameters: { Id: 'A' } },
    /CertificateId/,
  ],
];
for (const [what, input, message] of bad) {
  test(`${what} is InvalidRequestException (spec provisioning.md 9)`, async (t) => {
    const { call } = await start(t);
    await assert.rejects(registerThing(input, call), faults('InvalidRequestException', message));
    assert.deepEqual((await listThings({}, call)).things, []);
  });
}

test('nothing of another account is found: neither its certificate, nor its policy, nor its thing (design 5)', async (t) => {
  const { call, callAs } = await start(t);
  const other = callAs(otherAccount);
  await register(other, 'ACTIVE');
  await createPolicy({ policyName: 'theirs', policyDocument: document }, other);
  await createThing({ thingName: 'lamp', attributePayload: { attributes: { a: '1' } } }, other);
  const ask = (resources: object) => registerThing({ templateBody: templateOf(resources), parameters }, call);
  await assert.rejects(ask({ thing, certificate }), failure(/^The certificate a{64} does not exist$/));
  await register(call);
  const theirs = { Type: 'AWS::IoT::Policy', Properties: { PolicyName: 'theirs' } };
  await assert.rejects(ask({ thing, certificate, theirs }), failure(/^Policy not found/));
  await ask({ thing: named({ AttributePayload: { a: '2' } }), certificate });
  assert.deepEqual((await describeThing({ thingName: 'lamp' }, other)).attributes, { a: '1' });
});

test('two at once for the same new thing: one thing with both certificates, as one after the other would leave', async (t) => {
  const { call } = await start(t);
  const ids = ['1', '2', '3', '4'].map((digit) => digit.repeat(64));
  for (const id of ids) {
    await call.write((db) =>
      insertCertificate(db, call.account, {
        ...{ certificateId: id, status: 'PENDING_ACTIVATION', certificateMode: 'DEFAULT', pem: id, generationId: 'g' },
        ...{ createdAtMs: 1, notBeforeMs: 0, notAfterMs: 2 },
      }),
    );
  }
  const attributes = named({ AttributePayload: { id: { Ref: 'Id' } } });
  const ask = (id: string, overridden: object) =>
    registerThing(
      {
        templateBody: templateOf({ thing: { ...attributes, ...overridden }, certificate, policy }),
        parameters: { Name: 'lamp', Id: id },
      },
      call,
    );
  const [first = '', second = '', third = '', fourth = ''] = ids;
  const merged = { OverrideSettings: { AttributePayload: 'MERGE' } };
  await Promise.all([ask(first, merged), ask(second, merged)]);
  const { attributes: kept, version } = await describeThing({ thingName: 'lamp' }, call);
  assert([first, second].includes(kept?.['id'] ?? ''));
  assert.equal(version, 2);
  assert.deepEqual(
    (await listThingPrincipals({ thingName: 'lamp' }, call)).principals?.sort(),
    [first, second].map((id) => iotArn(testAccount, 'cert', id)),
  );
  assert.equal((await listPolicies({}, call)).policies?.length, 1);

  // and without an override the later one is refused as a whole
  const more = (id: string) =>
    registerThing(
      { templateBody: templateOf({ thing: attributes, certificate, policy }), parameters: { Name: 'pump', Id: id } },
      call,
    );
  const outcomes = await Promise.allSettled([more(third), more(fourth)]);
  assert.deepEqual(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  const won = outcomes[0]?.status === 'fulfilled' ? third : fourth;
  assert.deepEqual((await listThingPrincipals({ thingName: 'pump' }, call)).principals, [
    iotArn(testAccount, 'cert', won),
  ]);
  const lost = won === third ? fourth : third;
  assert.equal((await findCertificate(call.db, call.account, lost))?.status, 'PENDING_ACTIVATION');
});

test('a certificate comes as PEM under a registered CA, by the rules of RegisterCertificate; again it is one that exists (spec provisioning.md 7.3)', async (t) => {
  const { call } = await start(t);
  const maker = authorities(await makeFolder(t));
  const caCertificate = await maker.ca('a');
  const pem = await maker.leaf('device', 'a');
  const id = new X509Certificate(pem).fingerprint256.replaceAll(':', '').toLowerCase();
  const body = (overridden: object = {}, Status = 'ACTIVE') =>
    JSON.stringify({
      Parameters: { Name: { Type: 'String' }, Pem: { Type: 'String' } },
      Resources: {
        thing,
        certificate: {
          Type: 'AWS::IoT::Certificate',
          Properties: { CertificatePem: { Ref: 'Pem' }, Status },
          ...overridden,
        },
      },
    });
  const ask = (templateBody: string) => registerThing({ templateBody, parameters: { Name: 'lamp', Pem: pem } }, call);
  await assert.rejects(ask(body()), failure(/^No CA certificate exists/));
  assert.deepEqual((await listThings({}, call)).things, []);
  const { certificateId: caCertificateId } = await registerCACertificate(async () => undefined)(
    { caCertificate, certificateMode: 'SNI_ONLY', setAsActive: true },
    call,
  );
  assert.equal((await ask(body())).resourceArns?.['certificate'], iotArn(testAccount, 'cert', id));
  const held = await findCertificate(call.db, call.account, id);
  assert.deepEqual(
    [held?.status, held?.certificateMode, held?.caCertificateId],
    ['ACTIVE', 'SNI_ONLY', caCertificateId],
  );
  await ask(body());
  await assert.rejects(ask(body({}, 'INACTIVE')), failure(/ResourceConflictsException/));
  await ask(body({ OverrideSettings: { Status: 'REPLACE' } }, 'inactive'));
  assert.equal((await findCertificate(call.db, call.account, id))?.status, 'INACTIVE');
});
