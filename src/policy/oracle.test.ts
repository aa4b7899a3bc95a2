/** Every decision equals that of the naive evaluator in test/naive-policy.ts, over generated policies, contexts and requests. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type NaivePolicy, type NaiveStatement, naiveDecision } from '../../test/naive-policy.ts';
import type { PolicyContext, PolicyRequest } from './context.ts';
import { evaluate } from './evaluate.ts';
import { compilePolicies, type NamedPolicy } from './policy-set.ts';
import { weigh } from './weigh.ts';

/** Few characters, all of them special somewhere, so that patterns and texts meet. */
const characters = ['*', '?', '$', '{', '}', '+', '#', '/', 'a', 'b', '\\', '=', '😀'];
const variables = [
  '${*}',
  '${?}',
  '${$}',
  '${iot:ClientId}',
  '${IOT:clientID}',
  '${iot:Connection.Thing.ThingName}',
  '${iot:Thing.ThingName}',
  '${iot:Connection.Thing.Attributes[a]}',
  '${iot:Connection.Thing.ThingTypeName}',
  '${iot:Certificate.Subject.CommonName}',
  '${iot:Certificate.Subject.CommonName.1}',
  '${iot:Certificate.Subject.CommonName.List}',
  '${iot:Certificate.Issuer.AlternativeName.DNSName.0}',
  '${nope}',
  '${}',
];

const texts = fc.string({ unit: fc.constantFrom(...characters), maxLength: 5 });
const pieces = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...characters) },
  { weight: 2, arbitrary: fc.constantFrom('*', '?') },
  { weight: 2, arbitrary: fc.constantFrom(...variables) },
);
const unterminated = /\$\{[^}]*$/;
const templates = fc
  .array(pieces, { maxLength: 6 })
  .map((parts) => parts.join(''))
  .filter((text) => !unterminated.test(text));

const scope = 'arn:aws:iot:eu-west-1:123456789012:topic/';
const resources = fc.oneof(
  { weight: 8, arbitrary: templates.map((text) => scope + text) },
  { weight: 1, arbitrary: templates.map((text) => `*${text}`) },
  { weight: 1, arbitrary: templates.map((text) => `\${iot:ClientId}${text}`) },
);
const actions = fc.constantFrom(
  'iot:Connect',
  'iot:Publish',
  'iot:RetainPublish',
  'iot:Receive',
  'iot:GetThingShadow',
  'iot:SendDirectMessage',
);
const actionPatterns = fc.constantFrom(
  '*',
  'iot:*',
  'iot:publish',
  'IOT:*Publish',
  'iot:Get*',
  'i?t:Connect',
  'sts:*',
  'iot:?e*e*',
);

const conditionKeys = fc.constantFrom(
  'iot:ClientId',
  'iot:Connection.Thing.IsAttached',
  'iot:connection.thing.attributes[a]',
  'iot:Connection.Thing.Attributes[A]',
  'iot:Certificate.Subject.CommonName',
  'iot:Certificate.Subject.CommonName.List',
  'iot:Certificate.Issuer.AlternativeName.DNSName.List',
  'iot:ConnectAttributes',
  'iot:LastWillTopic',
  'iot:Topic',
  'aws:SourceIp',
  'aws:CurrentTime',
  'aws:EpochTime',
  'iot:Nope',
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
  ...['true', 'FALSE', 'PersistentConnect', 'LastWill', '7', '7.0', '-1e1', '1970-01-01T00:00:07Z', '1970-01-01'],
  ...['2001:db8::/32', '10.0.0.0/24', '10.0.0.128/25', '0.0.0.0/0', '10.0.0.1/33', '10.0.0.1/', `${scope}*`],
  ...addresses,
];
const conditionValues = fc.oneof(templates, fc.constantFrom(...wellKnown));
const conditions = fc.dictionary(
  operators,
  fc.dictionary(conditionKeys, fc.array(conditionValues, { maxLength: 3 }), { maxKeys: 2 }),
  {
    maxKeys: 2,
  },
);

const some = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(arbitrary, { minLength: 1, maxLength: 3 });

const statements: fc.Arbitrary<NaiveStatement> = fc
  .record({
    Effect: fc.constantFrom('Allow' as const, 'Allow' as const, 'Deny' as const),
    action: fc.record({ not: fc.nat(4), patterns: some(actionPatterns) }),
    resource: fc.record({ not: fc.nat(3), patterns: some(resources) }),
    Condition: fc.option(conditions, { nil: undefined }),
  })
  .map(({ Effect, action, resource, Condition }) => ({
    Effect,
    ...(action.not === 0 ? { NotAction: action.patterns } : { Action: action.patterns }),
    ...(resource.not === 0 ? { NotResource: resource.patterns } : { Resource: resource.patterns }),
    ...(Condition && { Condition }),
  }));

const policies: fc.Arbitrary<NaivePolicy> = fc
  .record({ version: fc.nat(9), Statement: fc.oneof(statements, some(statements)) })
  .map(({ version, Statement }) => ({
    ...(version > 1 ? { Version: '2012-10-17' } : version === 1 ? { Version: '2008-10-17' } : {}),
    Statement,
  }));

const optional = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined });
const names = fc.record({
  CommonName: optional(fc.array(texts, { maxLength: 7 })),
  AlternativeName: optional(fc.record({ DNSName: fc.array(texts, { maxLength: 2 }) })),
});
const contexts: fc.Arbitrary<PolicyContext> = fc.record({
  clientId: optional(texts),
  sourceIp: optional(fc.constantFrom(...addresses)),
  protocol: fc.constantFrom(undefined, undefined, 'mqtt', 'https'),
  principalType: fc.constantFrom(
    undefined,
    undefined,
    'custom_auth',
    'cognito_authenticated',
    'cognito_unauthenticated',
  ),
  thing: optional(
    fc.record({
      name: texts,
      attached: fc.boolean(),
      exclusive: fc.boolean(),
      named: fc.constantFrom(undefined, undefined, true),
      type: optional(texts),
      attributes: fc.dictionary(fc.constantFrom('a', 'A'), texts),
    }),
  ),
  certificate: optional(fc.record({ id: fc.constant('c0ffee'), subject: optional(names), issuer: optional(names) })),
  connectAttributes: fc.subarray(['PersistentConnect', 'LastWill']),
  lastWillTopic: optional(texts),
  topic: optional(texts),
  now: optional(fc.constantFrom(0, 7_999, 86_400_000).map((ms) => () => ms)),
});
const requests: fc.Arbitrary<PolicyRequest> = fc.record({
  action: actions,
  resource: texts.map((text) => scope + text),
  context: contexts,
});

const named = (documents: readonly NaivePolicy[]): NamedPolicy[] =>
  documents.map((document, i) => ({
    policyName: `p${i}`,
    policyArn: `arn:aws:iot:eu-west-1:123456789012:policy/p${i}`,
    policyVersionId: '1',
    text: JSON.stringify(document),
  }));

const sets = fc.record({ attached: fc.array(policies, { maxLength: 3 }), role: fc.array(policies, { maxLength: 2 }) });

describe('the engine against the naive evaluator', () => {
  test('decides alike', () => {
    const seen = new Map<string, number>();
    fc.assert(
      fc.property(sets, requests, ({ attached, role }, request) => {
        const decision = evaluate(compilePolicies(named(attached), named(role)), request);
        seen.set(decision, (seen.get(decision) ?? 0) + 1);
        assert.equal(decision, naiveDecision(attached, role, request));
      }),
      { numRuns: 3000 },
    );
    for (const decision of ['ALLOWED', 'EXPLICIT_DENY', 'IMPLICIT_DENY']) {
      assert.ok(
        (seen.get(decision) ?? 0) > 100,
        `${decision} occurred ${seen.get(decision) ?? 0} times: the inputs prove too little`,
      );
    }
  });

  const allow = (statement: Partial<NaiveStatement>): NaivePolicy => ({
    Version: '2012-10-17',
    Statement: { Effect: 'Allow', Action: '*', ...statement },
  });
  const decidesAlike = (policy: NaivePolicy, request: PolicyRequest): boolean => {
    const plain = { ...request, context: { ...request.context, principalType: undefined } };
    const decision = evaluate(compilePolicies(named([policy])), plain);
    assert.equal(decision, naiveDecision([policy], [], plain));
    return decision === 'ALLOWED';
  };

  test('decides alike on one resource entry with variables', () => {
    fc.assert(
      fc.property(resources, requests, (Resource, request) => void decidesAlike(allow({ Resource }), request)),
      { numRuns: 2000 },
    );
  });

  test('decides alike on globs of two letters, which match in many ways', () => {
    let allowed = 0;
    const globs = fc.string({ unit: fc.constantFrom('a', 'b', '*', '*', '?', '${iot:ClientId}'), maxLength: 9 });
    const words = fc.string({ unit: fc.constantFrom('a', 'a', 'b'), maxLength: 12 });
    const clients = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 2 });
    fc.assert(
      fc.property(globs, words, clients, (glob, word, clientId) => {
        const request = { action: 'iot:Publish', resource: scope + word, context: { clientId } };
        allowed += decidesAlike(allow({ Resource: scope + glob }), request) ? 1 : 0;
      }),
      { numRuns: 3000 },
    );
    assert.ok(allowed > 300, `only ${allowed} matched: the inputs prove too little`);
  });

  test('decides alike on one condition', () => {
    let allowed = 0;
    const condition = fc.record({
      operator: operators,
      key: conditionKeys,
      values: fc.array(conditionValues, { maxLength: 3 }),
    });
    fc.assert(
      fc.property(condition, requests, ({ operator, key, values }, request) => {
        const policy = allow({ Resource: '*', Condition: { [operator]: { [key]: values } } });
        allowed += decidesAlike(policy, request) ? 1 : 0;
      }),
      { numRuns: 5000 },
    );
    assert.ok(allowed > 1000 && allowed < 4000, `${allowed} of 5000 were met: the inputs prove too little`);
  });

  test('the weighing names the statement that decided, and none when none did', () => {
    fc.assert(
      fc.property(sets, requests, ({ attached, role }, request) => {
        const { decision, statements, decidedBy } = weigh(compilePolicies(named(attached), named(role)), request);
        assert.equal(decision, naiveDecision(attached, role, request));
        const decider = decidedBy === undefined ? undefined : statements[decidedBy];
        assert.equal(decider?.outcome, decision === 'IMPLICIT_DENY' ? undefined : 'matched');
        assert.equal(decider?.effect, { ALLOWED: 'Allow', EXPLICIT_DENY: 'Deny', IMPLICIT_DENY: undefined }[decision]);
      }),
      { numRuns: 1000 },
    );
  });
});
