/** Inputs of AWS operations, made from the schemas: every member set once, to something short that its type allows. */
import type { Shape, Structure } from '../../src/api/shapes.ts';

/** Structures within structures that a sample goes into: beyond it members are left out, so that a sample ends. */
const depthMax = 4;

const texts = ['a', 'dev1', 'ACTIVE', 'arn:aws:iot:us-east-1:000000000000:thing/a', '{"a":1}'] as const;
const textOf = (name: string): string => texts[name.length % texts.length] ?? 'a';

/** A JSON value of the shape; undefined beyond the depth. */
export const sampleJson = (shape: Shape, name: string, depth = 0): unknown => {
  switch (shape.kind) {
    case 'structure':
      return depth > depthMax ? undefined : sampleStructure(shape, depth);
    case 'list':
      return [sampleJson(shape.item, name, depth + 1)].filter((item) => item !== undefined);
    case 'map': {
      const value = sampleJson(shape.value, name, depth + 1);
      return value === undefined ? {} : { k: value };
    }
    case 'string':
      return textOf(name);
    case 'boolean':
      return true;
    case 'number':
      return shape.fractional ? 1.5 : 1;
    case 'timestamp':
      return 1_700_000_000;
    case 'blob':
      return 'YQ==';
  }
};

/** The members that travel in the body. */
export const sampleStructure = (shape: Structure, depth = 0): Record<string, unknown> => {
  const members = shape.union ? shape.members.slice(0, 1) : shape.members;
  const entries: [string, unknown][] = [];
  for (const { name, shape: member, binding } of members) {
    if (binding.at === 'body') entries.push([binding.name, sampleJson(member, name, depth + 1)]);
  }
  return Object.fromEntries(entries);
};

/** The parameters of a form, e.g. `Tags.member.1.Key=a`. */
export const sampleForm = (shape: Shape, prefix: string, depth = 0): string[] => {
  if (shape.kind === 'structure') {
    if (depth > depthMax) return [];
    return shape.members.flatMap(({ name, shape: member }) =>
      sampleForm(member, prefix === '' ? name : `${prefix}.${name}`, depth + 1),
    );
  }
  if (shape.kind === 'list') return sampleForm(shape.item, `${prefix}.member.1`, depth + 1);
  if (shape.kind === 'map')
    return [`${prefix}.entry.1.key=k`, ...sampleForm(shape.value, `${prefix}.entry.1.value`, depth + 1)];
  const value = shape.kind === 'timestamp' ? '2024-01-01T00:00:00Z' : String(sampleJson(shape, prefix));
  return [`${prefix}=${encodeURIComponent(value)}`];
};
