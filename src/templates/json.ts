/** The JSON of templates: objects may carry any key, `__proto__` included, so nothing is read from one but its own entries. */
import { inside, quoted } from '../aws/quoted.ts';
import { refuseTemplate } from './fault.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** An object that has no other members than these; a missing one is undefined. */
export function readMembers<Name extends string>(
  value: unknown,
  allowed: readonly Name[],
  place: string,
): { readonly [N in Name]: unknown } {
  if (value === undefined) refuseTemplate(place, 'is missing');
  if (!isObject(value)) refuseTemplate(place, 'must be an object');
  for (const key of Object.keys(value)) {
    if (!allowed.some((name) => name === key)) {
      refuseTemplate(place, `unknown member ${quoted(key)}; known are ${allowed.join(', ')}`);
    }
  }
  const members = {} as { [N in Name]: unknown }; // filled by the next line, name by name
  for (const name of allowed) members[name] = Object.hasOwn(value, name) ? value[name] : undefined;
  return members;
}

/** An object of any names; nothing is an empty one. */
export function readEntries(value: unknown, place: string): [name: string, value: unknown, place: string][] {
  if (value === undefined) return [];
  if (!isObject(value)) refuseTemplate(place, 'must be an object');
  return Object.entries(value).map(([name, entry]) => [name, entry, inside(place, name)]);
}

/** Text that is written in the template: no function may stand here. */
export function readWritten(value: unknown, place: string): string {
  if (value === undefined) refuseTemplate(place, 'is missing');
  if (typeof value !== 'string') {
    refuseTemplate(place, isObject(value) ? 'must be a string, not an object or a function' : 'must be a string');
  }
  return value;
}
