/**
 * One validator for every operation: the models' constraints (required, length, range, pattern, enum) as data beside it, joined with the shapes by
 * structure and member name. Violations are collected and answered in one message of AWS's form:
 * `2 validation errors detected: Value 'x' at 'y' failed to satisfy constraint: Member must ...; Value null at 'z' ...`.
 * Source: spec identity 1 ("bad parameter message"). Assumed, after other AWS services: the wording for members of lists and maps, and that the value of a
 * sensitive member is left out.
 */
import { Fault, type FaultName } from '../aws/fault.ts';
import type { ServiceName } from '../aws/operations.ts';
import acm from './constraints/acm.json' with { type: 'json' };
import iam from './constraints/iam.json' with { type: 'json' };
import iot from './constraints/iot.json' with { type: 'json' };
import iotData from './constraints/iot-data.json' with { type: 'json' };
import sts from './constraints/sts.json' with { type: 'json' };
import type { Operation } from './operations.ts';
import { matchesPattern } from './patterns.ts';
import type { Member, Shape, Structure } from './shapes.ts';

/** What a member, or an item, key or value of one, must satisfy. `min` and `max` are characters, bytes, entries or the number itself, by shape. */
export interface Constraint {
  readonly required?: boolean;
  readonly min?: number;
  readonly max?: number;
  readonly pattern?: string;
  readonly enum?: readonly string[];
  readonly items?: Constraint;
  readonly keys?: Constraint;
  readonly values?: Constraint;
}

interface ConstraintTable {
  /** Operation -> names of the faults that it may answer. */
  readonly faults: { readonly [operation: string]: readonly string[] };
  readonly structures: { readonly [structure: string]: { readonly [member: string]: Constraint } };
}

const tables: { readonly [Service in ServiceName]: ConstraintTable } = { iot, 'iot-data': iotData, sts, iam, acm };

/** The faults that an operation may answer, by its model. */
export const faultsOf = (operation: Operation): readonly string[] =>
  tables[operation.service].faults[operation.name] ?? [];

/** Violations that are told at once; checking stops there. */
const violationsMax = 20;
/** Characters of a value that a pattern looks at where the model names no longest length; a longer value does not match. None of those is meant to be long. */
const unlimitedCharactersMax = 16_384;
/** Characters of a value that a message repeats. */
const echoedCharactersMax = 1024;

const show = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map(show).join(', ')}]`;
  if (value instanceof Uint8Array) return 'java.nio.HeapByteBuffer';
  if (value instanceof Date) return value.toISOString();
  if (typeof value !== 'object' || value === null) return String(value);
  const entries = Object.entries(value).map(([key, item]) => `${key}=${show(item)}`);
  return `{${entries.join(', ')}}`;
};

/** Java's member names begin in lower case whatever the model says (`roleArn` for sts's `RoleArn`). */
const shown = (member: string): string => member.charAt(0).toLowerCase() + member.slice(1);

const codePoints = (text: string): number => {
  let count = 0;
  for (let i = 0; i < text.length; i++) {
    if ((text.charCodeAt(i) & 0xfc00) !== 0xdc00) count += 1;
  }
  return count;
};

/** What `min` and `max` count. */
const sizeOf = (shape: Shape, value: unknown): number | undefined => {
  if (typeof value === 'string') return codePoints(value);
  if (typeof value === 'number') return value;
  if (Array.isArray(value) || value instanceof Uint8Array) return value.length;
  return shape.kind === 'map' && typeof value === 'object' && value !== null ? Object.keys(value).length : undefined;
};

/** The sentences of what a constraint asks, in AWS's order; for lists and maps all of them are told when one is broken. */
const sentences = (shape: Shape, constraint: Constraint): readonly string[] => {
  const measure = shape.kind === 'number' ? 'value' : 'length';
  const told: string[] = [];
  if (constraint.max !== undefined) told.push(`Member must have ${measure} less than or equal to ${constraint.max}`);
  if (constraint.min !== undefined) told.push(`Member must have ${measure} greater than or equal to ${constraint.min}`);
  if (constraint.enum) told.push(`Member must satisfy enum value set: [${constraint.enum.join(', ')}]`);
  if (constraint.pattern !== undefined) {
    told.push(`Member must satisfy regular expression pattern: ${constraint.pattern}`);
  }
  return told;
};

/** The sentences of `constraint` itself that `value` breaks. A value that is too long is not matched against the pattern. */
const broken = (shape: Shape, constraint: Constraint, value: unknown): readonly string[] => {
  const size = sizeOf(shape, value);
  const { min, max, pattern, enum: allowed } = constraint;
  if (size !== undefined && max !== undefined && size > max) return sentences(shape, { max });
  const told: string[] = [];
  if (size !== undefined && min !== undefined && size < min) told.push(...sentences(shape, { min }));
  if (typeof value !== 'string') return told;
  if (allowed && !allowed.includes(value)) told.push(...sentences(shape, { enum: allowed }));
  const tooLong = max === undefined && value.length > unlimitedCharactersMax;
  if (pattern !== undefined && (tooLong || !matchesPattern(pattern, value))) {
    told.push(...sentences(shape, { pattern }));
  }
  return told;
};

const stringShape: Shape = { kind: 'string' };

/** A rule of ours, for texts without a pattern: PostgreSQL keeps no text with that character, SQLite does, and what is accepted must not depend on the engine. */
const withoutNul = 'Member must not contain the character U+0000';
const hasNul = (value: unknown): boolean => typeof value === 'string' && value.includes('\u0000');

interface Violation {
  /** As the caller is told. */
  readonly text: string;
  /** The same without the value. */
  readonly valueless: string;
}

/** Collects the violations of one input. */
class Violations {
  readonly found: Violation[] = [];
  readonly #structures: ConstraintTable['structures'];
  constructor(structures: ConstraintTable['structures']) {
    this.#structures = structures;
  }

  get full(): boolean {
    return this.found.length >= violationsMax;
  }

  #add(path: string, value: unknown, sensitive: boolean, sentence: string): void {
    if (this.full) return;
    const text = value === null || value === undefined ? 'null' : `'${show(value).slice(0, echoedCharactersMax)}'`;
    const subject = sensitive ? 'Value' : `Value ${text}`;
    const failed = ` at '${path}' failed to satisfy constraint: ${sentence}`;
    this.found.push({ text: subject + failed, valueless: `Value${failed}` });
  }

  structure(shape: Structure, value: object, path: string): void {
    const constraints = this.#structures[shape.name] ?? {};
    const own: { readonly [member: string]: unknown } = { ...value };
    for (const member of shape.members) {
      if (this.full) return;
      this.#member(member, constraints[member.name] ?? {}, own[member.name], `${path}${shown(member.name)}`);
    }
  }

  #member({ shape, sensitive }: Member, constraint: Constraint, value: unknown, path: string): void {
    if (value === undefined || value === null) {
      if (constraint.required) this.#add(path, null, false, 'Member must not be null');
      return;
    }
    const told = broken(shape, constraint, value);
    for (const sentence of told) this.#add(path, value, sensitive, sentence);
    this.#entries(shape, constraint, value, path, sensitive);
    if (typeof value !== 'string' || told.length === 0) this.#nested(shape, value, path);
  }

  /** Constraints on the items of a list, or the keys and values of a map, are told of the whole member. */
  #entries(shape: Shape, constraint: Constraint, value: unknown, path: string, sensitive: boolean): void {
    if (shape.kind === 'list' && constraint.items && Array.isArray(value)) {
      const { items } = constraint;
      if (value.some((item) => breaks(shape.item, items, item))) {
        this.#add(
          path,
          value,
          sensitive,
          `Member must satisfy constraint: [${sentences(shape.item, items).join(', ')}]`,
        );
      }
    }
    if (shape.kind !== 'map' || typeof value !== 'object' || value === null) return;
    const { keys, values } = constraint;
    if (keys && Object.keys(value).some((key) => breaks(stringShape, keys, key))) {
      const told = sentences(stringShape, keys).join(', ');
      this.#add(path, value, sensitive, `Map keys must satisfy constraint: [${told}]`);
    }
    if (values && Object.values(value).some((item) => breaks(shape.value, values, item))) {
      const told = sentences(shape.value, values).join(', ');
      this.#add(path, value, sensitive, `Map value must satisfy constraint: [${told}]`);
    }
  }

  /** Goes on into structures, wherever they stand, and tells null entries and texts that cannot be kept. */
  #nested(shape: Shape, value: unknown, path: string): void {
    if (this.full) return;
    if (value === null || value === undefined) {
      this.#add(path, null, false, 'Member must not be null');
    } else if (hasNul(value)) {
      this.#add(path, value, true, withoutNul);
    } else if (shape.kind === 'structure' && typeof value === 'object') {
      this.structure(shape, value, `${path}.`);
    } else if (shape.kind === 'list' && Array.isArray(value)) {
      for (const [index, item] of value.entries()) this.#nested(shape.item, item, `${path}.${index + 1}.member`);
    } else if (shape.kind === 'map' && typeof value === 'object') {
      const entries = Object.entries(value);
      if (entries.some(([key]) => hasNul(key))) this.#add(path, value, true, `Map keys: ${withoutNul}`);
      for (const [key, item] of entries) this.#nested(shape.value, item, `${path}.${key}.member`);
    }
  }
}

/** Whether an entry breaks its constraint, down through lists in lists. Null entries are told elsewhere. */
const breaks = (shape: Shape, constraint: Constraint, value: unknown): boolean => {
  if (value === null || value === undefined) return false;
  if (broken(shape, constraint, value).length > 0) return true;
  const { items } = constraint;
  return shape.kind === 'list' && items !== undefined && Array.isArray(value)
    ? value.some((item) => breaks(shape.item, items, item))
    : false;
};

/** An input that breaks constraints of its operation. `broken` says which without any value, any of which may be a secret in the wrong place. */
export class MalformedInput extends Fault {
  readonly broken: string;
  constructor(name: FaultName, violations: readonly Violation[]) {
    const noun = violations.length === 1 ? 'error' : 'errors';
    const told = (texts: readonly string[]): string =>
      `${texts.length} validation ${noun} detected: ${texts.join('; ')}`;
    super(name, told(violations.map(({ text }) => text)));
    this.broken = told(violations.map(({ valueless }) => valueless));
  }
}

/**
 * Refuses an input that breaks a constraint of its operation.
 * Faults: MalformedInput of the name InvalidRequestException, or ValidationException on the operations whose model has that instead (packages, commands).
 */
export const validate = (operation: Operation, input: object): void => {
  if (!operation.input) return;
  const violations = new Violations(tables[operation.service].structures);
  violations.structure(operation.input, input, '');
  if (violations.found.length === 0) return;
  const faults = faultsOf(operation);
  const name =
    faults.includes('ValidationException') && !faults.includes('InvalidRequestException')
      ? 'ValidationException'
      : 'InvalidRequestException';
  throw new MalformedInput(name, violations.found);
};
