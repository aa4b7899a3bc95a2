/** Every decision equals that of the naive evaluator in test/naive-iam.ts, over generated documents and requests. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  type NaiveIamPolicy,
  type NaiveIamRequest,
  type NaiveIamStatement,
  type NaiveTrustRequest,
  naiveIam,
  naiveTrust,
} from '../../test/naive-iam.ts';
import { decideIam } from './decide.ts';
import { parseIamPolicy } from './document.ts';
import { trustDecision } from './trust.ts';

type Trusted = NonNullable<NaiveIamStatement['Principal']>;
type Conditions = NonNullable<NaiveIamStatement['Condition']>;

/** Few characters, all of them special somewhere, so that patterns and texts meet. */
const characters = ['*', '?', '$', '{', '}', ':', '/', 'a', 'b', 'A', '😀'];
const variables = [
  '${*}',
  '${?}',
  '${$}',
  '${aws:username}',
  '${AWS:UserName}',
  "${aws:username, 'a'}",
  "${ aws:PrincipalTag/x ,'*b' }",
  '${aws:PrincipalTag/x}',
  '${aws:TagKeys}',
  "${aws:TagKeys, 'b'}",
  '${nope}',
  '${}',
  '${',
];
const texts = fc.string({ unit: fc.constantFrom(...characters), maxLength: 5 });
const templates = fc
  .array(
    fc.oneof(
      { weight: 6, arbitrary: fc.constantFrom(...characters) },
      { weight: 2, arbitrary: fc.constantFrom('*', '?') },
      { weight: 2, arbitrary: fc.constantFrom(...variables) },
    ),
    { maxLength: 6 },
  )
  .map((parts) => parts.join(''));

const regions = ['aa', 'ab', 'b'];
const heads = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom('arn:aws:iot:aa:1:', 'arn:aws:iot:*:*:', 'arn:aws:iot:*:', 'arn:aws:io*', 'arn:*', '*'),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(
        fc.string({ unit: fc.constantFrom('a', 'b', '*', '?', ':'), maxLength: 5 }),
        fc.string({ unit: fc.constantFrom('1', '2', '*', '?'), maxLength: 3 }),
      )
      .map(([region, account]) => `arn:aws:iot:${region}:${account}:`),
  },
);
/** Only in its last component an ARN may have variables. */
const resources = fc
  .tuple(heads, templates)
  .map(([head, rest]) => (head.split(':').length > 5 ? head + rest : head + rest.replace(/\$\{[^}]*\}?/g, '')));
const named = fc
  .tuple(fc.constantFrom(...regions), fc.constantFrom('1', '12'), fc.oneof(texts, fc.constantFrom('', 'a', 'b', 'ab')))
  .map(([region, account, name]) => `arn:aws:iot:${region}:${account}:${name}`);

const actionPatterns = fc.constantFrom(
  '*',
  '*',
  'iot:*',
  'iot:creatething',
  'IOT:*Thing',
  'iot:Get*',
  'iot:?e*e*',
  'sts:*',
  'iam:GetRole',
);
const actions = fc.constantFrom('iot:CreateThing', 'iot:GetPolicy', 'iot:DeleteThing', 'iam:GetRole', 'sts:AssumeRole');
const keys = fc.constantFrom(
  'aws:username',
  'AWS:userName',
  'aws:PrincipalTag/X',
  'aws:TagKeys',
  'aws:SourceIp',
  'aws:CurrentTime',
  'aws:EpochTime',
  'aws:SecureTransport',
  'aws:PrincipalArn',
  'aws:nope',
);
const bases = [
  ...['StringEquals', 'StringNotEquals', 'StringEqualsIgnoreCase', 'StringNotEqualsIgnoreCase', 'StringLike'],
  ...['StringNotLike', 'ArnEquals', 'ArnLike', 'ArnNotEquals', 'ArnNotLike', 'Bool', 'BinaryEquals', 'IpAddress'],
  ...['NotIpAddress', 'NumericEquals', 'NumericNotEquals', 'NumericLessThan', 'NumericLessThanEquals'],
  ...['NumericGreaterThan', 'NumericGreaterThanEquals', 'DateEquals', 'DateNotEquals', 'DateLessThan'],
  ...['DateLessThanEquals', 'DateGreaterThan', 'DateGreaterThanEquals'],
];
const operators = fc.oneof(
  { weight: 1, arbitrary: fc.constant('Null') },
  {
    weight: 9,
    arbitrary: fc
      .tuple(
        fc.constantFrom('', '', 'ForAllValues:', 'ForAnyValue:'),
        fc.constantFrom(...bases),
        fc.constantFrom('', '', 'IfExists'),
      )
      .map((parts) => parts.join('')),
  },
);
const addresses = ['10.0.0.1', '10.0.0.129', '2001:db8::1', '2001:db8:0:1::'];
const wellKnown = [
  ...['true', 'FALSE', '7', '7.0', '-1e1', '1970-01-01T00:00:07Z', '1970-01-01', '2001:db8::/32', '10.0.0.0/24'],
  ...['10.0.0.128/25', '0.0.0.0/0', '10.0.0.1/33', '10.0.0.1/', 'arn:aws:iam::1:user/a', 'arn:aws:iam::*:user/?'],
  ...['arn:*:iam::1:user/${aws:username}', 'arn:aws:iam:*:user/a', ...addresses],
];
const values = fc.oneof(
  { weight: 4, arbitrary: templates },
  { weight: 4, arbitrary: fc.constantFrom<string | number | boolean>(...wellKnown, 7, -10, true, false) },
);
const conditions = fc.dictionary(
  operators,
  fc.dictionary(keys, fc.array(values, { maxLength: 3 }), { minKeys: 1, maxKeys: 2 }),
  {
    maxKeys: 2,
  },
);
const some = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(arbitrary, { minLength: 1, maxLength: 3 });
const effects = fc.constantFrom('Allow' as const, 'Allow' as const, 'Allow' as const, 'Deny' as const);
const optional = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined });

const statements: fc.Arbitrary<NaiveIamStatement> = fc
  .record({
    Effect: effects,
    action: fc.record({ not: fc.nat(4), patterns: some(actionPatterns) }),
    resource: fc.record({ not: fc.nat(4), patterns: fc.oneof(some(resources), fc.constant<string[]>(['*'])) }),
    Condition: fc.option(conditions, { nil: undefined, freq: 2 }),
  })
  .map(({ Effect, action, resource, Condition }) => ({
    Effect,
    ...(action.not === 0 ? { NotAction: action.patterns } : { Action: action.patterns }),
    ...(resource.not === 0 ? { NotResource: resource.patterns } : { Resource: resource.patterns }),
    ...(Condition && { Condition }),
  }));
const versions = fc
  .nat(9)
  .map((which) => (which > 2 ? { Version: '2012-10-17' } : which === 2 ? { Version: '2008-10-17' } : {}));
const policyOf = (one: fc.Arbitrary<NaiveIamStatement>): fc.Arbitrary<NaiveIamPolicy> =>
  fc.tuple(versions, fc.oneof(one, some(one))).map(([version, Statement]) => ({ ...version, Statement }));
const policies = policyOf(statements);

const contexts: fc.Arbitrary<NaiveIamRequest['context']> = fc
  .record({
    'aws:username': optional(texts),
    'aws:PrincipalTag/x': optional(texts),
    'aws:TagKeys': optional(fc.array(fc.oneof(texts, fc.constantFrom(...wellKnown)), { maxLength: 3 })),
    'aws:SourceIp': optional(fc.constantFrom(...addresses)),
    'aws:CurrentTime': optional(fc.constantFrom('1970-01-01T00:00:07Z', '1970-01-02T00:00:00Z')),
    'AWS:epochtime': optional(fc.constantFrom('7', '-10', '86400')),
    'aws:SecureTransport': optional(fc.constantFrom('true', 'false')),
    'aws:PrincipalArn': optional(
      fc.constantFrom('arn:aws:iam::1:user/a', 'arn:aws:iam::1:user/a:b', 'arn:aws:iam::2:role/b'),
    ),
  })
  .map((context) => {
    const present: NaiveIamRequest['context'] = {};
    for (const [name, value] of Object.entries(context)) if (value !== undefined) present[name] = value;
    return present;
  });
const requests: fc.Arbitrary<NaiveIamRequest> = fc.record({
  action: actions,
  resource: fc.oneof({ weight: 9, arbitrary: named }, { weight: 1, arbitrary: fc.constant('*') }),
  context: contexts,
});

const read = (policy: NaiveIamPolicy) => ({
  policyName: 'p',
  policy: parseIamPolicy(JSON.stringify(policy), 'identity'),
});
const decide = (
  identity: NaiveIamPolicy[],
  boundary: NaiveIamPolicy | undefined,
  session: NaiveIamPolicy[] | undefined,
  request: NaiveIamRequest,
) =>
  decideIam(
    {
      identity: identity.map(read),
      ...(boundary && { boundary: read(boundary) }),
      ...(session && { session: session.map(read) }),
    },
    request,
  );

/** The decision of one policy, which both make. */
const alike = (policy: NaiveIamPolicy, request: NaiveIamRequest): string => {
  const { reason } = decide([policy], undefined, undefined, request);
  assert.equal(reason, naiveIam([policy], undefined, undefined, request));
  return reason;
};

/** Counts how often something was seen, so that inputs which prove too little are. */
const tally = () => {
  const seen = new Map<string, number>();
  return {
    add: (what: string) => seen.set(what, (seen.get(what) ?? 0) + 1),
    atLeast(times: number, ...all: readonly string[]) {
      for (const what of all) {
        assert.ok(
          (seen.get(what) ?? 0) >= times,
          `${what} was seen ${seen.get(what) ?? 0} times: that proves too little`,
        );
      }
    },
  };
};

describe('decisions of IAM against the naive evaluator', () => {
  test('are alike with boundary and session policies', () => {
    const seen = tally();
    const sets = fc.record({
      identity: fc.array(policies, { maxLength: 3 }),
      boundary: optional(policies),
      session: optional(fc.array(policies, { maxLength: 2 })),
    });
    fc.assert(
      fc.property(sets, requests, ({ identity, boundary, session }, request) => {
        const { reason, allowed, isBounded } = decide(identity, boundary, session, request);
        seen.add(reason);
        assert.equal(reason, naiveIam(identity, boundary, session, request));
        assert.equal(allowed, reason === 'ALLOWED');
        const everything: NaiveIamPolicy = { Statement: { Effect: 'Allow', Action: '*', Resource: '*' } };
        const limits = naiveIam([everything], boundary, session, request);
        if (reason === 'IMPLICIT_DENY') assert.equal(isBounded === true, limits === 'IMPLICIT_DENY');
      }),
      { numRuns: 3000 },
    );
    seen.atLeast(60, 'ALLOWED', 'EXPLICIT_DENY', 'IMPLICIT_DENY');
  });

  test('are alike on one resource', () => {
    const seen = tally();
    fc.assert(
      fc.property(versions, resources, requests, (version, Resource, request) => {
        seen.add(alike({ ...version, Statement: { Effect: 'Allow', Action: '*', Resource } }, request));
      }),
      { numRuns: 3000 },
    );
    seen.atLeast(200, 'ALLOWED', 'IMPLICIT_DENY');
  });

  test('are alike on the resource that is asked for, where some characters are wildcards or variables', () => {
    const seen = tally();
    const changes = fc.array(
      fc.constantFrom('', '', '', '', '', '', '', '*', '?', '${aws:username}', "${aws:nope, 'a'}"),
      {
        minLength: 30,
        maxLength: 30,
      },
    );
    fc.assert(
      fc.property(versions, changes, requests, (version, change, request) => {
        const written = [...request.resource].map((character, index) => {
          const changed = change[index % change.length] ?? '';
          const isVariable = changed.startsWith('$');
          const stays = changed === '' || index < 8 || character === ':' || (isVariable && index < 17);
          return stays ? character : changed;
        });
        const Resource = written.join('');
        seen.add(alike({ ...version, Statement: { Effect: 'Allow', Action: '*', Resource } }, request));
      }),
      { numRuns: 4000 },
    );
    seen.atLeast(300, 'ALLOWED', 'IMPLICIT_DENY');
  });

  test('are alike on globs of two letters and colons, which match in many ways', () => {
    const seen = tally();
    const globs = fc.string({ unit: fc.constantFrom('a', 'b', ':', '*', '*', '?'), maxLength: 10 });
    const names = fc.string({ unit: fc.constantFrom('a', 'a', 'b', ':'), maxLength: 12 });
    fc.assert(
      fc.property(globs, names, (glob, name) => {
        const request = { action: 'iot:CreateThing', resource: `arn:aws:${name}`, context: {} };
        seen.add(alike({ Statement: { Effect: 'Allow', Action: '*', Resource: `arn:aws:${glob}*` } }, request));
      }),
      { numRuns: 5000 },
    );
    seen.atLeast(500, 'ALLOWED', 'IMPLICIT_DENY');
  });

  test('are alike on one condition', () => {
    const seen = tally();
    const one = fc.record({ operator: operators, key: keys, wanted: fc.array(values, { maxLength: 3 }) });
    fc.assert(
      fc.property(versions, one, requests, (version, { operator, key, wanted }, request) => {
        const Condition = { [operator]: { [key]: wanted } };
        seen.add(alike({ ...version, Statement: { Effect: 'Allow', Action: '*', Resource: '*', Condition } }, request));
      }),
      { numRuns: 6000 },
    );
    seen.atLeast(1500, 'ALLOWED', 'IMPLICIT_DENY');
  });

  test('are alike for trust policies', () => {
    const seen = tally();
    const accounts = ['000000000001', '000000000002'];
    const arns = accounts.flatMap((account) => [
      ...['root', 'user/a', 'user/team/a', 'role/R', 'role/team/R', 'role/r'].map(
        (name) => `arn:aws:iam::${account}:${name}`,
      ),
      ...['assumed-role/R/s', 'assumed-role/R/t', 'assumed-role/r/s'].map((name) => `arn:aws:sts::${account}:${name}`),
    ]);
    const services = ['iot.amazonaws.com', 'credentials.iot.amazonaws.com'];
    const principals: fc.Arbitrary<Trusted> = fc.oneof(
      {
        weight: 1,
        arbitrary: fc.constantFrom<Trusted>('*', { AWS: '*' }, { Federated: 'accounts.google.com' }),
      },
      {
        weight: 3,
        arbitrary: fc.record({
          AWS: fc.oneof(fc.constantFrom(...arns), some(fc.constantFrom(...arns, ...accounts, '*'))),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ Service: some(fc.constantFrom(...services)), AWS: fc.constantFrom(...arns) }),
      },
    );
    const trusting: fc.Arbitrary<NaiveIamStatement> = fc
      .record({
        Effect: effects,
        Principal: principals,
        action: fc.constantFrom<Pick<NaiveIamStatement, 'Action' | 'NotAction'>>(
          { Action: 'sts:*' },
          { Action: ['sts:assumerole'] },
          { NotAction: 'sts:Get*' },
          { Action: 'sts:TagSession' },
        ),
        Condition: optional(
          fc.constantFrom<Conditions>(
            { StringEquals: { 'aws:username': 'a' } },
            { Bool: { 'aws:SecureTransport': true } },
          ),
        ),
      })
      .map(({ Effect, Principal, action, Condition }) => ({
        Effect,
        Principal,
        ...action,
        ...(Condition && { Condition }),
      }));
    const callers: fc.Arbitrary<Pick<NaiveTrustRequest, 'caller' | 'service'>> = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.constantFrom(...arns).map((arn) => ({ caller: { arn, accountId: arn.split(':')[4] ?? '' } })),
      },
      { weight: 1, arbitrary: fc.constantFrom(...services).map((service) => ({ service })) },
    );
    fc.assert(
      fc.property(policyOf(trusting), callers, contexts, (policy, asking, context) => {
        const { caller, service } = asking;
        const decision = trustDecision(parseIamPolicy(JSON.stringify(policy), 'trust'), {
          ...(caller && { principalArn: caller.arn, accountId: caller.accountId }),
          ...(service !== undefined && { service }),
          ...{ action: 'sts:AssumeRole', context },
        });
        const said = decision.allowed ? decision.named : decision.reason;
        seen.add(String(said));
        assert.equal(said, naiveTrust(policy, { ...asking, action: 'sts:AssumeRole', context }));
      }),
      { numRuns: 6000 },
    );
    seen.atLeast(20, 'principal', 'role', 'account', 'everybody', 'EXPLICIT_DENY', 'IMPLICIT_DENY');
  });
});
