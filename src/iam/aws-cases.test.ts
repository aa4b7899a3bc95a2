/**
 * What the IAM user guide says of policies, chapter by chapter: each row is a rule or an example of the guide, in a policy of ours. The naive evaluator
 * (test/naive-iam.ts) must say the same, so that it is held to the guide as well.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type NaiveIamStatement, naiveIam } from '../../test/naive-iam.ts';
import { decideIam } from './decide.ts';
import { parseIamPolicy } from './document.ts';

type Context = Record<string, string | string[]>;
type Row = [
  rule: string,
  statement: Omit<Partial<NaiveIamStatement>, 'Effect'>,
  met: readonly Context[],
  unmet: readonly Context[],
];

const thing = 'arn:aws:iot:us-east-1:000000000000:thing/pump';

/** Rows are statements that apply in the first contexts, and not in the others. `resource` is a key of ours: what is asked for, where it matters. */
const chapters: Readonly<Record<string, readonly Row[]>> = {
  Action: [
    ['service and name have no case', { Action: 'IoT:CREATEthing' }, [{}], []],
    ['a wildcard is part of a name', { Action: ['iot:*Thing', 'iot:?reateX'] }, [{}], []],
    ['NotAction is everything else, of every service', { NotAction: ['iot:Delete*', 's3:*'] }, [{}], []],
    ['NotAction leaves out what it names', { NotAction: 'iot:*' }, [], [{}]],
  ],
  Resource: [
    [
      'a wildcard spans slashes',
      { Resource: 'arn:aws:iot:us-east-1:000000000000:*mp' },
      [{}],
      [{ resource: `${thing}/x` }],
    ],
    [
      'a wildcard at the end of a component goes on after its colon',
      { Resource: 'arn:aws:iot:*:thing/pump' },
      [{}],
      [{ resource: 'arn:aws:iot:us-east-1:000000000000:thing/other' }],
    ],
    [
      'a wildcard within a component stays there',
      { Resource: 'arn:aws:iot:us-*-1:000000000000:thing/*' },
      [{}],
      [{ resource: 'arn:aws:iot:us-east-2:111111111111:thing/x-1:000000000000:thing/y' }],
    ],
    ['a question mark is one character', { Resource: `${thing.slice(0, -1)}?` }, [{}], [{ resource: `${thing}s` }]],
    [
      'NotResource is everything else',
      { NotResource: 'arn:aws:iot:*:*:cert/*' },
      [{}],
      [{ resource: thing.replace('thing', 'cert') }],
    ],
  ],
  'Variables and tags': [
    [
      'stand in resources',
      { Resource: 'arn:aws:iot:*:*:thing/${aws:username}' },
      [{ 'aws:username': 'pump' }],
      [{ 'aws:username': 'p*' }, {}],
    ],
    [
      'stand among other text',
      { Resource: 'arn:aws:iot:*:*:thing/${aws:PrincipalTag/a}${aws:PrincipalTag/b}' },
      [{ 'aws:PrincipalTag/a': 'pu', 'aws:PrincipalTag/b': 'mp' }],
      [{ 'aws:PrincipalTag/a': 'pump' }],
    ],
    [
      'names of keys have no case',
      { Resource: 'arn:aws:iot:*:*:thing/${AWS:PRINCIPALTAG/Team}' },
      [{ 'aws:PrincipalTag/team': 'pump' }],
      [],
    ],
    [
      'a default, where there is no value',
      { Resource: "arn:aws:iot:*:*:thing/${aws:PrincipalTag/team, 'pump'}" },
      [{}, { 'aws:PrincipalTag/team': 'pump' }],
      [{ 'aws:PrincipalTag/team': 'red' }],
    ],
    [
      'a key with a blank in it, with a default',
      { Resource: "arn:aws:iot:*:*:thing/${aws:PrincipalTag/cost center, 'pump'}" },
      [{}, { 'aws:PrincipalTag/Cost Center': 'pump' }],
      [{ 'aws:PrincipalTag/cost center': 'red' }],
    ],
    ['no value: no resource, in Resource', { Resource: ['arn:aws:iot:*:*:thing/${aws:username}*'] }, [], [{}]],
    [
      'no value: no resource, in NotResource',
      { NotResource: ['arn:aws:iot:*:*:thing/${aws:username}*'] },
      [{}],
      [{ 'aws:username': 'pu' }],
    ],
    ['no value: nothing is equal', { Condition: { StringEquals: { 'aws:x': '${aws:y}' } } }, [], [{ 'aws:x': '' }, {}]],
    [
      'no value: everything is unequal',
      { Condition: { StringNotEquals: { 'aws:x': '${aws:y}' } } },
      [{ 'aws:x': 'a' }, {}],
      [{ 'aws:x': 'a', 'aws:y': 'a' }],
    ],
    [
      'special characters',
      { Resource: 'arn:aws:iot:*:*:thing/${*}${?}${$}' },
      [{ resource: 'arn:aws:iot:a:1:thing/*?$' }],
      [{ resource: 'arn:aws:iot:a:1:thing/abc' }],
    ],
    [
      'keys with several values are no variables',
      { Condition: { StringLike: { 'aws:x': '${aws:TagKeys}' } } },
      [],
      [{ 'aws:x': 'a', 'aws:TagKeys': ['a'] }],
    ],
    [
      'only for strings and ARNs',
      { Condition: { NumericEquals: { 'aws:x': '${aws:y}' } } },
      [],
      [{ 'aws:x': '1', 'aws:y': '1' }],
    ],
    [
      'for ARNs',
      { Condition: { ArnLike: { 'aws:x': 'arn:aws:iot:*:*:thing/${aws:y}' } } },
      [{ 'aws:x': thing, 'aws:y': 'pump' }],
      [{ 'aws:x': thing, 'aws:y': '*' }],
    ],
  ],
  Condition: [
    [
      'operators and keys: all of them',
      { Condition: { StringEquals: { 'aws:x': 'a', 'aws:y': 'b' }, Bool: { 'aws:z': 'true' } } },
      [{ 'aws:x': 'a', 'aws:y': 'b', 'aws:z': 'true' }],
      [
        { 'aws:x': 'a', 'aws:y': 'b' },
        { 'aws:x': 'a', 'aws:z': 'true' },
      ],
    ],
    [
      'values: any of them',
      { Condition: { StringEquals: { 'aws:x': ['a', 'b'] } } },
      [{ 'aws:x': 'b' }],
      [{ 'aws:x': 'c' }],
    ],
    [
      'values of a negated operator: none of them',
      { Condition: { StringNotEquals: { 'aws:x': ['a', 'b'] } } },
      [{ 'aws:x': 'c' }, {}],
      [{ 'aws:x': 'b' }],
    ],
    ['a key that is absent', { Condition: { StringLike: { 'aws:x': '*' } } }, [{ 'aws:x': '' }], [{}]],
    [
      'case, where the operator says so',
      { Condition: { StringEqualsIgnoreCase: { 'aws:x': 'Ab' } } },
      [{ 'aws:x': 'aB' }],
      [{ 'aws:x': 'ab ' }],
    ],
    [
      'wildcards, where the operator says so',
      { Condition: { StringEquals: { 'aws:x': 'a*' } } },
      [{ 'aws:x': 'a*' }],
      [{ 'aws:x': 'ab' }],
    ],
    [
      'numbers',
      { Condition: { NumericLessThanEquals: { 'aws:x': 10 } } },
      [{ 'aws:x': '10.0' }, { 'aws:x': '-1' }],
      [{ 'aws:x': '11' }, { 'aws:x': 'ten' }, {}],
    ],
    [
      'dates, as ISO 8601 or in seconds',
      { Condition: { DateLessThan: { 'aws:CurrentTime': ['2020-01-01T00:00:00Z'] } } },
      [{ 'aws:CurrentTime': '2019-12-31T23:59:59Z' }, { 'aws:CurrentTime': '1577836799' }],
      [{ 'aws:CurrentTime': '2020-01-01T00:00:00Z' }],
    ],
    ['booleans', { Condition: { Bool: { 'aws:x': false } } }, [{ 'aws:x': 'false' }], [{ 'aws:x': 'true' }, {}]],
    [
      'addresses',
      { Condition: { IpAddress: { 'aws:SourceIp': ['203.0.113.0/24', '2001:db8:1234:5678::/64'] } } },
      [{ 'aws:SourceIp': '203.0.113.9' }, { 'aws:SourceIp': '2001:db8:1234:5678::1' }],
      [{ 'aws:SourceIp': '203.0.114.1' }],
    ],
    [
      'not from addresses',
      { Condition: { NotIpAddress: { 'aws:SourceIp': '192.0.2.0/24' } } },
      [{ 'aws:SourceIp': '198.51.100.1' }, {}],
      [{ 'aws:SourceIp': '192.0.2.1' }],
    ],
    [
      'ARNs, component by component, equals as like',
      { Condition: { ArnEquals: { 'aws:x': 'arn:aws:sns:*:123456789012:*' } } },
      [{ 'aws:x': 'arn:aws:sns:r:123456789012:a:b' }],
      [{ 'aws:x': 'arn:aws:sns:r:x:123456789012:a' }],
    ],
    [
      'IfExists: only of a key that is there',
      { Condition: { StringEqualsIfExists: { 'aws:x': 'a' } } },
      [{}, { 'aws:x': 'a' }],
      [{ 'aws:x': 'b' }],
    ],
    [
      'Null: whether the key is there',
      { Condition: { Null: { 'aws:x': 'true', 'aws:y': 'false' } } },
      [{ 'aws:y': 'a' }],
      [{}, { 'aws:x': 'a', 'aws:y': 'a' }],
    ],
  ],
  'Multivalued context keys': [
    [
      'ForAllValues: every value of the request',
      { Condition: { 'ForAllValues:StringEquals': { 'aws:TagKeys': ['a', 'b'] } } },
      [{ 'aws:TagKeys': ['a'] }, { 'aws:TagKeys': ['b', 'a'] }, { 'aws:TagKeys': [] }, {}],
      [{ 'aws:TagKeys': ['a', 'c'] }],
    ],
    [
      'ForAnyValue: one value of the request',
      { Condition: { 'ForAnyValue:StringLike': { 'aws:TagKeys': ['a*'] } } },
      [{ 'aws:TagKeys': ['c', 'ab'] }],
      [{ 'aws:TagKeys': ['c'] }, { 'aws:TagKeys': [] }, {}],
    ],
    [
      'ForAllValues of what is negated: no value of the request',
      { Condition: { 'ForAllValues:StringNotEquals': { 'aws:TagKeys': ['a'] } } },
      [{ 'aws:TagKeys': ['b'] }, {}],
      [{ 'aws:TagKeys': ['a', 'b'] }],
    ],
    [
      'ForAnyValue of what is negated: one value that is none of them',
      { Condition: { 'ForAnyValue:StringNotEquals': { 'aws:TagKeys': ['a'] } } },
      [{ 'aws:TagKeys': ['a', 'b'] }],
      [{ 'aws:TagKeys': ['a'] }, {}],
    ],
    [
      'IfExists does nothing for ForAnyValue (observed)',
      { Condition: { 'ForAnyValue:StringEqualsIfExists': { 'aws:TagKeys': ['a'] } } },
      [{ 'aws:TagKeys': ['a'] }],
      [{}],
    ],
  ],
};

const decides = (
  statement: Omit<Partial<NaiveIamStatement>, 'Effect'>,
  { resource = thing, ...context }: Context,
): string => {
  const action = statement.Action ?? (statement.NotAction === undefined ? '*' : undefined);
  const where = statement.Resource ?? (statement.NotResource === undefined ? '*' : undefined);
  const whole: NaiveIamStatement = {
    ...{ Effect: 'Allow', ...statement },
    ...(action !== undefined && { Action: action }),
    ...(where !== undefined && { Resource: where }),
  };
  const document = { Version: '2012-10-17', Statement: [whole] };
  const request = { action: 'iot:CreateThing', resource: String(resource), context };
  const policy = parseIamPolicy(JSON.stringify(document), 'identity');
  const { reason } = decideIam({ identity: [{ policyName: 'p', policy }] }, request);
  assert.equal(naiveIam([document], undefined, undefined, request), reason, 'the naive evaluator says the same');
  return reason;
};

for (const [chapter, rows] of Object.entries(chapters)) {
  for (const [rule, statement, met, unmet] of rows) {
    test(`${chapter}: ${rule}`, () => {
      for (const context of met) assert.equal(decides(statement, context), 'ALLOWED', JSON.stringify(context));
      for (const context of unmet) assert.equal(decides(statement, context), 'IMPLICIT_DENY', JSON.stringify(context));
    });
  }
}
