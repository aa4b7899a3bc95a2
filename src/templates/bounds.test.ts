/** No template and no parameters cost more than a refusal in bounded time. Source: issue, acceptance 5: "refused within bounded time". */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { certificateIdParameter, type TemplateKind } from './certificate-parameters.ts';
import { evaluateTemplate, type Provisioning } from './evaluate.ts';
import { TemplateFault } from './fault.ts';
import { parseTemplate, templateCharactersMax } from './template.ts';
import {
  Budget,
  charactersOf,
  concatenate,
  evaluationCharactersMax,
  given,
  split,
  type Text,
  written,
} from './text.ts';

const certificate = {
  Type: 'AWS::IoT::Certificate',
  Properties: { CertificateId: { Ref: certificateIdParameter } },
};
const templateOf = (members: object): string =>
  JSON.stringify({ Parameters: { S: { Type: 'String' } }, Resources: { certificate }, ...members });
const evaluated = (text: string, S: string): Provisioning =>
  evaluateTemplate(parseTemplate(text, 'FLEET_PROVISIONING'), { S, [certificateIdParameter]: 'ab' });
const refusal = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof TemplateFault, String(error));
    return error.message;
  }
  return assert.fail('nothing was refused');
};

/** Each Fn::Sub inserts the one inside it a hundred times. */
const nestedSub = (levels: number): unknown =>
  levels === 0 ? { Ref: 'S' } : { 'Fn::Sub': ['${x}'.repeat(100), { x: nestedSub(levels - 1) }] };
const splitJoin = (levels: number): unknown =>
  levels === 0 ? { Ref: 'S' } : { 'Fn::Join': ['aaaaaaaaaa', { 'Fn::Split': ['a', splitJoin(levels - 1)] }] };
const message = `more than ${evaluationCharactersMax} characters would be made in all`;

describe('bombs end at evaluationCharactersMax', () => {
  const bombs: [rule: string, value: unknown, serial: string][] = [
    ['variables of variables', nestedSub(8), 'abcdefgh'],
    ['a long value again and again', { 'Fn::Sub': '${S}'.repeat(2_000) }, 'a'.repeat(131_072)],
    ['split and joined again', splitJoin(5), 'a'.repeat(100)],
    ['split into characters', { 'Fn::Join': ['', { 'Fn::Split': ['a', { Ref: 'S' }] }] }, 'a'.repeat(400_000)],
  ];
  for (const [rule, value, serial] of bombs) {
    test(rule, { timeout: 5_000 }, () => {
      const text = refusal(() => evaluated(templateOf({ DeviceConfiguration: { value } }), serial));
      assert.ok(text.startsWith('DeviceConfiguration.value.') && text.endsWith(message), text);
    });
  }
  test('a policy document counts what it repeats', () => {
    const PolicyDocument = { Statement: Array.from({ length: 500 }, () => ({ Ref: 'S' })) };
    const policy = { Type: 'AWS::IoT::Policy', Properties: { PolicyDocument } };
    const text = templateOf({ Resources: { certificate, policy } });
    assert.ok(refusal(() => evaluated(text, '*'.repeat(100_000))).endsWith(message));
  });
  test('empty text inserted again and again is no bomb: variables are worked out once', { timeout: 5_000 }, () => {
    const text = templateOf({ DeviceConfiguration: { value: nestedSub(8) } });
    assert.equal(evaluated(text, '').deviceConfiguration['value'], '');
  });
  test('a policy document of many short pieces is written in a time that follows its length', {
    timeout: 5_000,
  }, () => {
    const Resource = { 'Fn::Sub': ['${x}'.repeat(140), { x: { 'Fn::Sub': '$${S}'.repeat(900) } }] };
    const PolicyDocument = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: 'iot:Connect', Resource }] };
    const policy = { Type: 'AWS::IoT::Policy', Properties: { PolicyDocument } };
    const startedMs = performance.now();
    const { policies } = evaluated(templateOf({ Resources: { certificate, policy } }), '{');
    assert.ok(policies[0] && 'policyDocument' in policies[0]);
    assert.ok(policies[0].policyDocument.includes('${$}{${$}{'));
    assert.ok(performance.now() - startedMs < 3_000, 'it took seconds');
  });
  test('one long value is no bomb', () => {
    const value = 'a'.repeat(131_072);
    const text = templateOf({ DeviceConfiguration: { value: { 'Fn::Sub': '${S}' } } });
    assert.equal(evaluated(text, value).deviceConfiguration['value'], value);
  });
  test('what is worked out within one evaluation does not count in the next', () => {
    const text = templateOf({ DeviceConfiguration: { value: { 'Fn::Sub': '${S}' } } });
    for (let i = 0; i < 10; i++) evaluated(text, 'a'.repeat(131_072));
  });
});

const texts = fc
  .array(fc.record({ text: fc.string({ unit: fc.constantFrom('a', ',', ';') }), given: fc.boolean() }))
  .map((fragments) => fragments.map(({ text, given: isGiven }) => (isGiven ? given(text) : written(text))));
const origins = (text: Text): boolean[] =>
  text.flatMap(({ text: part, given: isGiven }) => part.split('').map(() => isGiven));

test('cutting and joining text loses no character and no origin', () => {
  fc.assert(
    fc.property(texts, fc.constantFrom(',', ';', ',;', 'aa'), (parts, delimiter) => {
      const budget = new Budget();
      const whole = concatenate(parts, budget, '');
      const pieces = split(whole, delimiter, budget, '');
      assert.deepEqual(pieces.map(charactersOf), charactersOf(whole).split(delimiter));
      const expected = origins(whole);
      let at = 0;
      for (const piece of pieces) {
        const length = charactersOf(piece).length;
        assert.deepEqual(origins(piece), expected.slice(at, at + length));
        at += length + delimiter.length;
      }
      for (const text of [whole, ...pieces]) {
        assert.ok(text.every(({ text: part, given: isGiven }, i) => part !== '' && text[i - 1]?.given !== isGiven));
      }
    }),
  );
});

const kinds: readonly TemplateKind[] = ['FLEET_PROVISIONING', 'JITP', 'REGISTER_THING'];
const words = fc.constantFrom(
  ...[
    'Parameters',
    'Resources',
    'Mappings',
    'DeviceConfiguration',
    'Type',
    'Properties',
    'OverrideSettings',
    'Default',
  ],
  ...['Ref', 'Fn::Join', 'Fn::Select', 'Fn::FindInMap', 'Fn::Split', 'Fn::Sub', 'Fn::X', 'S', 'M', 'String', 'Status'],
  ...['AWS::IoT::Thing', 'AWS::IoT::Certificate', 'AWS::IoT::Policy', 'PolicyName', 'PolicyDocument', 'ThingName'],
  ...[
    '__proto__',
    'constructor',
    'toString',
    '${S}',
    '${!S}',
    '${',
    '',
    '0',
    'MERGE',
    certificateIdParameter,
    'Version',
  ],
);
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 6 },
    words,
    fc.constantFrom(null, true, 0, -1, 1e308, { Ref: 'S' }),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.array(fc.tuple(words, tie('value')), { maxLength: 3 }).map((entries) => Object.fromEntries(entries)),
  ),
}));

/** A template that works, with one part of it replaced. */
const mutant = (part: number, replacement: unknown): string => {
  let left = part;
  return JSON.stringify(
    {
      Parameters: { S: { Type: 'String', Default: 'x' } },
      Resources: {
        thing: {
          Type: 'AWS::IoT::Thing',
          Properties: {
            ThingName: { 'Fn::Join': ['-', ['dev', { Ref: 'S' }]] },
            AttributePayload: { a: { 'Fn::Sub': ['${S}${x}', { x: 1 }] } },
            ThingGroups: { 'Fn::Split': [',', { Ref: 'S' }] },
          },
          OverrideSettings: { AttributePayload: 'MERGE' },
        },
        certificate: { ...certificate, OverrideSettings: { Status: 'REPLACE' } },
        policy: {
          Type: 'AWS::IoT::Policy',
          Properties: { PolicyDocument: { Version: '2012-10-17', Statement: [{ Resource: { Ref: 'S' } }] } },
        },
      },
    },
    (_, member: unknown) => (left-- === 0 ? replacement : member),
  );
};

test('no template and no parameters make it throw anything but TemplateFault, nor change what all objects have', () => {
  const before = Object.getOwnPropertyNames(Object.prototype);
  const outcomes = new Set<string>();
  const parameters = fc.dictionary(words, fc.string(), { noNullPrototype: true });
  fc.assert(
    fc.property(fc.nat(45), value, fc.constantFrom(...kinds), parameters, (part, replacement, kind, given) => {
      const text = part === 0 ? JSON.stringify(replacement) : mutant(part, replacement);
      let parsed = false;
      try {
        const template = parseTemplate(text, kind);
        parsed = true;
        const result = evaluateTemplate(template, given);
        for (const policy of result.policies) if ('policyDocument' in policy) JSON.parse(policy.policyDocument);
        outcomes.add('worked out');
      } catch (error) {
        assert.ok(error instanceof TemplateFault, String(error));
        assert.equal(error.kind, parsed ? 'parameters' : 'template');
        outcomes.add(error.kind);
      }
    }),
    { numRuns: 5_000 },
  );
  assert.deepEqual(Object.getOwnPropertyNames(Object.prototype), before);
  assert.equal(outcomes.size, 3);
});

test('any text is read within bounded time', { timeout: 5_000 }, () => {
  const fill = (unit: string): string => unit.repeat(Math.floor(templateCharactersMax / unit.length));
  for (const unit of ['[', '{"a":', '"', '\\', '[[]],', '\u0000']) {
    refusal(() => parseTemplate(fill(unit), 'FLEET_PROVISIONING'));
    refusal(() => parseTemplate(`{"Resources":${fill(unit)}`.slice(0, templateCharactersMax), 'FLEET_PROVISIONING'));
  }
  const open = { 'Fn::Sub': '${'.repeat(4_000) };
  refusal(() => parseTemplate(templateOf({ DeviceConfiguration: { open } }), 'FLEET_PROVISIONING'));
});
