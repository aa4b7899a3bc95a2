/**
 * JSON values <-> the values that handlers work with, by shape. Reading is strict: a value of the wrong JSON type is SerializationException, unknown
 * members are ignored, null is absence. It goes as deep as the shape, and where a shape contains itself as deep as `depthMax`. Writing trusts the handler's types; what does not fit is our mistake and asserts.
 * Assumed: the messages are those that other AWS services on the same framework answer.
 */
import assert from 'node:assert/strict';
import { Fault } from '../aws/fault.ts';
import type { Shape, Structure } from './shapes.ts';

export const malformed = (message: string): Fault => new Fault('SerializationException', message);

const tokenOf = (value: unknown): string => {
  if (value === true) return 'TRUE_VALUE';
  if (value === false) return 'FALSE_VALUE';
  return typeof value === 'number' ? 'NUMBER_VALUE' : 'STRING_VALUE';
};

const misplaced = (value: unknown, wanted: string): Fault => {
  if (Array.isArray(value)) return malformed('Start of list found where not expected');
  if (typeof value === 'object') return malformed('Start of structure or map found where not expected.');
  return malformed(`${tokenOf(value)} can not be converted to ${wanted}`);
};

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const readString = (value: unknown): string => {
  if (typeof value !== 'string') throw misplaced(value, 'a String');
  // a lone surrogate has no UTF-8 form: it could not be stored and given back as it came
  if (!value.isWellFormed()) throw malformed('The string is not well-formed Unicode');
  return value;
};

/** Bytes of a base64 text, which must be padded and of the standard alphabet. */
export const readBase64 = (text: string): Uint8Array => {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) throw malformed('Base64 encoded length or alphabet is not valid');
  return new Uint8Array(bytes);
};

const readNumber = (value: unknown, fractional: boolean): number => {
  if (typeof value !== 'number') throw misplaced(value, fractional ? 'a Double' : 'an Integer');
  if (!Number.isFinite(value)) throw malformed('Number out of range');
  if (!fractional && !Number.isSafeInteger(value)) throw malformed('NUMBER_VALUE can not be converted to an Integer');
  return value;
};

/** The largest time a Date can hold, in ms. */
const timeMaxMs = 8.64e15;

/** A Date from a number of seconds since the epoch. */
export const readSeconds = (value: number): Date => {
  if (!(Math.abs(value) * 1000 <= timeMaxMs)) throw malformed('Timestamp out of range');
  return new Date(Math.round(value * 1000));
};

const readTimestamp = (value: unknown): Date => {
  if (typeof value !== 'number') throw misplaced(value, 'milliseconds since epoch');
  return readSeconds(value);
};

/** Structures inside each other; deeper: SerializationException. The models' own go to twelve or so, but acm has one that contains itself. */
const depthMax = 64;

/** The handler's value of a JSON value. Null stays null inside lists and maps, for the validator to name its place. */
const readValue = (shape: Shape, value: unknown, depth: number): unknown => {
  if (value === null) return null;
  switch (shape.kind) {
    case 'structure':
      return readStructure(shape, value, depth + 1);
    case 'list':
      if (!Array.isArray(value)) throw misplaced(value, 'a List');
      return value.map((item) => readValue(shape.item, item, depth));
    case 'map':
      if (!isObject(value)) throw misplaced(value, 'a Map');
      // fromEntries defines own properties, whatever their name: `__proto__` is a key like any other
      return Object.fromEntries(
        Object.entries(value).map(([key, item]) => [readString(key), readValue(shape.value, item, depth)]),
      );
    case 'string':
      return readString(value);
    case 'boolean':
      if (typeof value !== 'boolean') throw misplaced(value, 'a Boolean');
      return value;
    case 'number':
      return readNumber(value, shape.fractional);
    case 'timestamp':
      return readTimestamp(value);
    case 'blob':
      return readBase64(readString(value));
  }
};

/** The members of a structure that travel in a JSON object. */
export const readStructure = (shape: Structure, value: unknown, depth = 0): Record<string, unknown> => {
  if (!isObject(value)) throw misplaced(value, 'a Structure');
  if (depth > depthMax) throw malformed(`Structures are nested deeper than ${depthMax}`);
  const read: Record<string, unknown> = {};
  let set = 0;
  for (const { name, shape: member, binding } of shape.members) {
    if (binding.at !== 'body' || !Object.hasOwn(value, binding.name)) continue;
    const item = value[binding.name];
    if (item === null || item === undefined) continue;
    read[name] = readValue(member, item, depth);
    set += 1;
  }
  if (shape.union && set !== 1) throw malformed(`Exactly one member of ${shape.name} must be set`);
  return read;
};

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** The JSON value of a request body. Faults: SerializationException for bytes that are no UTF-8 or no JSON. */
export const parseJson = (body: Uint8Array): unknown => {
  try {
    return JSON.parse(utf8.decode(body));
  } catch (cause) {
    throw new Fault('SerializationException', 'The request body is not valid JSON', {}, { cause });
  }
};

declare global {
  interface JSON {
    /** A value that `stringify` writes as this text. Source: ECMAScript, JSON.rawJSON; Node has it since 22, TypeScript's library not yet. */
    rawJSON(text: string): object;
  }
}

/** Seconds since the epoch; whole ones as `1655249071.0`, which clients that print numbers as they come show. Source: spec identity 1. */
const writeSeconds = (ms: number): unknown => (ms % 1000 === 0 ? JSON.rawJSON(`${ms / 1000}.0`) : ms / 1000);

const writeValue = (shape: Shape, value: unknown): unknown => {
  switch (shape.kind) {
    case 'structure':
      return writeStructure(shape, value);
    case 'list':
      assert(Array.isArray(value), 'a list');
      return value.map((item: unknown) => writeValue(shape.item, item));
    case 'map':
      assert(isObject(value), 'a map');
      return Object.fromEntries(
        Object.entries(value)
          .filter(([, item]) => item !== undefined && item !== null)
          .map(([key, item]) => [key, writeValue(shape.value, item)]),
      );
    case 'timestamp':
      assert(value instanceof Date, 'a Date');
      return writeSeconds(value.getTime());
    case 'blob':
      assert(value instanceof Uint8Array, 'bytes');
      return Buffer.from(value).toString('base64');
    case 'string':
    case 'boolean':
    case 'number':
      assert(typeof value === shape.kind, `a ${shape.kind}, not a ${typeof value}`);
      return value;
  }
};

/** The JSON object of a structure: the members that travel in the body and have a value. */
export const writeStructure = (shape: Structure, value: unknown): Record<string, unknown> => {
  assert(isObject(value), `${shape.name} is an object`);
  const written: Record<string, unknown> = {};
  for (const { name, shape: member, binding } of shape.members) {
    const item = value[name];
    if (binding.at !== 'body' || item === undefined || item === null) continue;
    written[binding.name] = writeValue(member, item);
  }
  return written;
};
