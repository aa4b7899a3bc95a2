import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TemplateKind } from './certificate-parameters.ts';
import { TemplateFault } from './fault.ts';
import { parseTemplate, templateCharactersMax, templateNestingMax } from './template.ts';

const byId = { CertificateId: { Ref: 'AWS::IoT::Certificate::Id' } };
const certificate = { Type: 'AWS::IoT::Certificate', Properties: byId };
const thing = { Type: 'AWS::IoT::Thing', Properties: { ThingName: { Ref: 'S' } } };
const policy = { Type: 'AWS::IoT::Policy', Properties: { PolicyName: 'p' } };
const Parameters = { S: { Type: 'String' } };

type Json = Record<string, unknown>;
/** A template that can be taken, with members replaced or, by undefined, removed. */
const withMembers = (members: Json): string => JSON.stringify({ Parameters, Resources: { certificate }, ...members });
const withResources = (resources: Json): string => withMembers({ Resources: { certificate, ...resources } });
const withThing = (properties: Json, overrides?: unknown): string =>
  withResources({
    thing: { ...thing, Properties: { ...thing.Properties, ...properties }, OverrideSettings: overrides },
  });
const withName = (ThingName: unknown): string =>
  withMembers({
    Resources: { certificate, thing: { ...thing, Properties: { ThingName } } },
    Mappings: { M: { a: { b: 'c' } } },
  });
const withCertificate = (Properties: unknown, OverrideSettings?: unknown): string =>
  withMembers({ Resources: { certificate: { ...certificate, Properties, OverrideSettings } } });
const withPolicy = (Properties: unknown, OverrideSettings?: unknown): string =>
  withResources({ policy: { ...policy, Properties, OverrideSettings } });

const refusal = (text: string, kind: TemplateKind): TemplateFault => {
  try {
    parseTemplate(text, kind);
  } catch (error) {
    assert.ok(error instanceof TemplateFault, String(error));
    return error;
  }
  return assert.fail('the template was taken');
};

type Refused = [rule: string, text: string, message: string, kind?: TemplateKind];
function refuses(title: string, cases: readonly Refused[]): void {
  describe(title, () => {
    for (const [rule, text, message, kind = 'FLEET_PROVISIONING'] of cases) {
      test(rule, () => {
        const fault = refusal(text, kind);
        assert.equal(fault.message, message);
        assert.equal(fault.kind, 'template');
        if (!fault.message.startsWith('Invalid registration')) assert.ok(fault.message.startsWith(fault.place));
      });
    }
  });
}

const at = 'Resources.thing.Properties.ThingName';

refuses('the text and its sections (spec provisioning.md 7.1)', [
  ['no text', '', 'the template is not JSON'],
  ['not JSON', '{"Resources":', 'the template is not JSON'],
  ['a list', '[]', 'the template must be a JSON object'],
  ['null', 'null', 'the template must be a JSON object'],
  [
    'quoted twice (9, O)',
    JSON.stringify(withMembers({})),
    'the template is a string that holds JSON: it was quoted twice',
  ],
  [
    'longer than the service model allows',
    withMembers({}).padEnd(templateCharactersMax + 1),
    'longer than 10240 characters',
  ],
  [
    'deeper than any template needs',
    `{"Resources":${'['.repeat(templateNestingMax)}${']'.repeat(templateNestingMax)}}`,
    'nested deeper than 32 levels',
  ],
  ['a key twice', '{"Resources":{"a":{"Type":"x","Type":"y"}}}', 'Resources.a: key "Type" occurs twice'],
  [
    'a key twice below one that is no plain name',
    '{"Resources":{"a\\u0007":{"Type":"x","Type":"y"}}}',
    'Resources["a\\u0007"]: key "Type" occurs twice',
  ],
  [
    'a section that nobody knows',
    withMembers({ Outputs: {} }),
    'unknown member "Outputs"; known are Parameters, Resources, Mappings, DeviceConfiguration',
  ],
  [
    '__proto__ is a name like any other',
    '{"__proto__":{},"Resources":{}}',
    'unknown member "__proto__"; known are Parameters, Resources, Mappings, DeviceConfiguration',
  ],
  ['no Resources', withMembers({ Resources: undefined }), 'Resources: is missing'],
  ['Resources as a list', withMembers({ Resources: [] }), 'Resources: must be an object'],
  [
    'a parameter of another type',
    withMembers({ Parameters: { S: { Type: 'Number' } } }),
    'Parameters.S.Type: must be "String"',
  ],
  ['a parameter without a type', withMembers({ Parameters: { S: {} } }), 'Parameters.S.Type: must be "String"'],
  ['a parameter that is text', withMembers({ Parameters: { S: 'String' } }), 'Parameters.S: must be an object'],
  [
    'a Default that is no text',
    withMembers({ Parameters: { S: { Type: 'String', Default: 1 } } }),
    'Parameters.S.Default: must be a string',
  ],
  [
    'a Default that is a function',
    withMembers({ Parameters: { S: { Type: 'String', Default: { Ref: 'T' } } } }),
    'Parameters.S.Default: must be a string, not an object or a function',
  ],
  [
    'a member of a parameter that would not be obeyed',
    withMembers({ Parameters: { S: { Type: 'String', AllowedPattern: 'x' } } }),
    'Parameters.S: unknown member "AllowedPattern"; known are Type, Default',
  ],
  [
    'a function in Mappings (D)',
    withMembers({ Mappings: { M: { a: { b: { Ref: 'S' } } } } }),
    'Mappings.M.a.b: must be a string, not an object or a function',
  ],
  ['Mappings of one level', withMembers({ Mappings: { M: { a: 'b' } } }), 'Mappings.M.a: must be an object'],
  [
    'a nested object in DeviceConfiguration (D)',
    withMembers({ DeviceConfiguration: { a: { b: 'c' } } }),
    'DeviceConfiguration.a: must be a string or a function',
  ],
  [
    'DeviceConfiguration as a function',
    withMembers({ DeviceConfiguration: { Ref: 'S' } }),
    'DeviceConfiguration: must be an object of names and values, not "Ref"',
  ],
  [
    'a name that is no plain one is quoted in the place, control characters escaped and cut',
    withMembers({ Resources: { [`a \n${'b'.repeat(200)}`]: 1 } }),
    `Resources["a \\n${'b'.repeat(75)}...]: must be an object`,
  ],
]);

refuses('resources (spec provisioning.md 7.1)', [
  ['two things', withResources({ thing, other: thing }), 'Resources.other: is a second AWS::IoT::Thing'],
  ['two certificates', withResources({ other: certificate }), 'Resources.other: is a second AWS::IoT::Certificate'],
  [
    'more policies than a certificate takes',
    withResources(Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`p${i}`, policy]))),
    'Resources.p10: a template has 10 policies at most',
  ],
  [
    'another type',
    withResources({ role: { Type: 'AWS::IAM::Role', Properties: {} } }),
    'Resources.role.Type: must be "AWS::IoT::Thing", "AWS::IoT::Certificate" or "AWS::IoT::Policy"',
  ],
  [
    'a resource without properties',
    withResources({ thing: { Type: 'AWS::IoT::Thing' } }),
    'Resources.thing.Properties: is missing',
  ],
  [
    'a member of a resource that nobody knows',
    withResources({ thing: { ...thing, DependsOn: 'x' } }),
    'Resources.thing: unknown member "DependsOn"; known are Type, Properties, OverrideSettings',
  ],
  [
    'fleet provisioning without a certificate',
    withMembers({ Resources: { thing } }),
    'Resources: there is no AWS::IoT::Certificate',
  ],
  [
    'JITP without a certificate',
    withMembers({ Parameters: {}, Resources: {} }),
    'Resources: there is no AWS::IoT::Certificate',
    'JITP',
  ],
  ['nothing to register', withMembers({ Resources: {} }), 'Resources: is empty', 'REGISTER_THING'],
  [
    'a policy that nothing could be attached to',
    withMembers({ Resources: { thing, policy } }),
    'Resources.policy: a policy needs an AWS::IoT::Certificate to be attached to',
    'REGISTER_THING',
  ],
]);

refuses('things (spec provisioning.md 7.2, 7.5)', [
  ['no name', withName(undefined), `${at}: is missing`],
  ['a name that is null', withName(null), `${at}: must be a string or a function`],
  ['a name that is a list', withName(['a']), `${at}: must be a string or a function`],
  [
    'attributes in a wrapper',
    withThing({ AttributePayload: { attributes: { a: 'b' } } }),
    'Resources.thing.Properties.AttributePayload.attributes: must be a string or a function',
  ],
  [
    'attributes by a function',
    withThing({ AttributePayload: { Ref: 'S' } }),
    'Resources.thing.Properties.AttributePayload: must be an object of names and values, not "Ref"',
  ],
  [
    'an attribute with a name that the registry refuses',
    withThing({ AttributePayload: { 'a b': 'c' } }),
    'Resources.thing.Properties.AttributePayload["a b"]: is no name of an attribute',
  ],
  [
    'groups that are text',
    withThing({ ThingGroups: 'g' }),
    'Resources.thing.Properties.ThingGroups: must be a list or Fn::Split',
  ],
  [
    'a property that would not be obeyed',
    withThing({ PackageVersions: {} }),
    'Resources.thing.Properties: unknown member "PackageVersions"; known are ThingName, AttributePayload, ThingTypeName, ThingGroups, BillingGroup',
  ],
  [
    'MERGE of what cannot be merged',
    withThing({}, { ThingTypeName: 'MERGE' }),
    'Resources.thing.OverrideSettings.ThingTypeName: must be "DO_NOTHING", "REPLACE" or "FAIL"',
  ],
  [
    'an override in another case',
    withThing({}, { THING_GROUPS: 'merge' }),
    'Resources.thing.OverrideSettings.THING_GROUPS: must be "DO_NOTHING", "REPLACE", "FAIL" or "MERGE"',
  ],
  [
    'both spellings of one setting',
    withThing({}, { ThingGroups: 'FAIL', THING_GROUPS: 'MERGE' }),
    'Resources.thing.OverrideSettings: ThingGroups and THING_GROUPS are the same',
  ],
  [
    'an override of what has none',
    withThing({}, { ThingName: 'FAIL' }),
    'Resources.thing.OverrideSettings: unknown member "ThingName"; known are AttributePayload, ThingTypeName, ThingGroups, ATTRIBUTE_PAYLOAD, THING_TYPE_NAME, THING_GROUPS',
  ],
]);

const ofCertificate = 'Resources.certificate.Properties';
const oneForm = `${ofCertificate}: must have exactly one of CertificateId, CertificateSigningRequest and CertificatePem`;

refuses('certificates (spec provisioning.md 7.3)', [
  ['no form', withCertificate({}), oneForm],
  ['two forms', withCertificate({ CertificateId: 'x', CertificatePem: 'x' }), oneForm, 'REGISTER_THING'],
  [
    'a signing request in fleet provisioning (D)',
    withCertificate({ CertificateSigningRequest: { Ref: 'S' } }),
    `${ofCertificate}: must have CertificateId, the only form in a template of type FLEET_PROVISIONING`,
  ],
  [
    'a PEM in JITP (D)',
    JSON.stringify({ Resources: { certificate: { ...certificate, Properties: { CertificatePem: 'x' } } } }),
    `${ofCertificate}: must have CertificateId, the only form in a template of type JITP`,
    'JITP',
  ],
  [
    'a certificate that the device chooses',
    withCertificate({ CertificateId: { Ref: 'S' } }),
    `${ofCertificate}.CertificateId: must be {"Ref":"AWS::IoT::Certificate::Id"}`,
  ],
  [
    'a certificate that is always the same',
    withCertificate({ CertificateId: 'ab' }),
    `${ofCertificate}.CertificateId: must be {"Ref":"AWS::IoT::Certificate::Id"}`,
  ],
  [
    'a CA without a certificate',
    withCertificate({ CertificateSigningRequest: 'x', CACertificatePem: 'y' }),
    `${ofCertificate}.CACertificatePem: goes with CertificatePem only`,
    'REGISTER_THING',
  ],
  [
    'another status',
    withCertificate({ ...byId, Status: 'REVOKED' }),
    `${ofCertificate}.Status: must be "ACTIVE" or "INACTIVE"`,
  ],
  [
    'MERGE of a status',
    withCertificate(byId, { Status: 'MERGE' }),
    'Resources.certificate.OverrideSettings.Status: must be "DO_NOTHING", "REPLACE" or "FAIL"',
  ],
]);

const ofPolicy = 'Resources.policy.Properties';

refuses('policies (spec provisioning.md 7.4)', [
  [
    'provisioning.md check 38: neither name nor document (O)',
    withPolicy({}),
    'Invalid registration template. Neither policyName nor policyDocument is present in the Template.',
  ],
  [
    'both',
    withPolicy({ PolicyName: 'a', PolicyDocument: {} }),
    `${ofPolicy}: must have PolicyName or PolicyDocument, not both`,
  ],
  [
    'override settings (D)',
    withPolicy({ PolicyName: 'a' }, {}),
    'Resources.policy.OverrideSettings: a policy has none',
  ],
  [
    'a document that is no JSON',
    withPolicy({ PolicyDocument: '{' }),
    `${ofPolicy}.PolicyDocument: the string is not JSON`,
  ],
  [
    'a document that is a list in a string',
    withPolicy({ PolicyDocument: '[]' }),
    `${ofPolicy}.PolicyDocument: the string must hold a JSON object`,
  ],
  [
    'a document that is a list',
    withPolicy({ PolicyDocument: [] }),
    `${ofPolicy}.PolicyDocument: must be a JSON object, or one in a string`,
  ],
  [
    'a reference inside a document that is not declared',
    withPolicy({ PolicyDocument: { Statement: [{ Resource: ['a', { Ref: 'X' }] }] } }),
    `${ofPolicy}.PolicyDocument.Statement[0].Resource[1].Ref: there is no parameter "X"`,
  ],
  [
    'a number that JSON cannot say again',
    withPolicy({ PolicyDocument: { a: 7 } }).replace(':7}', ':1e999}'),
    `${ofPolicy}.PolicyDocument.a: the number is too large`,
  ],
]);

refuses('functions (spec provisioning.md 7.6, 7.7)', [
  [
    'an unknown function',
    withName({ 'Fn::If': [] }),
    `${at}: unknown function "Fn::If"; known are Ref, Fn::Join, Fn::Select, Fn::FindInMap, Fn::Sub, Fn::Split`,
  ],
  [
    'a function with company',
    withName({ 'Fn::Sub': 'a', b: 'c' }),
    `${at}: "Fn::Sub" must be the only member of its object`,
  ],
  ['two functions', withName({ Ref: 'S', 'Fn::Sub': 'a' }), `${at}: must be a string or a function`],
  ['Ref to nothing that is declared', withName({ Ref: 's' }), `${at}.Ref: there is no parameter "s"`],
  ['Ref to a resource', withName({ Ref: 'certificate' }), `${at}.Ref: there is no parameter "certificate"`],
  [
    'Ref to a name that objects inherit',
    withName({ Ref: 'constructor' }),
    `${at}.Ref: there is no parameter "constructor"`,
  ],
  ['Ref to a list', withName({ Ref: ['S'] }), `${at}.Ref: must be a string`],
  [
    'a subject is there in JITP only',
    withName({ Ref: 'AWS::IoT::Certificate::CommonName' }),
    `${at}.Ref: there is no parameter "AWS::IoT::Certificate::CommonName"`,
  ],
  [
    'RegisterThing has no certificate to begin with',
    withMembers({}),
    `${ofCertificate}.CertificateId.Ref: there is no parameter "AWS::IoT::Certificate::Id"`,
    'REGISTER_THING',
  ],
  ['Fn::Join without a list', withName({ 'Fn::Join': '' }), `${at}.Fn::Join: must be [delimiter, list]`],
  ['Fn::Join with one argument', withName({ 'Fn::Join': [['a']] }), `${at}.Fn::Join: must be [delimiter, list]`],
  ['Fn::Join of text', withName({ 'Fn::Join': ['', 'a'] }), `${at}.Fn::Join[1]: must be a list or Fn::Split`],
  ['Fn::Join of null', withName({ 'Fn::Join': ['', [null]] }), `${at}.Fn::Join[1][0]: must be a string or a function`],
  [
    'a delimiter that is a function',
    withName({ 'Fn::Join': [{ Ref: 'S' }, []] }),
    `${at}.Fn::Join[0]: must be a string, not an object or a function`,
  ],
  [
    'deep within',
    withName({ 'Fn::Join': ['', ['a', { 'Fn::Select': ['0', [{ Ref: 'X' }]] }]] }),
    `${at}.Fn::Join[1][1].Fn::Select[1][0].Ref: there is no parameter "X"`,
  ],
  ['Fn::Select with three arguments', withName({ 'Fn::Select': [0, 1, 2] }), `${at}.Fn::Select: must be [index, list]`],
  [
    'Fn::FindInMap with two arguments',
    withName({ 'Fn::FindInMap': ['M', 'a'] }),
    `${at}.Fn::FindInMap: must be [map, key, key]`,
  ],
  [
    'Fn::FindInMap of no map',
    withName({ 'Fn::FindInMap': ['m', 'a', 'b'] }),
    `${at}.Fn::FindInMap[0]: there is no "m" in Mappings`,
  ],
  [
    'Fn::Split where text must stand',
    withName({ 'Fn::Split': [',', 'a'] }),
    `${at}: Fn::Split makes a list, where a string must stand`,
  ],
  [
    'Fn::Split at nothing',
    withName({ 'Fn::Join': ['', { 'Fn::Split': ['', 'a'] }] }),
    `${at}.Fn::Join[1].Fn::Split[0]: must not be empty`,
  ],
  [
    'a number that is not read to its last digit',
    withName(12_345_678_901_234_567_890n.toString()).replace(/"(1\d+)"/, '$1'),
    `${at}: the number is too large: write it as a string`,
  ],
  ['Fn::Sub of a number', withName({ 'Fn::Sub': 1 }), `${at}.Fn::Sub: must be a string`],
  [
    'Fn::Sub with three arguments',
    withName({ 'Fn::Sub': ['a', {}, {}] }),
    `${at}.Fn::Sub: must be a string, or [string, variables]`,
  ],
  [
    'Fn::Sub of a variable that is not declared',
    withName({ 'Fn::Sub': 'a${X}' }),
    `${at}.Fn::Sub: there is no parameter "X"`,
  ],
  [
    'Fn::Sub of a variable without a name',
    withName({ 'Fn::Sub': ['a${}', {}] }),
    `${at}.Fn::Sub[0]: there is no parameter ""`,
  ],
  ['Fn::Sub with an open brace', withName({ 'Fn::Sub': 'a${S' }), `${at}.Fn::Sub: \${ without }`],
]);

refuses('just-in-time provisioning (spec provisioning.md 3)', [
  [
    'Mappings',
    JSON.stringify({ Resources: { certificate }, Mappings: {} }),
    'Mappings: is for fleet provisioning only',
    'JITP',
  ],
  [
    'DeviceConfiguration',
    JSON.stringify({ Resources: { certificate }, DeviceConfiguration: {} }),
    'DeviceConfiguration: is for fleet provisioning only',
    'JITP',
  ],
  [
    'a parameter that nothing gives a value',
    withMembers({}),
    'Parameters.S: nothing gives it a value: only AWS::IoT::Certificate::* come from the certificate',
    'JITP',
  ],
]);

describe('taken', () => {
  const cases: [rule: string, text: string, kind?: TemplateKind][] = [
    ['a certificate alone (7.1, O)', withMembers({})],
    ['a certificate and a policy (7.1)', withResources({ policy })],
    ['pseudo parameters need no declaration (7.7)', JSON.stringify({ Resources: { certificate } })],
    ['the longest template', withMembers({}).padEnd(templateCharactersMax)],
    ['a thing alone in RegisterThing', withMembers({ Resources: { thing } }), 'REGISTER_THING'],
    [
      'Mappings and DeviceConfiguration in RegisterThing (9)',
      withMembers({ Resources: { thing }, Mappings: {}, DeviceConfiguration: {} }),
      'REGISTER_THING',
    ],
    ['a parameter with a Default in JITP', withMembers({ Parameters: { S: { Type: 'String', Default: '' } } }), 'JITP'],
    [
      'names that objects inherit',
      '{"Parameters":{"__proto__":{"Type":"String"},"constructor":{"Type":"String"}},"Mappings":{"__proto__":{"__proto__":{"__proto__":""}}},"Resources":{"__proto__":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"}}}}}',
    ],
    ['policies that do not exist: that is not asked at creation (7.7)', withPolicy({ PolicyName: 'nobody' })],
    ['ten policies', withResources(Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`p${i}`, policy])))],
  ];
  for (const [rule, text, kind = 'FLEET_PROVISIONING'] of cases) {
    test(rule, () => assert.equal(parseTemplate(text, kind).kind, kind));
  }
});
