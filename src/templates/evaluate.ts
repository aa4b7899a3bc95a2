/**
 * What a template asks for with the parameters of one device. Pure: nothing is looked up, and nothing but the result is made. Names are checked by the patterns of the
 * service model, as no operation will see them. Source: spec provisioning.md 7.2 to 7.6.
 */
import { inside } from '../aws/quoted.ts';
import { certificateIdParameter, subjectParameters } from './certificate-parameters.ts';
import { type Scope, textOf, textsOf } from './evaluate-expression.ts';
import type { Expression } from './expression.ts';
import { refuseParameters } from './fault.ts';
import { documentText } from './policy-document.ts';
import {
  type CertificateTemplate,
  type Override,
  statusOf,
  type ThingOverrides,
  type ThingTemplate,
} from './resources.ts';
import type { Template } from './template.ts';
import { Budget, charactersOf } from './text.ts';

export interface ProvisionedThing {
  readonly logicalName: string;
  readonly thingName: string;
  /** Own properties only; any name may be among them, `__proto__` too. Absent when the template says nothing of attributes. */
  readonly attributes?: Readonly<Record<string, string>>;
  readonly thingTypeName?: string;
  readonly thingGroups?: readonly string[];
  readonly billingGroupName?: string;
  readonly overrides: ThingOverrides;
}

export interface ProvisionedCertificate {
  readonly logicalName: string;
  readonly form:
    | { readonly certificateId: string }
    | { readonly csr: string }
    | { readonly certificatePem: string; readonly caCertificatePem?: string };
  readonly status: 'ACTIVE' | 'INACTIVE';
  readonly override?: Override;
}

export type ProvisionedPolicy =
  | { readonly logicalName: string; readonly policyName: string }
  | { readonly logicalName: string; readonly policyDocument: string };

export interface Provisioning {
  readonly thing?: ProvisionedThing;
  readonly certificate?: ProvisionedCertificate;
  readonly policies: readonly ProvisionedPolicy[];
  /** Own properties only. */
  readonly deviceConfiguration: Readonly<Record<string, string>>;
}

/**
 * Works a template out. Parameters that are not declared are passed over, but for those the service gives. Faults: TemplateFault of kind `parameters`. Work is bounded
 * by `evaluationCharactersMax` (text.ts) and the bounds of a template.
 */
export function evaluateTemplate(template: Template, parameters: Readonly<Record<string, string>>): Provisioning {
  const scope: Scope = { valueOf: valuesOf(template, parameters), mappings: template.mappings, budget: new Budget() };
  if (template.kind === 'JITP') checkSubject(template, scope);
  const { thing, certificate, policies } = template;
  return {
    ...(thing && { thing: provisionedThing(thing, scope) }),
    ...(certificate && { certificate: provisionedCertificate(certificate, scope) }),
    policies: policies.map((policy) => {
      const { logicalName, place } = policy;
      return 'policyName' in policy
        ? {
            logicalName,
            policyName: nameOf(policy.policyName, scope, policyNamePattern, `${place}.Properties.PolicyName`),
          }
        : { logicalName, policyDocument: documentText(policy.policyDocument, scope) };
    }),
    deviceConfiguration: record(template.deviceConfiguration, (value) => charactersOf(textOf(value, scope))),
  };
}

/** Just-in-time provisioning has no other source than the certificate: what is not of its subject has its Default alone. */
function valuesOf(template: Template, parameters: Readonly<Record<string, string>>): Scope['valueOf'] {
  const isGiven = (name: string): boolean =>
    template.kind !== 'JITP' || name === certificateIdParameter || subjectParameters.has(name);
  return (name) =>
    isGiven(name) && Object.hasOwn(parameters, name) ? parameters[name] : template.parameters.get(name);
}

/** A declared parameter must have a value even if nothing refers to it. Source: spec provisioning.md 3. */
function checkSubject(template: Template, scope: Scope): void {
  for (const name of template.parameters.keys()) {
    if (scope.valueOf(name) !== undefined) continue;
    const attribute = subjectParameters.get(name)?.shortName;
    refuseParameters(
      inside('Parameters', name),
      attribute === undefined ? 'has neither value nor Default' : `the certificate's subject has no ${attribute}`,
    );
  }
}

const namePattern = /^[a-zA-Z0-9:_-]{1,128}$/;
const attributeValuePattern = /^[a-zA-Z0-9_.,@/:#=[\]-]{0,800}$/;
const policyNamePattern = /^[\w+=,.@-]{1,128}$/;

function nameOf(expression: Expression, scope: Scope, pattern: RegExp, place: string): string {
  const name = charactersOf(textOf(expression, scope));
  if (!pattern.test(name)) refuseParameters(place, `does not make a value that matches ${pattern.source}`);
  return name;
}

/** Own properties, whatever their names. */
const record = <T>(
  entries: readonly (readonly [name: string, value: T])[],
  textFor: (value: T, name: string) => string,
): Record<string, string> => Object.fromEntries(entries.map(([name, value]) => [name, textFor(value, name)]));

function provisionedThing(thing: ThingTemplate, scope: Scope): ProvisionedThing {
  const { logicalName, attributes, thingTypeName, thingGroups, billingGroupName, overrides } = thing;
  const at = inside(thing.place, 'Properties');
  const name = (expression: Expression, property: string): string =>
    nameOf(expression, scope, namePattern, inside(at, property));
  return {
    logicalName,
    thingName: name(thing.thingName, 'ThingName'),
    ...(attributes && {
      attributes: record(attributes, (value, attribute) =>
        nameOf(value, scope, attributeValuePattern, inside(inside(at, 'AttributePayload'), attribute)),
      ),
    }),
    ...(thingTypeName && { thingTypeName: name(thingTypeName, 'ThingTypeName') }),
    ...(thingGroups && {
      thingGroups: textsOf(thingGroups, scope).map((text, i) => {
        const group = charactersOf(text);
        if (!namePattern.test(group)) {
          refuseParameters(`${at}.ThingGroups[${i}]`, `does not make a value that matches ${namePattern.source}`);
        }
        return group;
      }),
    }),
    ...(billingGroupName && { billingGroupName: name(billingGroupName, 'BillingGroup') }),
    overrides,
  };
}

function provisionedCertificate(certificate: CertificateTemplate, scope: Scope): ProvisionedCertificate {
  const { logicalName, place, form, status, override } = certificate;
  const text = (expression: Expression): string => charactersOf(textOf(expression, scope));
  return {
    logicalName,
    form:
      'certificateId' in form
        ? { certificateId: text(form.certificateId) }
        : 'csr' in form
          ? { csr: text(form.csr) }
          : {
              certificatePem: text(form.certificatePem),
              ...(form.caCertificatePem && { caCertificatePem: text(form.caCertificatePem) }),
            },
    status: status
      ? (statusOf(text(status)) ??
        refuseParameters(`${place}.Properties.Status`, 'does not make "ACTIVE" or "INACTIVE"'))
      : 'ACTIVE',
    ...(override && { override }),
  };
}
