/**
 * Every place of an input that takes an ARN, found in the schemas of the operations by name and pattern, with an input for it that is as little as the operation
 * needs and about the asker's own things else.
 */
import assert from 'node:assert/strict';
import { operations } from '../src/api/operations.ts';
import type { Shape } from '../src/api/shapes.ts';
import { handledOperations } from './handled.ts';
import { trusting } from './iam-scene.ts';
import { authInfos, type Command, documentText, importOf, type Names, templateBody } from './isolation-table.ts';
import { commandFor, inputFor, isRequired } from './sample-input.ts';

export interface ArnPlace {
  /** e.g. `iot CreateRoleAlias roleArn`. */
  readonly name: string;
  /** Words of which a refusal that is about the place says one. */
  readonly words: readonly string[];
  /** ARNs of this owner's things that the place might take. */
  readonly arnsOf: (owner: Names) => readonly string[];
  /** The asker's call with an ARN in the place. */
  readonly ask: (arn: string, own: Names) => Command;
}

/** Paths of the strings in a shape, with `[]` behind lists. Shapes that hold themselves are gone into once. */
export const stringsIn = (shape: Shape, path: string, inside: readonly string[] = []): readonly string[] => {
  switch (shape.kind) {
    case 'structure':
      if (inside.includes(shape.name)) return [];
      return shape.members.flatMap((member) =>
        stringsIn(member.shape, path === '' ? member.name : `${path}.${member.name}`, [...inside, shape.name]),
      );
    case 'list':
      return stringsIn(shape.item, `${path}[]`, inside);
    case 'string':
      return [path];
    default:
      return [];
  }
};

const isArn = (path: string): boolean => /arn(s\[\])?$|(^|\.)(target|principal|permissionsBoundary)$/i.test(path);

/** What the place is about, by its name; the first that fits. */
const kinds: readonly (readonly [place: RegExp, arns: (owner: Names) => readonly string[]])[] = [
  [/lambda|callback|\.targetArn$/i, ({ functionArn }) => [functionArn]],
  [/role/i, ({ roleArn }) => [roleArn]],
  [
    /authority/i,
    ({ acmArn }) => [acmArn.replace(':acm:', ':acm-pca:').replace(':certificate/', ':certificate-authority/')],
  ],
  [/certificate|responder/i, ({ acmArn }) => [acmArn]],
  [/policy|boundary|provider/i, ({ managedPolicyArn }) => [managedPolicyArn]],
  [/principal|target/i, ({ certificateArn, caCertificateArn }) => [certificateArn, caCertificateArn]],
  [
    /resource/i,
    (owner) => [
      ...[owner.certificateArn, owner.caCertificateArn, owner.policyArn, owner.templateArn, owner.roleAliasArn],
      ...[owner.domainConfigurationArn, owner.acmArn, owner.roleArn],
    ],
  ],
];

/** A value at the end of a path, in whatever that leads through. */
export const nested = (path: readonly string[], value: unknown): unknown => {
  const [first, ...rest] = path;
  if (first === undefined) return value;
  const isList = first.endsWith('[]');
  const inner = nested(rest, value);
  return { [first.replace(/\[\]$/, '')]: isList ? [inner] : inner };
};

/** The asker's own, where an operation names them. */
const ownMembers = (own: Names): Readonly<Record<string, unknown>> => ({
  ...{ policyName: own.policyName, thingName: own.thingName, templateName: own.templateName },
  ...{ roleAlias: own.roleAlias, domainConfigurationName: own.domainConfigurationName },
  ...{ UserName: own.userName, GroupName: own.groupName, RoleName: own.roleName, RoleArn: own.roleArn },
  ...{ provisioningRoleArn: own.roleArn, roleArn: own.roleArn, templateBody: templateBody('Own') },
  ...{ PolicyDocument: documentText('Own'), AssumeRolePolicyDocument: trusting('222222222222') },
  ...{ authInfos, RoleSessionName: 'own', caCertificate: own.caCertificatePem },
  ...importOf(own),
});

const domainName = 'own.stranger.test';

/** What else must be there for a place to be looked at. */
const beside = (operation: string, path: string, own: Names): object => {
  if (operation === 'RegisterCACertificate') return { certificateMode: 'SNI_ONLY' };
  if (operation === 'UpdateCACertificate') return { certificateId: own.caCertificateId };
  if (operation !== 'CreateDomainConfiguration') return {};
  const certificates = path.includes('ertificateArn') && { domainName, serverCertificateArns: [own.acmArn] };
  return { domainConfigurationName: 'other-domain', ...certificates };
};

export const arnPlaces = (): readonly ArnPlace[] =>
  handledOperations().flatMap(({ service, operation: name }) => {
    const operation = operations.find((each) => each.service === service && each.name === name);
    const { input } = operation ?? {};
    if (!operation || !input) return [];
    return stringsIn(input, '')
      .filter(isArn)
      .map((path): ArnPlace => {
        const [, arnsOf] = kinds.find(([place]) => place.test(path)) ?? [];
        assert(arnsOf, `${name} ${path} is about something`);
        return {
          name: `${service} ${name} ${path}`,
          words: path.split(/\W+/).filter((word) => word !== ''),
          arnsOf,
          ask(arn, own) {
            const sample = Object.entries(inputFor(operation)).filter(([member]) =>
              isRequired(service, input.name, member),
            );
            const members = new Set(input.members.map((member) => member.name));
            const owned = Object.entries(ownMembers(own)).filter(([member]) => members.has(member));
            const given = {
              ...Object.fromEntries([...sample, ...owned]),
              ...beside(name, path, own),
              ...(path.startsWith('registrationConfig')
                ? { registrationConfig: { templateBody: templateBody('Own'), roleArn: arn } }
                : (nested(path.split('.'), arn) as object)),
            };
            return commandFor(operation, given) as Command;
          },
        };
      });
  });
