import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { makeCall, otherAccount, testAccount } from '../../../test/call.ts';
import { iotArn } from '../../aws/arn.ts';
import type { Call } from '../../feature.ts';
import { migrations as cas } from '../cas/migrations.ts';
import { type CertificateStatus, findCertificate, insertCertificate } from '../certificates/certificate.ts';
import { migrations as certificates } from '../certificates/migrations.ts';
import { createPolicy } from '../policies/create-policy.ts';
import { policies } from '../policies/feature.ts';
import { listAttachedPolicies } from '../policies/list-attachments.ts';
import { tags } from '../tags/feature.ts';
import { things } from '../things/feature.ts';
import { listThingPrincipals } from '../things/list-attachments.ts';
import { listThings } from '../things/list-things.ts';
import { describeThing } from '../things/operations.ts';
import { createProvisioningTemplate, createProvisioningTemplateVersion } from './create-template.ts';
import { migrations } from './migrations.ts';
import { deleteProvisioningTemplate } from './operations.ts';
import { readHookAnswer } from './pre-provisioning-hook.ts';
import { type ProvisioningErrorCode, ProvisioningFault } from './provisioning-fault.ts';
import { type RegisterThingRequest, registerThing } from './register-thing.ts';
import { updateProvisioningTemplate } from './update-template.ts';

const start = async (t: TestContext) => {
  const made = await makeCall(t, {
    features: [
      tags({}),
      { name: 'certificates', migrations: certificates },
      { name: 'cas', migrations: cas },
      things(),
      policies(),
      { name: 'provisioning', migrations },
    ],
  });
  await createPolicy({ policyName: 'device', policyDocument }, made.call);
  await register(made.call);
  return made;
};

const policyDocument = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}';
const certificateId = 'c'.repeat(64);
const register = (call: Call, status: CertificateStatus = 'PENDING_ACTIVATION', id = certificateId) =>
  call.write((db) =>
    insertCertificate(db, call.account, {
      ...{ certificateId: id, status, certificateMode: 'DEFAULT', pem: `PEM of ${id}`, generationId: 'g' },
      ...{ createdAtMs: 1, notBeforeMs: 0, notAfterMs: 2 },
    }),
  );

const rejected =
  (errorCode: ProvisioningErrorCode, statusCode: number, message?: RegExp, cause?: RegExp) => (error: unknown) => {
    assert(error instanceof ProvisioningFault, String(error));
    assert.deepEqual([error.errorCode, error.statusCode], [errorCode, statusCode], error.message);
    if (message) assert.match(error.message, message);
    if (cause) assert.match(String(error.cause), cause);
    return true;
  };

/** The template of seed 001. */
const seedBody = {
  Parameters: { SerialNumber: { Type: 'String' }, 'AWS::IoT::Certificate::Id': { Type: 'String' } },
  Resources: {
    policy: { Type: 'AWS::IoT::Policy', Properties: { PolicyName: 'device' } },
    certificate: {
      Type: 'AWS::IoT::Certificate',
      Properties: { CertificateId: { Ref: 'AWS::IoT::Certificate::Id' }, Status: 'Active' },
    },
    thing: {
      Type: 'AWS::IoT::Thing',
      OverrideSettings: { AttributePayload: 'MERGE', ThingTypeName: 'DO_NOTHING', ThingGroups: 'REPLACE' },
      Properties: {
        AttributePayload: {},
        ThingGroups: [],
        ThingName: { 'Fn::Join': ['', ['thing_', { Ref: 'SerialNumber' }]] },
      },
    },
  },
};
const targetArn = 'arn:aws:lambda:us-east-1:000000000000:function:hook';
const createTemplate = (call: Call, input: object = {}, body: object = seedBody) =>
  createProvisioningTemplate(
    {
      ...{ templateName: 'fleet', templateBody: JSON.stringify(body), enabled: true },
      ...{ provisioningRoleArn: `arn:aws:iam::${call.account.accountId}:role/r`, ...input },
    },
    call,
  );

interface Asked {
  readonly invokeFunction?: (invocation: object) => Promise<unknown>;
  readonly request?: Partial<RegisterThingRequest>;
  readonly id?: string;
}
/** Asks as a device does, and notes in which order the token was looked at. */
const ask = async (call: Call, { invokeFunction, request, id = certificateId }: Asked = {}, order: string[] = []) => {
  const services = {
    ...call,
    invokeFunction: async (invocation: object) => {
      order.push('hook');
      assert(invokeFunction, 'there is no hook to ask');
      return invokeFunction(invocation);
    },
  };
  return registerThing(services, {
    ...{
      templateName: 'fleet',
      parameters: { SerialNumber: '1' },
      claimCertificateId: 'd'.repeat(64),
      clientId: 'claim',
    },
    findTokenCertificate: async () => {
      order.push('token');
      return { certificateId: id, certificatePem: `PEM of ${id}` };
    },
    spendToken: async () => {
      order.push('spent');
    },
    ...request,
  });
};
/** That nothing has come of it. */
const untouched = async (call: Call) => {
  assert.deepEqual((await listThings({}, call)).things, []);
  assert.equal((await findCertificate(call.db, call.account, certificateId))?.status, 'PENDING_ACTIVATION');
  const target = iotArn(call.account, 'cert', certificateId);
  assert.deepEqual((await listAttachedPolicies({ target }, call)).policies, []);
};

test('the template of seed 001: thing, ACTIVE certificate, policy, attachments; a second certificate joins the same thing (spec provisioning.md 12)', async (t) => {
  const { call, changes } = await start(t);
  await createTemplate(call);
  const order: string[] = [];
  const kept: unknown[] = [];
  const answer = await ask(
    call,
    { request: { keepAnswer: async (_db, provisioned) => void kept.push(provisioned) } },
    order,
  );
  assert.deepEqual(order, ['token', 'spent']);
  assert.deepEqual(kept, [answer]);
  const { thingName, deviceConfiguration, certificatePem } = answer;
  assert.deepEqual([thingName, deviceConfiguration, certificatePem], ['thing_1', {}, `PEM of ${certificateId}`]);
  const target = iotArn(testAccount, 'cert', certificateId);
  assert.deepEqual(
    (await listAttachedPolicies({ target }, call)).policies?.map(({ policyName }) => policyName),
    ['device'],
  );
  assert.deepEqual((await listThingPrincipals({ thingName: 'thing_1' }, call)).principals, [target]);
  assert.equal((await findCertificate(call.db, call.account, certificateId))?.status, 'ACTIVE');
  assert.deepEqual(
    changes.map(({ kind, id }) => [kind, id]),
    [
      ['certificate', certificateId],
      ['principal', certificateId],
    ],
  );

  const second = 'e'.repeat(64);
  await register(call, 'PENDING_ACTIVATION', second);
  await ask(call, { id: second });
  assert.equal((await listThingPrincipals({ thingName: 'thing_1' }, call)).principals?.length, 2);
});

test('provisioning.md check 32, 34: deviceConfiguration holds what functions make; without a thing there is no thingName', async (t) => {
  const { call } = await start(t);
  const { thing: _thing, ...Resources } = seedBody.Resources;
  const DeviceConfiguration = { url: { 'Fn::FindInMap': ['Places', { Ref: 'Place' }, 'url'] } };
  const Mappings = { Places: { tokyo: { url: 'https://example.com' } } };
  const Parameters = { Place: { Type: 'String' } };
  await createTemplate(call, {}, { Parameters, Mappings, Resources, DeviceConfiguration });
  const answer = await ask(call, { request: { parameters: { Place: 'tokyo' } } });
  assert.deepEqual(answer.deviceConfiguration, { url: 'https://example.com' });
  assert.equal('thingName' in answer, false);
});

test('a deviceConfiguration that no message could bring to the device is refused, and nothing remains', async (t) => {
  const { call } = await start(t);
  const DeviceConfiguration = { all: { 'Fn::Sub': '${SerialNumber}'.repeat(40) } };
  const { thing: _thing, ...Resources } = seedBody.Resources;
  await createTemplate(call, {}, { ...seedBody, Resources, DeviceConfiguration });
  const order: string[] = [];
  const request = { parameters: { SerialNumber: 'x'.repeat(4000) } };
  await assert.rejects(
    ask(call, { request }, order),
    rejected('InvalidParameters', 400, /^DeviceConfiguration: is longer than 126976 bytes/),
  );
  assert.deepEqual(order, ['token']);
  await untouched(call);
});

test('provisioning.md check 26, 27: an unknown, disabled or JITP template is refused before the token is looked at, another account has none', async (t) => {
  const { call, callAs } = await start(t);
  await createTemplate(call, { enabled: false });
  await createTemplate(
    call,
    { templateName: 'jitp', type: 'JITP' },
    { Resources: { c: seedBody.Resources.certificate } },
  );
  const order: string[] = [];
  const of = (templateName: string, by = call) => ask(by, { request: { templateName } }, order);
  await assert.rejects(of('fleet'), rejected('InvalidRequest', 400, /not enabled/));
  await assert.rejects(of('jitp'), rejected('InvalidRequest', 400, /type JITP/));
  await assert.rejects(of('missing'), rejected('ResourceNotFound', 404, /missing does not exist/));
  await updateProvisioningTemplate({ templateName: 'fleet', enabled: true }, call);
  await assert.rejects(of('fleet', callAs(otherAccount)), rejected('ResourceNotFound', 404));
  assert.deepEqual(order, []);
  await untouched(call);
  await of('fleet');
  await deleteProvisioningTemplate({ templateName: 'fleet' }, call);
  await assert.rejects(of('fleet'), rejected('ResourceNotFound', 404));
});

test('the default version counts', async (t) => {
  const { call } = await start(t);
  await createTemplate(call);
  const templateBody = JSON.stringify(seedBody).replace('thing_', 'other_');
  await createProvisioningTemplateVersion({ templateName: 'fleet', templateBody, setAsDefault: true }, call);
  assert.equal((await ask(call)).thingName, 'other_1');
});

test('a token that cannot be spent stops everything, before and inside the unit (spec provisioning.md 4.5)', async (t) => {
  const { call, changes } = await start(t);
  await createTemplate(call);
  const refuse = async () => {
    throw new ProvisioningFault('InvalidCertificateOwnershipToken', 'no');
  };
  for (const request of [{ findTokenCertificate: refuse }, { spendToken: refuse }, { keepAnswer: refuse }]) {
    await assert.rejects(ask(call, { request }), rejected('InvalidCertificateOwnershipToken', 400));
    await untouched(call);
  }
  assert.deepEqual(changes, []);
});

const faulty: [what: string, body: object, code: ProvisioningErrorCode, message: RegExp][] = [
  [
    'a parameter without a value',
    {
      ...seedBody,
      Parameters: { ...seedBody.Parameters, Other: { Type: 'String' } },
      DeviceConfiguration: { a: { Ref: 'Other' } },
    },
    'InvalidParameters',
    /Other/,
  ],
  [
    'provisioning.md check 33: Fn::Select out of range',
    { ...seedBody, DeviceConfiguration: { a: { 'Fn::Select': [1, ['x']] } } },
    'InvalidParameters',
    /DeviceConfiguration\.a/,
  ],
  [
    'a policy that does not exist',
    JSON.parse(JSON.stringify(seedBody).replace('"device"', '"missing"')),
    'ResourceRegistrationFailure',
    /missing/,
  ],
  [
    'a document that is no policy',
    JSON.parse(JSON.stringify(seedBody).replace('"PolicyName":"device"', '"PolicyDocument":{"Version":"x"}')),
    'ResourceRegistrationFailure',
    /^policy: /,
  ],
];
for (const [what, body, code, message] of faulty) {
  test(`${what}: rejected 400 ${code}, the token is not spent, and nothing remains (spec provisioning.md 4.6)`, async (t) => {
    const { call } = await start(t);
    await createTemplate(call, {}, body);
    const spendToken: RegisterThingRequest['spendToken'] = async (db) => {
      await db
        .insertInto('tags')
        .values({ account_id: 'a', region: 'r', resource_arn: 'token', tag_key: 'k', tag_value: 'v' })
        .execute();
    };
    await assert.rejects(ask(call, { request: { spendToken } }), rejected(code, 400, message));
    assert.equal((await call.db.selectFrom('tags').selectAll().execute()).length, 0);
    await untouched(call);
  });
}
test('provisioning.md check 35: a thing that the template must not change is rejected 409', async (t) => {
  const { call } = await start(t);
  const { thing } = seedBody.Resources;
  await createTemplate(
    call,
    {},
    {
      ...seedBody,
      Resources: { ...seedBody.Resources, thing: { ...thing, OverrideSettings: { AttributePayload: 'FAIL' } } },
    },
  );
  await ask(call);
  const second = 'e'.repeat(64);
  await register(call, 'PENDING_ACTIVATION', second);
  await assert.rejects(ask(call, { id: second }), rejected('ResourceConflicts', 409, /thing_1/));
  assert.equal((await findCertificate(call.db, call.account, second))?.status, 'PENDING_ACTIVATION');
});

test('a certificate that was revoked, transferred or deleted meanwhile is not provisioned', async (t) => {
  const { call } = await start(t);
  await createTemplate(call);
  for (const [status, id] of [
    ['REVOKED', '1'.repeat(64)],
    ['PENDING_TRANSFER', '2'.repeat(64)],
    [undefined, '3'.repeat(64)],
  ] as const) {
    if (status) await register(call, status, id);
    await assert.rejects(ask(call, { id }), rejected('ResourceRegistrationFailure', 400));
  }
  await untouched(call);
});

test('a template that is disabled or deleted while its hook is asked provisions nothing more', async (t) => {
  const { call } = await start(t);
  const decisions = [
    () => updateProvisioningTemplate({ templateName: 'fleet', enabled: false }, call),
    () => deleteProvisioningTemplate({ templateName: 'fleet' }, call),
  ];
  for (const decide of decisions) {
    await createTemplate(call, { preProvisioningHook: { targetArn } }).catch(() =>
      updateProvisioningTemplate({ templateName: 'fleet', enabled: true }, call),
    );
    const order: string[] = [];
    const invokeFunction = async () => {
      await decide();
      return { allowProvisioning: true };
    };
    await assert.rejects(ask(call, { invokeFunction }, order), rejected('InvalidRequest', 400, /is not enabled/));
    assert.deepEqual(order, ['token', 'hook'], 'the token is not spent');
    await untouched(call);
  }
});

test('provisioning.md check 30, 31: the hook hears of the request alone, and its overrides win, but for the certificate (spec provisioning.md 6)', async (t) => {
  const { call } = await start(t);
  await createTemplate(call, { preProvisioningHook: { targetArn } });
  const heard: unknown[] = [];
  const order: string[] = [];
  const invokeFunction = async (invocation: object) => {
    heard.push(invocation);
    return {
      allowProvisioning: true,
      parameterOverrides: { SerialNumber: '2', 'AWS::IoT::Certificate::Id': 'f'.repeat(64), Undeclared: 'x' },
    };
  };
  const parameters = { SerialNumber: '1', Undeclared: 'y', 'AWS::IoT::Certificate::Id': 'f'.repeat(64) };
  const { thingName, certificateId: given } = await ask(call, { invokeFunction, request: { parameters } }, order);
  assert.deepEqual([thingName, given], ['thing_2', certificateId]);
  assert.deepEqual(order, ['token', 'hook', 'spent']);
  assert.deepEqual(heard, [
    {
      functionArn: targetArn,
      account: testAccount,
      timeoutMs: 5000,
      event: {
        claimCertificateId: 'd'.repeat(64),
        certificateId,
        certificatePem: `PEM of ${certificateId}`,
        templateArn: 'arn:aws:iot:us-east-1:000000000000:provisioningtemplate/fleet',
        clientId: 'claim',
        parameters,
      },
    },
  ]);
});

test('the hook is never asked inside a unit: another unit runs while it thinks', async (t) => {
  const { call } = await start(t);
  await createTemplate(call, { preProvisioningHook: { targetArn } });
  const invokeFunction = async () => {
    await createPolicy({ policyName: 'meanwhile', policyDocument }, call);
    return { allowProvisioning: true };
  };
  assert.equal((await ask(call, { invokeFunction })).thingName, 'thing_1');
});

const answers: [what: string, answer: unknown, overrides: object | RegExp][] = [
  ['true', { allowProvisioning: true }, {}],
  ['the quoted form of the guide', { allowProvisioning: 'true' }, {}],
  ['null for no overrides', { allowProvisioning: true, parameterOverrides: null }, {}],
  ['provisioning.md check 28: false', { allowProvisioning: false }, /answered allowProvisioning false/],
  ['"True"', { allowProvisioning: 'True' }, /no allowProvisioning/],
  ['1', { allowProvisioning: 1 }, /no allowProvisioning/],
  ['nothing about it', {}, /no allowProvisioning/],
  ['what an object inherits', Object.create({ allowProvisioning: true }), /no allowProvisioning/],
  ['null', null, /did not answer an object/],
  ['a list', [true], /did not answer an object/],
  ['text', '{"allowProvisioning":true}', /did not answer an object/],
  ['overrides that are a list', { allowProvisioning: true, parameterOverrides: ['a'] }, /are no object/],
  ['overrides that are text', { allowProvisioning: true, parameterOverrides: 'a' }, /are no object/],
  ['an override that is a number', { allowProvisioning: true, parameterOverrides: { a: 1 } }, /no string/],
  [
    'an override named __proto__',
    JSON.parse('{"allowProvisioning":true,"parameterOverrides":{"__proto__":"x"}}'),
    JSON.parse('{"__proto__":"x"}'),
  ],
];
for (const [what, answer, expected] of answers) {
  test(`a hook that answers ${what} ${expected instanceof RegExp ? 'refuses' : 'allows'} (spec provisioning.md 6)`, () => {
    if (expected instanceof RegExp) {
      assert.throws(
        () => readHookAnswer(answer),
        rejected('AccessDenied', 403, /^The pre-provisioning hook did not allow the provisioning$/, expected),
      );
    } else {
      assert.deepEqual(readHookAnswer(answer), expected);
    }
  });
}

test('provisioning.md check 28, 29: a hook that refuses, fails or is late: rejected 403, the cause for the operator alone, nothing remains', async (t) => {
  const { call } = await start(t);
  await createTemplate(call, { preProvisioningHook: { targetArn } });
  const order: string[] = [];
  const failing = async () => {
    throw new Error('took longer than 5 s');
  };
  for (const invokeFunction of [failing, async () => ({ allowProvisioning: false })]) {
    await assert.rejects(ask(call, { invokeFunction }, order), (error: Error) => {
      rejected('AccessDenied', 403)(error);
      assert.doesNotMatch(error.message, /5 s|false/);
      assert(error.cause instanceof Error);
      return true;
    });
    await untouched(call);
  }
  assert.deepEqual(order, ['token', 'hook', 'token', 'hook']);
});

test('the same certificate asked for twice at once: the token decides, one thing comes of it', async (t) => {
  const { call } = await start(t);
  await createTemplate(call);
  const spendToken: RegisterThingRequest['spendToken'] = async (db) => {
    const taken = await db
      .insertInto('tags')
      .values({ account_id: 'a', region: 'r', resource_arn: 'token', tag_key: 'k', tag_value: 'v' })
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirst();
    if (Number(taken.numInsertedOrUpdatedRows) === 0) {
      throw new ProvisioningFault('InvalidCertificateOwnershipToken', 'spent');
    }
  };
  const of = (SerialNumber: string) => ask(call, { request: { spendToken, parameters: { SerialNumber } } });
  const outcomes = await Promise.allSettled([of('1'), of('2')]);
  assert.deepEqual(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  const { things: made = [] } = await listThings({}, call);
  assert.equal(made.length, 1);
  assert.deepEqual((await describeThing({ thingName: String(made[0]?.thingName) }, call)).version, 1);
});
