import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { evaluate } from '../policy/evaluate.ts';
import { compilePolicies } from '../policy/policy-set.ts';
import { readPieces } from '../policy/template.ts';
import { certificateIdParameter } from './certificate-parameters.ts';
import { evaluateTemplate } from './evaluate.ts';
import { TemplateFault } from './fault.ts';
import { parseTemplate } from './template.ts';

const certificate = {
  Type: 'AWS::IoT::Certificate',
  Properties: { CertificateId: { Ref: certificateIdParameter } },
};

/** The document that a template makes when the device says `serial`. */
const documentOf = (PolicyDocument: unknown, serial = '1', DeviceConfiguration = {}): string => {
  const template = {
    Parameters: { S: { Type: 'String' } },
    Mappings: { M: { a: { b: 'x/*' } } },
    Resources: { certificate, policy: { Type: 'AWS::IoT::Policy', Properties: { PolicyDocument } } },
    DeviceConfiguration,
  };
  const parsed = parseTemplate(JSON.stringify(template), 'FLEET_PROVISIONING');
  const { policies } = evaluateTemplate(parsed, { S: serial, [certificateIdParameter]: 'ab' });
  const [policy] = policies;
  assert.ok(policy && 'policyDocument' in policy);
  return policy.policyDocument;
};
const refusal = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof TemplateFault, String(error));
    assert.equal(error.kind, 'parameters');
    return error.message;
  }
  return assert.fail('the template worked out');
};

const topic = 'arn:aws:iot:us-east-1:000000000000:topic';
const S = { Ref: 'S' };
const withResource = (Resource: unknown, Version: string | undefined = '2012-10-17') => ({
  Version,
  Statement: [{ Effect: 'Allow', Action: ['iot:Publish'], Resource }],
});
const resourceIn = (document: string): unknown => JSON.parse(document).Statement[0].Resource;

describe('documents (spec provisioning.md 7.4)', () => {
  test('provisioning.md check 36: as an object and as a string', () => {
    const document = withResource(`${topic}/a`);
    assert.equal(documentOf(document), JSON.stringify(document));
    assert.equal(documentOf(JSON.stringify(document)), JSON.stringify(document));
  });
  test('a string is taken byte for byte, functions in it are text', () => {
    const document = ` {"Version": "2012-10-17", "Statement": [{"Resource": {"Ref":"S"}, "x": "\${S}\${iot:ClientId}*"}]} `;
    assert.equal(documentOf(document), document);
  });
  test('provisioning.md check 37: equal documents are equal texts, whatever the device', () => {
    const document = withResource(`${topic}/\${iot:Connection.Thing.ThingName}/*`);
    assert.equal(documentOf(document, '1'), documentOf(document, '2'));
  });

  const cases: [rule: string, resource: unknown, expected: unknown, serial?: string][] = [
    ['wildcards and variables of the author stay', `${topic}/*/\${iot:ClientId}/?`, `${topic}/*/\${iot:ClientId}/?`],
    ['functions are worked out', { 'Fn::Join': ['/', ['a', S, '*']] }, 'a/1/*'],
    ['also within lists', ['a', S, { 'Fn::Sub': 'b/${S}' }], ['a', '1', 'b/1']],
    ['Fn::Split makes a list', { 'Fn::Split': [',', S] }, ['a', 'b'], 'a,b'],
    ['mapped values are the author’s', { 'Fn::FindInMap': ['M', 'a', 'b'] }, 'x/*'],
    ['numbers, booleans and null stay what they are', [1, true, null], [1, true, null]],
    ['a star of a device is a star', S, '${*}', '*'],
    ['a question mark and a dollar likewise', { 'Fn::Sub': 'a/${S}/*' }, 'a/${?}${$}/*', '?$'],
    ['a variable of a device is text', S, '${$}{iot:ClientId}', '${iot:ClientId}'],
    ['an escape of a device is text', S, '${$}{${*}}', '${*}'],
    [
      'a dollar of the author and a brace of the device are no variable',
      { 'Fn::Sub': 'a$${S}' },
      'a${$}{iot:ClientId}',
      '{iot:ClientId}',
    ],
    ['what was split is escaped after it', { 'Fn::Select': [1, { 'Fn::Split': ['{', S] }] }, '${*}}', '${*}'],
    ['quotes of a device stay in their string', S, '"],"Effect":"Allow', '"],"Effect":"Allow'],
  ];
  for (const [rule, resource, expected, serial] of cases) {
    test(rule, () => assert.deepEqual(resourceIn(documentOf(withResource(resource), serial)), expected));
  }

  for (const version of ['2008-10-17', undefined]) {
    test(`a document of Version ${version} has no escapes: what needs one is refused`, () => {
      const document = { Statement: [{ Resource: { 'Fn::Sub': 'a/${S}/*' } }], ...(version && { Version: version }) };
      assert.equal(resourceIn(documentOf(document, 'x')), 'a/x/*');
      assert.equal(
        refusal(() => documentOf(document, 'x*')),
        'Resources.policy.Properties.PolicyDocument: a parameter brings *, ? or $ into a document whose Version is not 2012-10-17: there it cannot stand for itself',
      );
    });
  }
  test('names that objects inherit are names', () => {
    const document = JSON.parse('{"__proto__":{"Ref":"S"},"constructor":1}');
    assert.equal(documentOf(document), '{"__proto__":"1","constructor":1}');
  });
});

describe('documents that a function makes', () => {
  const made = (resource: string) => ({ 'Fn::Sub': JSON.stringify(withResource('R')).replace('"R"', resource) });
  const place = 'Resources.policy.Properties.PolicyDocument';

  test('what a parameter brings stays inside its string, and is escaped there', () => {
    const hostile = '\\"],"Effect":"Allow*';
    assert.equal(resourceIn(documentOf(made('"a/${S}/*"'), hostile)), 'a/\\"],"Effect":"Allow${*}/*');
  });
  const refused: [rule: string, document: unknown, serial: string, message: string][] = [
    [
      'a parameter outside strings',
      made('${S}'),
      '"*"',
      `${place}: does not make JSON; parameters may only stand inside its strings`,
    ],
    [
      'a document from the device',
      S,
      '{}',
      `${place}: does not make JSON; parameters may only stand inside its strings`,
    ],
    [
      'a parameter in a name',
      { 'Fn::Sub': '{"a${S}":1}' },
      'b',
      `${place}: a parameter must not be part of the name of a member`,
    ],
    ['no object', { 'Fn::Join': ['', ['[]']] }, '', `${place}: does not make a JSON object`],
    ['a key twice', { 'Fn::Join': ['', ['{"a":{"b":1,"b":2}}']] }, '', `${place}.a: key "b" occurs twice`],
    ['a number too large', { 'Fn::Join': ['', ['{"a":1e999}']] }, '', `${place}: the number is too large`],
    [
      'deep nesting',
      { 'Fn::Join': ['', ['{"a":', '['.repeat(16), ']'.repeat(16), '}']] },
      '',
      `${place}: nested deeper than 16 levels`,
    ],
  ];
  for (const [rule, document, serial, message] of refused) {
    test(`refused: ${rule}`, () =>
      assert.equal(
        refusal(() => documentOf(document, serial)),
        message,
      ));
  }
});

/** Characters with a meaning in policies, in JSON and in templates, and some without. */
const serials = fc.string({ unit: fc.constantFrom('*', '?', '$', '{', '}', '"', '\\', '/', 'a', 'é'), maxLength: 8 });

test('a device may publish to the topic of the serial number that it chose, and to no other', () => {
  const document = withResource({ 'Fn::Sub': `${topic}/dev/\${S}/data` });
  fc.assert(
    fc.property(serials, serials, (serial, other) => {
      const text = documentOf(document, serial);
      const set = compilePolicies([{ policyName: 'p', policyArn: 'arn', policyVersionId: '1', text }]);
      const context = {
        clientId: 'c',
        certificate: { id: 'ab', subject: {}, serialNumber: '1' },
        connectAttributes: [],
      };
      const decision = (name: string) =>
        evaluate(set, { action: 'iot:Publish', resource: `${topic}/dev/${name}/data`, context });
      return decision(serial) === 'ALLOWED' && (other === serial || decision(other) === 'IMPLICIT_DENY');
    }),
  );
});

/** Expressions of one text over S; the author writes neither wildcards nor variables, but may leave a dollar anywhere. */
const { expression } = fc.letrec<{ expression: unknown }>((tie) => ({
  expression: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constantFrom('', '$', 'a', '}', '$$'),
    fc.constant(S),
    fc
      .tuple(fc.constantFrom('', '$', '/'), fc.array(tie('expression'), { maxLength: 3 }))
      .map((a) => ({ 'Fn::Join': a })),
    fc
      .tuple(fc.constantFrom('${S}', '$${x}${S}', '${x}'), tie('expression'))
      .map(([a, x]) => ({ 'Fn::Sub': [a, { x }] })),
    fc
      .tuple(fc.constantFrom('{', '$', '*', '}'), tie('expression'))
      .map((split) => ({ 'Fn::Select': [0, { 'Fn::Split': split }] })),
    fc
      .tuple(fc.constantFrom('{', '$', '*', '}'), tie('expression'))
      .map((split) => ({ 'Fn::Join': ['', { 'Fn::Split': split }] })),
  ),
}));

test('whatever functions do to it, what a device says is read back from a policy as itself', () => {
  fc.assert(
    fc.property(expression, serials, (value, serial) => {
      const template = {
        Parameters: { S: { Type: 'String' } },
        Resources: {
          certificate,
          policy: { Type: 'AWS::IoT::Policy', Properties: { PolicyDocument: { Version: '2012-10-17', value } } },
        },
        DeviceConfiguration: { value },
      };
      const parsed = parseTemplate(JSON.stringify(template), 'FLEET_PROVISIONING');
      const result = evaluateTemplate(parsed, { S: serial, [certificateIdParameter]: 'ab' });
      const [policy] = result.policies;
      assert.ok(policy && 'policyDocument' in policy);
      const pieces = readPieces(JSON.parse(policy.policyDocument).value, { wildcards: true, variables: true });
      const plain = result.deviceConfiguration['value'];
      assert.deepEqual(pieces, plain === '' ? [] : [plain]);
    }),
    { numRuns: 2_000 },
  );
});
