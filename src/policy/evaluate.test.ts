import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { AuthDecision } from '../aws/decision.ts';
import type { PolicyContext } from './context.ts';
import { evaluate } from './evaluate.ts';
import { compilePolicies, compilePolicy, joinPolicies, type NamedPolicy, type PolicySet } from './policy-set.ts';
import { missingContextValues, weigh } from './weigh.ts';

const arn = (resource: string): string => `arn:aws:iot:us-east-1:123456789012:${resource}`;

function policy(policyName: string, statements: readonly object[], Version = '2012-10-17'): NamedPolicy {
  const text = JSON.stringify({ Version, Statement: statements });
  return { policyName, policyArn: arn(`policy/${policyName}`), policyVersionId: '3', text };
}
const allow = (Action: string, resource: string, more: object = {}): object => ({
  Effect: 'Allow',
  Action,
  Resource: resource === '*' ? '*' : arn(resource),
  ...more,
});
const deny = (Action: string, resource: string, more: object = {}): object => ({
  ...allow(Action, resource, more),
  Effect: 'Deny',
});

const ask = (action: string, resource: string, context: PolicyContext = { clientId: 'dev1' }) => ({
  action: `iot:${action}`,
  resource: arn(resource),
  context,
});

describe('combining statements (spec policy.md 6)', () => {
  test('every action but the five of the data plane is matched too', () => {
    const set = compilePolicies([policy('p', [allow('iot:Get*', 'thing/*'), deny('iot:getthingshadow', 'thing/b')])]);
    assert.equal(evaluate(set, ask('GetThingShadow', 'thing/a')), 'ALLOWED');
    assert.equal(evaluate(set, ask('GetThingShadow', 'thing/b')), 'EXPLICIT_DENY');
    assert.equal(evaluate(set, ask('UpdateThingShadow', 'thing/a')), 'IMPLICIT_DENY');
  });

  test('a compiled policy may be joined into several sets', () => {
    const shared = compilePolicy(policy('p', [allow('iot:Publish', 'topic/a')]));
    const denied = joinPolicies([shared, compilePolicy(policy('q', [deny('*', '*')]))]);
    assert.equal(evaluate(joinPolicies([shared]), ask('Publish', 'topic/a')), 'ALLOWED');
    assert.equal(evaluate(denied, ask('Publish', 'topic/a')), 'EXPLICIT_DENY');
  });

  test('one malformed document fails the whole set (2.1, authorizers)', () =>
    assert.throws(() => compilePolicies([policy('p', [allow('*', '*')]), { ...policy('q', []), text: '{}' }]), {
      name: 'MalformedPolicy',
    }));

  test('a set says whether time plays a part, so that nobody remembers its decisions', () => {
    const timed = allow('*', '*', { Condition: { DateLessThan: { 'AWS:currenttime': '2030-01-01T00:00:00Z' } } });
    const set = compilePolicies([policy('p', [timed])]);
    assert.equal(set.usesClock, true);
    assert.equal(compilePolicies([policy('p', [allow('*', '*')])]).usesClock, false);
    let nowMs = Date.parse('2029-12-31T23:59:59Z');
    const request = ask('Publish', 'topic/a', { now: () => nowMs });
    assert.equal(evaluate(set, request), 'ALLOWED');
    nowMs += 1000;
    assert.equal(evaluate(set, request), 'IMPLICIT_DENY');
  });
});

describe('an unresolved variable (spec policy.md 4.4)', () => {
  const named = 'topic/${iot:Connection.Thing.ThingName}';
  const statement = (Effect: string, element: string, resources: string[]): object => ({
    Effect,
    Action: '*',
    [element]: resources.map(arn),
  });
  const cases: [statements: object[], expected: AuthDecision, rule: string][] = [
    [[statement('Allow', 'Resource', [named, 'topic/a'])], 'ALLOWED', 'only its own entry matches nothing'],
    [[allow('*', '*'), statement('Deny', 'Resource', [named])], 'ALLOWED', 'a Deny does not deny (11.2)'],
    [[statement('Allow', 'NotResource', ['topic/b'])], 'ALLOWED', 'NotResource without variables'],
    [
      [statement('Allow', 'NotResource', ['topic/b', named])],
      'IMPLICIT_DENY',
      'an Allow with NotResource does not apply',
    ],
    [[allow('*', '*'), statement('Deny', 'NotResource', [named])], 'EXPLICIT_DENY', 'a Deny with NotResource does'],
    [
      [allow('*', '*'), statement('Deny', 'NotResource', ['topic/a', named])],
      'EXPLICIT_DENY',
      'whatever else it names',
    ],
    [[allow('*', '*'), statement('Deny', 'NotResource', ['topic/a'])], 'ALLOWED', 'and does not without variables'],
  ];
  for (const [statements, expected, rule] of cases) {
    test(rule, () =>
      assert.equal(evaluate(compilePolicies([policy('p', statements)]), ask('Publish', 'topic/a')), expected),
    );
  }

  test('in NotResource counts in a document of 2008 too: its variables never have a value', () => {
    const set = compilePolicies([
      policy('p', [statement('Allow', 'NotResource', ['topic/${iot:ClientId}'])], '2008-10-17'),
    ]);
    assert.equal(evaluate(set, ask('Publish', 'topic/a')), 'IMPLICIT_DENY');
  });
});

describe('Cognito principals (spec policy.md 6)', () => {
  const all = [policy('all', [allow('*', '*')])];
  const none = [policy('none', [deny('*', '*')])];
  const authenticated: PolicyContext = { principalType: 'cognito_authenticated' };
  const unauthenticated: PolicyContext = { principalType: 'cognito_unauthenticated' };
  const cases: [set: PolicySet, action: string, context: PolicyContext, expected: AuthDecision, rule: string][] = [
    [compilePolicies(all, all), 'Publish', authenticated, 'ALLOWED', 'both allow'],
    [compilePolicies(all, []), 'Publish', authenticated, 'IMPLICIT_DENY', 'the role does not'],
    [compilePolicies([], all), 'Publish', authenticated, 'IMPLICIT_DENY', 'the identity has no policy'],
    [compilePolicies([], all), 'GetThingShadow', authenticated, 'IMPLICIT_DENY', 'shadows need both'],
    [compilePolicies(none, all), 'Publish', authenticated, 'EXPLICIT_DENY', 'a deny in either'],
    [compilePolicies([], none), 'Publish', authenticated, 'EXPLICIT_DENY', 'a deny in either'],
    [compilePolicies([], all), 'RetainPublish', authenticated, 'ALLOWED', 'other actions: the role only'],
    [compilePolicies(none, all), 'Publish', unauthenticated, 'ALLOWED', 'the role only'],
    [compilePolicies(all, []), 'Publish', unauthenticated, 'IMPLICIT_DENY', 'the role only'],
    [compilePolicies(all, none), 'Publish', { principalType: 'custom_auth' }, 'ALLOWED', 'no role elsewhere'],
    [compilePolicies(all, none), 'Publish', {}, 'ALLOWED', 'no role elsewhere'],
  ];
  for (const [set, action, context, expected, rule] of cases) {
    test(`${context.principalType ?? 'certificate'} ${action} is ${expected}: ${rule}`, () =>
      assert.equal(evaluate(set, ask(action, 'topic/a', context)), expected));
  }

  test('the weighing of an authenticated identity shows both sides', () => {
    const weighing = weigh(compilePolicies(all, none), ask('Publish', 'topic/a', authenticated));
    assert.equal(weighing.decision, 'EXPLICIT_DENY');
    assert.deepEqual(
      weighing.statements.map(({ policyName, outcome }) => [policyName, outcome]),
      [
        ['all', 'matched'],
        ['none', 'matched'],
      ],
    );
    assert.equal(weighing.decidedBy, 1);
  });
});

describe('weighing', () => {
  const thingName = '${iot:Connection.Thing.ThingName}';
  const office = {
    Condition: { IpAddress: { 'aws:SourceIp': '10.0.0.0/8' }, Bool: { 'iot:connection.thing.isattached': 'true' } },
  };
  const set = compilePolicies([
    policy('first', [
      allow('iot:Connect', `client/${thingName}`, { Sid: 'own' }),
      allow('iot:Publish', 'topic/a', office),
      allow('iot:Publish', 'topic/b'),
      deny('iot:Publish', `topic/x/${thingName}`),
    ]),
    policy('second', [deny('iot:Publish', 'topic/b')]),
  ]);
  const facts = { policyName: 'first', policyArn: arn('policy/first'), policyVersionId: '3' };

  test('tells the variable without which a statement did not match', () => {
    const { decision, statements, decidedBy, unresolved } = weigh(set, ask('Connect', 'client/dev1'));
    assert.equal(decision, 'IMPLICIT_DENY');
    assert.equal(decidedBy, undefined);
    const missing = ['iot:Connection.Thing.ThingName'];
    assert.deepEqual(statements[0], {
      ...facts,
      index: 0,
      sid: 'own',
      effect: 'Allow',
      outcome: 'unresolved',
      unresolved: missing,
    });
    assert.deepEqual(
      statements.slice(1).map(({ outcome }) => outcome),
      ['action', 'action', 'action', 'action'],
    );
    assert.deepEqual(unresolved, missing);
  });

  test('does not blame a variable where the resource misses anyway', () => {
    const { statements } = weigh(set, ask('Publish', 'topic/y'));
    assert.deepEqual(statements[3], { ...facts, index: 3, effect: 'Deny', outcome: 'resource' });
  });

  test('names the first condition that was not met, and its key when that has no value', () => {
    const outside = weigh(set, ask('Publish', 'topic/a', { clientId: 'dev1', sourceIp: '11.0.0.1' }));
    assert.deepEqual(outside.statements[1], {
      ...facts,
      index: 1,
      effect: 'Allow',
      outcome: 'condition',
      condition: 'IpAddress aws:SourceIp',
    });
    assert.deepEqual(outside.unresolved, ['iot:Connection.Thing.ThingName']);
    const unknown = weigh(set, ask('Publish', 'topic/a', { clientId: 'dev1' }));
    assert.deepEqual(unknown.statements[1]?.unresolved, ['aws:SourceIp']);
    const detached = weigh(set, ask('Publish', 'topic/a', { clientId: 'dev1', sourceIp: '10.0.0.1' }));
    assert.equal(detached.statements[1]?.condition, 'Bool iot:Connection.Thing.IsAttached');
  });

  test('points at the Deny that overrides an Allow', () => {
    const { decision, statements, decidedBy } = weigh(set, ask('Publish', 'topic/b'));
    assert.equal(decision, 'EXPLICIT_DENY');
    assert.equal(statements[2]?.outcome, 'matched');
    assert.equal(decidedBy, 4);
    assert.equal(statements[4]?.policyName, 'second');
  });

  test('blames the variable of a NotResource', () => {
    const except = policy('p', [{ Effect: 'Allow', Action: '*', NotResource: arn(`topic/${thingName}`) }]);
    const { statements } = weigh(compilePolicies([except]), ask('Publish', 'topic/a'));
    assert.deepEqual(statements[0]?.outcome, 'unresolved');
    assert.deepEqual(statements[0]?.unresolved, ['iot:Connection.Thing.ThingName']);
  });

  test('missing context values come from all statements, sorted and unique, as the guide spells them (8)', () => {
    const more = policy('more', [
      allow('sts:*', 'topic/${IOT:clientid}/${*}/${x}', {
        Condition: { StringLike: { 'aws:SourceIp': '${iot:DomainName}' } },
      }),
    ]);
    const all = joinPolicies([compilePolicy(more), compilePolicy(policy('p', [allow('*', 'client/${iot:ClientId}')]))]);
    assert.deepEqual(missingContextValues(all, ask('Publish', 'topic/a', {})), [
      'aws:SourceIp',
      'iot:ClientId',
      'iot:DomainName',
      'x',
    ]);
    assert.deepEqual(
      missingContextValues(all, ask('Publish', 'topic/a', { clientId: 'a', sourceIp: '::1', domainName: 'd' })),
      ['x'],
    );
  });
});
