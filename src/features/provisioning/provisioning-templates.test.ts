import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { makeCall, otherAccount, testAccount, testStartMs } from '../../../test/call.ts';
import { type AccountRegion, iotArn } from '../../aws/arn.ts';
import type { FaultName } from '../../aws/fault.ts';
import type { Call } from '../../feature.ts';
import { insertCaCertificate, type RegistrationConfig } from '../cas/ca-certificate.ts';
import { migrations as cas } from '../cas/migrations.ts';
import { migrations as certificates } from '../certificates/migrations.ts';
import { tags } from '../tags/feature.ts';
import { listTags } from '../tags/tag.ts';
import { createProvisioningTemplate, createProvisioningTemplateVersion } from './create-template.ts';
import { migrations } from './migrations.ts';
import {
  deleteProvisioningTemplate,
  deleteProvisioningTemplateVersion,
  describeProvisioningTemplate,
  describeProvisioningTemplateVersion,
  listProvisioningTemplates,
  listProvisioningTemplateVersions,
} from './operations.ts';
import { findTemplateType, provisioningTemplatesMax } from './provisioning-template.ts';
import { updateProvisioningTemplate } from './update-template.ts';

const start = (t: TestContext) =>
  makeCall(t, {
    features: [
      tags({}),
      { name: 'certificates', migrations: certificates },
      { name: 'cas', migrations: cas },
      { name: 'provisioning', migrations },
    ],
  });

const rejectsWith = (promise: Promise<unknown>, name: FaultName, message?: RegExp | string) =>
  assert.rejects(promise, (error: Error) => {
    assert.equal(error.name, name, error.message);
    if (typeof message === 'string') assert.equal(error.message, message);
    else if (message) assert.match(error.message, message);
    return true;
  });

const certificate = {
  Type: 'AWS::IoT::Certificate',
  Properties: { CertificateId: { Ref: 'AWS::IoT::Certificate::Id' } },
};
/** Spaced out, so that only the very text is equal. */
const bodyOf = (resources: object = {}): string =>
  `${JSON.stringify({ Resources: { certificate, ...resources } }, null, 3)}\r\n`;
const body = bodyOf();
const roleOf = ({ accountId }: AccountRegion): string => `arn:aws:iam::${accountId}:role/service-role/Provisioning`;
const provisioningRoleArn = roleOf(testAccount);
const targetArn = 'arn:aws:lambda:us-east-1:000000000000:function:hook';

const create = (call: Call, templateName: string, input: object = {}) =>
  createProvisioningTemplate({ templateName, templateBody: body, provisioningRoleArn, ...input }, call);

test('a template is created, described and listed; its body is answered byte for byte (spec provisioning.md 8)', async (t) => {
  const { call, advance } = await start(t);
  const templateArn = 'arn:aws:iot:us-east-1:000000000000:provisioningtemplate/fleet_1-A';
  assert.deepEqual(await create(call, 'fleet_1-A', { description: 'first', enabled: true }), {
    ...{ templateArn, templateName: 'fleet_1-A', defaultVersionId: 1 },
  });
  advance(1000);
  const summary = {
    ...{ templateArn, templateName: 'fleet_1-A', description: 'first', enabled: true, type: 'FLEET_PROVISIONING' },
    ...{ creationDate: new Date(testStartMs), lastModifiedDate: new Date(testStartMs) },
  };
  assert.deepEqual(await describeProvisioningTemplate({ templateName: 'fleet_1-A' }, call), {
    ...{ ...summary, defaultVersionId: 1, templateBody: body, provisioningRoleArn },
  });
  assert.deepEqual(await listProvisioningTemplates({}, call), { templates: [summary] });
  assert.deepEqual(await describeProvisioningTemplateVersion({ templateName: 'fleet_1-A', versionId: 1 }, call), {
    ...{ versionId: 1, creationDate: new Date(testStartMs), templateBody: body, isDefaultVersion: true },
  });
});

test('a template is disabled, of type FLEET_PROVISIONING and without a description unless it is asked for (service model)', async (t) => {
  const { call } = await start(t);
  await create(call, 'plain');
  await create(call, 'jitp', { type: 'JITP' });
  const { enabled, type, description, preProvisioningHook } = await describeProvisioningTemplate(
    { templateName: 'plain' },
    call,
  );
  assert.deepEqual(
    [enabled, type, description, preProvisioningHook],
    [false, 'FLEET_PROVISIONING', undefined, undefined],
  );
  assert.equal(await findTemplateType(call.db, call.account, 'jitp'), 'JITP');
  assert.equal(await findTemplateType(call.db, call.account, 'plain'), 'FLEET_PROVISIONING');
  assert.equal(await findTemplateType(call.db, call.account, 'other'), undefined);
  assert.equal(await findTemplateType(call.db, otherAccount, 'plain'), undefined);
});

test('a name is taken once per account and region; the message is what users have seen (spec provisioning.md 8)', async (t) => {
  const { call, callAs } = await start(t);
  await create(call, 'a');
  await rejectsWith(create(call, 'a'), 'ResourceAlreadyExistsException', 'Template with name a already exists');
  await create(callAs(otherAccount), 'a', { provisioningRoleArn: roleOf(otherAccount) });
  await create(callAs({ ...testAccount, region: 'eu-west-1' }), 'a');
});

const hook = { targetArn };
const refused: [what: string, input: object, message: RegExp][] = [
  ['a role of another account', { provisioningRoleArn: roleOf(otherAccount) }, /provisioningRoleArn.*another account/],
  ['a role that is none', { provisioningRoleArn: 'arn:aws:iam::000000000000:user/anna' }, /not the ARN of an IAM role/],
  ['a role without a name', { provisioningRoleArn: 'arn:aws:iam::000000000000:role/ ' }, /does not name an IAM role/],
  ['a text for a role', { provisioningRoleArn: 'x'.repeat(20) }, /not the ARN of an IAM role/],
  [
    'provisioning.md check 46: a hook with type JITP',
    { type: 'JITP', preProvisioningHook: hook },
    /JITP cannot have a preProv/,
  ],
  [
    'a hook that is no function',
    { preProvisioningHook: { targetArn: provisioningRoleArn } },
    /not the ARN of a Lambda/,
  ],
  ['a function name that is a path', { preProvisioningHook: { targetArn: `${targetArn}/../x` } }, /not the ARN/],
  [
    'a hook of another account',
    { preProvisioningHook: { targetArn: targetArn.replace('0:function', '1:function') } },
    /another acc/,
  ],
  [
    'a hook of another region',
    { preProvisioningHook: { targetArn: targetArn.replace('us-', 'eu-') } },
    /another account or region/,
  ],
  ['another payload version', { preProvisioningHook: { ...hook, payloadVersion: '2021-01-01' } }, /must be 2020-04-01/],
  ['a body that is no JSON', { templateBody: '{' }, /not JSON/],
  ['a body quoted twice', { templateBody: JSON.stringify(body) }, /quoted twice/],
  [
    'an unknown function',
    { templateBody: bodyOf({ p: { Type: 'AWS::IoT::Policy', Properties: { PolicyName: { 'Fn::X': 'a' } } } }) },
    /Fn::X/,
  ],
  [
    'provisioning.md check 38: a policy with neither property',
    { templateBody: bodyOf({ p: { Type: 'AWS::IoT::Policy', Properties: {} } }) },
    /^Invalid registration template\. Neither policyName nor policyDocument is present in the Template\.$/,
  ],
  [
    'another form of certificate',
    { templateBody: body.replace('CertificateId', 'CertificatePem') },
    /CertificateId, the only form/,
  ],
  ['a reserved tag', { tags: [{ Key: 'aws:x', Value: '' }] }, /reserved/],
];
for (const [what, input, message] of refused) {
  test(`${what} is InvalidRequestException, and no template remains (spec provisioning.md 7.7, 8)`, async (t) => {
    const { call } = await start(t);
    await rejectsWith(create(call, 'a', input), 'InvalidRequestException', message);
    assert.deepEqual(await listProvisioningTemplates({}, call), { templates: [] });
  });
}

test('provisioning.md check 40: five versions, then VersionsLimitExceededException; ids are never given twice', async (t) => {
  const { call, advance } = await start(t);
  await create(call, 'a');
  const add = (setAsDefault = false) =>
    createProvisioningTemplateVersion({ templateName: 'a', templateBody: bodyOf(), setAsDefault }, call);
  advance(1000);
  for (const versionId of [2, 3, 4]) assert.equal((await add()).versionId, versionId);
  assert.deepEqual(await add(true), {
    ...{ templateArn: iotArn(testAccount, 'provisioningtemplate', 'a'), templateName: 'a' },
    ...{ versionId: 5, isDefaultVersion: true },
  });
  await rejectsWith(add(), 'VersionsLimitExceededException', /maximum number of versions \(5\)/);
  assert.deepEqual(await deleteProvisioningTemplateVersion({ templateName: 'a', versionId: 4 }, call), {});
  assert.equal((await add()).versionId, 6);
  await deleteProvisioningTemplateVersion({ templateName: 'a', versionId: 6 }, call);
  assert.equal((await add()).versionId, 7);
  const { versions } = await listProvisioningTemplateVersions({ templateName: 'a' }, call);
  assert.deepEqual(
    versions?.map(({ versionId, isDefaultVersion }) => [versionId, isDefaultVersion]),
    [
      [7, false],
      [5, true],
      [3, false],
      [2, false],
      [1, false],
    ],
  );
  const described = await describeProvisioningTemplate({ templateName: 'a' }, call);
  assert.equal(described.defaultVersionId, 5);
  assert.deepEqual(described.lastModifiedDate, new Date(testStartMs + 1000));
});

test('versions made at once get ids of their own and stay within the limit', async (t) => {
  const { call } = await start(t);
  await create(call, 'a');
  const outcomes = await Promise.allSettled(
    Array.from({ length: 8 }, () => createProvisioningTemplateVersion({ templateName: 'a', templateBody: body }, call)),
  );
  const ids = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value.versionId] : []));
  assert.deepEqual(ids.sort(), [2, 3, 4, 5]);
});

test('a version is held against the type of its template, and the template must exist', async (t) => {
  const { call } = await start(t);
  await create(call, 'jitp', { type: 'JITP' });
  const templateBody = JSON.stringify({ Resources: { certificate }, DeviceConfiguration: { a: 'b' } });
  const add = (templateName: string) => createProvisioningTemplateVersion({ templateName, templateBody }, call);
  await rejectsWith(add('jitp'), 'InvalidRequestException', /^DeviceConfiguration: /);
  await rejectsWith(add('other'), 'ResourceNotFoundException');
  await create(call, 'fleet');
  assert.equal((await add('fleet')).versionId, 2);
});

test('UpdateProvisioningTemplate changes what is given, and nothing else (API reference)', async (t) => {
  const { call, advance } = await start(t);
  await create(call, 'a', { description: 'old', preProvisioningHook: hook });
  await createProvisioningTemplateVersion({ templateName: 'a', templateBody: bodyOf({}) }, call);
  const update = (input: object) => updateProvisioningTemplate({ templateName: 'a', ...input }, call);
  const before = await describeProvisioningTemplate({ templateName: 'a' }, call);
  assert.deepEqual(before.preProvisioningHook, { targetArn, payloadVersion: '2020-04-01' });
  advance(5000);
  const lastModifiedDate = new Date(testStartMs + 5000);
  assert.deepEqual(await update({}), {});
  assert.deepEqual(await describeProvisioningTemplate({ templateName: 'a' }, call), { ...before, lastModifiedDate });

  const other = { targetArn: `${targetArn}:live`, payloadVersion: '2020-04-01' };
  const provisioningRoleArn = 'arn:aws:iam::000000000000:role/other';
  await update({
    description: '',
    enabled: true,
    provisioningRoleArn,
    preProvisioningHook: other,
    defaultVersionId: 2,
  });
  const after = await describeProvisioningTemplate({ templateName: 'a' }, call);
  assert.deepEqual(after, {
    ...{ ...before, lastModifiedDate, description: '', enabled: true, provisioningRoleArn },
    ...{ preProvisioningHook: other, defaultVersionId: 2, templateBody: bodyOf({}) },
  });
  await update({ enabled: false, removePreProvisioningHook: true });
  const { preProvisioningHook: _gone, ...rest } = after;
  assert.deepEqual(await describeProvisioningTemplate({ templateName: 'a' }, call), { ...rest, enabled: false });

  const refusedUpdates: [input: object, message: RegExp][] = [
    [{ defaultVersionId: 3 }, /does not have a version 3/],
    [{ provisioningRoleArn: roleOf(otherAccount) }, /another account/],
    [{ preProvisioningHook: { targetArn: 'x' } }, /not the ARN/],
    [{ preProvisioningHook: hook, removePreProvisioningHook: true }, /cannot be given together/],
  ];
  for (const [input, message] of refusedUpdates) await rejectsWith(update(input), 'InvalidRequestException', message);
  await create(call, 'jitp', { type: 'JITP' });
  const asked = updateProvisioningTemplate({ templateName: 'jitp', preProvisioningHook: hook }, call);
  await rejectsWith(asked, 'InvalidRequestException', /JITP/);
  await rejectsWith(updateProvisioningTemplate({ templateName: 'b' }, call), 'ResourceNotFoundException');
});

test('provisioning.md check 41, 42: a template goes with all its versions and tags, a default version does not go alone', async (t) => {
  const { call } = await start(t);
  const templateName = 'a';
  const { templateArn = '' } = await create(call, templateName, { tags: [{ Key: 'team', Value: 'blue' }] });
  assert.deepEqual(await listTags(call.db, call.account, templateArn), [{ Key: 'team', Value: 'blue' }]);
  for (const _ of [2, 3]) await createProvisioningTemplateVersion({ templateName, templateBody: body }, call);
  const remove = (versionId: number) => deleteProvisioningTemplateVersion({ templateName, versionId }, call);
  await rejectsWith(remove(1), 'DeleteConflictException', /default version/);
  await rejectsWith(remove(9), 'ResourceNotFoundException');
  assert.deepEqual(await deleteProvisioningTemplate({ templateName }, call), {});
  assert.deepEqual(await listTags(call.db, call.account, templateArn), []);
  const asks = [
    () => deleteProvisioningTemplate({ templateName }, call),
    () => describeProvisioningTemplate({ templateName }, call),
    () => describeProvisioningTemplateVersion({ templateName, versionId: 3 }, call),
    () => listProvisioningTemplateVersions({ templateName }, call),
    () => remove(3),
  ];
  for (const ask of asks) await rejectsWith(ask(), 'ResourceNotFoundException');
  await create(call, templateName);
  assert.equal((await listProvisioningTemplateVersions({ templateName }, call)).versions?.length, 1);
});

test("a template that a CA's registrationConfig names stays (spec provisioning.md 8)", async (t) => {
  const { call, callAs } = await start(t);
  await create(call, 'a', { type: 'JITP' });
  const add = (owner: Call, digit: string, registrationConfig: RegistrationConfig | undefined) =>
    owner.write((db) =>
      insertCaCertificate(db, owner.account, {
        ...{ caCertificateId: digit.repeat(64), certificatePem: 'not looked at here', subjectDer: Buffer.from(digit) },
        ...{ status: 'ACTIVE', certificateMode: 'SNI_ONLY', autoRegistrationStatus: 'ENABLE', registrationConfig },
        ...{ generationId: digit, createdAtMs: testStartMs, notBeforeMs: 0, notAfterMs: testStartMs * 2 },
      }),
    );
  await add(callAs(otherAccount), '1', { templateName: 'a' });
  await add(call, '2', { templateName: 'b' });
  await deleteProvisioningTemplate({ templateName: 'a' }, call);
  await create(call, 'a', { type: 'JITP' });
  await add(call, '3', { templateName: 'a' });
  await rejectsWith(
    deleteProvisioningTemplate({ templateName: 'a' }, call),
    'DeleteConflictException',
    /registrationConfig/,
  );
});

test('lists come in pages, whose tokens belong to one list of one account', async (t) => {
  const { call, callAs } = await start(t);
  for (const name of ['b', 'a', 'C']) await create(call, name);
  const names = async (input: object) => {
    const { templates = [], nextToken } = await listProvisioningTemplates({ maxResults: 2, ...input }, call);
    return { names: templates.map(({ templateName }) => templateName), nextToken };
  };
  const first = await names({});
  assert.deepEqual(first.names, ['C', 'a']);
  assert.deepEqual(await names({ nextToken: first.nextToken }), { names: ['b'], nextToken: undefined });
  const foreign = listProvisioningTemplates({ nextToken: first.nextToken }, callAs(otherAccount));
  await rejectsWith(foreign, 'InvalidRequestException');

  for (const _ of [2, 3]) await createProvisioningTemplateVersion({ templateName: 'a', templateBody: body }, call);
  const versions = async (nextToken?: string) => {
    const page = await listProvisioningTemplateVersions({ templateName: 'a', maxResults: 2, nextToken }, call);
    return { ids: page.versions?.map(({ versionId }) => versionId), nextToken: page.nextToken };
  };
  const newest = await versions();
  assert.deepEqual(newest.ids, [3, 2]);
  assert.deepEqual(await versions(newest.nextToken), { ids: [1], nextToken: undefined });
  await rejectsWith(versions(call.sealMarker('a')), 'InvalidRequestException', /token/);
});

test('at most 256 templates per account and region (AWS general reference)', async (t) => {
  const { call, callAs } = await start(t);
  await Promise.all(Array.from({ length: provisioningTemplatesMax - 1 }, (_, index) => create(call, `t${index}`)));
  const outcomes = await Promise.allSettled([create(call, 'x'), create(call, 'y')]);
  assert.deepEqual(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  await rejectsWith(create(call, 'z'), 'LimitExceededException', /at most 256/);
  await create(callAs({ ...testAccount, region: 'eu-west-1' }), 'z');
});
