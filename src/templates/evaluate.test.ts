import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { certificateIdParameter, subjectParameters, type TemplateKind } from './certificate-parameters.ts';
import { evaluateTemplate, type Provisioning } from './evaluate.ts';
import { TemplateFault } from './fault.ts';
import { parseTemplate } from './template.ts';

const id = 'ab'.repeat(32);
const certificate = {
  Type: 'AWS::IoT::Certificate',
  Properties: { CertificateId: { Ref: certificateIdParameter }, Status: 'Active' },
};
const text = { Type: 'String' };

type Json = Record<string, unknown>;
type Given = Readonly<Record<string, string>>;

const provision = (template: Json, given: Given = {}, kind: TemplateKind = 'FLEET_PROVISIONING'): Provisioning =>
  evaluateTemplate(parseTemplate(JSON.stringify(template), kind), { [certificateIdParameter]: id, ...given });

const refusal = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof TemplateFault, String(error));
    assert.equal(error.kind, 'parameters');
    assert.ok(error.message.startsWith(error.place));
    return error.message;
  }
  return assert.fail('the template worked out');
};

/** The template of the seed, byte for byte. Source: seed 001, "クレームによるフリートプロビジョニング". */
const seedTemplate = `{
  "Parameters": {
    "SerialNumber": {
      "Type": "String"
    },
    "AWS::IoT::Certificate::Id": {
      "Type": "String"
    }
  },
  "Resources": {
    "policy_wapa5pow-device-policy": {
      "Type": "AWS::IoT::Policy",
      "Properties": {
        "PolicyName": "wapa5pow-device-policy"
      }
    },
    "certificate": {
      "Type": "AWS::IoT::Certificate",
      "Properties": {
        "CertificateId": {
          "Ref": "AWS::IoT::Certificate::Id"
        },
        "Status": "Active"
      }
    },
    "thing": {
      "Type": "AWS::IoT::Thing",
      "OverrideSettings": {
        "AttributePayload": "MERGE",
        "ThingGroups": "DO_NOTHING",
        "ThingTypeName": "REPLACE"
      },
      "Properties": {
        "AttributePayload": {},
        "ThingGroups": [],
        "ThingName": {
          "Fn::Join": [
            "",
            [
              "wapa5pow-template-",
              {
                "Ref": "SerialNumber"
              }
            ]
          ]
        }
      }
    }
  }
}`;

test('the template that the console writes names the thing by the serial number (seed 001)', () => {
  const template = parseTemplate(seedTemplate, 'FLEET_PROVISIONING');
  assert.deepEqual(evaluateTemplate(template, { SerialNumber: '1', [certificateIdParameter]: id }), {
    thing: {
      logicalName: 'thing',
      thingName: 'wapa5pow-template-1',
      attributes: {},
      thingGroups: [],
      overrides: { attributePayload: 'MERGE', thingGroups: 'DO_NOTHING', thingTypeName: 'REPLACE' },
    },
    certificate: { logicalName: 'certificate', form: { certificateId: id }, status: 'ACTIVE' },
    policies: [{ logicalName: 'policy_wapa5pow-device-policy', policyName: 'wapa5pow-device-policy' }],
    deviceConfiguration: {},
  });
});

describe('functions (spec provisioning.md 7.6)', () => {
  /** The value in a place that takes any text. */
  const worked = (value: unknown, given: Given = {}): string | undefined =>
    provision(
      {
        Parameters: { S: text, D: { ...text, Default: 'standby' }, Empty: { ...text, Default: '' } },
        Mappings: { Towns: { Seattle: { Url: 'https://example.com' }, __proto__: {} } },
        Resources: { certificate },
        DeviceConfiguration: { value },
      },
      given,
    ).deviceConfiguration['value'];
  const S = { Ref: 'S' };

  const cases: [rule: string, value: unknown, expected: string, given?: Given][] = [
    ['text stands for itself', '${S} *', '${S} *'],
    ['numbers become text', 7.5, '7.5'],
    ['booleans become text', true, 'true'],
    ['Ref is the value', S, 'x', { S: 'x' }],
    ['a value may be empty', S, '', { S: '' }],
    ['a Default stands in for a value', { Ref: 'D' }, 'standby'],
    ['a value comes before the Default, even when empty', { Ref: 'D' }, '', { D: '' }],
    ['a Default may be empty', { Ref: 'Empty' }, ''],
    ['pseudo parameters need no declaration', { Ref: certificateIdParameter }, id],
    ['Fn::Join without a delimiter', { 'Fn::Join': ['', ['a', S, 7]] }, 'ax7', { S: 'x' }],
    ['Fn::Join with one', { 'Fn::Join': [', ', ['a', '', S]] }, 'a, , x', { S: 'x' }],
    ['Fn::Join of nothing', { 'Fn::Join': ['-', []] }, ''],
    ['Fn::Select by number', { 'Fn::Select': [1, ['a', 'b']] }, 'b'],
    ['Fn::Select by digits', { 'Fn::Select': ['0', ['a', 'b']] }, 'a'],
    ['Fn::Select by parameter', { 'Fn::Select': [S, ['a', 'b']] }, 'b', { S: '1' }],
    ['Fn::Select passes a null that it does not take', { 'Fn::Select': [1, [null, 'b']] }, 'b'],
    ['Fn::FindInMap', { 'Fn::FindInMap': ['Towns', 'Seattle', 'Url'] }, 'https://example.com'],
    ['Fn::FindInMap by parameter', { 'Fn::FindInMap': ['Towns', S, 'Url'] }, 'https://example.com', { S: 'Seattle' }],
    ['Fn::Split', { 'Fn::Select': [1, { 'Fn::Split': ['::', 'a::b::c'] }] }, 'b'],
    ['Fn::Split without the delimiter in the text', { 'Fn::Join': ['', { 'Fn::Split': [',', S] }] }, 'ab', { S: 'ab' }],
    ['Fn::Split at both ends', { 'Fn::Join': ['-', { 'Fn::Split': [',', S] }] }, '-a--', { S: ',a,,' }],
    ['Fn::Sub of parameters', { 'Fn::Sub': '${S}/${D}$/${S}' }, 'x/standby$/x', { S: 'x' }],
    [
      'Fn::Sub of variables of its own',
      { 'Fn::Sub': ['${a}${S}', { a: { 'Fn::Join': ['+', [S, 'y']] } }] },
      'x+yx',
      { S: 'x' },
    ],
    ['a variable of its own comes before a parameter', { 'Fn::Sub': ['${S}', { S: 'own' }] }, 'own', { S: 'x' }],
    ['Fn::Sub leaves ${!x} as ${x}', { 'Fn::Sub': '${!iot:ClientId}${!S}' }, '${iot:ClientId}${S}'],
    ['Fn::Sub does not read what it inserts', { 'Fn::Sub': '${S}' }, '${D}', { S: '${D}' }],
    [
      'nested',
      { 'Fn::Sub': ['${a}', { a: { 'Fn::Select': [{ 'Fn::Select': ['1', ['9', S]] }, ['n', 'y']] } }] },
      'y',
      { S: '1' },
    ],
  ];
  for (const [rule, value, expected, given] of cases) test(rule, () => assert.equal(worked(value, given), expected));

  const place = 'DeviceConfiguration.value';
  const refused: [rule: string, value: unknown, message: string, given?: Given][] = [
    ['a parameter without a value', S, `${place}.Ref: parameter "S" has neither value nor Default`],
    [
      'one that objects inherit',
      { 'Fn::Sub': '${S}' },
      `${place}.Fn::Sub: parameter "S" has neither value nor Default`,
    ],
    [
      'provisioning.md check 33: Fn::Select beyond the list (D)',
      { 'Fn::Select': [2, ['a', 'b']] },
      `${place}.Fn::Select: the index is out of range`,
    ],
    [
      'Fn::Select beyond what Fn::Split made',
      { 'Fn::Select': [2, { 'Fn::Split': [',', 'a,b'] }] },
      `${place}.Fn::Select: the index is out of range`,
    ],
    ['Fn::Select of null (D)', { 'Fn::Select': [0, [null]] }, `${place}.Fn::Select: the selected item is null`],
    [
      'Fn::Select before the list',
      { 'Fn::Select': [-1, ['a']] },
      `${place}.Fn::Select[0]: the index must be a whole number from 0 on`,
    ],
    [
      'Fn::Select between items',
      { 'Fn::Select': [0.5, ['a']] },
      `${place}.Fn::Select[0]: the index must be a whole number from 0 on`,
    ],
    [
      'Fn::Select by a word, which is not repeated',
      { 'Fn::Select': [S, ['a']] },
      `${place}.Fn::Select[0]: the index must be a whole number from 0 on`,
      { S: 'length' },
    ],
    [
      'a parameter in an item that is not taken',
      { 'Fn::Select': [0, ['a', S]] },
      `${place}.Fn::Select[1][1].Ref: parameter "S" has neither value nor Default`,
    ],
    [
      'Fn::FindInMap without such a first key',
      { 'Fn::FindInMap': ['Towns', S, 'Url'] },
      `${place}.Fn::FindInMap: "Towns" has no such first key`,
      { S: 'Berlin' },
    ],
    [
      'Fn::FindInMap by what objects inherit',
      { 'Fn::FindInMap': ['Towns', S, 'Url'] },
      `${place}.Fn::FindInMap: "Towns" has no such first key`,
      { S: 'constructor' },
    ],
    [
      'Fn::FindInMap without such a second key',
      { 'Fn::FindInMap': ['Towns', 'Seattle', S] },
      `${place}.Fn::FindInMap: "Towns" has no such second key`,
      { S: 'toString' },
    ],
  ];
  for (const [rule, value, message, given] of refused) {
    test(`refused: ${rule}`, () =>
      assert.equal(
        refusal(() => worked(value, given)),
        message,
      ));
  }

  test('names that objects inherit have no value', () => {
    for (const name of ['constructor', 'S']) {
      const members = { Parameters: { [name]: text }, DeviceConfiguration: { value: { Ref: name } } };
      const template = parseTemplate(JSON.stringify({ Resources: { certificate }, ...members }), 'FLEET_PROVISIONING');
      const given = Object.assign(Object.create({ S: 'inherited' }), { [certificateIdParameter]: id });
      const message = `DeviceConfiguration.value.Ref: parameter "${name}" has neither value nor Default`;
      assert.equal(
        refusal(() => evaluateTemplate(template, given)),
        message,
      );
    }
  });
  test('parameters that are supplied but not declared have no part (7.6)', () => {
    const template = {
      Parameters: { S: text },
      Resources: { certificate },
      DeviceConfiguration: { value: { Ref: 'S' } },
    };
    assert.deepEqual(provision(template, { S: 'own', T: 'other' }).deviceConfiguration, { value: 'own' });
  });
});

describe('things (spec provisioning.md 7.2, 7.5)', () => {
  const thingOf = (Properties: Json, OverrideSettings?: Json, given: Given = {}): Provisioning['thing'] =>
    provision(
      {
        Parameters: { S: text },
        Resources: {
          certificate,
          device: { Type: 'AWS::IoT::Thing', Properties: { ThingName: 'n', ...Properties }, OverrideSettings },
        },
      },
      given,
    ).thing;

  test('what the template leaves out is absent', () => {
    assert.deepEqual(thingOf({}), { logicalName: 'device', thingName: 'n', overrides: {} });
  });
  test('every property is worked out', () => {
    const properties = {
      ThingName: { 'Fn::Sub': 'dev-${S}' },
      AttributePayload: { serial: { Ref: 'S' }, floor: 3, indoors: true, empty: '' },
      ThingTypeName: { 'Fn::Join': [':', ['type', { Ref: 'S' }]] },
      ThingGroups: ['all', { Ref: 'S' }],
      BillingGroup: { 'Fn::Select': [0, [{ Ref: 'S' }]] },
    };
    assert.deepEqual(thingOf(properties, {}, { S: '42' }), {
      logicalName: 'device',
      thingName: 'dev-42',
      attributes: { serial: '42', floor: '3', indoors: 'true', empty: '' },
      thingTypeName: 'type:42',
      thingGroups: ['all', '42'],
      billingGroupName: '42',
      overrides: {},
    });
  });
  test('groups may come from Fn::Split', () => {
    assert.deepEqual(thingOf({ ThingGroups: { 'Fn::Split': [',', { Ref: 'S' }] } }, {}, { S: 'a,b' })?.thingGroups, [
      'a',
      'b',
    ]);
  });
  test('an attribute may have any name, __proto__ too', () => {
    const thing = thingOf({ AttributePayload: JSON.parse('{"__proto__":"a","constructor":"b"}') });
    assert.deepEqual(Object.entries(thing?.attributes ?? {}), [
      ['__proto__', 'a'],
      ['constructor', 'b'],
    ]);
    assert.equal(Object.getPrototypeOf(thing?.attributes), Object.prototype);
  });
  for (const settings of [
    { AttributePayload: 'MERGE', ThingTypeName: 'FAIL', ThingGroups: 'DO_NOTHING' },
    { ATTRIBUTE_PAYLOAD: 'MERGE', THING_TYPE_NAME: 'FAIL', THING_GROUPS: 'DO_NOTHING' },
  ]) {
    test(`overrides are spelled ${Object.keys(settings).join(', ')}`, () => {
      const overrides = { attributePayload: 'MERGE', thingTypeName: 'FAIL', thingGroups: 'DO_NOTHING' };
      assert.deepEqual(thingOf({}, settings)?.overrides, overrides);
    });
  }

  const place = 'Resources.device.Properties';
  const name = 'does not make a value that matches ^[a-zA-Z0-9:_-]{1,128}$';
  const refused: [rule: string, properties: Json, given: string, message: string][] = [
    ['an empty name', { ThingName: { Ref: 'S' } }, '', `${place}.ThingName: ${name}`],
    ['a name that is too long', { ThingName: { Ref: 'S' } }, 'a'.repeat(129), `${place}.ThingName: ${name}`],
    ['a name with a line feed at its end', { ThingName: { Ref: 'S' } }, 'a\n', `${place}.ThingName: ${name}`],
    ['a name with a wildcard', { ThingName: { Ref: 'S' } }, '*', `${place}.ThingName: ${name}`],
    ['a type', { ThingTypeName: { Ref: 'S' } }, 'a b', `${place}.ThingTypeName: ${name}`],
    ['a group', { ThingGroups: ['a', { Ref: 'S' }] }, '', `${place}.ThingGroups[1]: ${name}`],
    ['a billing group', { BillingGroup: { Ref: 'S' } }, '/', `${place}.BillingGroup: ${name}`],
    [
      'an attribute',
      { AttributePayload: { a: { Ref: 'S' } } },
      'a b',
      `${place}.AttributePayload.a: does not make a value that matches ^[a-zA-Z0-9_.,@/:#=[\\]-]{0,800}$`,
    ],
  ];
  for (const [rule, properties, given, message] of refused) {
    test(`refused: ${rule}`, () =>
      assert.equal(
        refusal(() => thingOf(properties, {}, { S: given })),
        message,
      ));
  }

  test('provisioning.md check 34: a template without a thing provisions none', () => {
    assert.equal('thing' in provision({ Resources: { certificate } }), false);
  });
});

describe('certificates (spec provisioning.md 7.3)', () => {
  const certificateOf = (Properties: Json, given: Given = {}, OverrideSettings?: Json): Provisioning['certificate'] =>
    provision(
      {
        Parameters: { S: text, T: text },
        Resources: { c: { Type: 'AWS::IoT::Certificate', Properties, OverrideSettings } },
      },
      given,
      'REGISTER_THING',
    ).certificate;
  const [S, T] = [{ Ref: 'S' }, { Ref: 'T' }];
  const active = { logicalName: 'c', status: 'ACTIVE' };

  test('an existing one, ACTIVE unless said otherwise', () => {
    assert.deepEqual(certificateOf({ CertificateId: S }, { S: 'x' }), { ...active, form: { certificateId: 'x' } });
  });
  test('one of a signing request', () => {
    assert.deepEqual(certificateOf({ CertificateSigningRequest: S }, { S: 'x' }), { ...active, form: { csr: 'x' } });
  });
  test('one of a PEM, with and without its CA', () => {
    assert.deepEqual(certificateOf({ CertificatePem: S }, { S: 'x' })?.form, { certificatePem: 'x' });
    assert.deepEqual(certificateOf({ CertificatePem: S, CACertificatePem: T }, { S: 'x', T: 'y' })?.form, {
      certificatePem: 'x',
      caCertificatePem: 'y',
    });
  });
  for (const [written, status] of [
    ['Active', 'ACTIVE'],
    ['ACTIVE', 'ACTIVE'],
    ['inactive', 'INACTIVE'],
  ] as const) {
    test(`the status ${written} is ${status}, also from a parameter`, () => {
      assert.equal(certificateOf({ CertificateId: 'x', Status: written })?.status, status);
      assert.equal(certificateOf({ CertificateId: 'x', Status: S }, { S: written })?.status, status);
    });
  }
  test('a parameter that is no status is refused', () => {
    const work = () => certificateOf({ CertificateId: 'x', Status: S }, { S: 'REVOKED' });
    assert.equal(refusal(work), 'Resources.c.Properties.Status: does not make "ACTIVE" or "INACTIVE"');
  });
  test('the override is told', () => {
    assert.equal(certificateOf({ CertificateId: 'x' }, {}, { Status: 'DO_NOTHING' })?.override, 'DO_NOTHING');
  });
});

describe('just-in-time provisioning (spec provisioning.md 3)', () => {
  const Country = 'AWS::IoT::Certificate::Country';
  const CommonName = 'AWS::IoT::Certificate::CommonName';
  const thing = { Type: 'AWS::IoT::Thing', Properties: { ThingName: { Ref: CommonName } } };
  const template = (Parameters: Json): Json => ({ Parameters, Resources: { thing, certificate } });

  test('the subject names the thing, declared or not', () => {
    for (const parameters of [{ [CommonName]: text }, {}]) {
      assert.equal(provision(template(parameters), { [CommonName]: 'dev1' }, 'JITP').thing?.thingName, 'dev1');
    }
  });
  test('provisioning.md check 12: a declared attribute that the subject lacks stops it, even if nothing refers to it (D)', () => {
    const work = () => provision(template({ [Country]: text }), { [CommonName]: 'dev1' }, 'JITP');
    assert.equal(refusal(work), `Parameters.${Country}: the certificate's subject has no C`);
  });
  test('a Default stands in for what the subject lacks', () => {
    const parameters = { [Country]: { ...text, Default: 'DE' } };
    assert.ok(provision(template(parameters), { [CommonName]: 'dev1' }, 'JITP').thing);
  });
  test('other parameters have their Default alone', () => {
    const parameters = { Site: { ...text, Default: 'main' } };
    const named = { ...thing, Properties: { ThingName: { Ref: 'Site' } } };
    const given = { Site: 'other' };
    assert.equal(
      provision({ Parameters: parameters, Resources: { named, certificate } }, given, 'JITP').thing?.thingName,
      'main',
    );
  });
  test('SerialNumber is the attribute of the subject (provisioning.md check 15)', () => {
    assert.equal(subjectParameters.get('AWS::IoT::Certificate::SerialNumber')?.type, '2.5.4.5');
  });
});

test('provisioning.md check 30: evaluation takes the parameters as the hook left them', () => {
  const thing = { Type: 'AWS::IoT::Thing', Properties: { ThingName: { Ref: 'S' } } };
  const template = { Parameters: { S: text }, Resources: { thing, certificate } };
  assert.equal(provision(template, { ...{ S: 'asked' }, ...{ S: 'overridden' } }).thing?.thingName, 'overridden');
});

test('provisioning.md check 32: a mapped value reaches the device configuration', () => {
  const template = {
    Parameters: { DeviceLocation: text },
    Mappings: { LocationTable: { Seattle: { LocationUrl: 'https://example.aws' } } },
    Resources: { certificate },
    DeviceConfiguration: {
      FallbackUrl: 'https://www.example.com/test-site',
      LocationUrl: { 'Fn::FindInMap': ['LocationTable', { Ref: 'DeviceLocation' }, 'LocationUrl'] },
    },
  };
  assert.deepEqual(provision(template, { DeviceLocation: 'Seattle' }).deviceConfiguration, {
    FallbackUrl: 'https://www.example.com/test-site',
    LocationUrl: 'https://example.aws',
  });
});
