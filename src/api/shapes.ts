/**
 * The shapes of the service models as plain data, read out of the run-time schemas that the SDK packages export. The SDK's schemas are a foreign wire
 * (nested tuples, loosely typed, versioned with the SDK): this file and `operations.ts` are the only ones that touch them.
 * A shape is compiled once, when the first request needs it.
 */
import assert from 'node:assert/strict';
import { NormalizedSchema } from '@smithy/core/schema';

/** Where a member of an operation's input or output travels. `name` is the name on the wire. */
export type Binding =
  | { readonly at: 'body'; readonly name: string }
  | { readonly at: 'label'; readonly name: string }
  | { readonly at: 'query'; readonly name: string }
  | { readonly at: 'header'; readonly name: string; readonly base64: boolean }
  | { readonly at: 'payload' }
  | { readonly at: 'status' };

export interface Member {
  readonly name: string;
  readonly shape: Shape;
  readonly binding: Binding;
  /** Its value must not appear in a message. */
  readonly sensitive: boolean;
}

export interface Structure {
  readonly kind: 'structure';
  /** The model's name, e.g. `CreateThingRequest`; the key of the constraint table. */
  readonly name: string;
  readonly members: readonly Member[];
  /** Exactly one member is set. */
  readonly union: boolean;
}

export type Shape =
  | Structure
  | { readonly kind: 'list'; readonly item: Shape }
  | { readonly kind: 'map'; readonly value: Shape }
  /** `fractional` is false where the model has an integer or a long: the schemas do not tell them from doubles. */
  | { readonly kind: 'number'; readonly fractional: boolean }
  | { readonly kind: 'string' | 'boolean' | 'timestamp' | 'blob' };

/** The members whose numbers are doubles in the service models; every other number is an integer. Source: the service models (2015-05-28). */
const fractionalMembers: ReadonlySet<string> = new Set([
  'AbortCriteria.thresholdPercentage',
  'AwsJobAbortCriteria.thresholdPercentage',
  'AwsJobExponentialRolloutRate.incrementFactor',
  'BehaviorModelTrainingSummary.datapointsCollectionPercentage',
  'CommandParameterValue.D',
  'ExponentialRolloutRate.incrementFactor',
  'GetPercentilesRequest.percents',
  'MetricValue.number',
  'MetricValue.numbers',
  'PercentPair.percent',
  'PercentPair.value',
  'Statistics.average',
  'Statistics.maximum',
  'Statistics.minimum',
  'Statistics.stdDeviation',
  'Statistics.sum',
  'Statistics.sumOfSquares',
  'Statistics.variance',
]);

const kindOf = (schema: NormalizedSchema): 'string' | 'boolean' | 'timestamp' | 'blob' => {
  if (schema.isStringSchema()) return 'string';
  if (schema.isBooleanSchema()) return 'boolean';
  if (schema.isTimestampSchema()) return 'timestamp';
  assert(schema.isBlobSchema(), `no shape for the schema ${schema.getName() ?? String(schema.getSchema())}`);
  return 'blob';
};

const bindingOf = (name: string, schema: NormalizedSchema): Binding => {
  const traits = schema.getMergedTraits();
  assert(!traits.httpPrefixHeaders && !traits.httpQueryParams, `${name} has a binding that no operation had`);
  if (traits.httpLabel) return { at: 'label', name };
  if (traits.httpQuery) return { at: 'query', name: traits.httpQuery };
  if (traits.httpHeader) {
    return { at: 'header', name: traits.httpHeader.toLowerCase(), base64: traits.mediaType !== undefined };
  }
  if (traits.httpPayload) return { at: 'payload' };
  if (traits.httpResponseCode) return { at: 'status' };
  return { at: 'body', name: traits.jsonName ?? name };
};

const compile = (schema: NormalizedSchema, place: string): Shape => {
  if (schema.isStructSchema()) return structure(schema);
  if (schema.isListSchema()) return { kind: 'list', item: compile(schema.getValueSchema(), place) };
  if (schema.isMapSchema()) return { kind: 'map', value: compile(schema.getValueSchema(), place) };
  if (schema.isNumericSchema()) return { kind: 'number', fractional: fractionalMembers.has(place) };
  return { kind: kindOf(schema) };
};

const structure = (schema: NormalizedSchema): Structure => {
  const name = schema.getName() ?? '';
  let members: readonly Member[] | undefined;
  return {
    kind: 'structure',
    name,
    union: schema.isUnionSchema(),
    // read on first use: a structure may contain itself
    get members() {
      members ??= [...schema.structIterator()].map(([member, memberSchema]) => ({
        name: member,
        shape: compile(memberSchema, `${name}.${member}`),
        binding: bindingOf(member, memberSchema),
        sensitive: memberSchema.getMergedTraits().sensitive === 1,
      }));
      return members;
    },
  };
};

/** The structure of an operation's input or output; undefined for the unit type, which has no content at all. */
export const compileStructure = (schema: Parameters<typeof NormalizedSchema.of>[0]): Structure | undefined => {
  const normalized = NormalizedSchema.of(schema);
  return normalized.isUnitSchema() ? undefined : structure(normalized);
};
