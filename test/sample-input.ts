/** Inputs and outputs of any operation, made from the schemas and constraint tables, and the SDK's commands that carry them. */
import assert from 'node:assert/strict';
import * as acm from '@aws-sdk/client-acm';
import * as iam from '@aws-sdk/client-iam';
import * as iot from '@aws-sdk/client-iot';
import * as iotData from '@aws-sdk/client-iot-data-plane';
import * as sts from '@aws-sdk/client-sts';
import acmTable from '../src/api/constraints/acm.json' with { type: 'json' };
import iamTable from '../src/api/constraints/iam.json' with { type: 'json' };
import iotTable from '../src/api/constraints/iot.json' with { type: 'json' };
import iotDataTable from '../src/api/constraints/iot-data.json' with { type: 'json' };
import stsTable from '../src/api/constraints/sts.json' with { type: 'json' };
import type { Operation } from '../src/api/operations.ts';
import { matchesPattern } from '../src/api/patterns.ts';
import type { Member, Shape, Structure } from '../src/api/shapes.ts';
import type { Constraint } from '../src/api/validate.ts';
import type { ServiceName } from '../src/aws/operations.ts';

const tables: { readonly [Service in ServiceName]: Readonly<Record<string, Readonly<Record<string, Constraint>>>> } = {
  iot: iotTable.structures,
  'iot-data': iotDataTable.structures,
  sts: stsTable.structures,
  iam: iamTable.structures,
  acm: acmTable.structures,
};

const samples = [
  'a',
  'A',
  '1',
  '1.5',
  'LAST',
  ',',
  'p1',
  'arn:a',
  'https://a',
  'ab:1',
  'https://ingestion-a.a.sfdcnow.com/streams/a/a/event',
];
samples.push(
  'arn:aws:acm:us-east-1:000000000000:certificate/a',
  'arn:aws:acm-pca:us-east-1:000000000000:certificate-authority/a',
  'a.example',
  '00:00',
  '000000000000',
  '/a/',
  'v1',
  'abc',
  'p-00000000',
  'o-0000000000/r-0000',
);

const textFor = ({ min = 0, enum: allowed, pattern }: Constraint): string => {
  if (allowed) return allowed[0] ?? '';
  for (const sample of samples) {
    const text = sample.length >= min ? sample : sample.repeat(Math.ceil(min / sample.length)).slice(0, min);
    if (pattern === undefined || matchesPattern(pattern, text)) return text;
  }
  return assert.fail(`no sample for ${pattern}`);
};

/** The structures that a value is inside of: one that contains itself is not gone into again. */
type Inside = readonly string[];

const valueFor = (service: ServiceName, shape: Shape, constraint: Constraint, inside: Inside): unknown => {
  switch (shape.kind) {
    case 'structure':
      return structureFor(service, shape, inside);
    case 'list':
      return Array.from({ length: Math.max(1, constraint.min ?? 1) }, () =>
        valueFor(service, shape.item, constraint.items ?? {}, inside),
      );
    case 'map':
      return { [textFor(constraint.keys ?? {})]: valueFor(service, shape.value, constraint.values ?? {}, inside) };
    case 'string':
      return textFor(constraint);
    case 'boolean':
      return true;
    case 'number':
      return Math.max(constraint.min ?? 0, Math.min(constraint.max ?? 200, 200));
    case 'timestamp':
      return new Date(1655249872000);
    case 'blob':
      return new Uint8Array([1, 2, 255, ...Array.from({ length: constraint.min ?? 0 }, () => 0)]);
  }
};

const isInside = (shape: Shape, inside: Inside): boolean => {
  if (shape.kind === 'list') return isInside(shape.item, inside);
  if (shape.kind === 'map') return isInside(shape.value, inside);
  return shape.kind === 'structure' && inside.includes(shape.name);
};

const memberFor = (service: ServiceName, structure: Structure, member: Member, inside: Inside): unknown =>
  member.binding.at === 'header' && member.binding.base64
    ? '[{"a":"b"}]'
    : valueFor(service, member.shape, tables[service][structure.name]?.[member.name] ?? {}, inside);

const structureFor = (service: ServiceName, structure: Structure, outside: Inside = []): Record<string, unknown> => {
  const inside = [...outside, structure.name];
  const members = structure.members.filter(({ shape }) => !isInside(shape, inside));
  return Object.fromEntries(
    (structure.union ? members.slice(0, 1) : members).map((member) => [
      member.name,
      memberFor(service, structure, member, inside),
    ]),
  );
};

/** An input with every member that satisfies every constraint; what it names, nobody has. */
export const inputFor = ({ service, input }: Operation): Record<string, unknown> =>
  input ? structureFor(service, input) : {};
export const outputFor = ({ service, output }: Operation): Record<string, unknown> =>
  output ? structureFor(service, output) : {};

/** Whether the model asks for a member. */
export const isRequired = (service: ServiceName, structure: string, member: string): boolean =>
  tables[service][structure]?.[member]?.required === true;

/** The SDK's command of an operation. */
export const commandFor = (operation: Operation, input: unknown): unknown => {
  const packages: { readonly [Service in ServiceName]: object } = { iot, 'iot-data': iotData, sts, iam, acm };
  const commands = packages[operation.service] as Readonly<
    Record<string, (new (input: unknown) => unknown) | undefined>
  >;
  const Command = commands[`${operation.name}Command`];
  assert(Command, `${operation.name} has a command`);
  return new Command(input);
};
