import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compileCondition, holds } from './conditions.ts';
import type { PolicyContext } from './context.ts';
import { findOperator } from './operators.ts';

const resource = 'arn:aws:iot:us-east-1:123456789012:client/x';

/** Whether one condition holds, as in `{"<operator>": {"<key>": <values>}}` of a 2012 document. */
function met(operatorName: string, key: string, values: string[], context: PolicyContext, substitutes = true): boolean {
  const operator = findOperator(operatorName);
  assert.ok(operator, operatorName);
  const condition = compileCondition({ operatorName, operator, key, values }, substitutes);
  return holds(condition, { action: 'iot:Connect', resource, context });
}

describe('one value against policy values (spec policy.md 5)', () => {
  const cases: [operator: string, value: string, policyValues: string[], expected: boolean, rule: string][] = [
    ['StringEquals', 'a', ['b', 'a'], true, 'policy values are alternatives'],
    ['StringEquals', 'a', ['A'], false, 'case counts'],
    ['StringEquals', 'abc', ['a*'], false, 'no wildcards'],
    ['StringEquals', 'a*', ['a*'], true, 'a star is a star'],
    ['StringEquals', 'a*', ['a${*}'], true, 'an escape is the character'],
    ['StringEquals', 'a', [], false, 'no policy value, no match'],
    ['StringNotEquals', 'a', ['b', 'c'], true, 'none of them'],
    ['StringNotEquals', 'a', ['b', 'a'], false, 'one of them'],
    ['StringNotEquals', 'a', [], true, 'no policy value, none equal'],
    ['StringEqualsIgnoreCase', 'ÄB', ['äb'], true, 'any case'],
    ['StringEqualsIgnoreCase', 'a', ['b'], false, 'another text'],
    ['StringNotEqualsIgnoreCase', 'A', ['a'], false, 'any case'],
    ['StringLike', 'a/b/c', ['a/*'], true, 'wildcards'],
    ['StringLike', 'A/b', ['a/*'], false, 'case counts'],
    ['StringLike', 'abc', ['a${*}'], false, 'an escaped star is no wildcard'],
    ['StringNotLike', 'a/b', ['a/*'], false, 'wildcards'],
    ['StringNotLike', 'b', ['a/*'], true, 'wildcards'],
    ['ArnEquals', 'arn:a:b', ['arn:*'], true, 'globs as ArnLike does'],
    ['ArnLike', 'arn:a:b', ['arn:?:b'], true, 'globs'],
    ['ArnNotEquals', 'arn:a:b', ['arn:*'], false, 'globs'],
    ['ArnNotLike', 'arn:a:b', ['arn:b:*'], true, 'globs'],
    ['Bool', 'true', ['True'], true, 'in any case'],
    ['Bool', 'false', ['true'], false, 'the other'],
    ['Bool', 'yes', ['yes'], false, 'nothing but true and false'],
    ['BinaryEquals', 'YQ==', ['YQ=='], true, 'the same base64'],
    ['NumericEquals', '7', ['7.0'], true, 'by value'],
    ['NumericEquals', '7', ['seven'], false, 'what is no number equals none'],
    ['NumericEquals', '0x7', ['7'], false, 'decimal only'],
    ['NumericEquals', '', ['0'], false, 'nothing is no number'],
    ['NumericNotEquals', '7', ['8', '7'], false, 'none of them'],
    ['NumericNotEquals', '7', ['8'], true, 'none of them'],
    ['NumericLessThan', '7', ['7'], false, 'strictly'],
    ['NumericLessThan', '-1.5e1', ['-14'], true, 'signs and exponents'],
    ['NumericLessThanEquals', '7', ['7'], true, 'or equal'],
    ['NumericGreaterThan', '10', ['9'], true, 'not as text'],
    ['NumericGreaterThan', '7', ['7'], false, 'strictly'],
    ['NumericGreaterThanEquals', '7', ['7'], true, 'or equal'],
    ['DateEquals', '2024-02-01T12:00:00Z', ['2024-02-01T13:00:00+01:00'], true, 'in any zone'],
    ['DateEquals', '2024-02-01T00:00:00Z', ['2024-02-01'], true, 'a day is its beginning'],
    ['DateEquals', '60', ['1970-01-01T00:01Z'], true, 'seconds since 1970'],
    ['DateEquals', '2024-02-01T12:00:00', ['2024-02-01T12:00:00'], false, 'a time needs its zone'],
    ['DateEquals', 'Feb 1 2024', ['Feb 1 2024'], false, 'ISO 8601 only'],
    ['DateNotEquals', '60', ['61'], true, 'another time'],
    ['DateLessThan', '2024-01-01T00:00:00Z', ['2024-01-01T00:00:00.001Z'], true, 'fractions'],
    ['DateLessThanEquals', '60', ['60'], true, 'or equal'],
    ['DateGreaterThan', '2024-01-02', ['2024-01-01'], true, 'later'],
    ['DateGreaterThanEquals', '2023-12-31', ['2024-01-01'], false, 'earlier'],
    ['IpAddress', '203.0.113.7', ['203.0.113.7'], true, 'a single address'],
    ['IpAddress', '203.0.113.8', ['203.0.113.7'], false, 'another'],
    ['IpAddress', '198.51.100.200', ['203.0.113.7', '198.51.100.0/24'], true, 'a range'],
    ['IpAddress', '198.51.101.0', ['198.51.100.0/24'], false, 'outside'],
    ['IpAddress', '198.51.100.200', ['198.51.100.77/24'], true, 'host bits of a range are ignored'],
    ['IpAddress', '10.0.0.127', ['10.0.0.128/25'], false, 'prefixes within a byte'],
    ['IpAddress', '10.0.0.129', ['10.0.0.128/25'], true, 'prefixes within a byte'],
    ['IpAddress', '1.2.3.4', ['0.0.0.0/0'], true, 'everything'],
    ['IpAddress', '1.2.3.4', ['::/0'], false, 'of its own family'],
    ['IpAddress', '2001:db8:0:0::1', ['2001:0DB8::/32'], true, 'IPv6'],
    ['IpAddress', '2001:db9::1', ['2001:db8::/32'], false, 'IPv6 outside'],
    ['IpAddress', '2001:db8::8000', ['2001:db8::ffff/113'], true, 'IPv6 prefixes within a byte'],
    ['IpAddress', '::ffff:192.0.2.1', ['192.0.2.0/24'], true, 'mapped IPv4 is IPv4'],
    ['IpAddress', '192.0.2.1', ['::ffff:192.0.2.0/120'], true, 'in a range too'],
    ['IpAddress', 'fe80::1%eth0', ['fe80::/10'], true, 'a zone is ignored'],
    ['IpAddress', '1.2.3.4', ['1.2.3.4/33'], false, 'a prefix too long'],
    ['IpAddress', '1.2.3.4', ['1.2.3.4/'], false, 'no prefix'],
    ['IpAddress', '1.2.3.4', ['1.2.3.4/8/8'], false, 'two prefixes'],
    ['IpAddress', '1.2.3.4', ['1.2.3'], false, 'no address'],
    ['IpAddress', '1.2.3.4', ['1.2.3.04'], false, 'a leading zero'],
    ['IpAddress', '1.2.3.256', ['1.2.3.256'], false, 'a number too large'],
    ['IpAddress', '1::2', ['1::2::3'], false, 'two gaps'],
    ['IpAddress', '1:2:3:4:5:6:7:8', ['1:2:3:4:5:6:7::8'], false, 'a gap of nothing'],
    ['IpAddress', '1:2:3:4:5:6:7:0', ['1:2:3:4:5:6:7::'], true, 'a gap of one group'],
    ['IpAddress', '1:2:3:4:5:6:7:8', ['1:2:3:4:5:6:7:8:9'], false, 'too many groups'],
    ['NotIpAddress', '198.51.101.0', ['198.51.100.0/24'], true, 'outside'],
    ['NotIpAddress', '198.51.100.1', ['198.51.100.0/24'], false, 'inside'],
  ];
  for (const [operator, value, policyValues, expected, rule] of cases) {
    test(`${operator} ${value} ${JSON.stringify(policyValues)} is ${expected}: ${rule}`, () =>
      assert.equal(met(operator, 'iot:ClientId', policyValues, { clientId: value }), expected));
  }
});

describe('a missing key (spec policy.md 5)', () => {
  const cases: [operator: string, expected: boolean][] = [
    ['StringEquals', false],
    ['StringLike', false],
    ['Bool', false],
    ['IpAddress', false],
    ['ArnEquals', false],
    ['NumericLessThan', false],
    ['DateGreaterThan', false],
    ['StringNotEquals', true],
    ['StringNotEqualsIgnoreCase', true],
    ['StringNotLike', true],
    ['NotIpAddress', true],
    ['ArnNotLike', true],
    ['NumericNotEquals', true],
    ['DateNotEquals', true],
    ['StringEqualsIfExists', true],
    ['StringNotEqualsIfExists', true],
    ['ForAllValues:StringEquals', true],
    ['ForAllValues:StringNotEquals', true],
    ['ForAnyValue:StringEquals', false],
    ['ForAnyValue:StringNotEquals', false],
    ['ForAnyValue:StringEqualsIfExists', true],
  ];
  for (const [operator, expected] of cases) {
    test(`${operator} is ${expected}`, () => assert.equal(met(operator, 'iot:DomainName', ['1'], {}), expected));
    test(`${operator} is ${expected} for an empty list`, () =>
      assert.equal(met(operator, 'iot:ConnectAttributes', ['1'], { connectAttributes: [] }), expected));
  }

  test('Null tells absent from present', () => {
    const isNull = (values: string[], context: PolicyContext): boolean =>
      met('Null', 'iot:DomainName', values, context);
    assert.equal(isNull(['true'], {}), true);
    assert.equal(isNull(['false'], {}), false);
    assert.equal(isNull(['TRUE'], { domainName: '' }), false);
    assert.equal(isNull(['false'], { domainName: '' }), true);
    assert.equal(isNull(['maybe'], {}), false);
    assert.equal(isNull([], {}), false);
  });

  test('IfExists judges a key that exists', () =>
    assert.equal(met('StringEqualsIfExists', 'iot:DomainName', ['a'], { domainName: 'b' }), false));
});

describe('keys with several values (spec policy.md 5)', () => {
  const persistent = ['PersistentConnect'];
  const both = ['PersistentConnect', 'LastWill'];
  const cases: [operator: string, values: string[], policyValues: string[], expected: boolean, rule: string][] = [
    ['ForAnyValue:StringEquals', both, persistent, true, 'one of them'],
    ['ForAnyValue:StringEquals', ['LastWill'], persistent, false, 'none of them'],
    ['ForAnyValue:StringNotEquals', both, persistent, true, 'one that is none of the policy values'],
    ['ForAllValues:StringEquals', both, persistent, false, 'not all of them'],
    ['ForAllValues:StringEquals', both, [...both, 'x'], true, 'all of them'],
    ['ForAllValues:StringEquals', ['LastWill'], [], false, 'no policy value: only the empty list passes'],
    ['ForAllValues:StringNotEquals', ['LastWill'], persistent, true, 'no persistence, anything else'],
    ['ForAllValues:StringNotEquals', both, persistent, false, 'no persistence, anything else'],
    ['StringEquals', both, persistent, true, 'without a set operator one value is enough'],
    ['StringNotEquals', both, persistent, false, 'negated, every value must pass'],
    ['StringNotEquals', ['LastWill'], persistent, true, 'negated, every value must pass'],
  ];
  for (const [operator, values, policyValues, expected, rule] of cases) {
    test(`${operator} ${values} against ${JSON.stringify(policyValues)} is ${expected}: ${rule}`, () =>
      assert.equal(met(operator, 'iot:ConnectAttributes', policyValues, { connectAttributes: values }), expected));
  }
});

describe('variables in condition values (spec policy.md 4.4)', () => {
  test('are replaced, for every kind of operator', () => {
    const context = { clientId: '10.0.0.0', domainName: '10.0.0.0', sourceIp: '10.0.0.9' };
    assert.equal(met('StringEquals', 'iot:DomainName', ['${iot:ClientId}'], context), true);
    assert.equal(met('StringLike', 'iot:DomainName', ['${iot:ClientId}*'], context), true);
    assert.equal(met('IpAddress', 'aws:SourceIp', ['${iot:ClientId}/28'], context), true);
    assert.equal(met('IpAddress', 'aws:SourceIp', ['${iot:ClientId}/29'], context), false);
  });

  test('bring in no wildcards', () =>
    assert.equal(met('StringLike', 'iot:DomainName', ['${iot:ClientId}'], { clientId: '*', domainName: 'x' }), false));

  test('without a value are compared as they stand', () => {
    assert.equal(met('StringEquals', 'iot:ClientId', ['${iot:DomainName}'], { clientId: '${iot:DomainName}' }), true);
    assert.equal(met('StringNotEquals', 'iot:ClientId', ['${iot:DomainName}'], { clientId: 'x' }), true);
  });

  test('never match without Version 2012-10-17 (policy.md 2)', () => {
    assert.equal(met('StringEquals', 'iot:ClientId', ['${iot:ClientId}'], { clientId: 'x' }, false), false);
    assert.equal(
      met('StringEquals', 'iot:ClientId', ['${iot:ClientId}'], { clientId: '${iot:ClientId}' }, false),
      false,
    );
    assert.equal(met('StringNotLike', 'iot:ClientId', ['${*}'], { clientId: '*' }, false), true);
  });
});
