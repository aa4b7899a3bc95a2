/**
 * Values that are worked out: written text and the functions of the language, read once when the template is. Source: spec provisioning.md 7.6; where it is silent,
 * the functions of the same names in CloudFormation: delimiters are written, not worked out.
 */
import { inside, quoted } from '../aws/quoted.ts';
import { refuseTemplate } from './fault.ts';
import { isObject, readEntries, readWritten } from './json.ts';

/** What makes one text. Each knows its place in the template. */
export type Expression =
  | { readonly kind: 'written'; readonly place: string; readonly text: string }
  | { readonly kind: 'ref'; readonly place: string; readonly parameter: string }
  | { readonly kind: 'join'; readonly place: string; readonly delimiter: string; readonly list: List }
  | { readonly kind: 'select'; readonly place: string; readonly index: Expression; readonly list: List }
  | {
      readonly kind: 'find';
      readonly place: string;
      readonly map: string;
      readonly key: Expression;
      readonly secondKey: Expression;
    }
  | {
      readonly kind: 'sub';
      readonly place: string;
      /** Written text, or the name of one of the variables. */
      readonly pieces: readonly (string | { readonly variable: string })[];
      readonly variables: ReadonlyMap<string, Expression>;
    };

/** What makes a list of texts. A missing item is a written null, which only Fn::Select meets. */
export type List =
  | { readonly kind: 'items'; readonly place: string; readonly items: readonly (Expression | undefined)[] }
  | { readonly kind: 'split'; readonly place: string; readonly delimiter: string; readonly text: Expression };

/** What a template declares, and its functions may name. */
export interface Declared {
  readonly parameters: { has(name: string): boolean };
  readonly mappings: { has(name: string): boolean };
}

const textFunctions = ['Ref', 'Fn::Join', 'Fn::Select', 'Fn::FindInMap', 'Fn::Sub'] as const;
const functionNames: readonly string[] = [...textFunctions, 'Fn::Split'];

/** The function that an object is, if it is one: its only key is `Ref` or begins with `Fn::`. An unknown one is refused. */
export function functionOf(value: unknown, place: string): [name: string, argument: unknown] | undefined {
  if (!isObject(value)) return undefined;
  const keys = Object.keys(value);
  const name = keys.find((key) => key === 'Ref' || key.startsWith('Fn::'));
  if (name === undefined) return undefined;
  if (keys.length > 1) {
    if (name === 'Ref') return undefined;
    refuseTemplate(place, `${quoted(name)} must be the only member of its object`);
  }
  if (!functionNames.includes(name)) {
    refuseTemplate(place, `unknown function ${quoted(name)}; known are ${functionNames.join(', ')}`);
  }
  return [name, value[name]];
}

/** Numbers and booleans are text as well (spec provisioning.md 7.6); undefined for anything that is no scalar. */
function scalarText(value: unknown, place: string): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean') return String(value);
  if (typeof value !== 'number') return undefined;
  // a larger whole number was rounded when it was read, and would come out as another one
  if (!Number.isFinite(value) || Math.abs(value) > Number.MAX_SAFE_INTEGER) {
    refuseTemplate(place, 'the number is too large: write it as a string');
  }
  return String(value);
}

/** Reads what makes one text. Its depth is bounded by that of the template. */
export function readExpression(value: unknown, declared: Declared, place: string): Expression {
  if (value === undefined) refuseTemplate(place, 'is missing');
  const text = scalarText(value, place);
  if (text !== undefined) return { kind: 'written', place, text };
  const [name, argument] = functionOf(value, place) ?? refuseTemplate(place, 'must be a string or a function');
  const at = inside(place, name);
  switch (name) {
    case 'Ref':
      return readRef(argument, declared, at);
    case 'Fn::Join': {
      const [delimiter, list] = readArguments(argument, 2, '[delimiter, list]', at);
      return {
        kind: 'join',
        place: at,
        delimiter: readWritten(delimiter, `${at}[0]`),
        list: readList(list, declared, `${at}[1]`),
      };
    }
    case 'Fn::Select': {
      const [index, list] = readArguments(argument, 2, '[index, list]', at);
      return {
        kind: 'select',
        place: at,
        index: readExpression(index, declared, `${at}[0]`),
        list: readList(list, declared, `${at}[1]`, { nulls: true }),
      };
    }
    case 'Fn::FindInMap': {
      const [map, key, secondKey] = readArguments(argument, 3, '[map, key, key]', at);
      const mapName = readWritten(map, `${at}[0]`);
      if (!declared.mappings.has(mapName)) {
        refuseTemplate(`${at}[0]`, `there is no ${quoted(mapName)} in Mappings`);
      }
      return {
        kind: 'find',
        place: at,
        map: mapName,
        key: readExpression(key, declared, `${at}[1]`),
        secondKey: readExpression(secondKey, declared, `${at}[2]`),
      };
    }
    case 'Fn::Sub':
      return readSub(argument, declared, at);
    default:
      return refuseTemplate(place, `${name} makes a list, where a string must stand`);
  }
}

/** Reads what makes a list: an array, or Fn::Split. */
export function readList(value: unknown, declared: Declared, place: string, { nulls = false } = {}): List {
  if (value === undefined) refuseTemplate(place, 'is missing');
  if (Array.isArray(value)) {
    const items = value.map((item: unknown, i) =>
      nulls && item === null ? undefined : readExpression(item, declared, `${place}[${i}]`),
    );
    return { kind: 'items', place, items };
  }
  const [name, argument] = functionOf(value, place) ?? [];
  if (name !== 'Fn::Split') refuseTemplate(place, 'must be a list or Fn::Split');
  const at = inside(place, name);
  const [delimiter, text] = readArguments(argument, 2, '[delimiter, string]', at);
  const written = readWritten(delimiter, `${at}[0]`);
  if (written === '') refuseTemplate(`${at}[0]`, 'must not be empty');
  return { kind: 'split', place: at, delimiter: written, text: readExpression(text, declared, `${at}[1]`) };
}

function readArguments(value: unknown, count: number, form: string, place: string): readonly unknown[] {
  if (!Array.isArray(value) || value.length !== count) refuseTemplate(place, `must be ${form}`);
  return value;
}

function readRef(value: unknown, declared: Declared, place: string): Expression {
  const parameter = readWritten(value, place);
  checkDeclared(parameter, declared, place);
  return { kind: 'ref', place, parameter };
}

function checkDeclared(parameter: string, declared: Declared, place: string): void {
  if (!declared.parameters.has(parameter)) refuseTemplate(place, `there is no parameter ${quoted(parameter)}`);
}

/** `${!name}`, which stays as `${name}`; `${name}`; or an opening brace without an end. */
const variablePattern = /\$\{(?:(!?)([^}]*)\}|)/g;

function readSub(value: unknown, declared: Declared, place: string): Expression {
  const isList = Array.isArray(value);
  const [source, map] = isList
    ? readArguments(value, 2, 'a string, or [string, variables]', place)
    : [value, undefined];
  const at = isList ? `${place}[0]` : place;
  const text = readWritten(source, at);
  const variables = new Map<string, Expression>();
  for (const [name, entry, entryPlace] of readEntries(map, `${place}[1]`)) {
    variables.set(name, readExpression(entry, declared, entryPlace));
  }
  const pieces: (string | { variable: string })[] = [];
  let end = 0;
  for (const match of text.matchAll(variablePattern)) {
    const [token, kept, name] = match;
    if (name === undefined) refuseTemplate(at, '${ without }');
    pieces.push(text.slice(end, match.index));
    end = match.index + token.length;
    if (kept === '!') {
      pieces.push(`\${${name}}`);
      continue;
    }
    if (!variables.has(name)) {
      checkDeclared(name, declared, at);
      variables.set(name, { kind: 'ref', place: at, parameter: name });
    }
    pieces.push({ variable: name });
  }
  pieces.push(text.slice(end));
  return { kind: 'sub', place, pieces, variables };
}
