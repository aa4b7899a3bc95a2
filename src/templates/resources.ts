/** The resources of a template: a thing, a certificate, policies. Source: spec provisioning.md 7.2 to 7.5. */
import { inside, quoted } from '../aws/quoted.ts';
import { certificateIdParameter, type TemplateKind } from './certificate-parameters.ts';
import { type Declared, type Expression, functionOf, type List, readExpression, readList } from './expression.ts';
import { refuseTemplate, TemplateFault } from './fault.ts';
import { readEntries, readMembers } from './json.ts';
import { type DocumentTemplate, readDocument } from './policy-document.ts';

/** Policies of a certificate. Source: AWS general reference, IoT Core quotas. */
export const templatePoliciesMax = 10;

/** What becomes of what exists already: it stays, takes the template's value, or stops the provisioning. */
export type Override = 'DO_NOTHING' | 'REPLACE' | 'FAIL';

/** Without an override an existing value that differs stops the provisioning (spec provisioning.md 7.5). */
export interface ThingOverrides {
  readonly attributePayload?: Override | 'MERGE';
  readonly thingTypeName?: Override;
  readonly thingGroups?: Override | 'MERGE';
}

export interface ThingTemplate {
  readonly logicalName: string;
  readonly place: string;
  readonly thingName: Expression;
  readonly attributes: readonly (readonly [name: string, value: Expression])[] | undefined;
  readonly thingTypeName: Expression | undefined;
  readonly thingGroups: List | undefined;
  readonly billingGroupName: Expression | undefined;
  readonly overrides: ThingOverrides;
}

export interface CertificateTemplate {
  readonly logicalName: string;
  readonly place: string;
  readonly form:
    | { readonly certificateId: Expression }
    | { readonly csr: Expression }
    | { readonly certificatePem: Expression; readonly caCertificatePem: Expression | undefined };
  readonly status: Expression | undefined;
  readonly override: Override | undefined;
}

export type PolicyTemplate =
  | { readonly logicalName: string; readonly place: string; readonly policyName: Expression }
  | { readonly logicalName: string; readonly place: string; readonly policyDocument: DocumentTemplate };

interface Resources {
  thing: ThingTemplate | undefined;
  certificate: CertificateTemplate | undefined;
  readonly policies: PolicyTemplate[];
}

/** One resource as it is read. */
interface Source {
  readonly logicalName: string;
  readonly place: string;
  readonly properties: unknown;
  readonly overrides: unknown;
  readonly declared: Declared;
}

export function readResources(value: unknown, kind: TemplateKind, declared: Declared): Resources {
  if (value === undefined) refuseTemplate('Resources', 'is missing');
  const resources: Resources = { thing: undefined, certificate: undefined, policies: [] };
  for (const [logicalName, entry, place] of readEntries(value, 'Resources')) {
    const { Type, Properties, OverrideSettings } = readMembers(
      entry,
      ['Type', 'Properties', 'OverrideSettings'],
      place,
    );
    const source = { logicalName, place, properties: Properties, overrides: OverrideSettings, declared };
    switch (Type) {
      case 'AWS::IoT::Thing':
        if (resources.thing) refuseTemplate(place, 'is a second AWS::IoT::Thing');
        resources.thing = readThing(source);
        break;
      case 'AWS::IoT::Certificate':
        if (resources.certificate) refuseTemplate(place, 'is a second AWS::IoT::Certificate');
        resources.certificate = readCertificate(source, kind);
        break;
      case 'AWS::IoT::Policy':
        if (resources.policies.length === templatePoliciesMax) {
          refuseTemplate(place, `a template has ${templatePoliciesMax} policies at most`);
        }
        resources.policies.push(readPolicy(source));
        break;
      default:
        refuseTemplate(
          inside(place, 'Type'),
          'must be "AWS::IoT::Thing", "AWS::IoT::Certificate" or "AWS::IoT::Policy"',
        );
    }
  }
  checkCertificate(resources, kind);
  return resources;
}

function checkCertificate({ thing, certificate, policies }: Resources, kind: TemplateKind): void {
  if (certificate) return;
  if (kind !== 'REGISTER_THING') refuseTemplate('Resources', 'there is no AWS::IoT::Certificate');
  const [policy] = policies;
  if (policy) refuseTemplate(policy.place, 'a policy needs an AWS::IoT::Certificate to be attached to');
  if (!thing) refuseTemplate('Resources', 'is empty');
}

const thingProperties = ['ThingName', 'AttributePayload', 'ThingTypeName', 'ThingGroups', 'BillingGroup'] as const;

function readThing({ logicalName, place, properties, overrides, declared }: Source): ThingTemplate {
  const at = inside(place, 'Properties');
  const members = readMembers(properties, thingProperties, at);
  const optional = (name: (typeof thingProperties)[number]): Expression | undefined =>
    members[name] === undefined ? undefined : readExpression(members[name], declared, inside(at, name));
  return {
    logicalName,
    place,
    thingName: readExpression(members.ThingName, declared, inside(at, 'ThingName')),
    attributes: readAttributes(members.AttributePayload, declared, inside(at, 'AttributePayload')),
    thingTypeName: optional('ThingTypeName'),
    thingGroups:
      members.ThingGroups === undefined
        ? undefined
        : readList(members.ThingGroups, declared, inside(at, 'ThingGroups')),
    billingGroupName: optional('BillingGroup'),
    overrides: readThingOverrides(overrides, inside(place, 'OverrideSettings')),
  };
}

const attributeNamePattern = /^[a-zA-Z0-9_.,@/:#-]{1,128}$/;

function readAttributes(value: unknown, declared: Declared, place: string): ThingTemplate['attributes'] {
  if (value === undefined) return undefined;
  const [name] = functionOf(value, place) ?? [];
  if (name !== undefined) refuseTemplate(place, `must be an object of names and values, not ${quoted(name)}`);
  return readEntries(value, place).map(([attribute, entry, at]) => {
    if (!attributeNamePattern.test(attribute)) refuseTemplate(at, 'is no name of an attribute');
    return [attribute, readExpression(entry, declared, at)];
  });
}

/** The guide prints both spellings. */
const thingOverrideNames = [
  ...['AttributePayload', 'ThingTypeName', 'ThingGroups'],
  ...['ATTRIBUTE_PAYLOAD', 'THING_TYPE_NAME', 'THING_GROUPS'],
];

function readThingOverrides(value: unknown, place: string): ThingOverrides {
  if (value === undefined) return {};
  const members = readMembers(value, thingOverrideNames, place);
  const setting = (name: string, otherName: string): [value: unknown, place: string] => {
    const [first, second] = [members[name], members[otherName]];
    if (first !== undefined && second !== undefined) refuseTemplate(place, `${name} and ${otherName} are the same`);
    return first === undefined ? [second, inside(place, otherName)] : [first, inside(place, name)];
  };
  const attributePayload = readMerge(...setting('AttributePayload', 'ATTRIBUTE_PAYLOAD'));
  const thingTypeName = readOverride(...setting('ThingTypeName', 'THING_TYPE_NAME'));
  const thingGroups = readMerge(...setting('ThingGroups', 'THING_GROUPS'));
  return {
    ...(attributePayload && { attributePayload }),
    ...(thingTypeName && { thingTypeName }),
    ...(thingGroups && { thingGroups }),
  };
}

const overrideValues: readonly Override[] = ['DO_NOTHING', 'REPLACE', 'FAIL'];

function readOverride(value: unknown, place: string): Override | undefined {
  if (value === undefined) return undefined;
  return (
    overrideValues.find((known) => known === value) ??
    refuseTemplate(place, 'must be "DO_NOTHING", "REPLACE" or "FAIL"')
  );
}

function readMerge(value: unknown, place: string): Override | 'MERGE' | undefined {
  if (value === undefined || value === 'MERGE') return value;
  return (
    overrideValues.find((known) => known === value) ??
    refuseTemplate(place, 'must be "DO_NOTHING", "REPLACE", "FAIL" or "MERGE"')
  );
}

const certificateProperties = [
  'CertificateId',
  'CertificateSigningRequest',
  'CertificatePem',
  'CACertificatePem',
  'Status',
] as const;

/** The status as the service spells it, from any mixture of cases; undefined for another one. */
export function statusOf(text: string): 'ACTIVE' | 'INACTIVE' | undefined {
  const upper = text.toUpperCase();
  return upper === 'ACTIVE' || upper === 'INACTIVE' ? upper : undefined;
}

function readCertificate(
  { logicalName, place, properties, overrides, declared }: Source,
  kind: TemplateKind,
): CertificateTemplate {
  const at = inside(place, 'Properties');
  const members = readMembers(properties, certificateProperties, at);
  const optional = (name: (typeof certificateProperties)[number]): Expression | undefined =>
    members[name] === undefined ? undefined : readExpression(members[name], declared, inside(at, name));
  const certificateId = optional('CertificateId');
  const csr = optional('CertificateSigningRequest');
  const certificatePem = optional('CertificatePem');
  const caCertificatePem = optional('CACertificatePem');
  const status = optional('Status');

  if ([certificateId, csr, certificatePem].filter(Boolean).length !== 1) {
    refuseTemplate(at, 'must have exactly one of CertificateId, CertificateSigningRequest and CertificatePem');
  }
  if (caCertificatePem && !certificatePem) {
    refuseTemplate(inside(at, 'CACertificatePem'), 'goes with CertificatePem only');
  }
  if (kind !== 'REGISTER_THING') {
    if (!certificateId) refuseTemplate(at, `must have CertificateId, the only form in a template of type ${kind}`);
    if (certificateId.kind !== 'ref' || certificateId.parameter !== certificateIdParameter) {
      refuseTemplate(inside(at, 'CertificateId'), `must be {"Ref":"${certificateIdParameter}"}`);
    }
  }
  if (status?.kind === 'written' && !statusOf(status.text)) {
    refuseTemplate(status.place, 'must be "ACTIVE" or "INACTIVE"');
  }
  const form = certificateId
    ? { certificateId }
    : csr
      ? { csr }
      : { certificatePem: certificatePem ?? refuseTemplate(at, 'is empty'), caCertificatePem };
  const settings = inside(place, 'OverrideSettings');
  const override =
    overrides === undefined
      ? undefined
      : readOverride(readMembers(overrides, ['Status'], settings).Status, inside(settings, 'Status'));
  return { logicalName, place, form, status, override };
}

function readPolicy({ logicalName, place, properties, overrides, declared }: Source): PolicyTemplate {
  const at = inside(place, 'Properties');
  if (overrides !== undefined) refuseTemplate(inside(place, 'OverrideSettings'), 'a policy has none');
  const { PolicyName, PolicyDocument } = readMembers(properties, ['PolicyName', 'PolicyDocument'], at);
  if (PolicyName !== undefined && PolicyDocument !== undefined) {
    refuseTemplate(at, 'must have PolicyName or PolicyDocument, not both');
  }
  if (PolicyName !== undefined) {
    return { logicalName, place, policyName: readExpression(PolicyName, declared, inside(at, 'PolicyName')) };
  }
  if (PolicyDocument !== undefined) {
    const policyDocument = readDocument(PolicyDocument, declared, inside(at, 'PolicyDocument'));
    return { logicalName, place, policyDocument };
  }
  // Observed: the whole message, without a place, as users of AWS have reported it (spec provisioning.md 7.4).
  const message = 'Invalid registration template. Neither policyName nor policyDocument is present in the Template.';
  throw new TemplateFault('template', at, message);
}
