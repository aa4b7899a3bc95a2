/**
 * A raw answer held against the output schema that the SDK publishes for its operation. The schema is read here by the SDK's own library, apart from the
 * server's reading of it. What the schema cannot say (which members are always there, and their values) is for the test to say.
 */
import { NormalizedSchema } from '@smithy/core/schema';

export type Schema = Parameters<typeof NormalizedSchema.of>[0];

/** An operation as the SDK's packages export it: a tuple, of which only these places matter here. */
export interface OperationSchema {
  readonly name: string;
  /** The status that its model gives it; undefined when there is none (Query). */
  readonly status: number | undefined;
  readonly output: Schema;
}

/** The schema of an operation, e.g. of `GetPolicy` from the exports of `@aws-sdk/client-iot`. */
export const operationSchema = (sdk: object, name: string): OperationSchema => {
  // the packages type their schemas as bare arrays
  const found = Object.values(sdk).find(
    (value) => Array.isArray(value) && value[0] === 9 && value[2] === name,
  ) as readonly [9, string, string, { http?: [string, string, number] } | 0, Schema, Schema];
  const [, , , traits, , output] = found;
  return { name, status: traits === 0 ? undefined : traits.http?.[2], output };
};

/** Whether an operation answers nothing at all: not even an empty object. */
export const isVoid = ({ output }: OperationSchema): boolean => NormalizedSchema.of(output).isUnitSchema();

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const asList = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

const isBase64 = (value: unknown): boolean =>
  typeof value === 'string' && Buffer.from(value, 'base64').toString('base64') === value;

/** JSON types by kind of schema; the first that applies. */
const jsonTypes: readonly [
  is: (schema: NormalizedSchema) => boolean,
  fits: (value: unknown) => boolean,
  name: string,
][] = [
  [(schema) => schema.isStructSchema(), isObject, 'an object'],
  [(schema) => schema.isListSchema(), Array.isArray, 'a list'],
  [(schema) => schema.isMapSchema(), isObject, 'a map'],
  [(schema) => schema.isTimestampSchema(), (value) => Number.isFinite(value), 'epoch seconds'],
  [(schema) => schema.isNumericSchema(), (value) => Number.isSafeInteger(value), 'an integer'],
  [(schema) => schema.isBooleanSchema(), (value) => typeof value === 'boolean', 'a boolean'],
  [(schema) => schema.isStringSchema(), (value) => typeof value === 'string', 'a string'],
  [(schema) => schema.isBlobSchema(), (value) => isBase64(value), 'base64'],
];

/** What a value should have been; undefined when it is. */
const wantedFor = (schema: NormalizedSchema, value: unknown): string | undefined => {
  const type = jsonTypes.find(([is]) => is(schema));
  if (!type) return 'of a kind that this walk knows';
  return type[1](value) ? undefined : type[2];
};

/** What a walk over an answer gathers. */
export interface Findings {
  /** Sentences: members that the schema does not know, values of a wrong JSON type. */
  readonly problems: string[];
  /** Places of members that were there, e.g. `certificates[].certificateArn`. */
  readonly seen: Set<string>;
}

const walk = (schema: NormalizedSchema, value: unknown, place: string, findings: Findings): void => {
  const wanted = wantedFor(schema, value);
  if (wanted !== undefined) {
    findings.problems.push(`${place} is ${JSON.stringify(value)?.slice(0, 80)}, not ${wanted}`);
  } else if (schema.isStructSchema()) {
    const members = new Map(schema.structIterator());
    for (const [name, item] of Object.entries(value ?? {})) {
      const member = members.get(name);
      const path = place === '' ? name : `${place}.${name}`;
      if (!member) findings.problems.push(`${path} is no member`);
      else {
        findings.seen.add(path);
        walk(member, item, path, findings);
      }
    }
  } else if (schema.isListSchema()) {
    for (const item of asList(value)) walk(schema.getValueSchema(), item, `${place}[]`, findings);
  } else if (schema.isMapSchema()) {
    for (const item of Object.values(value ?? {})) walk(schema.getValueSchema(), item, `${place}{}`, findings);
  }
};

/** Holds the parsed body of an answer against the output schema. */
export const inspect = ({ output }: OperationSchema, body: unknown, findings: Findings): void =>
  walk(NormalizedSchema.of(output), body, '', findings);

const places = (schema: NormalizedSchema, place: string): string[] => {
  if (schema.isStructSchema()) {
    return [...schema.structIterator()].flatMap(([name, member]) => {
      const path = place === '' ? name : `${place}.${name}`;
      return [path, ...places(member, path)];
    });
  }
  if (schema.isListSchema()) return places(schema.getValueSchema(), `${place}[]`);
  return schema.isMapSchema() ? places(schema.getValueSchema(), `${place}{}`) : [];
};

/** Every member that an answer of the operation could have, as `Findings.seen` names them. */
export const placesOf = ({ output }: OperationSchema): readonly string[] => {
  const schema = NormalizedSchema.of(output);
  return schema.isUnitSchema() ? [] : places(schema, '');
};

/** The body as the SDK must give it to its caller: epoch seconds as Dates, base64 as bytes, everything else as it came. */
export const revived = (operation: OperationSchema, body: unknown): unknown => {
  const revive = (schema: NormalizedSchema, value: unknown): unknown => {
    if (schema.isTimestampSchema()) return new Date(Math.round(Number(value) * 1000));
    if (schema.isBlobSchema()) return Uint8Array.from(Buffer.from(String(value), 'base64'));
    if (schema.isListSchema() && Array.isArray(value)) {
      return value.map((item) => revive(schema.getValueSchema(), item));
    }
    if (!schema.isStructSchema() || !isObject(value)) return value;
    const members = new Map(schema.structIterator());
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => {
        const member = members.get(name);
        return [name, member ? revive(member, item) : item];
      }),
    );
  };
  return revive(NormalizedSchema.of(operation.output), body);
};
