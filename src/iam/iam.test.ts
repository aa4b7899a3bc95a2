/** The policy language of IAM, rule by rule. Source: IAM user guide, "Policy evaluation logic", "IAM JSON policy elements reference". */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decideIam, type IamContext } from './decide.ts';
import { parseIamPolicy } from './document.ts';
import { MalformedIamPolicy } from './malformed.ts';
import { decideKeptTrust, trustDecision } from './trust.ts';

const version = '2012-10-17';
const named = (policyName: string, ...statements: readonly object[]) => ({
  policyName,
  policy: parseIamPolicy(JSON.stringify({ Version: version, Statement: statements }), 'identity'),
});
const allow = (Action: unknown, Resource: unknown = '*', more: object = {}) => ({
  Effect: 'Allow',
  Action,
  Resource,
  ...more,
});
const deny = (Action: unknown, Resource: unknown = '*', more: object = {}) => ({
  ...allow(Action, Resource, more),
  Effect: 'Deny',
});
const thing = 'arn:aws:iot:us-east-1:000000000000:thing/pump';
const ask = (
  statements: readonly object[],
  { action = 'iot:CreateThing', resource = thing, context = {} as IamContext } = {},
) => decideIam({ identity: [named('mine', ...statements)] }, { action, resource, context }).reason;

type Row = [rule: string, statements: readonly object[], expected: string, asked?: Parameters<typeof ask>[1]];
const rows: readonly Row[] = [
  ['nothing allows what no statement names', [], 'IMPLICIT_DENY'],
  ['an action by its name', [allow('iot:CreateThing')], 'ALLOWED'],
  ['actions are told apart whatever their case', [allow('IOT:creatething')], 'ALLOWED'],
  ['* in an action', [allow('iot:Create*')], 'ALLOWED'],
  ['? stands for one character', [allow('iot:CreateThin?'), deny('iot:CreateThing?')], 'ALLOWED'],
  ['a list of actions', [allow(['iot:DeleteThing', 'iot:CreateThing'])], 'ALLOWED'],
  ['NotAction allows all others', [{ Effect: 'Allow', NotAction: 'iot:Delete*', Resource: '*' }], 'ALLOWED'],
  ['NotAction does not allow those', [{ Effect: 'Allow', NotAction: 'iot:Create*', Resource: '*' }], 'IMPLICIT_DENY'],
  [
    'a Deny outweighs an Allow, in whatever order',
    [deny('iot:*'), allow('*'), deny('iot:CreateThing')],
    'EXPLICIT_DENY',
  ],
  ['a resource by its ARN', [allow('*', thing)], 'ALLOWED'],
  [
    'resources keep their case',
    [allow('*', thing.toUpperCase().replace('ARN:AWS:IOT', 'arn:aws:iot'))],
    'IMPLICIT_DENY',
  ],
  ['* in a resource spans segments', [allow('*', 'arn:aws:iot:*/pump')], 'ALLOWED'],
  ['NotResource', [{ Effect: 'Allow', Action: '*', NotResource: 'arn:aws:iot:*:*:cert/*' }], 'ALLOWED'],
  [
    'a variable',
    [allow('*', 'arn:aws:iot:*:*:thing/${aws:username}')],
    'ALLOWED',
    { context: { 'aws:username': 'pump' } },
  ],
  ['a variable without value matches nothing', [allow('*', 'arn:aws:iot:*:*:thing/${aws:username}*')], 'IMPLICIT_DENY'],
  [
    'a value is no pattern',
    [allow('*', 'arn:aws:iot:*:*:thing/${aws:username}')],
    'IMPLICIT_DENY',
    { context: { 'aws:username': '*' } },
  ],
  ['a variable with a default', [allow('*', "arn:aws:iot:*:*:thing/${aws:PrincipalTag/x, 'pump'}")], 'ALLOWED'],
  ['${*} is an asterisk', [allow('*', 'arn:aws:iot:*:*:thing/${*}')], 'IMPLICIT_DENY'],
  [
    'a condition on a key in another case',
    [allow('*', '*', { Condition: { StringEquals: { 'AWS:requestedregion': ['eu-west-1', 'us-east-1'] } } })],
    'ALLOWED',
    { context: { 'aws:RequestedRegion': 'us-east-1' } },
  ],
  [
    'a condition on a key that is absent',
    [allow('*', '*', { Condition: { StringEquals: { 'aws:x': 'y' } } })],
    'IMPLICIT_DENY',
  ],
  ['...IfExists', [allow('*', '*', { Condition: { StringEqualsIfExists: { 'aws:x': 'y' } } })], 'ALLOWED'],
  [
    'a negated operator on an absent key',
    [allow('*', '*', { Condition: { StringNotEquals: { 'aws:x': 'y' } } })],
    'ALLOWED',
  ],
  ['Null', [allow('*', '*', { Condition: { Null: { 'aws:x': 'true' } } })], 'ALLOWED'],
  [
    'all operators and all keys must hold',
    [
      allow('*', '*', {
        Condition: { Bool: { 'aws:SecureTransport': 'true' }, NumericLessThan: { 'aws:EpochTime': 5 } },
      }),
    ],
    'IMPLICIT_DENY',
    { context: { 'aws:SecureTransport': 'true', 'aws:EpochTime': '7' } },
  ],
  [
    'IpAddress',
    [allow('*', '*', { Condition: { IpAddress: { 'aws:SourceIp': '192.0.2.0/24' } } })],
    'ALLOWED',
    { context: { 'aws:SourceIp': '192.0.2.77' } },
  ],
  [
    'ForAllValues',
    [allow('*', '*', { Condition: { 'ForAllValues:StringEquals': { 'aws:TagKeys': ['a', 'b'] } } })],
    'IMPLICIT_DENY',
    { context: { 'aws:TagKeys': ['a', 'c'] } },
  ],
  [
    'ForAnyValue',
    [allow('*', '*', { Condition: { 'ForAnyValue:StringEquals': { 'aws:TagKeys': ['a', 'b'] } } })],
    'ALLOWED',
    { context: { 'aws:TagKeys': ['a', 'c'] } },
  ],
  [
    'the components of an ARN are compared one by one',
    [allow('*', '*', { Condition: { ArnLike: { 'aws:PrincipalArn': 'arn:aws:iam::*:user/x' } } })],
    'IMPLICIT_DENY',
    { context: { 'aws:PrincipalArn': 'arn:aws:iam::1:user/y:user/x' } },
  ],
  [
    'a variable among the values of a condition',
    [allow('*', '*', { Condition: { StringEquals: { 'aws:x': '${aws:username}' } } })],
    'ALLOWED',
    { context: { 'aws:x': 'me', 'aws:username': 'me' } },
  ],
  [
    'an unresolved variable among them fits nothing, not even itself',
    [allow('*', '*', { Condition: { StringEquals: { 'aws:x': '${aws:username}' } } })],
    'IMPLICIT_DENY',
    { context: { 'aws:x': '${aws:username}' } },
  ],
];
for (const [rule, statements, expected, asked] of rows) {
  // an empty Statement is no policy: nothing is in force then
  const reason = () =>
    statements.length === 0
      ? decideIam({ identity: [] }, { action: 'iot:CreateThing', resource: thing, context: {} }).reason
      : ask(statements, asked);
  test(`${rule}: ${expected}`, () => assert.equal(reason(), expected));
}

test('in a document of 2008 variables are ordinary text', () => {
  const Statement = [allow('*', 'arn:aws:iot:*:*:thing/${aws:username}')];
  const policy = parseIamPolicy(JSON.stringify({ Version: '2008-10-17', Statement }), 'identity');
  const reasonFor = (resource: string) =>
    decideIam(
      { identity: [{ policyName: 'old', policy }] },
      { action: 'a:B', resource, context: { 'aws:username': 'me' } },
    ).reason;
  assert.equal(reasonFor('arn:aws:iot:r:a:thing/me'), 'IMPLICIT_DENY');
  assert.equal(reasonFor('arn:aws:iot:r:a:thing/${aws:username}'), 'ALLOWED');
});

test('in a document of 2008 a wildcard between braces is one', () => {
  const Statement = [allow('*', 'arn:aws:iot:*:*:thing/${*}')];
  const policy = parseIamPolicy(JSON.stringify({ Statement }), 'identity');
  const decide = (resource: string) =>
    decideIam({ identity: [{ policyName: 'old', policy }] }, { action: 'a:B', resource, context: {} }).reason;
  assert.equal(decide('arn:aws:iot:r:a:thing/${anything}'), 'ALLOWED');
  assert.equal(decide('arn:aws:iot:r:a:thing/*'), 'IMPLICIT_DENY');
});

test('boundary and session policies only take away, and a Deny of any of them wins', () => {
  const all = named('all', allow('*'));
  const none = named('none', allow('s3:*'));
  const never = named('never', deny('iot:CreateThing', '*', { Sid: 'Never' }));
  const request = { action: 'iot:CreateThing', resource: thing, context: {} };
  const reason = (policies: Parameters<typeof decideIam>[0]) => decideIam(policies, request).reason;
  assert.equal(reason({ identity: [all], boundary: all, session: [all] }), 'ALLOWED');
  assert.equal(reason({ identity: [all], boundary: none }), 'IMPLICIT_DENY');
  assert.equal(reason({ identity: [all], session: [none] }), 'IMPLICIT_DENY');
  assert.equal(reason({ identity: [all], session: [] }), 'IMPLICIT_DENY');
  assert.equal(reason({ identity: [none], session: [all] }), 'IMPLICIT_DENY');
  assert.deepEqual(decideIam({ identity: [none], boundary: all, session: [never] }, request), {
    allowed: false,
    reason: 'EXPLICIT_DENY',
    by: { policyName: 'never', sid: 'Never', statement: 0 },
  });
});

const malformed: readonly [rule: string, document: unknown, message: RegExp, kind?: 'trust'][] = [
  ['no JSON', '{', /^Syntax errors in policy\.$/],
  [
    'a member twice',
    '{"Version":"2012-10-17","Statement":{"Effect":"Deny","Effect":"Allow","Action":"*","Resource":"*"}}',
    /Syntax errors/,
  ],
  [
    'a member of every object',
    '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","__proto__":{}}}',
    /Syntax errors/,
  ],
  ['what is nested too deep', `${'{"Statement":'.repeat(20_000)}1${'}'.repeat(20_000)}`, /Syntax errors/],
  [
    'an operator of every object',
    { Version: version, Statement: [allow('*', '*', { Condition: { constructor: { 'a:b': '1' } } })] },
    /Invalid Condition type/,
  ],
  [
    'a long resource',
    { Version: version, Statement: [allow('*', 'x'.repeat(100_000))] },
    /^Resource x{512}\.\.\. must be/,
  ],
  ['another version', { Version: '2020-01-01', Statement: [allow('*')] }, /Syntax errors/],
  ['no statement', { Version: version }, /Syntax errors/],
  ['an empty list of statements', { Version: version, Statement: [] }, /Statement cannot be empty/],
  ['a member that is none', { Version: version, Statement: [{ ...allow('*'), Effct: 'Allow' }] }, /Syntax errors/],
  ['another effect', { Version: version, Statement: [{ ...allow('*'), Effect: 'allow' }] }, /Syntax errors/],
  ['no action', { Version: version, Statement: [{ Effect: 'Allow', Resource: '*' }] }, /must contain actions\.$/],
  ['both forms of action', { Version: version, Statement: [{ ...allow('*'), NotAction: 'a:B' }] }, /Syntax errors/],
  ['an action without service', { Version: version, Statement: [allow('CreateThing')] }, /prefaced by a vendor/],
  ['no resource', { Version: version, Statement: [{ Effect: 'Allow', Action: '*' }] }, /must contain resources\.$/],
  [
    'a resource that is no ARN',
    { Version: version, Statement: [allow('*', 'pump')] },
    /^Resource pump must be in ARN format/,
  ],
  [
    'a principal',
    { Version: version, Statement: [{ ...allow('*'), Principal: '*' }] },
    /should not specify a principal/,
  ],
  ['a Sid twice', { Version: version, Statement: [1, 2].map(() => allow('*', '*', { Sid: 'A' })) }, /must be unique/],
  ['a Sid with a blank', { Version: version, Statement: [allow('*', '*', { Sid: 'A b' })] }, /alpha-numeric/],
  [
    'an operator that is none',
    { Version: version, Statement: [allow('*', '*', { Condition: { Is: { 'a:b': '1' } } })] },
    /Invalid Condition type/,
  ],
  [
    'a trust policy with a resource',
    { Version: version, Statement: [{ ...allow('sts:AssumeRole'), Principal: '*' }] },
    /prohibited field Resource/,
    'trust',
  ],
  [
    'a trust policy without principal',
    { Version: version, Statement: [{ Effect: 'Allow', Action: 'sts:AssumeRole' }] },
    /Principal cannot be empty/,
    'trust',
  ],
  [
    'a trust policy that allows all others',
    { Version: version, Statement: [{ Effect: 'Allow', Action: 'sts:AssumeRole', NotPrincipal: { AWS: '*' } }] },
    /^Allow with NotPrincipal is not allowed\.$/,
    'trust',
  ],
  [
    'a trust policy that denies all others',
    {
      Version: version,
      Statement: [{ Effect: 'Deny', Action: 'sts:AssumeRole', NotPrincipal: { AWS: '000000000000' } }],
    },
    /^AssumeRole policy must not contain NotPrincipal field\.$/,
    'trust',
  ],
  [
    'another action than of STS',
    { Version: version, Statement: [{ Effect: 'Allow', Action: 'iot:Publish', Principal: '*' }] },
    /STS AssumeRole actions/,
    'trust',
  ],
  [
    'a principal that is none',
    { Version: version, Statement: [{ Effect: 'Allow', Action: 'sts:AssumeRole', Principal: { AWS: 'me' } }] },
    /Invalid principal in policy: "AWS":"me"/,
    'trust',
  ],
];
for (const [rule, document, message, kind = 'identity'] of malformed) {
  test(`${rule} is malformed`, () => {
    const text = typeof document === 'string' ? document : JSON.stringify(document);
    assert.throws(
      () => parseIamPolicy(text, kind),
      (error) => error instanceof MalformedIamPolicy && message.test(error.message),
    );
  });
}

const trusting = (Principal: unknown, more: object = {}) =>
  parseIamPolicy(
    JSON.stringify({
      Version: version,
      Statement: [{ Effect: 'Allow', Action: 'sts:AssumeRole', Principal, ...more }],
    }),
    'trust',
  );
const accountId = '000000000000';
const user = `arn:aws:iam::${accountId}:user/me`;
const session = `arn:aws:sts::${accountId}:assumed-role/Deploy/today`;
const trusts: readonly [rule: string, principal: unknown, principalArn: string, expected: string | undefined][] = [
  ['a user by its ARN', { AWS: user }, user, 'principal'],
  ['another user', { AWS: `${user}2` }, user, undefined],
  ['the account by its id', { AWS: accountId }, user, 'account'],
  ['the account by its root', { AWS: `arn:aws:iam::${accountId}:root` }, user, 'account'],
  ['everybody', '*', user, 'everybody'],
  ['everybody of AWS', { AWS: '*' }, user, 'everybody'],
  ['a session by its ARN', { AWS: session }, session, 'principal'],
  ['another session', { AWS: `${session}2` }, session, undefined],
  ['the role of a session, with its path', { AWS: `arn:aws:iam::${accountId}:role/team/Deploy` }, session, 'role'],
  ['a session in the closest way', { AWS: [accountId, '*', session] }, session, 'principal'],
  ["another account's role of that name", { AWS: 'arn:aws:iam::111111111111:role/Deploy' }, session, undefined],
  ['nobody whom an identity provider knows', { Federated: 'accounts.google.com' }, user, undefined],
  ['a service is no user', { Service: 'iot.amazonaws.com' }, user, undefined],
];
for (const [rule, principal, principalArn, expected] of trusts) {
  test(`a role trusts ${rule}: ${expected ?? 'no'}`, () => {
    const decision = trustDecision(trusting(principal), {
      principalArn,
      accountId,
      action: 'sts:AssumeRole',
      context: {},
    });
    assert.deepEqual([decision.allowed, decision.named], [expected !== undefined, expected]);
  });
}

test('a role trusts a service, under its conditions', () => {
  const policy = trusting(
    { Service: 'credentials.iot.amazonaws.com' },
    { Condition: { StringEquals: { 'aws:SourceAccount': accountId } } },
  );
  const ask = (service: string, context: IamContext) =>
    trustDecision(policy, { service, action: 'sts:AssumeRole', context }).allowed;
  assert.equal(ask('credentials.iot.amazonaws.com', { 'aws:SourceAccount': accountId }), true);
  assert.equal(ask('credentials.iot.amazonaws.com', { 'aws:SourceAccount': '111111111111' }), false);
  assert.equal(ask('iot.amazonaws.com', { 'aws:SourceAccount': accountId }), false);
});

test('a trust policy that is kept and cannot be read any more lets nobody', () => {
  const request = { service: 'credentials.iot.amazonaws.com', action: 'sts:AssumeRole', context: {} };
  const kept = (principal: string) =>
    JSON.stringify({
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', [principal]: { Service: request.service }, Action: 'sts:AssumeRole' }],
    });
  assert.equal(decideKeptTrust(kept('Principal'), request).allowed, true);
  assert.deepEqual(decideKeptTrust(kept('NotPrincipal'), request), { allowed: false, reason: 'IMPLICIT_DENY' });
});
