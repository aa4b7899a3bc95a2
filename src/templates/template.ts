/**
 * Provisioning templates: from the text that a caller sent to what is to be made, or the place where the text is wrong. Whether the policies, types and groups that
 * it names exist is not asked here. Source: spec provisioning.md 7.1 to 7.7; developer guide, "Provisioning templates".
 */
import { checkKeys } from '../aws/json-keys.ts';
import { inside, quoted } from '../aws/quoted.ts';
import {
  certificateIdParameter,
  isPseudoParameter,
  subjectParameters,
  type TemplateKind,
} from './certificate-parameters.ts';
import type { Mappings } from './evaluate-expression.ts';
import { type Declared, type Expression, functionOf, readExpression } from './expression.ts';
import { refuseTemplate } from './fault.ts';
import { isObject, readEntries, readMembers, readWritten } from './json.ts';
import { type CertificateTemplate, type PolicyTemplate, readResources, type ThingTemplate } from './resources.ts';

/** Characters of a template as sent. Source: service model, TemplateBody. */
export const templateCharactersMax = 10_240;
/** Open brackets at any place; a policy document of the deepest form needs 12. */
export const templateNestingMax = 32;

export interface Template {
  readonly kind: TemplateKind;
  /** The declared parameters, with their Default. */
  readonly parameters: ReadonlyMap<string, string | undefined>;
  readonly mappings: Mappings;
  readonly thing: ThingTemplate | undefined;
  readonly certificate: CertificateTemplate | undefined;
  readonly policies: readonly PolicyTemplate[];
  readonly deviceConfiguration: readonly (readonly [name: string, value: Expression])[];
}

/** Reads a template. Faults: TemplateFault of kind `template`. Work is bounded by `templateCharactersMax` and `templateNestingMax`. */
export function parseTemplate(text: string, kind: TemplateKind): Template {
  const sections = readMembers(readJson(text), ['Parameters', 'Resources', 'Mappings', 'DeviceConfiguration'], '');
  for (const section of ['Mappings', 'DeviceConfiguration'] as const) {
    if (kind === 'JITP' && sections[section] !== undefined) refuseTemplate(section, 'is for fleet provisioning only');
  }
  const parameters = readParameters(sections.Parameters, kind);
  const mappings = readMappings(sections.Mappings);
  const declared: Declared = {
    parameters: { has: (name) => parameters.has(name) || isPseudoParameter(kind, name) },
    mappings,
  };
  return {
    kind,
    parameters,
    mappings,
    ...readResources(sections.Resources, kind, declared),
    deviceConfiguration: readDeviceConfiguration(sections.DeviceConfiguration, declared),
  };
}

function readJson(text: string): unknown {
  if (text.length > templateCharactersMax) refuseTemplate('', `longer than ${templateCharactersMax} characters`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    refuseTemplate('', 'the template is not JSON');
  }
  if (typeof value === 'string') refuseTemplate('', 'the template is a string that holds JSON: it was quoted twice');
  if (!isObject(value)) refuseTemplate('', 'the template must be a JSON object');
  checkKeys(text, templateNestingMax, refuseTemplate);
  return value;
}

function readParameters(value: unknown, kind: TemplateKind): Template['parameters'] {
  const parameters = new Map<string, string | undefined>();
  for (const [name, declaration, place] of readEntries(value, 'Parameters')) {
    const { Type, Default } = readMembers(declaration, ['Type', 'Default'], place);
    if (Type !== 'String') refuseTemplate(inside(place, 'Type'), 'must be "String"');
    const standby = Default === undefined ? undefined : readWritten(Default, inside(place, 'Default'));
    const isGiven = name === certificateIdParameter || subjectParameters.has(name);
    if (kind === 'JITP' && !isGiven && standby === undefined) {
      refuseTemplate(place, 'nothing gives it a value: only AWS::IoT::Certificate::* come from the certificate');
    }
    parameters.set(name, standby);
  }
  return parameters;
}

function readMappings(value: unknown): Mappings {
  return new Map(
    readEntries(value, 'Mappings').map(([name, map, place]) => [
      name,
      new Map(
        readEntries(map, place).map(([key, values, keyPlace]) => [
          key,
          new Map(readEntries(values, keyPlace).map(([secondKey, text, at]) => [secondKey, readWritten(text, at)])),
        ]),
      ),
    ]),
  );
}

function readDeviceConfiguration(value: unknown, declared: Declared): Template['deviceConfiguration'] {
  const place = 'DeviceConfiguration';
  const [name] = functionOf(value, place) ?? [];
  if (name !== undefined) refuseTemplate(place, `must be an object of names and values, not ${quoted(name)}`);
  return readEntries(value, place).map(([key, entry, at]) => [key, readExpression(entry, declared, at)]);
}
