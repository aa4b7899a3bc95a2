import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { makeCall, otherAccount, testStartMs } from '../../../test/call.ts';
import { version1Id, version1Pem } from '../../../test/openssl.ts';
import { type AccountRegion, iotArn } from '../../aws/arn.ts';
import type { AuthDecision } from '../../aws/decision.ts';
import type { FaultName } from '../../aws/fault.ts';
import type { Call, Handler } from '../../feature.ts';
import type { PolicyContext } from '../../policy/context.ts';
import { certificateArn, insertCertificate } from '../certificates/certificate.ts';
import { migrations } from '../certificates/migrations.ts';
import { attachThingPrincipal } from '../things/attach-thing-principal.ts';
import { createThing } from '../things/create-thing.ts';
import { things } from '../things/feature.ts';
import { attachPolicy } from './attach-policy.ts';
import { createPolicy, createPolicyVersion } from './create-policy.ts';
import { policies } from './feature.ts';
import { createRightsCache } from './rights.ts';
import { policyNamesMax, resourcesMax, testAuthorization } from './test-authorization.ts';

/** The account of the decision matrix. */
const account: AccountRegion = { accountId: '123456789012', region: 'us-east-1' };
const arn = (resource: string): string => `arn:aws:iot:us-east-1:123456789012:${resource}`;
const principal = certificateArn(account, version1Id);
type Input = Parameters<Handler<'TestAuthorization'>>[0];
type Info = NonNullable<Input['authInfos']>[number];

/** A certificate that openssl made, INACTIVE, with its policies in their order as p0, p1, ... attached. */
const make = async (t: TestContext, documents: readonly object[] = []) => {
  const made = await makeCall(t, { features: [{ name: 'certificates', migrations }, things(), policies()], account });
  const { call } = made;
  await call.write((db) =>
    insertCertificate(db, account, {
      certificateId: version1Id,
      status: 'INACTIVE',
      certificateMode: 'SNI_ONLY',
      pem: version1Pem,
      generationId: 'g',
      createdAtMs: testStartMs,
      notBeforeMs: 0,
      notAfterMs: testStartMs * 2,
    }),
  );
  for (const [index, document] of documents.entries()) {
    await createPolicy({ policyName: `p${index}`, policyDocument: JSON.stringify(document) }, call);
    await attachPolicy({ policyName: `p${index}`, target: principal }, call);
  }
  const handler = testAuthorization(createRightsCache({ setsMax: 10 }));
  const ask = async (info: Info | readonly Info[], rest: Partial<Input> = {}) => {
    const authInfos = [info].flat() as Info[];
    const { authResults = [] } = await handler({ principal, authInfos, ...rest }, call);
    return authResults;
  };
  return { ...made, handler, ask };
};

const documentOf = (...Statement: object[]) => ({ Version: '2012-10-17', Statement });
const allow = (Action: string, resource: string, rest: object = {}) => ({
  Effect: 'Allow',
  Action,
  Resource: resource === '*' ? '*' : arn(resource),
  ...rest,
});
const deny = (Action: string, resource: string, rest: object = {}) => ({
  ...allow(Action, resource, rest),
  Effect: 'Deny',
});
const named = (...names: string[]) => ({
  policies: names.map((policyName) => ({ policyName, policyArn: arn(`policy/${policyName}`) })),
});
const publish = (topic: string): Info => ({ actionType: 'PUBLISH', resources: [arn(`topic/${topic}`)] });

test('the answer in full: who allows, who denies, who says nothing, each independent of the decision (policy 8, checks 36 and 37)', async (t) => {
  const { ask } = await make(t, [
    documentOf(allow('iot:Publish', 'topic/a/*')),
    documentOf(deny('iot:Publish', 'topic/a/secret')),
    documentOf(allow('iot:Connect', '*')),
  ]);
  const infos = [publish('a/b'), publish('a/secret'), publish('b')];
  assert.deepEqual(await ask(infos), [
    {
      authInfo: infos[0],
      allowed: named('p0'),
      denied: { implicitDeny: named('p1', 'p2'), explicitDeny: named() },
      authDecision: 'ALLOWED',
      missingContextValues: [],
    },
    {
      authInfo: infos[1],
      allowed: named('p0'),
      denied: { implicitDeny: named('p2'), explicitDeny: named('p1') },
      authDecision: 'EXPLICIT_DENY',
      missingContextValues: [],
    },
    {
      authInfo: infos[2],
      allowed: named(),
      denied: { implicitDeny: named('p0', 'p1', 'p2'), explicitDeny: named() },
      authDecision: 'IMPLICIT_DENY',
      missingContextValues: [],
    },
  ]);
});

test('one policy that both allows and denies stands in both lists', async (t) => {
  const { ask } = await make(t, [documentOf(allow('iot:*', '*'), deny('iot:Publish', 'topic/a'))]);
  const [result] = await ask(publish('a'));
  assert.deepEqual(result?.allowed, named('p0'));
  assert.deepEqual(result?.denied, { implicitDeny: named(), explicitDeny: named('p0') });
});

const severals: [topics: string[], expected: AuthDecision, rule: string][] = [
  [['a/1', 'a/2'], 'ALLOWED', 'all allowed'],
  [['a/1', 'b'], 'IMPLICIT_DENY', 'one is not allowed'],
  [['a/1', 'b', 'a/secret'], 'EXPLICIT_DENY', 'one is denied'],
];
for (const [topics, expected, rule] of severals) {
  test(`several resources: ${expected} when ${rule} (policy 8)`, async (t) => {
    const { ask } = await make(t, [documentOf(allow('iot:Publish', 'topic/a/*'), deny('iot:*', 'topic/a/secret'))]);
    const resources = topics.map((topic) => arn(`topic/${topic}`));
    const [result] = await ask({ actionType: 'PUBLISH', resources });
    assert.equal(result?.authDecision, expected);
  });
}

test('each action type asks for its own action', async (t) => {
  const grants: [action: string, actionType: Info['actionType'], resource: string][] = [
    ['iot:Publish', 'PUBLISH', 'topic/a'],
    ['iot:Subscribe', 'SUBSCRIBE', 'topicfilter/a'],
    ['iot:Receive', 'RECEIVE', 'topic/a'],
    ['iot:Connect', 'CONNECT', 'client/a'],
  ];
  const { ask } = await make(
    t,
    grants.map(([action]) => documentOf(allow(action, '*'))),
  );
  for (const [index, [action, actionType, resource]] of grants.entries()) {
    const [result] = await ask({ actionType, resources: [arn(resource)] });
    assert.deepEqual(result?.allowed, named(`p${index}`), action);
  }
});

test('without clientId: iot:ClientId and the thing have no value, and are named as missing, sorted, once (check 38)', async (t) => {
  const { ask, call } = await make(t, [
    documentOf(
      allow('iot:Publish', `topic/\${iot:ClientId}/\${iot:Connection.Thing.ThingName}`),
      allow('iot:Publish', `topic/\${iot:ClientId}`),
      allow('iot:Connect', '*', { Condition: { Bool: { 'iot:Connection.Thing.IsAttached': 'true' } } }),
      allow('iot:Receive', '*', { Condition: { IpAddress: { 'aws:SourceIp': '192.0.2.0/24' } } }),
    ),
  ]);
  await createThing({ thingName: 'lamp' }, call);
  await attachThingPrincipal({ thingName: 'lamp', principal, thingPrincipalType: 'EXCLUSIVE_THING' }, call);
  const [nobody] = await ask(publish('lamp/lamp'));
  assert.equal(nobody?.authDecision, 'IMPLICIT_DENY');
  assert.deepEqual(nobody?.missingContextValues, [
    'aws:SourceIp',
    'iot:ClientId',
    'iot:Connection.Thing.IsAttached',
    'iot:Connection.Thing.ThingName',
  ]);
  const [lamp] = await ask(publish('lamp/lamp'), { clientId: 'lamp' });
  assert.deepEqual([lamp?.authDecision, lamp?.missingContextValues], ['ALLOWED', ['aws:SourceIp']]);
});

const ofThing = documentOf(
  allow(
    'iot:Publish',
    `topic/\${iot:Connection.Thing.ThingName}/\${iot:Connection.Thing.Attributes[site]}/\${iot:Certificate.Subject.CommonName}/\${iot:CertificateId}`,
  ),
);
const ownTopic = `lamp/tokyo/dev-v1/${version1Id}`;
const attachments: [type: 'EXCLUSIVE_THING' | undefined, clientId: string, expected: AuthDecision, rule: string][] = [
  [undefined, 'lamp', 'ALLOWED', 'the client id is the name of an attached thing'],
  [undefined, 'other', 'IMPLICIT_DENY', 'the client id names no thing of the certificate'],
  ['EXCLUSIVE_THING', 'other', 'ALLOWED', 'the certificate belongs to one thing alone, whatever the client id'],
];
for (const [thingPrincipalType, clientId, expected, rule] of attachments) {
  test(`with clientId variables resolve as at the gateway: ${expected} when ${rule} (policy 4.4, 8)`, async (t) => {
    const { ask, call } = await make(t, [ofThing]);
    await createThing({ thingName: 'lamp', attributePayload: { attributes: { site: 'tokyo' } } }, call);
    await attachThingPrincipal(
      { thingName: 'lamp', principal, ...(thingPrincipalType && { thingPrincipalType }) },
      call,
    );
    const [result] = await ask(publish(ownTopic), { clientId });
    assert.equal(result?.authDecision, expected);
  });
}

interface PolicyCase {
  readonly name: string;
  readonly policies: readonly object[];
  readonly action: string;
  readonly resource: string;
  readonly context: PolicyContext;
  readonly expect: AuthDecision;
}
// The file is a fixture of ours: its shape is the interface above.
const cases = JSON.parse(
  readFileSync(new URL('../../../test/policy-cases.json', import.meta.url), 'utf8'),
) as readonly PolicyCase[];
const actionTypes = new Map<string, Info['actionType']>([
  ['iot:Publish', 'PUBLISH'],
  ['iot:Subscribe', 'SUBSCRIBE'],
  ['iot:Receive', 'RECEIVE'],
  ['iot:Connect', 'CONNECT'],
]);
/** Facts that can be made here: a client id and an untyped thing. The address is unknown to TestAuthorization, the rest is of other principals or connections. */
const expressible = ({ action, context }: PolicyCase): boolean =>
  actionTypes.has(action) &&
  context.thing?.type === undefined &&
  Object.entries(context).every(
    ([name, value]) => /^(clientId|sourceIp|thing)$/.test(name) || JSON.stringify(value) === '[]',
  );

test('the decision matrix has rows that TestAuthorization can be asked', () =>
  assert.equal(cases.filter(expressible).length, 29));

for (const { name, policies: documents, action, resource, context, expect } of cases.filter(expressible)) {
  test(`${name}: ${expect}, as the decision matrix has it (policy 10)`, async (t) => {
    const { ask, call } = await make(t, documents);
    const { thing, clientId } = context;
    if (thing) await createThing({ thingName: thing.name, attributePayload: { attributes: thing.attributes } }, call);
    if (thing?.attached) {
      const thingPrincipalType = thing.exclusive ? 'EXCLUSIVE_THING' : 'NON_EXCLUSIVE_THING';
      await attachThingPrincipal({ thingName: thing.name, principal, thingPrincipalType }, call);
    }
    const actionType = actionTypes.get(action);
    const [result] = await ask({ actionType, resources: [resource] }, { clientId });
    assert.equal(result?.authDecision, expect);
  });
}

test('policyNamesToAdd and policyNamesToSkip: what if this were attached, or that were not (check 39)', async (t) => {
  const { ask, call } = await make(t, [documentOf(allow('iot:Publish', 'topic/a')), documentOf(deny('iot:*', '*'))]);
  await createPolicy({ policyName: 'b', policyDocument: JSON.stringify(documentOf(allow('iot:*', 'topic/b'))) }, call);
  const decide = async (topic: string, rest: Partial<Input>) => (await ask(publish(topic), rest))[0];
  assert.equal((await decide('a', {}))?.authDecision, 'EXPLICIT_DENY');
  assert.equal((await decide('a', { policyNamesToSkip: ['p1'] }))?.authDecision, 'ALLOWED');
  assert.equal((await decide('a', { policyNamesToSkip: ['p0', 'p1'] }))?.authDecision, 'IMPLICIT_DENY');
  const added = await decide('b', { policyNamesToSkip: ['p1'], policyNamesToAdd: ['b', 'p0', 'b'] });
  assert.deepEqual([added?.authDecision, added?.allowed], ['ALLOWED', named('b')]);
  assert.deepEqual(added?.denied?.implicitDeny, named('p0'), 'what is attached and added counts once');
  const both = await decide('b', { policyNamesToSkip: ['p1', 'b'], policyNamesToAdd: ['b'] });
  assert.equal(both?.authDecision, 'IMPLICIT_DENY', 'what is added and skipped is skipped');
});

test('the default version decides, from the moment that it is the default', async (t) => {
  const { ask, call } = await make(t, [documentOf(allow('iot:Publish', 'topic/a'))]);
  const policyDocument = JSON.stringify(documentOf(allow('iot:Publish', 'topic/b')));
  await createPolicyVersion({ policyName: 'p0', policyDocument }, call);
  assert.equal((await ask(publish('a')))[0]?.authDecision, 'ALLOWED');
  await createPolicyVersion({ policyName: 'p0', policyDocument, setAsDefault: true }, call);
  assert.equal((await ask(publish('a')))[0]?.authDecision, 'IMPLICIT_DENY');
  assert.equal((await ask(publish('b')))[0]?.authDecision, 'ALLOWED');
});

test('a stored document that cannot be read grants nothing, as at the gateway', async (t) => {
  const { ask, call } = await make(t, [documentOf(allow('iot:*', '*')), documentOf(allow('iot:*', '*'))]);
  await call.write((db) =>
    db.updateTable('policy_versions').set({ document: '{' }).where('policy_name', '=', 'p1').execute(),
  );
  const [result] = await ask(publish('a'));
  assert.equal(result?.authDecision, 'IMPLICIT_DENY');
  assert.deepEqual(result?.denied?.implicitDeny, named('p0', 'p1'));
});

const unknownCertificate = certificateArn(account, 'e'.repeat(64));
const infos = [publish('a')];
const refusals: [rule: string, input: Input, name: FaultName, message: RegExp][] = [
  ['neither principal nor pool', { authInfos: infos }, 'InvalidRequestException', /^Name a principal/],
  [
    'a pool only',
    { authInfos: infos, cognitoIdentityPoolId: 'us-east-1:pool' },
    'InvalidRequestException',
    /Cognito identities are not available/,
  ],
  [
    'a Cognito identity',
    { authInfos: infos, principal: 'us-east-1:0a1b2c3d-0000-4000-8000-000000000000' },
    'InvalidRequestException',
    /Cognito/,
  ],
  ['a principal that is none', { authInfos: infos, principal: 'me' }, 'InvalidRequestException', /Invalid Target: me/],
  [
    'an unknown certificate',
    { authInfos: infos, principal: unknownCertificate },
    'ResourceNotFoundException',
    /eeee does not exist$/,
  ],
  [
    'the certificate under another account',
    { authInfos: infos, principal: certificateArn(otherAccount, version1Id) },
    'ResourceNotFoundException',
    /does not exist$/,
  ],
  [
    'a thing group',
    { authInfos: infos, principal: iotArn(account, 'thinggroup', 'g') },
    'ResourceNotFoundException',
    /Thing group g does not exist/,
  ],
  [
    'an unknown policy to add',
    { authInfos: infos, principal, policyNamesToAdd: ['ghost'] },
    'ResourceNotFoundException',
    /name=ghost/,
  ],
  [
    'an unknown policy to skip',
    { authInfos: infos, principal, policyNamesToSkip: ['ghost'] },
    'ResourceNotFoundException',
    /name=ghost/,
  ],
  [
    'a resource that is no ARN',
    { authInfos: [{ actionType: 'PUBLISH', resources: ['topic/a'] }], principal },
    'InvalidRequestException',
    /^Invalid resource, not an ARN: topic\/a$/,
  ],
  [
    'no resources',
    { authInfos: [{ actionType: 'PUBLISH', resources: [] }], principal },
    'InvalidRequestException',
    /at least one resource/,
  ],
  ['no action', { authInfos: [{ resources: [arn('topic/a')] }], principal }, 'InvalidRequestException', /actionType/],
  [
    'too many names',
    { authInfos: infos, principal, policyNamesToAdd: Array.from({ length: policyNamesMax + 1 }, () => 'p') },
    'LimitExceededException',
    /At most 10 policies/,
  ],
  [
    'too many resources in all',
    {
      authInfos: [publish('a'), { actionType: 'PUBLISH', resources: Array(resourcesMax).fill(arn('topic/a')) }],
      principal,
    },
    'LimitExceededException',
    /At most 100 resources/,
  ],
];
for (const [rule, input, name, message] of refusals) {
  test(`refused: ${rule} is ${name} (policy 8)`, async (t) => {
    const { handler, call } = await make(t);
    await assert.rejects(handler(input, call), { name, message });
  });
}

test('the certificate and the policies of another account are unknown', async (t) => {
  const { handler, callAs } = await make(t, [documentOf(allow('iot:*', '*'))]);
  const other: Call = callAs(otherAccount);
  const own = certificateArn(otherAccount, version1Id);
  await assert.rejects(handler({ principal: own, authInfos: infos }, other), { name: 'ResourceNotFoundException' });
});
