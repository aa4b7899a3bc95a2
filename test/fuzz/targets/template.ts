/**
 * Provisioning templates and the parameters that a device sends: TemplateFault, or a result that is bounded, the same each time, and in whose policies the device's
 * words stand for themselves. The input is the kind, the template, then after NUL names and values of parameters in turn. Rules: spec provisioning.md 7.
 */

import { parsePolicyDocument } from '../../../src/policy/document.ts';
import { MalformedPolicy } from '../../../src/policy/malformed.ts';
import { certificateIdParameter, type TemplateKind } from '../../../src/templates/certificate-parameters.ts';
import { evaluateTemplate } from '../../../src/templates/evaluate.ts';
import { TemplateFault } from '../../../src/templates/fault.ts';
import { parseTemplate } from '../../../src/templates/template.ts';
import { evaluationCharactersMax } from '../../../src/templates/text.ts';
import { hold, type Target } from '../target.ts';

const kinds: readonly TemplateKind[] = ['FLEET_PROVISIONING', 'JITP', 'REGISTER_THING'];
const id = 'ab'.repeat(32);
const text = { Type: 'String' };
const certificate = {
  Type: 'AWS::IoT::Certificate',
  Properties: { CertificateId: { Ref: certificateIdParameter }, Status: 'Active' },
  OverrideSettings: { Status: 'REPLACE' },
};
const thing = (ThingName: unknown, properties = {}) => ({
  Type: 'AWS::IoT::Thing',
  Properties: { ThingName, ...properties },
  OverrideSettings: { AttributePayload: 'MERGE', THING_GROUPS: 'DO_NOTHING', ThingTypeName: 'FAIL' },
});
const policy = (Properties: object) => ({ Type: 'AWS::IoT::Policy', Properties });
const document = (Resource: unknown) => ({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: 'iot:*', Resource }],
});
const input = (kind: TemplateKind, template: object, ...parameters: string[]): Uint8Array =>
  Buffer.from([kind, JSON.stringify(template), ...parameters].join('\0'));

export default (): Target => ({
  corpus: [
    input(
      'FLEET_PROVISIONING',
      {
        Parameters: { S: text, 'AWS::IoT::Certificate::Id': text },
        Resources: {
          policy: policy({ PolicyName: 'device' }),
          certificate,
          thing: thing({ 'Fn::Join': ['', ['dev-', { Ref: 'S' }]] }, { AttributePayload: {}, ThingGroups: [] }),
        },
      },
      'S',
      '1',
    ),
    input(
      'FLEET_PROVISIONING',
      {
        Parameters: { S: text, L: { ...text, Default: 'Seattle' } },
        Mappings: { Towns: { Seattle: { Url: 'https://example.aws' } } },
        Resources: {
          certificate,
          policy: policy({ PolicyDocument: document([{ 'Fn::Sub': 'arn:aws:iot:*:*:topic/${S}/${!iot:ClientId}' }]) }),
          whole: policy({ PolicyDocument: { 'Fn::Sub': JSON.stringify(document('arn:${S}')).replace('{', '{ ') } }),
        },
        DeviceConfiguration: {
          url: { 'Fn::FindInMap': ['Towns', { Ref: 'L' }, 'Url'] },
          part: { 'Fn::Select': ['1', { 'Fn::Split': ['-', { Ref: 'S' }] }] },
          both: { 'Fn::Sub': ['${x}${S}', { x: { 'Fn::Select': [0, ['a', { Ref: 'S' }]] } }] },
        },
      },
      'S',
      'a-*',
    ),
    input(
      'JITP',
      {
        Parameters: { 'AWS::IoT::Certificate::CommonName': text, 'AWS::IoT::Certificate::Country': text },
        Resources: {
          thing: thing(
            { Ref: 'AWS::IoT::Certificate::CommonName' },
            { ThingGroups: ['g', { Ref: 'AWS::IoT::Certificate::Country' }], BillingGroup: 'b', ThingTypeName: 't' },
          ),
          certificate,
          policy: policy({ PolicyDocument: JSON.stringify(document('*')) }),
        },
      },
      'AWS::IoT::Certificate::CommonName',
      'dev1',
      'AWS::IoT::Certificate::Country',
      'DE',
    ),
    input(
      'REGISTER_THING',
      {
        Parameters: { P: text, C: text },
        Resources: {
          c: {
            Type: 'AWS::IoT::Certificate',
            Properties: { CertificatePem: { Ref: 'P' }, CACertificatePem: { Ref: 'C' }, Status: 'inactive' },
          },
        },
      },
      'P',
      '-----BEGIN',
      'C',
      '',
    ),
  ],
  dictionary: [
    ...['{"Ref":"S"}', '"Fn::Join":["",[', '"Fn::Select":[0,', '"Fn::Split":["{",', '"Fn::Sub":"', '"Fn::FindInMap":['],
    ...[
      '${S}',
      '${!S}',
      '${',
      '}',
      '${*}',
      '*',
      '?',
      '$',
      '{',
      '\\u0024',
      '\ue0000\ue001',
      '\0',
      '\0S\0',
      '[',
      ']',
      ',',
    ],
    ...[
      '__proto__',
      'constructor',
      'AWS::IoT::Certificate::Id',
      '"Version":"2008-10-17"',
      '1e999',
      '-1',
      'null',
      '\\ud800',
    ],
    ...['"PolicyDocument":', '"PolicyName":', '"CertificateSigningRequest":', '"MERGE"', '"Default":"x"', 'JITP\0'],
  ],
  bytesMax: 16_384,
  run(bytes) {
    const [kindName, template = '', ...words] = bytes.toString('utf8').split('\0');
    const kind = kinds.find((known) => known === kindName) ?? 'FLEET_PROVISIONING';
    const entries = words.flatMap((word, i) => (i % 2 === 0 ? [[word, words[i + 1] ?? '']] : []));
    const parameters: Record<string, string> = { ...Object.fromEntries(entries), [certificateIdParameter]: id };
    let parsed = false;
    try {
      const read = parseTemplate(template, kind);
      parsed = true;
      const result = evaluateTemplate(read, parameters);
      hold(
        JSON.stringify(evaluateTemplate(read, parameters)) === JSON.stringify(result),
        'it works out the same again',
      );
      hold(result.thing === undefined || /^[a-zA-Z0-9:_-]{1,128}$/.test(result.thing.thingName), 'a thing has a name');
      hold(kind === 'REGISTER_THING' || result.certificate !== undefined, 'there is a certificate');
      if (kind !== 'REGISTER_THING' && result.certificate) {
        hold('certificateId' in result.certificate.form, 'fleets and JITP name a certificate that exists');
        hold(Object.values(result.certificate.form)[0] === id, 'and it is the one that is being provisioned');
      }
      const made = Object.values(result.deviceConfiguration).reduce((sum, value) => sum + value.length, 0);
      hold(made <= evaluationCharactersMax + template.length, 'what is made is bounded');
      hold(Object.getPrototypeOf(result.deviceConfiguration) === Object.prototype, 'names are names');
      for (const resource of result.policies) {
        if (!('policyDocument' in resource)) continue;
        JSON.parse(resource.policyDocument);
        try {
          parsePolicyDocument(resource.policyDocument);
        } catch (error) {
          if (!(error instanceof MalformedPolicy)) throw error;
        }
      }
      return 'worked out';
    } catch (error) {
      if (!(error instanceof TemplateFault)) throw error;
      hold(error.kind === (parsed ? 'parameters' : 'template'), 'the fault says whose mistake it is');
      hold(
        error.message.length < 4_000 && !/[\u0000-\u001f]/.test(error.message),
        'the fault is bounded and printable',
      );
      return error.kind;
    }
  },
});
